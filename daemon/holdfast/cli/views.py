"""Lists from the store, as plain dataclasses: the text and the JSON of a command both come from them.

Times are milliseconds since the Unix epoch. Text is as the store has it; the door makes it harmless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from holdfast.cli.door import NotFound
from holdfast.errors import InputError
from holdfast.model.actions import Plan
from holdfast.model.events import Entry
from holdfast.model.kinds import EntryKind
from holdfast.model.records import Gate, Incident, IncidentState, Run, RunState
from holdfast.model.values import Json, Millis
from holdfast.store import gates, holds, incidents, journal, runs, timers
from holdfast.store.database import Tx


@dataclass(frozen=True, slots=True)
class IncidentLine:
    """One incident in a list."""

    id: str
    state: str
    severity: str
    type: str
    title: str
    service: str | None
    subject: str
    opened: Millis
    changed: Millis
    cleared: Millis | None
    reopened: int


@dataclass(frozen=True, slots=True)
class IncidentList:
    """Incidents, the newest first; `counts` is over all of them, by state."""

    incidents: tuple[IncidentLine, ...]
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class EntryLine:
    """One entry of the journal; `reason` says why it was set aside. A body that is no JSON is text."""

    seq: int
    received: Millis
    kind: str
    source: str
    id: str
    commit: str
    body: Json
    reason: str | None


@dataclass(frozen=True, slots=True)
class EntryList:
    """Entries of the journal, the oldest first."""

    entries: tuple[EntryLine, ...]


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in a list; `targets` are named in the order of its steps."""

    id: str
    incident: str
    rule: str
    part: str
    plan: str
    targets: tuple[str, ...]
    state: str
    step: int
    steps: int
    created: Millis
    changed: Millis
    approved_by: str | None


@dataclass(frozen=True, slots=True)
class RunList:
    """Runs, the newest first."""

    runs: tuple[RunLine, ...]


@dataclass(frozen=True, slots=True)
class HoldLine:
    """One containment that lasts: what released it and when, or until when it lasts if that is known."""

    run: str
    incident: str
    plan: str
    targets: tuple[str, ...]
    kind: str
    since: Millis
    until: Millis | None
    released: Millis | None
    why: str
    undo: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HoldList:
    """Containments, the oldest first."""

    holds: tuple[HoldLine, ...]


@dataclass(frozen=True, slots=True)
class ChoiceLine:
    """One answer to a question: the plan it runs (None runs nothing), and each command of it."""

    name: str
    plan: str | None
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QuestionLine:
    """One question to the operator."""

    id: str
    incident: str
    rule: str
    question: str
    choices: tuple[ChoiceLine, ...]
    silence: str
    state: str
    created: Millis
    expires: Millis
    run: str | None
    answer: str | None
    answered_by: str | None


@dataclass(frozen=True, slots=True)
class QuestionList:
    """Questions that wait for an answer, the oldest first."""

    pending: tuple[QuestionLine, ...]


def incident_list(tx: Tx, states: Sequence[IncidentState], limit: int) -> IncidentList:
    """The newest incidents in these states; of all states when none is named."""
    counts = {str(state): number for state, number in incidents.count(tx).items()}
    return IncidentList(tuple(incident_line(item) for item in incidents.listed(tx, states, limit)), counts)


def incident_line(incident: Incident) -> IncidentLine:
    """An incident as a list shows it."""
    return IncidentLine(
        id=incident.id,
        state=str(incident.state),
        severity=str(incident.severity),
        type=incident.type,
        title=incident.title,
        service=incident.service,
        subject=incident.subject,
        opened=incident.opened,
        changed=incident.changed,
        cleared=incident.cleared,
        reopened=incident.reopened,
    )


def find_incident(tx: Tx, wanted: str) -> Incident:
    """The one incident that an id, or the beginning of one, names. Raises NotFound and InputError."""
    exact = incidents.find(tx, wanted)
    if exact is not None:
        return exact
    found = incidents.beginning_with(tx, f"{wanted}-") or incidents.beginning_with(tx, wanted)
    if not wanted or not found:
        raise NotFound(f"there is no incident {wanted!r}: `holdfast incidents --all` lists them")
    if len(found) > 1:
        raise InputError(f"{wanted!r} begins {_several([item.id for item in found])}: type more of it")
    return found[0]


def find_question(tx: Tx, wanted: str) -> Gate:
    """The one question that an id of it, or of its incident, names. Raises NotFound and InputError."""
    found = _questions(tx, wanted)
    if not found and wanted.startswith("g"):
        raise NotFound(f"there is no question {wanted!r}: `holdfast approve` lists those that wait")
    if not found:
        incident = find_incident(tx, wanted)
        found = gates.pending(tx, incident.id)
        if not found:
            raise NotFound(f"no question of {incident.id} waits for an answer: see `holdfast show {wanted}`")
    if len(found) > 1:
        raise InputError(f"{wanted!r} names {_several([gate.id for gate in found])}: name one of them")
    return found[0]


