"""JSON from strangers: decoded within bounds, or refused in one clear sentence."""

from __future__ import annotations

import contextlib
import re
from itertools import islice
from typing import Final, cast

import msgspec

from holdfast.model.values import Json
from holdfast.sense.refusal import Refused, TooLarge, Unprocessable

MAX_EVENT: Final = 1024 * 1024
MAX_BATCH: Final = 5 * 1024 * 1024
MAX_EVENTS: Final = 1000
MAX_DEPTH: Final = 32
MAX_KEYS: Final = 1000
MAX_TEXT: Final = 64 * 1024
#: Values in one body: bounds the memory that decoding takes, whatever the bytes look like.
MAX_VALUES: Final = 200_000

#: No number of that many digits or fewer overflows a float, and no text so short has 1,000 keys.
_SMALL: Final = 308
_LARGEST: Final = 10**308
#: What is left of a body to count its values: quotes and commas. One match is one comma between values.
_NEITHER: Final = bytes(set(range(256)) - set(b'",'))
_BETWEEN: Final = re.compile(rb'(?:",++")?+,')
_raws: Final = msgspec.json.Decoder(list[msgspec.Raw])


def read_events(body: bytes | bytearray) -> list[dict[str, Json]]:
    """The objects of a body: one, or those of an array. Raises Refused, TooLarge, Unprocessable."""
    if not body.lstrip(b" \t\r\n").startswith(b"["):
        return [_object(read_json(body), "The body")]
    if len(body) > MAX_BATCH:
        raise TooLarge(f"The batch has {len(body):,} bytes.", f"Send at most {MAX_BATCH:,} bytes at once.")
    raws = _split(body)
    if len(raws) > MAX_EVENTS:
        raise TooLarge(f"The batch has {len(raws):,} events.", f"Send at most {MAX_EVENTS:,} at once.")
    if all(map(_within_bounds, raws)):
        with contextlib.suppress(Refused):  # which of them it is, is said below
            values = _decode(body)
            if isinstance(values, list) and all(isinstance(value, dict) for value in values):
                return cast("list[dict[str, Json]]", values)
    return [_member(raw, place) for place, raw in enumerate(raws, 1)]


def read_json(body: bytes | bytearray) -> Json:
    """The one JSON value of a body, within every bound. Raises Refused, TooLarge, Unprocessable."""
    if len(body) > MAX_EVENT:
        raise TooLarge(f"The event has {len(body):,} bytes.", f"Send at most {MAX_EVENT:,} bytes per event.")
    _check_values(body)
    value = _decode(body)
    if not _within_bounds(body):
        _check(value)
    return value


def _within_bounds(body: bytes | bytearray | msgspec.Raw) -> bool:
    """Whether it is so small that nothing in it can be too large, too many or too deep."""
    text = bytes(body)
    return len(text) <= _SMALL and text.count(b"[") + text.count(b"{") <= MAX_DEPTH


def _decode(body: bytes | bytearray | msgspec.Raw) -> Json:
    try:
        value: Json = msgspec.json.decode(body)
    except RecursionError as error:
        raise _too_deep() from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _not_json(error) from error
    return value


def _split(body: bytes | bytearray) -> list[msgspec.Raw]:
    _check_values(body)
    try:
        return _raws.decode(body)
    except RecursionError as error:
        raise _too_deep() from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _not_json(error) from error


def _member(raw: msgspec.Raw, place: int) -> dict[str, Json]:
    try:
        return _object(read_json(bytes(raw)), "It")
    except Refused as error:
        raise type(error)(f"Event {place} of the batch: {error.what}", error.fix) from error


def _object(value: Json, what: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise Unprocessable(f"{what} is {kind_of(value)}.", "Send a JSON object, or an array of objects.")
    return value


def _check_values(body: bytes | bytearray) -> None:
    # Commas are counted first because that is nearly free; texts may hold many of them.
    if body.count(b",") > MAX_VALUES and _separators(body) > MAX_VALUES:
        raise Unprocessable(f"The body has more than {MAX_VALUES:,} values.", "Send fewer values at once.")


def _separators(body: bytes | bytearray) -> int:
    """The commas outside of texts, as far as they matter; in linear time and without a copy of each text."""
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    bare = unescaped.translate(None, _NEITHER).replace(b'""', b"") + b","  # so that one follows each text
    return sum(1 for _ in islice(_BETWEEN.finditer(bare), MAX_VALUES + 2)) - 1


def _check(value: Json) -> None:
    """Walk level by level, without recursion, so that depth costs nothing but the count."""
    keys = 0
    level: list[Json] = [value]
    for _ in range(MAX_DEPTH):
        below: list[Json] = []
        for item in level:
            if isinstance(item, dict):
                keys += len(item)
                below += (*item, *item.values())
            elif isinstance(item, list):
                below += item
            else:
                _check_scalar(item)
        if keys > MAX_KEYS:
            raise Unprocessable(f"The event has more than {MAX_KEYS:,} keys.", "Send only what a rule reads.")
        level = below
    for item in level:
        if isinstance(item, dict | list):
            raise _too_deep()
        _check_scalar(item)


def _check_scalar(item: Json) -> None:
    if isinstance(item, str) and len(item) > MAX_TEXT:
        raise Unprocessable(f"A text has more than {MAX_TEXT:,} characters.", "Cut it before sending.")
    if isinstance(item, int) and not -_LARGEST <= item <= _LARGEST:
        raise Unprocessable("A number is out of range.", "Send it as text.")


def _too_deep() -> Unprocessable:
    return Unprocessable(f"The JSON is nested deeper than {MAX_DEPTH} levels.", "Send a flatter object.")


def _not_json(error: Exception) -> Refused:
    if isinstance(error, UnicodeDecodeError):
        return Refused("The body is not UTF-8.", "Encode the JSON as UTF-8.")
    reason = str(error).split(" - at ")[0].rstrip(".")
    return Refused(f"The body is not JSON that can be read: {reason}.", "Send one JSON document.")


def kind_of(value: Json) -> str:
    """What to call a value in a message, without repeating it."""
    names: dict[type, str] = {
        dict: "an object",
        list: "an array",
        str: "a text",
        bool: "a boolean",
        int: "a whole number",
        float: "a number",
        type(None): "null",
    }
    return names[type(value)]
