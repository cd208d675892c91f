from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from holdfast.decide import categorise, decide, decisive, merge, needed
from holdfast.model.actions import Risk, Touches
from holdfast.model.conditions import AllOf, AnyOf, Compare, Condition, Op
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
    Verdict,
    Voice,
)
from holdfast.model.rules import Mode
from holdfast.model.values import HOUR, MINUTE, Severity, Trust

T = TypeVar("T")

ALWAYS = AllOf(())
NEVER = AnyOf(())
UNKNOWN = Compare("no_such_field", Op.EQ, 1)

RESTART = Proposal(
    origin=Origin.RULE,
    action="restart-unit",
    target="web1",
    touches=frozenset({Touches.AVAILABILITY}),
    risk=Risk.LOW,
    idempotent=True,
    irreversible=False,
    service="shop",
    group="web",
    incident_type="service-down",
    severity=Severity.CRITICAL,
    rule="shop-down",
    mode=Mode.AUTO,
)
ENVELOPE = Envelope(
    "service-down-envelope",
    "A restart may happen by itself.",
    "service-down",
    Risk.LOW,
    frozenset({Touches.AVAILABILITY}),
)


def unused(proposal: Proposal, policies: list[Policy]) -> dict[str, Usage]:
    return {policy.name: Usage(policy.name, 0, 10) for policy in needed(proposal, policies)}


def verdict_on(proposal: Proposal, *policies: Policy, stopped: bool = False, **used: Usage) -> Verdict:
    listed = [ENVELOPE, *policies]
    counted = unused(proposal, listed) | {usage.policy: usage for usage in used.values()}
    return decide(proposal, listed, counted, stopped=stopped)


def said_by(verdict: Verdict, policy: str) -> Voice | None:
    return next((voice for voice in verdict.voices if voice.policy == policy), None)


def effect_policy(
    effect: Effect, match: Condition = ALWAYS, within: int | None = None, name: str = "p"
) -> Policy:
    return EffectPolicy(name, "Because we said so.", match, effect, within)


# -- the examples that the design names --------------------------------------------------------------


def test_a_low_risk_restart_inside_its_envelope_is_allowed():
    verdict = verdict_on(RESTART)

    assert verdict.effect is Effect.ALLOW
    assert verdict.category is Category.RULES_BASED
    assert verdict.voices == (
        Voice("service-down-envelope", Effect.ALLOW, "inside the envelope of service-down"),
    )


def test_an_incident_type_without_an_envelope_asks_a_human():
    verdict = decide(RESTART, [], unused(RESTART, []), stopped=False)

    assert verdict.effect is Effect.HUMAN
    assert said_by(verdict, "builtin-envelope") is not None


def test_the_envelope_of_another_incident_type_does_not_count():
    other = replace(ENVELOPE, incident_type="disk-full")

    verdict = decide(RESTART, [other], unused(RESTART, [other]), stopped=False)

    assert verdict.effect is Effect.HUMAN


def test_an_envelope_names_everything_that_is_outside_of_it():
    wide = replace(RESTART, risk=Risk.HIGH, touches=frozenset({Touches.ACCESS, Touches.AVAILABILITY}))

    verdict = verdict_on(wide)

    assert verdict.effect is Effect.HUMAN
    assert said_by(verdict, "service-down-envelope") == Voice(
        "service-down-envelope",
        Effect.HUMAN,
        "outside the envelope: touches access; its risk is high, low is allowed",
    )


@pytest.mark.parametrize(
    ("confidence", "effect"),
    [(0.79, Effect.HUMAN), (0.8, Effect.ALLOW), (float("nan"), Effect.HUMAN), (None, Effect.ALLOW)],
)
def test_the_confidence_of_an_envelope_is_read_for_model_assisted_steps_only(
    confidence: float | None, effect: Effect
):
    proposal = replace(RESTART, confidence=confidence)
    sure = replace(ENVELOPE, confidence=0.8)

    verdict = decide(proposal, [sure], unused(proposal, [sure]), stopped=False)

    assert verdict.effect is effect


