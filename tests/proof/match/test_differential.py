"""Generated rules against generated events: over 100,000 pairs, of which at least a third match."""

from __future__ import annotations

import random
from collections.abc import Callable

import differ
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.model.conditions import AllOf, AnyOf, Compare, Condition, Not, Op, Over
from holdfast.model.events import Event
from holdfast.model.rules import Rule
from holdfast.model.values import Truth

#: Rules and events of one example: each event meets each rule.
RULES, EVENTS = 40, 50
EXAMPLES = 1_500 if differ.LONG else 60
WANTED = 2_000_000 if differ.LONG else 100_000

POOL = st.sampled_from(
    [0, 1, 90, 95, 0.5, 1.0, 2**53, 2**63, 1e22, "a", "A", "95", "error", "", "ß", True, False, None]
)
PATHS = st.sampled_from(["data.a", "data.b", "data.c", "data.o.a", "data.l", "severity", "service"])
PLAIN = st.sampled_from([Op.EQ, Op.NE, Op.GT, Op.GTE, Op.LT, Op.LTE])
#: Comparisons as people write them, and some that hold for nearly everything.
COMPARISONS = st.one_of(
    st.builds(Compare, PATHS, PLAIN, POOL),
    st.builds(
        Compare, PATHS, st.sampled_from([Op.IN, Op.NIN]), st.lists(POOL, min_size=1, max_size=6).map(tuple)
    ),
    st.builds(Compare, PATHS, st.just(Op.EXISTS), st.booleans()),
    st.builds(Compare, PATHS, st.sampled_from(list(Op)), POOL, st.sampled_from(list(Over)), st.booleans()),
    st.builds(Compare, st.sampled_from(["data.a", "data.b"]), st.just(Op.NE), st.sampled_from(["never", -7])),
)
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda items: AnyOf(tuple(items))),
        st.lists(inner, max_size=3).map(lambda items: AllOf(tuple(items))),
        st.lists(inner, min_size=2, max_size=4).map(lambda items: AnyOf(tuple(items))),
        inner.map(Not),
    ),
    max_leaves=6,
)
VALUES = POOL | st.floats() | st.integers() | st.text(max_size=5) | st.lists(POOL, max_size=2)
DATA = st.fixed_dictionaries(
    {"a": POOL, "b": VALUES, "l": st.lists(POOL, max_size=3)},
    optional={"c": VALUES, "o": st.fixed_dictionaries({"a": POOL})},
)


def test_the_engine_and_native_answer_as_defined_for_every_pair(
    record_property: Callable[[str, object], None],
) -> None:
    tally = differ.Tally()

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), deadline=None)
    @given(
        st.lists(CONDITIONS, min_size=12, max_size=12),
        st.lists(DATA, min_size=12, max_size=12),
        st.integers(0, 2**32),
    )
    def holds(conditions: list[Condition], datas: list[dict[str, object]], seed: int) -> None:
        rules, events = crowd(conditions, datas, random.Random(seed))

        assert differ.difference(rules, events, tally) is None

    holds()
    share = tally.truths[Truth.TRUE] / tally.cases
    counts = ", ".join(f"{truth} {count:,}" for truth, count in tally.truths.items())
    record_property("proof", f"pairs       {tally.cases:,} generated pairs, {share:.0%} match: {counts}")
    assert tally.cases >= WANTED
    assert tally.truths[Truth.TRUE] * 3 >= tally.cases


def crowd(
    conditions: list[Condition], datas: list[dict[str, object]], rng: random.Random
) -> tuple[list[Rule], list[Event]]:
    """What was generated, and mixtures of it, until there is enough that a process is worth its start."""
    pool = [0, 1, 90, "a", "error", True, None, 2**63]
    more = [
        rng.choice((AnyOf, AnyOf, AllOf))((rng.choice(conditions), differ.tree(rng, pool, 1)))
        for _ in range(RULES - len(conditions))
    ]
    rules = [
        differ.rule(f"r{place}", rng.choice(("http.probe", "http.*")), condition)
        for place, condition in enumerate([*conditions, *more])
    ]
    events = [
        differ.event(
            datas[place % len(datas)] | ({"c": rng.choice(pool)} if place % 3 else {}), "http.probe", place
        )
        for place in range(EVENTS)
    ]
    return rules, events
