from __future__ import annotations

import time
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.model.records import AuthLevel, InboundReply
from holdfast.model.snapshot import MailReplies, Operator
from holdfast.model.values import Secret
from holdfast.notify.inbound import RAW_MAX, Dropped, entry_id, read, sender_of

REPLIES = MailReplies(
    "imap.lab.test", 993, "holdfast", Secret("imap"), "holdfast@lab.test", authserv_id="mx.lab.test"
)
OPERATORS = {
    "founder": Operator("founder", ("mail",), ("Founder@lab.test", "me@home.test")),
    "deputy": Operator("deputy", ("mail",), ("deputy@lab.test",)),
}
PROOF = "Authentication-Results: mx.lab.test; dmarc=pass header.from=lab.test\r\n"
FROM = "From: Founder <founder@lab.test>\r\n"
REST = "Delivered-To: holdfast+g1@lab.test\r\nMessage-ID: <1@lab.test>\r\n\r\napprove 7KQ4-MX\r\n"
GOOD = PROOF + FROM + REST


def heard(text: str | bytes, replies: MailReplies = REPLIES) -> InboundReply | Dropped:
    raw = text if isinstance(text, bytes) else text.encode()
    return read(raw, channel="mail", replies=replies, operators=OPERATORS)


def reply(text: str | bytes, replies: MailReplies = REPLIES) -> InboundReply:
    found = heard(text, replies)
    assert isinstance(found, InboundReply), found
    return found


def test_a_proven_answer_is_read_whole() -> None:
    assert reply(GOOD) == InboundReply(
        channel="mail",
        sender="founder@lab.test",
        message_id="<1@lab.test>",
        text="approve 7KQ4-MX",
        thread_ref="g1",
        auth=AuthLevel.PROVEN,
        operator="founder",
    )


@pytest.mark.parametrize(
    "proof",
    [
        "",
        "Authentication-Results: mx.lab.test; dmarc=fail header.from=lab.test\r\n" + PROOF,
        "Authentication-Results: mx.evil.test; dmarc=pass header.from=lab.test\r\n",
        "Authentication-Results: mx.evil.test; none\r\n" + PROOF,
        "Authentication-Results: mx.lab.test; dmarc=pass header.from=evil.test\r\n",
        "X-Authentication-Results: mx.lab.test; dmarc=pass header.from=lab.test\r\n",
        "ARC-Authentication-Results: i=1; mx.lab.test; dmarc=pass header.from=lab.test\r\n",
    ],
)
def test_an_operators_address_without_proof_is_only_known(proof: str) -> None:
    found = reply(proof + FROM + REST)

    assert (found.auth, found.operator) == (AuthLevel.KNOWN, "founder")


def test_a_stranger_is_nobody_however_well_proven() -> None:
    found = reply(GOOD.replace("founder@", "mallory@"))

    assert (found.sender, found.auth, found.operator) == ("mallory@lab.test", AuthLevel.NONE, None)


def test_the_proof_of_one_domain_does_not_serve_another_address_of_the_operator() -> None:
    found = reply(GOOD.replace("founder@lab.test", "me@home.test"))

    assert (found.auth, found.operator) == (AuthLevel.KNOWN, "founder")


def test_an_address_on_two_lists_belongs_to_nobody() -> None:
    shared = {name: Operator(name, ("mail",), ("founder@lab.test",)) for name in ("a", "b")}

    found = read(GOOD.encode(), channel="mail", replies=REPLIES, operators=shared)

    assert isinstance(found, InboundReply)
    assert (found.auth, found.operator) == (AuthLevel.NONE, None)


def test_without_a_configured_server_nobody_is_proven() -> None:
    blind = MailReplies("h", 993, "u", Secret("imap"), "holdfast@lab.test")

    assert reply(GOOD, blind).auth is AuthLevel.KNOWN


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("Auto-Submitted: auto-replied", "Auto-Submitted"),
        ("Auto-Submitted: auto-generated; owner-email=x@y", "Auto-Submitted"),
        ("Auto-Submitted:", "Auto-Submitted"),
        ("Precedence: bulk", "Precedence"),
        ("precedence: Auto_Reply", "Precedence"),
        ("X-Auto-Response-Suppress: All", "X-Autoreply"),
        ("X-Autoreply: yes", "X-Autoreply"),
        ("X-Autorespond:", "X-Autoreply"),
        ("Return-Path: <>", "bounce"),
        ("Return-Path:  <> ", "bounce"),
        ("Content-Type: multipart/report; report-type=delivery-status; boundary=x", "report"),
        ("List-Id: <talk.lab.test>", "mailing list"),
        ("X-Holdfast: 1", "our own"),
    ],
)
def test_mail_that_no_person_wrote_as_an_answer_is_dropped(header: str, reason: str) -> None:
    found = heard(f"{header}\r\n{GOOD}")

    assert isinstance(found, Dropped)
    assert reason in found.reason


