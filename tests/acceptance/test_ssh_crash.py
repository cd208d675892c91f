"""The daemon is killed around an attempt over SSH: the target counts what was really done to it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.model.records import RunState
from holdfast.rehearsal.sshd import Sshd, start_sshd
from holdfast.store import runs

if TYPE_CHECKING:
    from conftest import Process

EVENTS = 4
#: How the session finds processes that a test left behind (tests/conftest.py).
MARK = "HOLDFAST_TEST_SESSION"

SITE = """
format: 1
listen: {host: 127.0.0.1, port: 0}
estate:
  hosts:
    web1: {address: @HOST@, port: @PORT@, user: @USER@, host_key: "@HOST_KEY@"}
sources:
  lab: {kind: webhook, trust: high}
events:
  lab.fault: {data.n: int}
channels:
  push: {url: $secret.push-url, timeout: 3s}
operators:
  me: {channels: [push]}
"""

ACTION = """
action: leave-a-mark
doc: Work for a while, then append one line. Twice would be wrong, and nothing here prevents it.
ssh: {argv: [/bin/sh, -c, 'sleep "$$3"; echo "$$1" >> "$$2"', mark, $n, "@EFFECTS@", "@SPAN@"]}
params: {n: {type: int, min: 0, max: 1000000}}
verify: none
undo: none
touches: [availability]
idempotent: false
risk: low
deadline: 20s
fresh: none
"""


class Target:
    """The host that the daemon acts on, as somebody sees it who sits there."""

    def __init__(self, home: Path, boot: Path) -> None:
        self.home = home
        self._boot = boot
        self._attempts = home / ".local/state/holdfast/attempts"

    def claimed(self) -> bool:
        """Whether a command has been started (or is about to)."""
        return bool(list(self._attempts.glob("*@leader")))

    def reboot(self) -> None:
        """Every process of an attempt dies, and the kernel has another boot id."""
        self._boot.write_text("boot-2\n")
        supervisors = [path.read_text().splitlines()[1] for path in self._attempts.glob("*@claim")]
        leaders = [path.read_text() for path in self._attempts.glob("*@leader")]
        for words in (*supervisors, *leaders):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(words.split()[0]), signal.SIGKILL)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    home, boot = tmp_path / "home", tmp_path / "boot_id"
    home.mkdir()
    boot.write_text("boot-1\n")
    return Target(home, boot)


@pytest.fixture
def sshd(tmp_path: Path, target: Target) -> Iterator[Sshd]:
    directory = tmp_path / "sshd"
    directory.mkdir()
    passed_on = {
        MARK: os.environ.get(MARK, ""),
        "HOME": str(target.home),
        "HOLDFAST_BOOT_ID_FILE": str(tmp_path / "boot_id"),
    }
    extra = ["SetEnv " + " ".join(f"{name}={value}" for name, value in passed_on.items())]
    with start_sshd(directory, extra=extra) as server:
        yield server


@pytest.fixture
def make_lab(daemon: Process, push_target: str, sshd: Sshd) -> Callable[[str], Process]:
    """A daemon whose action takes so many seconds on the host."""

    def build(span: str) -> Process:
        values = {
            "@HOST@": sshd.host,
            "@PORT@": str(sshd.port),
            "@USER@": sshd.user,
            "@HOST_KEY@": sshd.host_key_line,
            "@SPAN@": span,
        }
        rule = daemon.lab_files()["rules/lab.yaml"].replace("leave-a-mark,", "leave-a-mark, at: web1,")
        files = {"holdfast.yaml": SITE, "rules/actions.yaml": ACTION, "rules/lab.yaml": rule}
        for name, value in values.items():
            files = {path: text.replace(name, value) for path, text in files.items()}
        daemon.lab(push_target, files)
        daemon.secret("ssh-key", sshd.client_key_path.read_text())
        return daemon

    return build


def fault(number: int) -> dict[str, object]:
    return {"id": f"n{number}", "type": "lab.fault", "data": {"n": number}}


def settled(daemon: Process) -> bool:
    """Nothing is under way any more: each run is over, or a question waits about it."""
    found = daemon.runs()
    return len(found) == EVENTS and all(run.state.over or run.state is RunState.ASKING for run in found)


def told(daemon: Process, record: Callable[[str, object], None]) -> None:
    record("done", dict(daemon.marks()))
    record("asked", [gate.question for gate in daemon.questions()])


@pytest.mark.parametrize(
    "crash_at",
    [
        "execute.intend.before",
        "execute.intend.after",
        "execute.attempt.before",
        "execute.attempt.after",
        "execute.intend.after:3",
        "execute.attempt.after:3",
    ],
)
def test_a_kill_around_an_attempt_loses_nothing_and_does_nothing_twice(
    make_lab: Callable[[str], Process], crash_at: str, record_property: Callable[[str, object], None]
) -> None:
    daemon = make_lab("0")
    assert daemon.start(crash_at=crash_at)
    # in one request: it is answered before a host is reached, however slow the machine is
    before = EVENTS if ":" in crash_at else 2
    acknowledged = daemon.post([fault(number) for number in range(before)]).status_code
    died = daemon.wait_dead()
    assert daemon.start()
    later = [daemon.post(fault(number)).status_code for number in range(before, EVENTS)]
    daemon.until(lambda: settled(daemon), "every run to be over")
    told(daemon, record_property)
    ended = daemon.stop()

    assert died == -9
    assert {acknowledged, *later} == {202}
    assert daemon.marks() == dict.fromkeys(range(EVENTS), 1)
    assert daemon.questions() == []
    assert {run.state for run in daemon.runs()} == {RunState.VERIFIED}
    assert ended == 0


def test_a_kill_in_mid_command_leaves_the_command_to_its_host_and_its_receipt_is_found(
    make_lab: Callable[[str], Process], target: Target, record_property: Callable[[str, object], None]
) -> None:
    daemon = make_lab("1")
    assert daemon.start()
    for number in range(EVENTS):
        assert daemon.post(fault(number)).status_code == 202
    daemon.until(target.claimed, "the first command to run")
    daemon.kill()
    in_flight = daemon.read(runs.intended)
    done_then = daemon.marks()
    assert daemon.start()
    daemon.until(lambda: settled(daemon), "every run to be over")
    told(daemon, record_property)
    attempts = [len(daemon.read(lambda tx, run=run: runs.attempts_of(tx, run.id))) for run in daemon.runs()]

    assert len(in_flight) == 1
    assert not done_then
    assert daemon.marks() == dict.fromkeys(range(EVENTS), 1)
    assert daemon.questions() == []
    assert attempts == [1] * EVENTS
    assert daemon.stop() == 0


def test_a_receipt_is_found_although_the_command_ended_while_nobody_was_there(
    make_lab: Callable[[str], Process], target: Target
) -> None:
    daemon = make_lab("1")
    assert daemon.start()
    assert daemon.post(fault(0)).status_code == 202
    daemon.until(target.claimed, "the command to run")
    daemon.kill()
    daemon.until(lambda: daemon.marks()[0], "the command to end without the daemon")
    assert daemon.start()
    daemon.until(lambda: all(run.state.over for run in daemon.runs()), "the run to be over")
    (run,) = daemon.runs()
    (attempt,) = daemon.read(lambda tx: runs.attempts_of(tx, run.id))

    assert run.state is RunState.VERIFIED
    assert attempt.outcome.exit_code == 0
    assert daemon.marks() == {0: 1}


def test_a_reboot_in_mid_command_is_asked_about_once_and_only_a_human_repeats_it(
    make_lab: Callable[[str], Process], target: Target, record_property: Callable[[str, object], None]
) -> None:
    daemon = make_lab("3")
    assert daemon.start()
    assert daemon.post(fault(0)).status_code == 202
    daemon.until(target.claimed, "the command to run")
    daemon.kill()
    target.reboot()
    assert daemon.start()
    daemon.until(daemon.questions, "the question", seconds=60)
    (question,) = daemon.questions()
    (run,) = daemon.runs()
    done_then = daemon.marks()
    told(daemon, record_property)
    answered = daemon.look("answer", question.id, "run-again")["kind"]
    daemon.until(lambda: daemon.marks()[0], "the command that a human repeated")

    assert "Nobody can say whether leave-a-mark ran on web1" in question.question
    assert run.state is RunState.UNKNOWN
    assert not done_then
    assert answered == "accepted"
    assert daemon.marks() == {0: 1}
