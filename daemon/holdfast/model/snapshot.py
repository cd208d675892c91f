"""One commit of the config repository, validated and frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from holdfast.model.actions import Action, Host, Playbook, Service
from holdfast.model.policies import Policy
from holdfast.model.rules import Rule
from holdfast.model.ruletests import RuleTest
from holdfast.model.values import SECOND, Millis, Scalar, Secret, Severity, Trust


class SourceKind(StrEnum):
    """Where events come from."""

    WEBHOOK = "webhook"
    HTTP_PROBE = "http-probe"


class AuthScheme(StrEnum):
    """How a webhook proves itself."""

    BEARER = "bearer"
    HMAC = "hmac"  # X-Holdfast-Signature: sha256=HEX over the raw body


class Cast(StrEnum):
    """The type that a mapped value is cast to, so that a rule never meets the string "500"."""

    STR = "str"
    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    EPOCH = "epoch"  # seconds since 1970
    EPOCH_MS = "epoch-ms"
    RFC3339 = "rfc3339"


@dataclass(frozen=True, slots=True)
class Mapped:
    """One field of `map:`. `source` is a JSONPath of plain keys and indexes; None takes `constant`.

    `regex` keeps its named group `value` (or group 1); `table` looks the text up.
    """

    target: str
    source: tuple[str | int, ...] | None = None
    constant: Scalar = None
    cast: Cast | None = None
    regex: str | None = None
    table: Mapping[str, Scalar] | None = None
    default: Scalar = None


@dataclass(frozen=True, slots=True)
class Source:
    """One declared source. Without `secret`, a webhook is heard from loopback only."""

    name: str
    kind: SourceKind
    trust: Trust = Trust.MEDIUM
    max_severity: Severity = Severity.CRITICAL
    severity: Severity = Severity.ERROR
    type: str | None = None
    service: str | None = None
    host: str | None = None
    scheme: AuthScheme | None = None
    secret: Secret | None = None
    map: tuple[Mapped, ...] = ()
    url: str | None = None
    every: Millis = 30 * SECOND
    timeout: Millis = 5 * SECOND
    expect_status: int | None = None  # None takes any status below 400


@dataclass(frozen=True, slots=True)
class FieldType:
    """A declared field of an event type."""

    kind: str  # bool | int | float | str | list | any
    optional: bool = False


@dataclass(frozen=True, slots=True)
class MailReplies:
    """The mailbox that answers come to, and whose word about the sender counts.

    `address` gets a plus-suffix per question. Only the topmost Authentication-Results header of
    `authserv_id` is believed; None believes nobody, so mail can then only deny.
    """

    host: str
    port: int
    user: str
    password: Secret
    address: str
    tls: bool = True
    ca_file: str | None = None
    folder: str = "INBOX"
    authserv_id: str | None = None


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to reach an operator: an Apprise URL kept as a secret. `{reply}` and `{subject}` in
    the URL are not templates; mail channels get their Reply-To added by the courier."""

    name: str
    url: Secret
    replies: MailReplies | None = None
    timeout: Millis = 15 * SECOND


@dataclass(frozen=True, slots=True)
class Operator:
    """The person. `channels` in order: the second is used when the first is not confirmed."""

    name: str
    channels: tuple[str, ...]
    addresses: tuple[str, ...] = ()


class EngineKind(StrEnum):
    """What events are matched with."""

    DURABLE = "durable"  # durable_rules in a process of its own, confirmed natively
    NATIVE = "native"


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the daemon listens for events."""

    host: str = "127.0.0.1"
    port: int = 8443


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole config at one commit; nothing in it changes."""

    commit: str
    hosts: Mapping[str, Host] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    events: Mapping[str, Mapping[str, FieldType]] = field(default_factory=dict)
    channels: Mapping[str, Channel] = field(default_factory=dict)
    operators: Mapping[str, Operator] = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    actions: Mapping[str, Action] = field(default_factory=dict)
    playbooks: Mapping[str, Playbook] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    tests: Mapping[str, RuleTest] = field(default_factory=dict)
    listen: Listen = Listen()
    engine: EngineKind = EngineKind.DURABLE
