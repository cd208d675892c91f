from __future__ import annotations

from collections.abc import Callable

import pytest

from holdfast.match.engine import fits, watched
from holdfast.model.conditions import AllOf, AnyOf, Compare, Op
from holdfast.model.rules import Guard, Pattern, Rule
from holdfast.model.values import MINUTE, Ref


@pytest.mark.parametrize(
    ("wanted", "event_type", "expected"),
    [
        ("http.probe", "http.probe", True),
        ("http.probe", "http.probes", False),
        ("http.*", "http.probe", True),
        ("http.*", "http.probe.slow", True),
        ("http.*", "http", False),
        ("http.*", "https.probe", False),
        ("http.pro*", "http.probe", False),
        ("*", "http.probe", False),
        ("http.*", "http.*", True),
    ],
)
def test_a_pattern_fits_its_type_or_all_types_below_it(wanted: str, event_type: str, expected: bool) -> None:
    assert fits(wanted, event_type) is expected


JOIN = Compare("service", Op.SAME, Ref("probe", ("service",)))
STARTED = Compare("data.state", Op.EQ, "started")


@pytest.mark.parametrize(
    ("where", "left"),
    [
        (JOIN, AllOf(())),
        (AllOf((STARTED, JOIN)), AllOf((STARTED,))),
        (STARTED, STARTED),
        (AnyOf((STARTED, JOIN)), AnyOf((STARTED, JOIN))),
    ],
)
def test_a_guard_is_watched_without_its_join(
    rule: Callable[..., Rule], where: Compare | AllOf, left: Compare | AllOf
) -> None:
    pattern = Pattern("shop-down/deploy", "deploy", "deploy.started", where)
    guarded = rule(unless=(Guard(pattern, 10 * MINUTE, ()),))

    assert {p.key: condition for p, condition in watched([guarded])} == {
        "shop-down/probe": guarded.when.where,
        "shop-down/deploy": left,
    }
