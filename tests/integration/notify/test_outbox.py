"""The outbox with a real store, the real courier process and real services."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from holdfast.effects import crash_point
from holdfast.errors import HoldfastError, StoreError
from holdfast.model.events import Entry
from holdfast.model.kinds import EntryKind
from holdfast.model.records import Delivery, DeliveryState, Message
from holdfast.model.snapshot import Channel, Snapshot
from holdfast.model.values import Secret, Severity
from holdfast.notify.address import with_ref
from holdfast.notify.courier import Courier
from holdfast.notify.outbox import Outbox
from holdfast.rehearsal.mail import MailServers
from holdfast.store import outbox as rows
from holdfast.store.database import Database

DECIDE = crash_point("test.notify.decide")
SENT, FAILED, UNCONFIRMED = DeliveryState.SENT, DeliveryState.FAILED, DeliveryState.UNCONFIRMED
CODE = "7KQ4-MX"


@dataclass(slots=True)
class House:
    """What the daemon is to the outbox: a store, a journal, a clock, channels and secrets."""

    db: Database
    book: Any
    courier: Courier
    now: int = 1_000_000
    channels: dict[str, Channel] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    filled: list[str] = field(default_factory=list)
    outboxes: list[Outbox] = field(default_factory=list)

    def channel(self, name: str, url: str, timeout: int = 20_000) -> None:
        self.channels[name] = Channel(name, Secret(name), timeout=timeout)
        self.secrets[name] = url

    def secret(self, secret: Secret) -> str:
        return self.secrets[secret.name]

    def fill(self, message: Message) -> str:
        self.filled.append(message.id)
        return message.body.replace("{code}", CODE)

    def outbox(self, look_every: float = 30.0) -> Outbox:
        outbox = Outbox(
            self.db,
            self.book.put,
            snapshot=lambda: Snapshot("c0ffee", channels=dict(self.channels)),
            secret=self.secret,
            fill=self.fill,
            reply_address=lambda message: (
                with_ref("holdfast@lab.test", message.gate) if message.gate is not None else None
            ),
            clock=lambda: self.now,
            courier=self.courier,
            look_every=look_every,
        )
        self.outboxes.append(outbox)
        return outbox

    def queue(self, name: str, channel: str, due: int = 0, gate: str | None = None) -> None:
        message = Message(
            name,
            "i1",
            "founder",
            channel,
            "shop is down",
            f"{name}: reply with {{code}}",
            gate,
            Severity.ERROR,
        )
        with self.db.begin(DECIDE) as tx:
            rows.put(tx, message, due, self.now)

    def states(self) -> dict[str, str]:
        with self.db.read() as tx:
            return {message.id: str(state) for message, state, _ in rows.of_incident(tx, "i1")}

    def delivered(self) -> dict[str, Delivery]:
        return {delivery.message: delivery for delivery in self.book.deliveries()}


@pytest.fixture
def house(db: Database, book: Any, courier: Courier) -> Iterator[House]:
    """A house whose outboxes are stopped at the end."""
    house = House(db, book, courier)
    yield house
    for outbox in house.outboxes:
        outbox.stop(0.1)


def test_a_queued_message_arrives_with_its_code_and_its_reply_address(
    house: House, mail: MailServers, until: Callable[..., None]
) -> None:
    house.channel("mail", mail.smtp_url("holdfast", "founder@lab.test"))
    outbox = house.outbox()
    outbox.start()

    house.queue("m1", "mail", gate="g1")
    outbox.wake()
    (arrived,) = mail.wait_for("founder", 1)
    until(house.book.entries)
    (entry,) = house.book.entries()

    assert arrived["Subject"] == "shop is down"
    assert arrived["Reply-To"] == "holdfast+g1@lab.test"
    assert arrived.get_content().strip() == f"m1: reply with {CODE}"
    assert (entry.kind, entry.source, entry.id, entry.commit) == (
        EntryKind.DELIVERY,
        "notify",
        "m1/1",
        "c0ffee",
    )
    assert msgspec.json.decode(entry.body, type=Delivery) == Delivery("m1", SENT)
    assert house.states() == {"m1": "sending"}, "what follows is the pipeline's decision"


def test_the_code_is_not_in_the_store(
    house: House, web: Any, until: Callable[..., None], tmp_path: Path
) -> None:
    house.channel("hook", f"json://127.0.0.1:{web.port}/t0ken-c4nary")
    house.queue("m1", "hook", gate="g1")
    house.outbox().start()

    until(house.delivered)
    written = b"".join(path.read_bytes() for path in tmp_path.glob("holdfast.db*"))

    assert CODE in str(web.bodies[0]["message"])
    assert CODE.encode() not in written
    assert b"c4nary" not in written


def test_what_was_queued_before_the_start_is_sent(house: House, web: Any, until: Callable[..., None]) -> None:
    house.channel("hook", f"json://127.0.0.1:{web.port}/")
    house.queue("m1", "hook")
    house.outbox().start()

    until(house.delivered)

    assert house.delivered()["m1"].state is SENT


def test_a_message_waits_until_it_is_due_and_is_then_sent_without_a_wake(
    house: House, web: Any, until: Callable[..., None]
) -> None:
    house.channel("hook", f"json://127.0.0.1:{web.port}/")
    house.queue("later", "hook", due=house.now + 300)
    house.queue("now", "hook")
    house.outbox().start()

    until(house.delivered)
    before = set(house.delivered())
    house.now += 300
    until(lambda: len(house.delivered()) == 2)

    assert before == {"now"}


def test_messages_of_one_channel_go_out_in_order(house: House, web: Any, until: Callable[..., None]) -> None:
    house.channel("hook", f"json://127.0.0.1:{web.port}/")
    names = [f"m{number:02d}" for number in range(20)]
    for number, name in enumerate(names):
        house.queue(name, "hook", due=number)
    outbox = house.outbox()
    outbox.start()
    for _ in range(5):
        outbox.wake()

    until(lambda: len(house.delivered()) == 20)

    assert [str(body["message"]).partition(":")[0] for body in web.bodies] == names


def test_a_hung_channel_does_not_delay_another(
    house: House, web: Any, hung: int, until: Callable[..., None]
) -> None:
    house.channel("hung", f"json://127.0.0.1:{hung}/?rto=60", timeout=15_000)
    house.channel("hook", f"json://127.0.0.1:{web.port}/")
    for number in range(5):
        house.queue(f"hung{number}", "hung")
    house.queue("quick", "hook")
    house.outbox().start()

    until(house.delivered, 12.0)

    assert list(house.delivered()) == ["quick"]
    assert sorted(house.states().values()) == ["pending"] * 4 + ["sending"] * 2


def test_a_time_out_is_unconfirmed_and_frees_the_channel(
    house: House, web: Any, hung: int, until: Callable[..., None]
) -> None:
    house.channel("hung", f"json://127.0.0.1:{hung}/?rto=60", timeout=300)
    house.queue("a", "hung")
    house.queue("b", "hung")
    house.outbox().start()

    until(lambda: len(house.delivered()) == 2)

    assert {one.state for one in house.delivered().values()} == {UNCONFIRMED}
    assert "may still arrive" in house.delivered()["a"].detail


def test_an_unknown_channel_is_a_clear_failure(house: House, until: Callable[..., None]) -> None:
    house.queue("m1", "pigeon")
    house.outbox().start()

    until(house.delivered)

    assert house.delivered()["m1"] == Delivery(
        "m1", FAILED, "channel 'pigeon' is not declared: add it under `channels:`"
    )
    assert house.courier.pid is None


def test_a_missing_secret_is_a_clear_failure(house: House, until: Callable[..., None]) -> None:
    house.channels["mail"] = Channel("mail", Secret("mail-url"))
    house.queue("m1", "mail")
    house.outbox().start()

    until(house.delivered)

    assert house.delivered()["m1"].state is FAILED
    assert "$secret.mail-url" in house.delivered()["m1"].detail


def test_the_keeper_of_secrets_says_itself_what_to_do(
    house: House, until: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def secret(self: House, name: Secret) -> str:
        raise HoldfastError(f"The secret {name.name!r} is missing: put it into /etc/x")

    monkeypatch.setattr(House, "secret", secret)
    house.channels["mail"] = Channel("mail", Secret("mail-url"))
    house.queue("m1", "mail")
    house.outbox().start()

    until(house.delivered)

    assert house.delivered()["m1"] == Delivery(
        "m1",
        FAILED,
        "the URL of channel 'mail' cannot be read: The secret 'mail-url' is missing: put it into /etc/x",
    )


def test_a_code_that_cannot_be_filled_in_is_a_failure_and_the_next_message_goes_out(
    house: House, web: Any, until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    house.channel("hook", f"json://127.0.0.1:{web.port}/")
    real = house.fill

    def fill(message: Message) -> str:
        if message.id == "m1":
            raise LookupError(f"no such gate, code {CODE}")
        return real(message)

    monkeypatch.setattr(House, "fill", lambda _, message: fill(message))
    house.queue("m1", "hook")
    house.queue("m2", "hook", due=1)
    house.outbox().start()

    until(lambda: len(house.delivered()) == 2)

    assert house.delivered()["m1"] == Delivery(
        "m1", FAILED, "the reply code cannot be filled in (LookupError)"
    )
    assert house.delivered()["m2"].state is SENT


def test_what_a_crash_left_half_done_is_unconfirmed_and_not_sent_again(
    house: House, web: Any, until: Callable[..., None]
) -> None:
    house.channel("hook", f"json://127.0.0.1:{web.port}/")
    house.queue("m1", "hook")
    with house.db.begin(DECIDE) as tx:
        rows.take(tx, "m1", house.now)
    house.queue("m2", "hook")
    house.outbox().start()

    until(lambda: len(house.delivered()) == 2)

    assert house.delivered()["m1"].state is UNCONFIRMED
    assert "the daemon died" in house.delivered()["m1"].detail
    assert [entry.id for entry in house.book.entries()] == ["m1/1", "m2/1"]
    assert len(web.bodies) == 1


def test_a_delivery_that_was_journalled_before_the_crash_is_not_contradicted(
    house: House, until: Callable[..., None]
) -> None:
    house.queue("m1", "hook")
    with house.db.begin(DECIDE) as tx:
        rows.take(tx, "m1", house.now)
    body = msgspec.json.encode(Delivery("m1", SENT))
    house.book.put([Entry(EntryKind.DELIVERY, "notify", "m1/1", "c0ffee", body)])
    writes = len(house.book.arrived)
    house.outbox().start()

    until(lambda: len(house.book.arrived) > writes)

    assert house.book.deliveries() == [Delivery("m1", SENT)]


def test_a_full_journal_delays_the_report_and_does_not_lose_it(
    house: House, web: Any, until: Callable[..., None]
) -> None:
    house.channel("hook", f"json://127.0.0.1:{web.port}/")
    house.book.refuse = 2
    house.queue("m1", "hook")
    house.outbox().start()

    until(house.delivered)

    assert house.delivered()["m1"].state is SENT
    assert len(web.bodies) == 1


@dataclass(slots=True)
class FailingDisk:
    """The store of a full disk: so many transactions fail, then it works."""

    db: Database
    reads: int = 0
    writes: int = 0

    def read(self) -> AbstractContextManager[Any]:
        if self.reads:
            self.reads -= 1
            raise StoreError("cannot be read")
        return self.db.read()

    def begin(self, point: str, *, derived: bool = False) -> AbstractContextManager[Any]:
        if self.writes:
            self.writes -= 1
            raise StoreError("the disk is full")
        return self.db.begin(point, derived=derived)

    def sync(self) -> None:
        self.db.sync()


def test_a_disk_that_is_full_for_a_moment_delays_a_message_and_does_not_lose_it(
    house: House, web: Any, until: Callable[..., None]
) -> None:
    house.channel("hook", f"json://127.0.0.1:{web.port}/")
    house.queue("m1", "hook")
    disk: Any = FailingDisk(house.db, reads=2, writes=2)
    house.db = disk

    with structlog.testing.capture_logs() as logs:
        house.outbox().start()
        until(house.delivered)

    assert house.delivered()["m1"].state is SENT
    assert [line["event"] for line in logs][:2] == ["outbox.unreadable"] * 2
    assert [line["event"] for line in logs].count("outbox.store") == 2
    assert len(web.bodies) == 1


def test_a_disk_that_does_not_keep_the_claim_at_once_delays_a_message_and_does_not_lose_it(
    house: House, web: Any, until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim is committed, and only the wait for the disk fails: nobody else will take the message up."""
    house.channel("hook", f"json://127.0.0.1:{web.port}")
    house.queue("m1", "hook")
    flush, refuse = os.fdatasync, iter([True])

    def refuse_once(file: int) -> None:
        if next(refuse, False):
            assert house.states() == {"m1": "sending"}
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        flush(file)

    monkeypatch.setattr(os, "fdatasync", refuse_once)
    house.outbox().start()
    until(house.delivered)

    assert house.delivered()["m1"] == Delivery("m1", SENT)
    assert len(web.bodies) == 1


