"""The daemon's side of the courier process: started on demand, replaced when it dies or hangs."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from holdfast.model.records import Delivery, DeliveryState
from holdfast.model.values import SECOND
from holdfast.notify.wire import LINE_MAX, READY, Answer, Order, order_line, read_answer

ARGV: Final = (sys.executable, "-P", "-m", "holdfast.notify.child")
#: What the child may know of our environment: where to look, how to trust, and which way is out.
_PASSED_ON: Final = (
    "PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip
#: Sends that were given up and still run in one child; then it is replaced.
_STUCK_MAX: Final = 8
_TICK_S: Final = 0.5
_TRIES: Final = 2


@dataclass(slots=True, eq=False)
class _Waiting:
    """One order that is out. `deadline` is monotonic; None until it is being written."""

    deadline: float | None = None
    done: threading.Event = field(default_factory=threading.Event)
    answer: Answer | None = None


class _Child:
    """One courier process and the thread that listens to it."""

    def __init__(self, argv: Sequence[str], idle: float) -> None:
        self.ready = threading.Event()
        self.gone = threading.Event()
        self.stuck = 0
        self._idle = idle
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}
        self._closing = False
        self._count = 0
        self._last = time.monotonic()
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a traceback could hold a URL
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            cwd="/",
            start_new_session=True,  # Ctrl-C in the daemon's terminal is not for it
            bufsize=0,
        )
        threading.Thread(target=self._listen, name="courier", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def enter(self) -> tuple[str, _Waiting] | None:
        """Reserve a place for an order, or None when this child takes no more."""
        with self._lock:
            if self._closing or self.gone.is_set() or self.stuck >= _STUCK_MAX:
                return None
            self._count += 1
            waiting = _Waiting()
            self._waiting[str(self._count)] = waiting
            return str(self._count), waiting

    def hand_over(self, line: bytes, waiting: _Waiting, patience: float) -> bool:
        """Write an order; False when it certainly did not go out whole."""
        with self._writing:
            if self.gone.is_set():
                return False
            waiting.deadline = time.monotonic() + patience
            stdin = self._process.stdin
            try:
                while line and stdin is not None:
                    line = line[stdin.write(line) or 0 :]
            except OSError:
                self.close()  # it is dying: the next order is for another
                return False
            return True

    def leave(self, number: str) -> None:
        """Give a place back."""
        with self._lock:
            self._waiting.pop(number, None)
            self._last = time.monotonic()

    def close(self) -> None:
        """Take no more orders; the process ends when what is out is answered."""
        with self._lock:
            self._closing = True

    def kill(self) -> None:
        """End the process now; what is out stays unconfirmed."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def _listen(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101  Popen was given a pipe
        buffer = b""
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while True:
                if selector.select(_TICK_S):
                    chunk = os.read(stdout.fileno(), 65536)
                    if not chunk:
                        break
                    *lines, buffer = (buffer + chunk).split(b"\n")
                    self._hear(lines)
                if len(buffer) > LINE_MAX or self._overdue():
                    self.kill()
                elif self._done():
                    self._hang_up()
        self._bury()

    def _hear(self, lines: list[bytes]) -> None:
        for line in lines:
            if line + b"\n" == READY:
                self.ready.set()
                continue
            try:
                answer = read_answer(line)
            except msgspec.MsgspecError:
                self.kill()
                return
            with self._lock:
                self.stuck = answer.stuck
                waiting = self._waiting.get(answer.id)
            if waiting is not None:
                waiting.answer = answer
                waiting.done.set()

    def _overdue(self) -> bool:
        now = time.monotonic()
        with self._lock:
            waiting = [one for one in self._waiting.values() if not one.done.is_set()]
            return any(one.deadline is not None and one.deadline < now for one in waiting)

    def _done(self) -> bool:
        with self._lock:
            if self._waiting:
                return False
            if self._closing or self.stuck >= _STUCK_MAX or time.monotonic() - self._last > self._idle:
                self._closing = True
            return self._closing

    def _hang_up(self) -> None:
        stdin = self._process.stdin
        with self._writing, contextlib.suppress(OSError):
            if stdin is not None:
                stdin.close()

    def _bury(self) -> None:
        self.kill()
        self._process.wait()
        with self._lock:
            self.gone.set()
            left = list(self._waiting.values())
        self._hang_up()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self.ready.set()
        for waiting in left:
            waiting.done.set()


