"""Listens to the mailbox of one channel and journals every reply once, whatever breaks in between."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from holdfast.effects import crash_point
from holdfast.model.events import Entry
from holdfast.model.kinds import EntryKind
from holdfast.model.snapshot import Channel, MailReplies, Operator
from holdfast.model.values import DAY, Millis, Secret
from holdfast.notify.inbound import RAW_MAX, Dropped, entry_id, read
from holdfast.notify.mailbox import Mailbox
from holdfast.redact import Redactor
from holdfast.store import mailboxes
from holdfast.store.database import Database

MAILBOX: Final = crash_point("notify.mailbox")

#: How far the first look, and the one after the server renumbered its mails, goes back. The journal
#: knows what it has had before.
LOOK_BACK: Final[Millis] = 7 * DAY
_STOP_S: Final = 1.5

_log = structlog.get_logger(__name__)


class MailReader:
    """One thread on one mailbox. The cursor moves only after a reply is on disk; \\Seen plays no part.

    Seconds: `timeout` of each exchange with the server, `idle` until it is asked even in silence, `pause`
    between two tries to connect (first, longest).
    """

    def __init__(
        self,
        channel: Channel,
        operators: Mapping[str, Operator],
        *,
        secret: Callable[[Secret], str],
        db: Database,
        put: Callable[[Sequence[Entry]], object],
        clock: Callable[[], Millis],
        commit: str,
        timeout: float = 10.0,
        idle: float = 20.0,
        pause: tuple[float, float] = (1.0, 60.0),
    ) -> None:
        if channel.replies is None:
            raise ValueError(f"channel {channel.name!r} declares no `replies`: there is no mailbox to read")
        self._channel = channel.name
        self._replies: MailReplies = channel.replies
        self._operators = operators
        self._secret = secret
        self._db = db
        self._put = put
        self._clock = clock
        self._commit = commit
        self._timeout = timeout
        self._idle = idle
        self._pause = pause
        self._stopping = threading.Event()
        self._connected = threading.Event()
        self._box: Mailbox | None = None
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name=f"mail-{channel.name}", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether the mailbox is being listened to at this moment."""
        return self._connected.is_set()

    def start(self) -> None:
        """Begin to listen; a server that is away is tried again and again."""
        self._thread.start()

    def stop(self) -> None:
        """End; what was not journalled is read again at the next start."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        os.write(self._wake_write, b"x")
        if self._thread.ident is not None:
            self._thread.join(_STOP_S)
        if self._thread.is_alive() and self._box is not None:
            self._box.abort()  # the server does not answer
            self._thread.join(_STOP_S)
        if not self._thread.is_alive():
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _run(self) -> None:
        first, longest = self._pause
        pause = first
        while not self._stopping.is_set():
            try:
                self._session()
            except Exception as error:  # noqa: BLE001  a reader that died in silence would lose every later reply
                if self._connected.is_set():
                    pause = first
                _log.warning("mail.lost", channel=self._channel, error=self._told(error), again_in_s=pause)
            self._connected.clear()
            self._box = None
            self._stopping.wait(pause)
            pause = min(pause * 2, longest)

    def _session(self) -> None:
        box = Mailbox.open(self._replies, self._secret(self._replies.password), self._timeout)
        self._box = box
        try:
            last = self._catch_up(box)
            self._connected.set()
            _log.info("mail.listening", channel=self._channel)
            while not self._stopping.is_set():
                for uid in box.above(last):
                    if self._stopping.is_set():
                        return
                    self._take_in(box, uid)
                    last = uid
                box.wait(self._idle, self._wake_read)
        finally:
            box.close()

    def _catch_up(self, box: Mailbox) -> int:
        """The last UID that is done with; before the first look, and when the numbers mean nothing any
        more, everything of the last days is read again."""
        with self._db.read() as tx:
            cursor = mailboxes.cursor(tx, self._channel)
        if cursor is not None and cursor[0] == box.uidvalidity:
            return cursor[1]
        for uid in box.arrived_since(self._clock() - LOOK_BACK):
            if uid < box.uidnext:
                self._take_in(box, uid, keep=False)
        self._advance(box.uidvalidity, box.uidnext - 1)
        return box.uidnext - 1

    def _take_in(self, box: Mailbox, uid: int, *, keep: bool = True) -> None:
        raw = box.fetch(uid, RAW_MAX)
        if raw is not None:
            self._journal(raw)
        if keep:
            self._advance(box.uidvalidity, uid)

    def _journal(self, raw: bytes) -> None:
        reply = read(raw, channel=self._channel, replies=self._replies, operators=self._operators)
        if isinstance(reply, Dropped):
            _log.info("mail.dropped", channel=self._channel, reason=reply.reason)
            return
        entry = Entry(
            kind=EntryKind.REPLY,
            source=f"mail:{self._channel}",
            id=entry_id(raw),
            commit=self._commit,
            body=msgspec.json.encode(reply),
        )
        self._put([entry])
        _log.info("mail.reply", channel=self._channel, auth=str(reply.auth), operator=reply.operator)

    def _advance(self, uidvalidity: int, uid: int) -> None:
        with self._db.begin(MAILBOX) as tx:
            mailboxes.advance(tx, self._channel, uidvalidity, uid)

    def _told(self, error: Exception) -> str:
        """The error in words, without the password, should a server repeat it."""
        try:
            password = self._secret(self._replies.password)
        except Exception:  # noqa: BLE001  then it cannot be in the text either
            return type(error).__name__
        return Redactor([password]).text(f"{type(error).__name__}: {error}")[:300]
