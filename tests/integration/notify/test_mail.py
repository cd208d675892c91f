"""The reader of replies against a real IMAP server, through its deaths and its renumberings."""

from __future__ import annotations

import contextlib
import imaplib
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from holdfast.model.kinds import EntryKind
from holdfast.model.records import AuthLevel, InboundReply
from holdfast.model.snapshot import Channel, MailReplies, Operator
from holdfast.model.values import DAY, Secret
from holdfast.notify.courier import Courier
from holdfast.notify.inbound import RAW_MAX
from holdfast.notify.mail import LOOK_BACK, MailReader
from holdfast.notify.mailbox import Mailbox
from holdfast.notify.wire import Order
from holdfast.rehearsal.mail import MailServers
from holdfast.store import mailboxes
from holdfast.store.database import Database

OPERATORS = {"founder": Operator("founder", ("mail",), ("founder@lab.test",))}
PASSWORD = "bot-password"


def replies_of(mail: MailServers) -> MailReplies:
    return MailReplies(
        "127.0.0.1",
        mail.imaps_port,
        "holdfast",
        Secret("imap"),
        "holdfast@lab.test",
        ca_file=str(mail.ca_file),
        authserv_id=mail.authserv_id,
    )


@dataclass(slots=True)
class Ear:
    """One reader after another on the same mailbox and the same store."""

    mail: MailServers
    db: Database
    book: Any
    readers: list[MailReader] = field(default_factory=list)
    put: Callable[..., object] | None = None

    def reader(self, **changed: Any) -> MailReader:
        options: dict[str, Any] = {"timeout": 5.0, "idle": 15.0, "pause": (0.05, 0.2)}
        given = {
            name: changed.pop(name)
            for name in ("timeout", "idle", "pause", "secret", "clock")
            if name in changed
        }
        channel = Channel("mail", Secret("smtp"), replace(replies_of(self.mail), **changed))
        reader = MailReader(
            channel,
            OPERATORS,
            **{
                "secret": lambda _: PASSWORD,
                "db": self.db,
                "put": self.put or self.book.put,
                "clock": lambda: int(time.time() * 1000),
                "commit": "c0ffee",
                **options,
                **given,
            },
        )
        self.readers.append(reader)
        return reader

    def replies(self) -> list[InboundReply]:
        return [msgspec.json.decode(entry.body, type=InboundReply) for entry in self.book.entries()]

    def texts(self) -> list[str]:
        return [reply.text for reply in self.replies()]


@pytest.fixture
def ear(mail: MailServers, db: Database, book: Any) -> Iterator[Ear]:
    """Readers that are stopped at the end."""
    ear = Ear(mail, db, book)
    yield ear
    for reader in ear.readers:
        reader.stop()


