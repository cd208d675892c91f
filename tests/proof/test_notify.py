"""Whatever arrives in the mailbox: one line of an operator, or a reason to drop it."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st
from tests.proof.prove import Tally, prove, slips

from holdfast.model.records import AuthLevel, InboundReply
from holdfast.model.snapshot import MailReplies, Operator
from holdfast.model.values import Secret
from holdfast.notify.inbound import Dropped, read, sender_of
from holdfast.notify.mime import LINE_MAX, first_line, stripped

REPLIES = MailReplies(
    "imap.lab.test", 993, "holdfast", Secret("imap"), "holdfast@lab.test", authserv_id="mx.lab.test"
)
OPERATORS = {"founder": Operator("founder", ("mail",), ("founder@lab.test",))}
HEADERS = (
    b"Authentication-Results: mx.lab.test; dmarc=pass header.from=lab.test\r\n"
    b"From: Founder <founder@lab.test>\r\nDelivered-To: holdfast+g1@lab.test\r\nMessage-ID: <1@lab.test>\r\n"
)
TWO_PARTS = (
    b'Content-Type: multipart/alternative; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nYXBwcm92ZQ==\r\n"
    b"--b\r\nContent-Type: text/html; charset=latin-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"<p>no=3D\r\n--b--"
)
GOOD = [
    HEADERS + b"\r\napprove 7KQ4-MX\r\n> quoted\r\n",
    HEADERS + b"Content-Type: text/html\r\n\r\n<p>approve&nbsp;x</p><blockquote>y</blockquote>",
    HEADERS + TWO_PARTS,
    HEADERS
    + b"Content-Type: text/plain; charset=utf-7\r\n"
    + b"Content-Transfer-Encoding: 8bit\r\n\r\n+AGE-",
    b"From: other@lab.test\r\nTo: holdfast@lab.test\r\n\r\ndeny\r\n",
]
PIECES = [
    *(
        b"\r\n",
        b"\r\n\r\n",
        b"\r",
        b"\n ",
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"=",
        b"=?utf-8?b?//8=?=",
        b"=?x?q?=ff?=",
    ),
    *(b"From: a@b\r\n", b"From: founder@lab.test\r\n", b"<", b">", b'"', b"\\", b"(", b"@", b",", b";", b":"),
    *(
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"boundary=b",
        b"--b\r\n",
    ),
    *(
        b"Content-Transfer-Encoding: x-uuencode\r\n",
        b"charset=undefined",
        b"charset*=utf-8''%ff",
        b"charset=idna",
    ),
    *(
        b"Auto-Submitted: auto-replied\r\n",
        b"Precedence: list\r\n",
        b"Return-Path: <>\r\n",
        b"X-Holdfast: 1\r\n",
    ),
    *(
        b"mx.lab.test; dmarc=fail",
        b"header.from=",
        b"<!--",
        b"<script>",
        b"&#x110000;",
        b"&#0;",
        b"&amp",
        b"> ",
    ),
    b"y" * 600,
    b"(" * 200,
    b'"' * 200,
]


def test_mails(tally: Callable[[str], Tally]) -> None:
    def parse(raw: bytes) -> bool:
        found = read(raw, channel="mail", replies=REPLIES, operators=OPERATORS)
        if isinstance(found, Dropped):
            assert found.reason
            return False
        assert isinstance(found, InboundReply)
        assert len(found.text) <= LINE_MAX
        assert "\n" not in found.text
        assert 0 < len(found.message_id) <= 300
        assert found.message_id.isascii()
        assert found.sender.count("@") == 1
        assert found.operator == ("founder" if found.sender == "founder@lab.test" else None)
        assert (found.auth is AuthLevel.NONE) == (found.operator is None)
        return True

    prove(tally("notify.inbound: mails"), slips(GOOD, PIECES, most=4), parse, thousands=50)


def test_senders(tally: Callable[[str], Tally]) -> None:
    good = ["founder@lab.test", "Jo <jo@lab.test>", '"Jo, x" <jo@lab.test>']
    pieces = ["<", ">", '"', "\\", ",", "(", ")", "@", "\r\n ", "\n", " ", "é", "\x00", "a@b", ":", ";"]

    def parse(value: str) -> bool:
        found = sender_of([value])
        assert found is None or (found.count("@") == 1 and found == found.lower() and found.isascii())
        return found is not None

    prove(tally("notify.inbound: senders"), slips(good, pieces, most=5), parse, thousands=40)


def test_html(tally: Callable[[str], Tally]) -> None:
    good = ["<p>approve</p>", "<div>a<br>b</div><blockquote>c</blockquote>", "<style>x</style>y<!-- z -->"]
    pieces = [
        "<",
        ">",
        "</",
        "<!--",
        "-->",
        "<p",
        "<script>",
        "</script>",
        "&#xD800;",
        "&lt;",
        "\n",
        "\x00",
        "\u2028",
        "<" * 50,
    ]

    def parse(html: str) -> bool:
        line = first_line(stripped(html))
        assert len(line) <= LINE_MAX
        assert "\n" not in line
        return bool(line)

    prove(tally("notify.mime: HTML"), slips(good, pieces, most=5) | st.text(max_size=30), parse, thousands=40)
