"""The hands over a real store, with real commands, through crashes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from holdfast.effects import crash_point
from holdfast.errors import ConnectorError, Overloaded, StoreError
from holdfast.execute.connector import Ending
from holdfast.execute.hands import Hands
from holdfast.execute.local import LocalConnector
from holdfast.execute.ssh import SshConnector
from holdfast.model.actions import Connector
from holdfast.model.events import Entry
from holdfast.model.kinds import EntryKind
from holdfast.model.records import AttemptOrder, Outcome, OutcomeKind
from holdfast.redact import MARK as REDACTED
from holdfast.redact import Redactor
from holdfast.rehearsal.sshd import Sshd
from holdfast.store import runs
from holdfast.store.database import Database, Tx
from holdfast.store.runs import AttemptState, Labels

Order = Callable[..., AttemptOrder]
Until = Callable[..., None]
TEST: str = crash_point("test.execute.hands")
NOW = 1_700_000_000_000
PATIENT = 'echo x >>"$0/count"; until [ -e "$0/go" ]; do sleep 0.02; done; echo done'
COUNT = 'echo x >>"$0/count"'


class Journal:
    """Takes outcomes as the journal does: the first per id counts."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.refuse = 0

    def put(self, entries: Sequence[Entry]) -> None:
        if self.refuse:
            self.refuse -= 1
            raise Overloaded("the journal is full: try again later")
        self.entries += entries

    def outcomes(self) -> dict[str, Outcome]:
        found: dict[str, Outcome] = {}
        for entry in self.entries:
            found.setdefault(entry.id, msgspec.json.decode(entry.body, type=Outcome))
        return found


class Rig:
    """A store, a journal, and hands that are ended with the test."""

    def __init__(self, path: Path) -> None:
        self.db = Database.open(path / "holdfast.db")
        self.journal = Journal()
        self.hands: list[Hands] = []
        self.may_start = True

    def ready(self, *orders: AttemptOrder) -> None:
        with self.db.begin(TEST) as tx:
            for number, order in enumerate(orders):
                runs.order(
                    tx, order, step=0, number=1, labels=Labels(None, None, "down", "rule"), now=NOW + number
                )

    def intended(self, order: AttemptOrder, boot: str) -> None:
        self.ready(order)
        with self.db.begin(TEST) as tx:
            assert runs.intend(tx, order.id, boot, NOW)

    def state(self, order: AttemptOrder) -> AttemptState:
        with self.db.read() as tx:
            found = runs.attempt(tx, order.id)
        assert found is not None
        return found.state

    def start(self, connectors: dict[Connector, object], **more: object) -> Hands:
        settings: dict[str, object] = {
            "redact": str,
            "commit": lambda: "c0ffee",
            "may_start": lambda: self.may_start,
            "workers": 4,
            **more,
        }
        hands = Hands(self.db, self.journal.put, connectors, lambda: NOW, **settings)  # type: ignore[arg-type]
        self.hands.append(hands)
        hands.start()
        return hands

    def close(self) -> None:
        for hands in self.hands:
            hands.stop(5)
        self.db.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


@pytest.fixture
def here(order: Order) -> Order:
    """Orders for this machine."""

    def build(*argv: str, **more: object) -> AttemptOrder:
        return order(*argv, way=Connector.LOCAL, **{"target": "local", **more})

    return build


def count(tmp_path: Path) -> int:
    path = tmp_path / "count"
    return len(path.read_text().splitlines()) if path.exists() else 0


class Fake:
    """A connector of a few lines for what no real host does on demand; `run` and `status` are given."""

    def __init__(
        self,
        run: Callable[[AttemptOrder], Ending] | None = None,
        status: Callable[[AttemptOrder], Ending | None] | None = None,
        boot: Callable[[], str] = lambda: "b/m",
    ) -> None:
        self._run, self._status, self._boot = run, status, boot
        self.ran: list[str] = []
        self.asked: list[str] = []
        self.closed = threading.Event()

    def boot(self, _target: str) -> str:
        return self._boot()

    def run(self, order: AttemptOrder, _boot: str) -> Ending:
        self.ran.append(order.id)
        assert self._run is not None
        return self._run(order)

    def status(self, order: AttemptOrder, _boot: str) -> Ending | None:
        self.asked.append(order.id)
        assert self._status is not None
        return self._status(order)

    def close(self) -> None:
        self.closed.set()


