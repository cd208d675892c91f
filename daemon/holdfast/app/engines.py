"""Makes the engine that a config asks for, and journals what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog

from holdfast.app.clock import now
from holdfast.errors import HoldfastError
from holdfast.match.durable.engine import DurableEngine
from holdfast.match.native import NativeEngine
from holdfast.model.events import EngineNews, Entry, EntryKind
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

    def report(news: EngineNews) -> None:
        say = log.info if news.trouble is None else log.warning
        say("engine.news", mode=news.mode, trouble=news.trouble, why=news.why)
        body = msgspec.json.encode(news)
        entry = Entry(
            EntryKind.ENGINE, "engine", f"{news.mode}-{news.trouble}-{now()}", snapshot.commit, body
        )
        try:
            append([entry])
        except HoldfastError as error:
            log.error("engine.not_journalled", why=str(error))  # noqa: TRY400 - the log line above tells it

    return Loaded(snapshot, DurableEngine(rules, report))
