"""What the operator is told: rows of the outbox, and what to do when one does not arrive."""

from __future__ import annotations

from typing import Final

from holdfast.decide import merge
from holdfast.gate import notice
from holdfast.gate.card import Card
from holdfast.model.events import Entry
from holdfast.model.records import Delivery, DeliveryState, Incident, Message, Outcome, Run, RunState
from holdfast.model.rules import Rule
from holdfast.model.values import SECOND, Millis, Severity
from holdfast.pipeline.work import Work
from holdfast.store import outbox, runs
from holdfast.store.outbox import MessageState

TRIES: Final = 5
_RAN: Final = {
    RunState.RUNNING,
    RunState.VERIFYING,
    RunState.VERIFIED,
    RunState.INEFFECTIVE,
    RunState.FAILED,
    RunState.UNKNOWN,
}
BACKOFF: Final[Millis] = 5 * SECOND


def tell(
    work: Work, incident: Incident | None, words: Card, *, gate: str | None = None, but: str = ""
) -> None:
    """Queue one message to each operator, on the first of their channels that is not `but`."""
    told = [send(work, incident, words, operator, gate=gate, but=but) for operator in work.snapshot.operators]
    if incident is not None and not any(told):
        work.note(incident.id, "message", f"nobody to tell (no operator has a channel): {words.title}")


def send(
    work: Work,
    incident: Incident | None,
    words: Card,
    operator: str,
    *,
    gate: str | None = None,
    but: str = "",
) -> bool:
    """Queue one message to one operator; False where there is no channel to use."""
    declared = work.snapshot.operators[operator].channels
    channels = [name for name in declared if name != but] or list(declared)
    if not channels:
        return False
    message = Message(
        id=work.new_id("m"),
        incident=None if incident is None else incident.id,
        operator=operator,
        channel=channels[0],
        title=words.title,
        body=words.body,
        gate=gate,
        severity=Severity.WARNING if incident is None else incident.severity,
    )
    outbox.put(work.tx, message, work.now, work.now)
    return True


def opened(work: Work, incident: Incident, rule: Rule) -> None:
    """An incident opened or came back; says what is done about it at once."""
    about = [(run, verdict) for run, verdict in work.decided if run.incident == incident.id]
    verdict = merge([said for _, said in about]) if about else None
    plans = [run.plan for run, _ in about]
    tell(
        work,
        incident,
        notice.opened(incident, rule=rule.name, plans=plans, verdict=verdict, commit=work.snapshot.commit),
    )


def cleared(work: Work, incident: Incident) -> None:
    """An incident cleared by observation."""
    ran = [run for run in runs.of_incident(work.tx, incident.id) if run.state in _RAN]
    tell(work, incident, notice.cleared(incident, runs=ran, now=work.now))


def failed(work: Work, incident: Incident, run: Run, outcome: Outcome) -> None:
    """A command could not do what it says; the end of its output is in the message."""
    tell(work, incident, notice.failed(incident, run, outcome))


def stuck(work: Work, incident: Incident, why: str) -> None:
    """The automation cannot go on: hand over, with what it knows."""
    tell(work, incident, notice.stuck(incident, why))


def quarantined(work: Work, entry: Entry, reason: str) -> None:
    """An entry could not be handled and was set aside."""
    tell(work, None, notice.quarantined(entry, reason))


def on_delivery(work: Work, delivery: Delivery) -> None:
    """A message arrived, failed, or nobody knows: then the next channel gets it too."""
    found = outbox.find(work.tx, delivery.message)
    if found is None or found[1] is not MessageState.SENDING:
        return
    message, now, detail = found[0], work.now, delivery.detail
    if delivery.state is DeliveryState.SENT:
        outbox.settle(work.tx, message.id, MessageState.SENT, detail=detail, now=now)
    elif delivery.state is DeliveryState.FAILED and message.attempt < TRIES:
        later = now + BACKOFF * 2 ** (message.attempt - 1)
        outbox.settle(work.tx, message.id, MessageState.PENDING, detail=detail, now=now, due=later)
    else:
        outbox.settle(work.tx, message.id, MessageState(str(delivery.state)), detail=detail, now=now)
    if message.incident is not None:
        text = f"{message.title!r} to {message.operator} by {message.channel}: {delivery.state}"
        work.note(message.incident, "message", text, {"message": message.id, "detail": delivery.detail})
    if delivery.state is not DeliveryState.SENT and message.attempt == 1:
        _second_channel(work, message)


def _second_channel(work: Work, message: Message) -> None:
    operator = work.snapshot.operators.get(message.operator)
    channels = operator.channels if operator is not None else ()
    # a channel that the config no longer has: any other is better than none
    after = channels[channels.index(message.channel) + 1 :] if message.channel in channels else channels
    if after:
        again = Message(
            id=work.new_id("m"),
            incident=message.incident,
            operator=message.operator,
            channel=after[0],
            title=message.title,
            body=message.body,
            gate=message.gate,
            severity=message.severity,
        )
        outbox.put(work.tx, again, work.now, work.now)
