"""What `GET /metrics` shows of a living daemon; docs/reference/metrics.md lists it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from holdfast import __version__
from holdfast.match.engine import Figures
from holdfast.model.events import EngineMode
from holdfast.model.records import Reading
from holdfast.store import journal

if TYPE_CHECKING:
    from holdfast.app.daemon import Daemon


def readings(daemon: Daemon) -> Iterator[Reading]:
    """Every number, read now."""
    with daemon.database.read() as tx:
        head = journal.head(tx)
    labels = {"version": __version__, "commit": daemon.snapshot.commit}
    yield Reading("holdfast_info", "The version and the config commit that decide.", 1, labels)
    yield Reading("holdfast_rules", "Rules of the config.", len(daemon.snapshot.rules))
    yield Reading("holdfast_journal_entries", "Entries that were ever journalled.", head, counts=True)
    yield Reading("holdfast_journal_waiting", "Entries that wait for the disk.", daemon.journal.waiting())
    yield Reading(
        "holdfast_journal_undecided",
        "Entries on disk that the pipeline has not decided on.",
        max(0, head - daemon.pipeline.cursor),
    )
    yield from _counted(
        "holdfast_events_refused",
        "Events that were refused because too much of their source was waiting.",
        "source",
        daemon.journal.refused(),
    )
    for (source, kind), number in daemon.complaints().items():
        yield Reading(
            "holdfast_requests_refused",
            "Requests that were refused, by HTTP status; unknown-name counts events that were kept.",
            number,
            {"source": source, "kind": kind},
            counts=True,
        )
    for name, said in daemon.checks().items():
        yield Reading(
            "holdfast_check_ok", "1 where a check of /readyz is well.", said == "ok", {"check": name}
        )
    yield from engine(daemon.pipeline.engine.figures())


def engine(figures: Figures) -> Iterator[Reading]:
    """The matching engine; docs/engine.md tells how to read it."""
    for mode in EngineMode:
        yield Reading(
            "holdfast_engine_mode", "1 for who matches now.", figures.mode is mode, {"mode": str(mode)}
        )
    yield from _counted(
        "holdfast_engine_events",
        "Events of watched types that the engine process answered, and that native answered alone.",
        "by",
        {"engine": figures.asked, "native": figures.native},
    )
    yield from _counted(
        "holdfast_engine_compared",
        "Answers of the engine process that native looked at as well.",
        "result",
        {"same": figures.compared - figures.differences, "different": figures.differences},
    )
    yield from _counted(
        "holdfast_engine_failures",
        "Engine processes that failed.",
        "trouble",
        {"death": figures.deaths, "late": figures.late, "nonsense": figures.nonsense},
    )
    yield Reading("holdfast_engine_facts", "Facts that were asked about.", figures.facts, counts=True)
    yield Reading("holdfast_engine_starts", "Engine processes started.", figures.started, counts=True)
    yield Reading(
        "holdfast_engine_quarantined", "Facts that are not shown to the engine again.", figures.quarantined
    )
    yield Reading(
        "holdfast_engine_peak_bytes", "The largest resident size of an engine process.", figures.peak * 1024
    )


def _counted(name: str, says: str, label: str, numbers: Mapping[str, int]) -> Iterator[Reading]:
    for value, number in numbers.items():
        yield Reading(name, says, number, {label: value}, counts=True)
