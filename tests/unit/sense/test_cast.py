"""Types of values."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.snapshot import Cast
from holdfast.sense.cast import cast, fit, moment

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
anything = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.lists(st.integers())
    | st.dictionaries(st.text(), st.integers())
)


@pytest.mark.parametrize(
    ("value", "to", "expected"),
    [
        ("x", Cast.STR, "x"),
        (5, Cast.STR, "5"),
        (2.5, Cast.STR, "2.5"),
        (True, Cast.STR, "true"),
        (5, Cast.INT, 5),
        ("500", Cast.INT, 500),
        (" -7 ", Cast.INT, -7),
        (3.0, Cast.INT, 3),
        (5, Cast.FLOAT, 5.0),
        ("2.5", Cast.FLOAT, 2.5),
        ("1e3", Cast.FLOAT, 1000.0),
        (".5", Cast.FLOAT, 0.5),
        (True, Cast.BOOL, True),
        ("False", Cast.BOOL, False),
        ("on", Cast.BOOL, True),
        ("0", Cast.BOOL, False),
        (1, Cast.BOOL, True),
        (0, Cast.BOOL, False),
        (1_700_000_000, Cast.EPOCH, 1_700_000_000_000),
        ("1700000000.25", Cast.EPOCH, 1_700_000_000_250),
        (1_700_000_000_123, Cast.EPOCH_MS, 1_700_000_000_123),
        ("2023-11-14T22:13:20Z", Cast.RFC3339, 1_700_000_000_000),
        ("2023-11-14t22:13:20.123456789z", Cast.RFC3339, 1_700_000_000_123),
        ("2023-11-15 00:13:20+02:00", Cast.RFC3339, 1_700_000_000_000),
        ("2016-12-31T23:59:60Z", Cast.RFC3339, 1_483_228_799_000),
    ],
)
def test_a_value_becomes_the_type_that_the_map_asks_for(value: object, to: Cast, expected: object) -> None:
    result = cast(value, to)

    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "to"),
    [
        ([1], Cast.STR),
        ({"a": 1}, Cast.STR),
        ("5.5", Cast.INT),
        (5.5, Cast.INT),
        (True, Cast.INT),
        ("0x10", Cast.INT),
        ("1_000", Cast.INT),
        ("", Cast.INT),
        ("\u0663", Cast.INT),
        ("nan", Cast.FLOAT),
        ("inf", Cast.FLOAT),
        ("-Infinity", Cast.FLOAT),
        ("1e999", Cast.FLOAT),
        (False, Cast.FLOAT),
        ([], Cast.FLOAT),
        ("maybe", Cast.BOOL),
        (2, Cast.BOOL),
        (1.0, Cast.BOOL),
        ({}, Cast.BOOL),
        ("soon", Cast.EPOCH),
        (True, Cast.EPOCH),
        ("2023-11-14T22:13:20", Cast.RFC3339),
        ("2023-11-14", Cast.RFC3339),
        ("2023-13-14T22:13:20Z", Cast.RFC3339),
        ("2023-11-14T25:13:20Z", Cast.RFC3339),
        ("\uff12023-11-14T22:13:20Z", Cast.RFC3339),
        (1_700_000_000, Cast.RFC3339),
    ],
)
def test_a_value_that_is_none_of_the_type_is_refused(value: object, to: Cast) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the kind of error is the contract
        cast(value, to)


@given(anything, st.sampled_from(Cast))
def test_any_value_is_cast_or_refused_and_never_infinite(value: object, to: Cast) -> None:
    try:
        result = cast(value, to)
    except ValueError:
        return

    assert not isinstance(result, float) or math.isfinite(result)
    assert to in (Cast.STR, Cast.BOOL, Cast.FLOAT) or type(result) is int


@given(st.integers(-(10**15), 10**16), st.integers(-14 * 60, 14 * 60))
def test_every_rfc_3339_time_is_read_to_the_millisecond(micros: int, offset: int) -> None:
    time = (EPOCH + timedelta(microseconds=micros)).astimezone(timezone(timedelta(minutes=offset)))

    assert cast(time.isoformat(), Cast.RFC3339) == micros // 1000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        (1_700_000_000, 1_700_000_000_000),
        ("1700000000", 1_700_000_000_000),
        (1_700_000_000.5, 1_700_000_000_500),
        (1_700_000_000_123, 1_700_000_000_123),
    ],
)
def test_a_time_is_read_as_people_write_it(value: object, expected: int) -> None:
    assert moment(value) == expected


@given(anything)
def test_a_time_is_a_small_whole_number_or_refused(value: object) -> None:
    try:
        result = moment(value)
    except ValueError:
        return

    assert abs(result) <= 10**15


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("500", "int", 500),
        (5, "float", 5.0),
        ([1], "list", [1]),
        ({"a": 1}, "any", {"a": 1}),
        (7, "str", "7"),
    ],
)
def test_a_declared_kind_is_a_promise(value: object, kind: str, expected: object) -> None:
    result = fit(value, kind)

    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind"), [("x", "int"), ("x", "list"), ({}, "str"), ([], "bool"), ({}, "float")]
)
def test_what_does_not_fit_a_declared_kind_is_refused(value: object, kind: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the kind of error is the contract
        fit(value, kind)