# -- the usual way ------------------------------------------------------------------------------------


def test_a_ready_attempt_is_made_once_and_its_outcome_is_journalled(
    rig: Rig, local: LocalConnector, here: Order, tmp_path: Path, until: Until
) -> None:
    order = here("sh", "-c", f"{COUNT}; echo said; exit 4", str(tmp_path))
    hands = rig.start({Connector.LOCAL: local})
    rig.ready(order)
    hands.wake()
    until(lambda: rig.journal.entries, "the outcome")

    (entry,) = rig.journal.entries
    assert (entry.kind, entry.source, entry.id, entry.commit) == (
        EntryKind.OUTCOME,
        "execute",
        order.id,
        "c0ffee",
    )
    outcome = rig.journal.outcomes()[order.id]
    assert (outcome.attempt, outcome.kind, outcome.exit_code, outcome.output) == (
        order.id,
        OutcomeKind.ENDED,
        4,
        "said\n",
    )
    assert outcome.boot == local.boot("local")
    assert outcome.started is not None
    assert outcome.ended is not None
    assert outcome.started <= outcome.ended <= NOW
    assert rig.state(order) is AttemptState.INTENDED
    assert count(tmp_path) == 1


def test_what_is_ready_before_the_start_is_made_too(
    rig: Rig, local: LocalConnector, here: Order, until: Until
) -> None:
    rig.ready(here("true"))
    rig.start({Connector.LOCAL: local})

    until(lambda: rig.journal.entries, "the outcome")


def test_the_intent_is_on_disk_before_the_world_is_touched(rig: Rig, order: Order, until: Until) -> None:
    seen: list[AttemptState] = []
    attempt = order("x")

    def look(asked: AttemptOrder) -> Ending:
        seen.append(rig.state(asked))
        return Ending(OutcomeKind.ENDED, 0)

    rig.ready(attempt)
    rig.start({Connector.SSH: Fake(look)})
    until(lambda: rig.journal.entries, "the outcome")

    assert seen == [AttemptState.INTENDED]


def test_one_target_gets_one_attempt_at_a_time_and_others_are_not_held_up(
    rig: Rig, local: LocalConnector, order: Order, tmp_path: Path, until: Until
) -> None:
    both, most = threading.Barrier(2, timeout=20), []
    at_work: dict[str, int] = {}
    lock = threading.Lock()

    def run(asked: AttemptOrder) -> Ending:
        target = asked.step.target
        with lock:
            at_work[target] = at_work.get(target, 0) + 1
            most.append(at_work[target])
        if asked.id.endswith("first"):  # only when both targets are at work at the same time do they go on
            both.wait()
        with lock:
            at_work[target] -= 1
        return Ending(OutcomeKind.ENDED, 0)

    connector = Fake(run)
    names = ("first", "second", "third")
    rig.ready(
        *(order("x", attempt=f"{host}/{name}", target=host) for name in names for host in ("web1", "web2"))
    )
    rig.start({Connector.SSH: connector})
    until(lambda: len(rig.journal.outcomes()) == 6, "six outcomes")

    assert set(most) == {1}
    for host in ("web1", "web2"):
        assert [ran for ran in connector.ran if ran.startswith(host)] == [f"{host}/{name}" for name in names]


def test_a_long_line_is_worked_off_in_order_without_reading_it_again_and_again(
    rig: Rig, order: Order, until: Until
) -> None:
    reads: list[int] = []
    store, many = rig.db, [f"r{number:04}/0/1" for number in range(1250)]
    rig.ready(*(order("x", attempt=name) for name in many))
    rig.db = Counted(store, reads)  # type: ignore[assignment]
    connector = Fake(lambda _: Ending(OutcomeKind.ENDED, 0))
    rig.start({Connector.SSH: connector})
    rig.db = store
    until(lambda: len(rig.journal.entries) >= 1250, "the outcomes")

    assert connector.ran == many
    assert len(rig.journal.outcomes()) == 1250
    assert len(reads) < 1250 / 50


