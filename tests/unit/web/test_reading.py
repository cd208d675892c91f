"""From a request to journal entries."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.events import Event
from holdfast.model.snapshot import Cast, FieldType, Mapped, Snapshot, Source, SourceKind
from holdfast.model.values import Json
from holdfast.sense.draft import Sender
from holdfast.sense.refusal import Refused
from holdfast.web.reading import entries_of

SNAPSHOT = Snapshot("c0ffee", events={"typed": {"data.n": FieldType("float"), "data.s": FieldType("str")}})
SOURCES = (
    Source("plain", SourceKind.WEBHOOK, type="x"),
    Source(
        "mapped",
        SourceKind.WEBHOOK,
        map=(
            Mapped("id", ("data", "id")),
            Mapped("type", ("type",), default="typed"),
            Mapped("time", ("time",)),
            Mapped("data.n", ("data", "n"), cast=Cast.FLOAT, default=0.5),
            Mapped("data.s", ("data", "s"), cast=Cast.STR, default="s"),
            Mapped("data.deep.any", ("data",)),
        ),
    ),
)
HEADERS = {"content-type": "application/json"}

numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | st.text(max_size=8)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner))
fields = st.sampled_from(["id", "type", "time", "severity", "subject", "data", "n", "s", "x"])
times = st.sampled_from(["2026-01-31T12:00:00.123Z", 1_700_000_000, 1_700_000_000_123, 1.5, ""])
bodies = st.dictionaries(fields, values, max_size=6) | st.fixed_dictionaries(
    {"data": st.dictionaries(st.sampled_from(["id", "n", "s", "v"]), values)},
    optional={
        "id": st.text(max_size=8) | st.integers(-(2**70), 2**70),
        "type": st.sampled_from(["typed", "free"]),
        "time": times,
        "severity": st.sampled_from(["info", "ERROR", "critical"]),
        "subject": scalars,
    },
)


def exactly(value: Any) -> Any:
    """The value with its types: 1, 1.0 and true are equal to Python, and -0.0 is 0.0."""
    if isinstance(value, dict):
        return {key: exactly(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [exactly(inner) for inner in value]
    return type(value), repr(value)


@given(st.sampled_from(SOURCES), st.lists(bodies, min_size=1, max_size=3))
def test_the_event_that_an_entry_carries_is_the_one_that_its_body_means(
    source: Source, raws: list[dict[str, Json]]
) -> None:
    sender = Sender(source, SNAPSHOT, 1_700_000_000_500, "loopback", lambda _: None)
    try:
        entries = entries_of(sender, HEADERS, msgspec.json.encode(raws))
    except Refused:
        return

    assert len(entries) == len(raws)
    for entry in entries:
        read = msgspec.json.decode(entry.body, type=Event)
        assert entry.event == read
        assert entry.event is not None
        assert exactly(entry.event.data) == exactly(read.data)
        assert exactly(msgspec.to_builtins(entry.event)) == exactly(msgspec.to_builtins(read))
        assert (entry.source, entry.id) == (read.source, read.id)
