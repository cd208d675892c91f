from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.model.conditions import Compare, Op
from holdfast.model.events import Event, Provenance
from holdfast.model.rules import Guard, IncidentSpec, Mode, Pattern, Quiet, Rule
from holdfast.model.values import MINUTE, Severity, Text, Trust


@pytest.fixture
def event() -> Callable[..., Event]:
    """Makes an event: type, data, and whatever else differs."""

    def make(kind: str = "http.probe", data: dict[str, Any] | None = None, **other: Any) -> Event:
        given: dict[str, Any] = {"id": "1", "source": "probe", "service": "shop", "subject": "shop"} | other
        provenance = Provenance("bearer", Trust.HIGH, "c0ffee")
        return Event(
            type=kind,
            time=1_000,
            received=1_000,
            severity=Severity.ERROR,
            provenance=provenance,
            data=data or {},
            **given,
        )

    return make


@pytest.fixture
def rule() -> Callable[..., Rule]:
    """Makes a rule about http.probe; clears and guards as given."""

    def make(
        name: str = "shop-down",
        when: Pattern | None = None,
        clears: Pattern | Quiet | None = None,
        unless: tuple[Guard, ...] = (),
    ) -> Rule:
        failing = Compare("data.ok", Op.EQ, False)
        return Rule(
            name=name,
            doc="",
            mode=Mode.AUTO,
            when=when or Pattern(f"{name}/probe", "probe", "http.probe", failing),
            incident=IncidentSpec("service-down", Severity.CRITICAL, Text(("down",))),
            clears=clears or Quiet(10 * MINUTE),
            unless=unless,
            where="rules/shop.yaml:3",
        )

    return make
