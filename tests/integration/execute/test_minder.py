"""The minder by itself: it has to leave what the wrapper would, and to decline what it cannot promise."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from holdfast.execute.local import LocalConnector
from holdfast.execute.receipt import HEAD_BYTES, TAIL_BYTES
from holdfast.model.records import AttemptOrder, OutcomeKind

Order = Callable[..., AttemptOrder]
Until = Callable[..., None]

WAIT = 'echo x >>"$0/count"; until [ -e "$0/go" ]; do sleep 0.02; done; echo done'


class Rig:
    """A connector, and what its minder writes down."""

    def __init__(self, local: LocalConnector, state: Path, until: Until) -> None:
        self.local, self.state, self.until = local, state, until
        self.boot = local.boot("local")

    def run(self, order: AttemptOrder) -> object:
        return self.local.run(order, self.boot)

    def part(self, name: str, attempt: str = "r1.0.1") -> Path:
        return self.state / "attempts" / f"{attempt}@{name}"

    def fields(self, attempt: str = "r1.0.1") -> dict[str, str]:
        lines = self.part("receipt", attempt).read_text().splitlines()
        assert lines.pop() == "done"
        return dict(line.split("=", 1) for line in lines)

    def supervisor(self, attempt: str = "r1.0.1") -> int:
        """Who claimed it, once it has."""
        path = self.part("claim", attempt)
        self.until(lambda: path.exists() and len(path.read_text().splitlines()) == 3, "the claim")
        return int(path.read_text().split()[1])

    def minder(self, order: Order) -> int:
        """The process id of the minder, started by an attempt if need be."""
        self.run(order("true", attempt="first"))
        return self.supervisor("first")


@pytest.fixture
def rig(local: LocalConnector, state: Path, until: Until) -> Rig:
    return Rig(local, state, until)


@pytest.fixture
def python(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Stands for the interpreter that the minder is started with."""
    return lambda path: monkeypatch.setattr(sys, "executable", path)


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except OSError:
        return True


def is_minder(pid: int) -> bool:
    return b"minder.py" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_one_minder_is_the_parent_of_every_command(rig: Rig, order: Order) -> None:
    parents = [rig.run(order("sh", "-c", "echo $PPID", attempt=f"r1/0/{n}")).output.strip() for n in "123"]

    assert parents == [str(rig.supervisor("r1.0.2"))] * 3
    assert is_minder(int(parents[0]))


def test_its_receipt_says_what_that_of_the_wrapper_says(rig: Rig, order: Order) -> None:
    script = ("sh", "-c", "echo out; echo err >&2; exit 7")
    minded, wrapped = order(*script), order(*script, attempt="r1/0/2", skip_if=("false",))
    ending, _ = rig.run(minded), rig.run(wrapped)
    mine, theirs = rig.fields(), rig.fields("r1.0.2")
    told = (ending.kind, ending.exit_code, ending.output, ending.digest, ending.detail)

    assert is_minder(rig.supervisor())
    assert rig.supervisor("r1.0.2") != rig.supervisor()
    assert list(mine) == list(theirs)
    assert {name for name in mine if mine[name] != theirs[name]} <= {"begun", "ended"}
    assert told == (OutcomeKind.ENDED, 7, "out\nerr\n", hashlib.sha256(b"out\nerr\n").hexdigest(), "")
    assert rig.local.status(minded, rig.boot).output == "out\nerr\n"


def test_a_silent_command_leaves_three_small_files(rig: Rig, order: Order) -> None:
    ending = rig.run(order("true"))

    assert (ending.exit_code, ending.output, ending.digest) == (0, "", hashlib.sha256(b"").hexdigest())
    assert {path.name for path in (rig.state / "attempts").iterdir()} == {
        "r1.0.1@claim",
        "r1.0.1@leader",
        "r1.0.1@receipt",
    }