@pytest.mark.parametrize(
    ("proposal", "category"),
    [
        (RESTART, Category.RULES_BASED),
        (replace(RESTART, confidence=0.0), Category.MODEL_ASSISTED),
        (replace(RESTART, confidence=0.99, irreversible=True), Category.HUMAN_MANDATED),
        (replace(RESTART, touches=frozenset({Touches.DATA})), Category.HUMAN_MANDATED),
        (replace(RESTART, touches=frozenset({Touches.SCHEMA})), Category.HUMAN_MANDATED),
        (replace(RESTART, touches=frozenset({Touches.MONEY})), Category.HUMAN_MANDATED),
        (replace(RESTART, touches=frozenset({Touches.LEGAL})), Category.HUMAN_MANDATED),
        (replace(RESTART, touches=frozenset({Touches.ACCESS})), Category.RULES_BASED),
    ],
)
def test_the_category_says_who_is_responsible(proposal: Proposal, category: Category):
    assert categorise(proposal) is category
    assert verdict_on(proposal).category is category


def test_deny_beats_human_beats_allow_and_everyone_is_listed_strictest_first():
    policies = [
        effect_policy(Effect.ALLOW, name="a-yes"),
        effect_policy(Effect.DENY, name="z-no"),
        effect_policy(Effect.HUMAN, name="m-ask"),
    ]

    verdict = verdict_on(RESTART, *policies)

    assert verdict.effect is Effect.DENY
    assert [voice.policy for voice in verdict.voices] == ["z-no", "m-ask", "a-yes", "service-down-envelope"]


def test_the_reason_of_an_effect_policy_is_its_doc():
    verdict = verdict_on(RESTART, effect_policy(Effect.HUMAN))

    assert said_by(verdict, "p") == Voice("p", Effect.HUMAN, "Because we said so.")


@pytest.mark.parametrize("effect", [Effect.HUMAN, Effect.DENY])
def test_a_strict_policy_whose_match_is_unknown_counts_and_says_so(effect: Effect):
    verdict = verdict_on(RESTART, effect_policy(effect, UNKNOWN))

    voice = said_by(verdict, "p")

    assert verdict.effect is effect
    assert voice is not None
    assert "cannot be decided" in voice.why


def test_an_allow_policy_whose_match_is_unknown_stays_silent():
    assert said_by(verdict_on(RESTART, effect_policy(Effect.ALLOW, UNKNOWN)), "p") is None


def test_a_policy_that_does_not_match_stays_silent():
    verdict = verdict_on(RESTART, effect_policy(Effect.DENY, NEVER), effect_policy(Effect.HUMAN, NEVER, 1))

    assert verdict.effect is Effect.ALLOW
    assert verdict.within is None
    assert said_by(verdict, "p") is None


def test_a_policy_may_match_the_category():
    models_ask = effect_policy(Effect.HUMAN, Compare("category", Op.EQ, "model-assisted"))

    assert verdict_on(RESTART, models_ask).effect is Effect.ALLOW
    assert verdict_on(replace(RESTART, confidence=1.0), models_ask).effect is Effect.HUMAN


def test_the_shortest_time_to_answer_wins_among_policies_that_ask():
    verdict = verdict_on(
        RESTART,
        effect_policy(Effect.HUMAN, within=30 * MINUTE, name="slow"),
        effect_policy(Effect.HUMAN, within=15 * MINUTE, name="quick"),
        effect_policy(Effect.HUMAN, NEVER, within=MINUTE, name="silent"),
        effect_policy(Effect.ALLOW, within=MINUTE, name="lax"),
    )

    assert verdict.within == 15 * MINUTE


# -- modes, guards, switch, approval -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "mode", "effect"),
    [
        (Origin.RULE, Mode.OBSERVE, Effect.DENY),
        (Origin.RETRY, Mode.OBSERVE, Effect.DENY),
        (Origin.UNDO, Mode.OBSERVE, Effect.HUMAN),
        (Origin.OPERATOR, Mode.OBSERVE, Effect.HUMAN),
        (Origin.RULE, Mode.SUGGEST, Effect.HUMAN),
        (Origin.RULE, Mode.AUTO, Effect.ALLOW),
    ],
)
def test_the_mode_of_the_rule_decides_how_far_it_may_go(origin: Origin, mode: Mode, effect: Effect):
    assert verdict_on(replace(RESTART, origin=origin, mode=mode)).effect is effect


def test_a_target_that_nobody_knows_about_asks_and_names_the_run():
    verdict = verdict_on(replace(RESTART, locked_by="r7-lab"))

    assert verdict.effect is Effect.HUMAN
    assert any("r7-lab" in voice.why for voice in verdict.voices if voice.policy == "builtin-target-lock")


def test_a_guard_that_holds_asks_first():
    verdict = verdict_on(replace(RESTART, guarded=("deploy", "backup")))

    assert verdict.effect is Effect.HUMAN
    assert said_by(verdict, "builtin-guard") == Voice(
        "builtin-guard", Effect.HUMAN, "`unless` holds right now: backup, deploy"
    )


