"""`sources:`: probes, webhooks, and the maps that turn foreign messages into events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from holdfast.conditions import parse_path, regex_problem
from holdfast.config.fields import HTTP_PROBE
from holdfast.config.references import BadReference, duration, json_path, literal, secret
from holdfast.config.shape import did_you_mean
from holdfast.config.tree import Path, Sheet, quoted
from holdfast.errors import InputError
from holdfast.model.actions import Service
from holdfast.model.snapshot import AuthScheme, Cast, FieldType, Mapped, Source, SourceKind
from holdfast.model.values import SECOND, Millis, Scalar, Severity, Trust

Names = frozenset[str] | None
_TIMES: Final = frozenset({Cast.EPOCH, Cast.EPOCH_MS, Cast.RFC3339})
_HEADS: Final = ("id", "type", "time", "severity", "subject", "service", "host")
#: A cast → the declared kinds of fields that take what it makes.
_FITS: Final[Mapping[Cast, frozenset[str]]] = {
    Cast.STR: frozenset({"str"}),
    Cast.INT: frozenset({"int", "float"}),
    Cast.FLOAT: frozenset({"float"}),
    Cast.BOOL: frozenset({"bool"}),
    Cast.EPOCH: frozenset({"int", "float"}),
    Cast.EPOCH_MS: frozenset({"int", "float"}),
    Cast.RFC3339: frozenset({"int", "float"}),
}


@dataclass(frozen=True, slots=True)
class _Context:
    sheet: Sheet
    services: Mapping[str, Service]
    names: Mapping[str, Names]
    events: Mapping[str, Mapping[str, FieldType]]

    def check_name(self, path: Path, kind: str, name: Scalar) -> None:
        """Write down a service or host that the estate does not have."""
        known = self.names[kind]
        if known is not None and name not in known:
            self.sheet.say(path, f"unknown {kind} {quoted(name)}{did_you_mean(str(name), known)}")


def build_sources(
    sheet: Sheet,
    services: Mapping[str, Service],
    service_names: Names,
    host_names: Names,
    events: Mapping[str, Mapping[str, FieldType]],
) -> dict[str, Source]:
    """Every source of holdfast.yaml; problems are written on the sheet."""
    context = _Context(sheet, services, {"service": service_names, "host": host_names}, events)
    data: Mapping[str, Any] = sheet.document.data.get("sources", {})  # type: ignore[assignment]
    return {
        name: (_probe if item["kind"] == SourceKind.HTTP_PROBE else _webhook)(context, name, item)
        for name, item in data.items()
    }


def _probe(context: _Context, name: str, item: Mapping[str, Any]) -> Source:
    path: Path = ("sources", name)
    context.check_name((*path, "service"), "service", item["service"])
    service = context.services.get(item["service"])
    url = item.get("url") or (service.url if service else None)
    if url is None and service is not None:
        context.sheet.say(
            path, f"nothing to ask: neither the probe nor the service {service.name} has a `url`"
        )
    every = duration(item.get("every", "30s"))
    return Source(
        name=name,
        kind=SourceKind.HTTP_PROBE,
        trust=Trust(item.get("trust", Trust.MEDIUM)),
        max_severity=Severity(item.get("max_severity", Severity.CRITICAL)),
        type=HTTP_PROBE,
        service=item["service"],
        url=url,
        every=every,
        timeout=_timeout(item, every),
        expect_status=item.get("expect_status"),
    )


def _timeout(item: Mapping[str, Any], every: Millis) -> Millis:
    return duration(item["timeout"]) if "timeout" in item else min(5 * SECOND, every)


def _webhook(context: _Context, name: str, item: Mapping[str, Any]) -> Source:
    path: Path = ("sources", name)
    for kind in ("service", "host"):
        if kind in item:
            context.check_name((*path, kind), kind, item[kind])
    if item.get("type") == HTTP_PROBE:
        context.sheet.say((*path, "type"), f"{HTTP_PROBE} comes from probes only (take another type)")
    fields: Mapping[str, Any] = item.get("map", {})
    for key in ("type", "service", "host"):
        if key in fields and key in item:
            context.sheet.say(
                (*path, "map", key), f"`{key}` is set for the whole source already (leave one out)"
            )
    if fields and "type" not in fields and "type" not in item:
        context.sheet.say(
            (*path, "map"), "the type of the event is missing (add `type: $.type`, or `type:` at the source)"
        )
    mapped = tuple(
        _mapped(context, (*path, "map", target), target, entry) for target, entry in fields.items()
    )
    _check_declared(context, path, item.get("type"), mapped)
    verify = item.get("verify")
    return Source(
        name=name,
        kind=SourceKind.WEBHOOK,
        trust=Trust(item.get("trust", Trust.MEDIUM)),
        max_severity=Severity(item.get("max_severity", Severity.CRITICAL)),
        severity=Severity(item.get("severity", Severity.ERROR)),
        type=item.get("type"),
        service=item.get("service"),
        host=item.get("host"),
        scheme=AuthScheme(verify["scheme"]) if verify else None,
        secret=secret(verify["secret"]) if verify else None,
        map=mapped,
    )


def _mapped(context: _Context, path: Path, target: str, entry: Any) -> Mapped:
    """One field of a map; a problem leaves a constant null in its place."""
    _check_target(context, path, target)
    try:
        if isinstance(entry, dict):
            mapped = Mapped(
                target=target,
                source=json_path(entry["from"]),
                cast=Cast(entry["as"]) if "as" in entry else None,
                regex=entry.get("regex"),
                table=dict(entry["table"]) if "table" in entry else None,
                default=literal(entry.get("default")),
            )
        elif isinstance(entry, str) and entry.startswith("$") and not entry.startswith("$$"):
            mapped = Mapped(target=target, source=json_path(entry))
        else:
            mapped = Mapped(target=target, constant=literal(entry))
    except BadReference as error:
        context.sheet.say((*path, "from") if isinstance(entry, dict) else path, str(error))
        return Mapped(target=target)
    problem = regex_problem(mapped.regex) if mapped.regex is not None else None
    if problem:
        context.sheet.say((*path, "regex"), f"RE2 cannot use this regex: {problem}")
    _check_values(context, path, mapped)
    return mapped


def _check_target(context: _Context, path: Path, target: str) -> None:
    try:
        steps = parse_path(target)
    except InputError:
        steps = ()
    if target in _HEADS or (
        len(steps) > 1 and steps[0] == "data" and all(isinstance(step, str) for step in steps)
    ):
        return
    right = did_you_mean(target, _HEADS) if "." not in target else ""
    hint = right if right.startswith(" (did") else f" (write {', '.join(_HEADS)} or data.name)"
    context.sheet.say(path, f"{quoted(target)} is no field of an event{hint}", key=True)


def _check_values(context: _Context, path: Path, mapped: Mapped) -> None:
    """Constants, tables and defaults of fields that know only certain words; times that need a unit."""
    sheet, target = context.sheet, mapped.target
    if target == "time" and mapped.source is not None and mapped.cast not in _TIMES:
        sheet.say(
            path, "nobody knows how to read this time (write {from: $.x, as: epoch}, epoch-ms or rfc3339)"
        )
    if mapped.cast in _TIMES and target != "time" and not target.startswith("data."):
        sheet.say((*path, "as"), f"`as: {mapped.cast}` makes a time, and {target} is none")
    for place, value in _constants(path, mapped):
        if target == "severity" and value not in set(map(str, Severity)):
            sheet.say(
                place, f"{quoted(value)} is not a severity{did_you_mean(str(value), map(str, Severity))}"
            )
        if target in {"service", "host"}:
            context.check_name(place, target, value)
        if target == "time" or (target == "id" and mapped.source is None):
            sheet.say(place, f"`{target}` comes from the message (write a JSONPath such as $.{target})")
        if target == "type" and value == HTTP_PROBE:
            sheet.say(place, f"{HTTP_PROBE} comes from probes only (take another type)")


def _constants(path: Path, mapped: Mapped) -> list[tuple[Path, Scalar]]:
    """Every value that the map itself writes, with its place."""
    if mapped.source is None:
        return [(path, mapped.constant)]
    table = [((*path, "table", key), value) for key, value in (mapped.table or {}).items()]
    return table + ([((*path, "default"), mapped.default)] if mapped.default is not None else [])


def _check_declared(context: _Context, path: Path, kind: str | None, fields: tuple[Mapped, ...]) -> None:
    """Where the type of the event is fixed and declared, the map fits the declaration."""
    constants = [field.constant for field in fields if field.target == "type" and field.source is None]
    name = kind or (str(constants[0]) if constants else None)
    declared = context.events.get(name) if name else None
    if declared is None:
        return
    for field in fields:
        if not field.target.startswith("data."):
            continue
        here = (*path, "map", field.target)
        wanted = declared.get(field.target)
        if wanted is None:
            hint = did_you_mean(field.target, declared)
            context.sheet.say(here, f"{name} has no field {quoted(field.target)}{hint}", key=True)
        elif field.cast is not None and wanted.kind not in _FITS[field.cast] | {"any"}:
            context.sheet.say(
                (*here, "as"), f"{name} declares {field.target} as {wanted.kind}, not as {field.cast}"
            )
