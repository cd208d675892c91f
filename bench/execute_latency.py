#!/usr/bin/env python3
"""What one attempt costs: claim, command, receipt; local and over a warm SSH connection.

Run from anywhere with the project's Python: bench/execute_latency.py [--attempts N]. Starts an sshd of its
own on loopback. Prints, asserts nothing. The bare rows are the floor: the same without claim and receipt.
"to the start" is the time that a command (`date`, its own loading included) prints, less that of the call.
"CPU" is what an attempt burns here, and in all the processes that it starts; not what it costs over SSH.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "daemon"))

import msgspec

from holdfast.effects import crash_point
from holdfast.execute.connector import Connector, Ending
from holdfast.execute.dial import Limits, dial
from holdfast.execute.hands import Hands
from holdfast.execute.local import LocalConnector
from holdfast.execute.ssh import SshConnector
from holdfast.model.actions import Connector as Way
from holdfast.model.actions import Host, PlannedStep, Retry, Risk
from holdfast.model.events import Entry
from holdfast.model.records import AttemptOrder, OutcomeKind
from holdfast.rehearsal.sshd import Sshd, start_sshd
from holdfast.store import runs
from holdfast.store.database import Database
from holdfast.store.runs import Labels

READY = crash_point("bench.ready")
#: prctl: who loses its parent becomes a child of ours, so that its CPU time is counted too.
PR_SET_CHILD_SUBREAPER = 36


def order(name: str, way: Way, *argv: str) -> AttemptOrder:
    """An attempt with a deadline of a minute."""
    step = PlannedStep(
        "bench", way, "web1", argv, {}, Risk.LOW, (), False, False, 60_000, Retry(), None, True
    )
    return AttemptOrder(name, "bench", "bench", step, 60_000)


def measure(title: str, count: int, act: Callable[[int], object]) -> None:
    """Print the median and the 99th percentile of `count` calls, after a few that do not count."""
    for number in range(5):
        act(-1 - number)
    spans = []
    for number in range(count):
        begun = time.perf_counter()
        act(number)
        spans.append((time.perf_counter() - begun) * 1000)
    show(title, spans)


def show(title: str, spans: list[float]) -> None:
    """Print the median and the 99th percentile of milliseconds."""
    spans.sort()
    p50, p99 = spans[len(spans) // 2], spans[int(len(spans) * 0.99)]
    sys.stdout.write(f"{title:42} p50 {p50:7.2f} ms   p99 {p99:7.2f} ms   (n={len(spans)})\n")


def to_the_start(title: str, count: int, connector: Connector, way: Way) -> None:
    """From the call of a connector to the time that the command itself reads."""
    boot = connector.boot("web1")
    spans = []
    for number in range(-5, count):
        begun = time.time()
        ending = connector.run(order(f"start-{way}/{number + 5}", way, "date", "+%s.%N"), boot)
        spans.append((float(ending.output) - begun) * 1000)
    show(title, spans[5:])


def reap() -> None:
    """Wait for every process that there is, for half a minute at most."""
    until = time.monotonic() + 30
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < until:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                threading.Event().wait(0.001)


def burnt() -> tuple[float, float]:
    """CPU milliseconds so far: our own, and those of the processes that have ended."""
    mine, theirs = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return (mine.ru_utime + mine.ru_stime) * 1000, (theirs.ru_utime + theirs.ru_stime) * 1000


def cpu(title: str, count: int, root: Path, *argv: str) -> None:
    """CPU time of one local attempt, of everything that it starts too."""
    reap()
    connector = LocalConnector(root / "cpu")
    boot = connector.boot("local")
    before = burnt()
    for number in range(count):
        connector.run(order(f"{argv[0]}/{number}", Way.LOCAL, *argv), boot)
    connector.close()
    reap()
    mine, theirs = ((now - then) / count for now, then in zip(burnt(), before, strict=True))
    sys.stdout.write(f"{title:42} CPU {theirs:7.2f} ms in its processes, {mine:.2f} ms here   (n={count})\n")


def attempts(title: str, count: int, connector: Connector, way: Way, *argv: str) -> None:
    """Whole attempts, one after the other."""
    boot = connector.boot("web1")
    name = title.replace(" ", "-").replace(":", "").replace(",", "")
    measure(title, count, lambda number: connector.run(order(f"{name}/{number}", way, *argv), boot))


def bare_ssh(host: Host, key: str) -> Callable[[int], None]:
    """A command on a connection like the connector's, without claim and receipt."""
    connection = dial(host, key, Limits())

    def act(_: int) -> None:
        channel = connection.transport.open_session()
        channel.exec_command("true")
        while channel.recv(100):
            pass
        channel.close()

    return act


def through_hands(count: int, root: Path, title: str, connector: Connector, way: Way) -> None:
    """From a row that is ready to the outcome that goes to the journal: two commits, one of them here."""
    database = Database.open(root / f"{way}.db")
    done = threading.Event()

    def put(_: Sequence[Entry]) -> None:
        done.set()

    hands = Hands(database, put, {way: connector}, lambda: 0, redact=str, commit=lambda: "bench")
    hands.start()

    def act(number: int) -> None:
        done.clear()
        labels = Labels(None, None, "bench", "bench")
        with database.begin(READY) as tx:
            runs.order(tx, order(f"hands/{number}", way, "true"), step=0, number=1, labels=labels, now=0)
        hands.wake()
        done.wait(60)

    measure(title, count, act)
    hands.stop(5)
    database.close()


