from __future__ import annotations

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request

from holdfast.errors import Unauthorized
from holdfast.model.records import Reading
from holdfast.web.answer import Answer
from holdfast.web.metrics import metrics_page

READINGS = [
    Reading("holdfast_rules", "Rules.", 3),
    Reading("holdfast_events_refused", "Refused.", 2, {"source": "a"}, counts=True),
    Reading("holdfast_events_refused", "Refused.", 5, {"source": 'b"\n'}, counts=True),
]


def scrape(client: str = "127.0.0.1", *headers: tuple[bytes, bytes]) -> Answer:
    """One request from there."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/metrics",
        "headers": list(headers),
        "client": (client, 1),
    }
    page = metrics_page(lambda: READINGS)
    return asyncio.run(page(Request(scope)))  # type: ignore[arg-type]


def test_every_reading_is_a_sample_with_its_labels_under_one_name() -> None:
    families = {family.name: family for family in text_string_to_metric_families(scrape().body.decode())}
    refused = families["holdfast_events_refused"]

    assert (refused.type, families["holdfast_rules"].type) == ("counter", "gauge")
    assert [(sample.name, sample.labels, sample.value) for sample in refused.samples] == [
        ("holdfast_events_refused_total", {"source": "a"}, 2.0),
        ("holdfast_events_refused_total", {"source": 'b"\n'}, 5.0),
    ]
    assert [sample.value for sample in families["holdfast_rules"].samples] == [3.0]


def test_only_programs_of_this_machine_are_told() -> None:
    for client, headers in (("10.0.0.9", ()), ("127.0.0.1", ((b"x-forwarded-for", b"1.2.3.4"),))):
        with pytest.raises(Unauthorized):
            scrape(client, *headers)


def test_it_is_the_text_form_of_prometheus() -> None:
    assert scrape().media.startswith("text/plain; version=")