def test_a_courier_process_killed_while_sending_is_unconfirmed(
    house: House, hung: int, until: Callable[..., None]
) -> None:
    house.channel("hung", f"json://127.0.0.1:{hung}/?rto=60")
    house.queue("m1", "hung")
    house.outbox().start()
    until(lambda: house.states() == {"m1": "sending"} and house.courier.pid is not None)
    child = house.courier.pid
    assert child is not None
    until(lambda: connections_to(hung))

    os.kill(child, signal.SIGKILL)
    until(house.delivered)

    assert house.delivered()["m1"].state is UNCONFIRMED


def test_a_message_taken_by_somebody_else_is_left_alone(
    house: House, web: Any, until: Callable[..., None]
) -> None:
    house.channel("hook", f"json://127.0.0.1:{web.port}/")
    for number in range(10):
        house.queue(f"m{number}", "hook")
    first, second = house.outbox(), house.outbox()
    first.start()
    second.start()

    until(lambda: len(house.delivered()) == 10)

    assert len(web.bodies) == 10


def test_a_stop_comes_back_soon_and_leaves_what_was_not_begun(
    house: House, hung: int, until: Callable[..., None]
) -> None:
    house.channel("hung", f"json://127.0.0.1:{hung}/?rto=60")
    house.queue("m1", "hung")
    house.queue("m2", "hung", due=1)
    outbox = house.outbox()
    outbox.start()
    until(lambda: connections_to(hung))

    outbox.stop(0.2)

    assert house.delivered()["m1"].state is UNCONFIRMED
    assert house.states() == {"m1": "sending", "m2": "pending"}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("outbox")]


