from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.config.scalars import AmbiguousScalar, resolve
from holdfast.model.values import Scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("NULL", None),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("0", 0),
        ("-0", 0),
        ("+12", 12),
        ("-7", -7),
        ("0o755", 493),
        ("0x1F", 31),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("-2.5E-1", -0.25),
        ("012.5", 12.5),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_the_core_schema_is_read(text: str, value: Scalar) -> None:
    found = resolve(text)

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "text",
    [
        "22:00",
        "1:30:00",
        "190:20:30.15",
        "2026-01-01",
        "2026-01-01T00:00:00Z",
        "1_000",
        "0b11",
        "0o9",
        "0xg",
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
        "Yes",
        "tRuE",
        "nUll",
        "<<",
        "=",
        "1.2.3",
        "e3",
        "+",
        "-",
        ".",
        "١٢",
        "\N{FULLWIDTH DIGIT ONE}",
    ],
)
def test_what_yaml_1_1_would_add_is_text(text: str) -> None:
    assert resolve(text) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0755", "write 0o755 for octal"),
        ("-007", "leading zero"),
        ("9223372036854775808", "64 bits"),
        ("9" * 5000, "64 bits"),
        ("0x" + "f" * 5000, "64 bits"),
        (".inf", "quote it"),
        ("-.INF", "quote it"),
        (".nan", "quote it"),
        ("1e999", "too large"),
    ],
)
def test_a_number_that_could_surprise_is_refused(text: str, says: str) -> None:
    with pytest.raises(AmbiguousScalar, match=says) as caught:
        resolve(text)

    assert len(str(caught.value)) < 150


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_whole_numbers_come_back(number: int) -> None:
    assert resolve(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_back(number: float) -> None:
    found = resolve(repr(number))

    assert isinstance(found, float)
    assert math.isclose(found, number, rel_tol=0, abs_tol=0)


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = resolve(text)
    except AmbiguousScalar:
        return

    assert found == text or not isinstance(found, str)
