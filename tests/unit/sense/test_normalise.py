"""Plain JSON becomes an event."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InputError
from holdfast.model.actions import Host, Service
from holdfast.model.events import Event, Provenance
from holdfast.model.snapshot import Cast, FieldType, Mapped, Snapshot, Source, SourceKind
from holdfast.model.values import DAY, MINUTE, Severity, Trust
from holdfast.sense.draft import RETRY_SPAN
from holdfast.sense.normalise import normalise
from holdfast.sense.refusal import Unprocessable

NOW = 1_700_000_000_000
SHOP = Source("shop-events", SourceKind.WEBHOOK)
MAPPED = Source(
    "stripe",
    SourceKind.WEBHOOK,
    trust=Trust.HIGH,
    service="shop",
    map=(
        Mapped("id", ("id",)),
        Mapped("type", ("type",)),
        Mapped("time", ("created",), cast=Cast.EPOCH),
        Mapped("severity", ("level",), table={"P1": "critical", "P3": "info"}),
        Mapped("subject", ("account",)),
        Mapped("service", ("team",), table={"payments": "billing", "ghosts": "ghost"}),
        Mapped("data.amount", ("data", "object", "amount"), cast=Cast.INT),
        Mapped("data.card.last4", ("data", "object", "card", "last4"), cast=Cast.STR),
    ),
)
SNAPSHOT = Snapshot(
    "c0ffee",
    hosts={"web1": Host("web1", "10.0.0.5", "act", "ssh-ed25519 AAAA")},
    services={"shop": Service("shop"), "billing": Service("billing")},
    sources={"shop-events": SHOP, "stripe": MAPPED},
    events={
        "web.checked": {
            "data.ok": FieldType("bool"),
            "data.status": FieldType("int", optional=True),
            "data.latency_ms": FieldType("float", optional=True),
            "data.at.zone": FieldType("str", optional=True),
        }
    },
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    ["id", "type", "time", "severity", "subject", "data", "service", "host", "source", "trust"]
)


def event(raw: dict[str, object], source: Source = SHOP, **given_: object) -> Event:
    return normalise(source, SNAPSHOT, raw, **{"received": NOW, "auth": "bearer", **given_})


def test_the_six_names_need_no_map() -> None:
    raw = {
        "id": "a-1",
        "type": "backup.failed",
        "time": "2023-11-14T22:13:00Z",
        "severity": "Warning",
        "subject": "nightly",
        "data": {"bytes": 0},
    }

    assert event(raw) == Event(
        id="a-1",
        source="shop-events",
        type="backup.failed",
        time=NOW - 20_000,
        received=NOW,
        severity=Severity.WARNING,
        subject="nightly",
        provenance=Provenance("bearer", Trust.MEDIUM, "c0ffee"),
        data={"bytes": 0},
    )


def test_a_type_alone_is_enough() -> None:
    seen = event({"id": 7, "type": "ping"})

    assert (seen.id, seen.time, seen.severity, seen.subject, seen.data) == (
        "7",
        NOW,
        Severity.ERROR,
        "shop-events",
        {},
    )


def test_names_that_are_not_known_go_to_the_data_and_never_over_it() -> None:
    seen = event({"id": 1, "type": "x", "value": 95, "ok": True, "data": {"ok": False}})

    assert seen.data == {"value": 95, "ok": False}


def test_the_sender_of_plain_json_chooses_no_target_no_source_and_no_trust() -> None:
    claims = {
        "service": "billing",
        "host": "web1",
        "source": "stripe",
        "trust": "high",
        "provenance": {"auth": "x"},
    }
    seen = event({"id": 1, "type": "x", **claims})

    assert (seen.service, seen.host, seen.source) == (None, None, "shop-events")
    assert seen.provenance == Provenance("bearer", Trust.MEDIUM, "c0ffee")
    assert seen.data == claims


def test_the_source_binds_its_events_to_the_estate() -> None:
    bound = Source("probe-hook", SourceKind.WEBHOOK, service="shop", host="web1")
    seen = event({"id": 1, "type": "x"}, bound)

    assert (seen.service, seen.host) == ("shop", "web1")


def test_a_type_of_the_config_is_the_type_whatever_the_sender_says() -> None:
    fixed = Source("cron", SourceKind.WEBHOOK, type="cron.ran")
    seen = event({"id": 1, "type": "payments.lost"}, fixed)

    assert seen.type == "cron.ran"
    assert seen.data == {"type": "payments.lost"}


@pytest.mark.parametrize("data", [[1, 2], "text", 5, False])
def test_data_that_is_no_object_stands_under_value(data: object) -> None:
    assert event({"id": 1, "type": "x", "data": data}).data == {"value": data}


def test_a_map_decides_everything_that_it_names() -> None:
    raw = {
        "id": "evt_1",
        "type": "charge.failed",
        "created": 1_699_999_990,
        "level": "P1",
        "account": "acct_9",
        "team": "payments",
        "secret": "not mapped",
        "data": {"object": {"amount": "4200", "card": {"last4": 4242}}},
    }

    assert event(raw, MAPPED, auth="hmac") == Event(
        id="evt_1",
        source="stripe",
        type="charge.failed",
        time=NOW - 10_000,
        received=NOW,
        severity=Severity.CRITICAL,
        subject="acct_9",
        provenance=Provenance("hmac", Trust.HIGH, "c0ffee"),
        service="billing",
        data={"amount": 4200, "card": {"last4": "4242"}},
    )


def test_what_the_document_lacks_comes_from_the_source() -> None:
    seen = event({"id": "evt_1", "type": "charge.failed"}, MAPPED)

    assert (seen.severity, seen.subject, seen.service, seen.time, seen.data) == (
        Severity.ERROR,
        "stripe",
        "shop",
        NOW,
        {},
    )


def test_a_level_that_the_table_lacks_is_the_sources_own() -> None:
    assert event({"id": "1", "type": "x", "level": "P9"}, MAPPED).severity is Severity.ERROR


def test_a_mapped_type_falls_back_to_the_sources() -> None:
    source = Source("cron", SourceKind.WEBHOOK, type="cron.ran", map=(Mapped("type", ("kind",)),))

    assert event({"kind": "cron.failed"}, source).type == "cron.failed"
    assert event({"other": 1}, source).type == "cron.ran"


def test_a_service_that_the_estate_lacks_is_none_and_told() -> None:
    told: list[str] = []
    seen = event({"id": "1", "type": "x", "team": "ghosts"}, MAPPED, unknown=told.append)

    assert seen.service is None
    assert told == ["ghost"]


@pytest.mark.parametrize("service", [5, ["shop"], {"a": 1}, True])
def test_a_service_that_is_no_text_is_none_and_told(service: object) -> None:
    told: list[str] = []
    source = Source("x", SourceKind.WEBHOOK, map=(Mapped("service", ("s",)), Mapped("type", constant="t")))

    assert event({"s": service}, source, unknown=told.append).service is None
    assert len(told) == 1


def test_a_mapped_value_of_the_wrong_type_names_field_and_type() -> None:
    with pytest.raises(Unprocessable, match=r"data\.amount should be int and is a text"):
        event({"id": "1", "type": "x", "data": {"object": {"amount": "many"}}}, MAPPED)


@pytest.mark.parametrize(
    ("said", "limit", "expected"),
    [
        ("critical", Severity.WARNING, Severity.WARNING),
        ("info", Severity.WARNING, Severity.INFO),
        ("CRITICAL", Severity.CRITICAL, Severity.CRITICAL),
        (None, Severity.INFO, Severity.INFO),
    ],
)
def test_severity_is_capped_by_the_source(said: str | None, limit: Severity, expected: Severity) -> None:
    source = Source("x", SourceKind.WEBHOOK, max_severity=limit)
    raw = {"id": 1, "type": "x"} | ({} if said is None else {"severity": said})

    assert event(raw, source).severity is expected


@pytest.mark.parametrize("severity", ["", "urgent", 5, True, ["error"], {"error": 1}])
def test_a_severity_that_is_none_is_refused(severity: object) -> None:
    with pytest.raises(Unprocessable, match="severity"):
        event({"id": 1, "type": "x", "severity": severity})


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (NOW - DAY, NOW - DAY),
        (NOW - DAY - 1, NOW - DAY),
        (NOW + 5 * MINUTE, NOW + 5 * MINUTE),
        (NOW + 5 * MINUTE + 1, NOW + 5 * MINUTE),
        (10**300, NOW + 5 * MINUTE),
        (-(10**300), NOW - DAY),
        (0, NOW - DAY),
        ("", NOW),
        (None, NOW),
    ],
)
def test_a_sources_clock_is_believed_within_a_day_and_five_minutes(sent: object, kept: int) -> None:
    assert event({"id": 1, "type": "x", "time": sent}).time == kept


@pytest.mark.parametrize("time", ["yesterday", "2023-11-14", True, [], {}, "1" * 400])
def test_a_time_that_cannot_be_read_is_refused(time: object) -> None:
    with pytest.raises(Unprocessable, match="time"):
        event({"id": 1, "type": "x", "time": time})


@pytest.mark.parametrize("name", ["id", "type"])
@pytest.mark.parametrize(
    "value", ["x" * 257, "a\nb", "a\x00", "a\u202eb", "a\u2028b", "\x1b[2J", 1.5, True, [], {}, "\ud800"]
)
def test_a_name_that_cannot_be_shown_is_refused(name: str, value: object) -> None:
    with pytest.raises(Unprocessable, match=name):
        event({"id": "1", "type": "x", name: value})


def test_a_name_may_have_256_characters_of_any_script() -> None:
    assert event({"id": "ü" * 256, "type": "зов"}).id == "ü" * 256


@pytest.mark.parametrize("raw", [{"id": 1}, {"id": 1, "type": ""}, {"id": 1, "type": None}])
def test_an_event_without_a_type_is_refused(raw: dict[str, object]) -> None:
    with pytest.raises(Unprocessable, match="no type"):
        event(raw)


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("db-1", "db-1"),
        (42, "42"),
        ("a\nb\x00c", "a b c"),
        ("x" * 300, "x" * 256),
        ("\n\t", "shop-events"),
        ("", "shop-events"),
        (["a"], "shop-events"),
        (None, "shop-events"),
    ],
)
def test_a_subject_is_one_printable_line_and_never_empty(subject: object, expected: str) -> None:
    assert event({"id": 1, "type": "x", "subject": subject}).subject == expected


def test_a_retry_without_an_id_is_the_same_event() -> None:
    raw = {"type": "x", "time": NOW, "data": {"b": 1, "a": 2}}
    again = {"data": {"a": 2, "b": 1}, "time": NOW, "type": "x"}

    assert event(raw).id == event(again, received=NOW + DAY).id
    assert event(raw).id.startswith("sha256:")
    assert len(event(raw).id) == 71


@pytest.mark.parametrize("other", [{"type": "y"}, {"time": NOW + 1000}, {"data": {"b": 2}}, {"more": None}])
def test_other_content_without_an_id_is_another_event(other: dict[str, object]) -> None:
    raw = {"type": "x", "time": NOW, "data": {"b": 1}}

    assert event(raw).id != event(raw | other).id


def test_a_repetition_without_id_and_time_is_a_new_event_after_the_span_of_a_retry() -> None:
    raw = {"type": "backup.failed"}
    first = NOW - NOW % RETRY_SPAN

    assert event(raw, received=first).id == event(raw, received=first + RETRY_SPAN - 1).id
    assert event(raw, received=first).id != event(raw, received=first + RETRY_SPAN).id


def test_what_the_map_leaves_out_tells_events_without_an_id_apart() -> None:
    assert event({"type": "x", "attempt": 1}, MAPPED).id != event({"type": "x", "attempt": 2}, MAPPED).id


def test_a_declared_event_type_is_a_promise_about_its_fields() -> None:
    raw = {
        "id": 1,
        "type": "web.checked",
        "data": {"ok": "true", "status": "500", "latency_ms": 3, "at": {"zone": 1}},
    }
    seen = event(raw)

    assert seen.data == {"ok": True, "status": 500, "latency_ms": 3.0, "at": {"zone": "1"}}
    assert type(seen.data["latency_ms"]) is float
    assert raw["data"]["ok"] == "true"


@pytest.mark.parametrize("source", [SHOP, MAPPED, Source("x", SourceKind.WEBHOOK, type="http.probe")])
def test_nobody_speaks_for_a_probe(source: Source) -> None:
    with pytest.raises(Unprocessable, match="come from probes only"):
        event({"id": "1", "type": "http.probe", "data": {"ok": True}}, source)


def test_an_operator_may_speak_for_a_probe() -> None:
    source = Source("shop-probe", SourceKind.HTTP_PROBE, service="shop")

    assert event({"id": "1", "type": "http.probe", "data": {"ok": False}}, source).service == "shop"


def test_an_optional_field_may_be_missing_or_null() -> None:
    assert event({"id": 1, "type": "web.checked", "data": {"ok": True, "status": None}}).data == {
        "ok": True,
        "status": None,
    }


@pytest.mark.parametrize("data", [{}, {"ok": None}, {"status": 500}, None])
def test_a_declared_field_that_is_missing_is_refused_by_name(data: object) -> None:
    with pytest.raises(Unprocessable, match=r"web\.checked have data\.ok \(bool\)"):
        event({"id": 1, "type": "web.checked", "data": data})


def test_a_declared_field_of_the_wrong_type_is_refused_by_name_and_type() -> None:
    with pytest.raises(
        Unprocessable, match=r"data\.status of events of type web\.checked should be int and is a text"
    ):
        event({"id": 1, "type": "web.checked", "data": {"ok": True, "status": "teapot"}})


def sound(seen: Event) -> bool:
    """Whether it can be stored, read again, and stays within every promise."""
    return (
        msgspec.json.decode(msgspec.json.encode(seen), type=Event) == seen
        and seen.subject != ""
        and seen.id.isprintable()
        and NOW - DAY <= seen.time <= NOW + 5 * MINUTE
        and seen.service in (None, "shop", "billing")
    )


@given(st.dictionaries(st.text(max_size=5), values, max_size=8))
def test_any_data_under_a_type_becomes_an_event_that_can_be_stored(data: dict[str, object]) -> None:
    raw = {f"x{name}": value for name, value in data.items()} | {"id": 1, "type": "t", "data": data}
    seen = event(raw)

    assert sound(seen)
    assert data.items() <= seen.data.items()
    assert sound(event(raw, MAPPED))


@given(st.dictionaries(names | st.text(max_size=5), values, max_size=8))
def test_any_object_becomes_an_event_that_can_be_stored_or_is_refused(raw: dict[str, object]) -> None:
    for source in (SHOP, MAPPED):
        try:
            seen = event(raw, source)
        except InputError:
            continue

        assert sound(seen)