def test_a_long_line_on_one_target_keeps_no_other_waiting(rig: Rig, order: Order, until: Until) -> None:
    go = threading.Event()

    def run(asked: AttemptOrder) -> Ending:
        if asked.step.target == "web1":
            go.wait(20)
        return Ending(OutcomeKind.ENDED, 0)

    rig.ready(*(order("x", attempt=f"a{number:04}/0/1") for number in range(1500)))
    hands = rig.start({Connector.SSH: Fake(run)})
    rig.ready(order("x", attempt="b/0/1", target="web2"))
    hands.wake()
    until(lambda: rig.journal.entries, "the other target's outcome")
    first = rig.journal.entries[0].id
    hands.stop(0)
    go.set()

    assert first == "b/0/1"


def test_what_becomes_ready_while_a_line_is_worked_off_is_made_last_and_once(
    rig: Rig, order: Order, until: Until
) -> None:
    late = [f"late{number}/0/1" for number in range(150)]

    def run(asked: AttemptOrder) -> Ending:
        if asked.id.startswith("early") and int(asked.id[5:8]) % 2:
            rig.ready(order("x", attempt=late[int(asked.id[5:8]) // 2]))
            rig.hands[0].wake()
        return Ending(OutcomeKind.ENDED, 0)

    early = [f"early{number:03}/0/1" for number in range(300)]
    rig.ready(*(order("x", attempt=name) for name in early))
    connector = Fake(run)
    rig.start({Connector.SSH: connector})
    until(lambda: len(rig.journal.entries) >= 450, "the outcomes")

    assert sorted(connector.ran) == sorted(early + late)
    assert [ran for ran in connector.ran if ran in early] == early


def test_what_a_host_refuses_before_anything_starts_is_not_started_with_the_reason(
    rig: Rig, order: Order, until: Until
) -> None:
    def unreachable() -> str:
        raise ConnectorError("web1 cannot be reached: connection refused")

    rig.ready(order("x"))
    rig.start({Connector.SSH: Fake(boot=unreachable)})
    until(lambda: rig.journal.entries, "the outcome")

    outcome = rig.journal.outcomes()["r1/0/1"]
    assert outcome.kind is OutcomeKind.NOT_STARTED
    assert "connection refused" in outcome.detail
    assert rig.state(order("x")) is AttemptState.INTENDED  # so that no crash can make it twice


def test_a_defect_before_anything_starts_is_not_started_too(rig: Rig, order: Order, until: Until) -> None:
    def fail() -> str:
        raise ZeroDivisionError

    rig.ready(order("x"))
    rig.start({Connector.SSH: Fake(boot=fail)})
    until(lambda: rig.journal.entries, "the outcome")

    outcome = rig.journal.outcomes()["r1/0/1"]
    assert (outcome.kind, outcome.detail) == (OutcomeKind.NOT_STARTED, "ZeroDivisionError")


def test_what_a_connector_refuses_to_start_is_not_started(rig: Rig, order: Order, until: Until) -> None:
    def refuse(_: AttemptOrder) -> Ending:
        raise ConnectorError("web1: its state directory cannot be written, so nothing was started")

    rig.ready(order("x"))
    rig.start({Connector.SSH: Fake(refuse)})
    until(lambda: rig.journal.entries, "the outcome")

    assert rig.journal.outcomes()["r1/0/1"].kind is OutcomeKind.NOT_STARTED


def test_planted_secrets_are_in_no_outcome(
    rig: Rig, local: LocalConnector, here: Order, until: Until
) -> None:
    canary = "c4n4ry/s3cret+"
    redactor = Redactor([canary])
    script = 'echo "plain $1"; printf %s "$1" | base64; echo "json \\"$1\\""; head -c 70000 /dev/zero'
    rig.ready(here("sh", "-c", script, "x", canary))
    rig.start({Connector.LOCAL: local}, redact=redactor.text)
    until(lambda: rig.journal.entries, "the outcome")

    body = rig.journal.entries[0].body.decode()
    assert canary not in body
    assert "YzRuNHJ5" not in body
    assert body.count(REDACTED) >= 3


def test_a_secret_in_the_reason_of_a_failure_is_redacted(rig: Rig, order: Order, until: Until) -> None:
    def leak(_: AttemptOrder) -> Ending:
        raise ConnectorError("bad password hunter2222")

    rig.ready(order("x"))
    rig.start({Connector.SSH: Fake(leak)}, redact=Redactor(["hunter2222"]).text)
    until(lambda: rig.journal.entries, "the outcome")

    assert "hunter2222" not in rig.journal.entries[0].body.decode()


# -- the kill switch, cancelling, stopping ------------------------------------------------------------


def test_nothing_starts_while_it_may_not_and_everything_when_it_may_again(
    rig: Rig, order: Order, until: Until
) -> None:
    connector = Fake(lambda _: Ending(OutcomeKind.ENDED, 0))
    rig.may_start = False
    rig.ready(order("x"))
    hands = rig.start({Connector.SSH: connector})
    hands.wake()
    threading.Event().wait(0.1)

    assert connector.ran == []
    assert rig.state(order("x")) is AttemptState.READY
    rig.may_start = True
    hands.wake()
    until(lambda: rig.journal.entries, "the outcome")


def test_a_line_that_the_switch_held_up_is_made_when_it_may_again(
    rig: Rig, order: Order, until: Until
) -> None:
    held = threading.Event()

    def run(asked: AttemptOrder) -> Ending:
        if asked.id == "r0003/0/1":
            rig.may_start = False
            held.set()
        return Ending(OutcomeKind.ENDED, 0)

    many = [f"r{number:04}/0/1" for number in range(350)]
    rig.ready(*(order("x", attempt=name) for name in many))
    connector = Fake(run)
    hands = rig.start({Connector.SSH: connector})
    assert held.wait(20)
    until(lambda: len(rig.journal.entries) == 4, "the outcome of the last one")
    threading.Event().wait(0.1)
    ran = list(connector.ran)
    rig.may_start = True
    hands.wake()
    until(lambda: len(rig.journal.entries) >= 350, "the outcomes")

    assert ran == many[:4]
    assert sorted(connector.ran) == many


def test_the_switch_is_asked_right_before_the_intent(rig: Rig, order: Order, until: Until) -> None:
    booted = threading.Event()

    def throw() -> str:
        rig.may_start = False  # while the host is being reached
        booted.set()
        return "b/m"

    connector = Fake(lambda _: Ending(OutcomeKind.ENDED, 0), boot=throw)
    rig.ready(order("x"))
    rig.start({Connector.SSH: connector})
    assert booted.wait(20)
    threading.Event().wait(0.1)

    assert connector.ran == []
    assert rig.state(order("x")) is AttemptState.READY


def test_while_nothing_may_start_no_host_is_even_reached_for_what_is_offered(
    rig: Rig, order: Order, until: Until
) -> None:
    reached: list[bool] = []

    def boot() -> str:
        reached.append(rig.may_start)
        return "b/m"

    hands = rig.start({Connector.SSH: Fake(lambda _: Ending(OutcomeKind.ENDED, 0), boot=boot)})
    orders = [order("x", attempt=f"r1/0/{number}") for number in range(3)]
    rig.may_start = False
    rig.ready(*orders)
    hands.wake(orders)
    until(lambda: not hands._desk._busy, "the refusals")
    rig.may_start = True
    hands.wake()
    until(lambda: len(rig.journal.entries) == 3, "the outcomes")

    assert reached == [True] * 3


def test_what_the_switch_held_up_at_the_last_moment_is_seen_again_once_it_may(
    rig: Rig, order: Order, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.execute.hands._POLL_S", 3600.0)  # so that nobody looks unasked
    boots = iter([False])

    def throw() -> str:
        rig.may_start = next(boots, True)
        return "b/m"

    rig.ready(order("x"))
    hands = rig.start({Connector.SSH: Fake(lambda _: Ending(OutcomeKind.ENDED, 0), boot=throw)})
    until(lambda: not rig.may_start and not hands._desk._busy, "the refusal")
    rig.may_start = True
    hands.wake()

    until(lambda: rig.journal.entries, "the outcome")


def test_an_attempt_cancelled_meanwhile_is_not_made(rig: Rig, order: Order, until: Until) -> None:
    booted = threading.Event()

    def cancel() -> str:
        with rig.db.begin(TEST) as tx:
            runs.cancel(tx, "r1", NOW)
        booted.set()
        return "b/m"

    connector = Fake(lambda _: Ending(OutcomeKind.ENDED, 0), boot=cancel)
    rig.ready(order("x"))
    rig.start({Connector.SSH: connector})
    assert booted.wait(20)
    rig.hands[0].stop(5)

    assert connector.ran == []
    assert rig.journal.entries == []


def test_stopping_waits_for_what_ends_soon(
    rig: Rig, local: LocalConnector, here: Order, tmp_path: Path, until: Until
) -> None:
    rig.ready(here("sh", "-c", f"{COUNT}; sleep 0.5", str(tmp_path)))
    hands = rig.start({Connector.LOCAL: local})
    until(lambda: count(tmp_path) == 1, "the start")
    hands.stop(20)

    assert rig.journal.outcomes()["r1/0/1"].kind is OutcomeKind.ENDED


def test_stopping_lets_go_of_what_takes_long_and_the_next_start_settles_it(
    rig: Rig, local: LocalConnector, here: Order, state: Path, tmp_path: Path, until: Until
) -> None:
    rig.ready(here("sh", "-c", PATIENT, str(tmp_path)))
    hands = rig.start({Connector.LOCAL: local})
    until(lambda: count(tmp_path) == 1, "the start")
    hands.stop(0.1)

    assert rig.journal.entries == []
    again = LocalConnector(state, env=local._env)
    rig.start({Connector.LOCAL: again})
    (tmp_path / "go").touch()
    until(lambda: rig.journal.entries, "the outcome")
    assert rig.journal.outcomes()["r1/0/1"].output == "done\n"
    assert count(tmp_path) == 1


def test_stopping_ends_every_thread(rig: Rig, local: LocalConnector) -> None:
    hands = rig.start({Connector.LOCAL: local})
    hands.stop(5)

    assert not any(thread.is_alive() for thread in hands._threads)


# -- what a crash leaves ------------------------------------------------------------------------------


def test_an_intent_that_reached_nobody_was_not_started(
    rig: Rig, local: LocalConnector, here: Order, tmp_path: Path, until: Until
) -> None:
    rig.intended(here("touch", str(tmp_path / "canary")), local.boot("local"))
    rig.start({Connector.LOCAL: local})
    until(lambda: rig.journal.entries, "the outcome")

    assert rig.journal.outcomes()["r1/0/1"].kind is OutcomeKind.NOT_STARTED
    assert not (tmp_path / "canary").exists()


def test_an_intent_without_a_boot_was_not_started_and_nobody_is_asked(
    rig: Rig, order: Order, until: Until
) -> None:
    connector = Fake()
    rig.intended(order("x"), "")
    rig.start({Connector.SSH: connector})
    until(lambda: rig.journal.entries, "the outcome")

    assert rig.journal.outcomes()["r1/0/1"].kind is OutcomeKind.NOT_STARTED
    assert connector.asked == []


def test_an_attempt_that_ended_meanwhile_is_known_by_its_receipt(
    rig: Rig, local: LocalConnector, here: Order, until: Until
) -> None:
    order, boot = here("echo", "done"), local.boot("local")
    local.run(order, boot)
    rig.intended(order, boot)
    rig.start({Connector.LOCAL: local})
    until(lambda: rig.journal.entries, "the outcome")

    assert rig.journal.outcomes()["r1/0/1"].output == "done\n"


def test_an_attempt_on_an_earlier_boot_without_a_receipt_is_unknown(
    rig: Rig, local: LocalConnector, here: Order, boot_file: Path, until: Until
) -> None:
    rig.intended(here("true"), local.boot("local"))
    boot_file.write_text("boot-2\n")
    rig.start({Connector.LOCAL: local})
    until(lambda: rig.journal.entries, "the outcome")

    outcome = rig.journal.outcomes()["r1/0/1"]
    assert outcome.kind is OutcomeKind.UNKNOWN
    assert "rebooted" in outcome.detail


def test_an_attempt_that_still_runs_is_watched_to_its_end_and_keeps_its_target(
    rig: Rig, order: Order, until: Until
) -> None:
    endings = iter([None, None, None, Ending(OutcomeKind.ENDED, 0, output="late")])
    connector = Fake(lambda _: Ending(OutcomeKind.ENDED, 0), status=lambda _: next(endings))
    rig.intended(order("x"), "b/m")
    rig.ready(order("y", attempt="r2/0/1"))
    rig.start({Connector.SSH: connector})
    until(lambda: len(rig.journal.entries) == 2, "both outcomes")

    assert [entry.id for entry in rig.journal.entries] == ["r1/0/1", "r2/0/1"]
    assert rig.journal.outcomes()["r1/0/1"].output == "late"
    assert len(connector.asked) == 4


def test_a_host_that_cannot_be_asked_is_asked_again_until_it_answers(
    rig: Rig, order: Order, until: Until
) -> None:
    answers = iter([ConnectorError("down"), ConnectorError("down"), Ending(OutcomeKind.ENDED, 0)])

    def status(_: AttemptOrder) -> Ending:
        answer = next(answers)
        if isinstance(answer, ConnectorError):
            raise answer
        return answer

    rig.intended(order("x"), "b/m")
    rig.start({Connector.SSH: Fake(status=status)})
    until(lambda: rig.journal.entries, "the outcome")

    assert rig.journal.outcomes()["r1/0/1"].kind is OutcomeKind.ENDED


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ConnectorError("web1 cannot be reached"), "cannot be reached"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (None, "still runs"),
    ],
)
def test_after_its_deadline_and_a_grace_it_is_unknown_with_the_reason(
    rig: Rig, order: Order, until: Until, error: Exception | None, why: str
) -> None:
    def status(_: AttemptOrder) -> None:
        if error is not None:
            raise error

    rig.intended(order("x", deadline=100), "b/m")
    rig.start({Connector.SSH: Fake(status=status)}, grace_s=0.2)
    until(lambda: rig.journal.entries, "the outcome")

    outcome = rig.journal.outcomes()["r1/0/1"]
    assert outcome.kind is OutcomeKind.UNKNOWN
    assert why in outcome.detail


def test_a_lost_connection_is_settled_by_asking(rig: Rig, order: Order, until: Until) -> None:
    connector = Fake(
        lambda _: Ending(OutcomeKind.UNKNOWN, detail="lost"), status=lambda _: Ending(OutcomeKind.ENDED, 5)
    )
    rig.ready(order("x"))
    rig.start({Connector.SSH: connector})
    until(lambda: rig.journal.entries, "the outcome")

    assert rig.journal.outcomes()["r1/0/1"].exit_code == 5
    assert (connector.ran, connector.asked) == (["r1/0/1"], ["r1/0/1"])


def test_a_connector_with_a_defect_is_settled_by_asking_and_the_worker_goes_on(
    rig: Rig, order: Order, until: Until
) -> None:
    def fail(_: AttemptOrder) -> Ending:
        raise ZeroDivisionError

    connector = Fake(fail, status=lambda _: Ending(OutcomeKind.UNKNOWN, detail="gone"))
    rig.ready(*(order("x", attempt=f"r{number}/0/1") for number in range(6)))
    rig.start({Connector.SSH: connector}, workers=1)
    until(lambda: len(rig.journal.outcomes()) == 6, "the outcomes")

    assert len(connector.ran) == 6


def test_an_outcome_that_the_journal_refuses_is_offered_again(rig: Rig, order: Order, until: Until) -> None:
    connector = Fake(lambda _: Ending(OutcomeKind.ENDED, 0))
    rig.journal.refuse = 1
    rig.ready(order("x"))
    rig.start({Connector.SSH: connector})
    until(lambda: rig.journal.entries, "the outcome")

    assert connector.ran == ["r1/0/1"]


def test_a_defect_after_the_attempt_does_not_lose_it(rig: Rig, order: Order, until: Until) -> None:
    failures = iter([True])

    def redact(text: str) -> str:
        if next(failures, False):
            raise ZeroDivisionError
        return text

    connector = Fake(lambda _: Ending(OutcomeKind.ENDED, 0))
    rig.ready(order("x"))
    rig.start({Connector.SSH: connector}, redact=redact)
    until(lambda: rig.journal.entries, "the outcome")

    assert rig.journal.outcomes()["r1/0/1"].kind is OutcomeKind.ENDED
    assert connector.ran == ["r1/0/1"]


class Counted:
    """The store, and how often it is read."""

    def __init__(self, db: Database, reads: list[int]) -> None:
        self._db, self._reads = db, reads
        self.begin = db.begin

    @contextlib.contextmanager
    def read(self) -> Iterator[Tx]:
        self._reads.append(1)
        with self._db.read() as tx:
            yield tx


class Forgetful:
    """The store, whose first look fails, and whose first commit is done but said to have failed."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._reads = iter([False, True])
        self._commits = iter([True])

    @contextlib.contextmanager
    def read(self) -> Iterator[Tx]:
        if next(self._reads, False):
            raise StoreError("the disk does not answer")
        with self._db.read() as tx:
            yield tx

    @contextlib.contextmanager
    def begin(self, point: str) -> Iterator[Tx]:
        with self._db.begin(point) as tx:
            yield tx
        if next(self._commits, False):
            raise StoreError("the disk does not answer")


def test_a_store_that_fails_is_asked_again_and_an_intent_of_unknown_fate_sends_nothing(
    rig: Rig, order: Order, until: Until
) -> None:
    connector = Fake(lambda _: Ending(OutcomeKind.ENDED, 0))
    rig.ready(order("x"))
    store, rig.db = rig.db, Forgetful(rig.db)  # type: ignore[assignment]
    rig.start({Connector.SSH: connector})
    rig.db = store
    until(lambda: rig.journal.entries, "the outcome")

    assert rig.journal.outcomes()["r1/0/1"].kind is OutcomeKind.NOT_STARTED
    assert connector.ran == []


def test_a_host_that_dies_in_the_middle_is_settled_over_a_new_connection(
    rig: Rig, ssh: SshConnector, sshd: Sshd, order: Order, tmp_path: Path, until: Until
) -> None:
    rig.ready(order("sh", "-c", PATIENT, str(tmp_path)))
    rig.start({Connector.SSH: ssh})
    until(lambda: count(tmp_path) == 1, "the start")
    for pid in sshd.sessions():
        if Path(f"/proc/{pid}/comm").read_text().startswith("sshd"):
            os.kill(pid, signal.SIGKILL)
    (tmp_path / "go").touch()
    until(lambda: rig.journal.entries, "the outcome")

    assert rig.journal.outcomes()["r1/0/1"].output == "done\n"
    assert count(tmp_path) == 1


#: A daemon of a few lines: hands over a store, and a journal that is a file of lines.
DAEMON = """
import sys, threading
from pathlib import Path
import msgspec
from holdfast.execute.hands import Hands
from holdfast.execute.local import LocalConnector
from holdfast.model.actions import Connector
from holdfast.store.database import Database

root = Path(sys.argv[1])
seen = threading.Event()

def put(entries):
    with (root / "journal").open("ab") as file:
        for entry in entries:
            file.write(msgspec.json.encode(entry) + b"\\n")
    seen.set()

db = Database.open(root / "holdfast.db")
ways = {Connector.LOCAL: LocalConnector(root / "state")}
hands = Hands(db, put, ways, lambda: 0, redact=str, commit=lambda: "c")
hands.start()
assert seen.wait(30)
hands.stop(5)
db.close()
"""


def life(tmp_path: Path, crash_at: str) -> int:
    env = {**os.environ, "HOLDFAST_CRASH_AT": crash_at}
    return subprocess.run(
        [sys.executable, "-c", DAEMON, str(tmp_path)], env=env, check=False, timeout=60
    ).returncode


@pytest.mark.parametrize(
    ("crash_at", "ran", "kind"),
    [
        ("execute.intend.before", 1, OutcomeKind.ENDED),
        ("execute.intend.after", 0, OutcomeKind.NOT_STARTED),
        ("execute.attempt.before", 0, OutcomeKind.NOT_STARTED),
        ("execute.attempt.after", 1, OutcomeKind.ENDED),
    ],
)
def test_killed_at_any_instant_it_acts_at_most_once_and_knows_what_became_of_it(
    tmp_path: Path, here: Order, crash_at: str, ran: int, kind: OutcomeKind
) -> None:
    rig = Rig(tmp_path)
    rig.ready(here("sh", "-c", COUNT, str(tmp_path)))
    rig.close()

    assert life(tmp_path, crash_at) == -signal.SIGKILL
    assert life(tmp_path, "") == 0
    lines = (tmp_path / "journal").read_bytes().splitlines()
    outcomes = [
        msgspec.json.decode(msgspec.json.decode(line, type=Entry).body, type=Outcome) for line in lines
    ]
    assert [outcome.kind for outcome in outcomes] == [kind]
    assert count(tmp_path) == ran


# -- what is offered ----------------------------------------------------------------------------------


def test_whoever_is_told_what_is_ready_does_not_look_for_it(
    rig: Rig,
    local: LocalConnector,
    here: Order,
    tmp_path: Path,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runs, "ready_after", lambda *_: ([], 0))  # who looks sees nothing
    hands = rig.start({Connector.LOCAL: local})
    orders = [here("sh", "-c", COUNT, str(tmp_path), attempt=f"r1/0/{number}") for number in range(3)]
    rig.ready(*orders)
    hands.wake(orders)
    hands.wake(orders[:1])
    until(lambda: len(rig.journal.entries) == 3, "the outcomes")

    assert count(tmp_path) == 3


def test_what_is_offered_and_not_on_disk_is_not_made(
    rig: Rig, local: LocalConnector, here: Order, tmp_path: Path, until: Until
) -> None:
    hands = rig.start({Connector.LOCAL: local})
    never = here("sh", "-c", COUNT, str(tmp_path))
    real = here("true", attempt="r2/0/1")
    hands.wake([never])
    rig.ready(real)
    hands.wake([real])
    until(lambda: rig.journal.entries, "the outcome")

    assert list(rig.journal.outcomes()) == [real.id]
    assert count(tmp_path) == 0


def test_what_is_offered_before_the_start_does_not_overtake_what_the_last_life_left(
    rig: Rig, here: Order, until: Until
) -> None:
    left, new = here("true"), here("true", attempt="r2/0/1")
    asked, go_on = threading.Event(), threading.Event()

    def status(_: AttemptOrder) -> Ending:
        asked.set()
        assert go_on.wait(20)
        return Ending(OutcomeKind.ENDED, exit_code=0)

    fake = Fake(run=lambda _: Ending(OutcomeKind.ENDED, exit_code=0), status=status)
    hands = Hands(
        rig.db, rig.journal.put, {Connector.LOCAL: fake}, lambda: NOW, redact=str, commit=lambda: "c0ffee"
    )
    rig.hands.append(hands)
    rig.intended(left, "boot")
    rig.ready(new)
    hands.wake([new])
    hands.start()
    assert asked.wait(20)
    assert rig.state(new) is AttemptState.READY
    go_on.set()
    until(lambda: len(rig.journal.entries) == 2, "both outcomes")

    assert list(rig.journal.outcomes()) == [left.id, new.id]
