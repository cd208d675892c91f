"""Structured logs on standard error, for journald: one JSON object a line, secrets redacted."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import structlog


def configure(redact: Callable[[str], str], *, human: bool) -> None:
    """Send every log line through `redact`; `human` is for a terminal."""

    def clean(value: object) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {redact(str(key)): clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [clean(item) for item in value]
        return redact(str(value))

    def redacted(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {key: clean(value) for key, value in event.items()}

    renderer: Any = structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redacted,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),  # a line and its end in one write
        cache_logger_on_first_use=False,
    )
    # libraries log in their own words, and some of them log URLs with tokens in them
    logging.basicConfig(level=logging.ERROR, handlers=[logging.NullHandler()])


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Log nothing meanwhile: for what takes the road without being the daemon."""
    before = structlog.get_config()
    structlog.configure(
        processors=[lambda _logger, _name, event: event],
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