@pytest.mark.parametrize("header", ["Auto-Submitted: no", "Auto-Submitted: No (typed)", "Precedence: normal"])
def test_mail_that_says_it_is_not_automatic_is_read(header: str) -> None:
    assert reply(f"{header}\r\n{GOOD}").auth is AuthLevel.PROVEN


def test_our_own_address_cannot_answer_itself() -> None:
    found = heard(GOOD.replace("founder@lab.test", "holdfast+g1@lab.test"))

    assert isinstance(found, Dropped)


@pytest.mark.parametrize(
    ("value", "sender"),
    [
        ("a@b.test", "a@b.test"),
        ("<a@b.test>", "a@b.test"),
        ("  A@B.Test ", "a@b.test"),
        ("Ann <a@b.test>", "a@b.test"),
        ('"Last, First" <a@b.test>', "a@b.test"),
        ('"evil@x.test" <a@b.test>', "a@b.test"),
        ('"a\\"b" <a@b.test>', "a@b.test"),
        ("=?utf-8?q?J=C3=BCrgen?= <a@b.test>", "a@b.test"),
        ("Ann\r\n <a@b.test>", "a@b.test"),
        ("a@b.test <x@evil.test>", None),
        ("a@b.test, x@evil.test", None),
        ("<a@b.test> <x@evil.test>", None),
        ("<x@evil.test> a@b.test", None),
        ("a@b.test (x@evil.test)", None),
        ("team: a@b.test;", None),
        ("<@relay:a@b.test>", None),
        ('"a@b.test"@evil.test <x@evil.test>', None),
        ("a@b.test\x00@evil.test", None),
        ("jürgen@b.test", None),
        ("a@b.test\r\nX: y", None),
        ("a@", None),
        ("", None),
        ("a" * 2000 + "@b.test", None),
    ],
)
def test_a_sender_is_exactly_one_plain_address(value: str, sender: str | None) -> None:
    assert sender_of([value]) == sender


def test_two_from_headers_name_nobody() -> None:
    found = heard("From: mallory@lab.test\r\n" + GOOD)

    assert isinstance(found, Dropped)


def test_a_mail_without_from_is_dropped() -> None:
    assert isinstance(heard(PROOF + REST), Dropped)


@pytest.mark.parametrize(
    ("headers", "ref"),
    [
        ("Delivered-To: holdfast+g1@lab.test\r\nTo: holdfast+g2@lab.test", "g1"),
        ("Delivered-To: holdfast+g1@lab.test\r\nDelivered-To: holdfast+g2@lab.test", "g1"),
        ("Delivered-To: holdfast@lab.test\r\nTo: Holdfast <holdfast+g2@lab.test>", "g2"),
        ("X-Original-To: holdfast+g3@lab.test", "g3"),
        ("To: other@lab.test, HOLDFAST+G4@lab.test", "g4"),
        ("Cc: holdfast+g5@lab.test", "g5"),
        ("To: holdfast+g1@lab.test, holdfast+g2@lab.test", ""),
        ("To: holdfast@lab.test", ""),
        ("To: holdfast+g1@evil.test", ""),
        ("Bcc: holdfast+g1@lab.test", ""),
    ],
)
def test_the_question_is_named_by_the_address_that_the_mail_went_to(headers: str, ref: str) -> None:
    assert reply(f"{headers}\r\n{FROM}\r\nyes\r\n").thread_ref == ref


def test_a_mail_without_a_usable_id_is_named_by_its_content() -> None:
    raw = FROM.encode() + b"Message-ID: \x01\r\n\r\nyes\r\n"

    assert reply(raw).message_id == f"sha256:{entry_id(raw)}"


