"""`map:` one field at a time."""

from __future__ import annotations

import copy

import pytest

from holdfast.model.snapshot import Cast, Mapped
from holdfast.sense.mapping import at, place, read, steps
from holdfast.sense.refusal import Unprocessable

DOCUMENT = {
    "id": "evt_1",
    "created": 1_700_000_000,
    "labels": {"app.kubernetes.io/name": "shop"},
    "alerts": [{"level": "P1"}, {"level": "P2"}],
    "text": "disk /dev/sda1 is at 93%",
    "paid": False,
    "none": None,
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("id",), "evt_1"),
        (("labels", "app.kubernetes.io/name"), "shop"),
        (("alerts", 1, "level"), "P2"),
        ((), DOCUMENT),
        (("alerts", 2, "level"), None),
        (("alerts", -1), None),
        (("alerts", "level"), None),
        (("labels", 0), None),
        (("id", "x"), None),
        (("missing", "x"), None),
        (("none", "x"), None),
    ],
)
def test_a_path_leads_to_a_value_or_to_nothing(path: tuple[str | int, ...], expected: object) -> None:
    assert at(DOCUMENT, path) == expected


@pytest.mark.parametrize(
    ("mapped", "expected"),
    [
        (Mapped("id", ("id",)), "evt_1"),
        (Mapped("service", constant="billing"), "billing"),
        (Mapped("data.x", ("missing",), default=7), 7),
        (Mapped("data.x", ("none",), default=7), 7),
        (Mapped("data.x", ("missing",)), None),
        (Mapped("data.paid", ("paid",), default=True), False),
        (Mapped("time", ("created",), cast=Cast.EPOCH), 1_700_000_000_000),
        (Mapped("data.pct", ("text",), regex=r"(?P<value>\d+)%", cast=Cast.INT), 93),
        (Mapped("data.disk", ("text",), regex=r"disk (\S+) is"), "/dev/sda1"),
        (Mapped("data.word", ("text",), regex=r"d\w+"), "disk"),
        (Mapped("data.word", ("text",), regex=r"(?P<other>d\w+) (?P<value>\S+)"), "/dev/sda1"),
        (Mapped("data.word", ("text",), regex="nothing", default="none"), "none"),
        (Mapped("data.word", ("labels",), regex="shop"), None),
        (Mapped("data.year", ("created",), regex=r"^17"), "17"),
        (Mapped("severity", ("alerts", 0, "level"), table={"P1": "critical"}), "critical"),
        (Mapped("severity", ("alerts", 1, "level"), table={"P1": "critical"}), None),
        (Mapped("severity", ("alerts", 1, "level"), table={"P1": "critical"}, default="info"), "info"),
        (Mapped("severity", ("paid",), table={"false": "error"}), "error"),
        (Mapped("severity", ("alerts",), table={"": "error"}), None),
    ],
)
def test_a_field_is_read_as_the_map_says(mapped: Mapped, expected: object) -> None:
    assert read(mapped, DOCUMENT) == expected


def test_a_value_of_the_wrong_type_is_refused_by_name_and_never_repeated() -> None:
    with pytest.raises(Unprocessable) as refused:
        read(Mapped("data.amount", ("id",), cast=Cast.INT), DOCUMENT)

    assert "data.amount should be int and is a text" in str(refused.value)
    assert "evt_1" not in str(refused.value)


def test_a_regex_that_would_take_for_ever_elsewhere_is_linear_here() -> None:
    hostile = {"text": "a" * 60_000 + "!"}

    assert read(Mapped("data.x", ("text",), regex=r"^(a+)+$"), hostile) is None


def test_placing_a_value_changes_nothing_that_was_given() -> None:
    data = {"a": {"b": 1}, "c": 2}
    before = copy.deepcopy(data)

    assert place(data, ("a", "d", "e"), 3) == {"a": {"b": 1, "d": {"e": 3}}, "c": 2}
    assert place(data, ("c", "x"), 4) == {"a": {"b": 1}, "c": {"x": 4}}
    assert data == before


def test_a_target_may_quote_its_keys() -> None:
    assert steps('data.labels["app.kubernetes.io/name"]') == ("data", "labels", "app.kubernetes.io/name")