@pytest.mark.parametrize(
    ("origin", "approved_by", "effect"),
    [
        (Origin.RULE, None, Effect.DENY),
        (Origin.RULE, "sven", Effect.DENY),
        (Origin.RETRY, "sven", Effect.DENY),
        (Origin.OPERATOR, None, Effect.DENY),
        (Origin.OPERATOR, "sven", Effect.DENY),
        (Origin.UNDO, None, Effect.HUMAN),
        (Origin.UNDO, "sven", Effect.ALLOW),
    ],
)
def test_under_the_kill_switch_only_an_approved_undo_runs(
    origin: Origin, approved_by: str | None, effect: Effect
):
    verdict = verdict_on(replace(RESTART, origin=origin, approved_by=approved_by), stopped=True)

    assert verdict.effect is effect
    assert said_by(verdict, "builtin-kill-switch") is not None


def test_an_approval_satisfies_every_voice_that_wants_a_human_and_keeps_them_listed():
    hard = replace(
        RESTART,
        touches=frozenset({Touches.SCHEMA}),
        irreversible=True,
        mode=Mode.SUGGEST,
        guarded=("deploy",),
        risk=Risk.CRITICAL,
        approved_by="sven",
    )

    verdict = verdict_on(hard, effect_policy(Effect.HUMAN), rate=Usage("builtin-rate", 3))

    asked = {voice.policy for voice in verdict.voices if voice.effect is Effect.HUMAN}

    assert verdict.effect is Effect.ALLOW
    assert verdict.category is Category.HUMAN_MANDATED
    assert asked == {
        "p",
        "builtin-rate",
        "builtin-mode",
        "builtin-guard",
        "builtin-human-mandated",
        "builtin-irreversible",
        "service-down-envelope",
    }
    assert said_by(verdict, "builtin-approval") == Voice("builtin-approval", Effect.ALLOW, "approved by sven")


def test_an_approved_verdict_rests_on_the_approval_and_every_other_on_its_strictest_voice():
    asking = replace(RESTART, mode=Mode.SUGGEST)
    needless = replace(RESTART, approved_by="sven")

    assert decisive(verdict_on(replace(asking, approved_by="sven"))).why == "approved by sven"
    assert decisive(verdict_on(asking)).policy == "builtin-mode"
    assert decisive(verdict_on(RESTART)).policy == "service-down-envelope"
    assert decisive(verdict_on(needless)).effect is Effect.ALLOW
    assert decisive(verdict_on(needless, effect_policy(Effect.DENY))).policy == "p"


def test_an_approval_overrides_no_deny():
    verdict = verdict_on(replace(RESTART, approved_by="sven"), effect_policy(Effect.DENY))

    assert verdict.effect is Effect.DENY
    assert said_by(verdict, "builtin-approval") is None


@pytest.mark.parametrize("nobody", ["", "  ", None])
def test_an_approval_by_nobody_is_none(nobody: str | None):
    assert verdict_on(replace(RESTART, mode=Mode.SUGGEST, approved_by=nobody)).effect is Effect.HUMAN


# -- limits and radii --------------------------------------------------------------------------------


@pytest.mark.parametrize(("used", "effect"), [(2, Effect.ALLOW), (3, Effect.HUMAN), (4, Effect.HUMAN)])
def test_the_fourth_start_within_the_hour_asks(used: int, effect: Effect):
    assert verdict_on(RESTART, rate=Usage("builtin-rate", used)).effect is effect


def test_a_used_up_limit_says_how_much_of_what():
    verdict = verdict_on(RESTART, rate=Usage("builtin-rate", 3))

    assert said_by(verdict, "builtin-rate") == Voice(
        "builtin-rate", Effect.HUMAN, "used up: 3 of 3 in 1h for the same action, target"
    )


@pytest.mark.parametrize(("used", "effect"), [(3, Effect.ALLOW), (4, Effect.HUMAN)])
def test_a_retry_takes_no_second_place_in_a_limit(used: int, effect: Effect):
    retry = replace(RESTART, origin=Origin.RETRY)

    assert verdict_on(retry, rate=Usage("builtin-rate", used)).effect is effect


@pytest.mark.parametrize(("used", "effect"), [(0, Effect.ALLOW), (1, Effect.HUMAN)])
def test_one_target_of_a_service_at_a_time(used: int, effect: Effect):
    assert verdict_on(RESTART, one=Usage("builtin-one-target", used, 4)).effect is effect


