"""From a proposal to a run: bound, decided, ordered step by step, and ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import msgspec

from holdfast.decide import decisive, merge
from holdfast.decide.builtin import KILL_SWITCH
from holdfast.errors import PlanError
from holdfast.execute.plan import bind
from holdfast.gate.basis import plan_hash
from holdfast.model.actions import Connector, Plan, PlannedStep
from holdfast.model.policies import Effect, Verdict
from holdfast.model.records import (
    AttemptOrder,
    Choice,
    OutcomeKind,
    Run,
    RunState,
)
from holdfast.model.rules import Do
from holdfast.pipeline import messages, questions, verdicts
from holdfast.pipeline.scope import Scope
from holdfast.pipeline.work import Cause, Work
from holdfast.store import holds, incidents, runs, timers
from holdfast.store.holds import OpenHold
from holdfast.store.runs import AttemptState, Labels
from holdfast.store.timers import Timer

#: The part of a response that takes back what another part did.
UNDO: Final = "undo"
#: What may be set to happen to a run later.
_TIMERS: Final = ("verify", "steady", "retry", "grace")
_CHANGED_NOTHING: Final = {OutcomeKind.NOT_STARTED, OutcomeKind.SKIPPED}
_NOT_TAKEN_BACK: Final = {RunState.DENIED, RunState.EXPIRED, RunState.CANCELLED, RunState.FAILED}


def propose(work: Work, cause: Cause, do: Do) -> bool:
    """Bind one `do` to its targets and take it up to policy; whether a new run is under way now."""
    try:
        plan = _bind(work, cause, do)
    except PlanError as error:
        work.note(cause.incident.id, "refused", f"{do.action} cannot be planned: {error}")
        messages.stuck(work, cause.incident, f"{do.action} cannot be planned: {error}")
        work.settled.append((cause.incident.id, cause.rule.name))
        return False
    return take(work, cause, plan)


def take(work: Work, cause: Cause, plan: Plan) -> bool:
    """Decide about a plan and start it, ask, or refuse; a plan that ran already is joined.

    Returns whether a new run is under way now: ordered, asked about, or held.
    """
    identity = plan_hash(plan)
    if cause.approved_by is None and _joined(work, cause, plan, identity):
        work.settled.append((cause.incident.id, cause.rule.name))
        return False
    run = _new(work, cause, plan)
    verdict = merge([verdicts.judge(work, cause, step, run.id) for step in plan.steps])
    runs.insert(work.tx, replace(run, state=_becomes(verdict)), identity)
    work.decided.append((run, verdict))
    _note_verdict(work, run, verdict)
    _apply(work, cause, run, verdict)
    return not _is_denied(verdict)


def ask_first(work: Work, cause: Cause, plan: Plan, why: str) -> None:
    """Write a run that begins only if a human says so."""
    run = replace(_new(work, cause, plan), state=RunState.ASKING)
    runs.insert(work.tx, run, plan_hash(plan))
    questions.ask_held(work, cause, run, why)


def choices(work: Work, cause: Cause, declared: Mapping[str, Do | None]) -> tuple[Choice, ...]:
    """The choices of a question, each bound to what it would run; one that cannot be is left out."""
    bound = []
    for name, do in declared.items():
        try:
            bound.append(Choice(name, None if do is None else _bind(work, cause, do)))
        except PlanError as error:
            work.note(cause.incident.id, "refused", f"choice {name} cannot be offered: {error}")
    return tuple(bound)


def go_on(work: Work, run: Run) -> None:
    """Take a run's present step up to policy again and make its next attempt."""
    cause = cause_of(work, run)
    if cause is None:
        end(work, run, RunState.CANCELLED, "its incident or its rule is gone")
        hand_over(work, run, f"{run.plan.name} does not go on: the rule {run.rule} was removed")
        return
    step = run.plan.steps[run.step]
    earlier = [attempt for attempt in runs.attempts_of(work.tx, run.id) if attempt.step == run.step]
    begun = any(attempt.state is not AttemptState.CANCELLED for attempt in earlier)
    verdict = verdicts.judge(work, cause, step, run.id, retry=begun)
    if verdict.effect is Effect.ALLOW:
        runs.change(
            work.tx, run.id, work.now, state=RunState.RUNNING, step=run.step, approved_by=run.approved_by
        )
        # an attempt that was taken back keeps its number: no id is ever used twice
        _order(work, cause, run, len(earlier) + 1)
        return
    if not _is_denied(verdict):
        runs.change(work.tx, run.id, work.now, state=_becomes(verdict), step=run.step)
    _note_verdict(work, run, verdict)
    _apply(work, cause, run, verdict)


