from __future__ import annotations

import pytest

from holdfast.config.scope import Reach, reach, spelled_path
from holdfast.model.conditions import AllOf, AnyOf, Compare, Condition, Op
from holdfast.model.snapshot import Mapped, Source, SourceKind

SERVICES = frozenset({"shop", "billing", "mailer"})
PROBE = Source("probe", SourceKind.HTTP_PROBE, type="http.probe", service="shop")
BOUND = Source("bound", SourceKind.WEBHOOK, type="paid", service="billing", host="web1")
MAPPED = Source(
    "mapped", SourceKind.WEBHOOK, map=(Mapped("type", None, "paid"), Mapped("service", None, "mailer"))
)
LABELLED = Source("labelled", SourceKind.WEBHOOK, type="paid", map=(Mapped("service", ("service",)),))
OPEN = Source("open", SourceKind.WEBHOOK)
ANYTHING = AllOf(())


def named(*sources: Source) -> dict[str, Source]:
    return {source.name: source for source in sources}


@pytest.mark.parametrize(
    ("event", "where", "sources", "expected"),
    [
        ("http.probe", ANYTHING, (PROBE, OPEN), Reach(frozenset({"shop"}), False, True)),
        ("http.probe", ANYTHING, (OPEN,), Reach(frozenset(), False, True)),
        ("paid", ANYTHING, (BOUND, PROBE), Reach(frozenset({"billing"}), False, False)),
        ("paid", ANYTHING, (BOUND, MAPPED), Reach(frozenset({"billing", "mailer"}), False, True)),
        ("paid", ANYTHING, (BOUND, LABELLED), Reach(SERVICES, True, True)),
        ("paid", ANYTHING, (BOUND, OPEN), Reach(SERVICES, True, True)),
        ("paid", ANYTHING, (), Reach(SERVICES, True, True)),
        (
            "paid",
            Compare("source", Op.EQ, "bound"),
            (BOUND, OPEN),
            Reach(frozenset({"billing"}), False, False),
        ),
        ("paid", Compare("service", Op.EQ, "shop"), (OPEN,), Reach(frozenset({"shop"}), False, True)),
        ("paid", Compare("service", Op.NE, None), (OPEN,), Reach(SERVICES, False, True)),
        ("paid", Compare("service", Op.NE, "shop"), (OPEN,), Reach(SERVICES - {"shop"}, True, True)),
        ("paid", Compare("service", Op.GLOB, "*ill*"), (OPEN,), Reach(frozenset({"billing"}), False, True)),
        (
            "paid",
            AllOf((Compare("host", Op.EQ, "web1"), Compare("data.x", Op.EQ, 1))),
            (OPEN,),
            Reach(SERVICES, True, False),
        ),
        ("paid", AnyOf((Compare("service", Op.EQ, "shop"),)), (OPEN,), Reach(SERVICES, True, True)),
    ],
)
def test_the_config_says_what_events_can_be_about(
    event: str, where: Condition, sources: tuple[Source, ...], expected: Reach
) -> None:
    assert reach(event, where, named(*sources), SERVICES) == expected


def test_a_path_is_spelled_as_conditions_write_it() -> None:
    assert spelled_path(("data", "labels", "a.b/c", "x-y")) == 'data.labels["a.b/c"].x-y'
