"""Where errors become statuses."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from starlette.requests import Request
from structlog.testing import capture_logs

from holdfast.errors import ConfigError, InputError, Overloaded, PlanError, StoreError, Unauthorized
from holdfast.journal import SourceFull
from holdfast.sense.refusal import Refused, TooLarge, Unprocessable, Unsupported
from holdfast.web.answer import Answer, answer, answer_for, page
from holdfast.web.request import Disconnected


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (Refused("a", "b"), 400, None),
        (InputError("a"), 400, None),
        (Unauthorized("a"), 401, None),
        (TooLarge("a", "b"), 413, None),
        (Unsupported("a", "b"), 415, None),
        (Unprocessable("a", "b"), 422, None),
        (SourceFull("a"), 429, b"1"),
        (Overloaded("a"), 503, b"1"),
        (StoreError("a"), 503, b"5"),
        (ConfigError([]), 503, b"5"),
        (PlanError("a"), 500, None),
        (ValueError("a"), 500, None),
    ],
)
def test_every_error_has_its_status_and_the_same_form(
    error: Exception, status: int, retry: bytes | None
) -> None:
    said = answer_for(error)

    assert said.status == status
    assert dict(said.headers).get(b"retry-after") == retry
    assert set(msgspec.json.decode(said.body)) == {"error", "what_to_do"}


def test_a_refusal_says_both_of_its_sentences() -> None:
    said = msgspec.json.decode(answer_for(Unprocessable("It is wrong.", "Do it right.")).body)

    assert said == {"error": "It is wrong.", "what_to_do": "Do it right."}
    assert str(Unprocessable("It is wrong.", "Do it right.")) == "It is wrong. Do it right."


def test_an_answer_is_the_same_on_both_roads() -> None:
    said = answer(202, {"accepted": 1})
    response = said.response()

    assert (response.status_code, response.body) == (202, b'{"accepted":1}')
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("error", "status", "logged"), [(Disconnected(), 400, 0), (ZeroDivisionError(), 500, 1)]
)
def test_a_page_that_fails_is_logged_and_a_client_that_left_is_not(
    error: Exception, status: int, logged: int
) -> None:
    async def fail(_: Request) -> Answer:
        raise error

    with capture_logs() as lines:
        response = asyncio.run(page(fail)(Request({"type": "http"})))

    assert (response.status_code, len(lines)) == (status, logged)
