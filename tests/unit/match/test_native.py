from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from holdfast.conditions import evaluate
from holdfast.match.engine import Engine, fits, watched
from holdfast.match.native import NativeEngine
from holdfast.model.conditions import AllOf, Compare, Op
from holdfast.model.events import Event, Provenance
from holdfast.model.rules import Guard, IncidentSpec, Mode, Pattern, Quiet, Rule
from holdfast.model.values import MINUTE, Ref, Severity, Text, Trust, Truth

MakeRule = Callable[..., Rule]
MakeEvent = Callable[..., Event]


def pattern(key: str, event: str, where: Compare | AllOf) -> Pattern:
    return Pattern(key, key.partition("/")[2], event, where)


def test_every_pattern_of_the_type_is_answered_and_no_other(rule: MakeRule, event: MakeEvent) -> None:
    failing, well = Compare("data.ok", Op.EQ, False), Compare("data.ok", Op.EQ, True)
    deploy = pattern("shop-down/deploy", "deploy.started", AllOf(()))
    shop = rule(
        clears=pattern("shop-down/clears", "http.probe", well), unless=(Guard(deploy, 10 * MINUTE, ()),)
    )
    other = rule("slow", when=pattern("slow/probe", "http.probe", Compare("data.ms", Op.GT, 500)))
    engine: Engine = NativeEngine([shop, other])

    found = engine.match(
        [event("http.probe", {"ok": False, "ms": 9}), event("deploy.started"), event("nothing.known")]
    )
    engine.close()

    assert shop.when.where == failing
    assert found == [
        {"shop-down/probe": Truth.TRUE, "shop-down/clears": Truth.FALSE, "slow/probe": Truth.FALSE},
        {"shop-down/deploy": Truth.TRUE},
        {},
    ]


def test_a_field_that_is_not_there_is_unknown_to_every_pattern(rule: MakeRule, event: MakeEvent) -> None:
    [found] = NativeEngine([rule()]).match([event("http.probe", {})])

    assert found == {"shop-down/probe": Truth.UNKNOWN}


def test_a_guard_is_matched_without_its_join(rule: MakeRule, event: MakeEvent) -> None:
    joined = Compare("service", Op.SAME, Ref("probe", ("service",)))
    guard = Guard(pattern("shop-down/deploy", "deploy.started", AllOf((joined,))), 10 * MINUTE, ())

    [found] = NativeEngine([rule(unless=(guard,))]).match([event("deploy.started", service="bank")])

    assert found == {"shop-down/deploy": Truth.TRUE}


TYPES = st.lists(st.sampled_from(["http", "probe", "a", ""]), min_size=1, max_size=4).map(".".join)
WANTED = TYPES | TYPES.map(lambda prefix: f"{prefix}.*")


@given(st.lists(WANTED, max_size=6), TYPES | WANTED)
def test_the_index_finds_the_patterns_that_fit_and_no_others(wanted: list[str], event_type: str) -> None:
    rules = [
        Rule(
            name=f"r{number}",
            doc="",
            mode=Mode.AUTO,
            when=Pattern(f"r{number}/p", "p", name, AllOf(())),
            incident=IncidentSpec("t", Severity.ERROR, Text(())),
            clears=Quiet(MINUTE),
        )
        for number, name in enumerate(wanted)
    ]
    seen = Event(
        "1", "s", event_type, 1, 1, Severity.INFO, "x", Provenance("none", Trust.LOW, "c0ffee")
    )  # fmt: skip

    [found] = NativeEngine(rules).match([seen])

    assert set(found) == {p.key for p, _ in watched(rules) if fits(p.event, event_type)}
    assert all(found[p.key] is evaluate(where, seen.fact()) for p, where in watched(rules) if p.key in found)


def test_a_type_of_a_hundred_thousand_dots_costs_no_more_than_the_config_says(
    rule: MakeRule, event: MakeEvent
) -> None:
    below = rule(when=pattern("shop-down/probe", "http.*", AllOf(())))

    [found] = NativeEngine([below]).match([event("http" + "." * 100_000)])

    assert found == {"shop-down/probe": Truth.TRUE}


def test_the_benchmark_runs() -> None:
    script = Path(__file__).parents[3] / "bench" / "match_native.py"
    ran = subprocess.run(
        [sys.executable, str(script), "--events", "200"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.returncode == 0, ran.stderr
    assert "1,000 rules" in ran.stdout