def entry_list(tx: Tx, limit: int, kind: EntryKind | None, *, quarantined: bool) -> EntryList:
    """The newest entries, or the newest of those that were set aside."""
    if quarantined:
        aside = [item for item in journal.quarantined(tx, limit) if kind in {None, item.entry.kind}]
        return EntryList(tuple(_entry(item.entry, item.reason) for item in reversed(aside)))
    return EntryList(tuple(_entry(entry, None) for entry in journal.latest(tx, limit, kind)))


def run_list(tx: Tx, limit: int, states: Sequence[RunState] = (), incident: str | None = None) -> RunList:
    """The newest runs in these states, or those of one incident."""
    if incident is None:
        return RunList(tuple(run_line(run) for run in runs.latest(tx, limit, states)))
    found = [run for run in runs.of_incident(tx, incident) if not states or run.state in states]
    return RunList(tuple(run_line(run) for run in reversed(found[-limit:])))


def run_line(run: Run) -> RunLine:
    """A run as a list shows it."""
    return RunLine(
        id=run.id,
        incident=run.incident,
        rule=run.rule,
        part=run.part,
        plan=run.plan.name,
        targets=targets(run.plan),
        state=str(run.state),
        step=run.step,
        steps=len(run.plan.steps),
        created=run.created,
        changed=run.changed,
        approved_by=run.approved_by,
    )


def hold_list(tx: Tx, incident: str | None = None) -> HoldList:
    """Containments that last; of one incident, those that were released too."""
    found = holds.lasting(tx) if incident is None else holds.of_incident(tx, incident)
    return HoldList(tuple(_hold(tx, hold) for hold in found))


def question_list(tx: Tx) -> QuestionList:
    """Every question that waits for an answer."""
    return QuestionList(tuple(question_line(gate) for gate in gates.pending(tx)))


def question_line(gate: Gate) -> QuestionLine:
    """A question with everything that its answers would run."""
    return QuestionLine(
        id=gate.id,
        incident=gate.incident,
        rule=gate.rule,
        question=gate.question,
        choices=tuple(
            ChoiceLine(choice.name, choice.plan.name, commands(choice.plan))
            if choice.plan is not None
            else ChoiceLine(choice.name, None, ())
            for choice in gate.choices
        ),
        silence=gate.silence,
        state=str(gate.state),
        created=gate.created,
        expires=gate.expires,
        run=gate.run,
        answer=gate.answer,
        answered_by=gate.answered_by,
    )


def targets(plan: Plan) -> tuple[str, ...]:
    """Where a plan acts, each target once."""
    return tuple(dict.fromkeys(step.target for step in plan.steps))


def commands(plan: Plan) -> tuple[str, ...]:
    """What a plan runs: `target: command`, as one would type it."""
    from holdfast.cli.words import command

    return tuple(f"{step.target}: {command(step.argv, 600)}" for step in plan.steps)


def _questions(tx: Tx, wanted: str) -> list[Gate]:
    exact = gates.find(tx, wanted)
    if exact is not None:
        return [exact]
    if not wanted.startswith("g"):
        return []
    return gates.beginning_with(tx, f"{wanted}-") or gates.beginning_with(tx, wanted)


def _several(ids: Sequence[str]) -> str:
    return f"{len(ids)} ids ({', '.join(ids[:4])}{', …' if len(ids) > 4 else ''})"


def _entry(entry: Entry, reason: str | None) -> EntryLine:
    body: Json
    try:
        body = msgspec.json.decode(entry.body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        body = entry.body.decode(errors="replace")
    return EntryLine(
        entry.seq, entry.received, str(entry.kind), entry.source, entry.id, entry.commit, body, reason
    )


def _hold(tx: Tx, hold: holds.OpenHold) -> HoldLine:
    run = runs.find(tx, hold.run)
    timer = timers.find(tx, "hold", hold.run)
    undo = () if run is None else tuple(step for planned in run.plan.steps for step in planned.undo)
    return HoldLine(
        run=hold.run,
        incident=hold.incident,
        plan="?" if run is None else run.plan.name,
        targets=() if run is None else targets(run.plan),
        kind=hold.kind,
        since=hold.since,
        until=None if timer is None or hold.released is not None else timer.due,
        released=hold.released,
        why=hold.why,
        undo=tuple(f"{step.action} on {step.target}" for step in reversed(undo)),
    )