def answer(text: str, ref: str = "g1", sender: str = "founder@lab.test", **headers: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = f"Founder <{sender}>"
    mail["To"] = f"holdfast+{ref}@lab.test"
    mail["Subject"] = "Re: shop is down"
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(f"{text}\n\n> the card\n")
    return mail


def send(mail: MailServers, message: EmailMessage, account: str | None = "founder") -> None:
    mail.submit(account, message, str(message["To"]), "founder@lab.test")


@pytest.mark.parametrize("tls", [True, False])
def test_an_answer_by_mail_becomes_a_proven_reply(
    ear: Ear, mail: MailServers, until: Callable[..., None], tls: bool
) -> None:
    reader = ear.reader() if tls else ear.reader(tls=False, port=mail.imap_port)
    reader.start()
    until(lambda: reader.connected)

    send(mail, answer("approve 7KQ4-MX", Message_ID="<1@client.test>"))
    until(ear.replies)
    (entry,) = ear.book.entries()

    assert ear.replies() == [
        InboundReply(
            "mail",
            "founder@lab.test",
            "<1@client.test>",
            "approve 7KQ4-MX",
            "g1",
            AuthLevel.PROVEN,
            "founder",
        )
    ]
    assert (entry.kind, entry.source, entry.commit, len(entry.id)) == (
        EntryKind.REPLY,
        "mail:mail",
        "c0ffee",
        64,
    )


def test_starttls_on_the_plain_port_is_used_when_it_is_the_usual_one(
    mail: MailServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.notify.mailbox.STARTTLS_PORT", mail.imap_port)

    box = Mailbox.open(replace(replies_of(mail), port=mail.imap_port), PASSWORD, 5.0)
    socket_kind = type(box._box.client.sock)
    box.close()

    assert issubclass(socket_kind, ssl.SSLSocket)


def test_forged_senders_are_not_proven(ear: Ear, mail: MailServers, until: Callable[..., None]) -> None:
    ear.reader().start()
    claim = "mx.lab.test; auth=pass; dmarc=pass header.from=lab.test"

    send(mail, answer("stranger"), account=None)
    send(mail, answer("stranger with a claim", Authentication_Results=claim), account=None)
    foreign = claim.replace("mx.lab.test", "mx.evil.test")
    mail.deliver(
        b"Authentication-Results: " + foreign.encode() + b"\r\n" + raw("foreign server"),
        "holdfast+g1@lab.test",
    )
    mail.deliver(raw("no server at all"), "holdfast+g1@lab.test", "founder@lab.test")
    below = (
        b"Authentication-Results: mx.evil.test; none\r\nAuthentication-Results: " + claim.encode() + b"\r\n"
    )
    mail.deliver(below + raw("claim further down"), "holdfast+g1@lab.test", "founder@lab.test")
    send(mail, answer("real"))
    until(lambda: "real" in ear.texts())

    assert {reply.text: reply.auth for reply in ear.replies()} == {
        "stranger": AuthLevel.KNOWN,
        "stranger with a claim": AuthLevel.KNOWN,
        "no server at all": AuthLevel.KNOWN,
        "claim further down": AuthLevel.KNOWN,
        "real": AuthLevel.PROVEN,
    }, "the one with an empty Return-Path is a bounce"


def raw(text: str) -> bytes:
    return answer(text).as_bytes().replace(b"\n", b"\r\n")


def test_mail_of_another_account_of_the_provider_is_nobodys(
    ear: Ear, mail: MailServers, until: Callable[..., None]
) -> None:
    ear.reader().start()

    send(mail, answer("hello", sender="mallory@lab.test"))
    until(ear.replies)

    assert [(reply.auth, reply.operator) for reply in ear.replies()] == [(AuthLevel.NONE, None)]


def test_automatic_mail_is_dropped_and_not_looked_at_again(
    ear: Ear, mail: MailServers, until: Callable[..., None]
) -> None:
    reader = ear.reader()
    reader.start()
    with structlog.testing.capture_logs() as logs:
        send(mail, answer("approve 7KQ4-MX", Auto_Submitted="auto-replied", Subject2="Out of office"))
        send(mail, answer("approve 7KQ4-MX", X_Autoreply="yes"))
        send(mail, answer("deny"))
        until(ear.replies)
    reader.stop()
    again = ear.reader()
    with structlog.testing.capture_logs() as later:
        again.start()
        until(lambda: again.connected)

    assert ear.texts() == ["deny"]
    assert len([line for line in logs if line["event"] == "mail.dropped"]) == 2
    assert [line["event"] for line in later] == ["mail.listening"]


@pytest.mark.parametrize("tls", [True, False])
def test_mail_that_comes_between_the_last_look_and_idle_is_heard_at_once(
    mail: MailServers, tls: bool
) -> None:
    replies = replies_of(mail) if tls else replace(replies_of(mail), tls=False, port=mail.imap_port)
    read_end, write_end = os.pipe()
    box = Mailbox.open(replies, PASSWORD, 5.0)
    waits = []
    try:
        for number in range(5):
            seen = box.above(0)
            assert len(seen) == number
            mail.deliver(raw(f"mail {number}"), "holdfast+g1@lab.test", "founder@lab.test")
            began = time.monotonic()
            box.wait(10.0, read_end)
            waits.append(time.monotonic() - began)
            assert len(box.above(0)) == number + 1
    finally:
        box.close()
        os.close(read_end)
        os.close(write_end)

    assert max(waits) < 5.0, waits


def test_mail_that_is_announced_along_with_another_answer_is_heard_at_once(mail: MailServers) -> None:
    """IDLE does not repeat what the server has said before; imaplib only remembers it."""
    read_end, write_end = os.pipe()
    box = Mailbox.open(replies_of(mail), PASSWORD, 5.0)
    try:
        box.above(0)
        mail.deliver(raw("deny"), "holdfast+g1@lab.test", "founder@lab.test")
        box._box.client.noop()
        began = time.monotonic()
        box.wait(10.0, read_end)
        waited = time.monotonic() - began
        found = box.above(0)
    finally:
        box.close()
        os.close(read_end)
        os.close(write_end)

    assert waited < 5.0
    assert found == [1]


def test_a_wait_ends_when_it_is_woken_and_when_its_time_is_over(mail: MailServers) -> None:
    read_end, write_end = os.pipe()
    box = Mailbox.open(replies_of(mail), PASSWORD, 5.0)
    try:
        box.above(0)
        began = time.monotonic()
        box.wait(0.2, read_end)
        short = time.monotonic() - began
        os.write(write_end, b"x")
        began = time.monotonic()
        box.wait(30.0, read_end)
        woken = time.monotonic() - began
    finally:
        box.close()
        os.close(read_end)
        os.close(write_end)

    assert 0.1 < short < 10.0
    assert woken < 10.0


def test_a_server_that_dies_and_comes_back_loses_nothing_and_repeats_nothing(
    ear: Ear, mail: MailServers, until: Callable[..., None]
) -> None:
    reader = ear.reader()
    reader.start()
    until(lambda: reader.connected)
    expected: list[str] = []

    def all_heard() -> bool:
        return len(ear.texts()) == len(expected)

    for turn in range(3):
        send(mail, answer(f"before {turn}"))
        mail.stop_imap()
        until(lambda: not reader.connected)
        mail.start_imap()
        send(mail, answer(f"after {turn}"))
        expected += [f"before {turn}", f"after {turn}"]
        until(all_heard)

    assert ear.texts() == expected


def test_what_came_while_the_daemon_was_away_is_read_and_nothing_twice(
    ear: Ear, mail: MailServers, until: Callable[..., None]
) -> None:
    first = ear.reader()
    first.start()
    send(mail, answer("one"))
    until(ear.replies)
    first.stop()
    send(mail, answer("two"))
    second = ear.reader()
    second.start()
    until(lambda: len(ear.texts()) == 2)

    send(mail, answer("three"))
    until(lambda: len(ear.texts()) == 3)

    assert ear.texts() == ["one", "two", "three"]
    assert len(ear.book.arrived) == 3


def test_a_renumbered_mailbox_is_read_again_and_journalled_once(
    ear: Ear, mail: MailServers, until: Callable[..., None]
) -> None:
    reader = ear.reader()
    reader.start()
    for number in range(3):
        send(mail, answer(f"mail {number}"))
    until(lambda: len(ear.texts()) == 3)
    old = cursor(ear)

    mail.renumber("holdfast")
    send(mail, answer("mail 3"))
    until(lambda: len(ear.texts()) == 4)
    until(lambda: cursor(ear)[1] == 4)

    assert ear.texts() == [f"mail {number}" for number in range(4)]
    assert cursor(ear)[0] != old[0]


def cursor(ear: Ear) -> tuple[int, int]:
    with ear.db.read() as tx:
        found = mailboxes.cursor(tx, "mail")
    assert found is not None
    return found


def append(mail: MailServers, message: EmailMessage, age_days: float) -> None:
    """Put a mail into the mailbox with an arrival time in the past."""
    context = ssl.create_default_context(cafile=mail.ca_file)
    with imaplib.IMAP4_SSL("127.0.0.1", mail.imaps_port, ssl_context=context) as client:
        client.login("holdfast", PASSWORD)
        client.append("INBOX", "", time.time() - age_days * 86400, message.as_bytes())


def test_the_first_look_takes_the_last_days_and_leaves_old_mail_alone(
    ear: Ear, mail: MailServers, until: Callable[..., None]
) -> None:
    append(mail, answer("ancient"), LOOK_BACK / DAY + 2)
    append(mail, answer("yesterday"), 1)
    ear.reader().start()
    until(ear.replies)
    send(mail, answer("today"))
    until(lambda: "today" in ear.texts())

    assert ear.texts() == ["yesterday", "today"]


def test_mail_stays_unread_and_unchanged(ear: Ear, mail: MailServers, until: Callable[..., None]) -> None:
    ear.reader().start()
    send(mail, answer("deny"))
    until(ear.replies)
    context = ssl.create_default_context(cafile=mail.ca_file)
    with imaplib.IMAP4_SSL("127.0.0.1", mail.imaps_port, ssl_context=context) as client:
        client.login("holdfast", PASSWORD)
        client.select("INBOX", readonly=True)
        _, flags = client.fetch("1", "(FLAGS)")

    assert b"\\Seen" not in flags[0]


def test_mail_that_was_read_elsewhere_is_still_an_answer(
    ear: Ear, mail: MailServers, until: Callable[..., None]
) -> None:
    send(mail, answer("deny"))
    context = ssl.create_default_context(cafile=mail.ca_file)
    with imaplib.IMAP4_SSL("127.0.0.1", mail.imaps_port, ssl_context=context) as client:
        client.login("holdfast", PASSWORD)
        client.select("INBOX")
        client.store("1", "+FLAGS", "\\Seen")
    ear.reader().start()

    until(ear.replies)

    assert ear.texts() == ["deny"]


def test_a_huge_mail_is_not_fetched_whole_and_is_still_read(
    ear: Ear, mail: MailServers, until: Callable[..., None]
) -> None:
    message = answer("deny")
    message.add_attachment(
        os.urandom(3_000_000), maintype="application", subtype="octet-stream", filename="x.bin"
    )
    mail.deliver(message.as_bytes(), "holdfast+g1@lab.test", "founder@lab.test")
    ear.reader().start()
    until(ear.replies)
    box = Mailbox.open(replies_of(mail), PASSWORD, 5.0)
    fetched = box.fetch(1, RAW_MAX)
    gone = box.fetch(99, RAW_MAX)
    box.close()

    assert ear.texts() == ["deny"]
    assert fetched is not None
    assert len(fetched) == RAW_MAX
    assert gone is None


def test_a_certificate_that_nobody_vouches_for_is_refused(
    ear: Ear, mail: MailServers, until: Callable[..., None]
) -> None:
    send(mail, answer("deny"))
    with structlog.testing.capture_logs() as logs:
        reader = ear.reader(ca_file=None)
        reader.start()
        until(lambda: len(logs) >= 2)

    assert not reader.connected
    assert ear.texts() == []
    assert {line["event"] for line in logs} == {"mail.lost"}
    assert "certificate verify failed" in logs[0]["error"].lower()


def test_a_wrong_password_is_tried_again_and_never_logged(
    ear: Ear, mail: MailServers, until: Callable[..., None]
) -> None:
    corrected = threading.Event()

    def secret(_: Secret) -> str:
        return PASSWORD if corrected.is_set() else "c4nary-wrong"

    with structlog.testing.capture_logs() as logs:
        reader = ear.reader(secret=secret)
        reader.start()
        until(lambda: logs)
        corrected.set()
        until(lambda: reader.connected)

    assert logs[0]["event"] == "mail.lost"
    assert "AUTHENTICATIONFAILED" in logs[0]["error"]
    assert "c4nary" not in repr(logs)


def test_a_missing_password_does_not_end_the_reader(ear: Ear, until: Callable[..., None]) -> None:
    known: dict[str, str] = {}
    with structlog.testing.capture_logs() as logs:
        reader = ear.reader(secret=lambda secret: known[secret.name])
        reader.start()
        until(lambda: logs)
        known["imap"] = PASSWORD
        until(lambda: reader.connected)

    assert logs[0]["error"] == "KeyError"


def test_a_full_journal_delays_an_answer_and_does_not_lose_it(
    ear: Ear, mail: MailServers, until: Callable[..., None]
) -> None:
    reader = ear.reader()
    reader.start()
    until(lambda: reader.connected)
    ear.book.refuse = 2

    send(mail, answer("deny"))
    until(ear.replies)

    assert ear.texts() == ["deny"]


def test_a_frozen_server_is_noticed_and_left(ear: Ear, mail: MailServers, until: Callable[..., None]) -> None:
    reader = ear.reader(timeout=0.5, idle=0.5)
    reader.start()
    until(lambda: reader.connected)
    process = mail._dovecot._process
    assert process is not None
    os.killpg(process.pid, signal.SIGSTOP)
    try:
        until(lambda: not reader.connected)
    finally:
        os.killpg(process.pid, signal.SIGCONT)

    send(mail, answer("deny"))
    until(ear.replies)

    assert ear.texts() == ["deny"]


def test_a_stop_comes_at_once_even_while_it_listens(ear: Ear, until: Callable[..., None]) -> None:
    reader = ear.reader(idle=600.0)
    reader.start()
    until(lambda: reader.connected)

    began = time.monotonic()
    reader.stop()

    assert time.monotonic() - began < 5.0
    assert not [thread for thread in threading.enumerate() if thread.name == "mail-mail"]


def test_a_stop_comes_soon_even_when_the_server_is_frozen(
    ear: Ear, mail: MailServers, until: Callable[..., None]
) -> None:
    reader = ear.reader(timeout=60.0, idle=0.2)
    reader.start()
    until(lambda: reader.connected)
    process = mail._dovecot._process
    assert process is not None
    os.killpg(process.pid, signal.SIGSTOP)
    try:
        until(lambda: waits_for_the_server(reader))
        began = time.monotonic()
        reader.stop()
        took = time.monotonic() - began
    finally:
        os.killpg(process.pid, signal.SIGCONT)

    assert took < 8.0
    assert not [thread for thread in threading.enumerate() if thread.name == "mail-mail"]


def waits_for_the_server(reader: MailReader) -> bool:
    """Whether the reader's thread is in a read of its connection."""
    frame = sys._current_frames().get(reader._thread.ident or 0)
    while frame is not None and frame.f_code.co_name != "_get_response":
        frame = frame.f_back
    return frame is not None


def test_a_reader_that_was_never_started_can_be_stopped_twice(ear: Ear) -> None:
    reader = ear.reader()

    reader.stop()
    reader.stop()

    assert not reader.connected


def test_a_channel_without_replies_has_nothing_to_read(ear: Ear) -> None:
    with pytest.raises(ValueError, match="declares no `replies`"):
        MailReader(
            Channel("hook", Secret("hook")),
            OPERATORS,
            secret=str,
            db=ear.db,
            put=ear.book.put,
            clock=lambda: 0,
            commit="c",
        )


CRASHING = """
import sys, threading
from pathlib import Path
from holdfast.effects import crash_point
from holdfast.model.snapshot import Channel, MailReplies, Operator
from holdfast.model.values import Secret
from holdfast.notify.mail import MailReader
from holdfast.store import journal
from holdfast.store.database import Database
POINT = crash_point("test.notify.crash")
path, port, ca, now = sys.argv[1:]
db = Database.open(Path(path))
def put(entries):
    with db.begin(POINT) as tx:
        return journal.append(tx, entries, 1)
replies = MailReplies("127.0.0.1", int(port), "holdfast", Secret("imap"), "holdfast@lab.test", ca_file=ca)
MailReader(Channel("mail", Secret("smtp"), replies), {}, secret=lambda _: "bot-password", db=db, put=put,
           clock=lambda: int(now), commit="c0ffee").start()
threading.Event().wait(60)
"""


@pytest.mark.parametrize(
    ("point", "journalled"),
    [
        ("test.notify.crash.before", 0),
        ("test.notify.crash.after", 1),
        ("notify.mailbox.before:1", 2),
        ("notify.mailbox.after:2", 3),
    ],
)
def test_a_daemon_killed_at_any_point_journals_every_answer_exactly_once(
    mail: MailServers,
    journal_of: Any,
    tmp_path: Path,
    until: Callable[..., None],
    point: str,
    journalled: int,
) -> None:
    for text in ("one", "two"):
        send(mail, answer(text))
    path = tmp_path / "crash.db"
    now = str(int(time.time() * 1000))
    command = [sys.executable, "-c", CRASHING, str(path), str(mail.imaps_port), str(mail.ca_file), now]
    child = subprocess.Popen(command, env={**os.environ, "HOLDFAST_CRASH_AT": point})
    try:
        if point.endswith(":2"):
            until(lambda: entries_in(path, journal_of) == 2, 60.0)
            send(mail, answer("three"))
        child.wait(90)
    finally:
        child.kill()
        child.wait()
    found = entries_in(path, journal_of)

    db = Database.open(path)
    ear = Ear(mail, db, journal_of(db))
    try:
        reader = ear.reader()
        reader.start()
        send(mail, answer("last"))
        until(lambda: "last" in ear.texts())
        reader.stop()
        texts = ear.texts()
    finally:
        db.close()

    assert child.returncode == -signal.SIGKILL
    assert found == journalled
    assert texts == ["one", "two", *(["three"] if point.endswith(":2") else []), "last"]


def entries_in(path: Path, journal_of: Any) -> int:
    """How many entries stand in a store that another process may have open."""
    with contextlib.suppress(Exception):
        db = Database.open(path, lock=False)
        try:
            return len(journal_of(db).entries())
        finally:
            db.close()
    return -1


def test_a_card_is_answered_by_replying_to_it_and_nothing_secret_is_logged(
    ear: Ear, mail: MailServers, courier: Courier, until: Callable[..., None]
) -> None:
    with structlog.testing.capture_logs() as logs:
        ear.reader().start()
        url = mail.smtp_url("holdfast", "founder@lab.test")
        courier.send(
            Order("m1", url, "shop is down", "Roll back?", "holdfast+g1c4nary@lab.test", timeout=20_000)
        )
        (card,) = mail.wait_for("founder", 1)
        reply = answer("approve 7KQ4-MX")
        del reply["To"]
        reply["To"] = str(card["Reply-To"])
        send(mail, reply)
        until(ear.replies)

    assert [(one.text, one.thread_ref, one.auth) for one in ear.replies()] == [
        ("approve 7KQ4-MX", "g1c4nary", AuthLevel.PROVEN)
    ]
    assert [word for word in ("c4nary", "7KQ4", PASSWORD, "founder@lab.test") if word in repr(logs)] == []


def test_our_own_card_in_the_reply_mailbox_is_not_an_answer(
    ear: Ear, mail: MailServers, courier: Courier, until: Callable[..., None]
) -> None:
    ear.reader().start()
    url = mail.smtp_url("holdfast", "holdfast@lab.test")

    courier.send(Order("m1", url, "shop is down", "approve", "holdfast+g1@lab.test", timeout=20_000))
    mail.wait_for("holdfast", 1)
    send(mail, answer("deny"))
    until(ear.replies)

    assert ear.texts() == ["deny"]