@pytest.mark.parametrize(
    ("used", "total", "effect"),
    [
        (0, 3, Effect.ALLOW),  # 20 % of 3 is none; one is always allowed
        (1, 9, Effect.HUMAN),
        (1, 10, Effect.ALLOW),
        (2, 14, Effect.HUMAN),  # rounded down
        (2, 15, Effect.ALLOW),
        (0, 0, Effect.ALLOW),
    ],
)
def test_a_fifth_of_a_group_at_a_time_but_at_least_one(used: int, total: int, effect: Effect):
    assert verdict_on(RESTART, group=Usage("builtin-blast-radius", used, total)).effect is effect


def test_a_radius_with_both_bounds_takes_the_stricter_one():
    radius = BlastRadius(
        "both", "d", ALWAYS, BlastOf.GROUP, at_once=2, percent=50, replaces="builtin-blast-radius"
    )

    assert verdict_on(RESTART, radius, used=Usage("both", 2, 100)).effect is Effect.HUMAN
    assert verdict_on(RESTART, radius, used=Usage("both", 1, 3)).effect is Effect.HUMAN
    assert verdict_on(RESTART, radius, used=Usage("both", 1, 4)).effect is Effect.ALLOW


def test_a_full_radius_names_what_is_full():
    verdict = verdict_on(RESTART, group=Usage("builtin-blast-radius", 2, 10))

    assert said_by(verdict, "builtin-blast-radius") == Voice(
        "builtin-blast-radius",
        Effect.HUMAN,
        "2 other targets of group web are being acted on, 2 at once are allowed",
    )


def test_what_nobody_counted_asks():
    for name in ("builtin-rate", "builtin-one-target", "builtin-blast-radius"):
        counted = unused(RESTART, [ENVELOPE])
        del counted[name]

        verdict = decide(RESTART, [ENVELOPE], counted, stopped=False)

        assert verdict.effect is Effect.HUMAN
        assert [voice.policy for voice in verdict.voices if voice.effect is Effect.HUMAN] == [name]


def test_a_limit_whose_match_is_unknown_counts_when_it_is_used_up():
    limit = Limit("own", "d", UNKNOWN, ("target",), max=1, within=HOUR)

    spent = said_by(verdict_on(RESTART, limit, own=Usage("own", 1)), "own")

    assert said_by(verdict_on(RESTART, limit, own=Usage("own", 0)), "own") is None
    assert spent is not None
    assert "cannot be decided" in spent.why


def test_a_replaced_limit_is_neither_counted_nor_heard():
    wide = Limit("wide", "d", ALWAYS, ("target",), max=100, within=HOUR, replaces="builtin-rate")

    verdict = verdict_on(RESTART, wide, rate=Usage("builtin-rate", 50))

    assert verdict.effect is Effect.ALLOW
    assert "builtin-rate" not in {policy.name for policy in needed(RESTART, [wide])}


def test_needed_names_the_limits_that_may_speak():
    elsewhere = Limit("elsewhere", "d", NEVER, ("target",), max=1, within=HOUR)
    doubtful = BlastRadius("doubtful", "d", UNKNOWN, BlastOf.SERVICE, at_once=1)

    names = [policy.name for policy in needed(RESTART, [ENVELOPE, elsewhere, doubtful])]

    assert names == ["builtin-rate", "builtin-one-target", "builtin-blast-radius", "doubtful"]


def test_without_a_service_or_a_group_their_radii_have_nothing_to_count():
    lone = replace(RESTART, service=None, group=None)

    assert [policy.name for policy in needed(lone, [ENVELOPE])] == ["builtin-rate"]
    assert verdict_on(lone, one=Usage("builtin-one-target", 9)).effect is Effect.ALLOW


# -- merging -----------------------------------------------------------------------------------------


def test_merging_takes_the_strictest_effect_the_shortest_time_and_every_voice_once():
    shared = Voice("shared", Effect.ALLOW, "fine")
    ask = Voice("ask", Effect.HUMAN, "please")
    verdicts = [
        Verdict(Effect.ALLOW, Category.MODEL_ASSISTED, (shared,), 30 * MINUTE),
        Verdict(Effect.HUMAN, Category.RULES_BASED, (ask, shared), 15 * MINUTE),
        Verdict(Effect.ALLOW, Category.RULES_BASED, (shared,)),
    ]

    assert merge(verdicts) == Verdict(Effect.HUMAN, Category.MODEL_ASSISTED, (ask, shared), 15 * MINUTE)


