from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from holdfast.correlate import Cleared, Correlator, Firing, GuardFound
from holdfast.model.conditions import AllOf, AnyOf, Compare, Op
from holdfast.model.rules import Guard, GuardEffect, Mode, Rule
from holdfast.model.values import DAY, MINUTE, SECOND, Ref, Truth

MakeRule = Callable[..., Rule]
MakeGuard = Callable[..., Guard]
MakeWorld = Callable[..., Any]

SAME_SERVICE = (("service", Ref("probe", ("service",))),)

# -- plain patterns ----------------------------------------------------------------------------------


def test_a_plain_pattern_fires_on_each_true_event_and_on_no_other(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule())

    assert [shop.fires(ok=False), shop.fires(ok=False), shop.fires(ok=True), shop.fires()] == [
        True,
        True,
        False,
        False,
    ]
    assert not shop.fires("something.else", ok=False)


def test_a_firing_names_its_rule_its_key_and_its_event(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(per=("service", "data.mount")))
    signals = shop.see(ok=False, mount="/var", id="e-7")
    [firing] = signals.firings

    assert (firing.rule, firing.key, firing.event.id) == ("shop-down", ("shop", "/var"), "e-7")
    assert (firing.guards, firing.unknown_guards) == ((), ())
    assert (signals.cleared, signals.silenced) == ((), ())


def test_rules_answer_in_the_order_of_their_names(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule("b"), rule("c"), rule("a"))

    assert [firing.rule for firing in shop.see(ok=False).firings] == ["a", "b", "c"]


# -- keys --------------------------------------------------------------------------------------------


def test_a_null_service_is_told_apart_by_the_subject_and_is_no_service_of_that_name(
    rule: MakeRule, world: MakeWorld
) -> None:
    shop = world(rule(when={"streak": 2}))

    shop.see(ok=False, service=None, subject="web1")
    shop.see(ok=False, service=None, subject="web2")
    shop.see(ok=False, service="web1", subject="web1")
    [firing] = shop.see(ok=False, service=None, subject="web1").firings
    assert firing.key == (None, "web1")
    [firing] = shop.see(ok=False, service="web1", subject="anything").firings
    assert firing.key == ("web1",)


def test_a_null_beside_a_value_is_a_value_of_its_own(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(per=("service", "host")))

    assert [f.key for f in shop.see(ok=False, service=None, host="web1").firings] == [(None, "web1")]
    assert [f.key for f in shop.see(ok=False, service=None, host=None, subject="x").firings] == [
        (None, None, "x")
    ]


def test_without_per_everything_counts_together(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(when={"streak": 2}, per=()))

    assert not shop.fires(ok=False, service="a")
    assert shop.see(ok=False, service="b").firings[0].key == ()


# -- streak ------------------------------------------------------------------------------------------


def test_a_streak_fires_once_on_its_nth_event_and_again_only_after_a_false_one(
    rule: MakeRule, world: MakeWorld
) -> None:
    shop = world(rule(when={"streak": 3}))
    answers = [shop.fires(ok=ok) for ok in (False, False, False, False, False, True, False, False, False)]

    assert answers == [False, False, True, False, False, False, False, False, True]


def test_a_false_event_breaks_a_streak_and_an_unknown_one_leaves_it(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(when={"streak": 3}))
    answers = [
        shop.fires(**data)
        for data in ({"ok": False}, {"ok": False}, {"ok": True}, {"ok": False}, {}, {"ok": False}, {})
    ]

    assert answers == [False] * 7
    assert shop.fires(ok=False)


def test_an_unknown_event_does_not_rearm_a_streak_that_fired(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(when={"streak": 1}))

    assert [shop.fires(ok=False), shop.fires(), shop.fires(ok=False)] == [True, False, False]


def test_a_streak_comes_from_one_source(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(when={"streak": 2}))

    assert not shop.fires(ok=False, source="a")
    assert not shop.fires(ok=False, source="b")
    assert not shop.fires(ok=True, source="b")
    assert shop.fires(ok=False, source="a")


def test_each_key_has_a_streak_of_its_own(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(when={"streak": 2}))

    assert not shop.fires(ok=False, service="a")
    assert not shop.fires(ok=True, service="b")
    assert shop.fires(ok=False, service="a")