CRASHING = """
import sys, threading
from pathlib import Path
from holdfast.effects import crash_point
from holdfast.model.records import Message
from holdfast.model.snapshot import Channel, Snapshot
from holdfast.model.values import Secret
from holdfast.notify.courier import Courier
from holdfast.notify.outbox import Outbox
from holdfast.store import journal, outbox as rows
from holdfast.store.database import Database
POINT = crash_point("test.notify.crash")
db = Database.open(Path(sys.argv[1]))
def put(entries):
    with db.begin(POINT) as tx:
        return journal.append(tx, entries, 1)
with db.begin(POINT) as tx:
    rows.put(tx, Message("m1", "i1", "founder", "hook", "t", "b"), 0, 0)
snapshot = Snapshot("c0ffee", channels={"hook": Channel("hook", Secret("hook"))})
Outbox(db, put, snapshot=lambda: snapshot, secret=lambda _: sys.argv[2], fill=lambda m: m.body,
       reply_address=lambda m: None, clock=lambda: 5, courier=Courier()).start()
threading.Event().wait(60)
"""


@pytest.mark.parametrize(
    ("point", "sent", "state"),
    [
        ("notify.take.before", 0, "sent"),
        ("notify.take.after", 0, "unconfirmed"),
        ("notify.send.before", 0, "unconfirmed"),
        ("notify.send.after", 1, "unconfirmed"),
    ],
)
def test_a_daemon_killed_at_any_point_sends_at_most_once_and_reports_once(
    web: Any, journal_of: Any, tmp_path: Path, until: Callable[..., None], point: str, sent: int, state: str
) -> None:
    path, url = tmp_path / "crash.db", f"json://127.0.0.1:{web.port}/"
    environment = {**os.environ, "HOLDFAST_CRASH_AT": point}
    command = [sys.executable, "-c", CRASHING, str(path), url]

    died = subprocess.run(command, env=environment, timeout=90, check=False)
    before = len(web.bodies)
    db = Database.open(path)
    courier = Courier()
    try:
        house = House(db, journal_of(db), courier)
        house.channel("hook", url)
        outbox = house.outbox()
        outbox.start()
        until(house.delivered)
        outbox.stop(5.0)
        deliveries = house.book.deliveries()
    finally:
        courier.stop(0.1)
        db.close()

    assert died.returncode == -signal.SIGKILL
    assert before == sent
    assert [str(one.state) for one in deliveries] == [state]
    assert len(web.bodies) == (1 if state == "sent" else sent)


