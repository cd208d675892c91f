"""Takes due messages from the store, hands them to the courier, and journals what became of each.

Every channel has a lane of its own, so that one that hangs delays no other. Whether and when a
message is tried again is the pipeline's decision, which it takes when it reads the delivery.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import msgspec
import structlog

from holdfast.effects import crash_point, touch
from holdfast.errors import HoldfastError, StoreError
from holdfast.model.events import Entry
from holdfast.model.kinds import EntryKind
from holdfast.model.records import Delivery, DeliveryState, Message
from holdfast.model.snapshot import Snapshot
from holdfast.model.values import SECOND, Millis, Secret
from holdfast.notify.courier import Courier
from holdfast.notify.wire import Order
from holdfast.store import outbox as rows
from holdfast.store.database import Database

TAKE: Final = crash_point("notify.take")
SEND: Final = crash_point("notify.send")

#: How many due messages one look takes in.
_LOOK: Final = 1000
_RETRY_S: Final = 1.0

_log = structlog.get_logger(__name__)


class Outbox:
    """One thread that looks, one short-lived thread per busy channel that sends.

    `secret` and `fill` are called at the last moment; what they return goes to the courier and nowhere
    else. `put` journals entries; `reply_address` says where the answer to a message is to go.
    """

    def __init__(
        self,
        db: Database,
        put: Callable[[Sequence[Entry]], object],
        *,
        snapshot: Callable[[], Snapshot],
        secret: Callable[[Secret], str],
        fill: Callable[[Message], str],
        reply_address: Callable[[Message], str | None],
        clock: Callable[[], Millis],
        courier: Courier,
        look_every: float = 30.0,
    ) -> None:
        self._db = db
        self._put = put
        self._snapshot = snapshot
        self._secret = secret
        self._fill = fill
        self._reply_address = reply_address
        self._clock = clock
        self._courier = courier
        self._look_every = look_every
        self._changed = threading.Condition()
        self._lanes: dict[str, deque[Message]] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._held: set[str] = set()
        self._woken = False
        self._stopping = threading.Event()
        self._looker: threading.Thread | None = None

    def start(self) -> None:
        """Begin: first settle what the last run left half done, then send."""
        self._looker = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._looker.start()

    def wake(self) -> None:
        """Look now: something was committed."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def stop(self, patience: float = 3.0) -> None:
        """Take nothing more. What is being sent has `patience` seconds, then it is unconfirmed."""
        self._stopping.set()
        self.wake()
        self._courier.stop(patience)
        with self._changed:
            threads = [*self._threads.values(), *([] if self._looker is None else [self._looker])]
        for thread in threads:
            thread.join(patience)

    def _run(self) -> None:
        settled = False
        while not self._stopping.is_set():
            try:
                if not settled:
                    self._settle_left_over()
                    settled = True
                wait = self._look()
            except Exception as error:  # noqa: BLE001  whatever it is, the next look may work
                _log.error("outbox.unreadable", error=f"{type(error).__name__}: {error}")
                wait = _RETRY_S
            with self._changed:
                if not self._woken:
                    self._changed.wait(wait)
                self._woken = False

    def _settle_left_over(self) -> None:
        """Nothing was taken in this run yet: what is being sent was left by a crash."""
        with self._db.read() as tx:
            left = rows.sending(tx)
        for message in left:
            detail = "the daemon died while handing it over: the message may have arrived"
            self._report(message, Delivery(message.id, DeliveryState.UNCONFIRMED, detail))

    def _look(self) -> float:
        """Give every due message to the lane of its channel; seconds until the next look."""
        now = self._clock()
        with self._db.read() as tx:
            # what waits in a lane that hangs must not hide what is due in the others
            due = rows.due(tx, now, _LOOK + len(self._held))
            following = rows.next_due(tx)
        with self._changed:
            for message in due:
                if message.id not in self._held:
                    self._held.add(message.id)
                    self._enqueue(message)
        if following is None:
            return self._look_every
        pause = (following - now) / SECOND if following > now else _RETRY_S
        return min(pause, self._look_every)

    def _enqueue(self, message: Message) -> None:
        lane = self._lanes.get(message.channel)
        if lane is not None:
            lane.append(message)
            return
        self._lanes[message.channel] = deque([message])
        thread = threading.Thread(
            target=self._serve, args=(message.channel,), name="outbox-lane", daemon=True
        )
        self._threads[message.channel] = thread
        thread.start()

    def _serve(self, channel: str) -> None:
        while True:
            with self._changed:
                lane = self._lanes[channel]
                if not lane or self._stopping.is_set():
                    del self._lanes[channel], self._threads[channel]
                    return
                message = lane.popleft()
            try:
                self._handle(message)
            except Exception as error:  # noqa: BLE001  the row stays as it is, and a later look finds it again
                _log.error("outbox.store", message=message.id, error=f"{type(error).__name__}: {error}")
            finally:
                with self._changed:
                    self._held.discard(message.id)

    def _handle(self, message: Message) -> None:
        with self._db.begin(TAKE, derived=True) as tx:
            if not rows.take(tx, message.id, self._clock()):
                return
        if not self._on_disk(message):
            return
        taken = replace(message, attempt=message.attempt + 1)  # as `take` has just counted it
        order = self._order(taken)
        delivery = self._send(taken, order) if isinstance(order, Order) else order
        _log.info("outbox.delivery", message=taken.id, channel=taken.channel, state=str(delivery.state))
        self._report(taken, delivery)

    def _on_disk(self, message: Message) -> bool:
        """Wait until the claim is on disk, however long that takes: nobody else takes the message up any
        more. False at a stop."""
        while True:
            try:
                self._db.sync()
            except StoreError as error:
                _log.warning("outbox.unsynced", message=message.id, error=str(error))
                if self._stopping.wait(_RETRY_S):
                    return False
            else:
                return True

    def _send(self, message: Message, order: Order) -> Delivery:
        try:
            return touch(SEND, lambda: self._courier.send(order))
        except Exception as error:  # noqa: BLE001  its text may hold the secret
            what = f"handing it over failed ({type(error).__name__}): the message may have arrived"
            return Delivery(message.id, DeliveryState.UNCONFIRMED, what)

    def _order(self, message: Message) -> Order | Delivery:
        """Everything the courier needs, or the failure that says what is missing."""
        channel = self._snapshot().channels.get(message.channel)
        if channel is None:
            return _failed(message, f"channel {message.channel!r} is not declared: add it under `channels:`")
        try:
            url = self._secret(channel.url)
        except HoldfastError as error:
            return _failed(message, f"the URL of channel {message.channel!r} cannot be read: {error}")
        except Exception as error:  # noqa: BLE001  its text may hold the secret
            what = f"the URL of channel {message.channel!r} ({channel.url}) cannot be read"
            return _failed(message, f"{what} ({type(error).__name__}): put it where secrets are kept")
        try:
            body = self._fill(message)
            reply_to = self._reply_address(message)
        except Exception as error:  # noqa: BLE001  its text may hold the code
            return _failed(message, f"the reply code cannot be filled in ({type(error).__name__})")
        thread = {} if message.incident is None else {"References": f"<{message.incident}@incident.holdfast>"}
        return Order(
            id=message.id,
            url=url,
            title=message.title,
            body=body,
            reply_to=reply_to,
            headers=thread,
            severity=message.severity,
            timeout=channel.timeout,
        )

    def _report(self, message: Message, delivery: Delivery) -> None:
        """Journal the delivery, however long the journal takes; a stop leaves the row for the next start."""
        entry = Entry(
            kind=EntryKind.DELIVERY,
            source="notify",
            id=f"{message.id}/{message.attempt}",
            commit=self._snapshot().commit,
            body=msgspec.json.encode(delivery),
        )
        while True:
            try:
                self._put([entry])
            except HoldfastError as error:
                _log.warning("outbox.unjournalled", message=message.id, error=str(error))
                if self._stopping.wait(_RETRY_S):
                    return
            else:
                return


def _failed(message: Message, detail: str) -> Delivery:
    return Delivery(message.id, DeliveryState.FAILED, detail)
