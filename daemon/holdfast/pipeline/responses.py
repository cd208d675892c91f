"""How a rule answers an incident: contain first; then one item of `then` after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec

from holdfast.conditions import evaluate
from holdfast.correlate import Firing
from holdfast.correlate.signals import GuardFound
from holdfast.model.records import Incident, IncidentState, Run, RunState
from holdfast.model.rules import Ask, Do, GuardEffect, Rule
from holdfast.model.values import Fact, Truth
from holdfast.pipeline import actions, messages, questions
from holdfast.pipeline.scope import Scope
from holdfast.pipeline.work import Cause, Work
from holdfast.store import gates, incidents, runs
from holdfast.store.incidents import CONTAINING, DONE, Response

#: From the best to the worst outcome; `contain.outcome` is the worst of its runs.
_WORSE: Final = (
    RunState.VERIFIED,
    RunState.INEFFECTIVE,
    RunState.FAILED,
    RunState.DENIED,
    RunState.EXPIRED,
    RunState.CANCELLED,
    RunState.UNKNOWN,
)


def begin(work: Work, rule: Rule, incident: Incident, firing: Firing) -> None:
    """Contain what is new in this firing; start the response if it is not under way."""
    response = incidents.response(work.tx, incident.id, rule.name)
    if response is None or response.epoch < incident.reopened:
        response = Response(incident.id, rule.name, incident.reopened, CONTAINING, firing.event)
        incidents.put_response(work.tx, response)
    guards = tuple(
        found.name for found in firing.guards if found.truth is Truth.TRUE and found.effect is GuardEffect.ASK
    )
    unknown = tuple(found.name for found in firing.unknown_guards)
    cause = Cause(incident, rule, "contain", firing.event, work.seq, guards, unknown)
    begun = [actions.propose(work, cause, do) for do in rule.contain]
    if not any(begun):
        advance(work, incident.id, rule.name)


def advance(work: Work, incident_id: str, rule_name: str) -> None:
    """Go to the next item once everything before it is over; called whenever something ends."""
    while (response := _idle(work, incident_id, rule_name)) is not None:
        rule = work.snapshot.rules.get(rule_name)
        stage = response.stage + 1
        if rule is None or stage >= len(rule.then):
            _finish(work, response)
            return
        incidents.put_response(work.tx, replace(response, stage=stage))
        if _start(work, rule, response, rule.then[stage]):
            return


def _idle(work: Work, incident_id: str, rule_name: str) -> Response | None:
    """The response, if it is under way and nothing of it is still running, asked or held."""
    response = incidents.response(work.tx, incident_id, rule_name)
    if response is None or response.stage == DONE:
        return None
    live = runs.under_way(work.tx, incident_id)
    if _own(live, response):
        return None
    if live and response.stage == CONTAINING and any(not run.state.over for run in _shared(work, response)):
        return None
    if any(gate.rule == rule_name for gate in gates.pending(work.tx, incident_id)):
        return None
    return response


def _start(work: Work, rule: Rule, response: Response, item: Ask | Do) -> bool:
    """Start one item of `then`; False when its `if` says that it is not wanted."""
    incident = incidents.find(work.tx, response.incident)
    if incident is None:
        return False
    cause = Cause(incident, rule, "then", response.event, work.seq, _guards(work, rule, incident))
    if isinstance(item, Do):
        actions.propose(work, cause, item)
        return True
    wanted = (
        Truth.TRUE if item.condition is None else evaluate(item.condition, _state(work, response, incident))
    )
    question = Scope(work.snapshot, rule, response.event, incident).text(item.question)
    if wanted is Truth.FALSE:
        work.note(incident.id, "skipped", f"not asked, its condition is false: {question}")
        return False
    choices = actions.choices(work, cause, item.choices)
    questions.ask(work, cause, question, choices, silence=item.silence, within=item.within)
    return True


def _state(work: Work, response: Response, incident: Incident) -> Fact:
    every = runs.of_incident(work.tx, incident.id)
    own = [run for run in _own(every, response) if run.part == "contain"]
    contained = [run.state for run in own or _shared(work, response)]
    outcome = str(max(contained, key=_WORSE.index)) if contained else "none"
    return {"firing": incident.state is IncidentState.OPEN, "contain": {"outcome": outcome}}


def _shared(work: Work, response: Response) -> list[Run]:
    """Containments of other rules that this rule's own have joined."""
    incident = incidents.find(work.tx, response.incident)
    rule = work.snapshot.rules.get(response.rule)
    if incident is None or rule is None:
        return []
    cause = Cause(incident, rule, "contain", response.event, work.seq)
    wanted = [actions.planned(work, cause, do) for do in rule.contain]
    return [
        run
        for run in runs.of_incident(work.tx, incident.id)
        if run.part == "contain" and run.epoch == response.epoch and run.plan in wanted
    ]


def _guards(work: Work, rule: Rule, incident: Incident) -> tuple[str, ...]:
    """The `unless` guards that held when the rule last fired, and still do."""
    within = {guard.pattern.alias: guard.within for guard in rule.unless}
    lines = incidents.story(work.tx, incident.id, "evidence") if within else []
    found = [line.data["guards"] for line in lines if line.data.get("rule") == rule.name][-1:]
    held = msgspec.convert(found[0], list[GuardFound]) if found else []
    return tuple(
        guard.name
        for guard in held
        if guard.truth is Truth.TRUE and guard.time + within.get(guard.name, 0) >= work.now
    )


def _finish(work: Work, response: Response) -> None:
    incidents.put_response(work.tx, replace(response, stage=DONE))
    incident = incidents.find(work.tx, response.incident)
    if incident is not None and incident.state is IncidentState.OPEN:
        why = f"rule {response.rule} has nothing more to try; the fault is still there"
        work.note(incident.id, "exhausted", why)
        messages.stuck(work, incident, why)


def _own(found: Sequence[Run], response: Response) -> list[Run]:
    return [
        run
        for run in found
        if run.rule == response.rule and run.epoch == response.epoch and run.part in {"contain", "then"}
    ]
