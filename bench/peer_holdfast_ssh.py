"""The same with actions over SSH, on one warm connection to an sshd of its own on loopback."""

from __future__ import annotations

from pathlib import Path

import peer_holdfast

PYTHON = peer_holdfast.HOLDFAST.parent / "python"
OVER_SSH = Path(__file__).resolve().parent / "over_ssh.py"


class Peer(peer_holdfast.Peer):
    """The config names the sshd, so it is written once that one is up: by the process that starts both."""

    name = "peer_holdfast_ssh"

    def setup(self, wl: str, R: int) -> None:  # noqa: N803 - the harness's own names
        """Remember what to run."""
        self.words = [wl, R]

    def commands(self) -> list[tuple[list[object], dict[str, str] | None]]:
        """One process that starts the sshd and the daemon."""
        return [([PYTHON, OVER_SSH, *self.words, self.d, self.port], None)]