def start_through_hands(count: int, root: Path) -> None:
    """From a row that is ready to the time that its command reads."""
    database = Database.open(root / "start.db")
    done: list[float] = []
    told = threading.Event()

    def put(entries: Sequence[Entry]) -> None:
        done.extend(float(msgspec.json.decode(entry.body)["output"]) for entry in entries)
        told.set()

    connector = LocalConnector(root / "state")
    hands = Hands(database, put, {Way.LOCAL: connector}, lambda: 0, redact=str, commit=lambda: "bench")
    hands.start()
    spans = []
    for number in range(count):
        told.clear()
        wanted = order(f"first/{number}", Way.LOCAL, "date", "+%s.%N")
        with database.begin(READY) as tx:
            runs.order(tx, wanted, step=0, number=1, labels=Labels(None, None, "b", "b"), now=0)
        begun = time.time()
        hands.wake()
        told.wait(60)
        spans.append((done[-1] - begun) * 1000)
    hands.stop(5)
    database.close()
    show("local: wake of the hands to the start", spans[5:])


def drain(count: int, root: Path) -> None:
    """Many that wait for one place at once: here an attempt costs nothing, so what is left is the waiting."""
    database = Database.open(root / "drain.db")
    done = threading.Event()
    left = [count]

    class Quick:
        """Does nothing, at once."""

        boot = staticmethod(lambda _: "b/m")
        run = staticmethod(lambda _order, _boot: Ending(OutcomeKind.ENDED, 0))
        status = staticmethod(lambda _order, _boot: None)
        close = staticmethod(lambda: None)

    def put(entries: Sequence[Entry]) -> None:
        left[0] -= len(entries)
        hands.wake()  # as every decision does
        if left[0] <= 0:
            done.set()

    with database.begin(READY) as tx:
        for number in range(count):
            wanted = order(f"drain/{number}", Way.LOCAL, "true")
            runs.order(tx, wanted, step=0, number=1, labels=Labels(None, None, "b", "b"), now=number // 100)
    hands = Hands(database, put, {Way.LOCAL: Quick()}, lambda: 0, redact=str, commit=lambda: "bench")
    before = burnt()[0]
    hands.start()
    done.wait(120)
    spent = (burnt()[0] - before) / count
    hands.stop(5)
    database.close()
    sys.stdout.write(f"{'hands alone, all ready at once':42} CPU {spent:7.2f} ms each   (n={count})\n")


def over_ssh(count: int, root: Path, sshd: Sshd) -> None:
    """Everything that goes over the wire."""
    host = Host("web1", sshd.host, sshd.user, sshd.host_key_line, sshd.port)
    key = sshd.client_key_path.read_text(encoding="ascii")

    def connect() -> SshConnector:
        return SshConnector(lambda: {"web1": host}, lambda _: key, state=str(root / "remote"))

    def fresh(_: int) -> None:
        connector = connect()
        connector.boot("web1")
        connector.close()

    ssh = connect()
    ssh.boot("web1")
    measure("ssh, warm: bare `true`", count, bare_ssh(host, key))
    attempts("ssh, warm: attempt of `true`", count, ssh, Way.SSH, "true")
    attempts("ssh, warm: attempt of `echo hello`", count, ssh, Way.SSH, "echo", "hello")
    to_the_start("ssh, warm: to the start", count, ssh, Way.SSH)
    boot = ssh.boot("web1")
    measure(
        "ssh, warm: status", count, lambda number: ssh.status(order(f"none/{number}", Way.SSH, "x"), boot)
    )
    measure("ssh: connect, log in, read the boot", max(10, count // 20), fresh)
    through_hands(count, root, "ssh, warm: ready row to outcome", ssh, Way.SSH)


def main() -> None:
    """Measure everything once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=200)
    count = parser.parse_args().attempts
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        bare = ["/bin/sh", "-c", "/bin/true; :"]
        measure("local: bare `sh -c true`", count, lambda _: subprocess.run(bare, check=True))
        local = LocalConnector(root / "state")
        attempts("local: attempt of `true`", count, local, Way.LOCAL, "true")
        attempts("local: attempt of `echo hello`", count, local, Way.LOCAL, "echo", "hello")
        to_the_start("local: to the start", count, local, Way.LOCAL)
        through_hands(count, root, "local: ready row to outcome", local, Way.LOCAL)
        start_through_hands(count, root)
        drain(count * 5, root)
        cpu("local: attempt of `true`", count, root, "true")
        cpu("local: attempt of `echo hello`", count, root, "echo", "hello")
        (root / "sshd").mkdir()
        # a login shell reads its start files for every single command: measure without those of this user
        with start_sshd(root / "sshd", extra=[f"SetEnv HOME={root}"]) as sshd:
            over_ssh(count, root, sshd)


if __name__ == "__main__":
    main()
