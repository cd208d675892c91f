"""May this step be taken? Pure: the same proposal, policies and counts give the same verdict.

The strictest voice wins (deny > human > allow), in whatever order the policies stand, and everyone who
spoke is listed with a reason. docs/reference/decisions.md is this room in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from holdfast.decide.builtin import APPROVAL, MANDATED_TOUCHES, NO_STEPS, in_force
from holdfast.decide.voices import (
    counted_over,
    effect_voice,
    envelope_voices,
    speaks,
    standing_voices,
    voices_of,
)
from holdfast.model.policies import (
    BlastRadius,
    Category,
    Effect,
    EffectPolicy,
    Limit,
    Policy,
    Proposal,
    Usage,
    Verdict,
    Voice,
)
from holdfast.model.values import Fact, Millis, Truth

__all__ = ["categorise", "decide", "decisive", "merge", "needed"]

_STRICTNESS: Final = (Category.RULES_BASED, Category.MODEL_ASSISTED, Category.HUMAN_MANDATED)


def categorise(proposal: Proposal) -> Category:
    """Return who is responsible: a human for data, schema, money, legal and whatever is irreversible;
    a model's help where there is a confidence; else the rules."""
    if proposal.irreversible or proposal.touches & MANDATED_TOUCHES:
        return Category.HUMAN_MANDATED
    return Category.RULES_BASED if proposal.confidence is None else Category.MODEL_ASSISTED


def decide(
    proposal: Proposal, policies: Sequence[Policy], usages: Mapping[str, Usage], *, stopped: bool
) -> Verdict:
    """Return the verdict on one step. `usages` holds what `needed` names, by the name of the policy;
    what is missing there asks a human.

    An approval satisfies every voice that wants a human and overrides no voice that denies.
    """
    category = categorise(proposal)
    fact = _fact(proposal, category)
    forced = in_force(policies)
    voices = [
        *standing_voices(proposal, stopped=stopped),
        *envelope_voices(forced, proposal, category),
        *voices_of(forced, proposal, fact, usages),
    ]
    effect = max((voice.effect for voice in voices), key=lambda item: item.rank, default=Effect.HUMAN)
    approver = (proposal.approved_by or "").strip()
    if approver and effect is not Effect.DENY:
        effect = Effect.ALLOW
        voices.append(Voice(APPROVAL, Effect.ALLOW, f"approved by {approver}"))
    return Verdict(effect, category, _ranked(voices), _shortest(_allowances(forced, fact)))


def needed(proposal: Proposal, policies: Sequence[Policy]) -> tuple[Limit | BlastRadius, ...]:
    """Return the limits and radii that may speak about this proposal, built-in ones included: the
    caller counts what is used up of each."""
    fact = _fact(proposal, categorise(proposal))
    return tuple(
        policy
        for policy in in_force(policies)
        if isinstance(policy, Limit | BlastRadius)
        and counted_over(policy, proposal)
        and speaks(policy, fact) is not Truth.FALSE
    )


def merge(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict on several steps together: the strictest effect and category, the shortest
    `within`, every voice once. No steps at all ask a human."""
    if not verdicts:
        nothing = Voice(NO_STEPS, Effect.HUMAN, "there is no step to decide about")
        return Verdict(Effect.HUMAN, Category.HUMAN_MANDATED, (nothing,))
    return Verdict(
        effect=max((verdict.effect for verdict in verdicts), key=lambda item: item.rank),
        category=max((verdict.category for verdict in verdicts), key=_STRICTNESS.index),
        voices=_ranked(voice for verdict in verdicts for voice in verdict.voices),
        within=_shortest(verdict.within for verdict in verdicts),
    )


def decisive(verdict: Verdict) -> Voice:
    """Return the voice that the verdict rests on: the strictest one, or the approval that satisfied it."""
    strictest = verdict.voices[0]
    if strictest.effect is verdict.effect:
        return strictest
    return next((voice for voice in verdict.voices if voice.policy == APPROVAL), strictest)


def _fact(proposal: Proposal, category: Category) -> Fact:
    return {**proposal.fact(), "category": str(category)}


def _allowances(policies: Sequence[Policy], fact: Fact) -> Iterable[Millis | None]:
    """How long a human may take, from every policy that asks for one here."""
    return (
        policy.within
        for policy in policies
        if isinstance(policy, EffectPolicy)
        and policy.effect is Effect.HUMAN
        and effect_voice(policy, fact) is not None
    )


def _shortest(allowances: Iterable[Millis | None]) -> Millis | None:
    return min((span for span in allowances if span is not None), default=None)


def _ranked(voices: Iterable[Voice]) -> tuple[Voice, ...]:
    """Every voice once, the strictest first, the same for every order of policies."""
    return tuple(sorted(set(voices), key=lambda voice: (-voice.effect.rank, voice.policy, voice.why)))
