from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from holdfast.correlate import Correlator, Signals
from holdfast.match.native import NativeEngine
from holdfast.model.conditions import AllOf, Compare, Condition, Op
from holdfast.model.events import Event, Provenance
from holdfast.model.rules import Guard, IncidentSpec, Mode, Pattern, Quiet, Rule
from holdfast.model.values import MINUTE, SECOND, Severity, Text, Trust

FAILING = Compare("data.ok", Op.EQ, False)


@pytest.fixture
def rule() -> Callable[..., Rule]:
    """Makes a rule: `when` and `clears` are what a pattern takes beside its names, on http.probe."""

    def make(
        name: str = "shop-down",
        when: Mapping[str, Any] | None = None,
        clears: Mapping[str, Any] | None = None,
        unless: tuple[Guard, ...] = (),
        per: tuple[str, ...] = ("service",),
    ) -> Rule:
        given: dict[str, Any] = {"event": "http.probe", "where": FAILING}
        well = {"event": "http.probe", "where": Compare("data.ok", Op.EQ, True)}
        return Rule(
            name=name,
            doc="",
            mode=Mode.AUTO,
            when=Pattern(key=f"{name}/probe", alias="probe", **given | dict(when or {})),
            incident=IncidentSpec("service-down", Severity.CRITICAL, Text(("down",))),
            clears=Quiet(MINUTE)
            if clears is None
            else Pattern(f"{name}/clears", "clears", **well | dict(clears)),
            unless=unless,
            per=per,
        )

    return make


@pytest.fixture
def guard() -> Callable[..., Guard]:
    """Makes a guard on deploy.started for the last ten minutes."""

    def make(alias: str = "deploy", where: Condition | None = None, **other: Any) -> Guard:
        taken = {name: other.pop(name) for name in ("streak", "count") if name in other}
        span = {"within": other.pop("span")} if "span" in other else {}
        pattern = Pattern(
            f"shop-down/{alias}", alias, f"{alias}.started", where or AllOf(()), **taken, **span
        )
        return Guard(**{"pattern": pattern, "within": 10 * MINUTE, "join": ()} | other)

    return make


class World:
    """Feeds events through the engine and a correlator, ten seconds apart unless told otherwise."""

    def __init__(self, *rules: Rule, **knobs: Any) -> None:
        self.engine = NativeEngine(rules)
        self.correlator = Correlator(rules, **knobs)
        self.now = 1_000_000
        self.number = 0

    def event(self, kind: str = "http.probe", *, at: int | None = None, **given: Any) -> Event:
        """An event; `at` is its source time in seconds from the start, data fields are what is left."""
        self.now += 10 * SECOND
        self.number += 1
        known = {
            name: given.pop(name) for name in ("service", "host", "subject", "source", "id") if name in given
        }
        named = {"id": str(self.number), "source": "probe", "subject": "shop", "service": "shop"} | known
        return Event(
            type=kind,
            time=self.now if at is None else 1_000_000 + at * SECOND,
            received=self.now,
            severity=Severity.ERROR,
            provenance=Provenance("bearer", Trust.HIGH, "c0ffee"),
            data=given,
            **named,
        )

    def see(self, kind: str = "http.probe", **given: Any) -> Signals:
        """The signals of one event."""
        event = self.event(kind, **given)
        [findings] = self.engine.match([event])
        return self.correlator.advance(event, findings)

    def fires(self, kind: str = "http.probe", **given: Any) -> bool:
        """Whether an event makes something fire."""
        return bool(self.see(kind, **given).firings)


@pytest.fixture
def world() -> type[World]:
    """The class of worlds."""
    return World
