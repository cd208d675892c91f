"""JSON from strangers."""

from __future__ import annotations

import time
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InputError
from holdfast.sense import payload
from holdfast.sense.payload import read_events, read_json
from holdfast.sense.refusal import Refused, TooLarge, Unprocessable

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=30,
)


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def test_one_object_is_one_event() -> None:
    assert read_events(b' \n{"id": "1", "data": {"x": [1, 2.5, null, true]}}') == [
        {"id": "1", "data": {"x": [1, 2.5, None, True]}}
    ]


def test_an_array_is_several_events_in_their_order() -> None:
    assert read_events(b'\t[{"id":1}, {"id":2}]') == [{"id": 1}, {"id": 2}]


def test_an_empty_array_is_no_event() -> None:
    assert read_events(b"[]") == []


def test_of_two_equal_keys_the_last_counts() -> None:
    assert read_events(b'{"id":1,"id":2}') == [{"id": 2}]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{}{}",
        b"{'a': 1}",
        b"\xef\xbb\xbf{}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1e400}',
        b'{"a": -1e400}',
        b'{"a": 01}',
        b'{"a": .5}',
        b'{"a": "\\ud800"}',
        b'{"a": "\\udc00x"}',
        b'{"\\ud83d": 1}',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "line\nbreak"}',
        b"\x00",
        b'{"a": 1' + b"0" * 5000 + b"}",
        b"[{}, {]",
        b"[{}",
        b"[",
    ],
)
def test_what_is_not_json_is_refused_as_unreadable(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_events(body)

    assert type(refused.value) is Refused
    assert refused.value.what
    assert refused.value.fix


@pytest.mark.parametrize("body", [b"1", b'"x"', b"null", b"true", b"1.5", b"[1]", b'[{}, "x"]', b"[[{}]]"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(Unprocessable, match="JSON object"):
        read_events(body)


def test_thirty_two_levels_are_read() -> None:
    assert read_json(nested(32)) == msgspec.json.decode(nested(32))


@pytest.mark.parametrize(
    "body", [nested(33), b"[" * 33 + b"]" * 33, nested(900), nested(10_000), b"[" * 100_000]
)
def test_what_is_nested_deeper_is_refused(body: bytes) -> None:
    with pytest.raises((Unprocessable, Refused)) as refused:
        read_json(body)

    assert "nested deeper than 32" in str(refused.value) or "JSON" in str(refused.value)


def test_ten_thousand_levels_are_refused_in_one_sentence() -> None:
    with pytest.raises(Unprocessable, match="nested deeper than 32 levels"):
        read_json(nested(10_000))


def test_a_thousand_keys_are_read_and_one_more_is_not() -> None:
    body = {f"k{number}": number for number in range(1000)}

    assert read_json(msgspec.json.encode(body)) == body
    with pytest.raises(Unprocessable, match="more than 1,000 keys"):
        read_json(msgspec.json.encode({**body, "one": "more"}))


def test_keys_are_counted_over_all_levels() -> None:
    body = {"list": [{f"k{number}": 0 for number in range(500)}, {f"k{number}": 0 for number in range(500)}]}

    with pytest.raises(Unprocessable, match="more than 1,000 keys"):
        read_json(msgspec.json.encode(body))


@pytest.mark.parametrize(
    "wrap", [lambda text: {"a": text}, lambda text: {text: 1}, lambda text: {"a": ["x", text]}]
)
def test_a_text_has_at_most_64_kib_characters(wrap) -> None:
    assert read_json(msgspec.json.encode(wrap("x" * 65_536))) == wrap("x" * 65_536)
    with pytest.raises(Unprocessable, match="more than 65,536 characters"):
        read_json(msgspec.json.encode(wrap("x" * 65_537)))


def test_a_whole_number_stays_within_what_a_float_can_be() -> None:
    assert read_json(b'{"a": 1' + b"0" * 307 + b"}") == {"a": 10**307}
    with pytest.raises(Unprocessable, match="out of range"):
        read_json(b'{"a": -1' + b"0" * 400 + b"}")


def test_an_event_has_at_most_one_mebibyte() -> None:
    text = b'{"a": "%s"}'
    fits = b'{"a":[' + b",".join([b'"' + b"x" * 60_000 + b'"'] * 17) + b"]}"

    assert len(fits) < payload.MAX_EVENT
    assert len(read_events(fits)) == 1
    with pytest.raises(TooLarge, match="1,048,576 bytes"):
        read_events(text % (b"x" * payload.MAX_EVENT))


def test_a_batch_has_at_most_a_thousand_events() -> None:
    assert len(read_events(b"[" + b",".join([b"{}"] * 1000) + b"]")) == 1000
    with pytest.raises(TooLarge, match="1,001 events"):
        read_events(b"[" + b",".join([b"{}"] * 1001) + b"]")


def test_a_batch_has_at_most_five_mebibytes() -> None:
    member = b'{"a":["' + b"x" * 60_000 + b'"]}'

    assert len(read_events(b"[" + b",".join([member] * 80) + b"]")) == 80
    with pytest.raises(TooLarge, match="5,242,880 bytes"):
        read_events(b"[" + b",".join([member] * 90) + b"]")


def test_a_member_of_a_batch_is_bounded_like_an_event_and_named() -> None:
    big = b'{"a":["' + b'","'.join([b"x" * 60_000] * 20) + b'"]}'

    with pytest.raises(TooLarge, match=r"Event 2 of the batch.*1,048,576 bytes"):
        read_events(b"[{}," + big + b"]")


def test_a_member_of_a_batch_that_is_wrong_is_named() -> None:
    with pytest.raises(Unprocessable, match="Event 3 of the batch"):
        read_events(b"[{},{}," + nested(40) + b"]")


def test_more_values_than_memory_should_hold_are_refused_before_they_are_read() -> None:
    with pytest.raises(Unprocessable, match="more than 200,000 values"):
        read_events(b"[" + b",".join([b"0"] * 300_000) + b"]")
    with pytest.raises(Unprocessable, match="more than 200,000 values"):
        read_json(b'{"a":[' + b",".join([b"0"] * 300_000) + b"]}")


def test_commas_in_texts_are_no_values() -> None:
    body = b'{"a":["' + b'","'.join([b"," * 60_000] * 10) + b'"]}'

    assert len(read_json(body)["a"]) == 10


texts = st.text(alphabet='",\\{a', max_size=6)


def separators(value: object) -> int:
    """How many commas JSON puts between the values of this one."""
    if not isinstance(value, dict | list):
        return 0
    inner = list(value.values()) if isinstance(value, dict) else value
    return max(len(inner) - 1, 0) + sum(map(separators, inner))


@given(
    st.recursive(texts, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5))
)
def test_commas_between_values_are_told_from_those_in_texts(value: object) -> None:
    assert payload._separators(msgspec.json.encode(value)) == separators(value)


@pytest.mark.parametrize(
    "body",
    [
        b'["' + b'\\",' * 800_000,
        b'["' + b"," * 4_000_000,
        b"[" + b'"' * 2_000_001 + b"," * 200_001,
        b"[" + b'"",' * 1_300_000 + b"]",
        b"[" + b'",",' * 1_000_000 + b"]",
    ],
)
def test_counting_values_takes_linear_time_and_little_memory(body: bytes) -> None:
    tracemalloc.start()
    started = time.process_time()

    with pytest.raises(Refused):
        read_events(body)

    spent, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert spent < 5
    assert peak < 6 * len(body)


@given(values)
def test_whatever_is_read_is_what_was_sent(value: object) -> None:
    assert read_json(msgspec.json.encode(value)) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        events = read_events(body)
    except InputError:
        return

    assert all(isinstance(event, dict) for event in events)


@given(st.text(alphabet='[]{}",:\\u0d8e1.-ntf ', max_size=80))
def test_anything_that_looks_like_json_is_read_or_refused(text: str) -> None:
    try:
        read_events(text.encode())
    except InputError:
        return