def test_events_of_other_types_do_not_touch_a_streak(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(when={"streak": 2}))

    assert [shop.fires(ok=False), shop.fires("other", ok=True), shop.fires(ok=False)] == [False, False, True]


def test_a_streak_follows_the_journal_and_not_the_clock_of_the_source(
    rule: MakeRule, world: MakeWorld
) -> None:
    shop = world(rule(when={"streak": 2}))

    assert [shop.fires(ok=False, at=90), shop.fires(ok=True, at=10), shop.fires(ok=False, at=50)] == [
        False
    ] * 3


# -- count within ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "fires"),
    [
        ((0, 10, 60), True),  # the span counts from the first to the last, both included
        ((0, 10, 61), False),
        ((0, 0, 0), True),
        ((60, 0, 30), True),  # late, and still within
        ((100, 0, 60), False),
        ((70, 0, 60), False),
        ((0, 100, 50, 60), True),  # the late one completes 50, 60, 100
        ((0, 61, 122, 183), False),
    ],
)
def test_a_count_fires_when_so_many_source_times_lie_within_the_span(
    rule: MakeRule, world: MakeWorld, times: tuple[int, ...], fires: bool
) -> None:
    shop = world(rule(when={"count": 3, "within": 60 * SECOND}))
    answers = [shop.fires(ok=False, at=at) for at in times]

    assert answers == [*[False] * (len(times) - 1), fires]


def test_a_count_starts_from_zero_after_firing(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(when={"count": 3, "within": 60 * SECOND}))

    assert [shop.fires(ok=False, at=at) for at in range(7)] == [
        False, False, True, False, False, True, False
    ]  # fmt: skip


def test_false_and_unknown_events_neither_count_nor_reset(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(when={"count": 2, "within": 60 * SECOND}))

    assert [shop.fires(**data) for data in ({"ok": False}, {"ok": True}, {}, {"ok": False})] == [
        False, False, False, True
    ]  # fmt: skip


def test_a_count_takes_every_source_together_and_every_key_apart(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(when={"count": 2, "within": 60 * SECOND}))

    assert not shop.fires(ok=False, source="a", service="x")
    assert not shop.fires(ok=False, source="a", service="y")
    assert shop.fires(ok=False, source="b", service="x")


def test_an_event_that_is_later_than_the_allowance_does_not_count(rule: MakeRule, world: MakeWorld) -> None:
    for late, fires in ((0, True), (1, False)):
        shop = world(rule(when={"count": 2, "within": 5 * SECOND}), lateness=20 * SECOND)
        shop.see(ok=False, at=-5 - late)  # received at 10
        # received at 20: what happened before 20 - 5 - 20 seconds is forgotten
        assert shop.fires(ok=False, at=-5 - late) is fires


def test_a_count_beyond_what_a_window_remembers_is_still_reached(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(when={"count": 1_200, "within": 60 * SECOND}), lateness=DAY)
    answers = [shop.fires(ok=False, at=0) for _ in range(1_200)]

    assert answers.index(True) == 1_199


