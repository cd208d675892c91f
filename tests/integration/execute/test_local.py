"""Local attempts: the same wrapper, which outlives the daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from holdfast.errors import ConnectorError
from holdfast.execute.local import LocalConnector
from holdfast.model.records import AttemptOrder, OutcomeKind

Order = Callable[..., AttemptOrder]
Until = Callable[..., None]

PATIENT = 'echo x >>"$0/count"; until [ -e "$0/go" ]; do sleep 0.02; done; echo done'

#: A daemon of a few lines: makes one attempt and would report it.
DAEMON = """
import sys
from pathlib import Path
import msgspec
from holdfast.execute.local import LocalConnector
from holdfast.model.records import AttemptOrder

order = msgspec.json.decode(Path(sys.argv[2]).read_bytes(), type=AttemptOrder)
local = LocalConnector(Path(sys.argv[1]))
boot = local.boot("local")
print(boot, flush=True)
print(local.run(order, boot), flush=True)
"""


def count(tmp_path: Path) -> int:
    path = tmp_path / "count"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_an_attempt_runs_and_tells_how_it_ended(local: LocalConnector, order: Order) -> None:
    ending = local.run(order("sh", "-c", "echo out; exit 3"), local.boot("local"))

    assert (ending.kind, ending.exit_code, ending.output) == (OutcomeKind.ENDED, 3, "out\n")
    assert ending.started_ago is not None
    assert ending.started_ago >= 0


def test_hostile_words_arrive_byte_for_byte(local: LocalConnector, order: Order, tmp_path: Path) -> None:
    words = ["$(touch CANARY)", "a'b\"c", "a\nb\n", "", "--", "ü😀", "*", "\\"]
    out = tmp_path / "words"
    local.run(
        order("sh", "-c", 'out=$1; shift; printf "%s\\0" "$@" >"$out"', "x", str(out), *words), local.boot("")
    )

    assert out.read_bytes().split(b"\0")[:-1] == [word.encode() for word in words]
    assert not list(tmp_path.rglob("CANARY"))


def test_the_same_attempt_runs_once(local: LocalConnector, order: Order, tmp_path: Path) -> None:
    attempt = order("sh", "-c", 'echo x >>"$0/count"', str(tmp_path))
    boot = local.boot("local")
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: local.run(attempt, boot), range(6)))

    assert count(tmp_path) == 1
    assert local.run(attempt, boot).exit_code == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_command_survives_the_death_of_the_daemon_and_leaves_a_receipt(
    state: Path, order: Order, tmp_path: Path, until: Until, number: signal.Signals
) -> None:
    attempt = order("sh", "-c", PATIENT, str(tmp_path))
    (tmp_path / "order").write_bytes(msgspec.json.encode(attempt))
    argv = [sys.executable, "-c", DAEMON, str(state), str(tmp_path / "order")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as daemon:
        assert daemon.stdout is not None
        boot = daemon.stdout.readline().strip()
        until(lambda: count(tmp_path) == 1, "the start")
        os.killpg(daemon.pid, number)  # the whole group, as a terminal or a service manager would
        daemon.wait(30)
    again = LocalConnector(state)
    during = again.status(attempt, boot)
    (tmp_path / "go").touch()
    until(lambda: again.status(attempt, boot) is not None, "the end")
    after = again.status(attempt, boot)
    again.close()

    assert during is None
    assert after is not None
    assert (after.kind, after.exit_code, after.output) == (OutcomeKind.ENDED, 0, "done\n")
    assert count(tmp_path) == 1


def test_the_deadline_holds_without_the_daemon(
    state: Path, order: Order, tmp_path: Path, until: Until
) -> None:
    attempt = order("sh", "-c", PATIENT, str(tmp_path), deadline=2000)
    (tmp_path / "order").write_bytes(msgspec.json.encode(attempt))
    argv = [sys.executable, "-c", DAEMON, str(state), str(tmp_path / "order")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        boot = daemon.stdout.readline().strip()
        until(lambda: count(tmp_path) == 1, "the start")
        daemon.kill()
    again = LocalConnector(state)
    until(lambda: again.status(attempt, boot) is not None, "the end")
    after = again.status(attempt, boot)
    again.close()

    assert after is not None
    assert after.kind is OutcomeKind.KILLED


def test_a_command_finds_nothing_of_the_daemons_environment(
    state: Path, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_TOKEN", "secret")
    local = LocalConnector(state)
    ending = local.run(order("env"), local.boot("local"))
    local.close()

    assert "CANARY" not in ending.output
    assert "PATH=/usr/local/sbin" in ending.output


def test_a_command_inherits_no_open_file(local: LocalConnector, order: Order, tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        ending = local.run(order("sh", "-c", "ls -l /proc/$$/fd"), local.boot("local"))

    assert "secret" not in ending.output


def test_closing_frees_a_thread_that_waits_and_leaves_the_command_alone(
    local: LocalConnector, state: Path, order: Order, tmp_path: Path, until: Until
) -> None:
    attempt = order("sh", "-c", PATIENT, str(tmp_path))
    boot = local.boot("local")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(local.run, attempt, boot)
        until(lambda: count(tmp_path) == 1, "the start")
        local.close()
        freed = running.result(30)
    with pytest.raises(ConnectorError, match="stopping"):
        local.run(order("true", attempt="r1/0/2"), boot)
    (tmp_path / "go").touch()
    until((state / "attempts" / "r1.0.1@receipt").exists, "the receipt")

    assert freed.kind is OutcomeKind.UNKNOWN
    local.close()  # twice does no harm


def test_a_lost_state_directory_starts_nothing_and_is_made_again(
    local: LocalConnector, order: Order, state: Path, tmp_path: Path
) -> None:
    boot = local.boot("local")
    state.rename(state.with_name("lost"))  # at once, whatever still writes there
    with pytest.raises(ConnectorError, match="nothing was started"):
        local.run(order("touch", str(tmp_path / "canary")), boot)

    assert not (tmp_path / "canary").exists()
    assert local.boot("local") != boot
    assert local.run(order("true"), local.boot("local")).exit_code == 0


def test_what_was_never_begun_never_begins_once_it_was_asked_about(
    local: LocalConnector, order: Order, tmp_path: Path
) -> None:
    boot = local.boot("local")
    attempt = order("touch", str(tmp_path / "canary"))
    ending = local.status(attempt, boot)

    assert ending is not None
    assert ending.kind is OutcomeKind.NOT_STARTED
    assert local.run(attempt, boot).kind is OutcomeKind.NOT_STARTED
    assert not (tmp_path / "canary").exists()


def test_a_missing_shell_is_said(state: Path) -> None:
    local = LocalConnector(state, shell="/nowhere/sh")

    with pytest.raises(ConnectorError, match="cannot be started"):
        local.boot("local")
    local.close()


def test_a_supervisor_that_is_killed_is_unknown_and_the_command_is_watched(
    local: LocalConnector, state: Path, order: Order, tmp_path: Path, until: Until
) -> None:
    attempt = order("sh", "-c", PATIENT, str(tmp_path), deadline=4000)
    boot = local.boot("local")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(local.run, attempt, boot)
        until(lambda: count(tmp_path) == 1, "the start")
        supervisor = int((state / "attempts" / "r1.0.1@claim").read_text().split()[1])
        os.kill(supervisor, signal.SIGKILL)
        lost = running.result(30)
    during = local.status(attempt, boot)
    (tmp_path / "go").touch()
    until(lambda: local.status(attempt, boot) is not None, "the end")
    after = local.status(attempt, boot)

    assert lost.kind is OutcomeKind.UNKNOWN
    assert during is None
    assert after is not None
    assert after.kind is OutcomeKind.UNKNOWN
    assert "no receipt" in after.detail
