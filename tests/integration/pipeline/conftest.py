"""A whole road on a real database, with time in the test's hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from holdfast.config.load import load_files
from holdfast.effects import crash_point
from holdfast.gate.token import code_for, thread_ref
from holdfast.match.native import NativeEngine
from holdfast.model.events import Close, ConfigSwap, Entry, Event, Provenance, Start, Switch, Tick
from holdfast.model.kinds import EntryKind
from holdfast.model.records import (
    AttemptOrder,
    AuthLevel,
    Delivery,
    DeliveryState,
    Gate,
    InboundReply,
    Incident,
    Message,
    Outcome,
    OutcomeKind,
    Run,
)
from holdfast.model.snapshot import Snapshot
from holdfast.model.values import Json, Millis, Severity, Trust
from holdfast.pipeline.road import Loaded, Pipeline
from holdfast.pipeline.work import Identity
from holdfast.store import gates, incidents, journal, outbox, runs, timers
from holdfast.store.database import Database


def loaded(snapshot: Snapshot) -> Loaded:
    """A config with an engine that needs no process."""
    return Loaded(snapshot, NativeEngine(snapshot.rules.values()))


POINT = crash_point("tests.integration.pipeline")
KEY = bytes(range(32))
START: Millis = 1_800_000_000_000

CONFIG = {
    "holdfast.yaml": """
format: 1
estate:
  hosts:
    web1:
      address: 127.0.0.1
      user: act
      group: web
      host_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICtBI7Ed6PStLYzViQ4MMR8PH1/V+hZJANNASwCikAaZ"
    web2:
      address: 127.0.0.2
      user: act
      group: web
      host_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO/1b1YcdtHjIMJZcwdq+NMZktoyNlRRW2Tk/8wAA2LA"
  services:
    shop: {hosts: [web1], unit: shop.service, url: "http://127.0.0.1:1/"}
    blog: {hosts: [web1, web2], unit: blog.service}
sources:
  shop-probe: {kind: http-probe, service: shop, every: 1s}
  hook: {kind: webhook, trust: medium}
channels:
  mail: {url: $secret.mail-url}
  push: {url: $secret.push-url}
operators:
  me: {channels: [mail, push], addresses: [me@lab.test]}
""",
    "rules/actions.yaml": """
action: restart-unit
doc: Restart one systemd unit.
ssh: {argv: [sudo, -n, systemctl, restart, --, $unit]}
params: {unit: {type: unit-name}}
verify: {observe: incident-clears, within: 90s, steady: 30s}
undo: none
touches: [availability]
idempotent: true
risk: low
deadline: 60s
retry: {attempts: 2, backoff: 2s, factor: 2, jitter: false}
---
action: roll-back-release
doc: Go back to the release before this one.
ssh: {argv: [shop-release, previous]}
params: {}
verify: {observe: incident-clears, within: 90s, steady: 30s}
undo: none
irreversible: true
touches: [availability, customers-see]
idempotent: false
risk: high
deadline: 60s
---
action: maintenance-page
doc: Show the maintenance page.
ssh: {argv: [maintenance, on]}
params: {}
verify: none
undo: {do: maintenance-page-off}
touches: [availability, customers-see]
idempotent: true
risk: low
deadline: 10s
---
action: maintenance-page-off
doc: Take the maintenance page away.
ssh: {argv: [maintenance, off]}
params: {}
verify: none
undo: none
touches: [availability, customers-see]
idempotent: true
risk: low
deadline: 10s
""",
    "rules/shop.yaml": """
rule: shop-down
doc: The shop fails its probe.
mode: auto
when:
  probe: {event: http.probe, where: {data.ok: false}, streak: 3}
incident:
  type: service-down
  severity: critical
  title: "$service.name fails its probe ($probe.data.status)"
clears: {event: http.probe, where: {data.ok: true}, streak: 2}
contain:
  - {do: restart-unit, at: $service.hosts, with: {unit: $service.unit}}
then:
  - ask: "Roll $service.name back?"
    if: {firing: true}
    choices: {roll-back: {do: roll-back-release, at: $service.hosts}, wait: {}}
    silence: wait
    within: 30m
""",
    "policies/envelopes.yaml": """
