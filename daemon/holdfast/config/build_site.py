"""holdfast.yaml: the estate, the event types, the channels and the operators."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from holdfast.config.build_sources import build_sources
from holdfast.config.fields import BUILT_IN
from holdfast.config.papers import ALL, Papers
from holdfast.config.references import duration, secret
from holdfast.config.shape import did_you_mean
from holdfast.config.tree import Path, Sheet, quoted
from holdfast.model.actions import Host, Service
from holdfast.model.snapshot import Channel, EngineKind, FieldType, Listen, MailReplies, Operator, Source
from holdfast.model.values import SECOND

_IMAPS, _IMAP = 993, 143


#: Under these names the daemon journals what it does itself; a channel `cli` would need no reply code.
RESERVED: Final = frozenset({"app", "cli", "clock", "config", "engine", "execute", "file", "notify"})


@dataclass(frozen=True, slots=True)
class Site:
    """What holdfast.yaml declares. Entries that are wrong are missing, but their names are known."""

    hosts: Mapping[str, Host] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    events: Mapping[str, Mapping[str, FieldType]] = field(default_factory=dict)
    channels: Mapping[str, Channel] = field(default_factory=dict)
    operators: Mapping[str, Operator] = field(default_factory=dict)
    listen: Listen = field(default_factory=Listen)
    engine: EngineKind = EngineKind.DURABLE
    broken: frozenset[tuple[str, str]] = frozenset({("hosts", ALL), ("services", ALL), ("sources", ALL)})

    def names(self, section: str) -> frozenset[str] | None:
        """Every declared name of a section, or None where nobody can say."""
        if (section, ALL) in self.broken:
            return None
        built: Mapping[str, object] = getattr(self, section)
        return frozenset(built) | {name for other, name in self.broken if other == section}

    @property
    def sources_known(self) -> bool:
        """Whether every declared source could be read."""
        return not any(section == "sources" for section, _ in self.broken)


def build_site(papers: Papers) -> Site:
    """The site, with every problem of holdfast.yaml by itself written down."""
    sheet = papers.site
    if sheet is None:
        return Site()
    data: Mapping[str, Any] = sheet.document.data
    estate = data.get("estate", {})
    hosts = {
        name: _host(sheet, ("estate", "hosts", name), item) for name, item in estate.get("hosts", {}).items()
    }
    services = {name: _service(name, item) for name, item in estate.get("services", {}).items()}
    events = _events(sheet, data.get("events", {}))
    channels = {name: _channel(name, item) for name, item in data.get("channels", {}).items()}
    site = Site(
        hosts=hosts,
        services=services,
        events=events,
        channels=channels,
        operators={name: _operator(name, item) for name, item in data.get("operators", {}).items()},
        listen=Listen(**data.get("listen", {})),
        engine=EngineKind(data.get("engine", EngineKind.DURABLE)),
        broken=frozenset(papers.broken),
    )
    for kind in ("sources", "channels"):
        _check_reserved(sheet, kind, data.get(kind, {}))
    _check_services(sheet, site)
    _check_operators(sheet, site)
    sources = build_sources(sheet, services, site.names("services"), site.names("hosts"), events)
    return _with_sources(site, sources)


def _check_reserved(sheet: Sheet, kind: str, names: Mapping[str, Any]) -> None:
    for name in names:
        if name in RESERVED:
            sheet.say((kind, name), f"the name {quoted(name)} is the daemon's own (take another)", key=True)


def _with_sources(site: Site, sources: Mapping[str, Source]) -> Site:
    return replace(site, sources=sources)


def unknown(sheet: Sheet, path: Path, kind: str, name: str, known: frozenset[str] | None) -> bool:
    """Whether a name is not among the known ones; then that is written down."""
    if known is None or name in known:
        return False
    sheet.say(path, f"unknown {kind} {quoted(name)}{did_you_mean(name, known)}")
    return True


def _host(sheet: Sheet, path: Path, item: Mapping[str, Any]) -> Host:
    key = " ".join(item["host_key"].split()[:2])
    if not _is_host_key(key):
        sheet.say((*path, "host_key"), "this is not a public host key (is it whole? ssh-keyscan prints it)")
    return Host(
        name=str(path[-1]),
        address=item["address"],
        user=item["user"],
        host_key=key,
        port=item.get("port", 22),
        identity=secret(item.get("identity", "$secret.ssh-key")),
        group=item.get("group"),
    )


def _is_host_key(key: str) -> bool:
    """Whether the blob behind the type begins with the same type, as RFC 4253 has it."""
    kind, blob = key.split()
    try:
        raw = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        return False
    length = int.from_bytes(raw[:4])
    whole = kind != "ssh-ed25519" or len(raw) == 51
    return whole and raw[4 : 4 + length] == kind.encode()


def _service(name: str, item: Mapping[str, Any]) -> Service:
    return Service(
        name=name,
        hosts=tuple(item.get("hosts", ())),
        unit=item.get("unit"),
        url=item.get("url"),
        depends_on=tuple(item.get("depends_on", ())),
        labels=dict(item.get("labels", {})),
    )


def _check_services(sheet: Sheet, site: Site) -> None:
    for name, service in site.services.items():
        path: Path = ("estate", "services", name)
        for place, host in enumerate(service.hosts):
            unknown(sheet, (*path, "hosts", place), "host", host, site.names("hosts"))
        for place, other in enumerate(service.depends_on):
            if other == name:
                sheet.say((*path, "depends_on", place), "a service does not depend on itself")
            unknown(sheet, (*path, "depends_on", place), "service", other, site.names("services"))


def _events(sheet: Sheet, data: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, FieldType]]:
    events = {name: dict(fields) for name, fields in BUILT_IN.items()}
    for name, fields in data.items():
        declared = events.setdefault(name, {})
        for path, kind in fields.items():
            found = FieldType(kind.removesuffix("?"), optional=kind.endswith("?"))
            built_in = BUILT_IN.get(name)
            if built_in is not None and built_in.get(path) != found:
                _refuse_built_in(sheet, ("events", name, path), built_in)
            else:
                declared[path] = found
    return events


def _refuse_built_in(sheet: Sheet, path: Path, fields: Mapping[str, FieldType]) -> None:
    spelled = ", ".join(f"{name}: {kind.kind}{'?' if kind.optional else ''}" for name, kind in fields.items())
    sheet.say(path, f"{path[1]} is built in, and its fields are {spelled} (leave the declaration out)")


def _channel(name: str, item: Mapping[str, Any]) -> Channel:
    replies = item.get("replies")
    return Channel(
        name=name,
        url=secret(item["url"]),
        replies=_replies(replies) if replies else None,
        timeout=duration(item["timeout"]) if "timeout" in item else 15 * SECOND,
    )


def _replies(item: Mapping[str, Any]) -> MailReplies:
    imap: Mapping[str, Any] = item["imap"]
    tls = imap.get("tls", True)
    return MailReplies(
        host=imap["host"],
        port=imap.get("port", _IMAPS if tls else _IMAP),
        user=imap["user"],
        password=secret(imap["password"]),
        address=item["address"],
        tls=tls,
        ca_file=imap.get("ca_file"),
        folder=imap.get("folder", "INBOX"),
        authserv_id=item.get("authserv_id"),
    )


def _operator(name: str, item: Mapping[str, Any]) -> Operator:
    return Operator(name, tuple(item["channels"]), tuple(item.get("addresses", ())))


def _check_operators(sheet: Sheet, site: Site) -> None:
    owners: dict[str, str] = {}
    for name, operator in site.operators.items():
        path: Path = ("operators", name)
        for place, channel in enumerate(operator.channels):
            unknown(sheet, (*path, "channels", place), "channel", channel, site.names("channels"))
        for place, address in enumerate(operator.addresses):
            first = owners.setdefault(address.casefold(), name)
            if first != name:
                message = f"{quoted(address)} belongs to {first} already (whose reply would it be?)"
                sheet.say((*path, "addresses", place), message)


def own_ips(site: Site) -> tuple[str, ...]:
    """The IP addresses of all hosts, for `$estate.own_ips`."""
    return tuple(host.address for host in site.hosts.values() if _is_ip(host.address))


def _is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True