@pytest.mark.parametrize(
    "size",
    [HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + 1, HEAD_BYTES + TAIL_BYTES, HEAD_BYTES + TAIL_BYTES + 1, 9**8],
)
def test_an_output_is_kept_whole_or_as_its_start_and_its_end(
    rig: Rig, order: Order, tmp_path: Path, size: int
) -> None:
    data = os.urandom(size)
    (tmp_path / "data").write_bytes(data)
    ending = rig.run(order("cat", str(tmp_path / "data")))
    kept = rig.part("head").read_bytes()
    kept += rig.part("tail").read_bytes() if rig.part("tail").exists() else b""

    assert kept == (data if size <= HEAD_BYTES + TAIL_BYTES else data[:HEAD_BYTES] + data[-TAIL_BYTES:])
    assert ending.digest == hashlib.sha256(kept).hexdigest()
    assert ending.detail == ""  # what came back is what was kept
    assert rig.local.status(order("x"), rig.boot).digest == ending.digest


def test_what_was_said_is_on_disk_while_the_command_runs(rig: Rig, order: Order, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(rig.run, order("sh", "-c", f"echo early; {WAIT}", str(tmp_path)))
        rig.until(
            lambda: rig.part("head").exists() and rig.part("head").read_text() == "early\n", "its words"
        )
        (tmp_path / "go").touch()

        assert running.result(30).output == "early\ndone\n"


def test_a_process_left_behind_neither_delays_the_receipt_nor_meets_a_closed_pipe(
    rig: Rig, order: Order, tmp_path: Path
) -> None:
    service = 'until [ -e "$1/go" ]; do sleep 0.02; done; echo up || exit 1; echo up; touch "$1/said"'
    ending = rig.run(order("sh", "-c", 'sh -c "$0" x "$1" & echo started', service, str(tmp_path)))
    minder = rig.supervisor()
    rig.local.close()
    alive = not gone(minder)
    (tmp_path / "go").touch()
    rig.until((tmp_path / "said").exists, "the service that was left behind")
    rig.until(lambda: gone(minder), "the end of the minder")

    assert (ending.exit_code, ending.output) == (0, "started\n")
    assert "still open" in ending.detail
    assert rig.fields()["held"] == "1"
    assert alive
    assert rig.part("head").read_text() == "started\n"


def test_a_group_that_ignores_the_first_signal_is_killed_at_the_deadline(
    rig: Rig, order: Order, tmp_path: Path
) -> None:
    script = 'trap "" TERM; sh -c \'echo $$ >"$0/pid"; while :; do sleep 0.1; done\' "$0" & wait; wait'
    ending = rig.run(order("sh", "-c", script, str(tmp_path), deadline=1000))

    assert (ending.kind, ending.exit_code) == (OutcomeKind.KILLED, 137)
    assert rig.fields()["killed"] == "1"
    rig.until(lambda: gone(int((tmp_path / "pid").read_text())), "the end of the grandchild")


def test_a_command_that_obeys_the_first_signal_can_clean_up(rig: Rig, order: Order) -> None:
    script = 'trap "echo cleaned; exit 3" TERM; while :; do sleep 0.1; done'
    ending = rig.run(order("sh", "-c", script, deadline=1000))

    assert (ending.kind, ending.exit_code) == (OutcomeKind.KILLED, 3)
    assert ending.output.endswith("cleaned\n")


@pytest.mark.parametrize("name", ["HUP", "INT", "TERM", "PIPE", "XFSZ", "QUIT", "USR1"])
def test_a_command_ignores_no_signal(rig: Rig, order: Order, name: str) -> None:
    ending = rig.run(order("sh", "-c", f"kill -s {name} $$; echo survived"))

    assert ending.exit_code == 128 + signal.Signals[f"SIG{name}"]


@pytest.fixture
def in_the_background() -> Iterator[None]:
    """As a shell starts what is to run in the background."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGQUIT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("in_the_background")
@pytest.mark.parametrize("name", ["INT", "QUIT"])
def test_a_command_ignores_no_signal_that_the_daemon_was_told_to(rig: Rig, order: Order, name: str) -> None:
    ending = rig.run(order("sh", "-c", f"kill -s {name} $$; echo survived"))

    assert ending.exit_code == 128 + signal.Signals[f"SIG{name}"]


def test_a_command_leads_a_session_of_its_own_with_nothing_open(rig: Rig, order: Order) -> None:
    script = (
        'set -- $(sed "s/.*) //" /proc/$$/stat); [ $3 = $$ ] && [ $4 = $$ ] && echo alone; '
        "cat; pwd; readlink /proc/$$/fd/0; for fd in 3 4 5 6 7 8 9 10; do readlink /proc/$$/fd/$fd; done"
    )

    assert rig.run(order("sh", "-c", script)).output.split() == ["alone", "/", "/dev/null"]


def test_what_cannot_be_started_is_said_as_a_shell_says_it(rig: Rig, order: Order, tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    missing = rig.run(order("no-such-command"))
    forbidden = rig.run(order(str(tmp_path / "plain"), attempt="r1/0/2"))

    assert (missing.kind, missing.exit_code) == (OutcomeKind.ENDED, 127)
    assert "no-such-command" in missing.output
    assert forbidden.exit_code == 126


def test_a_script_that_names_no_interpreter_runs(rig: Rig, order: Order, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text('echo "script $1"\n')
    script.chmod(0o755)

    assert rig.run(order(str(script), "a b")).output == "script a b\n"


def test_a_command_of_the_greatest_length_is_minded_too(rig: Rig, order: Order) -> None:
    assert rig.run(order("sh", "-c", "echo ${#1}", "x", "y" * 100_000)).output == "100000\n"
    assert is_minder(rig.supervisor())


def test_many_at_once_are_minded_each(rig: Rig, order: Order) -> None:
    orders = [order("sh", "-c", f"sleep 0.1; echo {n}; exit {n}", attempt=f"r{n}/0/1") for n in range(16)]
    with ThreadPoolExecutor(16) as pool:
        endings = list(pool.map(rig.run, orders))

    assert [(e.exit_code, e.output) for e in endings] == [(n, f"{n}\n") for n in range(16)]


def test_skip_if_is_asked_first(rig: Rig, order: Order, tmp_path: Path) -> None:
    touch = ("touch", str(tmp_path / "canary"))

    assert rig.run(order(*touch, skip_if=("true",))).kind is OutcomeKind.SKIPPED
    assert not (tmp_path / "canary").exists()


# -- what it declines ---------------------------------------------------------------------------------


def test_where_nothing_can_be_written_the_idempotent_runs_all_the_same(
    rig: Rig, order: Order, until: Until, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    broken = Rig(LocalConnector(tmp_path / "file" / "state"), tmp_path / "file" / "state", until)
    ending = broken.run(order("echo", "said", idempotent=True))
    broken.local.close()

    assert (ending.kind, ending.output) == (OutcomeKind.ENDED, "said\n")


def test_a_disk_that_takes_no_claim_is_declined_with_nothing_left(rig: Rig, order: Order) -> None:
    minder = rig.minder(order)
    resource.prlimit(minder, resource.RLIMIT_FSIZE, (0, 0))
    ending = rig.run(order("echo", "said"))

    assert ending.output == "said\n"  # by the wrapper, which may write
    assert rig.supervisor() != minder


def test_one_that_cannot_write_a_receipt_ends_so_that_the_attempt_is_not_taken_to_run_for_ever(
    rig: Rig, order: Order, tmp_path: Path
) -> None:
    attempt = order("sh", "-c", WAIT, str(tmp_path))
    minder = rig.minder(order)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(rig.run, attempt)
        rig.until((tmp_path / "count").exists, "the start")
        rig.until(lambda: rig.part("leader").stat().st_size, "the leader")
        resource.prlimit(minder, resource.RLIMIT_FSIZE, (0, 0))
        (tmp_path / "go").touch()
        lost = running.result(30)
    rig.until(lambda: gone(minder), "the end of the minder")

    assert lost.kind is OutcomeKind.UNKNOWN
    assert rig.local.status(attempt, rig.boot).kind is OutcomeKind.UNKNOWN
    assert rig.run(order("echo", "next", attempt="r1/0/2")).output == "next\n"


@pytest.mark.parametrize("path", ["/nowhere/python", "/bin/true", ""])
def test_without_a_minder_the_wrapper_does_it(
    python: Callable[[str], None], state: Path, order: Order, until: Until, path: str
) -> None:
    python(path)
    rig = Rig(LocalConnector(state), state, until)
    ending = rig.run(order("sh", "-c", "echo said; exit 3"))
    rig.local.close()

    assert (ending.kind, ending.exit_code, ending.output) == (OutcomeKind.ENDED, 3, "said\n")


def test_an_attempt_that_was_given_up_while_the_minder_hung_never_starts(
    rig: Rig, order: Order, tmp_path: Path
) -> None:
    attempt = order("touch", str(tmp_path / "canary"))
    minder = rig.minder(order)
    os.kill(minder, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(rig.run, attempt)
        sealed = rig.local.status(attempt, rig.boot)
        os.kill(minder, signal.SIGCONT)
        ending = running.result(30)

    assert (sealed.kind, ending.kind) == (OutcomeKind.NOT_STARTED, OutcomeKind.NOT_STARTED)
    assert not (tmp_path / "canary").exists()


# -- its own end --------------------------------------------------------------------------------------


def test_it_ends_with_the_connector(rig: Rig, order: Order) -> None:
    minder = rig.minder(order)
    rig.local.close()

    rig.until(lambda: gone(minder), "the end of the minder")


def test_after_it_was_killed_the_next_attempt_has_another(rig: Rig, order: Order) -> None:
    minder = rig.minder(order)
    os.kill(minder, signal.SIGKILL)
    rig.until(lambda: gone(minder), "its death")
    ending = rig.run(order("echo", "said"))

    assert ending.output == "said\n"
    assert rig.supervisor() != minder
    assert is_minder(rig.supervisor())


def test_killed_before_it_could_write_who_leads_the_command_is_found_by_its_environment(
    rig: Rig, order: Order, tmp_path: Path
) -> None:
    attempt, other = order("sh", "-c", WAIT, str(tmp_path)), order("x", attempt="r1/0/10")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(rig.run, attempt)
        rig.until((tmp_path / "count").exists, "the start")
        rig.until(lambda: rig.part("leader").stat().st_size, "the leader")
        os.kill(rig.supervisor(), signal.SIGKILL)
        running.result(30)
    # as it would be, had it died a moment earlier; and another attempt whose name begins alike
    rig.part("claim", "r1.0.10").write_bytes(rig.part("claim").read_bytes())
    for name in ("r1.0.1", "r1.0.10"):
        rig.part("leader", name).write_bytes(b"")
    during, not_there = rig.local.status(attempt, rig.boot), rig.local.status(other, rig.boot)
    (tmp_path / "go").touch()
    rig.until(lambda: rig.local.status(attempt, rig.boot) is not None, "the end")

    assert during is None
    assert not_there.kind is OutcomeKind.UNKNOWN
    assert rig.local.status(attempt, rig.boot).kind is OutcomeKind.UNKNOWN


def test_signals_that_end_a_session_do_not_end_it(rig: Rig, order: Order) -> None:
    minder = rig.minder(order)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        os.kill(minder, number)
    rig.run(order("true"))

    assert rig.supervisor() == minder


def test_it_has_old_attempts_forgotten_now_and_then(rig: Rig, order: Order) -> None:
    attempts = rig.state / "attempts"
    long_ago = int(attempts.stat().st_mtime) - 5000  # not so long that reading the boot throws them away
    for number in range(1000):
        (attempts / f"old{number}@claim").write_text("boot-1\n1 1\n1.00\n")
        (attempts / f"old{number}@receipt").write_text("exit=0\ndone\n")
        os.utime(attempts / f"old{number}@claim", (long_ago + number, long_ago + number))
    for number in range(100):
        rig.run(order("true", attempt=f"new/0/{number}"))

    rig.until(lambda: not list(attempts.glob("old0@*")), "the oldest to be forgotten")
    rig.until(lambda: len(list(attempts.glob("*@claim"))) == 800, "the others that are too many")
    assert len(list(attempts.glob("new*@receipt"))) == 100