def test_the_same_mail_has_one_entry_id_and_another_mail_another() -> None:
    assert entry_id(GOOD.encode()) == entry_id(GOOD.encode()) != entry_id(GOOD.encode() + b"x")


def test_only_the_beginning_of_a_huge_mail_is_looked_at() -> None:
    found = reply(GOOD.encode() + b"x" * (4 * RAW_MAX))

    assert found.text == "approve 7KQ4-MX"


def nested(depth: int) -> bytes:
    head = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (level, level)
        for level in range(depth)
    )
    return FROM.encode() + head + b"\r\napprove\r\n"


def test_a_few_levels_of_parts_are_read_and_a_bomb_is_dropped() -> None:
    assert reply(nested(5)).text == "approve"
    assert heard(nested(1000)) == Dropped("it has too many parts")


@pytest.mark.parametrize(
    "bomb",
    [
        b'From: "' + b'\\"' * 60_000 + b"\r\n\r\nx",
        b"To: " + b"a" * 120_000 + b"\r\n" + FROM.encode() + b"\r\nx",
        b"Authentication-Results: " + b"(" * 120_000 + b"\r\n" + FROM.encode() + b"\r\nx",
        FROM.encode() + b"Content-Type: text/plain; " + b"a*0=b;" * 15_000 + b"\r\n\r\nx",
        FROM.encode() + b"Content-Type: text/html\r\n\r\n" + b"<" * 120_000,
        FROM.encode() + b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"a" * 120_000,
        FROM.encode() + b"Content-Transfer-Encoding: base64\r\n\r\n" + b"=" * 120_000,
        FROM.encode() + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * 15_000,
        b"\r\n".join(b"A: b" for _ in range(20_000)) + b"\r\n" + FROM.encode() + b"\r\nx",
    ],
)
def test_hostile_mails_take_little_time(bomb: bytes) -> None:
    began = time.process_time()

    heard(bomb)

    assert time.process_time() - began < 5.0


@given(st.binary(max_size=2000))
def test_any_bytes_are_read_without_an_exception(raw: bytes) -> None:
    found = heard(raw)

    assert isinstance(found, Dropped) or found.auth is AuthLevel.NONE


HEADERS = st.sampled_from([
    b"From", b"To", b"Content-Type", b"Content-Transfer-Encoding", b"Authentication-Results", b"Return-Path",
    b"Auto-Submitted", b"Content-Disposition", b"Message-ID", b"Delivered-To", b"\xff\xfe", b"",
])  # fmt: skip
VALUES = st.one_of(
    st.binary(max_size=80),
    st.sampled_from([
        b"founder@lab.test", b"multipart/mixed; boundary=b", b"multipart/mixed; boundary=", b"text/html",
        b"text/plain; charset=\x80", b"text/plain; charset*=utf-8''%E2%80%99", b"=?utf-8?b?////?=", b"base64",
        b"quoted-printable", b"x-uuencode", b"message/rfc822", b"message/external-body",
        b"text/plain; x*1*=y",
        b"attachment; filename*0*=u''%00", b"mx.lab.test; dmarc=pass header.from=lab.test",
    ]),
)  # fmt: skip
BODIES = st.one_of(
    st.binary(max_size=400), st.sampled_from([b"--b\r\n\r\nx\r\n--b--", b"begin 644 x\n#86)C\nend\n"])
)


@settings(max_examples=400)
@given(st.lists(st.tuples(HEADERS, VALUES), max_size=12), BODIES)
def test_any_mail_of_odd_headers_is_read_without_an_exception(
    lines: list[tuple[bytes, bytes]], body: bytes
) -> None:
    raw = b"".join(name + b": " + value + b"\r\n" for name, value in lines) + b"\r\n" + body

    found = heard(raw)

    assert isinstance(found, Dropped | InboundReply)
    if isinstance(found, InboundReply):
        assert len(found.text) <= 500
        assert "\n" not in found.text


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300), st.booleans())
def test_an_answer_written_by_the_library_comes_through(text: str, html: bool) -> None:
    mail = EmailMessage()
    mail["From"] = "founder@lab.test"
    mail["To"] = "holdfast+g1@lab.test"
    mail.set_content(f"deny\n{text}\n", charset="utf-8")
    if html:
        mail.add_alternative("<p>approve</p>", subtype="html")

    assert reply(mail.as_bytes()).text == "deny"
