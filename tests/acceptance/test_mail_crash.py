"""The daemon is killed while an answer by mail is taken in: the answer counts, and counts once."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.model.kinds import EntryKind
from holdfast.model.records import GateState, RunState
from holdfast.rehearsal.mail import MailServers, start_mail
from holdfast.store import gates, journal

if TYPE_CHECKING:
    from conftest import Process

OPERATOR = "founder"
CODE = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{2}\b")

SITE = """
format: 1
engine: native  # whose start is no entry of the journal: the second entry is the reply
listen: {host: 127.0.0.1, port: 0}
sources:
  lab: {kind: webhook, trust: high}
events:
  lab.fault: {data.n: int}
channels:
  mail:
    url: $secret.mail-url
    replies:
      imap:
        host: 127.0.0.1
        port: @IMAPS@
        user: holdfast
        password: $secret.mail-password
        ca_file: "@CA@"
      address: holdfast@lab.test
      authserv_id: mx.lab.test
operators:
  me: {channels: [mail], addresses: [founder@lab.test]}
"""


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[MailServers]:
    with start_mail(tmp_path) as servers:
        yield servers


@pytest.fixture
def asked(daemon: Process, push_target: str, mail: MailServers) -> Process:
    """A daemon that has asked by mail whether it may act, and has been stopped since."""
    site = SITE.replace("@IMAPS@", str(mail.imaps_port)).replace("@CA@", str(mail.ca_file))
    rule = daemon.lab_files()["rules/lab.yaml"].replace("mode: auto", "mode: suggest")
    daemon.lab(push_target, {"holdfast.yaml": site, "rules/lab.yaml": rule})
    daemon.secret("mail-url", mail.smtp_url("holdfast", mail.address(OPERATOR)))
    daemon.secret("mail-password", mail.accounts["holdfast"])
    assert daemon.start()
    assert daemon.post({"id": "n7", "type": "lab.fault", "data": {"n": 7}}).status_code == 202
    daemon.until(daemon.questions, "the question")
    daemon.until(lambda: card_of(mail), "the card")
    daemon.until(lambda: listening(daemon) >= 1, "the mailbox to be watched")
    daemon.until(lambda: quiet(daemon), "every delivery to be journalled")
    assert daemon.stop() == 0
    return daemon


def listening(daemon: Process) -> int:
    """How often its mailbox was opened: once in each life, and again where a session was lost."""
    return len(daemon.logged("mail.listening"))


def quiet(daemon: Process) -> bool:
    """Nothing waits to be sent, so that the next entry of the journal is what a test brings about."""
    return daemon.behind() == 0 and not daemon.look("status")["stored"]["messages"]


def card_of(mail: MailServers) -> EmailMessage | None:
    for found in mail.read(OPERATOR):
        if found["Reply-To"] and CODE.search(text(found)):
            return found
    return None


def text(mail: EmailMessage) -> str:
    body = mail.get_body(preferencelist=("plain",))
    return "" if body is None else str(body.get_content())


def reply(mail: MailServers, words: str) -> None:
    """What the operator's mail program sends: the words above, the card quoted below."""
    card = card_of(mail)
    assert card is not None
    code = CODE.search(text(card))
    assert code is not None
    answer = EmailMessage()
    answer["From"], answer["To"] = mail.address(OPERATOR), card["Reply-To"]
    answer["Subject"], answer["Message-ID"] = f"Re: {card['Subject']}", "<answer-1@lab.test>"
    quoted = "\n".join(f"> {line}" for line in text(card).splitlines())
    answer.set_content(f"{words} {code[0]}\n\n{quoted}\n")
    mail.submit(OPERATOR, answer, str(card["Reply-To"]), mail.address(OPERATOR))


def replies(daemon: Process) -> int:
    """How many answers by mail are in the journal."""
    entries = daemon.read(lambda tx: journal.after(tx, 0, 10_000))
    return sum(entry.kind is EntryKind.REPLY for entry in entries)


#: At this start the first entry of the journal is the start itself, and the second the answer. With each kill
#: goes how many answers are in the journal then, which tells whether it hit the answer.
TAKING_IN = [
    ("notify.mailbox.before", 1),
    ("notify.mailbox.after", 1),
    ("journal.append.before:2", 0),
    ("journal.append.after:2", 1),
    ("pipeline.decide.before:2", 1),
    ("pipeline.decide.after:2", 1),
]


@pytest.mark.parametrize(("crash_at", "journalled"), TAKING_IN)
def test_an_answer_by_mail_counts_exactly_once_wherever_the_daemon_is_killed(
    asked: Process, mail: MailServers, crash_at: str, journalled: int
) -> None:
    assert asked.start(crash_at=crash_at)
    asked.until(lambda: listening(asked) >= 2, "the mailbox to be watched again")
    reply(mail, "approve")
    died = asked.wait_dead()
    at_the_kill = replies(asked)
    assert asked.start()
    asked.until(lambda: asked.marks()[7], "the effect that was approved")
    asked.until(lambda: all(run.state.over for run in asked.runs()), "the run to be over")
    asked.until(lambda: listening(asked) >= 3, "the mailbox to be read to its end")
    ended = asked.stop()
    (incident,) = asked.incidents()
    (gate,) = asked.read(lambda tx: gates.of_incident(tx, incident.id))
    answers = [item for item in asked.story(incident.id) if item.kind == "answer"]

    assert (died, at_the_kill) == (-9, journalled)
    assert asked.marks() == {7: 1}
    assert replies(asked) == 1
    assert [answer.kind for answer in asked.read(lambda tx: gates.answers_of(tx, incident.id))] == [
        "accepted"
    ]
    assert (gate.state, gate.answer, gate.answered_by) == (GateState.ANSWERED, "approve", "me")
    assert len(answers) == 1
    assert [run.state for run in asked.runs()] == [RunState.VERIFIED]
    assert ended == 0


def test_an_answer_that_came_while_the_daemon_was_down_counts_once(asked: Process, mail: MailServers) -> None:
    reply(mail, "deny")
    assert asked.start()
    asked.until(lambda: all(run.state.over for run in asked.runs()), "the answer to be taken in")
    asked.kill()
    assert asked.start()
    asked.until(lambda: listening(asked) >= 3, "the mailbox to be read to its end")

    assert replies(asked) == 1
    assert [run.state for run in asked.runs()] == [RunState.DENIED]
    assert not asked.marks()


def test_a_kill_at_the_first_look_into_a_mailbox_loses_no_answer(asked: Process, mail: MailServers) -> None:
    """Without a cursor the last days are read again; the journal knows what it has had."""
    reply(mail, "deny")
    plain = sqlite3.connect(asked.state / "holdfast.db")
    with plain:
        plain.execute("DELETE FROM mailboxes")
    plain.close()
    asked.spawn(crash_at="notify.mailbox.before")
    died = asked.wait_dead()
    assert asked.start()
    asked.until(lambda: all(run.state.over for run in asked.runs()), "the answer to be decided on")
    asked.until(lambda: listening(asked) >= 2, "the mailbox to be read to its end")

    assert died == -9
    assert replies(asked) == 1
    assert [run.state for run in asked.runs()] == [RunState.DENIED]
