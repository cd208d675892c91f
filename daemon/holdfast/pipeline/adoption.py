"""A new config took over: what was asked, held or watched under the old one is put right.

What was asked or held and would run something else now is void and asked anew; nothing starts by
itself because of a push. What a removed rule held open is let go, in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from holdfast.model.actions import Plan
from holdfast.model.events import Event
from holdfast.model.kinds import EntryKind
from holdfast.model.records import Gate, GateState, IncidentState, Run, RunState
from holdfast.model.rules import Ask, Do, Rule
from holdfast.pipeline import actions, engine_news, faults, messages, questions
from holdfast.pipeline.work import Cause, Work
from holdfast.store import gates, incidents, journal, runs, timers

_CHANGED = "A pushed commit changed what it would run"
_MOST = 10_000


def adopt(work: Work) -> None:
    """Compare everything that waits with what the present config would do."""
    for run in runs.in_states(work.tx, [RunState.ASKING, RunState.WAITING]):
        _run(work, run)
    for gate in gates.pending(work.tx):
        if gate.run is None and not questions.about_unknown(gate):
            _question(work, gate)
    for incident in incidents.listed(work.tx, [IncidentState.OPEN], _MOST):
        holding = incidents.holders(work.tx, incident.id)
        known = {*work.snapshot.rules, engine_news.HOLDER}
        gone = [(rule, key) for rule, key, clear in holding if not clear and rule not in known]
        for rule, key in gone:
            faults.unwatched(work, incident, rule, key)
    engine_news.adopt(work)


def _run(work: Work, run: Run) -> None:
    cause = actions.cause_of(work, run)
    if cause is None:
        _void(work, run)
        actions.end(work, run, RunState.CANCELLED, f"its rule {run.rule} was removed")
        return
    if run.part == actions.UNDO or actions.begun(work, run):
        return
    cause = replace(cause, event=_event(work, run, cause), approved_by=None)
    plans = [plan for plan in _plans(work, cause, _named(cause.rule)) if plan.name == run.plan.name]
    if any(plan.steps[-len(run.plan.steps) :] == run.plan.steps for plan in plans):
        return
    _void(work, run)
    actions.end(work, run, RunState.CANCELLED, "a pushed commit changed it")
    if plans:
        actions.ask_first(work, cause, plans[0], _CHANGED)
    else:
        messages.stuck(work, cause.incident, f"{run.plan.name} is dropped: a pushed commit took it away")


def _question(work: Work, gate: Gate) -> None:
    incident = incidents.find(work.tx, gate.incident)
    rule = work.snapshot.rules.get(gate.rule)
    response = incidents.response(work.tx, gate.incident, gate.rule)
    if incident is not None and rule is not None and response is not None:
        cause = Cause(incident, rule, "then", response.event, work.seq)
        offered = [choice.plan for choice in gate.choices if choice.plan is not None]
        for item in rule.then:
            if isinstance(item, Ask) and offered == _plans(work, cause, _chosen(item)):
                return
    if not _end(work, gate):
        return
    if response is not None and 0 <= response.stage < incidents.DONE:
        incidents.put_response(work.tx, replace(response, stage=response.stage - 1))
    work.settled.append((gate.incident, gate.rule))


def _void(work: Work, run: Run) -> None:
    """End the question about a run, and whatever it waits for."""
    timers.cancel(work.tx, "grace", run.id)
    for gate in gates.pending(work.tx, run.incident):
        if gate.run == run.id:
            _end(work, gate)


def _end(work: Work, gate: Gate) -> bool:
    if not gates.end(work.tx, gate.id, GateState.VOID):
        return False
    timers.cancel(work.tx, "gate", gate.id)
    work.note(gate.incident, "question", "void: a pushed commit changed what it would run", {"gate": gate.id})
    return True


def _named(rule: Rule) -> list[Do]:
    """Everything that a rule may run."""
    then = [do for item in rule.then for do in ([item] if isinstance(item, Do) else _chosen(item))]
    return [*rule.contain, *then]


def _chosen(item: Ask) -> list[Do]:
    return [do for do in item.choices.values() if do is not None]


def _plans(work: Work, cause: Cause, wanted: Sequence[Do]) -> list[Plan]:
    plans = (actions.planned(work, cause, do) for do in wanted)
    return [plan for plan in plans if plan is not None]


def _event(work: Work, run: Run, cause: Cause) -> Event:
    """The event that a run was bound on, as long as the journal has it."""
    entry = journal.find(work.tx, run.evidence_seq)
    if entry is None or entry.kind is not EntryKind.EVENT:
        return cause.event
    return msgspec.json.decode(entry.body, type=Event)
