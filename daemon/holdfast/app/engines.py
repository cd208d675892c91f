"""Makes the engine that a config asks for, and journals what becomes of it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog

from holdfast.errors import HoldfastError
from holdfast.match.durable.engine import DurableEngine
from holdfast.match.native import NativeEngine
from holdfast.model.events import EngineNews, Entry
from holdfast.model.kinds import EntryKind
from holdfast.model.snapshot import EngineKind, Snapshot
from holdfast.pipeline.road import Loaded

#: Seconds that a start or a reload waits for the engine process; native matches until it is there.
PATIENCE: Final = 5.0

log = structlog.get_logger(__name__)


def load(snapshot: Snapshot, append: Callable[[Sequence[Entry]], object]) -> Loaded:
    """A config with its engine, which is not started yet."""
    rules = snapshot.rules.values()
    if snapshot.engine is EngineKind.NATIVE:
        return Loaded(snapshot, NativeEngine(rules))

    def report(news: EngineNews) -> bool:
        say = log.info if news.trouble is None else log.warning
        say("engine.news", mode=news.mode, trouble=news.trouble, why=news.why)
        body = msgspec.json.encode(news)
        # the same may happen twice in one millisecond, and is no duplicate then
        entry = Entry(EntryKind.ENGINE, "engine", secrets.token_hex(8), snapshot.commit, body)
        try:
            append([entry])
        except HoldfastError as error:
            log.error("engine.not_journalled", why=str(error))  # noqa: TRY400 - the log line above tells it
            return False
        return True

    return Loaded(snapshot, DurableEngine(rules, report))
