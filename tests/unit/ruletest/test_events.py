from __future__ import annotations

import pytest
from tests.unit.ruletest.conftest import SITE, loaded, written

from holdfast.model.events import Event, Provenance
from holdfast.model.ruletests import Send
from holdfast.model.values import DAY, HOUR, MINUTE, SECOND, Severity, Trust
from holdfast.ruletest.events import event_of, every_event
from holdfast.sense.refusal import Refused, Unprocessable

NOW = 1_767_225_600_000


def made(send: Send, key: str = "e1", site: str = SITE) -> Event:
    return event_of(send, loaded(site=site), NOW, key)


def test_what_is_not_said_is_taken_from_the_source() -> None:
    assert made(Send("deploys")) == Event(
        id="e1",
        source="deploys",
        type="deploy.started",
        time=NOW,
        received=NOW,
        severity=Severity.INFO,
        subject="deploys",
        provenance=Provenance("test", Trust.MEDIUM, "c1"),
        service="shop",
        host="web1",
        data={},
    )


def test_what_is_said_takes_the_place_of_what_the_source_says() -> None:
    send = Send(
        source="deploys",
        type="order.failed",
        severity=Severity.CRITICAL,
        subject="ana",
        service="mailer",
        host="web2",
        data={"amount": 5},
        ago=5 * MINUTE,
    )

    assert made(send) == Event(
        id="e1",
        source="deploys",
        type="order.failed",
        time=NOW - 5 * MINUTE,
        received=NOW,
        severity=Severity.CRITICAL,
        subject="ana",
        provenance=Provenance("test", Trust.MEDIUM, "c1"),
        service="mailer",
        host="web2",
        data={"amount": 5},
    )


def test_a_payload_is_read_through_the_map_of_its_source() -> None:
    payload = {
        "id": "evt_1",
        "kind": "order.failed",
        "created": NOW // SECOND - 60,
        "level": "fatal",
        "shop": "mailer",
        "customer": "ana",
        "amount": "12",
    }

    assert made(Send("orders", payload=payload)) == Event(
        id="evt_1",
        source="orders",
        type="order.failed",
        time=NOW - MINUTE,
        received=NOW,
        severity=Severity.CRITICAL,
        subject="ana",
        provenance=Provenance("test", Trust.MEDIUM, "c1"),
        service="mailer",
        data={"amount": 12},
    )


def test_a_payload_of_a_source_without_a_map_is_read_as_plain_json() -> None:
    found = made(Send("anything", payload={"type": "note", "subject": "ana", "data": {"x": 1}, "y": 2}))

    assert (found.type, found.subject, found.data) == ("note", "ana", {"x": 1, "y": 2})


def test_a_payload_that_is_empty_is_a_payload() -> None:
    with pytest.raises(Unprocessable, match="The event has no type"):
        made(Send("anything", payload={}))

    assert made(Send("deploys", payload={})).id.startswith("sha256:")


def test_a_payload_without_an_id_is_known_by_its_content() -> None:
    one, same, other = (made(Send("anything", payload={"type": kind}), key=kind) for kind in ("a", "a", "b"))

    assert one.id == same.id != other.id
    assert one.id.startswith("sha256:")


@pytest.mark.parametrize(
    ("data", "severity"),
    [
        ({"ok": True}, Severity.INFO),
        ({"ok": False}, Severity.ERROR),
        ({"ok": 1}, Severity.ERROR),
        ({"status": 200}, Severity.ERROR),
        ({}, Severity.ERROR),
    ],
)
def test_a_probe_that_is_answered_well_is_no_trouble(data: dict[str, int], severity: Severity) -> None:
    told = {"ok": False, **data}

    assert made(Send("shop-probe", data=told)).severity is severity
    assert made(Send("shop-probe", data=told, severity=Severity.WARNING)).severity is Severity.WARNING


def test_of_another_source_all_is_as_bad_as_it_says() -> None:
    assert made(Send("anything", type="note", data={"ok": True})).severity is Severity.ERROR


def test_a_source_caps_its_severity_and_lends_its_trust() -> None:
    found = made(Send("modest", severity=Severity.CRITICAL))

    assert (found.severity, found.provenance.trust) == (Severity.WARNING, Trust.LOW)


def test_a_source_says_at_most_a_day_ago() -> None:
    assert made(Send("deploys", ago=HOUR)).time == NOW - HOUR
    assert made(Send("deploys", ago=3 * DAY)).time == NOW - DAY


@pytest.mark.parametrize(
    ("send", "message"),
    [
        (Send("anything"), "The event has no type"),
        (Send("anything", type="http.probe"), "Events of type http.probe come from probes only"),
        (
            Send("deploys", data={"release": {}}),
            "data.release of events of type deploy.started should be str",
        ),
        (Send("shop-probe", data={"status": 200}), "Events of type http.probe have data.ok"),
        (Send("orders", payload={"kind": 3}), "The type is a whole number"),
        (Send("orders", payload={"kind": "a", "created": "soon"}), "time should be epoch and is a text"),
        (Send("anything", payload={"type": "a", "severity": "x"}), "The severity is a text that is none of"),
    ],
)
def test_what_the_source_would_refuse_is_refused(send: Send, message: str) -> None:
    with pytest.raises(Refused, match=message):
        made(send)


def test_the_data_of_a_test_is_not_changed_by_reading_it() -> None:
    data = {"code": 5, "amount": "7"}
    send = Send("anything", type="note", data=data)
    made(send).data["more"] = 1

    assert data == {"code": 5, "amount": "7"}


def test_every_event_of_a_script_is_made_once_with_an_id_of_its_own() -> None:
    script = """- {event: {source: shop-probe, data: {ok: false}}, times: 3}
- wait: 1m
- event: {source: orders, payload: {id: evt_1, kind: order.failed, amount: 1}}
- expect: {fired: []}
- event: {source: deploys}
"""
    snapshot = loaded(written(script))

    assert [
        (event.id, event.type, event.received)
        for event in every_event(snapshot.tests["example"], snapshot, 7)
    ] == [
        ("example-0", "http.probe", 7),
        ("evt_1", "order.failed", 7),
        ("example-4", "deploy.started", 7),
    ]
