from __future__ import annotations

import email
import time
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.notify.mime import LINE_MAX, answer_line, first_line, stripped


def line_of(raw: bytes) -> str:
    return answer_line(email.message_from_bytes(raw))


def html(text: str, charset: str = "utf-8") -> bytes:
    return b"Content-Type: text/html; charset=" + charset.encode() + b"\n\n" + text.encode()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("approve 7KQ4-MX\n\n> old text", "approve 7KQ4-MX"),
        ("\r\n \t\r\n\u00a0\r\n  yes  \r\n", "yes"),
        ("> approve 7KQ4-MX\n>> deny\nno\n", "no"),
        ("  > approve 7KQ4-MX", ""),
        ("\ufeffwait", "wait"),
        ("", ""),
        ("x" * LINE_MAX, "x" * LINE_MAX),
    ],
)
def test_the_first_line_that_is_not_quoted_is_the_answer(text: str, line: str) -> None:
    assert first_line(text) == line


def test_a_very_long_line_is_no_answer_instead_of_a_cut_one() -> None:
    assert first_line("approve 7KQ4-MX" + " " * LINE_MAX + "is what I will never write") == ""


@pytest.mark.parametrize("sign", ["\u2028", "\u0085", "\x0b", "\x0c", "\x1c"])
def test_only_real_line_ends_end_a_line(sign: str) -> None:
    assert first_line(f"approve{sign}not") == f"approve{sign}not"


def test_plain_text_wins_over_html() -> None:
    mail = EmailMessage()
    mail.set_content("plain\n")
    mail.add_alternative("<p>html</p>", subtype="html")

    assert line_of(mail.as_bytes()) == "plain"


def test_html_answers_where_the_plain_part_is_empty() -> None:
    mail = EmailMessage()
    mail.set_content("\n")
    mail.add_alternative("<p>html</p>", subtype="html")

    assert line_of(mail.as_bytes()) == "html"


def test_a_plain_part_that_only_quotes_is_not_overruled_by_html() -> None:
    mail = EmailMessage()
    mail.set_content("> approve\n")
    mail.add_alternative("<p>approve</p>", subtype="html")

    assert line_of(mail.as_bytes()) == ""


def test_attached_text_and_attached_mails_are_not_read() -> None:
    inner = EmailMessage()
    inner.set_content("approve inner\n")
    mail = EmailMessage()
    mail.set_content("<div>typed</div>", subtype="html")
    mail.add_attachment("approve attached\n", filename="a.txt", disposition="inline")
    mail.add_attachment(inner)

    assert line_of(mail.as_bytes()) == "typed"


def test_a_forwarded_mail_alone_holds_no_answer() -> None:
    inner = EmailMessage()
    inner.set_content("approve inner\n")
    mail = EmailMessage()
    mail.add_attachment(inner)

    assert line_of(mail.as_bytes()) == ""


def test_base64_and_other_charsets_are_read() -> None:
    mail = EmailMessage()
    mail.set_content("genehmige für alle\n", charset="iso-8859-1", cte="base64")

    assert line_of(mail.as_bytes()) == "genehmige für alle"


@pytest.mark.parametrize("charset", ["nosuch", "zlib", "rot13", "undefined", "idna", "\x00", "a" * 500])
def test_an_unknown_or_hostile_charset_is_read_as_utf_8(charset: str) -> None:
    raw = f'Content-Type: text/plain; charset="{charset}"\n\nyes\n'.encode()

    assert line_of(raw) == "yes"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("<html><head><title>approve</title><style>p{}</style></head><body><p>no</p></body></html>", "no"),
        ("<div dir=ltr>yes<br></div><blockquote>approve 7KQ4</blockquote>", "yes"),
        ("<blockquote><p>approve</p></blockquote><p>no</p>", "no"),
        ("<blockquote><blockquote>approve</blockquote>approve</blockquote>no", "no"),
        ("<!-- approve --><p>no</p>", "no"),
        ("app<b>rove</b> 7KQ4&#8209;MX&nbsp;&amp;", "approve 7KQ4\u2011MX &"),
        ("approve\nnot that one", "approve not that one"),
        ("approve&#10;not that one", "approve not that one"),
        ("<p>a</p><p>b</p>", "a"),
        ("x < y", "x"),
        ("<script>approve", ""),
        ("<p", ""),
        ("</blockquote>no", "no"),
        ("&gt; quoted<br>typed", "typed"),
    ],
)
def test_html_reads_as_a_person_sees_it(text: str, line: str) -> None:
    assert line_of(html(text)) == line


@pytest.mark.parametrize(
    "bomb", ["<" * 200_000, "<!--" * 50_000, "<a>" * 70_000, "&" * 200_000, "<blockquote>" * 16_000]
)
def test_html_bombs_take_no_time(bomb: str) -> None:
    began = time.process_time()

    stripped(bomb)

    assert time.process_time() - began < 5.0


@given(st.text())
def test_stripping_takes_any_text(text: str) -> None:
    assert "<p>" not in stripped(f"<p>{text}</p>".replace("&", ""))


@given(st.text(alphabet=st.sampled_from("<>/!-pblockquote &\n\"'="), max_size=300))
def test_stripping_takes_any_soup_of_tags(text: str) -> None:
    stripped(text)
