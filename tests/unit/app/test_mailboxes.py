"""Which mailboxes are read: those of the present config, each by one reader."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from holdfast.app.mailboxes import Mailboxes
from holdfast.model.snapshot import Channel, MailReplies, Operator, Snapshot
from holdfast.model.values import Secret
from holdfast.store.database import Database

Make = Callable[..., Snapshot]


@pytest.fixture
def closed() -> Iterator[int]:
    """A port on which nobody listens, and nobody else can begin to."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])


@pytest.fixture
def make(closed: int) -> Make:
    def build(*names: str, user: str = "holdfast", address: str = "me@lab.test") -> Snapshot:
        replies = MailReplies("127.0.0.1", closed, user, Secret("password"), "holdfast@lab.test")
        channels = {name: Channel(name, Secret("url"), replies) for name in names}
        channels["push"] = Channel("push", Secret("url"))
        return Snapshot("c1", channels=channels, operators={"me": Operator("me", (), (address,))})

    return build


@pytest.fixture
def mailboxes(database: Database) -> Iterator[Mailboxes]:
    made = Mailboxes(database, lambda _: None, lambda _: "secret")
    yield made
    made.stop()


def reading() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("mail-")}


def readers(mailboxes: Mailboxes) -> dict[str, Any]:
    return {name: reader for name, (_, reader) in mailboxes._readers.items()}


def test_each_channel_with_replies_has_a_reader(mailboxes: Mailboxes, make: Make) -> None:
    mailboxes.use(make("a", "b"))

    assert reading() == {"mail-a", "mail-b"}


def test_a_mailbox_that_cannot_be_reached_is_said(mailboxes: Mailboxes, make: Make) -> None:
    without = mailboxes.complaint()
    mailboxes.use(make("b", "a"))

    assert without is None
    assert mailboxes.complaint() == "not connected: a, b; it tries again"


def test_the_same_config_keeps_the_readers(mailboxes: Mailboxes, make: Make) -> None:
    mailboxes.use(make("a"))
    before = readers(mailboxes)
    mailboxes.use(make("a", "b"))

    assert readers(mailboxes)["a"] is before["a"]
    assert reading() == {"mail-a", "mail-b"}


@pytest.mark.parametrize("changes", [{"user": "other"}, {"address": "other@lab.test"}])
def test_a_changed_channel_or_operator_gets_a_new_reader(
    mailboxes: Mailboxes, make: Make, changes: dict[str, str]
) -> None:
    mailboxes.use(make("a"))
    before = readers(mailboxes)
    mailboxes.use(make("a", **changes))

    assert readers(mailboxes)["a"] is not before["a"]
    assert not before["a"]._thread.is_alive()


def test_a_channel_that_is_gone_is_read_no_more(mailboxes: Mailboxes, make: Make) -> None:
    mailboxes.use(make("a", "b"))
    mailboxes.use(make("b"))

    assert reading() == {"mail-b"}


def test_a_stop_ends_all_of_them(mailboxes: Mailboxes, make: Make) -> None:
    mailboxes.use(make("a", "b"))
    mailboxes.stop()

    assert reading() == set()
    assert mailboxes.complaint() is None
