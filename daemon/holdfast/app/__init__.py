"""Wiring: build everything from a config snapshot; start, stop, reload. The only one with a clock."""

from __future__ import annotations

from pathlib import Path

import uvloop

from holdfast.app.daemon import Daemon, Settings

__all__ = ["serve"]


def serve(config: Path, state: Path, *, listen: tuple[str, int] | None = None) -> int:
    """Run the daemon until it is told to stop; the exit code. Raises HoldfastError if it cannot open."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    daemon = Daemon(Settings(config, state, listen))
    return uvloop.run(daemon.run())
