"""One reader for every channel that can be answered by mail; a new config starts and ends readers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.app.clock import now
from holdfast.model.events import Entry
from holdfast.model.snapshot import Channel, Operator, Snapshot
from holdfast.model.values import Secret
from holdfast.notify.mail import MailReader
from holdfast.store.database import Database

_Wanted = tuple[Channel, dict[str, Operator]]


class Mailboxes:
    """The readers that the present config asks for."""

    def __init__(
        self, database: Database, put: Callable[[Sequence[Entry]], object], secret: Callable[[Secret], str]
    ) -> None:
        self._db = database
        self._put = put
        self._secret = secret
        self._readers: dict[str, tuple[_Wanted, MailReader]] = {}

    def use(self, snapshot: Snapshot) -> None:
        """Read the mailboxes of this config; a reader that did not change goes on."""
        operators = dict(snapshot.operators)
        wanted = {
            name: (channel, operators) for name, channel in snapshot.channels.items() if channel.replies
        }
        for name in list(self._readers):
            if wanted.get(name) != self._readers[name][0]:
                self._readers.pop(name)[1].stop()
        for name, (channel, known) in wanted.items():
            if name not in self._readers:
                reader = MailReader(
                    channel,
                    known,
                    secret=self._secret,
                    db=self._db,
                    put=self._put,
                    clock=now,
                    commit=snapshot.commit,
                )
                reader.start()
                self._readers[name] = ((channel, known), reader)

    def complaint(self) -> str | None:
        """Which mailboxes cannot be read right now, in words; None when all can."""
        lost = sorted(name for name, (_, reader) in self._readers.items() if not reader.connected)
        return f"not connected: {', '.join(lost)}; it tries again" if lost else None

    def stop(self) -> None:
        """End all readers."""
        for _, reader in self._readers.values():
            reader.stop()
        self._readers.clear()