def test_a_plan_without_steps_asks():
    verdict = merge([])

    assert verdict.effect is Effect.HUMAN
    assert verdict.voices


# -- properties --------------------------------------------------------------------------------------

conditions = st.sampled_from(
    [
        ALWAYS,
        NEVER,
        UNKNOWN,
        Compare("action", Op.EQ, "restart-unit"),
        Compare("risk", Op.GTE, "medium"),
        Compare("confidence", Op.LT, 0.5),
    ]
)
touched = st.frozensets(st.sampled_from(Touches))
spans = st.none() | st.integers(1, 10 * HOUR)
effect_policies = st.builds(
    EffectPolicy,
    st.sampled_from(["e1", "e2", "e3"]),
    st.just("doc"),
    conditions,
    st.sampled_from(Effect),
    spans,
)
envelopes = st.builds(
    Envelope,
    st.sampled_from(["v1", "v2"]),
    st.just("doc"),
    st.sampled_from(["service-down", "disk-full"]),
    st.sampled_from(Risk),
    touched,
    st.none() | st.floats(0, 1),
)
limits = st.builds(
    Limit,
    st.sampled_from(["l1", "l2"]),
    st.just("doc"),
    conditions,
    st.just(("target",)),
    st.integers(0, 4),
    st.just(HOUR),
)
radii = st.builds(
    BlastRadius,
    st.sampled_from(["r1", "r2"]),
    st.just("doc"),
    conditions,
    st.sampled_from(BlastOf),
    st.none() | st.integers(1, 4),
    st.none() | st.integers(1, 100),
)
some_policies = st.lists(effect_policies | envelopes | limits | radii, max_size=6)
some_usages = st.dictionaries(
    st.sampled_from(["l1", "l2", "r1", "r2", "builtin-rate", "builtin-one-target", "builtin-blast-radius"]),
    st.builds(Usage, st.just("x"), st.integers(0, 5), st.integers(0, 20)),
)
proposals = st.builds(
    Proposal,
    origin=st.sampled_from(Origin),
    action=st.sampled_from(["restart-unit", "roll-back"]),
    target=st.just("web1"),
    touches=touched,
    risk=st.sampled_from(Risk),
    idempotent=st.booleans(),
    irreversible=st.booleans(),
    service=st.none() | st.just("shop"),
    group=st.none() | st.just("web"),
    incident_type=st.sampled_from(["service-down", "disk-full", ""]),
    severity=st.sampled_from(Severity),
    rule=st.just("shop-down"),
    mode=st.sampled_from(Mode),
    trust=st.sampled_from(Trust),
    confidence=st.none() | st.floats(0, 1),
    approved_by=st.none() | st.just("") | st.just("sven"),
    guarded=st.just(()) | st.just(("deploy",)),
)


@given(proposals, some_policies, effect_policies | envelopes | limits | radii, some_usages, st.booleans())
def test_one_more_policy_never_makes_a_verdict_laxer(
    proposal: Proposal, policies: list[Policy], extra: Policy, usages: dict[str, Usage], stopped: bool
):
    assume(not isinstance(extra, Envelope))

    before = decide(proposal, policies, usages, stopped=stopped)
    after = decide(proposal, [*policies, extra], usages, stopped=stopped)

    assert after.effect.rank >= before.effect.rank


@given(proposals, some_policies, envelopes, some_usages, st.booleans())
def test_one_more_envelope_unlocks_nothing_but_its_own_incident_type(
    proposal: Proposal, policies: list[Policy], extra: Envelope, usages: dict[str, Usage], stopped: bool
):
    before = decide(proposal, policies, usages, stopped=stopped)
    after = decide(proposal, [*policies, extra], usages, stopped=stopped)

    assert after.effect.rank >= before.effect.rank or extra.incident_type == proposal.incident_type


@given(proposals, some_policies, some_usages, st.booleans())
def test_the_voice_that_a_verdict_rests_on_wants_what_the_verdict_says(
    proposal: Proposal, policies: list[Policy], usages: dict[str, Usage], stopped: bool
):
    verdict = decide(proposal, policies, usages, stopped=stopped)

    assert decisive(verdict).effect is verdict.effect
    assert decisive(merge([verdict, verdict])) == decisive(verdict)


