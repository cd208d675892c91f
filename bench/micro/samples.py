"""Configs, events and entries that the micro-benchmarks share: those of the bench."""

from __future__ import annotations

from pathlib import Path

import drive
import msgspec
import repository

from holdfast.config.load import load
from holdfast.effects import crash_point
from holdfast.model.events import Entry, Event
from holdfast.model.kinds import EntryKind
from holdfast.model.snapshot import Snapshot
from holdfast.sense.normalise import normalise

POINT = crash_point("bench.micro")
NOW = 1_800_000_000_000


def rulebook(root: Path, rules: int, workload: str = "W1", *, one_type: bool = False) -> Snapshot:
    """A config of the bench, loaded."""
    folder = root / f"config-{workload}-{rules}-{one_type}"
    return load(repository.write(folder, workload, rules, root / "fired.log", one_type=one_type))


def events(snapshot: Snapshot, raws: list[drive.Event]) -> list[Event]:
    """What the door makes of them."""
    source = snapshot.sources[repository.SOURCE]
    return [normalise(source, snapshot, raw, received=NOW, auth="loopback") for raw in raws]


def entries(found: list[Event]) -> list[Entry]:
    """What the journal is handed."""
    return [
        Entry(EntryKind.EVENT, event.source, event.id, "bench", msgspec.json.encode(event)) for event in found
    ]
