"""Whatever is posted: an event within its bounds, or a refusal that says what to do."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import strategies as st
from tests.proof.prove import Tally, prove, slips

from holdfast.errors import InputError, Unauthorized
from holdfast.model.actions import Service
from holdfast.model.events import Entry, Event
from holdfast.model.snapshot import AuthScheme, Cast, FieldType, Mapped, Snapshot, Source, SourceKind
from holdfast.model.values import Json, Secret, Severity
from holdfast.sense.auth import authenticate
from holdfast.sense.cast import cast, fit, moment
from holdfast.sense.draft import LATENESS, MAX_NAME, SKEW, nobody
from holdfast.sense.payload import MAX_DEPTH, MAX_KEYS, read_events
from holdfast.sense.refusal import Refused
from holdfast.web.reading import Sender, body_limit, entries_of
from holdfast.web.request import source_name

NOW = 1_700_000_000_000
BOUND = 2**53

PLAIN = Source("plain", SourceKind.WEBHOOK, max_severity=Severity.ERROR)
TYPED = Source("typed", SourceKind.WEBHOOK, type="disk.full")
MAPPED = Source(
    "mapped",
    SourceKind.WEBHOOK,
    service="shop",
    map=(
        Mapped("id", ("evt", "id")),
        Mapped("type", ("evt", "kind"), regex="^(?P<value>[a-z.]+)", default="thing"),
        Mapped("time", ("evt", "at"), cast=Cast.EPOCH),
        Mapped("severity", ("evt", "level"), table={"1": "critical", "2": "error"}),
        Mapped("subject", ("evt", "who")),
        Mapped("host", ("evt", "items", 0)),
        Mapped("data.amount", ("evt", "amount"), cast=Cast.INT),
        Mapped('data["a b"].ok', ("evt", "ok"), cast=Cast.BOOL),
    ),
)
SNAPSHOT = Snapshot(
    "c0ffee",
    services={"shop": Service("shop")},
    events={
        "disk.full": {
            "data.percent": FieldType("int", optional=True),
            "data.deep.x": FieldType("float", optional=True),
            "data.list": FieldType("list", optional=True),
        }
    },
)

FULL = (
    b'{"id":"a1","type":"disk.full","time":"2023-11-14T22:13:20.5Z","severity":"error","subject":"db1",'
    b'"data":{"percent":"97","deep":{"x":"1.5"},"list":[1,"two",null,true]}}'
)
FOREIGN = (
    b'{"evt":{"id":"e1","kind":"charge.failed","at":1700000000.5,"level":2,"who":"jo","items":["web1"],'
    b'"amount":"12","ok":"yes"},"type":"x"}'
)
PLAINS = [
    FULL,
    FOREIGN,
    b'{"type":"x","time":1700000000,"data":[{"a":{"b":{"c":[[[]]]}}}],"more":"\\u00e9\\ud83d\\ude00"}',
    b'[{"id":1,"type":"x"},{"id":2,"type":"y","severity":"CRITICAL"},{"type":"z"}]',
]
STRUCTURED = (
    b'{"specversion":"1.0","id":"1","source":"/shop","type":"disk.full","time":"2023-11-14T22:13:20+01:00",'
    b'"subject":"s","datacontenttype":"application/json","data":{"percent":1},"ext":"e"}'
)
CLOUD = [
    STRUCTURED,
    b'{"specversion":"1.1","id":"2","source":"s","type":"x","data":null,"severity":"info"}',
    b'{"specversion":"1.0","id":"3","source":"s","type":"x","data_base64":"AAAA"}',
]
BATCHES = [b"[" + b",".join(CLOUD) + b"]", b"[" + CLOUD[1] + b"]"]
VALUES = [
    *rb"""
    null true false -0 0 -1 1e308 -1e308 1e-400 253402300800 1700000000 1700000000000 99999999999999999999
    "" "1" {} [] [[]] {"a":1} "\ud83d\ude00" "\u202e" "\u0000" "critical" "http.probe" "disk.full" "id" "type"
    "time" "severity" "data" "source" "evt" "specversion" "k32728" "k261234" "9999-12-31T23:59:60Z"
    "0000-00-00T00:00:00Z" "1e999" "+1" "1_0" "on" "INFO" "1.0"
    """.split(),
    b'"' + b"y" * 300 + b'"',
    b'"\xd9\xa1"',
    b'{"a":' * 31 + b"1" + b"}" * 31,
]
JUNK = [
    *rb'" \ { } [ ] , : NaN 1e400 0x1 01 . \ud800 \" \\ \x'.split(),
    *(b"\xff", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xc2\x85", b"\x00", b"\n", b"\xef\xbb\xbf"),
    b'{"a":' * 40,
    b"[" * 2000,
    b",".join(b'"k%d":1' % number for number in range(1001)),
]


def hostile(good: list[bytes]) -> st.SearchStrategy[bytes]:
    """JSON of other values than expected, more often than what is no JSON."""
    swapped = slips(good, VALUES, whole=True)
    return swapped | swapped | slips(good, VALUES + JUNK, most=2)


plain, cloud, batches = map(hostile, (PLAINS, CLOUD, BATCHES))
bodies = plain | cloud | batches | st.binary(max_size=60)
sources = st.sampled_from([PLAIN, TYPED, MAPPED])


def depth(value: Json) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inner), default=0) if isinstance(value, dict | list) else 0


def keys(value: Json) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (len(value) if isinstance(value, dict) else 0) + sum(map(keys, inner))


def within(entry: Entry) -> None:
    """What is journalled is what can be read back, shown, and compared."""
    event = msgspec.json.decode(entry.body, type=Event)
    for name in (event.id, event.type, event.subject):
        assert name
        assert len(name) <= MAX_NAME
        assert name.isprintable()
    assert NOW - LATENESS <= event.time <= NOW + SKEW
    assert event.received == NOW
    assert event.service in (None, "shop")
    assert event.host is None
    assert (entry.source, entry.id) == (event.source, event.id)
    assert event.type != "http.probe"


def refused(error: Refused) -> None:
    assert error.what
    assert error.fix
    assert len(str(error)) < 400
    assert str(error).isprintable()


def door(source: Source, headers: dict[str, str], body: bytes) -> bool:
    """What the door does with a request whose sender has proven who it is."""
    try:
        body_limit(headers)
        entries = entries_of(Sender(source, SNAPSHOT, NOW, "bearer", nobody), headers, body)
    except Refused as error:
        refused(error)
        raise
    for entry in entries:
        within(entry)
    return True


def test_bodies(tally: Callable[[str], Tally]) -> None:
    def parse(body: bytes) -> bool:
        events = read_events(body)
        for event in events:
            assert isinstance(event, dict)
            assert depth(event) <= MAX_DEPTH
            assert keys(event) <= MAX_KEYS
            assert msgspec.json.decode(msgspec.json.encode(event)) == event
        return True

    prove(tally("sense.payload: bodies"), bodies, parse, refusals=(InputError,), thousands=150)


@pytest.mark.parametrize(
    ("name", "media", "cases"),
    [
        ("plain JSON, with and without a map", "application/json", plain),
        ("structured CloudEvents", "application/cloudevents+json", cloud),
        ("batches of CloudEvents", "application/cloudevents-batch+json", batches),
    ],
)
def test_events(
    tally: Callable[[str], Tally], name: str, media: str, cases: st.SearchStrategy[bytes]
) -> None:
    headers = {"content-type": media}

    prove(
        tally(f"sense: {name}"),
        st.tuples(sources, cases),
        lambda case: door(case[0], headers, case[1]),
        refusals=(InputError,),
        thousands=80,
    )


def test_binary_cloudevents(tally: Callable[[str], Tally]) -> None:
    whole = {"specversion": "1.0", "id": "a%20b", "source": "/shop", "type": "disk.full"}
    names = st.sampled_from([*whole, "time", "subject", "data", "severity", "x"])
    values = slips(
        ["1.0", "a%20b", "/shop", "disk.full", "2023-11-14T22:13:20Z", "error"],
        ["%", "%ff", "%ed%a0%80", "%00", "%0a", "\xff", "\x00", "é", "x" * 300, "1e999", "http.probe"],
        most=1,
    )
    media = st.sampled_from(
        ["application/json", "text/plain", "", "x+json", "text/x; charset=y", "image/png"]
    )
    headers = st.builds(
        lambda sent, kind: {**{f"ce-{key}": value for key, value in sent.items()}, "content-type": kind},
        st.dictionaries(names, values, max_size=2).map(lambda changed: {**whole, **changed}),
        media,
    )

    prove(
        tally("sense: binary CloudEvents"),
        st.tuples(sources, headers, bodies),
        lambda case: door(*case),
        refusals=(InputError,),
        thousands=60,
    )


values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | slips(
        ["2023-11-14T22:13:20.123456789+05:30", "1700000000.5", "-12", "1e9", "yes", " 7 "],
        [
            "e",
            "E+",
            ".",
            "-",
            "Z",
            "z",
            ":60",
            "+24:00",
            "9" * 300,
            "\u0661",
            " ",
            "_",
            "\n",
            "inf",
            "nan",
            "0",
        ],
    )
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=2), st.none(), max_size=2)
)


def test_casts(tally: Callable[[str], Tally]) -> None:
    times = (Cast.EPOCH, Cast.EPOCH_MS, Cast.RFC3339)

    def parse(case: tuple[Json, Cast]) -> bool:
        value = cast(*case)
        msgspec.json.encode(value)
        if case[1] in times:
            assert isinstance(value, int)
            assert abs(value) < BOUND
        if isinstance(value, float):
            assert math.isfinite(value) or case[1] is Cast.STR
        return True

    prove(
        tally("sense.cast: values of a map"),
        st.tuples(values, st.sampled_from(Cast)),
        parse,
        refusals=(ValueError,),
        thousands=70,
    )


def test_times_and_declared_fields(tally: Callable[[str], Tally]) -> None:
    kinds = st.sampled_from(["moment", "str", "int", "float", "bool", "list", "any"])

    def parse(case: tuple[Json, str]) -> bool:
        value, kind = case
        if kind == "moment":
            assert abs(moment(value)) < BOUND
            return True
        found = fit(value, kind)
        assert kind != "float" or (isinstance(found, float) and math.isfinite(found))
        assert kind != "int" or (isinstance(found, int) and not isinstance(found, bool))
        return True

    prove(
        tally("sense.cast: times and declared fields"),
        st.tuples(values, kinds),
        parse,
        refusals=(ValueError,),
        thousands=60,
    )


def test_credentials(tally: Callable[[str], Tally]) -> None:
    token = Source("t", SourceKind.WEBHOOK, scheme=AuthScheme.BEARER, secret=Secret("t"))
    signed = Source("s", SourceKind.WEBHOOK, scheme=AuthScheme.HMAC, secret=Secret("t"))
    texts = slips(
        ["Bearer s3cret", "bearer  s3cret ", "sha256=" + "0" * 64, "Basic czNjcmV0"],
        ["\xff", "\u0100", "\x00", " ", "Bearer ", "x" * 5000],
    )

    def parse(case: tuple[Source, str, bytes]) -> bool:
        source, text, body = case
        headers = {"authorization": text, "x-holdfast-signature": text}
        assert authenticate(source, headers, body, True, lambda _: "s3cret") == "bearer"
        assert text.split() in (["Bearer", "s3cret"], ["bearer", "s3cret"])
        return True

    prove(
        tally("sense.auth: credentials"),
        st.tuples(st.sampled_from([token, signed]), texts, st.binary(max_size=4)),
        parse,
        refusals=(Unauthorized,),
        thousands=30,
    )


def test_queries(tally: Callable[[str], Tally]) -> None:
    queries = slips(
        [b"source=open", b"a=b&source=x%20y", b""],
        [b"&", b"=", b"%", b"%ff", b"%00", b";", b"source=", b"+", b"\xff", b"&" * 1000],
    )

    prove(
        tally("web.request: which source"),
        queries,
        lambda query: isinstance(source_name({"query_string": query}), str),
        refusals=(Refused,),
        thousands=30,
    )
