"""What each room does with an event, one at a time; `make bench-micro` prints the budget."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import drive
import msgspec
import pytest
import repository
import sender
import uvicorn
import uvloop
from samples import NOW, POINT, entries, events, rulebook
from uvicorn.server import ServerState

from holdfast.correlate import Correlator
from holdfast.decide import decide
from holdfast.execute.local import LocalConnector
from holdfast.journal import Ack
from holdfast.match.durable.engine import DurableEngine
from holdfast.match.native import NativeEngine
from holdfast.model.actions import Connector as Way
from holdfast.model.actions import PlannedStep, Retry, Risk, Touches
from holdfast.model.events import Entry, Event
from holdfast.model.policies import Origin, Proposal, Usage
from holdfast.model.records import AttemptOrder
from holdfast.model.rules import Mode
from holdfast.model.snapshot import Snapshot
from holdfast.model.values import Severity
from holdfast.pipeline.road import Loaded, Pipeline
from holdfast.pipeline.work import Identity
from holdfast.sense.normalise import normalise
from holdfast.sense.payload import read_events
from holdfast.store import journal
from holdfast.store.database import Database
from holdfast.web.guard import Guard, Limits, guarded
from holdfast.web.ingest import IngestDoors, ingest_app

NOISE = {"id": 7, "host": "h7", "type": "metric_3", "value": 17}
BATCH = drive.BATCH

Time = Callable[..., None]


def match_of(number: int) -> drive.Event:
    return {"id": number, "host": "h7", "type": "alarm_0", "value": 95}


# -- the door ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, BATCH])
def test_decode(cost: Time, size: int) -> None:
    body = msgspec.json.encode(NOISE if size == 1 else drive.stream(size, 10))

    cost("sense", f"read the JSON, {size} in a body", lambda: read_events(body), events=size)


def test_normalise(cost: Time, snapshot: Snapshot) -> None:
    source = snapshot.sources[repository.SOURCE]

    cost(
        "sense",
        "make it an event",
        lambda: normalise(source, snapshot, NOISE, received=NOW, auth="loopback"),
    )


def test_encode(cost: Time, snapshot: Snapshot) -> None:
    (event,) = events(snapshot, [NOISE])

    cost("sense", "encode the event for the journal", lambda: msgspec.json.encode(event))


class Wire(asyncio.Transport):
    """Where answers go; nothing is sent."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 4711), "sockname": ("127.0.0.1", 8443)})
        self.answered = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Only one answer is right."""
        assert bytes(data[:13]) == b"HTTP/1.1 202 "
        self.answered.set()

    def is_closing(self) -> bool:
        """Never."""
        return False


def _connection(snapshot: Snapshot, wire: Wire) -> Guard:
    """A connection that is up, and behind it the door with a journal that takes everything at once."""

    def append(handed: Sequence[Entry]) -> asyncio.Future[list[Ack]]:
        done = asyncio.get_running_loop().create_future()
        done.set_result([Ack(1, duplicate=False)] * len(handed))
        return done

    app = ingest_app(IngestDoors(lambda: snapshot, str, append, lambda: NOW, dict, b"{}"))
    kind, _ = guarded(Limits(), app)
    config = uvicorn.Config(app, interface="asgi3", ws="none", lifespan="off", log_config=None)
    config.load()
    connection = kind(config=config, server_state=ServerState(), app_state={})
    connection.connection_made(wire)
    return connection


@pytest.mark.parametrize("size", [1, BATCH])
def test_door(cost: Time, snapshot: Snapshot, size: int) -> None:
    """From the bytes that came to the bytes that go, without socket and commit."""
    body = msgspec.json.encode(NOISE if size == 1 else drive.stream(size, 10))
    request = sender.render(8443, drive.PATH, body)
    calls = 200 if size == 1 else 1
    wire = Wire()
    connections: list[Guard] = []

    async def ask() -> None:
        connection = connections[0] if connections else _connection(snapshot, wire)
        connections[:] = [connection]
        for _ in range(calls):
            wire.answered.clear()
            connection.data_received(request)
            await wire.answered.wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        cost(
            "web",
            f"one POST through parser and application, {size} in a body",
            lambda: runner.run(ask()),
            events=calls * size,
        )


# -- the journal ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 8, 100, BATCH])
def test_append(cost: Time, snapshot: Snapshot, database: Database, size: int) -> None:
    first = itertools.count(0, size)

    def prepare() -> list[Entry]:
        return entries(events(snapshot, drive.stream(size, 10, next(first))))

    def append(handed: list[Entry]) -> None:
        with database.begin(POINT) as tx:
            journal.append(tx, handed, NOW)

    cost("journal", f"commit {size} at once", append, events=size, prepare=prepare, rounds=200)


def test_read_back(cost: Time, snapshot: Snapshot, database: Database) -> None:
    with database.begin(POINT) as tx:
        journal.append(tx, entries(events(snapshot, drive.stream(BATCH, 10))), NOW)

    def read() -> list[Entry]:
        with database.read() as tx:
            return journal.after(tx, 0, BATCH)

    cost("journal", f"read {BATCH} back", read, events=BATCH)


def test_decode_stored(cost: Time, snapshot: Snapshot) -> None:
    body = msgspec.json.encode(events(snapshot, [NOISE])[0])

    cost("pipeline", "decode the event", lambda: msgspec.json.decode(body, type=Event))


# -- matching ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one_type", [False, True], ids=["own", "one"])
@pytest.mark.parametrize("rules", [10, 100, 1000])
def test_native(cost: Time, tmp_path: Path, rules: int, one_type: bool) -> None:
    snapshot = rulebook(tmp_path, rules, one_type=one_type)
    engine = NativeEngine(snapshot.rules.values())
    raws = drive.stream(BATCH, rules)
    seen = events(snapshot, [{**raw, "type": "alarm_0"} for raw in raws] if one_type else raws)
    shape = "of one type" if one_type else "of a type each"

    cost("match", f"native, {rules} rules {shape}", lambda: engine.match(seen), events=BATCH)


@pytest.mark.parametrize("size", [1, 8, BATCH])
@pytest.mark.parametrize("rules", [10, 100])
def test_durable(cost: Time, tmp_path: Path, rules: int, size: int) -> None:
    snapshot = rulebook(tmp_path, rules)
    engine = DurableEngine(snapshot.rules.values(), lambda _: None)
    engine.start(30)
    # a type that no rule looks at never goes to the process: only alarms do
    seen = events(
        snapshot, [{**raw, "type": f"alarm_{raw['id'] % rules}"} for raw in drive.stream(size, rules)]
    )
    try:
        cost(
            "match",
            f"durable_rules, {rules} rules, {size} alarms at once",
            lambda: engine.match(seen),
            events=size,
        )
        figures = engine.figures()
    finally:
        engine.close()

    assert figures.asked > 0
    assert figures.native == 0


# -- correlation and decision -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workload", "raw", "what"),
    [
        ("W1", NOISE, "an event that no rule is about"),
        ("W1", match_of(1), "an event that fires"),
        ("W3", {**NOISE, "type": "http_5xx"}, "an event that counts in a window"),
    ],
    ids=["noise", "fires", "counts"],
)
def test_correlate(cost: Time, tmp_path: Path, workload: str, raw: drive.Event, what: str) -> None:
    snapshot = rulebook(tmp_path, 10, workload)
    correlator = Correlator(snapshot.rules.values())
    (event,) = events(snapshot, [raw])
    (findings,) = NativeEngine(snapshot.rules.values()).match([event])

    cost("correlate", what, lambda: correlator.advance(event, findings))


def test_decide(cost: Time, snapshot: Snapshot) -> None:
    proposal = Proposal(
        Origin.RULE, "write-id", "local", frozenset({Touches.AVAILABILITY}), Risk.LOW, idempotent=True,
        irreversible=False, service=None, group=None, incident_type="bench", severity=Severity.ERROR,
        rule="alarm-0", mode=Mode.AUTO,
    )  # fmt: skip
    policies = tuple(snapshot.policies.values())
    usages = {policy.name: Usage(0, 1) for policy in policies}

    cost("decide", "a verdict", lambda: decide(proposal, policies, usages, stopped=False))


# -- the road ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [8, BATCH])
@pytest.mark.parametrize("fires", [False, True], ids=["noise", "fires"])
def test_road(cost: Time, snapshot: Snapshot, database: Database, size: int, fires: bool) -> None:
    """A batch from the journal to the commit of what was decided, matched natively."""
    engine = NativeEngine(snapshot.rules.values())
    pipeline = Pipeline(
        database, Loaded(snapshot, engine), Identity("bench", bytes(32)), decided=lambda *_: None
    )
    first = itertools.count(0, size)

    def prepare() -> None:
        start = next(first)
        raws = [match_of(start + n) if fires else {**NOISE, "id": start + n} for n in range(size)]
        with database.begin(POINT) as tx:
            journal.append(tx, entries(events(snapshot, raws)), NOW)

    what = f"{size} events that fire" if fires else f"{size} events of noise"
    drain = partial(_drain, pipeline, size)

    cost("pipeline", what, drain, events=size, prepare=prepare, rounds=3 if fires and size > 8 else 50)


def _drain(pipeline: Pipeline, size: int, _: None) -> None:
    assert pipeline.drain() == size


# -- hands ------------------------------------------------------------------------------------------------


def test_local_attempt(cost: Time, tmp_path: Path) -> None:
    connector = LocalConnector(tmp_path / "attempts")
    boot = connector.boot("local")
    number = itertools.count()

    def attempt() -> None:
        step = PlannedStep(
            "bench",
            Way.LOCAL,
            "local",
            argv=("true",),
            params={},
            risk=Risk.LOW,
            touches=(),
            irreversible=False,
            idempotent=False,
            deadline=60_000,
            retry=Retry(),
            verify=None,
            fresh=True,
        )
        name = f"micro/{next(number)}"
        connector.run(AttemptOrder(name, "bench", "bench", step, 60_000), boot)

    cost("execute", "a local attempt of `true`", attempt)
    connector.close()
