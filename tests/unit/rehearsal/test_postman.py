"""The word that the mail server puts on top of each mail about its sender."""

from __future__ import annotations

import pytest

from holdfast.rehearsal.postman import Postman


@pytest.fixture
def postman() -> Postman:
    made = Postman({"founder": "x"}, "lab.test", "mx.lab.test", 1)
    made._socket.close()
    made._loop.close()
    return made


def stamped(postman: Postman, head: str, account: str | None) -> list[str]:
    raw = postman._stamped(f"{head}\r\n\r\nbody\r\n".encode(), account)
    top, _, body = raw.partition(b"\r\n\r\n")

    assert body == b"body\r\n"
    return top.decode().replace("\r\n ", " ").splitlines()


def test_who_logged_in_and_writes_in_the_name_of_the_domain_is_proven(postman: Postman) -> None:
    first, *rest = stamped(postman, "From: f <founder@lab.test>", "founder")

    assert first.startswith("Authentication-Results: mx.lab.test; auth=pass")
    assert "dmarc=pass header.from=lab.test" in first
    assert rest == ["From: f <founder@lab.test>"]


@pytest.mark.parametrize(
    ("head", "account"),
    [
        ("From: founder@lab.test", None),
        ("From: founder@elsewhere.test", "founder"),
        ("From: founder@lab.test\r\nFrom: other@lab.test", "founder"),
        ("Subject: nobody", "founder"),
    ],
)
def test_nobody_else_is(postman: Postman, head: str, account: str | None) -> None:
    assert "dmarc=fail" in stamped(postman, head, account)[0]


def test_what_a_sender_claims_in_our_name_is_taken_away(postman: Postman) -> None:
    forged = (
        "Authentication-Results: MX.lab.test;\r\n dmarc=pass header.from=lab.test\r\n"
        "authentication-results: mx.lab.test; dmarc=pass\r\n"
        "Authentication-Results: other.test; dmarc=pass\r\n"
        "From: founder@lab.test"
    )
    lines = stamped(postman, forged, None)

    assert lines[0].startswith("Authentication-Results: mx.lab.test; auth=none; dmarc=fail")
    assert lines[1:] == ["Authentication-Results: other.test; dmarc=pass", "From: founder@lab.test"]
