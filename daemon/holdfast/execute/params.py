"""The last door before a command line: values come from events, and events are hostile."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

import re2

from holdfast.errors import PlanError
from holdfast.model.actions import Param, ParamKind
from holdfast.model.values import Scalar

#: Characters of any parameter; some kinds allow fewer.
MAX_CHARS: Final = 1024
_UNIT_SUFFIXES: Final = (
    "service|socket|target|device|mount|automount|swap|timer|path|slice|scope"  # systemd.unit(5)
)
#: A prefix, then perhaps @ and an instance; a template without an instance cannot be acted on.
_UNIT: Final = re.compile(rf"[A-Za-z0-9:_.\\][A-Za-z0-9:_.\\-]*(@[A-Za-z0-9:_.\\@-]+)?\.({_UNIT_SUFFIXES})")
_UNIT_CHARS: Final = 255
_LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_HOST_NAME_CHARS: Final = 253
_RELEASE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_INT: Final = re.compile(r"0|[1-9][0-9]{0,18}")


def check(name: str, spec: Param, value: Scalar) -> str:
    """The text that stands for a value on a command line.

    The whole value has to match its type; nothing is trimmed or repaired, only IP addresses and
    paths are written in their normal form. Raises PlanError with the reason.
    """
    if spec.kind is ParamKind.INT:
        text = _int(name, spec, value)
    else:
        text = _KINDS[spec.kind](name, spec, _plain(name, spec, value))
    if _forbidden(spec, text):
        raise PlanError(f"{_shown(name, value)} is in never_in")
    return text


def _plain(name: str, spec: Param, value: Scalar) -> str:
    """What no kind of text may be."""
    if not isinstance(value, str):
        raise PlanError(f"{_shown(name, value)} is no text, but its type is {spec.kind}")
    if not value:
        raise PlanError(f"{name} is empty, but its type is {spec.kind}")
    if value.startswith("-"):
        raise PlanError(f"{_shown(name, value)} begins with a dash: a command would read it as an option")
    if len(value) > MAX_CHARS:
        raise PlanError(f"{_shown(name, value)} has {len(value)} characters, {MAX_CHARS} are allowed")
    if not value.isprintable():  # controls, direction marks, halves of characters, line ends, odd spaces
        raise PlanError(f"{_shown(name, value)} holds a control character or another one that cannot be seen")
    return value


def _int(name: str, spec: Param, value: Scalar) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _INT.fullmatch(text):
        raise PlanError(f"{_shown(name, value)} is not a whole number from 0 on in plain digits")
    if spec.minimum is not None and int(text) < spec.minimum:
        raise PlanError(f"{_shown(name, value)} is less than {spec.minimum}")
    if spec.maximum is not None and int(text) > spec.maximum:
        raise PlanError(f"{_shown(name, value)} is more than {spec.maximum}")
    return text


def _unit_name(name: str, spec: Param, text: str) -> str:
    del spec
    if len(text) > _UNIT_CHARS or not _UNIT.fullmatch(text):
        raise PlanError(
            f"{_shown(name, text)} is not the full name of a systemd unit, like shop.service or app@1.service"
        )
    return text


def _host_name(name: str, spec: Param, text: str) -> str:
    del spec
    if len(text) > _HOST_NAME_CHARS or not _HOST_NAME.fullmatch(text):
        raise PlanError(f"{_shown(name, text)} is not a host name (letters, digits and dashes between dots)")
    return text


def _ip(name: str, spec: Param, text: str) -> str:
    del spec
    address = _address(text)
    if address is None:
        raise PlanError(f"{_shown(name, text)} is not an IP address (a name or a network is not one)")
    return str(address)


def _path_under(name: str, spec: Param, text: str) -> str:
    if ".." in text.split("/"):
        raise PlanError(f"{_shown(name, text)} goes up with '..'")
    root = (spec.under or "/").rstrip("/")
    path = "/" + posixpath.normpath(text).lstrip("/") if text.startswith("/") else ""
    if not path.startswith(f"{root}/") or path == f"{root}/":
        raise PlanError(f"{_shown(name, text)} is not a path below {root or '/'}")
    return path


def _enum(name: str, spec: Param, text: str) -> str:
    if text not in spec.values:
        raise PlanError(f"{_shown(name, text)} is none of {', '.join(spec.values)}")
    return text


def _release_id(name: str, spec: Param, text: str) -> str:
    del spec
    if not _RELEASE_ID.fullmatch(text):
        raise PlanError(
            f"{_shown(name, text)} is not a release id (letters, digits, '.', '_' and '-'; at most 128)"
        )
    return text


def _pattern(name: str, spec: Param, text: str) -> str:
    if spec.pattern is None or not _compiled(spec.pattern).fullmatch(text):
        raise PlanError(f"{_shown(name, text)} does not match the pattern {spec.pattern} as a whole")
    return text


_KINDS: Final[Mapping[ParamKind, Callable[[str, Param, str], str]]] = {
    ParamKind.UNIT_NAME: _unit_name,
    ParamKind.HOST_NAME: _host_name,
    ParamKind.IP: _ip,
    ParamKind.PATH_UNDER: _path_under,
    ParamKind.ENUM: _enum,
    ParamKind.RELEASE_ID: _release_id,
    ParamKind.PATTERN: _pattern,
}


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re2._Regexp:
    try:
        return re2.compile(pattern)
    except re2.error as error:
        raise PlanError(f"the pattern {pattern!r} cannot be used by RE2: {error}") from error


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if "%" in text:  # a zone may hold anything, and names an interface of one machine only
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _forbidden(spec: Param, text: str) -> bool:
    if spec.kind is not ParamKind.IP:
        return text in spec.never_in
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    for item in spec.never_in:
        try:
            network = ipaddress.ip_network(item, strict=False)
        except ValueError:  # the estate's own addresses may be names, which no address can equal
            continue
        if address in network or (mapped is not None and mapped in network):
            return True
    return False


def _shown(name: str, value: Scalar) -> str:
    text = ascii(value)
    return f"{name}: {text if len(text) <= 80 else text[:77] + '...'}"