policy: service-down-envelope
doc: A service that is down may be restarted.
envelope: {incident_type: service-down, allow: {risk: low, touches: [availability, customers-see]}}
""",
}


class World:
    """Feeds the journal, moves time, and plays the hands, the courier and the operator."""

    def __init__(self, directory: Path, files: dict[str, str]) -> None:
        self.path = directory / "holdfast.db"
        self.now: Millis = START
        self.count = 0
        self.files = files
        self.snapshots: dict[str, Snapshot] = {}
        self.snapshot = self.load(files, "c1")
        self.db = Database.open(self.path)
        self.pipeline = self._pipeline()
        self.begin()

    def load(self, files: dict[str, str], commit: str) -> Snapshot:
        found = load_files({name: text.encode() for name, text in files.items()}, commit)
        self.snapshots[commit] = found
        return found

    def _pipeline(self) -> Pipeline:
        identity = Identity("lab", KEY)
        return Pipeline(self.db, loaded(self.snapshot), identity, decided=lambda *_: None)

    def begin(self) -> None:
        self.put(EntryKind.START, "app", msgspec.json.encode(Start("boot", "0")))

    def restart(self) -> None:
        """What a kill -9 and a new start do to the pipeline: only the database is left."""
        self.pipeline = self._pipeline()
        self.begin()

    def put(self, kind: EntryKind, source: str, body: bytes, entry_id: str | None = None) -> int:
        self.count += 1
        entry = Entry(kind, source, entry_id or f"{source}-{self.count}", self.snapshot.commit, body)
        with self.db.begin(POINT) as tx:
            (seq,) = journal.append(tx, [entry], self.now)
        self.pipeline.drain()
        return seq

    def event(
        self,
        kind: str,
        *,
        source: str = "hook",
        service: str | None = None,
        host: str | None = None,
        **data: Json,
    ) -> int:
        self.count += 1
        event = Event(
            id=f"e{self.count}",
            source=source,
            type=kind,
            time=self.now,
            received=self.now,
            severity=Severity.ERROR,
            subject=service or source,
            provenance=Provenance("bearer", Trust.MEDIUM, self.snapshot.commit),
            service=service,
            host=host,
            data=data,
        )
        return self.put(EntryKind.EVENT, source, msgspec.json.encode(event), event.id)

    def probe(self, *, ok: bool, times: int = 1, service: str = "shop") -> None:
        for _ in range(times):
            self.now += 1000
            self.event("http.probe", source="shop-probe", service=service, ok=ok, status=200 if ok else 500)

    def pass_time(self, span: Millis) -> None:
        """Move the clock; every timer that becomes due on the way ticks at its time."""
        end = self.now + span
        while True:
            with self.db.read() as tx:
                soonest = timers.next_due(tx)
            if soonest is None or soonest > end:
                break
            self.now = max(self.now, soonest)
            with self.db.read() as tx:
                (timer, *_) = timers.due(tx, self.now, 1)
            self.put(EntryKind.TICK, "clock", msgspec.json.encode(Tick(timer.id)), f"{timer.id}@{timer.due}")
        self.now = end

    def ready(self) -> list[AttemptOrder]:
        with self.db.read() as tx:
            return runs.ready(tx, 100)

    def ends(
        self,
        order: AttemptOrder,
        kind: OutcomeKind = OutcomeKind.ENDED,
        code: int | None = 0,
        *,
        intended: bool = True,
    ) -> None:
        if intended:
            with self.db.begin(POINT) as tx:
                assert runs.intend(tx, order.id, "boot-a", self.now)
        outcome = Outcome(
            order.id, kind, code if kind is OutcomeKind.ENDED else None, "output", detail="as told"
        )
        self.put(EntryKind.OUTCOME, "execute", msgspec.json.encode(outcome), order.id)

    def answers(self, gate: Gate, words: str, **changes: object) -> gates.Answer:
        reply = InboundReply("mail", "me@lab.test", f"<{self.count}>", words, "", AuthLevel.PROVEN, "me")
        reply = replace(reply, thread_ref=self.ref(gate))
        seq = self.put(EntryKind.REPLY, "mail", msgspec.json.encode(replace(reply, **changes)))  # type: ignore[arg-type]
        with self.db.read() as tx:
            found = gates.recorded(tx, seq)
        assert found is not None
        return found

    def ref(self, gate: Gate) -> str:
        return thread_ref(KEY, gate.id)

    def code(self, gate: Gate, operator: str = "me") -> str:
        return code_for(KEY, gate.id, operator)

    def delivered(self, message: Message, state: DeliveryState, detail: str = "") -> None:
        with self.db.begin(POINT) as tx:
            outbox.take(tx, message.id, self.now)
        self.put(EntryKind.DELIVERY, "notify", msgspec.json.encode(Delivery(message.id, state, detail)))

    def messages(self) -> list[Message]:
        with self.db.read() as tx:
            return outbox.due(tx, self.now + 10**9, 100)

    def questions(self) -> list[Gate]:
        with self.db.read() as tx:
            return gates.pending(tx)

    def incidents(self) -> list[Incident]:
        with self.db.read() as tx:
            return incidents.listed(tx)

    def runs(self) -> list[Run]:
        with self.db.read() as tx:
            return [run for found in incidents.listed(tx) for run in runs.of_incident(tx, found.id)]

    def story(self) -> list[str]:
        with self.db.read() as tx:
            return [
                f"{item.kind}: {item.text}"
                for found in incidents.listed(tx)
                for item in incidents.story(tx, found.id)
            ]

    def kinds(self) -> list[str]:
        return [line.partition(":")[0] for line in self.story()]

    def switch(self, *, stopped: bool) -> None:
        self.put(EntryKind.SWITCH, "cli", msgspec.json.encode(Switch(stopped, "me")))

    def close(self, incident: str, reason: str = "") -> None:
        self.put(EntryKind.CLOSE, "cli", msgspec.json.encode(Close(incident, "me", reason)))

    def push(self, files: dict[str, str], commit: str) -> None:
        swap = ConfigSwap(commit, self.snapshot.commit)
        self.snapshot = self.load(files, commit)
        for snapshot in self.snapshots.values():
            self.pipeline.offer(loaded(snapshot))
        self.put(EntryKind.CONFIG, "config", msgspec.json.encode(swap))


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(**changed: str) -> World:
        files = {
            **CONFIG,
            **{name.replace("__", "/").replace("_yaml", ".yaml"): text for name, text in changed.items()},
        }
        directory = tmp_path / str(len(made))
        made.append(World(directory, files))
        return made[-1]

    yield make
    for world in made:
        world.db.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()
