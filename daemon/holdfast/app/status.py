"""What `holdfast status` shows of a living daemon."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from holdfast import __version__
from holdfast.model.values import Json
from holdfast.pipeline.work import STOPPED
from holdfast.store import facts, journal

if TYPE_CHECKING:
    from holdfast.app.daemon import Daemon


def status(daemon: Daemon) -> Json:
    """Version, config, how far the pipeline is, and what is not well."""
    with daemon.database.read() as tx:
        head, stopped = journal.head(tx), facts.get(tx, STOPPED) == "1"
    refused: dict[str, Json] = dict(daemon.journal.refused())
    checks: dict[str, Json] = dict(daemon.checks())
    return {
        "version": __version__,
        "pid": os.getpid(),
        "commit": daemon.snapshot.commit,
        "listen": daemon.served.address,
        "port": daemon.served.port,
        "rules": len(daemon.snapshot.rules),
        "operators": [*sorted(daemon.snapshot.operators)],
        "journal": head,
        "cursor": daemon.pipeline.cursor,
        "waiting": daemon.journal.waiting(),
        "refused": refused,
        "engine": msgspec.to_builtins(daemon.pipeline.engine.figures()),
        "stopped": stopped,
        "config_problem": daemon.complaint,
        "checks": checks,
    }