class Courier:
    """Hands orders to the courier process. Thread-safe; every `send` answers within the order's
    timeout plus `grace` plus, where a process has to be started first, `start`.

    Seconds: `idle` after which the process is stopped to give its memory back.
    """

    def __init__(
        self,
        argv: Sequence[str] | None = None,
        *,
        idle: float = 60.0,
        grace: float = 5.0,
        start: float = 30.0,
    ) -> None:
        self._argv = ARGV if argv is None else tuple(argv)
        self._idle = idle
        self._grace = grace
        self._start = start
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._retired: list[_Child] = []
        self._stopped = False

    @property
    def pid(self) -> int | None:
        """The process id of the courier process, or None while there is none."""
        with self._lock:
            return None if self._child is None or self._child.gone.is_set() else self._child.pid

    def send(self, order: Order) -> Delivery:
        """Send one order and wait. FAILED: it certainly was not delivered; UNCONFIRMED: nobody knows."""
        if len(order_line(order)) > LINE_MAX - 64:
            detail = f"the message is longer than {LINE_MAX} bytes and was not sent"
            return Delivery(order.id, DeliveryState.FAILED, detail)
        for _ in range(_TRIES):
            answer = self._try(order)
            if answer is not None:
                return Delivery(order.id, answer.state, answer.detail)
        return Delivery(order.id, DeliveryState.FAILED, "the courier process ends as soon as it is started")

    def stop(self, patience: float = 3.0) -> None:
        """End the process. What is out has `patience` seconds to be answered, then it is unconfirmed."""
        with self._lock:
            self._stopped = True
            children = [*self._retired, *([] if self._child is None else [self._child])]
        for child in children:
            child.close()
        deadline = time.monotonic() + patience
        for child in children:
            if not child.gone.wait(max(deadline - time.monotonic(), 0.0)):
                child.kill()
                child.gone.wait(patience)

    def _try(self, order: Order) -> Answer | None:
        """One attempt; None when the order certainly did not reach a process."""
        if self._stopped:
            return Answer(order.id, DeliveryState.FAILED, "the daemon is stopping: not sent")
        try:
            child, place = self._reserve()
        except OSError as error:
            return Answer(
                order.id, DeliveryState.FAILED, f"the courier process cannot be started: {error.strerror}"
            )
        if place is None:
            return None
        number, waiting = place
        try:
            return self._through(child, replace(order, id=number), waiting)
        finally:
            child.leave(number)

    def _through(self, child: _Child, order: Order, waiting: _Waiting) -> Answer | None:
        if not child.ready.wait(self._start):
            child.kill()
            detail = f"the courier process was not ready within {self._start:.0f} s: not sent"
            return Answer(order.id, DeliveryState.FAILED, detail)
        if not child.hand_over(order_line(order), waiting, order.timeout / SECOND + self._grace):
            return None
        waiting.done.wait()
        lost = "the courier process ended while it was sending: the message may have arrived"
        return waiting.answer or Answer(order.id, DeliveryState.UNCONFIRMED, lost)

    def _reserve(self) -> tuple[_Child, tuple[str, _Waiting] | None]:
        with self._lock:
            if self._child is not None:
                place = self._child.enter()
                if place is not None:
                    return self._child, place
                self._child.close()
                self._retired.append(self._child)
            self._retired = [child for child in self._retired if not child.gone.is_set()]
            self._child = _Child(self._argv, self._idle)
            return self._child, self._child.enter()