def end(work: Work, run: Run, state: RunState, why: str) -> None:
    """A run is over; its response may go on."""
    timers.cancel_each(work.tx, _TIMERS, run.id)
    runs.cancel(work.tx, run.id, work.now)
    runs.change(work.tx, run.id, work.now, state=state)
    work.note(run.incident, str(state), f"{run.plan.name}: {why}", {"run": run.id, "state": str(state)})
    incident = incidents.find(work.tx, run.incident)
    if incident is not None:
        runs.record(work.tx, replace(run, state=state), incident.type, incident.service, work.now)
    _hold(work, run)
    if run.part == UNDO and state is not RunState.UNKNOWN:
        _keep_hold(work, run, state)
    elif state is RunState.INEFFECTIVE and _is_done(work, run):
        hand_over(work, run, f"{run.plan.name}: {why}")
    # whoever joined this run waits for it too
    work.settled.extend(
        (run.incident, response.rule) for response in incidents.responses_of(work.tx, run.incident)
    )


def begun(work: Work, run: Run) -> set[int]:
    """The steps of a run that have, or may have, changed something."""
    return {
        attempt.step
        for attempt in runs.attempts_of(work.tx, run.id)
        if attempt.outcome is not None and attempt.outcome.kind not in _CHANGED_NOTHING
    }


def undo_of(work: Work, run: Run) -> Plan | None:
    """What takes back the steps of a run that were begun, the last one first."""
    done = begun(work, run)
    steps = tuple(
        step
        for number, planned in reversed(list(enumerate(run.plan.steps)))
        if number in done
        for step in planned.undo
    )
    return Plan(f"undo {run.plan.name}", steps) if steps else None


def cause_of(work: Work, run: Run) -> Cause | None:
    """The cause of a run that was written earlier; None when its rule has been removed."""
    incident = incidents.find(work.tx, run.incident)
    rule = work.snapshot.rules.get(run.rule)
    response = incidents.response(work.tx, run.incident, run.rule)
    if incident is None or rule is None or response is None:
        return None
    return Cause(incident, rule, run.part, response.event, run.evidence_seq, approved_by=run.approved_by)


def planned(work: Work, cause: Cause, do: Do) -> Plan | None:
    """What a `do` would run; None where it cannot be bound."""
    try:
        return _bind(work, cause, do)
    except PlanError:
        return None


def undoing(cause: Cause) -> Cause:
    """The same cause, for taking back what was done."""
    return replace(cause, part=UNDO, approved_by=None)


def _bind(work: Work, cause: Cause, do: Do) -> Plan:
    scope = Scope(work.snapshot, cause.rule, cause.event, cause.incident)
    return bind(do, snapshot=work.snapshot, resolve=scope.resolve, service=scope.service)


def _becomes(verdict: Verdict) -> RunState:
    """What a run is once this was said about its present step; what is denied ends at once."""
    if verdict.effect is Effect.ALLOW:
        return RunState.RUNNING
    return RunState.ASKING if verdict.effect is Effect.HUMAN else RunState.WAITING


def _is_denied(verdict: Verdict) -> bool:
    """Whether the answer is no for good; the no of the kill switch lasts as long as it is on."""
    return verdict.effect is Effect.DENY and verdict.voices[0].policy != KILL_SWITCH


def _apply(work: Work, cause: Cause, run: Run, verdict: Verdict) -> None:
    """Let a verdict have its effect on a run that has not begun its present step."""
    if verdict.effect is Effect.ALLOW:
        _order(work, cause, run, 1)
    elif verdict.effect is Effect.HUMAN:
        questions.ask_leave(work, cause, run, verdict)
    elif _is_denied(verdict):
        end(work, run, RunState.DENIED, f"denied by {verdict.voices[0].policy}: {verdict.voices[0].why}")
        messages.stuck(work, cause.incident, f"{run.plan.name} is denied by policy: {verdict.voices[0].why}")
    else:
        work.note(run.incident, "held", f"{run.plan.name} waits: the kill switch is on", {"run": run.id})


