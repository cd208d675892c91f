"""A rule fired or became clear: what that means for the incident."""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.correlate import Cleared, Firing
from holdfast.gate.wording import clean
from holdfast.memory import incident as memory
from holdfast.memory.incident import How, Sighting
from holdfast.model.events import Close, Event
from holdfast.model.records import GateState, Incident, IncidentState, Run, RunState
from holdfast.model.rules import Mode, Quiet, Rule
from holdfast.model.values import HOUR, Json, Millis, Ref, Severity
from holdfast.pipeline import actions, holds, messages, outcomes, questions, responses
from holdfast.pipeline.scope import Scope, evidence_line
from holdfast.pipeline.work import Work
from holdfast.store import gates, incidents, runs, timers
from holdfast.store.runs import AttemptState
from holdfast.store.timers import Timer

#: Evidence beyond this is counted, not kept: an incident's size is bounded.
EVIDENCE_KEPT: Final = 50
#: Characters of who closed an incident and why; the journal has them all.
CLOSING_MAX: Final = 600


def on_firing(work: Work, firing: Firing) -> None:
    """A rule fired: open, join or reopen its incident, then let the rule respond."""
    rule, event = work.snapshot.rules[firing.rule], firing.event
    scope = Scope(work.snapshot, rule, event)
    incident, how = memory.see(work.tx, _sighting(work, rule, event, scope), work.new_id("i"), work.now)
    if how is not How.JOINED:
        work.note(
            incident.id,
            how.value,
            incident.title,
            {"rule": rule.name, "severity": str(incident.severity)},
        )
    key = firing_key(firing.key)
    count = incidents.fired(work.tx, incident.id, rule.name, key, work.now)
    if count <= EVIDENCE_KEPT:
        _note_evidence(work, incident, firing)
    if how is How.REOPENED:
        timers.cancel(work.tx, "close", incident.id)
        _recurred(work, incident)
    if isinstance(rule.clears, Quiet):
        subject = msgspec.json.encode([incident.id, rule.name, key]).decode()
        timers.put(work.tx, Timer("quiet", subject, work.now + rule.clears.after))
    if rule.mode is Mode.OBSERVE:
        if how is not How.JOINED:
            work.note(incident.id, "observed", f"rule {rule.name} is in mode observe: recorded only")
        return
    untold = how is not How.JOINED or not incidents.responses_of(work.tx, incident.id)
    responses.begin(work, rule, incident, firing)
    if untold:
        messages.opened(work, incident, rule)


def on_cleared(work: Work, cleared: Cleared) -> None:
    """A rule is clear for a key; the incident clears when every rule that fired for it is."""
    release(work, cleared.rule, firing_key(cleared.key), f"{evidence_line(cleared.event)}")


def release(work: Work, rule: str, key: str, why: str) -> None:
    """Take one firing away from the incidents that it holds open."""
    for incident in incidents.held_open_by(work.tx, rule, key):
        left = incidents.clear_firing(work.tx, incident.id, rule, key)
        work.note(incident.id, "clear", f"rule {rule} is clear: {why}", {"rule": rule, "still_firing": left})
        if left == 0:
            cleared = memory.clear(work.tx, incident, work.now)
            _incident_over(work, cleared, "cleared by observation")
            messages.cleared(work, cleared)


def unwatched(work: Work, incident: Incident, rule: str, key: str) -> None:
    """A rule was removed: nobody would ever see it clear, so it holds the incident open no longer."""
    left = incidents.clear_firing(work.tx, incident.id, rule, key)
    work.note(incident.id, "clear", f"rule {rule} was removed", {"rule": rule, "still_firing": left})
    if left:
        return
    why = f"rule {rule} was removed: nobody observes any more whether the fault is gone"
    _over_unseen(work, incident, why)
    messages.stuck(work, incident, why)


def on_close(work: Work, close: Close) -> None:
    """The operator's word ends what no rule sees clear; an incident that is over stays as it is."""
    incident = incidents.find(work.tx, close.incident)
    if incident is None or incident.state is not IncidentState.OPEN:
        return
    for rule, key, clear in incidents.holders(work.tx, incident.id):
        if not clear:
            incidents.clear_firing(work.tx, incident.id, rule, key)
    why = clean(f"{close.by} closed it" + (f": {close.reason}" if close.reason else ""), CLOSING_MAX)
    for run in runs.under_way(work.tx, incident.id):
        if run.state is RunState.RUNNING and run.part != actions.UNDO and not _in_flight(work, run):
            actions.end(work, run, RunState.CANCELLED, why)
    _over_unseen(work, incident, why)


