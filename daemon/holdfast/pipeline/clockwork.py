"""Timers that became due, the kill switch, and what a start has to put right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import msgspec

from holdfast.memory import incident as memory
from holdfast.model.events import Switch, Tick
from holdfast.model.records import IncidentState, RunState
from holdfast.model.values import DAY, HOUR, MINUTE, Millis
from holdfast.pipeline import actions, faults, holds, outcomes, questions, replies
from holdfast.pipeline.outcomes import GRACE
from holdfast.pipeline.work import STOPPED, Work
from holdfast.store import facts, incidents, journal, runs, timers
from holdfast.store.runs import AttemptState
from holdfast.store.timers import Timer

#: Events are remembered one by one for this long: a source that repeats one later is heard again.
RETAIN: Final[Millis] = 30 * DAY
#: So long after a start nothing waits for fresh evidence any more.
GRACE_OVER: Final[Millis] = GRACE + MINUTE
PRUNED_AT_ONCE: Final = 20_000


def on_tick(work: Work, tick: Tick) -> None:
    """Do what a timer was set for; one that was cancelled or moved meanwhile does nothing."""
    timer = timers.take(work.tx, tick.timer)
    if timer is None:
        return
    if timer.due > work.now:
        timers.put(work.tx, timer)
        return
    _KINDS[timer.kind](work, timer.subject)


def on_switch(work: Work, switch: Switch) -> None:
    """Stop: no new step starts. Resume: what was held back is asked, never simply started."""
    if work.stopped == switch.stopped:
        return
    facts.put(work.tx, STOPPED, "1" if switch.stopped else "0")
    for run in runs.in_states(work.tx, [RunState.RUNNING if switch.stopped else RunState.WAITING]):
        if switch.stopped:
            if runs.cancel(work.tx, run.id, work.now):
                runs.change(work.tx, run.id, work.now, state=RunState.WAITING)
                work.note(
                    run.incident, "held", f"{run.plan.name} waits: the kill switch is on", {"run": run.id}
                )
        elif not timers.is_set(work.tx, "grace", run.id):
            ask_about(work, run.id, "The kill switch is off again")
    if not switch.stopped:
        holds.on_resume(work, "The kill switch is off again")


def on_start(work: Work) -> None:
    """Set the journal's retention going, and look at what the last life left.

    Runs that had not begun rest on evidence from before this start: they wait for fresh evidence.
    """
    if not timers.is_set(work.tx, "retain", "journal"):
        timers.put(work.tx, Timer("retain", "journal", work.now + HOUR))
    _deaf(work)
    for run in runs.in_states(work.tx, [RunState.RUNNING]):
        attempts = runs.attempts_of(work.tx, run.id)
        if not attempts or attempts[-1].state is not AttemptState.READY:
            continue
        # an undo rests on what was done, not on a fault that may be gone by now
        if run.part != actions.UNDO and attempts[-1].order.step.fresh and not actions.begun(work, run):
            outcomes.hold_for_grace(work, run)


def on_fresh_evidence(work: Work, rule: str, key: str) -> None:
    """An event satisfied a rule again: runs that waited for that go on."""
    for run in runs.waiting_for(work.tx, rule, key):
        if timers.is_set(work.tx, "grace", run.id):
            timers.cancel(work.tx, "grace", run.id)
            work.note(run.incident, "resumed", f"{run.plan.name}: fresh evidence came in", {"run": run.id})
            actions.go_on(work, run)


def any_in_grace(work: Work) -> bool:
    """Whether some run waits for fresh evidence (only for a while after a start)."""
    return work.now - work.started_at <= GRACE_OVER and bool(timers.of_kind(work.tx, "grace"))


def ask_about(work: Work, run_id: str, why: str) -> None:
    """A run that was held back: ask if the fault is still there, otherwise drop it."""
    run = runs.find(work.tx, run_id)
    if run is None or run.state is not RunState.WAITING:
        return
    incident = incidents.find(work.tx, run.incident)
    cause = actions.cause_of(work, run)
    needed = run.part == actions.UNDO or (incident is not None and incident.state is IncidentState.OPEN)
    if cause is None or not needed:
        actions.end(work, run, RunState.CANCELLED, "no longer needed")
        return
    runs.change(work.tx, run.id, work.now, state=RunState.ASKING)
    questions.ask_held(work, cause, run, why)


def _deaf(work: Work) -> None:
    """Silence while nobody listened is not absence: what watches for it watches so much longer."""
    before = journal.find_before(work.tx, work.seq)
    if before is None:
        return
    for kind in ("verify", "steady", "quiet"):
        for timer in timers.of_kind(work.tx, kind):
            timers.put(work.tx, replace(timer, due=timer.due + work.now - before.received))


def _verify(work: Work, run_id: str) -> None:
    run = runs.find(work.tx, run_id)
    if run is None or run.state is not RunState.VERIFYING:
        return
    actions.end(work, run, RunState.INEFFECTIVE, "it ran, but the fault is still observed")


def _steady(work: Work, run_id: str) -> None:
    run = runs.find(work.tx, run_id)
    if run is not None and run.state is RunState.VERIFYING:
        actions.end(work, run, RunState.VERIFIED, "the fault is gone and stayed away")


def _retry(work: Work, run_id: str) -> None:
    run = runs.find(work.tx, run_id)
    if run is not None and run.state is RunState.RUNNING:
        actions.go_on(work, run)


def _close(work: Work, incident_id: str) -> None:
    incident = incidents.find(work.tx, incident_id)
    if incident is None or incident.state is not IncidentState.CLEARED:
        return
    if runs.under_way(work.tx, incident_id):
        # what is still being observed belongs to this incident
        timers.put(work.tx, Timer("close", incident_id, work.now + MINUTE))
    else:
        memory.close(work.tx, incident, work.now)
        work.note(incident_id, "closed", "closed: it stayed away")


def _quiet(work: Work, subject: str) -> None:
    incident, rule, key = msgspec.json.decode(subject, type=tuple[str, str, str])
    if any(found.id == incident for found in incidents.held_open_by(work.tx, rule, key)):
        faults.release(work, rule, key, "nothing more was seen")


def _grace(work: Work, run_id: str) -> None:
    ask_about(work, run_id, "The daemon was restarted and no fresh evidence came")


def _retain(work: Work, _subject: str) -> None:
    journal.prune(work.tx, work.now - RETAIN, PRUNED_AT_ONCE)
    timers.put(work.tx, Timer("retain", "journal", work.now + HOUR))


def _hold(work: Work, run_id: str) -> None:
    if work.stopped:
        # the hold stays, and is looked at again a minute later
        timers.put(work.tx, Timer("hold", run_id, work.now + MINUTE))
        return
    holds.release(work, run_id, "its time is over")


_KINDS: Final[Mapping[str, Callable[[Work, str], None]]] = {
    "verify": _verify,
    "steady": _steady,
    "retry": _retry,
    "gate": replies.on_expiry,
    "close": _close,
    "quiet": _quiet,
    "grace": _grace,
    "hold": _hold,
    "retain": _retain,
}
