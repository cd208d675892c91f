"""The host wrapper by itself, in every shell that is installed here."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from holdfast.execute import receipt, wrapper
from holdfast.execute.receipt import HEAD_BYTES, TAIL_BYTES, Report, State

NONCE = "00112233"
#: The account `nobody`, by the number that it has everywhere.
NOBODY = 65534
SHELLS = [
    argv
    for argv in (["dash"], ["bash", "--posix"], ["busybox", "ash"], ["ksh"], ["mksh"])
    if shutil.which(argv[0])
]
Until = Callable[..., None]


class Hand:
    """Calls the wrapper the way a login shell does."""

    def __init__(self, shell: list[str], state: Path, boot_file: Path) -> None:
        self.shell = shell
        self.state = state
        self.env = {**os.environ, "HOLDFAST_BOOT_ID_FILE": str(boot_file)}

    def start(self, *words: str, **more: object) -> subprocess.Popen[bytes]:
        argv = [*self.shell, "-c", wrapper.text(), "holdfast", *words]
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=self.env,
            start_new_session=True,
            **more,
        )

    def call(self, *words: str, **more: object) -> Report | None:
        with self.start(*words, **more) as process:
            data, _ = process.communicate(timeout=60)
        return receipt.parse(data, NONCE)

    def boot(self) -> Report | None:
        return self.call("boot", NONCE, str(self.state))

    def run_words(
        self, *argv: str, attempt: str = "a", deadline: int = 20, idempotent: bool = False, skip: int = 0
    ) -> list[str]:
        return ["run", NONCE, str(self.state), attempt, str(deadline), str(int(idempotent)), str(skip), *argv]

    def run(self, *argv: str, **more: object) -> Report:
        preexec = more.pop("preexec_fn", None)
        extra = {} if preexec is None else {"preexec_fn": preexec, "restore_signals": False}
        report = self.call(*self.run_words(*argv, **more), **extra)  # type: ignore[arg-type]
        assert report is not None
        return report

    def status(self, attempt: str = "a") -> Report:
        report = self.call("status", NONCE, str(self.state), attempt)
        assert report is not None
        return report

    def files(self, attempt: str = "a") -> set[str]:
        return {path.name.partition("@")[2] for path in self.state.glob(f"attempts/{attempt}@*")}


@pytest.fixture(params=SHELLS, ids=" ".join)
def hand(request: pytest.FixtureRequest, state: Path, boot_file: Path) -> Hand:
    made = Hand(request.param, state, boot_file)
    made.boot()
    return made


@pytest.fixture
def dash(state: Path, boot_file: Path) -> Hand:
    made = Hand(["sh"], state, boot_file)
    made.boot()
    return made


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except OSError:
        return True


def group(leader: str) -> list[str]:
    """The processes of a group that have not ended."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(") ")[2].split()
            if fields[2] == leader and fields[0] != "Z":
                found.append(entry.name)
    return found


def test_a_command_runs_and_leaves_a_whole_receipt(hand: Hand, tmp_path: Path) -> None:
    report = hand.run("sh", "-c", "echo out; echo err >&2; exit 7")

    assert report.state is State.ENDED
    assert report.body == b"out\nerr\n"
    assert report.fields["exit"] == "7"
    assert report.fields["boot"] == report.fields["here"] == "boot-1"
    assert report.fields["sha256"] == hashlib.sha256(b"out\nerr\n").hexdigest()
    flags = {name: report.fields[name] for name in ("killed", "skipped", "held", "left")}
    assert flags == dict.fromkeys(flags, "0")
    begun, ended, now = (float(report.fields[name]) for name in ("begun", "ended", "now"))
    assert begun <= ended <= now
    assert hand.status().fields["exit"] == "7"
    assert hand.status().body == b"out\nerr\n"


def test_a_silent_command_has_the_digest_of_nothing(hand: Hand) -> None:
    report = hand.run("true")

    assert report.body == b""
    assert report.fields["sha256"] == hashlib.sha256(b"").hexdigest()
    assert report.fields["exit"] == "0"