def test_a_window_remembers_a_thousand_events_and_counts_what_it_drops(
    rule: MakeRule, guard: MakeGuard, world: MakeWorld
) -> None:
    quiet = guard(effect=GuardEffect.SILENCE, within=1_000 * MINUTE)
    shop = world(rule(when={"count": 2, "within": 60 * SECOND}, unless=(quiet,)), lateness=DAY)
    shop.see("deploy.started")
    silenced = [len(shop.see(ok=False, at=at // 10).silenced) for at in range(1_005)]

    assert silenced == [0, *[1] * 1_004]
    assert shop.correlator.evicted == 5


# -- distinct ----------------------------------------------------------------------------------------


def test_distinct_counts_different_values_and_not_events(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(when={"count": 3, "within": 60 * SECOND, "distinct": "data.user"}))
    users = ["ann", "bob", "ann", "ann", "eve", "ann"]

    assert [shop.fires(ok=False, user=user, at=at) for at, user in enumerate(users)] == [
        False, False, False, False, True, False
    ]  # fmt: skip


def test_distinct_is_strict_about_types_and_counts_null_but_nothing_else_that_is_no_scalar(
    rule: MakeRule, world: MakeWorld
) -> None:
    shop = world(rule(when={"count": 4, "within": 60 * SECOND, "distinct": "data.user"}))
    users: list[Any] = [1, 1.0, "1", True, [1], {"a": 1}]

    assert not any(shop.fires(ok=False, user=user, at=0) for user in users)
    assert not shop.fires(ok=False, at=0)
    assert shop.fires(ok=False, user=None, at=0)


def test_the_newest_time_of_a_value_is_the_one_that_counts(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(when={"count": 2, "within": 10 * SECOND, "distinct": "data.user"}))

    assert not shop.fires(ok=False, user="ann", at=0)
    assert not shop.fires(ok=False, user="bob", at=11)
    assert not shop.fires(ok=False, user="bob", at=5)  # bob was last seen at 11
    assert shop.fires(ok=False, user="ann", at=21)


# -- clears ------------------------------------------------------------------------------------------


def test_a_clears_pattern_uses_the_same_primitives_for_the_same_key(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(clears={"streak": 2}))
    shop.see(ok=False)

    assert not shop.see(ok=True).cleared
    assert not shop.see(ok=True, service="other").cleared
    [cleared] = shop.see(ok=True).cleared
    assert (cleared.rule, cleared.key, cleared.event.service) == ("shop-down", ("shop",), "shop")
    assert not shop.see(ok=True).cleared


def test_only_what_is_seen_after_a_firing_clears_it(rule: MakeRule, world: MakeWorld) -> None:
    log = rule(when={"event": "log.error", "where": AllOf(())}, clears={"streak": 2})
    shop = world(log)

    assert [bool(shop.see(ok=True).cleared) for _ in range(4)] == [False, True, False, False]
    assert shop.fires("log.error")
    assert [bool(shop.see(ok=True).cleared) for _ in range(3)] == [False, True, False]
    assert not shop.see(ok=False).cleared
    shop.see(ok=True)
    assert shop.fires("log.error")
    assert [bool(shop.see(ok=True).cleared) for _ in range(2)] == [False, True]


def test_a_firing_of_one_key_leaves_the_clears_of_another(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(clears={"streak": 2}))
    shop.see(ok=True, service="a")
    shop.see(ok=False, service="b")

    assert shop.see(ok=True, service="a").cleared


def test_an_event_that_fires_does_not_clear_as_well(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(clears={"where": AllOf(())}))
    signals = shop.see(ok=False)

    assert (len(signals.firings), signals.cleared) == (1, ())
    assert shop.see(ok=True).cleared


def test_a_quiet_clears_is_left_to_the_timer(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule())
    shop.see(ok=False)

    assert shop.see(ok=True).cleared == ()


def test_a_clears_may_count_and_starts_from_zero_each_time(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(clears={"count": 2, "within": 60 * SECOND}))

    assert [bool(shop.see(ok=True).cleared) for _ in range(4)] == [False, True, False, True]


# -- unless ------------------------------------------------------------------------------------------


def test_a_guard_that_holds_is_reported_with_the_event_that_did_it(
    rule: MakeRule, guard: MakeGuard, world: MakeWorld
) -> None:
    shop = world(rule(unless=(guard(join=SAME_SERVICE),)))
    shop.see("deploy.started", id="d-1", source="ci", at=0)
    [firing] = shop.see(ok=False, at=600).firings

    assert firing.guards == (GuardFound("deploy", GuardEffect.ASK, Truth.TRUE, "ci", "d-1", 1_000_000),)
    assert firing.unknown_guards == ()


def test_a_guard_looks_back_just_so_far(rule: MakeRule, guard: MakeGuard, world: MakeWorld) -> None:
    shop = world(rule(unless=(guard(),)))
    shop.see("deploy.started", at=0)

    assert shop.see(ok=False, at=600).firings[0].guards
    assert not shop.see(ok=False, at=601).firings[0].guards


def test_a_guard_from_a_clock_that_is_ahead_holds(rule: MakeRule, guard: MakeGuard, world: MakeWorld) -> None:
    shop = world(rule(unless=(guard(),)))
    shop.see("deploy.started", at=30)

    assert shop.see(ok=False, at=0).firings[0].guards


def test_what_comes_after_the_firing_is_no_guard(rule: MakeRule, guard: MakeGuard, world: MakeWorld) -> None:
    shop = world(rule(unless=(guard(),)))

    assert not shop.see(ok=False).firings[0].guards
    shop.see("deploy.started")
    assert shop.see(ok=False).firings[0].guards


def test_an_older_event_of_a_guard_does_not_replace_a_newer_one(
    rule: MakeRule, guard: MakeGuard, world: MakeWorld
) -> None:
    shop = world(rule(unless=(guard(),)))
    shop.see("deploy.started", at=500)
    shop.see("deploy.started", at=0)

    assert shop.see(ok=False, at=1_000).firings[0].guards


def test_a_joined_guard_holds_for_its_own_value_only(
    rule: MakeRule, guard: MakeGuard, world: MakeWorld
) -> None:
    shop = world(rule(unless=(guard(join=SAME_SERVICE),)))
    shop.see("deploy.started", service="bank")

    assert not shop.see(ok=False, service="shop").firings[0].guards
    assert shop.see(ok=False, service="bank").firings[0].guards


@pytest.mark.parametrize(
    ("values", "holds"),
    [
        ((5, 5), True),
        ((5, 5.0), True),
        ((5, "5"), False),
        ((1, True), False),
        ((None, None), True),
        (("a", "A"), False),
    ],
)
def test_a_join_is_strict_about_types(
    rule: MakeRule, guard: MakeGuard, world: MakeWorld, values: tuple[Any, Any], holds: bool
) -> None:
    theirs, ours = values
    join = (("data.shard", Ref("probe", ("data", "shard"))),)
    shop = world(rule(unless=(guard(join=join),)))
    shop.see("deploy.started", shard=theirs)

    assert bool(shop.see(ok=False, shard=ours).firings[0].guards) is holds


def test_a_join_written_inside_where_is_the_same_as_one_beside_it(
    rule: MakeRule, guard: MakeGuard, world: MakeWorld
) -> None:
    inside = AllOf((Compare("data.ok", Op.EQ, True), Compare("service", Op.SAME, SAME_SERVICE[0][1])))
    shop = world(rule(unless=(guard(where=inside),)))
    shop.see("deploy.started", service="bank", ok=True)
    shop.see("deploy.started", service="shop", ok=False)

    assert not shop.see(ok=False, service="shop").firings[0].guards
    assert shop.see(ok=False, service="bank").firings[0].guards


def test_an_unknown_guard_counts_as_not_holding_and_is_said(
    rule: MakeRule, guard: MakeGuard, world: MakeWorld
) -> None:
    unsure = guard(where=Compare("data.state", Op.EQ, "started"), effect=GuardEffect.SILENCE)
    shop = world(rule(unless=(unsure,)))
    shop.see("deploy.started", at=0)
    [firing] = shop.see(ok=False, at=600).firings

    assert firing.guards == ()
    assert [(found.name, found.truth) for found in firing.unknown_guards] == [("deploy", Truth.UNKNOWN)]
    assert shop.see(ok=False, at=601).firings[0].unknown_guards == ()


def test_a_guard_that_certainly_holds_is_not_unknown_as_well(
    rule: MakeRule, guard: MakeGuard, world: MakeWorld
) -> None:
    shop = world(rule(unless=(guard(where=Compare("data.state", Op.EQ, "started")),)))
    shop.see("deploy.started", state="started")
    shop.see("deploy.started")
    [firing] = shop.see(ok=False).firings

    assert [found.truth for found in firing.guards] == [Truth.TRUE]
    assert firing.unknown_guards == ()


def test_a_guard_event_that_nobody_can_join_is_unknown_to_every_firing(
    rule: MakeRule, guard: MakeGuard, world: MakeWorld
) -> None:
    shop = world(rule(unless=(guard(join=(("data.name", Ref("probe", ("service",))),)),)))
    shop.see("deploy.started")

    assert [found.truth for found in shop.see(ok=False).firings[0].unknown_guards] == [Truth.UNKNOWN]


def test_a_firing_that_nobody_can_join_is_unknown_to_any_guard_event(
    rule: MakeRule, guard: MakeGuard, world: MakeWorld
) -> None:
    shop = world(rule(unless=(guard(join=(("service", Ref("probe", ("data", "name"))),)),)))

    assert shop.see(ok=False).firings[0].unknown_guards == ()
    shop.see("deploy.started", service="bank")
    [firing] = shop.see(ok=False).firings
    assert (firing.guards, len(firing.unknown_guards)) == ((), 1)


def test_a_reference_to_another_alias_than_the_firing_one_is_unknown(
    rule: MakeRule, guard: MakeGuard, world: MakeWorld
) -> None:
    shop = world(rule(unless=(guard(join=(("service", Ref("service", ("name",))),)),)))
    shop.see("deploy.started")

    assert len(shop.see(ok=False).firings[0].unknown_guards) == 1


def test_a_false_event_of_a_guard_does_not_end_it(rule: MakeRule, guard: MakeGuard, world: MakeWorld) -> None:
    shop = world(rule(unless=(guard(where=Compare("data.on", Op.EQ, True)),)))
    shop.see("deploy.started", on=True)
    shop.see("deploy.started", on=False)

    assert shop.see(ok=False).firings[0].guards


def test_an_event_can_be_its_own_guard(rule: MakeRule, guard: MakeGuard, world: MakeWorld) -> None:
    drill = guard("drill", where=Compare("data.drill", Op.EQ, True), effect=GuardEffect.SILENCE)
    on_probe = replace(drill, pattern=replace(drill.pattern, event="http.probe"))
    shop = world(rule(unless=(replace(on_probe, within=SECOND),)))

    assert not shop.see(ok=False, drill=True).firings
    assert shop.see(ok=False, drill=False).firings


@pytest.mark.parametrize("primitive", [{"streak": 2}, {"count": 2, "span": MINUTE}])
def test_a_guard_may_need_several_events(
    rule: MakeRule, guard: MakeGuard, world: MakeWorld, primitive: dict[str, int]
) -> None:
    shop = world(rule(unless=(guard(join=SAME_SERVICE, **primitive),)))
    shop.see("deploy.started")
    shop.see("deploy.started", service="bank")

    assert not shop.see(ok=False).firings[0].guards
    shop.see("deploy.started")
    assert shop.see(ok=False).firings[0].guards
    assert not shop.see(ok=False, service="bank").firings[0].guards


# -- silence -----------------------------------------------------------------------------------------


def test_a_silencing_guard_suppresses_the_firing_and_says_so(
    rule: MakeRule, guard: MakeGuard, world: MakeWorld
) -> None:
    shop = world(rule(unless=(guard(effect=GuardEffect.SILENCE),), clears={"where": AllOf(())}))
    shop.see("deploy.started")
    signals = shop.see(ok=False)

    assert signals.firings == ()
    assert [(f.rule, f.key, f.guards[0].effect) for f in signals.silenced] == [
        ("shop-down", ("shop",), GuardEffect.SILENCE)
    ]
    assert isinstance(signals.silenced[0], Firing)
    assert [type(cleared) for cleared in signals.cleared] == [Cleared]


@pytest.mark.parametrize("primitive", [{"streak": 2}, {"count": 2, "within": 60 * MINUTE}])
def test_a_fault_that_outlives_the_silence_fires_then(
    rule: MakeRule, guard: MakeGuard, world: MakeWorld, primitive: dict[str, int]
) -> None:
    shop = world(rule(when=primitive, unless=(guard(effect=GuardEffect.SILENCE),)))
    shop.see("deploy.started", at=0)
    during = [shop.see(ok=False, at=at) for at in (100, 200, 300)]

    assert [(len(signals.firings), len(signals.silenced)) for signals in during] == [(0, 0), (0, 1), (0, 1)]
    assert shop.fires(ok=False, at=601)
    assert not shop.fires(ok=False, at=602)


def test_a_silenced_firing_leaves_the_clears_alone(
    rule: MakeRule, guard: MakeGuard, world: MakeWorld
) -> None:
    shop = world(rule(clears={"streak": 2}, unless=(guard(effect=GuardEffect.SILENCE),)))
    for ok in (False, True):
        shop.see(ok=ok)
    shop.see("deploy.started")
    shop.see(ok=False)

    assert [bool(shop.see(ok=True).cleared) for _ in range(2)] == [False, True]


# -- what is kept ------------------------------------------------------------------------------------


def saved(*correlators: Correlator) -> dict[tuple[str, str], bytes]:
    store: dict[tuple[str, str], bytes] = {}
    for correlator in correlators:
        for place, state in correlator.changed().items():
            if state is None:
                store.pop(place, None)
            else:
                store[place] = state
    return store


def test_healthy_events_leave_nothing_behind(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(when={"streak": 3}))
    for _ in range(5):
        shop.see(ok=True)

    assert shop.correlator.changed() == {}


def test_a_state_that_does_not_change_is_written_once_a_minute_at_most(
    rule: MakeRule, world: MakeWorld
) -> None:
    shop = world(rule(when={"streak": 2}))
    writes = []
    for _ in range(14):
        shop.see(ok=False)
        writes.append(len(shop.correlator.changed()))

    assert writes == [1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1]


def test_a_broken_streak_is_removed_from_the_store(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(when={"streak": 3}))
    shop.see(ok=False)
    [(place, state)] = shop.correlator.changed().items()
    shop.see(ok=True)

    assert state is not None
    assert shop.correlator.changed() == {place: None}
    assert shop.correlator.changed() == {}


def test_editing_words_keeps_the_state_and_editing_when_rearms(rule: MakeRule, world: MakeWorld) -> None:
    first = rule(
        when={"streak": 3, "where": AllOf((Compare("data.ok", Op.EQ, False), Compare("host", Op.NE, "x")))}
    )
    shop = world(first)
    for _ in range(2):
        shop.see(ok=False, host="web1")
    store = saved(shop.correlator)
    turned = AllOf(tuple(reversed(first.when.where.items)))  # type: ignore[union-attr]
    reworded = replace(
        first,
        doc="other",
        mode=Mode.SUGGEST,
        where="other.yaml:9",
        when=replace(first.when, alias="p", where=turned),
    )
    either = replace(first, when=replace(first.when, where=AnyOf(turned.items)))
    longer = replace(first, when=replace(first.when, streak=4))
    renamed = replace(first, name="other")
    wider = replace(first, per=("host",))

    assert Correlator([reworded], store).changed() == {}
    for changed in (either, longer, renamed, wider):
        assert Correlator([changed], store).changed() == dict.fromkeys(store)
    kept = world(reworded, states=store)
    assert kept.fires(ok=False, host="web1")


def test_editing_clears_or_a_guard_keeps_the_streak(
    rule: MakeRule, guard: MakeGuard, world: MakeWorld
) -> None:
    shop = world(rule(when={"streak": 2}))
    shop.see(ok=False)
    store = saved(shop.correlator)
    guarded = world(rule(when={"streak": 2}, clears={"streak": 9}, unless=(guard(),)), states=store)

    assert guarded.fires(ok=False)


def test_two_rules_with_the_same_patterns_do_not_share_their_states(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule("a", when={"streak": 2}), rule("b", when={"streak": 2}))
    shop.see(ok=False)

    assert [firing.rule for firing in shop.see(ok=False).firings] == ["a", "b"]


@pytest.mark.parametrize("state", [b"", b"\xff", b"\x00", b"\x93\x01\x02\x03", b'{"a":1}'])
def test_a_state_that_cannot_be_read_is_given_up_and_counted(
    rule: MakeRule, world: MakeWorld, state: bytes
) -> None:
    shop = world(rule(when={"streak": 2}))
    shop.see(ok=False)
    [place] = shop.correlator.changed()
    again = world(rule(when={"streak": 2}), states={place: state})

    assert again.correlator.evicted == 1
    assert again.correlator.changed() == {place: None}
    assert [again.fires(ok=False), again.fires(ok=False)] == [False, True]


# -- bounds ------------------------------------------------------------------------------------------


def test_beyond_the_bound_the_key_that_moved_longest_ago_goes_and_is_counted(
    rule: MakeRule, world: MakeWorld
) -> None:
    shop = world(rule(when={"streak": 2}), max_keys=3)
    for service in ("a", "b", "c"):
        shop.see(ok=False, service=service)
    store = saved(shop.correlator)
    shop.see(ok=False, service="a", source="other")  # a moves again: b is the oldest now
    shop.see(ok=False, service="d")

    assert shop.correlator.evicted == 1
    assert [key for (_, key), state in shop.correlator.changed().items() if state is None] == ['["b"]']
    assert len(store) == 3
    assert shop.fires(ok=False, service="a")
    assert not shop.fires(ok=False, service="b")


def test_a_hundred_thousand_hostile_keys_stay_within_the_bound(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(when={"streak": 2}, per=("data.key",)), max_keys=100)
    findings = {"shop-down/probe": Truth.TRUE}
    for number in range(20_000):
        shop.correlator.advance(shop.event(ok=False, key=f"k{number}"), findings)
    store = saved(shop.correlator)

    assert len(store) == 100
    assert shop.correlator.evicted == 19_900
    assert max(int(key[3:-2]) for _, key in store) == 19_999


def test_what_concerns_every_firing_is_the_last_that_a_guard_forgets(
    rule: MakeRule, guard: MakeGuard, world: MakeWorld
) -> None:
    shop = world(rule(unless=(guard(join=(("data.name", Ref("probe", ("service",))),)),)), max_keys=2)
    events = [shop.event("deploy.started"), *(shop.event("deploy.started", name=f"n{n}") for n in range(5))]
    for event in events:
        shop.correlator.advance(
            msgspec.structs.replace(event, received=shop.now), {"shop-down/deploy": Truth.TRUE}
        )
    [firing] = shop.see(ok=False).firings

    assert [found.event for found in firing.unknown_guards] == [events[0].id]
    assert shop.correlator.evicted == 4


def test_a_key_as_long_as_a_book_is_kept_short(rule: MakeRule, world: MakeWorld) -> None:
    shop = world(rule(when={"streak": 2}, per=("data.key",)))
    first, second = "x" * 1_000_000 + "1", "x" * 1_000_000 + "2"

    assert not shop.fires(ok=False, key=first)
    assert not shop.fires(ok=False, key=second)
    [firing] = shop.see(ok=False, key=first).firings
    assert len(str(firing.key)) < 250
    assert all(len(key) < 250 for _, key in shop.correlator.changed())


def test_keys_and_ids_with_half_a_surrogate_pair_can_be_saved(
    rule: MakeRule, guard: MakeGuard, world: MakeWorld
) -> None:
    half = "\ud800"
    shop = world(rule(when={"streak": 2}, unless=(guard(),), per=("data.key",)))
    shop.see("deploy.started", id=half, source=half)
    shop.see(ok=False, key=half)

    assert all(key.encode() for _, key in shop.correlator.changed())
    assert shop.fires(ok=False, key=half)


# -- progress ----------------------------------------------------------------------------------------


def test_progress_says_how_many_events_count_before_this_one(rule: MakeRule, world: MakeWorld) -> None:
    streak = rule("streak", when={"streak": 3}, clears={"streak": 2})
    count = rule("count", when={"count": 3, "within": 60 * SECOND})
    users = rule("users", when={"count": 3, "within": 60 * SECOND, "distinct": "data.user"})
    shop = world(streak, count, users, rule("plain"))
    for user in ("ann", "bob"):
        shop.see(ok=False, user=user)

    assert shop.correlator.progress(shop.event(user="ann")) == {
        "streak/probe": 2, "streak/clears": 0, "count/probe": 2, "users/probe": 1, "plain/probe": 0
    }  # fmt: skip
    assert shop.correlator.progress(shop.event(service="other"))["streak/probe"] == 0
    assert shop.correlator.progress(shop.event(source="other"))["streak/probe"] == 0
    assert shop.correlator.progress(shop.event(at=1_000))["count/probe"] == 0
    shop.see(ok=False)
    assert shop.correlator.progress(shop.event())["streak/probe"] == 3
    assert shop.correlator.progress(shop.event())["count/probe"] == 0
