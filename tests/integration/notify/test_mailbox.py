"""The IMAP session against a server that says what a test wants, in the order that it wants."""

from __future__ import annotations

import base64
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from holdfast.errors import HoldfastError
from holdfast.model.snapshot import MailReplies
from holdfast.model.values import Secret
from holdfast.notify.mailbox import Mailbox

EXAMINED = [b"* 0 EXISTS", b"* OK [UIDVALIDITY 7] valid", b"* OK [UIDNEXT 5] next"]


@dataclass(slots=True)
class Script:
    """A server on a real socket: what it says before it completes each command."""

    port: int = 0
    capabilities: bytes = b"IMAP4rev1 IDLE"
    examine: list[bytes] = field(default_factory=lambda: list(EXAMINED))
    idle: list[bytes] = field(default_factory=lambda: [b"+ idling"])
    fetch: bytes = b"OK"
    heard: list[bytes] = field(default_factory=list)

    def serve(self, server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, connection.makefile("rwb", buffering=0) as stream:
            stream.write(b"* OK ready\r\n")
            tag = b""
            for line in stream:
                if b" " not in line.strip():  # DONE, or what AUTHENTICATE waits for
                    self.heard.append(line.strip())
                    stream.write(tag + b" OK done\r\n")
                    continue
                tag, _, command = line.strip().partition(b" ")
                self.heard.append(command)
                stream.write(self.answer(tag, command.upper()))

    def answer(self, tag: bytes, command: bytes) -> bytes:
        if command.startswith(b"IDLE"):
            return b"".join(line + b"\r\n" for line in self.idle)
        if command.startswith(b"CAPABILITY"):
            return b"* CAPABILITY " + self.capabilities + b"\r\n" + tag + b" OK done\r\n"
        if command.startswith(b"EXAMINE"):
            return b"".join(line + b"\r\n" for line in self.examine) + tag + b" OK [READ-ONLY]\r\n"
        if command.startswith(b"AUTHENTICATE"):
            return b"+ go on\r\n"
        if command.startswith(b"UID SEARCH"):
            return b"* SEARCH 4\r\n" + tag + b" OK done\r\n"
        if command.startswith(b"UID FETCH"):
            return tag + b" " + self.fetch + b" fetched\r\n"
        return tag + b" OK done\r\n"


@pytest.fixture
def script() -> Iterator[Script]:
    """A listening script; its thread ends when the client leaves."""
    state = Script()
    with socket.create_server(("127.0.0.1", 0)) as server:
        state.port = server.getsockname()[1]
        thread = threading.Thread(target=state.serve, args=(server,), daemon=True)
        thread.start()
        yield state
    thread.join(10)


@pytest.fixture
def wake() -> Iterator[tuple[int, int]]:
    """The two ends of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def opened(script: Script, user: str = "holdfast", password: str = "pw") -> Mailbox:
    replies = MailReplies("127.0.0.1", script.port, user, Secret("imap"), "holdfast@lab.test", tls=False)
    return Mailbox.open(replies, password, 5.0)


def seconds(box: Mailbox, wake: tuple[int, int], wait: float) -> float:
    box.above(4)
    began = time.monotonic()
    box.wait(wait, wake[0])
    return time.monotonic() - began


def test_the_folder_is_opened_read_only_and_the_last_mail_is_not_taken_for_a_new_one(script: Script) -> None:
    box = opened(script)
    above = (box.above(3), box.above(4))
    box.close()

    assert (box.uidvalidity, box.uidnext) == (7, 5)
    assert above == ([4], [])
    assert b'EXAMINE "INBOX"' in script.heard
    assert not [line for line in script.heard if line.startswith((b"SELECT", b"STORE"))]


def test_news_that_come_before_the_go_ahead_are_heard_at_once(script: Script, wake: tuple[int, int]) -> None:
    script.idle = [b"* 1 EXISTS", b"+ idling"]
    box = opened(script)

    waited = [seconds(box, wake, 30.0) for _ in range(3)]
    box.close()

    assert max(waited) < 10.0


def test_news_that_come_in_one_breath_with_the_go_ahead_are_heard_at_once(
    script: Script, wake: tuple[int, int]
) -> None:
    script.idle = [b"+ idling", b"* 1 EXISTS"]
    box = opened(script)

    waited = [seconds(box, wake, 30.0) for _ in range(3)]
    box.close()

    assert max(waited) < 10.0


def test_a_server_without_idle_is_asked_again_after_a_while(script: Script, wake: tuple[int, int]) -> None:
    script.capabilities = b"IMAP4rev1"
    box = opened(script)

    short = seconds(box, wake, 0.2)
    os.write(wake[1], b"x")
    woken = seconds(box, wake, 30.0)
    box.close()

    assert 0.1 < short < 10.0
    assert woken < 10.0
    assert b"IDLE" not in script.heard


@pytest.mark.parametrize("missing", ["UIDVALIDITY", "UIDNEXT"])
def test_a_mailbox_that_cannot_be_followed_is_refused_in_words(script: Script, missing: str) -> None:
    script.examine = [line for line in EXAMINED if missing.encode() not in line]

    with pytest.raises(HoldfastError, match=f"does not tell {missing}"):
        opened(script)


def test_a_server_that_refuses_to_show_a_mail_is_an_error_and_not_a_mail_that_is_gone(script: Script) -> None:
    script.fetch = b"NO"
    box = opened(script)

    with pytest.raises(HoldfastError, match="refuses to show mail 4"):
        box.fetch(4, 100)
    box.close()


def test_a_password_beyond_ascii_is_sent_as_utf_8(script: Script) -> None:
    box = opened(script, password="pässword")
    box.close()

    assert b"AUTHENTICATE PLAIN" in script.heard
    assert base64.b64encode("\0holdfast\0pässword".encode()) in script.heard
