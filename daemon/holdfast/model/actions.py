"""What may be done: actions, their parameters, playbooks, and the estate that they act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from holdfast.model.rules import Do
from holdfast.model.values import MINUTE, SECOND, Millis, Ordered, Ref, Scalar, Secret


class Risk(Ordered):
    """How much a step can hurt when it is wrong."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Touches(StrEnum):
    """What a step may change. Data, schema, money and legal always need a human."""

    AVAILABILITY = "availability"
    DATA = "data"
    SCHEMA = "schema"
    MONEY = "money"
    ACCESS = "access"
    LEGAL = "legal"
    CUSTOMERS_SEE = "customers-see"


class Connector(StrEnum):
    """How a step reaches the world."""

    SSH = "ssh"
    LOCAL = "local"


class ParamKind(StrEnum):
    """Built-in parameter types. Each matches the whole string and refuses control characters and a
    leading dash."""

    UNIT_NAME = "unit-name"
    HOST_NAME = "host-name"
    IP = "ip"
    PATH_UNDER = "path-under"
    INT = "int"
    ENUM = "enum"
    RELEASE_ID = "release-id"
    PATTERN = "pattern"


@dataclass(frozen=True, slots=True)
class Param:
    """The type of one parameter; the optional fields belong to the kinds they are named after."""

    kind: ParamKind
    under: str | None = None
    minimum: int | None = None
    maximum: int | None = None
    values: tuple[str, ...] = ()
    pattern: str | None = None
    never_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Retry:
    """How often an attempt that failed to run is repeated, and how the pauses grow."""

    attempts: int = 1
    backoff: Millis = 2 * SECOND
    factor: float = 2.0
    jitter: bool = True


@dataclass(frozen=True, slots=True)
class Verify:
    """An action is done when the fault is observed to be gone: the incident clears within `within`
    and stays clear for `steady`."""

    within: Millis = 90 * SECOND
    steady: Millis = 30 * SECOND


@dataclass(frozen=True, slots=True)
class Action:
    """One action template. `argv` items are literals or one whole reference to a parameter.

    `fresh` false (`fresh: none`) lets a run start after a restart on old evidence. `verify` None
    means that nothing is to be observed: it is done when it has run.
    """

    name: str
    doc: str
    connector: Connector
    argv: tuple[str | Ref, ...]
    touches: frozenset[Touches]
    risk: Risk
    params: Mapping[str, Param] = field(default_factory=dict)
    skip_if: tuple[str | Ref, ...] | None = None
    verify: Verify | None = None
    undo: Do | None = None
    irreversible: bool = False
    idempotent: bool = False
    deadline: Millis = MINUTE
    retry: Retry = Retry()
    fresh: bool = True
    where: str = ""


@dataclass(frozen=True, slots=True)
class Playbook:
    """Steps in order; flattened into one run. `params` are passed on as `$name`."""

    name: str
    doc: str
    steps: tuple[Do, ...]
    params: Mapping[str, Param] = field(default_factory=dict)
    where: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """A machine of the estate. `host_key` is pinned: another key is refused."""

    name: str
    address: str
    user: str
    host_key: str
    port: int = 22
    identity: Secret = Secret("ssh-key")
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """Something that customers notice. `labels` are free text for actions (`$service.labels.x`)."""

    name: str
    hosts: tuple[str, ...] = ()
    unit: str | None = None
    url: str | None = None
    depends_on: tuple[str, ...] = ()
    labels: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One command on one target, fully bound: nothing is left to substitute."""

    action: str
    connector: Connector
    target: str
    argv: tuple[str, ...]
    params: Mapping[str, Scalar]
    risk: Risk
    touches: tuple[Touches, ...]
    idempotent: bool
    irreversible: bool
    deadline: Millis
    retry: Retry
    verify: Verify | None
    fresh: bool
    skip_if: tuple[str, ...] | None = None
    undo: tuple[PlannedStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What one `do` will run, in order. Its hash is what an approval is bound to."""

    name: str
    steps: tuple[PlannedStep, ...]
    hold: str | None = None
    hold_for: Millis | None = None