def test_neither_logs_nor_deliveries_hold_secrets_or_codes_or_reply_addresses(
    house: House,
    mail: MailServers,
    closed: int,
    until: Callable[..., None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    good = mail.smtp_url("holdfast", "founder@lab.test")
    house.channel("good", good)
    house.channel("wrong", good.replace("bot-password", "c4nary-password"))
    house.channel("nobody", f"json://127.0.0.1:{closed}/c4nary-token?+X-Key=c4nary-key")
    house.channel("broken", "c4nary-nonsense://c4nary")
    for name in house.channels:
        house.queue(name, name, gate="g1c4nary")

    with structlog.testing.capture_logs() as logs:
        house.outbox().start()
        until(lambda: len(house.delivered()) == 4)
    entries = b"".join(entry.body for entry in house.book.entries()).decode()
    seen = entries + repr(logs) + "".join(capfd.readouterr())

    assert house.delivered()["good"].state is SENT
    assert [word for word in ("c4nary", CODE, "bot-password") if word in seen] == []
    assert len(logs) == 4


def connections_to(port: int) -> bool:
    """Whether somebody is connected to this port of ours."""
    wanted = f":{port:04X}"
    rows_of = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    return any(row.split()[2].endswith(wanted) and row.split()[3] == "01" for row in rows_of)


def test_a_courier_with_a_defect_costs_one_message_and_not_its_channel(
    house: House, until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> Delivery:
        raise ZeroDivisionError

    house.channel("hook", "json://127.0.0.1:1/")
    monkeypatch.setattr(house.courier, "send", fail)
    outbox = house.outbox()
    outbox.start()
    for name in ("m1", "m2"):
        house.queue(name, "hook")
        outbox.wake()
        until(lambda wanted=name: wanted in house.delivered())

    assert {delivery.state for delivery in house.delivered().values()} == {UNCONFIRMED}
