"""The rules as the config declares them, with what the store knows of how they did."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.cli import describe
from holdfast.model.policies import BlastRadius, EffectPolicy, Envelope, Limit
from holdfast.model.rules import Rule
from holdfast.model.snapshot import Snapshot
from holdfast.model.values import Millis
from holdfast.store import incidents, runs
from holdfast.store.database import Tx


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule. `fired` and `results` (how its runs ended) are null where there is no store yet."""

    name: str
    doc: str
    mode: str
    where: str
    incident_type: str
    severity: str
    when: str
    unless: tuple[str, ...]
    clears: str
    does: tuple[str, ...]
    fired: int | None
    last_fired: Millis | None
    results: dict[str, int] | None


@dataclass(frozen=True, slots=True)
class RuleList:
    """Every rule of one commit of the config."""

    commit: str
    rules: tuple[RuleLine, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a valid config holds."""

    valid: bool
    commit: str
    rules: int
    modes: dict[str, int]
    actions: int
    playbooks: int
    policies: dict[str, int]
    tests: int
    sources: int
    hosts: int
    services: int
    operators: int
    channels: int


def rule_list(snapshot: Snapshot, tx: Tx | None) -> RuleList:
    """Each rule of a snapshot; without a store, without its history."""
    fired = None if tx is None else incidents.firing_counts(tx)
    results = None if tx is None else runs.results(tx)
    lines = [_line(rule, fired, results) for _, rule in sorted(snapshot.rules.items())]
    return RuleList(snapshot.commit, tuple(lines))


def summary(snapshot: Snapshot) -> Summary:
    """Count what there is."""
    modes: dict[str, int] = {}
    for rule in snapshot.rules.values():
        modes[str(rule.mode)] = modes.get(str(rule.mode), 0) + 1
    kinds = {"effect": EffectPolicy, "envelope": Envelope, "limit": Limit, "blast-radius": BlastRadius}
    found = {
        name: sum(isinstance(policy, kind) for policy in snapshot.policies.values())
        for name, kind in kinds.items()
    }
    return Summary(
        valid=True,
        commit=snapshot.commit,
        rules=len(snapshot.rules),
        modes=modes,
        actions=len(snapshot.actions),
        playbooks=len(snapshot.playbooks),
        policies={name: number for name, number in found.items() if number},
        tests=len(snapshot.tests),
        sources=len(snapshot.sources),
        hosts=len(snapshot.hosts),
        services=len(snapshot.services),
        operators=len(snapshot.operators),
        channels=len(snapshot.channels),
    )


def _line(
    rule: Rule,
    fired: dict[str, tuple[int, Millis]] | None,
    results: dict[tuple[str, str], int] | None,
) -> RuleLine:
    count, last = (0, None) if fired is None else fired.get(rule.name, (0, None))
    return RuleLine(
        name=rule.name,
        doc=rule.doc,
        mode=str(rule.mode),
        where=rule.where,
        incident_type=rule.incident.type,
        severity=str(rule.incident.severity),
        when=describe.when(rule),
        unless=tuple(describe.unless(guard) for guard in rule.unless),
        clears=describe.clears(rule),
        does=describe.does(rule),
        fired=None if fired is None else count,
        last_fired=last,
        results=None
        if results is None
        else {state: number for (name, state), number in results.items() if name == rule.name},
    )
