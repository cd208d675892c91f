"""Attempts on the daemon's own machine: the minder makes them, or the same wrapper as on every host.

Both lead sessions of their own, so that the death of the daemon neither ends the command nor loses its
receipt. Under systemd the unit has to leave them alone: `KillMode=process`.
"""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from holdfast.errors import ConnectorError
from holdfast.execute import receipt, wrapper
from holdfast.execute.connector import Ending
from holdfast.execute.minding import Minding
from holdfast.execute.receipt import Report, State
from holdfast.model.records import AttemptOrder, OutcomeKind

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ANSWER_S: Final = 15.0
#: On top of a deadline: TERM, two seconds, KILL, two more at worst, the receipt, and a loaded machine.
GRACE_S: Final = 16.0
_DECLINED: Final = Report(State.DECLINED, {}, b"")


def environment() -> dict[str, str]:
    """What a local command finds in its environment: nothing of the daemon's own."""
    return {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": str(Path.home()), "SHELL": "/bin/sh"}


class LocalConnector:
    """Runs unprivileged steps here; receipts are kept in `state`."""

    def __init__(self, state: Path, *, env: Mapping[str, str] | None = None, shell: str = "/bin/sh") -> None:
        self._state = str(state.absolute())
        self._env = dict(environment() if env is None else env)
        self._shell = shell
        self._boot: str | None = None
        self._lock = threading.Lock()
        self._left: list[subprocess.Popen[bytes]] = []
        self._minding = Minding(self._state, self._shell, self._env)
        self._stopped, self._stop = os.pipe()  # closing the second wakes whoever reads from us
        self._closed = False

    def boot(self, target: str) -> str:
        """This boot and the memory of `state`; read once, and the minder is started with it."""
        del target
        boot = self._boot
        if boot is None:
            nonce = wrapper.new_nonce()
            boot = receipt.boot_of(self._ask(wrapper.boot_words(self._state, nonce), nonce, _ANSWER_S))
            self._boot = boot
            self._minding.warm()
        return boot

    def run(self, order: AttemptOrder, boot: str) -> Ending:
        """One attempt; see Connector."""
        nonce = wrapper.new_nonce()
        limit = wrapper.deadline_s(order) + GRACE_S
        report = self._minded(order, nonce, limit)
        if report is not None and report.state is State.DECLINED:
            report = self._ask(wrapper.run_words(order, self._state, nonce), nonce, limit)
        if report is None:
            return Ending(OutcomeKind.UNKNOWN, detail="its supervisor did not report")
        refusal = receipt.started_nothing(report)
        if refusal is not None:
            self._boot = None  # asking for the boot makes the state directory again, if it can
            raise ConnectorError(f"this machine: {refusal}")
        return receipt.ending(report, boot) or Ending(OutcomeKind.UNKNOWN, detail="it is running already")

    def status(self, order: AttemptOrder, boot: str) -> Ending | None:
        """What the receipts say about an attempt; see Connector."""
        nonce = wrapper.new_nonce()
        report = self._ask(wrapper.status_words(order, self._state, nonce), nonce, _ANSWER_S)
        if report is None:
            raise ConnectorError(f"the receipts in {self._state} cannot be read")
        return receipt.ending(report, boot)

    def close(self) -> None:
        """Stop waiting; what runs goes on without us."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._stop)
        self._minding.close()
        self._reap()

    def _minded(self, order: AttemptOrder, nonce: str, limit: float) -> Report | None:
        """What the minder says about it; it declines what is not usual."""
        step = order.step
        if self._closed:
            raise ConnectorError("the daemon is stopping")
        if step.skip_if is not None:
            return _DECLINED
        words = [nonce, wrapper.claim_name(order.id), str(wrapper.deadline_s(order)), *step.argv]
        wrapper.check(words)
        answer = self._minding.order(words)
        if answer is None:
            return _DECLINED
        try:
            return receipt.parse(self._read(answer, nonce, limit), nonce)
        finally:
            os.close(answer)

    def _ask(self, words: Sequence[str], nonce: str, limit: float) -> Report | None:
        argv = wrapper.local_argv(self._shell, words)
        if self._closed:
            raise ConnectorError("the daemon is stopping")
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
                env=self._env,
            )
        except OSError as error:
            raise ConnectorError(f"{self._shell} cannot be started here: {error}") from error
        try:
            if process.stdout is None:
                raise AssertionError
            with process.stdout as stdout:
                return receipt.parse(self._read(stdout.fileno(), nonce, limit), nonce)
        finally:
            self._reap(process)

    def _read(self, answer: int, nonce: str, limit: float) -> bytes:
        """What comes until its last line, its end, the limit, or our own end."""
        data = bytearray()
        until = time.monotonic() + limit
        poll = select.poll()
        poll.register(answer, select.POLLIN)
        poll.register(self._stopped, select.POLLIN)
        while not receipt.is_whole(data, nonce) and len(data) < receipt.MAX_ANSWER:
            ready = poll.poll(max(0.0, until - time.monotonic()) * 1000)
            if not ready or any(number == self._stopped for number, _ in ready):
                break
            piece = os.read(answer, 65536)
            if not piece:
                break
            data += piece
        return bytes(data)

    def _reap(self, *more: subprocess.Popen[bytes]) -> None:
        """It ends by itself in a moment, or long after we have gone: never wait for it."""
        with self._lock:
            self._left = [process for process in (*self._left, *more) if process.poll() is None]
            if self._closed:
                for process in self._left:
                    process.returncode = 0  # it outlives us on purpose: Popen need not complain
                self._left.clear()
