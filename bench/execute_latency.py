#!/usr/bin/env python3
"""What one attempt costs: claim, command, receipt; local and over a warm SSH connection.

Run from anywhere with the project's Python: bench/execute_latency.py [--attempts N]. Starts an sshd of its
own on loopback. Prints, asserts nothing. The bare rows are the floor: the same without claim and receipt.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "daemon"))

from holdfast.effects import crash_point
from holdfast.execute.connector import Connector
from holdfast.execute.dial import Limits, dial
from holdfast.execute.hands import Hands
from holdfast.execute.local import LocalConnector
from holdfast.execute.ssh import SshConnector
from holdfast.model.actions import Connector as Way
from holdfast.model.actions import Host, PlannedStep, Retry, Risk
from holdfast.model.events import Entry
from holdfast.model.records import AttemptOrder
from holdfast.rehearsal.sshd import Sshd, start_sshd
from holdfast.store import runs
from holdfast.store.database import Database
from holdfast.store.runs import Labels

READY = crash_point("bench.ready")


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
    spans.sort()
    p50, p99 = spans[len(spans) // 2], spans[int(len(spans) * 0.99)]
    sys.stdout.write(f"{title:42} p50 {p50:7.2f} ms   p99 {p99:7.2f} ms   (n={count})\n")


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
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        bare = ["/bin/sh", "-c", "/bin/true; :"]
        measure("local: bare `sh -c true`", count, lambda _: subprocess.run(bare, check=True))
        local = LocalConnector(root / "state")
        attempts("local: attempt of `true`", count, local, Way.LOCAL, "true")
        attempts("local: attempt of `echo hello`", count, local, Way.LOCAL, "echo", "hello")
        through_hands(count, root, "local: ready row to outcome", local, Way.LOCAL)
        (root / "sshd").mkdir()
        # a login shell reads its start files for every single command: measure without those of this user
        with start_sshd(root / "sshd", extra=[f"SetEnv HOME={root}"]) as sshd:
            over_ssh(count, root, sshd)


if __name__ == "__main__":
    main()
