from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from holdfast.match.engine import Engine
from holdfast.match.native import NativeEngine
from holdfast.model.conditions import AllOf, Compare, Op
from holdfast.model.events import EngineMode, Event
from holdfast.model.rules import Guard, Pattern, Rule
from holdfast.model.values import MINUTE, Ref, Truth

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


def test_it_is_ready_at_once_and_never_in_trouble(rule: MakeRule, event: MakeEvent) -> None:
    engine: Engine = NativeEngine([rule()])
    engine.start(0.0)
    engine.announce()
    engine.match([event("http.probe", {"ok": False}), event("nothing.known")])
    engine.close()

    figures = engine.figures()
    assert (figures.mode, figures.native, figures.asked, figures.pid) == (EngineMode.NATIVE, 1, 0, 0)


def test_one_pattern_is_asked_by_its_key_whatever_the_type(rule: MakeRule, event: MakeEvent) -> None:
    engine = NativeEngine([rule()])

    assert engine.test("shop-down/probe", event("other", {"ok": False}).fact()) is Truth.TRUE
    assert engine.test("shop-down/probe", {}) is Truth.UNKNOWN


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
