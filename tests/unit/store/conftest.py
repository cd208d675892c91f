"""A real SQLite file for each test, and the smallest rows to put into it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.effects import crash_point
from holdfast.model.actions import Connector, Plan, PlannedStep, Retry, Risk, Touches
from holdfast.model.events import Event, Provenance
from holdfast.model.records import (
    AttemptOrder,
    Choice,
    Gate,
    GateState,
    Incident,
    IncidentState,
    Message,
    Run,
    RunState,
)
from holdfast.model.values import Severity, Trust
from holdfast.store.database import Database, Tx

POINT = crash_point("tests.unit.store")

STEP = PlannedStep(
    action="restart-unit",
    connector=Connector.SSH,
    target="web1",
    argv=("systemctl", "restart", "--", "shop.service"),
    params={"unit": "shop.service"},
    risk=Risk.LOW,
    touches=(Touches.AVAILABILITY,),
    idempotent=True,
    irreversible=False,
    deadline=60_000,
    retry=Retry(attempts=3),
    verify=None,
    fresh=True,
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "holdfast.db")
    yield opened
    opened.close()


@pytest.fixture
def point() -> str:
    return POINT


@pytest.fixture
def tx(database: Database) -> Callable[[], AbstractContextManager[Tx]]:
    """`with tx() as t:` is one transaction that commits."""

    @contextlib.contextmanager
    def begin() -> Iterator[Tx]:
        with database.begin(POINT) as transaction:
            yield transaction

    return begin


@pytest.fixture
def incident() -> Callable[..., Incident]:
    def make(name: str = "i1", **changes: Any) -> Incident:
        plain = Incident(
            id=name,
            key=f"key of {name}",
            type="service-down",
            severity=Severity.ERROR,
            title="the shop fails",
            service="shop",
            subject="shop",
            state=IncidentState.OPEN,
            version=1,
            opened=100,
            changed=100,
        )
        return replace(plain, **changes)

    return make


@pytest.fixture
def run() -> Callable[..., Run]:
    def make(name: str = "r1", **changes: Any) -> Run:
        plain = Run(
            id=name,
            incident="i1",
            rule="shop-down",
            part="contain",
            plan=Plan("restart-unit", (STEP,)),
            state=RunState.RUNNING,
            step=0,
            created=100,
            changed=100,
            evidence_seq=7,
        )
        return replace(plain, **changes)

    return make


@pytest.fixture
def order() -> Callable[..., AttemptOrder]:
    def make(run: str = "r1", step: int = 0, number: int = 1, **changes: Any) -> AttemptOrder:
        return AttemptOrder(f"{run}/{step}/{number}", run, "i1", replace(STEP, **changes), 60_000)

    return make


@pytest.fixture
def gate() -> Callable[..., Gate]:
    def make(name: str = "g1", **changes: Any) -> Gate:
        plain = Gate(
            id=name,
            incident="i1",
            rule="shop-down",
            question="Roll back?",
            choices=(Choice("roll-back", Plan("roll-back", (STEP,))), Choice("wait")),
            silence="wait",
            basis="basis-1",
            state=GateState.PENDING,
            created=100,
            expires=1_000,
        )
        return replace(plain, **changes)

    return make


@pytest.fixture
def message() -> Callable[..., Message]:
    def make(name: str = "m1", **changes: Any) -> Message:
        return replace(Message(name, "i1", "me", "mail", "Down", "The shop is down."), **changes)

    return make


@pytest.fixture
def event() -> Event:
    provenance = Provenance("bearer", Trust.MEDIUM, "c1")
    return Event("e1", "hook", "http.probe", 90, 100, Severity.ERROR, "shop", provenance)
