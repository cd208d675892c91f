"""Containments that last: what releases them, and the undo that follows."""

from __future__ import annotations

from holdfast.model.records import Incident, IncidentState, Run
from holdfast.model.rules import HoldKind
from holdfast.pipeline import actions, messages
from holdfast.pipeline.work import Work
from holdfast.store import holds, incidents, runs, timers


def on_clear(work: Work, incident: Incident) -> None:
    """The incident is over: release what was to last until then."""
    for hold in holds.lasting(work.tx, incident.id):
        if hold.kind != HoldKind.FOREVER:
            release(work, hold.run, "the incident cleared")


def on_answer(work: Work, incident: str, rule: str) -> None:
    """The operator answered: release what was to last until then."""
    for hold in holds.lasting(work.tx, incident):
        run = runs.find(work.tx, hold.run)
        if hold.kind == HoldKind.UNTIL_ANSWERED and run is not None and run.rule == rule:
            release(work, hold.run, "the question was answered")


def on_resume(work: Work, why: str) -> None:
    """The kill switch is off: what should have been released meanwhile is asked about."""
    for hold in holds.lasting(work.tx):
        incident = incidents.find(work.tx, hold.incident)
        if incident is None or incident.state is IncidentState.OPEN or hold.kind == HoldKind.FOREVER:
            continue
        release(work, hold.run, "the incident cleared", ask=why)


def release(work: Work, run_id: str, why: str, *, ask: str = "") -> None:
    """End a hold once and run its undo, under the same policies; under the kill switch it stays.

    With `ask` a human is asked first.
    """
    run = runs.find(work.tx, run_id)
    if run is None or work.stopped:
        return
    cause = actions.cause_of(work, run)
    if cause is None:
        _unreleased(work, run)
        return
    if not holds.release(work.tx, run_id, work.now, why):
        return
    timers.cancel(work.tx, "hold", run_id)
    work.note(run.incident, "released", f"{run.plan.name} is released: {why}", {"run": run.id})
    undo = actions.undo_of(work, run)
    if undo is not None and ask:
        actions.ask_first(work, actions.undoing(cause), undo, ask)
    elif undo is not None:
        actions.take(work, actions.undoing(cause), undo)


def _unreleased(work: Work, run: Run) -> None:
    """Without its rule nobody can decide about an undo: the hold stays listed, and a human is told."""
    incident = incidents.find(work.tx, run.incident)
    if incident is not None:
        why = f"{run.plan.name} stays in place: its rule {run.rule} was removed, so take it back by hand"
        work.note(incident.id, "hold", why, {"run": run.id})
        messages.stuck(work, incident, why)
