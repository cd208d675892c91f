"""Talk to systemd: ready, reloading, stopping, still alive. Without systemd it is silence."""

from __future__ import annotations

import os
import socket
import time
from typing import Final

_MICRO: Final = 1_000_000


class Supervisor:
    """`sd_notify` over the socket that systemd names in the environment."""

    def __init__(self, address: str | None = None, watchdog_us: str | None = None) -> None:
        self._address = address if address is not None else os.environ.get("NOTIFY_SOCKET", "")
        wanted = watchdog_us if watchdog_us is not None else os.environ.get("WATCHDOG_USEC", "")
        #: Seconds between two signs of life, half of what systemd allows; None when it wants none.
        self.beat: float | None = int(wanted) / _MICRO / 2 if wanted.isdigit() else None

    def ready(self, status: str) -> None:
        """Up: events are heard."""
        self._say(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """A new config is being loaded."""
        self._say(f"RELOADING=1\nMONOTONIC_USEC={int(time.monotonic() * _MICRO)}")

    def stopping(self) -> None:
        """Going down on purpose."""
        self._say("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._say(f"STATUS={text}")

    def alive(self) -> None:
        """A sign of life; the caller has looked that the pipeline moves."""
        self._say("WATCHDOG=1")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            try:
                sock.sendto(text.encode(), address)
            except OSError:
                # systemd may be restarting; there is nobody else to tell
                return