@pytest.mark.parametrize(
    "word",
    [
        "$(touch CANARY)",
        "`touch CANARY`",
        "; touch CANARY",
        "| touch CANARY",
        "'; touch CANARY; '",
        '"; touch CANARY; "',
        "a\nb\n",
        "\n",
        " leading and trailing ",
        "tab\there",
        "\\n\\0\\x41",
        "*",
        "?[a-z]",
        "~root",
        "$HOME ${HOME} $$",
        "-n",
        "--",
        "",
        "ü€😀",
        "%s%n%d",
        "!!",
        "#no comment",
        "done",
        "\x01\x7f\x1b[31m",
    ],
)
def test_words_arrive_byte_for_byte(hand: Hand, tmp_path: Path, word: str) -> None:
    out = tmp_path / "words"
    script = 'out=$1; shift; cd "$(dirname "$out")"; printf "%s\\0" "$@" >"$out"'
    report = hand.run("sh", "-c", script, "x", str(out), word, "last")

    assert report.fields["exit"] == "0"
    assert out.read_bytes() == word.encode() + b"\0last\0"
    assert not (tmp_path / "CANARY").exists()


def test_an_output_of_any_bytes_arrives_as_it_was(hand: Hand, tmp_path: Path) -> None:
    data = bytes(range(256)) * 8 + b"\n\n\0"
    (tmp_path / "data").write_bytes(data)

    assert hand.run("cat", str(tmp_path / "data")).body == data


def test_the_same_attempt_runs_once_however_often_it_is_ordered(hand: Hand, tmp_path: Path) -> None:
    count = tmp_path / "count"
    argv = ("sh", "-c", 'echo x >>"$1"; exit 3', "x", str(count))
    reports = [hand.run(*argv) for _ in range(3)]

    assert count.read_text() == "x\n"
    assert [report.fields["exit"] for report in reports] == ["3", "3", "3"]


def test_the_same_attempt_runs_once_when_ordered_at_the_same_time(hand: Hand, tmp_path: Path) -> None:
    count = tmp_path / "count"
    argv = ("sh", "-c", 'echo x >>"$1"; sleep 0.3', "x", str(count))
    with ThreadPoolExecutor(8) as pool:
        states = [report.state for report in pool.map(lambda _: hand.run(*argv), range(8))]

    assert count.read_text() == "x\n"
    assert set(states) <= {State.ENDED, State.RUNNING, State.CLAIMING}


def test_a_running_attempt_is_running_for_whoever_asks(hand: Hand, tmp_path: Path, until: Until) -> None:
    go = tmp_path / "go"
    argv = ("sh", "-c", 'until [ -e "$1" ]; do sleep 0.02; done; echo went', "x", str(go))
    with hand.start(*hand.run_words(*argv)) as process:
        until(lambda: "leader" in hand.files(), "the start")
        during = (hand.status().state, hand.run(*argv).state)
        go.touch()
        process.communicate(timeout=30)

    assert during == (State.RUNNING, State.RUNNING)
    assert hand.status().body == b"went\n"


