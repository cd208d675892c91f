"""A rule, an event and an estate to name values of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.model.actions import Host, Service
from holdfast.model.conditions import AllOf
from holdfast.model.events import Event, Provenance
from holdfast.model.rules import IncidentSpec, Mode, Pattern, Quiet, Rule
from holdfast.model.snapshot import Snapshot
from holdfast.model.values import MINUTE, Severity, Text, Trust


@pytest.fixture
def snapshot() -> Snapshot:
    hosts = {
        "web1": Host("web1", "10.0.0.5", "act", "key", group="web"),
        "db1": Host("db1", "10.0.0.6", "act", "key"),
    }
    shop = Service("shop", ("web1",), "shop.service", "https://shop.example", labels={"tier": 1, "who": None})
    return Snapshot("c1", hosts=hosts, services={"shop": shop})


@pytest.fixture
def rule() -> Rule:
    pattern = Pattern("shop-down/probe", "probe", "http.probe", AllOf(()))
    spec = IncidentSpec("service-down", Severity.ERROR, Text(("down",)))
    return Rule("shop-down", "", Mode.AUTO, pattern, spec, Quiet(MINUTE))


@pytest.fixture
def event() -> Callable[..., Event]:
    def make(**changes: Any) -> Event:
        plain: dict[str, Any] = {
            "id": "e1",
            "source": "hook",
            "type": "http.probe",
            "time": 90,
            "received": 100,
            "severity": Severity.ERROR,
            "subject": "shop",
            "provenance": Provenance("bearer", Trust.MEDIUM, "c1"),
            "service": "shop",
            "host": "web1",
            "data": {"status": 500, "ok": False, "error": None, "labels": {"app.kubernetes.io/name": "shop"}},
        }
        return Event(**plain | changes)

    return make