@given(proposals, some_policies, some_usages, st.booleans())
def test_deny_is_final(proposal: Proposal, policies: list[Policy], usages: dict[str, Usage], stopped: bool):
    denied = decide(proposal, [*policies, effect_policy(Effect.DENY)], usages, stopped=stopped)
    open_verdict = decide(replace(proposal, approved_by=None), policies, usages, stopped=stopped)
    approved = decide(replace(proposal, approved_by="sven"), policies, usages, stopped=stopped)

    assert denied.effect is Effect.DENY
    assert (approved.effect is Effect.DENY) == (open_verdict.effect is Effect.DENY)


@given(proposals, some_policies, some_usages, st.booleans())
def test_nothing_that_a_human_must_decide_is_allowed_without_one(
    proposal: Proposal, policies: list[Policy], usages: dict[str, Usage], stopped: bool
):
    grave = {Touches.DATA, Touches.SCHEMA, Touches.MONEY, Touches.LEGAL}
    assume(proposal.irreversible or proposal.touches & grave)

    verdict = decide(proposal, policies, usages, stopped=stopped)

    assert verdict.category is Category.HUMAN_MANDATED
    assert verdict.effect is not Effect.ALLOW or proposal.approved_by == "sven"


def twice(items: list[T]) -> st.SearchStrategy[tuple[list[T], list[T]]]:
    return st.tuples(st.just(items), st.permutations(items))


@given(proposals, some_policies.flatmap(twice), some_usages, st.booleans())
def test_the_order_of_policies_does_not_matter(
    proposal: Proposal, orders: tuple[list[Policy], list[Policy]], usages: dict[str, Usage], stopped: bool
):
    one, other = orders

    assert decide(proposal, one, usages, stopped=stopped) == decide(proposal, other, usages, stopped=stopped)


@given(proposals, some_policies, some_usages, st.booleans())
def test_somebody_always_speaks_and_the_strictest_stands_first(
    proposal: Proposal, policies: list[Policy], usages: dict[str, Usage], stopped: bool
):
    verdict = decide(proposal, policies, usages, stopped=stopped)

    ranks = [voice.effect.rank for voice in verdict.voices]

    assert ranks == sorted(ranks, reverse=True)
    assert len(set(verdict.voices)) == len(verdict.voices) >= 1
    assert all(voice.why for voice in verdict.voices)
    assert proposal.approved_by == "sven" or verdict.effect is verdict.voices[0].effect


@given(proposals, some_policies, some_usages)
def test_under_the_kill_switch_no_rule_no_retry_and_no_operator_starts_a_step(
    proposal: Proposal, policies: list[Policy], usages: dict[str, Usage]
):
    verdict = decide(proposal, policies, usages, stopped=True)

    if proposal.origin is Origin.UNDO:
        assert verdict.effect is not Effect.ALLOW or proposal.approved_by == "sven"
    else:
        assert verdict.effect is Effect.DENY


@given(proposals, some_policies, some_usages, st.booleans())
def test_counting_more_never_makes_a_verdict_laxer(
    proposal: Proposal, policies: list[Policy], usages: dict[str, Usage], stopped: bool
):
    more = {name: replace(usage, used=usage.used + 1) for name, usage in usages.items()}

    before = decide(proposal, policies, usages, stopped=stopped)
    after = decide(proposal, policies, more, stopped=stopped)

    assert after.effect.rank >= before.effect.rank


@given(proposals, some_policies, some_usages, st.booleans())
def test_needed_names_every_limit_that_speaks(
    proposal: Proposal, policies: list[Policy], usages: dict[str, Usage], stopped: bool
):
    named = {policy.name for policy in needed(proposal, policies)}
    countable = {"l1", "l2", "r1", "r2", "builtin-rate", "builtin-one-target", "builtin-blast-radius"}

    spoke = {voice.policy for voice in decide(proposal, policies, usages, stopped=stopped).voices}

    assert spoke & countable <= named


verdicts = st.builds(decide, proposals, some_policies, some_usages, stopped=st.booleans())


@given(st.lists(verdicts, min_size=1, max_size=4).flatmap(twice))
def test_merging_is_the_same_in_any_order_and_never_laxer_than_a_part(
    orders: tuple[list[Verdict], list[Verdict]],
):
    parts, shuffled = orders

    whole = merge(parts)

    assert merge(shuffled) == whole
    assert merge([whole, *parts]) == whole
    assert whole.effect.rank == max(part.effect.rank for part in parts)
    assert set(whole.voices) == {voice for part in parts for voice in part.voices}
