"""Typed parameters: what the config says about them, and whether a literal can ever pass."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from holdfast.conditions import regex_problem
from holdfast.config.tree import Path, Sheet, quoted
from holdfast.model.actions import Param, ParamKind
from holdfast.model.values import Scalar

#: Key of a parameter's type → the kinds that it belongs to; `True` where that kind cannot do without.
_KEYS: Final[Mapping[str, Mapping[ParamKind, bool]]] = {
    "under": {ParamKind.PATH_UNDER: True},
    "min": {ParamKind.INT: False},
    "max": {ParamKind.INT: False},
    "values": {ParamKind.ENUM: True},
    "pattern": {ParamKind.PATTERN: True},
}
_OWN_IPS: Final = "$estate.own_ips"


def build(sheet: Sheet, own_ips: tuple[str, ...]) -> dict[str, Param]:
    """The parameters of an action or playbook; `own_ips` stands in for `$estate.own_ips`."""
    params: Mapping[str, Any] = sheet.document.data.get("params", {})  # type: ignore[assignment]
    return {name: _build(sheet, ("params", name), item, own_ips) for name, item in params.items()}


def _build(sheet: Sheet, path: Path, item: Mapping[str, Any], own_ips: tuple[str, ...]) -> Param:
    kind = ParamKind(item["type"])
    for key, kinds in _KEYS.items():
        if key in item and kind not in kinds:
            sheet.say(
                (*path, key), f"`{key}` belongs to the type {next(iter(kinds))}, not to {kind}", key=True
            )
        elif key not in item and kinds.get(kind):
            sheet.say(path, f"the type {kind} needs `{key}`")
    problem = regex_problem(item["pattern"]) if "pattern" in item else None
    if problem:
        sheet.say((*path, "pattern"), f"RE2 cannot use this pattern: {problem}")
    if item.get("min", 0) > item.get("max", item.get("min", 0)):
        sheet.say((*path, "min"), "`min` is greater than `max`")
    return Param(
        kind=kind,
        under=item.get("under"),
        minimum=item.get("min"),
        maximum=item.get("max"),
        values=tuple(item.get("values", ())),
        pattern=item.get("pattern"),
        never_in=_never_in(sheet, (*path, "never_in"), item.get("never_in", ()), own_ips),
    )


def _never_in(sheet: Sheet, path: Path, items: list[str], own_ips: tuple[str, ...]) -> tuple[str, ...]:
    found: list[str] = []
    for place, item in enumerate(items):
        if item == _OWN_IPS:
            found += own_ips
        elif item.startswith("$"):
            sheet.say((*path, place), f"{quoted(item)} is not known here (there is {_OWN_IPS})")
        else:
            found.append(item)
    return tuple(found)


def misfit(param: Param, value: Scalar) -> str | None:
    """Why a literal can never be this parameter, or None. What passes is checked again when it is bound."""
    if param.kind is ParamKind.INT:
        return _int_misfit(param, value)
    if not isinstance(value, str):
        return f"{quoted(value)} is no text (quote it)"
    if value.startswith("-"):
        return f"{quoted(value)} begins with -, which a program could take for an option"
    if not value or not value.isprintable():
        return f"{quoted(value)} holds a control character" if value else "the value is empty"
    if value in param.never_in:
        return f"{quoted(value)} is in never_in"
    return _text_misfit(param, value)


def _int_misfit(param: Param, value: Scalar) -> str | None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        return f"{quoted(value)} is not a whole number from 0 on"
    if param.minimum is not None and value < param.minimum:
        return f"{value} is less than {param.minimum}"
    if param.maximum is not None and value > param.maximum:
        return f"{value} is more than {param.maximum}"
    return None


def _text_misfit(param: Param, value: str) -> str | None:
    if param.kind is ParamKind.ENUM and value not in param.values:
        return f"{quoted(value)} is not one of {', '.join(param.values)}"
    if param.kind is ParamKind.IP and not _is_ip(value):
        return f"{quoted(value)} is not an IP address"
    if param.kind is ParamKind.PATH_UNDER and param.under and not _is_under(value, param.under):
        return f"{quoted(value)} is not under {param.under}"
    if param.kind in {ParamKind.UNIT_NAME, ParamKind.HOST_NAME, ParamKind.RELEASE_ID} and (
        " " in value or "/" in value
    ):
        return f"{quoted(value)} is not a {param.kind}"
    return None


def _is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _is_under(value: str, under: str) -> bool:
    path = PurePosixPath(value)
    return path.is_relative_to(under) and ".." not in path.parts
