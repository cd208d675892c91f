"""What policy says about a step, with the history that limits are counted from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from holdfast.decide import decide, merge, needed
from holdfast.model.actions import PlannedStep
from holdfast.model.policies import BlastRadius, Limit, Origin, Proposal, Usage, Verdict
from holdfast.model.records import Choice
from holdfast.model.rules import Mode
from holdfast.model.snapshot import Snapshot
from holdfast.pipeline import locks
from holdfast.pipeline.work import Cause, Work
from holdfast.store import runs


def judge(work: Work, cause: Cause, step: PlannedStep, run: str, *, retry: bool = False) -> Verdict:
    """What policy says about one step now."""
    proposal = _proposal(work.snapshot, cause, step, retry=retry)
    holder = locks.held_by(work, step.target)
    if holder is not None:
        proposal = replace(proposal, locked_by=holder)
    policies = tuple(work.snapshot.policies.values())
    usages = {policy.name: _usage(work, policy, proposal, run) for policy in needed(proposal, policies)}
    return decide(proposal, policies, usages, stopped=work.stopped)


def of_choices(work: Work, cause: Cause, choices: Sequence[Choice], run: str | None) -> Verdict | None:
    """What policy says about everything that a question could run, before anybody approves it."""
    plain = replace(cause, approved_by=None, guards=())
    steps = [step for choice in choices if choice.plan is not None for step in choice.plan.steps]
    return merge([judge(work, plain, step, run or "") for step in steps]) if steps else None


def _proposal(snapshot: Snapshot, cause: Cause, step: PlannedStep, *, retry: bool) -> Proposal:
    host = snapshot.hosts.get(step.target)
    origin = Origin.UNDO if cause.part == "undo" else Origin.RETRY if retry else Origin.RULE
    return Proposal(
        origin=origin,
        action=step.action,
        target=step.target,
        touches=frozenset(step.touches),
        risk=step.risk,
        idempotent=step.idempotent,
        irreversible=step.irreversible,
        service=cause.incident.service,
        group=None if host is None else host.group,
        incident_type=cause.incident.type,
        severity=cause.incident.severity,
        rule=cause.rule.name,
        mode=Mode.AUTO if cause.part == "undo" else cause.rule.mode,
        trust=cause.event.provenance.trust,
        approved_by=cause.approved_by,
        guarded=cause.guards,
    )


def _usage(work: Work, policy: Limit | BlastRadius, proposal: Proposal, run: str) -> Usage:
    if isinstance(policy, Limit):
        fact = proposal.fact()
        where = {name: None if fact[name] is None else str(fact[name]) for name in policy.per}
        since = work.now - policy.within
        # as long as all that was started is less than the limit, nobody has to count by labels
        most = runs.starts_at_most(work.tx, since)
        return Usage(policy.name, most if most < policy.max else runs.starts(work.tx, since, where))
    column = str(policy.of)
    name = proposal.service if column == "service" else proposal.group
    if name is None:
        return Usage(policy.name, 0, 0)
    busy = runs.busy_targets(work.tx, column, name, but_run=run) - {proposal.target}
    if column == "service":
        service = work.snapshot.services.get(name)
        total = len(service.hosts) if service else 0
    else:
        total = sum(host.group == name for host in work.snapshot.hosts.values())
    return Usage(policy.name, len(busy), total)