def test_what_was_asked_about_before_it_started_never_starts(hand: Hand, tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    assert hand.status().state is State.NONE
    assert hand.run("touch", str(canary)).state is State.NONE
    assert hand.status().state is State.NONE
    assert not canary.exists()


def test_the_deadline_kills_the_whole_group(hand: Hand, tmp_path: Path, until: Until) -> None:
    pids = tmp_path / "pids"
    script = 'echo $$ >>"$1"; (echo "$(exec sh -c "echo \\$PPID")" >>"$1"; sleep 300) & sleep 300'
    report = hand.run("sh", "-c", script, "x", str(pids), deadline=1)

    assert report.fields["killed"] == "1"
    assert report.fields["exit"] == "143"
    found = [int(line) for line in pids.read_text().split()]
    assert len(found) == 2
    until(lambda: all(map(gone, found)), "the end of the group")


def test_the_deadline_also_kills_what_ignores_the_first_signal(
    hand: Hand, tmp_path: Path, until: Until
) -> None:
    pids = tmp_path / "pids"
    script = 'trap "" TERM; echo $$ >>"$1"; sh -c "echo \\$\\$; exec sleep 300" >>"$1" & wait'
    report = hand.run("sh", "-c", script, "x", str(pids), deadline=1)

    assert report.fields["killed"] == "1"
    assert report.fields["exit"] == "137"
    assert report.fields["left"] == "0"
    until(lambda: all(gone(int(line)) for line in pids.read_text().split()), "the end of the group")


def test_a_grandchild_that_ignores_the_first_signal_does_not_outlive_a_leader_that_obeys(
    dash: Hand, tmp_path: Path, until: Until
) -> None:
    pids = tmp_path / "pids"
    script = 'sh -c \'trap "" TERM; echo $$ >"$1"; while :; do sleep 0.1; done\' x "$1" & wait'
    report = dash.run("sh", "-c", script, "x", str(pids), deadline=1)

    assert report.fields["killed"] == "1"
    until(lambda: gone(int(pids.read_text())), "the end of the grandchild")


def test_a_command_that_ends_in_time_is_not_waited_for(hand: Hand) -> None:
    report = hand.run("true", deadline=60)

    assert report.fields["killed"] == "0"
    assert float(report.fields["ended"]) - float(report.fields["begun"]) < 30


def test_the_timer_is_ended_even_where_it_ignores_the_polite_signal(dash: Hand, tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "sleep"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\ntrap "" TERM\nexec /bin/sleep "$@"\n')
    fake.chmod(0o755)
    dash.env["PATH"] = f"{fake.parent}:{os.environ['PATH']}"

    report = dash.run("/bin/sleep", "0.3", deadline=50)

    assert float(report.fields["ended"]) - float(report.fields["begun"]) < 30


def test_skip_if_that_succeeds_skips_the_command(hand: Hand, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    skip = ("sh", "-c", 'echo checking; [ "$1" = "a b" ]', "x", "a b")
    report = hand.run(*skip, "touch", str(canary), skip=5)

    assert report.fields["skipped"] == "1"
    assert report.body == b""
    assert not canary.exists()


def test_skip_if_that_fails_lets_the_command_run_with_its_own_words(hand: Hand) -> None:
    report = hand.run("test", "-e", "/nowhere", "printf", "%s|", "a b", "$x", "", skip=3)

    assert report.fields["skipped"] == "0"
    assert report.body == b"a b|$x||"


def test_skip_if_that_does_not_exist_lets_the_command_run(hand: Hand) -> None:
    assert hand.run("no-such-command", "echo", "ran", skip=1).body == b"ran\n"


def test_the_deadline_holds_for_skip_if_too(hand: Hand, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    report = hand.run("sleep", "300", "touch", str(canary), skip=2, deadline=1)

    assert report.fields["killed"] == "1"
    assert not canary.exists()


def test_a_command_that_does_not_exist_ends_with_127_and_says_so(hand: Hand) -> None:
    report = hand.run("no-such-command")

    assert report.fields["exit"] == "127"
    assert b"no-such-command" in report.body


def test_a_command_that_dies_by_a_signal_ends_with_128_and_its_number(hand: Hand) -> None:
    assert hand.run("sh", "-c", "kill -9 $$").fields["exit"] == "137"


@pytest.mark.parametrize("size", [HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + 1, HEAD_BYTES + TAIL_BYTES])
def test_an_output_that_fits_is_kept_whole(hand: Hand, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "data").write_bytes(data)

    assert hand.run("cat", str(tmp_path / "data")).body == data


def test_a_flood_is_kept_as_its_start_and_its_end_and_fills_no_disk(hand: Hand, tmp_path: Path) -> None:
    script = "echo first; head -c 30000000 /dev/zero | tr '\\0' x; echo last"
    report = hand.run("sh", "-c", script)

    assert report.fields["exit"] == "0"
    assert len(report.body) == HEAD_BYTES + TAIL_BYTES
    assert report.body.startswith(b"first\nxxx")
    assert report.body.endswith(b"xxxlast\n")
    assert report.fields["sha256"] == hashlib.sha256(report.body).hexdigest()
    assert sum(path.stat().st_size for path in hand.state.glob("attempts/*")) < HEAD_BYTES + TAIL_BYTES + 2000


def test_a_process_left_behind_neither_delays_the_receipt_nor_meets_a_closed_pipe(
    hand: Hand, tmp_path: Path, until: Until
) -> None:
    go, said = tmp_path / "go", tmp_path / "said"
    service = 'until [ -e "$1" ]; do sleep 0.02; done; echo up || exit 1; echo up; touch "$2"'
    script = 'sh -c "$0" x "$1" "$2" & echo started'
    report = hand.run("sh", "-c", script, service, str(go), str(said), deadline=60)

    assert report.fields["held"] == "1"
    assert report.fields["exit"] == "0"
    assert report.body == b"started\n"
    assert float(report.fields["ended"]) - float(report.fields["begun"]) < 30
    go.touch()
    until(said.exists, "the service that was left behind")
    assert hand.status().body == b"started\n"


def test_a_receipt_survives_a_reboot(hand: Hand, boot_file: Path) -> None:
    hand.run("echo", "done")
    boot_file.write_text("boot-2\n")
    report = hand.status()

    assert report.state is State.ENDED
    assert report.body == b"done\n"
    assert (report.fields["boot"], report.fields["here"]) == ("boot-1", "boot-2")


def test_a_claim_of_an_earlier_boot_without_a_receipt_is_lost(
    dash: Hand, boot_file: Path, tmp_path: Path, until: Until
) -> None:
    go = tmp_path / "go"
    with dash.start(
        *dash.run_words("sh", "-c", 'until [ -e "$0" ]; do sleep 0.02; done', str(go))
    ) as process:
        until(lambda: "leader" in dash.files(), "the start")
        boot_file.write_text("boot-2\n")
        report = dash.status()
        go.touch()
        process.communicate(timeout=30)

    assert report.state is State.LOST
    assert report.fields["boot"] == "boot-1"


def test_a_claim_whose_processes_are_gone_is_lost(dash: Hand, tmp_path: Path, until: Until) -> None:
    with dash.start(*dash.run_words("sleep", "4", deadline=5)) as process:
        until(lambda: "leader" in dash.files(), "the start")
        leader = int((dash.state / "attempts/a@leader").read_text().split()[0])
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        during = dash.status().state
        os.killpg(leader, signal.SIGKILL)
        until(lambda: gone(leader), "the end of the command")
        # what writes the code still lives, but nobody writes a receipt any more
        until(lambda: dash.status().state is State.LOST, "the verdict")

    assert during is State.RUNNING


def test_a_reused_process_number_is_not_taken_for_the_command(dash: Hand) -> None:
    attempts = dash.state / "attempts"
    (attempts / "a@claim").write_text(f"boot-1\n{os.getpid()} 1\n1.00\n")
    (attempts / "a@leader").write_text(f"{os.getpid()} 1\n")

    assert dash.status().state is State.LOST


def test_the_same_process_number_with_its_start_time_is(dash: Hand) -> None:
    started = Path("/proc/self/stat").read_text().rpartition(") ")[2].split()[19]
    attempts = dash.state / "attempts"
    (attempts / "a@claim").write_text("boot-1\n1 1\n1.00\n")
    (attempts / "a@leader").write_text(f"{os.getpid()} {started}\n")

    assert dash.status().state is State.RUNNING


def test_half_a_receipt_counts_as_none(dash: Hand) -> None:
    dash.run("true")
    path = dash.state / "attempts/a@receipt"
    path.write_text(path.read_text().removesuffix("done\n"))

    assert dash.status().state is State.LOST


def test_an_empty_claim_is_somebody_who_is_about_to_start(dash: Hand) -> None:
    (dash.state / "attempts/a@claim").touch()

    assert dash.status().state is State.CLAIMING
    assert dash.run("true").state is State.CLAIMING


def test_a_state_directory_keeps_its_identity_and_a_new_one_has_another(hand: Hand) -> None:
    first, again = hand.boot(), hand.boot()
    hand.state.rename(hand.state.with_name("lost"))
    new = hand.boot()

    assert first is not None
    assert again is not None
    assert new is not None
    assert first.boot == again.boot
    assert new.fields["id"] not in {first.fields["id"], "-", ""}
    assert hand.state.stat().st_mode & 0o777 == 0o700


def test_a_lost_state_directory_is_said(hand: Hand) -> None:
    hand.state.rename(hand.state.with_name("lost"))

    assert hand.status().state is State.NO_STATE
    assert hand.run("true").state is State.NO_STATE


@pytest.mark.parametrize("idempotent", [False, True])
def test_where_nothing_can_be_written_only_the_idempotent_runs(
    hand: Hand, tmp_path: Path, idempotent: bool
) -> None:
    count = tmp_path / "count"
    (tmp_path / "file").touch()
    hand.state = tmp_path / "file" / "state"
    boot = hand.boot()
    report = hand.run("sh", "-c", 'echo x >>"$0"; echo said', str(count), idempotent=idempotent)

    assert boot is not None
    assert boot.fields["id"] == "-"
    assert count.exists() is idempotent
    assert (report.state, report.body) == ((State.ENDED, b"said\n") if idempotent else (State.NO_STATE, b""))
    assert not list(Path("/dev/shm").glob(f"holdfast.*{NONCE}"))


def test_a_full_disk_starts_nothing_that_is_not_idempotent(hand: Hand, tmp_path: Path) -> None:
    def full() -> None:
        """Every write to a file fails, as it does on a full disk; files can still be made."""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    report = hand.run("mkdir", str(tmp_path / "canary"), preexec_fn=full)

    assert report.state is State.NO_STATE
    assert not (tmp_path / "canary").exists()
    assert hand.files() == set()


def test_without_setsid_nothing_is_started(dash: Hand, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    dash.shell = [shutil.which("sh") or "/bin/sh"]
    dash.env["PATH"] = str(tmp_path / "bin")

    assert dash.run("/bin/touch", str(tmp_path / "canary")).state is State.NO_SETSID
    assert not (tmp_path / "canary").exists()


def test_old_attempts_are_forgotten_when_somebody_connects(hand: Hand) -> None:
    hand.run("true", attempt="old")
    hand.run("true", attempt="new")
    for path in hand.state.glob("attempts/old@*"):
        os.utime(path, (1, 1))
    hand.boot()

    assert hand.files("old") == set()
    assert "receipt" in hand.files("new")


def test_the_number_of_attempts_is_bounded_and_what_runs_is_kept(hand: Hand) -> None:
    attempts = hand.state / "attempts"
    for number in range(1000):
        (attempts / f"old{number}@claim").write_text("boot-1\n1 1\n1.00\n")
        (attempts / f"old{number}@receipt").write_text("exit=0\ndone\n")
        os.utime(attempts / f"old{number}@claim", (1000 + number, 1000 + number))
    (attempts / "running@claim").write_text("boot-1\n1 1\n1.00\n")
    os.utime(attempts / "running@claim", (1, 1))
    hand.run("true")

    kept = {path.name.partition("@")[0] for path in attempts.glob("*@claim")}
    assert len(kept) == 801
    assert {"a", "running", "old999"} <= kept
    assert "old0" not in kept
    assert not list(attempts.glob("old0@*"))


def test_attempts_are_counted_once_in_a_hundred(hand: Hand) -> None:
    attempts = hand.state / "attempts"
    hand.run("true")
    for number in range(1100):
        (attempts / f"old{number}@claim").write_text("boot-1\n1 1\n1.00\n")
        (attempts / f"old{number}@receipt").write_text("exit=0\ndone\n")
    hand.run("true", attempt="b")
    before = len(list(attempts.glob("*@claim")))
    (hand.state / "turns").write_text("0\n")
    hand.run("true", attempt="c")

    assert before == 1102
    assert len(list(attempts.glob("*@claim"))) == 800


def test_pruning_finds_every_part_of_what_it_forgets(hand: Hand) -> None:
    attempts = hand.state / "attempts"
    parts = ("claim", "leader", "code", "head", "kept", "tail", "killed", "skipped", "receipt")
    for number in range(1001):
        (attempts / f"old+2e+{number}@claim").write_text("sealed\n")
        os.utime(attempts / f"old+2e+{number}@claim", (2**31 - number, 2**31 - number))
    for part in parts[1:]:
        (attempts / f"old+2e+1000@{part}").touch()
    hand.call("prune", "-", str(hand.state))

    assert hand.files("old+2e+1000") == set()
    assert len(list(attempts.iterdir())) == 800


@pytest.mark.parametrize("ignore", ["", 'trap "" TERM; '])
def test_the_minder_can_have_a_group_ended(hand: Hand, until: Until, ignore: str) -> None:
    with subprocess.Popen(
        ["sh", "-c", f"{ignore}echo; while :; do sleep 0.1; done"],
        start_new_session=True,
        stdout=subprocess.PIPE,
    ) as command:
        assert command.stdout is not None
        command.stdout.read(1)
        with hand.start("end", "-", str(hand.state), "a", str(command.pid)) as end:
            code = end.wait(30)

        assert command.wait(5) == (-signal.SIGKILL if ignore else -signal.SIGTERM)
    assert code == 0
    assert hand.files() == {"killed"}


def test_the_command_reads_nothing_and_has_no_terminal(hand: Hand) -> None:
    assert hand.run("sh", "-c", "cat; [ -t 1 ] || echo no terminal").body == b"no terminal\n"


def test_the_command_leads_a_group_and_a_session_of_its_own(hand: Hand) -> None:
    script = 'set -- $(sed "s/.*) //" /proc/$$/stat); [ $3 = $$ ] && [ $4 = $$ ] && echo alone'

    assert hand.run("sh", "-c", script).body == b"alone\n"


def test_a_command_can_still_be_ended_politely(hand: Hand) -> None:
    assert hand.run("sh", "-c", "kill -s TERM $$; echo survived").fields["exit"] == "143"
    assert hand.run("sh", "-c", "kill -s HUP $$; echo survived", attempt="b").fields["exit"] == "129"


def test_the_supervisor_outlives_the_signals_that_end_a_session(
    hand: Hand, tmp_path: Path, until: Until
) -> None:
    go = tmp_path / "go"
    argv = ("sh", "-c", 'echo up; until [ -e "$0" ]; do sleep 0.02; done; echo went', str(go))
    with hand.start(*hand.run_words(*argv)) as process:
        head = hand.state / "attempts/a@head"
        until(lambda: head.exists() and head.stat().st_size, "the start")
        for number in (signal.SIGHUP, signal.SIGTERM):
            os.killpg(process.pid, number)
        go.touch()
        data, _ = process.communicate(timeout=30)

    report = receipt.parse(data, NONCE)
    assert report is not None
    assert report.body == b"up\nwent\n"
    assert report.fields["exit"] == "0"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every account can look into, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def somebody(place: Path) -> Iterator[Hand]:
    """The wrapper run by an account that becomes root only through a program of the host, as with sudo."""
    become_root = place / "become-root"
    shutil.copyfile(shutil.which("setpriv") or "", become_root)
    become_root.chmod(0o4755)
    (place / "state").mkdir()
    os.chown(place / "state", NOBODY, NOBODY)
    made = Hand(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "sh"],
        place / "state",
        Path("/proc/sys/kernel/random/boot_id"),
    )
    made.boot()
    yield made
    for path in made.state.glob("attempts/*@leader"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(path.read_text().split()[0]), signal.SIGKILL)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a program that others become root with")
def test_what_the_host_may_not_kill_is_not_said_to_have_ended(
    somebody: Hand, place: Path, until: Until
) -> None:
    argv = (str(place / "become-root"), "--reuid=0", "--regid=0", "--clear-groups", "sleep", "300")
    with somebody.start(*somebody.run_words(*argv, deadline=1)) as process:
        until(lambda: "killed" in somebody.files(), "the deadline")
        state = somebody.status().state
        leader = int((somebody.state / "attempts/a@leader").read_text().split()[0])
        os.killpg(leader, signal.SIGKILL)
        process.communicate(timeout=60)

    assert state is State.RUNNING
    assert somebody.status().fields["killed"] == "1"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a program that others become root with")
def test_what_is_left_of_a_group_that_was_killed_is_said(somebody: Hand, place: Path) -> None:
    script = '"$0" --reuid=0 --regid=0 --clear-groups sleep 300; echo never'
    report = somebody.run("sh", "-c", script, str(place / "become-root"), deadline=1)

    assert report.state is State.ENDED
    assert (report.fields["killed"], report.fields["left"]) == ("1", "1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a program that others become root with")
def test_what_only_sudo_may_kill_is_killed_through_sudo(somebody: Hand, place: Path, until: Until) -> None:
    become_root = f"{place}/become-root --reuid=0 --regid=0 --clear-groups"
    sudo = place / "bin" / "sudo"
    sudo.parent.mkdir()
    sudo.write_text(f'#!/bin/sh\n[ "$1" = -n ] && shift && exec {become_root} "$@"\n')
    sudo.chmod(0o755)
    somebody.env["PATH"] = f"{sudo.parent}:{os.environ['PATH']}"
    report = somebody.run("sh", "-c", f"{become_root} sleep 300; echo never", deadline=1)

    assert (report.fields["killed"], report.fields["left"]) == ("1", "0")
    leader = (somebody.state / "attempts/a@leader").read_text().split()[0]
    until(lambda: not group(leader), "the end of the group")


def test_an_unknown_verb_does_nothing(hand: Hand) -> None:
    assert hand.call("reboot", NONCE, str(hand.state)) is None
