"""One IMAP session on one folder, opened read-only: nothing in the mailbox is ever changed."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from datetime import UTC, datetime
from io import BufferedReader
from typing import Final, Self, cast

from imap_tools import BaseMailBox, MailBox, MailBoxStartTls, MailboxTaggedResponseError, MailBoxUnencrypted

from holdfast.errors import HoldfastError
from holdfast.model.snapshot import MailReplies
from holdfast.model.values import SECOND, Millis

STARTTLS_PORT: Final = 143
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Mailbox:
    """A session. Every method may raise what the network, TLS or the server brings; then it is over."""

    def __init__(self, box: BaseMailBox, folder: str, timeout: float) -> None:
        self._box = box
        self._timeout = timeout
        box.folder.set(folder, readonly=True)
        self.uidvalidity = self._number("UIDVALIDITY")
        #: Where the next mail will be; what is below was there when the folder was opened.
        self.uidnext = self._number("UIDNEXT")
        self._can_idle = "IDLE" in box.client.capabilities

    @classmethod
    def open(cls, replies: MailReplies, password: str, timeout: float) -> Self:
        """Connect, log in and open the folder. TLS certificates are always checked."""
        box = _connected(replies, timeout)
        try:
            if password.isascii() and replies.user.isascii():
                box.login(replies.user, password, initial_folder=None)
            else:
                box.login_utf8(replies.user, password, initial_folder=None)
            return cls(box, replies.folder, timeout)
        except BaseException:
            _shut(box)
            raise

    def close(self) -> None:
        """Leave without waiting for the server."""
        _shut(self._box)

    def abort(self) -> None:
        """Break the connection under a call that another thread waits in; that call then raises."""
        with contextlib.suppress(OSError):
            # not SSLSocket.shutdown, which takes the TLS state away from the other thread
            socket.socket.shutdown(self._box.client.sock, socket.SHUT_RDWR)

    def above(self, uid: int) -> list[int]:
        """UIDs greater than `uid`, ascending."""
        # what is announced from here on may have come too late for the answer to this search
        self._box.client.untagged_responses.pop("EXISTS", None)
        # `N:*` also returns the last mail when none is newer
        return sorted(found for found in self._uids(f"UID {uid + 1}:*") if found > uid)

    def arrived_since(self, instant: Millis) -> list[int]:
        """UIDs of what arrived on the day of `instant` or later, as the server counts days; ascending."""
        day = datetime.fromtimestamp(instant / SECOND, UTC)
        return sorted(self._uids(f"SINCE {day.day:02d}-{_MONTHS[day.month - 1]}-{day.year}"))

    def fetch(self, uid: int, limit: int) -> bytes | None:
        """The first `limit` bytes of a mail, without marking it read; None when it is gone."""
        status, data = self._box.client.uid("FETCH", str(uid), f"(UID BODY.PEEK[]<0.{limit}>)")
        if status != "OK":
            raise HoldfastError(f"the mail server refuses to show mail {uid}: {status}")
        for item in data:
            if isinstance(item, tuple) and b"BODY[]" in item[0]:
                return bytes(item[1])
        return None

    def wait(self, seconds: float, wake: int) -> None:
        """Return when something may have arrived since the last `above`, when `wake` becomes readable,
        or after a while."""
        if "EXISTS" in self._box.client.untagged_responses:
            return  # the server said so along with another answer, and IDLE would not say it again
        poller = select.poll()
        poller.register(wake, select.POLLIN)
        if not self._can_idle:
            poller.poll(seconds * SECOND)
            return
        idle = self._box.idle
        try:
            idle.start()  # type: ignore[no-untyped-call]
            arrived = self._already_heard()
        except MailboxTaggedResponseError:  # the news came before the server's go-ahead
            arrived = True
        if not arrived:
            poller.register(self._box.client.sock, select.POLLIN)
            poller.poll(seconds * SECOND)
        idle.stop()  # type: ignore[no-untyped-call]

    def _already_heard(self) -> bool:
        """Whether the server has said something that waits in a buffer, where no poll can see it."""
        client = self._box.client
        client.sock.settimeout(0)
        try:
            return bool(cast("BufferedReader", client.file).peek(1))
        except (ssl.SSLWantReadError, BlockingIOError):
            return False
        finally:
            client.sock.settimeout(self._timeout)

    def _uids(self, criteria: str) -> list[int]:
        return [int(uid) for uid in self._box.uids(criteria)]

    def _number(self, name: str) -> int:
        _, values = self._box.client.response(name)
        if not values or not values[-1]:
            raise HoldfastError(f"the mail server does not tell {name}: its mailbox cannot be followed")
        return int(values[-1])


def _connected(replies: MailReplies, timeout: float) -> BaseMailBox:
    if not replies.tls:
        return MailBoxUnencrypted(replies.host, replies.port, timeout=timeout)
    # without a context of our own, imap-tools accepts any certificate
    context = ssl.create_default_context(cafile=replies.ca_file)
    if replies.port == STARTTLS_PORT:
        return MailBoxStartTls(replies.host, replies.port, timeout=timeout, ssl_context=context)
    return MailBox(replies.host, replies.port, timeout=timeout, ssl_context=context)


def _shut(box: BaseMailBox) -> None:
    with contextlib.suppress(OSError):
        box.client.shutdown()
