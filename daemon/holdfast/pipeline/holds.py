"""Containments that last: what releases them, and the undo that follows."""

from __future__ import annotations

from holdfast.model.actions import Plan
from holdfast.model.records import Incident, Run
from holdfast.model.rules import HoldKind
from holdfast.pipeline import actions
from holdfast.pipeline.work import Work
from holdfast.store import holds, runs, timers


def on_clear(work: Work, incident: Incident) -> None:
    """The incident is over: release what was to last until then."""
    for hold in holds.lasting(work.tx, incident.id):
        if hold.kind in {HoldKind.UNTIL_CLEAR, HoldKind.DURATION}:
            release(work, hold.run, "the incident cleared")


def on_answer(work: Work, incident: str, rule: str) -> None:
    """The operator answered: release what was to last until then."""
    for hold in holds.lasting(work.tx, incident):
        run = runs.find(work.tx, hold.run)
        if hold.kind == HoldKind.UNTIL_ANSWERED and run is not None and run.rule == rule:
            release(work, hold.run, "the question was answered")


def release(work: Work, run_id: str, why: str) -> None:
    """End a hold once and run its undo, under the same policies; under the kill switch it stays."""
    run = runs.find(work.tx, run_id)
    if run is None or work.stopped or not holds.release(work.tx, run_id, work.now, why):
        return
    timers.cancel(work.tx, "hold", run_id)
    work.note(run.incident, "released", f"{run.plan.name} is released: {why}", {"run": run.id})
    undo = _undo(run)
    cause = actions.cause_of(work, run)
    if undo is not None and cause is not None:
        actions.take(work, actions.undoing(cause), undo)


def _undo(run: Run) -> Plan | None:
    steps = tuple(step for planned in reversed(run.plan.steps) for step in planned.undo)
    return Plan(f"undo {run.plan.name}", steps) if steps else None
