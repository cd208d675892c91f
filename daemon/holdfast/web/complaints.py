"""Refusals in the log: each kind at once, and then at most once a minute with its number."""

from __future__ import annotations

import time
from collections import Counter
from typing import Final

import structlog

EVERY_SECONDS: Final = 60.0

_log: Final = structlog.get_logger()


class Complaints:
    """Counts every refusal, and keeps a flood of them from becoming a flood of lines."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def add(self, source: str, kind: str, why: str) -> None:
        """One refusal. `source` must be one of the config, or empty: it keeps the counts bounded."""
        key = source, kind
        self.counts[key] += 1
        now = time.monotonic()
        last, count = self._said.get(key, (-EVERY_SECONDS, 0))
        if now - last >= EVERY_SECONDS:
            _log.warning("refused", source=source, kind=kind, why=why, since_last=self.counts[key] - count)
            self._said[key] = now, self.counts[key]
