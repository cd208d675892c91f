"""A real sshd per test, attempts to make on it, and ways to wait for what they do."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.execute.dial import Limits
from holdfast.execute.local import LocalConnector, environment
from holdfast.execute.ssh import SshConnector
from holdfast.model.actions import Connector, Host, PlannedStep, Retry, Risk
from holdfast.model.records import AttemptOrder
from holdfast.rehearsal.sshd import Sshd, start_sshd

Order = Callable[..., AttemptOrder]
Until = Callable[..., None]

#: How the session finds processes that a test left behind (tests/conftest.py).
MARK = "HOLDFAST_TEST_SESSION"


@pytest.fixture
def boot_file(tmp_path: Path) -> Path:
    """Stands for the kernel's boot id on the target; write another one to "reboot" it."""
    path = tmp_path / "boot_id"
    path.write_text("boot-1\n")
    return path


@pytest.fixture
def sshd(tmp_path: Path, boot_file: Path) -> Iterator[Sshd]:
    directory = tmp_path / "sshd"
    directory.mkdir()
    passed_on = {
        MARK: os.environ.get(MARK, ""),
        "HOLDFAST_BOOT_ID_FILE": str(boot_file),
        "HOME": str(tmp_path),
    }
    extra = ["SetEnv " + " ".join(f"{name}={value}" for name, value in passed_on.items())]
    with start_sshd(directory, extra=extra) as server:
        yield server


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where the receipts are kept, on the target and here."""
    return tmp_path / "state"


@pytest.fixture
def web1(sshd: Sshd) -> Host:
    return Host("web1", sshd.host, sshd.user, sshd.host_key_line, sshd.port)


@pytest.fixture
def connect(sshd: Sshd, state: Path) -> Iterator[Callable[..., SshConnector]]:
    """Makes connectors to one host; all are closed at the end."""
    made: list[SshConnector] = []

    def build(
        host: Host, *, pem: str | None = None, limits: Limits | None = None, **more: str
    ) -> SshConnector:
        key = sshd.client_key_path.read_text() if pem is None else pem
        more.setdefault("state", str(state))
        made.append(SshConnector(lambda: {host.name: host}, lambda _: key, limits=limits, **more))
        return made[-1]

    yield build
    for connector in made:
        connector.close()


@pytest.fixture
def ssh(connect: Callable[..., SshConnector], web1: Host) -> SshConnector:
    return connect(web1)


@pytest.fixture
def local(state: Path, boot_file: Path) -> Iterator[LocalConnector]:
    env = {**environment(), MARK: os.environ.get(MARK, ""), "HOLDFAST_BOOT_ID_FILE": str(boot_file)}
    connector = LocalConnector(state, env=env)
    yield connector
    connector.close()


@pytest.fixture
def order() -> Order:
    """Makes the order of one attempt from its command."""

    def build(
        *argv: str,
        attempt: str = "r1/0/1",
        deadline: int = 20_000,
        idempotent: bool = False,
        skip_if: tuple[str, ...] | None = None,
        way: Connector = Connector.SSH,
        target: str = "web1",
    ) -> AttemptOrder:
        step = PlannedStep(
            action="act",
            connector=way,
            target=target,
            argv=argv,
            params={},
            risk=Risk.LOW,
            touches=(),
            idempotent=idempotent,
            irreversible=False,
            deadline=deadline,
            retry=Retry(),
            verify=None,
            fresh=True,
            skip_if=skip_if,
        )
        return AttemptOrder(attempt, "r1", "i1", step, deadline)

    return build


@pytest.fixture
def until() -> Until:
    """Waits for a condition, and fails with `what` when it does not come."""

    def wait(condition: Callable[[], object], what: str = "the condition", seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        pause = threading.Event()
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
            pause.wait(0.01)

    return wait