def _new(work: Work, cause: Cause, plan: Plan) -> Run:
    return Run(
        id=work.new_id("r"),
        incident=cause.incident.id,
        rule=cause.rule.name,
        part=cause.part,
        plan=plan,
        state=RunState.WAITING,
        step=0,
        created=work.now,
        changed=work.now,
        evidence_seq=cause.evidence_seq,
        epoch=cause.incident.reopened,
        approved_by=cause.approved_by,
    )


def _joined(work: Work, cause: Cause, plan: Plan, identity: str) -> bool:
    """Whether an equal run makes this one needless: it is under way, or it did not help before."""
    for earlier in runs.equal(work.tx, cause.incident.id, identity):
        if cause.part == UNDO:
            # each hold is taken back once, however often that was done before
            if earlier.part == UNDO and not earlier.state.over:
                return True
            continue
        if earlier.epoch == cause.incident.reopened:
            return True
        if not earlier.state.over:
            # it was begun before the fault came back, and is now the answer to that
            runs.change(work.tx, earlier.id, work.now, epoch=cause.incident.reopened)
            return True
        if earlier.state is RunState.INEFFECTIVE:
            work.note(
                cause.incident.id,
                "joined",
                f"{plan.name} is not repeated: it did not help before",
                {"run": earlier.id},
            )
            return True
    return False


def _order(work: Work, cause: Cause, run: Run, number: int) -> None:
    step = run.plan.steps[run.step]
    order = AttemptOrder(f"{run.id}/{run.step}/{number}", run.id, run.incident, step, step.deadline)
    host = work.snapshot.hosts.get(step.target)
    labels = Labels(
        service=cause.incident.service,
        group=None if host is None else host.group,
        incident_type=cause.incident.type,
        rule=run.rule,
    )
    runs.order(work.tx, order, step=run.step, number=number, labels=labels, now=work.now)
    work.note(
        run.incident,
        "start",
        f"{step.action} on {step.target}",
        {"attempt": order.id, "argv": list(step.argv)},
    )


def _hold(work: Work, run: Run) -> None:
    """A containment that lasts begins to last; whatever ends it runs its undo."""
    if run.plan.hold is None or run.part == UNDO or not begun(work, run):
        return
    holds.insert(work.tx, OpenHold(run.id, run.incident, run.plan.hold, work.now, None, ""))
    if run.plan.hold_for is not None:
        timers.put(work.tx, Timer("hold", run.id, work.now + run.plan.hold_for))
    work.note(run.incident, "hold", f"{run.plan.name} stays in place: {run.plan.hold}", {"run": run.id})


def _keep_hold(work: Work, run: Run, state: RunState) -> None:
    """What was not taken back is in place: its hold is listed again; what was, no longer."""
    for hold in holds.of_incident(work.tx, run.incident):
        kept = runs.find(work.tx, hold.run)
        if kept is None or undo_of(work, kept) != run.plan:
            continue
        if state not in _NOT_TAKEN_BACK:
            holds.release(work.tx, hold.run, work.now, "it was taken back")
        elif hold.released is not None:
            holds.restore(work.tx, hold.run, f"its undo: {state}")
            work.note(run.incident, "hold", f"{kept.plan.name} stays in place: its undo {state}")


def _is_done(work: Work, run: Run) -> bool:
    """Whether the response of a run is over, so that nothing follows on what became of it."""
    response = incidents.response(work.tx, run.incident, run.rule)
    return response is not None and response.stage == incidents.DONE


def hand_over(work: Work, run: Run, why: str) -> None:
    """The automation cannot go on with this run: tell the operator why."""
    incident = incidents.find(work.tx, run.incident)
    if incident is not None:
        messages.stuck(work, incident, why)


def _note_verdict(work: Work, run: Run, verdict: Verdict) -> None:
    text = f"{run.plan.name}: {verdict.effect} ({verdict.category}): {decisive(verdict).why}"
    data = {
        "run": run.id,
        "verdict": msgspec.to_builtins(verdict),
        "steps": [_shown(step) for step in run.plan.steps],
    }
    work.note(run.incident, "decided", text, data)


def _shown(step: PlannedStep) -> str:
    where = "" if step.connector is Connector.LOCAL else f" on {step.target}"
    return f"{step.action}{where}"
