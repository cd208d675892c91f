"""What each policy says to one proposal: one function for one kind of policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from holdfast.conditions import evaluate
from holdfast.decide.builtin import ENVELOPE, GUARD, KILL_SWITCH, LOCK, MODE
from holdfast.model.actions import Touches
from holdfast.model.policies import (
    BlastOf,
    BlastRadius,
    Category,
    Effect,
    EffectPolicy,
    Envelope,
    Limit,
    Origin,
    Policy,
    Proposal,
    Usage,
    Voice,
)
from holdfast.model.rules import Mode
from holdfast.model.values import DAY, HOUR, MINUTE, SECOND, Fact, Millis, Truth

_UNREADABLE = "its `match` cannot be decided for this step, so it counts: "


def speaks(policy: EffectPolicy | Limit | BlastRadius, fact: Fact) -> Truth:
    """Return whether the policy is about this proposal; unknown where its `match` cannot be decided."""
    return evaluate(policy.match, fact)


def counted_over(policy: Limit | BlastRadius, proposal: Proposal) -> bool:
    """Say whether there is anything to count: a radius needs the service or the group that it is of."""
    if isinstance(policy, Limit):
        return True
    return (proposal.service if policy.of is BlastOf.SERVICE else proposal.group) is not None


def effect_voice(policy: EffectPolicy, fact: Fact) -> Voice | None:
    """Return what an effect policy says; where its match is unknown a strict one speaks and an `allow`
    does not."""
    truth = speaks(policy, fact)
    if truth is Truth.FALSE or (truth is Truth.UNKNOWN and policy.effect is Effect.ALLOW):
        return None
    return Voice(policy.name, policy.effect, f"{_doubt(truth)}{policy.doc}")


def limit_voice(policy: Limit, proposal: Proposal, fact: Fact, usage: Usage | None) -> Voice | None:
    """Return the voice of a limit that is used up, or that nobody counted; else None.

    A retry belongs to a step that was counted when it started: it takes no second place.
    """
    truth = speaks(policy, fact)
    if truth is Truth.FALSE:
        return None
    if usage is None:
        return _uncounted(policy, truth)
    room = policy.max + 1 if proposal.origin is Origin.RETRY else policy.max
    if usage.used < room:
        return None
    per = ", ".join(policy.per)
    why = f"used up: {usage.used} of {policy.max} in {span(policy.within)} for the same {per}"
    return Voice(policy.name, Effect.HUMAN, f"{_doubt(truth)}{why}")


def radius_voice(policy: BlastRadius, proposal: Proposal, fact: Fact, usage: Usage | None) -> Voice | None:
    """Return the voice of a blast radius that one more target would exceed, or that nobody counted;
    else None."""
    truth = speaks(policy, fact)
    if truth is Truth.FALSE or not counted_over(policy, proposal):
        return None
    if usage is None:
        return _uncounted(policy, truth)
    most = at_once(policy, usage.total)
    if usage.used < most:
        return None
    whose = proposal.service if policy.of is BlastOf.SERVICE else proposal.group
    why = f"{usage.used} other targets of {policy.of} {whose} are being acted on, {most} at once are allowed"
    return Voice(policy.name, Effect.HUMAN, f"{_doubt(truth)}{why}")


def at_once(policy: BlastRadius, total: int) -> int:
    """Return how many targets out of `total` may be acted on at the same time: the stricter of the two
    bounds, at least 1."""
    bounds = [policy.at_once] if policy.at_once is not None else []
    if policy.percent is not None:
        bounds.append(total * policy.percent // 100)
    return max(1, min(bounds, default=1))


def envelope_voices(policies: Sequence[Policy], proposal: Proposal, category: Category) -> list[Voice]:
    """Return what the envelopes of the incident type say: allow for what they list, human for the rest,
    and human where the type has none."""
    own = [
        policy
        for policy in policies
        if isinstance(policy, Envelope) and policy.incident_type == proposal.incident_type
    ]
    if not own:
        where = (
            f"for incident type {proposal.incident_type}" if proposal.incident_type else "without an incident"
        )
        why = f"no envelope says what may happen by itself {where}"
        return [Voice(ENVELOPE, Effect.HUMAN, why)]
    return [_envelope_voice(envelope, proposal, category) for envelope in own]


def _envelope_voice(envelope: Envelope, proposal: Proposal, category: Category) -> Voice:
    outside = [f"touches {item}" for item in Touches if item in proposal.touches - envelope.touches]
    if proposal.risk.rank > envelope.risk.rank:
        outside.append(f"its risk is {proposal.risk}, {envelope.risk} is allowed")
    if category is Category.MODEL_ASSISTED and envelope.confidence is not None:
        sure = proposal.confidence
        if sure is None or not sure >= envelope.confidence:  # a confidence that is no number is none
            outside.append(f"its confidence is {sure}, {envelope.confidence} is needed")
    if outside:
        return Voice(envelope.name, Effect.HUMAN, f"outside the envelope: {'; '.join(outside)}")
    return Voice(envelope.name, Effect.ALLOW, f"inside the envelope of {envelope.incident_type}")


def standing_voices(proposal: Proposal, *, stopped: bool) -> list[Voice]:
    """Return what the kill switch, the mode of the rule and its `unless` guards say."""
    asked_for = proposal.origin in {Origin.OPERATOR, Origin.UNDO}
    voices = [_switch_voice(proposal.origin)] if stopped else []
    if proposal.mode is Mode.OBSERVE:
        effect = Effect.HUMAN if asked_for else Effect.DENY
        voices.append(Voice(MODE, effect, f"observe only: rule {proposal.rule} is in mode observe"))
    elif proposal.mode is Mode.SUGGEST:
        voices.append(Voice(MODE, Effect.HUMAN, f"rule {proposal.rule} is in mode suggest and asks first"))
    if proposal.guarded:
        why = f"`unless` holds right now: {', '.join(sorted(proposal.guarded))}"
        voices.append(Voice(GUARD, Effect.HUMAN, why))
    if proposal.locked_by is not None:
        why = f"{proposal.target} is locked: nobody knows how run {proposal.locked_by} ended there"
        voices.append(Voice(LOCK, Effect.HUMAN, why))
    return voices


def _switch_voice(origin: Origin) -> Voice:
    if origin is Origin.UNDO:
        return Voice(KILL_SWITCH, Effect.HUMAN, "the kill switch is on: undoing needs the operator")
    return Voice(KILL_SWITCH, Effect.DENY, "the kill switch is on: no new step starts until it is released")


def _uncounted(policy: Limit | BlastRadius, truth: Truth) -> Voice:
    return Voice(policy.name, Effect.HUMAN, f"{_doubt(truth)}nobody counted how much of it is used up")


def _doubt(truth: Truth) -> str:
    return _UNREADABLE if truth is Truth.UNKNOWN else ""


def span(millis: Millis) -> str:
    """Return a span in its largest whole unit: `1h`, `90s`."""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")):
        if millis >= unit and millis % unit == 0:
            return f"{millis // unit}{name}"
    return f"{millis}ms"


def voices_of(
    policies: Sequence[Policy], proposal: Proposal, fact: Fact, usages: Mapping[str, Usage]
) -> list[Voice]:
    """Return what every effect policy, limit and blast radius says, without those that stay silent."""
    said: list[Voice | None] = []
    for policy in policies:
        match policy:
            case EffectPolicy():
                said.append(effect_voice(policy, fact))
            case Limit():
                said.append(limit_voice(policy, proposal, fact, usages.get(policy.name)))
            case BlastRadius():
                said.append(radius_voice(policy, proposal, fact, usages.get(policy.name)))
            case Envelope():
                pass  # spoken for by `envelope_voices`, which also hears that there is none
    return [voice for voice in said if voice is not None]
