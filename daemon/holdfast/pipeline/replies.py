"""The operator's word: one way in, whatever the channel, and one statement that decides."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from holdfast.gate import judge, notice, token
from holdfast.gate.basis import changed
from holdfast.gate.judge import Judgement, JudgementKind
from holdfast.gate.reply import parse
from holdfast.model.records import AuthLevel, Gate, GateState, InboundReply, IncidentState, RunState
from holdfast.pipeline import actions, holds, locks, messages, questions
from holdfast.pipeline.work import Cause, Work
from holdfast.store import gates, incidents, runs, timers
from holdfast.store.gates import Answer

TRIES_MAX: Final = 5
NOT_FOUND: Final = "No open question belongs to this reply; nothing was changed."


def on_reply(work: Work, reply: InboundReply) -> None:
    """Judge a reply, let it have its effect, and send a receipt."""
    gate = _gate_of(work, reply)
    if gate is None:
        _record(work, None, reply, kind="not-found", choice=None, receipt=NOT_FOUND)
        return
    cause = _cause(work, gate)
    incident = incidents.find(work.tx, gate.incident)
    basis = "" if cause is None else questions.basis_now(work, cause, gate.choices, gate.run).digest
    ruling = judge.judge(
        gate, reply, key=work.identity.gate_key, now=work.now, basis_now=basis, tries_max=TRIES_MAX
    )
    if ruling.count_try:
        gates.count_try(work.tx, gate.id)
    if ruling.kind is JudgementKind.VOID and cause is not None and incident is not None:
        now = questions.basis_now(work, cause, gate.choices, gate.run)
        questions.ask_again(work, cause, gate, changed(gate.basis, now))
    late = ruling.kind is JudgementKind.EXPIRED and reply.auth is AuthLevel.PROVEN
    if late and cause is not None and _still_of_use(work, gate):
        questions.ask_late(work, cause, gate)
        ruling = replace(ruling, receipt=f"{ruling.receipt} A new card is on its way.")
    if ruling.kind in {JudgementKind.ACCEPTED, JudgementKind.DENIED} and not _decide(
        work, gate, reply, ruling
    ):
        ruling = replace(
            ruling,
            kind=JudgementKind.ALREADY_ANSWERED,
            receipt="This question was decided a moment ago; nothing was changed.",
        )
    _record(work, gate, reply, kind=str(ruling.kind), choice=ruling.choice, receipt=ruling.receipt)
    if (
        incident is not None
        and reply.operator is not None
        and reply.operator in work.snapshot.operators
        and reply.channel != judge.LOCAL_CHANNEL
    ):
        receipt = notice.receipt_message(
            incident, gate, ruling, operator=reply.operator, channel=reply.channel
        )
        messages.send(work, incident, receipt, reply.operator, but=reply.channel)


def on_expiry(work: Work, gate_id: str) -> None:
    """Nobody answered: the declared silence holds, which never acts, and the operator is told."""
    gate = gates.find(work.tx, gate_id)
    if gate is None or not gates.end(work.tx, gate_id, GateState.EXPIRED, gate.silence):
        return
    work.note(gate.incident, "question", f"nobody answered: {gate.silence}", {"gate": gate.id})
    run = None if gate.run is None else runs.find(work.tx, gate.run)
    if run is not None:
        actions.end(work, run, RunState.EXPIRED, "nobody answered in time; nothing was run")
    work.settled.append((gate.incident, gate.rule))
    incident = incidents.find(work.tx, gate.incident)
    if incident is not None:
        messages.tell(work, incident, notice.expired(incident, gate), but=_first_channel(work))


def _decide(work: Work, gate: Gate, reply: InboundReply, ruling: Judgement) -> bool:
    who = reply.operator or reply.sender
    chosen = next((choice for choice in gate.choices if choice.name == ruling.choice), None)
    if chosen is None or not gates.answer(
        work.tx, gate, chosen.name, by=who, now=work.now, tries_max=TRIES_MAX
    ):
        return False
    timers.cancel(work.tx, "gate", gate.id)
    work.note(
        gate.incident,
        "answer",
        f"{who} answered {chosen.name} by {reply.channel}",
        {"gate": gate.id, "choice": chosen.name},
    )
    if questions.about_unknown(gate):
        _looked_at(work, gate)
    elif gate.run is None:
        holds.on_answer(work, gate.incident, gate.rule)
    cause = _cause(work, gate)
    run = None if gate.run is None else runs.find(work.tx, gate.run)
    if run is not None and chosen.plan is not None:
        actions.go_on(work, replace(run, approved_by=who))
    elif run is not None:
        actions.end(work, run, RunState.DENIED, f"{who} said no")
    elif chosen.plan is not None and cause is not None:
        actions.take(work, replace(cause, approved_by=who), chosen.plan)
    work.settled.append((gate.incident, gate.rule))
    return True


def _still_of_use(work: Work, gate: Gate) -> bool:
    """Whether a late answer is worth a new card: the matter is open, and nobody is asked about it now."""
    waiting = gates.pending(work.tx, gate.incident)
    if gate.state is not GateState.EXPIRED or any(other.rule == gate.rule for other in waiting):
        return False
    if questions.about_unknown(gate):
        return any(locks.holds(work, run.id) for run in runs.of_incident(work.tx, gate.incident))
    run = None if gate.run is None else runs.find(work.tx, gate.run)
    if run is not None and run.state is not RunState.EXPIRED:
        return False
    incident = incidents.find(work.tx, gate.incident)
    firing = incident is not None and incident.state is IncidentState.OPEN
    return firing or (run is not None and run.part == actions.UNDO)


def _looked_at(work: Work, gate: Gate) -> None:
    """Whoever answers a question about an unknown end has seen to the target."""
    for run in runs.of_incident(work.tx, gate.incident):
        if run.rule == gate.rule and run.state is RunState.UNKNOWN:
            locks.free(work, run.id)


def _gate_of(work: Work, reply: InboundReply) -> Gate | None:
    """The question a reply belongs to: by its reference; without one, by the code itself."""
    if reply.thread_ref:
        known = gates.find(work.tx, reply.thread_ref)
        by_tag = token.gate_of(work.identity.gate_key, reply.thread_ref)
        if known is not None and reply.auth is AuthLevel.PROVEN and reply.channel == judge.LOCAL_CHANNEL:
            return known
        return None if by_tag is None else gates.find(work.tx, by_tag)
    if reply.operator is None:
        return None
    waiting = gates.pending(work.tx)
    named = [gate for gate in waiting if _names(work, gate, reply.operator, reply.text)]
    # a reply without a reference can only mean the one open question, right or wrong
    return named[0] if named else waiting[0] if len(waiting) == 1 else None


def _names(work: Work, gate: Gate, operator: str, text: str) -> bool:
    parsed = parse(text, [choice.name for choice in gate.choices])
    if parsed is None or parsed.code is None:
        return False
    return token.verify(work.identity.gate_key, gate.id, operator, parsed.code)


def _cause(work: Work, gate: Gate) -> Cause | None:
    incident = incidents.find(work.tx, gate.incident)
    rule = work.snapshot.rules.get(gate.rule)
    response = incidents.response(work.tx, gate.incident, gate.rule)
    if incident is None or rule is None or response is None:
        return None
    run = None if gate.run is None else runs.find(work.tx, gate.run)
    part = "then" if run is None else run.part
    return Cause(incident, rule, part, response.event, work.seq if run is None else run.evidence_seq)


def _record(
    work: Work, gate: Gate | None, reply: InboundReply, *, kind: str, choice: str | None, receipt: str
) -> None:
    answer = Answer(
        seq=work.seq,
        at=work.now,
        gate=None if gate is None else gate.id,
        incident=None if gate is None else gate.incident,
        channel=reply.channel,
        operator=reply.operator,
        kind=kind,
        choice=choice,
        receipt=receipt,
    )
    gates.record(work.tx, answer)


def _first_channel(work: Work) -> str:
    for operator in work.snapshot.operators.values():
        if operator.channels:
            return operator.channels[0]
    return ""
