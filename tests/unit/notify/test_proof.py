from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.notify.proof import proven

GOOD = "mx.lab.test; auth=pass smtp.auth=founder@lab.test; dmarc=pass header.from=lab.test"
GOOGLE = (
    "mx.google.com;\r\n       dkim=pass header.i=@lab.test header.s=20230601 header.b=AbCd;\r\n"
    "       spf=pass (google.com: domain of f@lab.test designates 1.2.3.4 as permitted sender)"
    " smtp.mailfrom=f@lab.test;\r\n       dmarc=pass (p=NONE sp=QUARANTINE dis=NONE) header.from=lab.test"
)


@pytest.mark.parametrize(
    ("value", "server"),
    [
        (GOOD, "mx.lab.test"),
        (GOOD, "MX.Lab.Test"),
        (GOOD.replace("lab.test", "LAB.test"), "mx.lab.test"),
        (GOOGLE, "mx.google.com"),
    ],
)
def test_the_receiving_server_proves_the_domain(value: str, server: str) -> None:
    assert proven([value], server, "lab.test")


@pytest.mark.parametrize(
    "value",
    [
        "mx.lab.test; dmarc=fail header.from=lab.test",
        "mx.lab.test; dmarc=none header.from=lab.test",
        "mx.lab.test; dmarc=pass",
        "mx.lab.test; dmarc=pass header.from=evil.test",
        "mx.lab.test; dmarc=pass header.from=sub.lab.test",
        "mx.lab.test; dkim=pass header.d=lab.test; spf=pass smtp.mailfrom=f@lab.test",
        'mx.lab.test; dkim=pass reason="dmarc=pass header.from=lab.test"',
        'mx.lab.test; spf=pass smtp.mailfrom="x; dmarc=pass header.from=lab.test; y"@evil.test; dmarc=fail',
        "mx.lab.test (dmarc=pass header.from=lab.test); none",
        "mx.lab.test; dmarc=fail header.from=lab.test; dmarc=pass header.from=lab.test",
        "mx.lab.test; dmarc=pass header.from=lab.test; dmarc=fail header.from=lab.test",
        "mx.lab.test.evil.test; dmarc=pass header.from=lab.test",
        "evil.test; mx.lab.test; dmarc=pass header.from=lab.test",
        "mx.lab.test 9; dmarc=pass header.from=lab.test",
        "spf=pass smtp.mailfrom=lab.test; dmarc=pass action=none header.from=lab.test",
        "mx.lab.test; none",
        "mx.lab.test",
        "",
        "(" * 4000,
        GOOD + "; x=" + "y" * 9000,
    ],
)
def test_anything_else_proves_nothing(value: str) -> None:
    assert not proven([value], "mx.lab.test", "lab.test")


def test_only_the_topmost_header_counts() -> None:
    other = "relay.lab.test; dkim=pass header.d=lab.test"

    assert not proven([other, GOOD], "mx.lab.test", "lab.test")
    assert not proven(["mx.lab.test; dmarc=fail header.from=lab.test", GOOD], "mx.lab.test", "lab.test")
    assert proven([GOOD, other], "mx.lab.test", "lab.test")


def test_without_a_configured_server_nobody_is_believed() -> None:
    assert not proven([GOOD], None, "lab.test")
    assert not proven([], "mx.lab.test", "lab.test")


def test_an_empty_domain_is_never_proven() -> None:
    assert not proven(['mx.lab.test; dmarc=pass header.from=""'], "mx.lab.test", "")


@given(st.text(max_size=300))
def test_any_text_is_read_and_proves_nothing(text: str) -> None:
    assert not proven([text], "mx.lab.test", "lab.test")
