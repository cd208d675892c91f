"""The daemon's end of the minder: starts it when it is needed, and hands orders to it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

_SCRIPT: Final = Path(__file__).with_name("minder.py")
#: How long it may take to start, and to take an order.
_PATIENCE_S: Final = 5.0
#: How long the wrapper is used before another try with one that would not start.
_AGAIN_S: Final = 60.0

log = structlog.get_logger(__name__)


class Minding:
    """One minder for the attempts of one state directory; a new one when it has gone."""

    def __init__(self, state: str, shell: str, env: Mapping[str, str]) -> None:
        self._argv = [sys.executable, "-I", "-S", str(_SCRIPT), state, shell]
        self._env = dict(env)
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._processes: list[subprocess.Popen[bytes]] = []
        self._not_before = 0.0
        self._closed = False

    def warm(self) -> None:
        """Start it before it is needed."""
        with self._lock:
            if self._control is None:
                self._start()

    def order(self, words: Sequence[str]) -> int | None:
        """Order an attempt; the file to read the answer from. None when it was given to nobody."""
        message = "\0".join(words).encode()
        with self._lock:
            answer, ours = os.pipe()
            try:
                if self._sent(message, ours) or self._sent(message, ours):
                    return answer
            finally:
                os.close(ours)
            os.close(answer)
            return None

    def close(self) -> None:
        """Order nothing more; it ends when what it minds has ended."""
        with self._lock:
            self._closed = True
            self._let_go()
            for process in self._processes:
                process.returncode = 0  # it outlives us on purpose: Popen need not complain

    def _sent(self, message: bytes, answer: int) -> bool:
        control = self._control or self._start()
        if control is None:
            return False
        try:
            socket.send_fds(control, [message], [answer])
        except OSError:
            self._let_go()
            return False
        return True

    def _start(self) -> socket.socket | None:
        if self._closed or time.monotonic() < self._not_before:
            return None
        self._processes = [process for process in self._processes if process.poll() is None]
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        control.settimeout(_PATIENCE_S)
        try:
            with theirs:
                process = subprocess.Popen(
                    self._argv,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    cwd="/",
                    env=self._env,
                )
            self._processes.append(process)
            ready = control.recv(16) == b"ready"
        except OSError:
            ready = False
        if not ready:
            control.close()
            self._not_before = time.monotonic() + _AGAIN_S
            log.warning(
                "execute.no_minder", why="it does not start; the wrapper makes local attempts meanwhile"
            )
            return None
        self._control = control
        return control

    def _let_go(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
