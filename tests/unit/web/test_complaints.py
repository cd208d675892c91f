"""Refusals in the log."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from holdfast.web import complaints
from holdfast.web.complaints import Complaints


def test_a_flood_of_refusals_is_one_line_a_minute_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(complaints.time, "monotonic", lambda: now)
    kept = Complaints()
    with capture_logs() as lines:
        for now in (1000.0, 1001.0, 1059.9, 1060.0, 1061.0):  # noqa: B007 - the clock reads it
            kept.add("shop", "401", "wrong credential")
        kept.add("shop", "422", "no type")

    assert [(line["kind"], line["since_last"]) for line in lines] == [("401", 1), ("401", 3), ("422", 1)]
    assert kept.counts == {("shop", "401"): 5, ("shop", "422"): 1}
