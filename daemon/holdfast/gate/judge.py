"""The one function that decides what a reply does, whatever channel it came from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from holdfast.gate.basis import plan_hash
from holdfast.gate.reply import DENY, Parsed, parse
from holdfast.gate.token import verify
from holdfast.gate.wording import NAME_MAX, clean
from holdfast.model.records import AuthLevel, Choice, Gate, GateState, InboundReply
from holdfast.model.values import Millis

#: The control socket of the machine itself. Whoever may open it needs no code, so no configured
#: channel may carry this name.
LOCAL_CHANNEL: Final = "cli"
TRIES_MAX: Final = 5


class JudgementKind(StrEnum):
    """What a reply amounts to. Only ACCEPTED may run anything."""

    ACCEPTED = "accepted"  # a choice that runs something
    DENIED = "denied"  # a choice that runs nothing
    WRONG_CODE = "wrong-code"
    LOCKED = "locked"  # too many wrong codes: codes no longer count here
    EXPIRED = "expired"
    ALREADY_ANSWERED = "already-answered"
    NOT_NEEDED = "not-needed"  # the incident cleared first
    VOID = "void"  # its basis changed just now: a new card is due
    REPLACED = "replaced"  # it was void before: the new card exists already
    NOT_UNDERSTOOD = "not-understood"
    NOT_ALLOWED = "not-allowed"  # the sender is not known, or not proven well enough


@dataclass(frozen=True, slots=True)
class Judgement:
    """The answer to one reply.

    `choice` is set for ACCEPTED, DENIED and VOID (what was wanted). `count_try` asks for one more wrong
    code on the gate's record. `receipt` is one sentence for the operator; an unknown sender gets none.
    """

    kind: JudgementKind
    receipt: str
    choice: str | None = None
    count_try: bool = False


def judge(
    gate: Gate,
    reply: InboundReply,
    *,
    key: bytes,
    now: Millis,
    basis_now: str,
    tries_max: int = TRIES_MAX,
) -> Judgement:
    """Decide what this reply to this gate does; `now` is when it was journalled, not what it claims.

    A choice that runs something needs a proven operator, their code and an unchanged basis (over the
    control socket no code). A choice that runs nothing needs a known operator only.
    """
    stranger = _stranger(reply)
    if stranger is not None:
        return stranger
    closed = _closed(gate, now)
    if closed is not None:
        return closed
    parsed = parse(reply.text, [choice.name for choice in gate.choices])
    choice = None if parsed is None else _meant(gate, parsed.choice)
    if parsed is None or choice is None:
        return Judgement(JudgementKind.NOT_UNDERSTOOD, _not_understood(gate))
    if not runs_something(gate, choice):
        receipt = (
            f"Taken as {_name(choice)}: nothing runs, and the incident stays open until it is seen to clear."
        )
        return Judgement(JudgementKind.DENIED, receipt, choice.name)
    refused = _unproven(gate, reply, choice) or _code_refused(gate, reply, parsed, key, tries_max)
    if refused is not None:
        return refused
    return _bound(gate, choice, basis_now)


def runs_something(gate: Gate, choice: Choice) -> bool:
    """Say whether taking this choice lets anything run; in doubt, yes."""
    if gate.run is not None:
        return choice.plan is not None or choice.name != DENY
    return choice.plan is not None


def _stranger(reply: InboundReply) -> Judgement | None:
    if reply.operator and reply.auth is not AuthLevel.NONE:
        return None
    return Judgement(
        JudgementKind.NOT_ALLOWED,
        "Nothing was done: the sender is no operator; if it should be one, add it to holdfast.yaml.",
    )


def _closed(gate: Gate, now: Millis) -> Judgement | None:
    """The judgement for a gate that can no longer be answered; tells a late answer what happened."""
    if gate.state is GateState.ANSWERED:
        answer = clean(gate.answer or "an answer", NAME_MAX)
        who = clean(gate.answered_by or "an operator", NAME_MAX)
        receipt = f"Already answered ({answer} by {who}): this reply changed nothing."
        return Judgement(JudgementKind.ALREADY_ANSWERED, receipt)
    if gate.state is GateState.NOT_NEEDED:
        receipt = "No longer needed: the incident cleared first, and nothing ran for this question."
        return Judgement(JudgementKind.NOT_NEEDED, receipt)
    if gate.state is GateState.VOID:
        receipt = "Nothing ran: this question was replaced by a newer card, please answer that one."
        return Judgement(JudgementKind.REPLACED, receipt)
    if gate.state is GateState.EXPIRED or now >= gate.expires:
        ended = clean(gate.silence, NAME_MAX)
        receipt = f"Expired, nothing ran: the question ended with {ended} before this reply came."
        return Judgement(JudgementKind.EXPIRED, receipt)
    return None


def _meant(gate: Gate, word: str) -> Choice | None:
    """The choice that a word names; `deny` also stands for the silent choice where none has its name."""
    named = {choice.name: choice for choice in gate.choices}
    if word in named:
        return named[word]
    silent = named.get(gate.silence)
    return silent if silent is not None and not runs_something(gate, silent) else None


def _unproven(gate: Gate, reply: InboundReply, choice: Choice) -> Judgement | None:
    if reply.auth is AuthLevel.PROVEN:
        return None
    receipt = (
        f"Nothing ran: {_name(choice)} needs a proven sender, this message proves none; {_on_server(gate)}."
    )
    return Judgement(JudgementKind.NOT_ALLOWED, receipt)


def _code_refused(
    gate: Gate, reply: InboundReply, parsed: Parsed, key: bytes, tries_max: int
) -> Judgement | None:
    """The judgement on a missing or wrong code. Over the control socket there is nothing to guess, so
    no code is asked for and none is counted; a wrong one still means another card was meant."""
    local = reply.channel == LOCAL_CHANNEL
    if local and parsed.code is None:
        return None
    if gate.tries >= tries_max and not local:
        return Judgement(JudgementKind.LOCKED, f"Nothing ran: {_locked(gate)}.")
    if parsed.code is None:
        receipt = f"Nothing ran: {clean(parsed.choice, NAME_MAX)} needs the code from the card after it."
        return Judgement(JudgementKind.NOT_UNDERSTOOD, receipt)
    if verify(key, gate.id, reply.operator or "", parsed.code):
        return None
    left = tries_max - gate.tries - 1
    what_now = "please copy it from the newest card" if local or left > 0 else _locked(gate)
    receipt = f"Nothing ran: that is not your code for this question; {what_now}."
    return Judgement(JudgementKind.WRONG_CODE, receipt, count_try=not local)


def _bound(gate: Gate, choice: Choice, basis_now: str) -> Judgement:
    if not basis_now or gate.basis != basis_now:
        receipt = (
            f"Nothing ran: what {_name(choice)} was asked on has changed since; a new card is on its way."
        )
        return Judgement(JudgementKind.VOID, receipt, choice.name)
    plan = "" if choice.plan is None else f" (plan {plan_hash(choice.plan)[:8]})"
    receipt = (
        f"Accepted: {_name(choice)}{plan} starts now, if the policies still let it; the outcome follows."
    )
    return Judgement(JudgementKind.ACCEPTED, receipt, choice.name)


def _locked(gate: Gate) -> str:
    return f"after too many wrong codes none counts any more; it is not denied, {_on_server(gate)}"


def _on_server(gate: Gate) -> str:
    return f"answer on the server: holdfast answer {clean(gate.id, NAME_MAX)} CHOICE"


def _name(choice: Choice) -> str:
    return clean(choice.name, NAME_MAX)


def _not_understood(gate: Gate) -> str:
    names = ", ".join(
        f"{_name(choice)} and the code" if runs_something(gate, choice) else _name(choice)
        for choice in gate.choices
    )
    return f"Not understood, nothing was done: the first line must be exactly one of: {names or DENY}."
