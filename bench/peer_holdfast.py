"""Holdfast for the peer harness: its own `.venv`, a real config repository, the real `holdfast run`.

The harness imports this file by name (`run.py peer_holdfast W1 --adapters bench`) with its own Python;
nothing of the package is imported here, and no connector is defined: actions are `local`, with their wrapper.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import repository
from peer import Base

HOLDFAST = Path(__file__).resolve().parents[1] / ".venv" / "bin" / "holdfast"


class Peer(Base):
    """Built-in limits replaced by ones that are never reached, 8 connections."""

    name = "peer_holdfast"
    limits = False

    def setup(self, wl: str, R: int) -> None:  # noqa: N803 - the harness's own names
        """Write the config repository and let `holdfast check` look at it."""
        repository.write(self.d / "config", wl, R, self.fired_log, limits=self.limits)
        subprocess.run(
            [HOLDFAST, "check", self.d / "config"], check=True, capture_output=True, text=True, timeout=120
        )
        (self.d / "state").mkdir(mode=0o700)

    def commands(self) -> list[tuple[list[object], dict[str, str] | None]]:
        """The daemon."""
        places = ["--config", self.d / "config", "--state", self.d / "state"]
        return [([HOLDFAST, "run", *places, "--listen", f"127.0.0.1:{self.port}"], None)]

    def path(self, e: object) -> str:
        """Where an event is posted."""
        del e
        return f"/events?source={repository.SOURCE}"

    def restart_cleanup(self) -> None:
        """What was written before the kill is kept for a look."""
        for log in self.d.glob("err*.log"):
            shutil.copy(log, log.with_suffix(".before"))
