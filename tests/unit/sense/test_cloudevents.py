"""CloudEvents 1.0."""

from __future__ import annotations

import pytest

from holdfast.model.events import Event, Provenance
from holdfast.model.snapshot import Snapshot, Source, SourceKind
from holdfast.model.values import Severity, Trust
from holdfast.sense.cloudevents import from_binary, is_binary, normalise_cloudevent
from holdfast.sense.refusal import Refused, Unprocessable, Unsupported

NOW = 1_700_000_000_000
SOURCE = Source("registry", SourceKind.WEBHOOK, max_severity=Severity.ERROR)
RAW = {
    "specversion": "1.0",
    "id": "A-1",
    "source": "/cloud/storage",
    "type": "object.created",
    "time": "2023-11-14T22:13:00Z",
    "subject": "cat.jpg",
    "datacontenttype": "application/json",
    "severity": "critical",
    "traceparent": "00-abc",
    "data": {"size": 3},
}


def event(raw: dict[str, object], source: Source = SOURCE) -> Event:
    return normalise_cloudevent(source, Snapshot("c0"), raw, received=NOW, auth="bearer")


def test_a_structured_cloudevent_keeps_its_names() -> None:
    assert event(RAW) == Event(
        id="/cloud/storage#A-1",
        source="registry",
        type="object.created",
        time=NOW - 20_000,
        received=NOW,
        severity=Severity.ERROR,
        subject="cat.jpg",
        provenance=Provenance("bearer", Trust.MEDIUM, "c0"),
        data={"traceparent": "00-abc", "ce_source": "/cloud/storage", "size": 3},
    )


def test_equal_ids_of_two_origins_are_two_events() -> None:
    assert event(RAW).id != event(RAW | {"source": "/cloud/other"}).id


@pytest.mark.parametrize(
    ("members", "data"),
    [
        ({"data": {"a": 1}}, {"a": 1}),
        ({"data": "text"}, {"value": "text"}),
        ({"data": [1]}, {"value": [1]}),
        ({"data": None}, {}),
        ({"data_base64": "AAEC"}, {"base64": "AAEC"}),
        ({}, {}),
    ],
)
def test_data_of_any_kind_is_kept(members: dict[str, object], data: dict[str, object]) -> None:
    raw = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", **members}

    assert event(raw).data == {"ce_source": "s", **data}


def test_the_subject_is_the_sources_name_where_there_is_none() -> None:
    assert event({"specversion": "1.0", "id": "1", "source": "s", "type": "t"}).subject == "registry"


def test_a_type_of_the_config_is_the_type() -> None:
    fixed = Source("registry", SourceKind.WEBHOOK, type="push")
    seen = event({"specversion": "1.0", "id": "1", "source": "s", "type": "t"}, fixed)

    assert seen.type == "push"
    assert seen.data == {"type": "t", "ce_source": "s"}


@pytest.mark.parametrize("name", ["id", "source", "type", "specversion"])
@pytest.mark.parametrize("value", [None, "", 5, [], {}])
def test_a_required_attribute_that_is_no_text_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(Unprocessable, match="CloudEvent"):
        event(RAW | {name: value})


def test_another_version_is_refused() -> None:
    with pytest.raises(Unprocessable, match=r"version 1\.0"):
        event(RAW | {"specversion": "0.3"})


def test_an_id_that_is_too_long_with_its_origin_is_refused() -> None:
    with pytest.raises(Unprocessable, match="id has more than 256"):
        event(RAW | {"source": "/" + "x" * 260})


def test_the_binary_form_is_the_structured_one_in_headers() -> None:
    headers = {
        "content-type": "application/json; charset=utf-8",
        "ce-specversion": "1.0",
        "ce-id": "A-1",
        "ce-source": "/cloud/storage",
        "ce-type": "object.created",
        "ce-time": "2023-11-14T22:13:00Z",
        "ce-subject": "a%20cat%E2%82%AC.jpg",
        "authorization": "Bearer x",
    }

    assert is_binary(headers)
    assert from_binary(headers, b'{"size": 3}') == {
        "specversion": "1.0",
        "id": "A-1",
        "source": "/cloud/storage",
        "type": "object.created",
        "time": "2023-11-14T22:13:00Z",
        "subject": "a cat€.jpg",
        "data": {"size": 3},
    }


def test_headers_cannot_smuggle_data() -> None:
    headers = {"ce-specversion": "1.0", "ce-data": "forged", "ce-data_base64": "forged"}

    assert from_binary(headers, b"") == {"specversion": "1.0"}


@pytest.mark.parametrize(
    ("media", "body", "data"),
    [
        ("application/vnd.x+json", b"[1]", [1]),
        ("", b'"x"', "x"),
        ("text/plain", "grüße".encode(), {"text": "grüße"}),
    ],
)
def test_binary_data_is_json_or_text(media: str, body: bytes, data: object) -> None:
    assert from_binary({"ce-specversion": "1.0", "content-type": media}, body)["data"] == data


def test_binary_data_of_another_kind_is_unsupported() -> None:
    with pytest.raises(Unsupported):
        from_binary({"ce-specversion": "1.0", "content-type": "image/png"}, b"\x89PNG")


def test_binary_text_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(Refused, match="UTF-8"):
        from_binary({"ce-specversion": "1.0", "content-type": "text/plain"}, b"\xff\xfe")


def test_a_request_without_the_version_header_is_not_binary() -> None:
    assert not is_binary({"content-type": "application/json", "ce-id": "1"})