def firing_key(values: tuple[Json, ...]) -> str:
    """The text of a rule's `per` values."""
    return msgspec.json.encode(list(values)).decode()


def _over_unseen(work: Work, incident: Incident, why: str) -> None:
    """An incident is over, and not because it was observed: no run of it was seen to help."""
    for run in runs.under_way(work.tx, incident.id):
        if run.state is RunState.VERIFYING:
            actions.end(work, run, RunState.CANCELLED, "nobody observes any more whether it helped")
    _incident_over(work, memory.clear(work.tx, incident, work.now), why, observed=False)


def _in_flight(work: Work, run: Run) -> bool:
    """Whether a command of it may be running right now: nobody can take that back."""
    return any(attempt.state is AttemptState.INTENDED for attempt in runs.attempts_of(work.tx, run.id))


def _incident_over(work: Work, incident: Incident, why: str, *, observed: bool = True) -> None:
    work.note(incident.id, "cleared", why, {"observed": observed})
    for gate in gates.pending(work.tx, incident.id):
        run = None if gate.run is None else runs.find(work.tx, gate.run)
        if questions.about_unknown(gate) or (run is not None and run.part == actions.UNDO):
            continue
        if gates.end(work.tx, gate.id, GateState.NOT_NEEDED):
            timers.cancel(work.tx, "gate", gate.id)
            work.note(incident.id, "question", "the question is no longer needed", {"gate": gate.id})
    for run in runs.under_way(work.tx, incident.id):
        if run.part == actions.UNDO:
            continue
        if run.state in {RunState.ASKING, RunState.WAITING}:
            actions.end(work, run, RunState.CANCELLED, "the incident cleared first")
        elif run.state is RunState.VERIFYING:
            outcomes.steady(work, run)
    timers.put(work.tx, Timer("close", incident.id, work.now + _reopens_within(work, incident)))
    work.settled.extend(
        (incident.id, response.rule) for response in incidents.responses_of(work.tx, incident.id)
    )
    holds.on_clear(work, incident)


def _reopens_within(work: Work, incident: Incident) -> Millis:
    """The longest span that a rule of this incident declares."""
    names = {rule for rule, _, _ in incidents.holders(work.tx, incident.id)}
    declared = [work.snapshot.rules[name].incident.reopen for name in names if name in work.snapshot.rules]
    return max(declared, default=HOUR)


def _recurred(work: Work, incident: Incident) -> None:
    """The fault came back: whatever was about to be called a success was none."""
    for run in runs.under_way(work.tx, incident.id):
        if run.state is RunState.VERIFYING:
            actions.end(work, run, RunState.INEFFECTIVE, "the fault came back while it was being observed")


def _note_evidence(work: Work, incident: Incident, firing: Firing) -> None:
    event = firing.event
    data: dict[str, Json] = {
        "rule": firing.rule,
        "event": msgspec.to_builtins(event),
        "event_seq": work.seq,
        "guards": msgspec.to_builtins(firing.guards + firing.unknown_guards),
    }
    work.note(incident.id, "evidence", evidence_line(event), data)


def _sighting(work: Work, rule: Rule, event: Event, scope: Scope) -> Sighting:
    spec = rule.incident
    source = work.snapshot.sources.get(event.source)
    ceiling = source.max_severity if source is not None else Severity.CRITICAL
    return Sighting(
        key=memory.key_of(spec.type, _key_values(spec.key, event, scope)),
        type=spec.type,
        severity=min(spec.severity, ceiling, key=lambda level: level.rank),
        title=scope.text(spec.title),
        service=event.service,
        subject=event.subject,
    )


def _key_values(key: tuple[str | Ref, ...] | None, event: Event, scope: Scope) -> tuple[Json, ...]:
    if key is None:
        return ("service", event.service) if event.service is not None else ("subject", event.subject)
    values: list[Json] = []
    for part in key:
        if isinstance(part, Ref):
            found = scope.resolve(part)
            values.append(None if not isinstance(found, str | int | float | bool | list | dict) else found)
        else:
            values.append(event.subject if part == "subject" else event.service or event.subject)
    return tuple(values)
