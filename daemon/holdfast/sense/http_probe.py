"""`kind: http-probe`: ask URLs on a steady schedule; whatever comes of it is an event."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

import httpx
import msgspec
import structlog

from holdfast.errors import HoldfastError
from holdfast.model.events import Entry, Event, Provenance
from holdfast.model.kinds import EntryKind
from holdfast.model.snapshot import Snapshot, Source, SourceKind
from holdfast.model.values import SECOND, Millis, Severity
from holdfast.sense.draft import HTTP_PROBE
from holdfast.sense.http_look import Look, client, look

#: The first probes after a start are spread over this span, so that they do not come all at once.
SPREAD: Final[Millis] = 2 * SECOND
AT_ONCE: Final = 32
STOP_WITHIN: Final = 5.0

_log: Final = structlog.get_logger()


def first_delay(source: Source) -> Millis:
    """When the first probe of a source follows its start: soon, and each at its own moment."""
    return zlib.crc32(source.name.encode()) % max(1, min(source.every, SPREAD))


def probe_entry(
    source: Source, commit: str, seen: Look, *, planned: Millis, asked: Millis, now: Millis
) -> Entry:
    """The journal entry of one look; its id tells the source and the time that was planned."""
    bad = min(source.severity, source.max_severity, key=lambda item: item.rank)
    event = Event(
        id=f"{source.name}-{planned}",
        source=source.name,
        type=source.type or HTTP_PROBE,
        time=asked,
        received=now,
        severity=Severity.INFO if seen.ok else bad,
        subject=source.name,
        provenance=Provenance("probe", source.trust, commit),
        service=source.service,
        host=source.host,
        data=seen.data(),
    )
    return Entry(EntryKind.EVENT, source.name, event.id, commit, msgspec.json.encode(event))


@dataclass(slots=True)
class _Watch:
    """One source on its schedule. `last` is the highest time that an id was made of."""

    source: Source
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    last: Millis = 0
    task: asyncio.Task[None] | None = None


class Prober:
    """One schedule for all http-probe sources, on a thread of its own.

    `put` takes the entries and returns at once (`Journal.append` fits); what it raises is logged,
    and the next probe is made all the same. A source is never probed twice at the same time; a
    beat that is missed because a probe took long is left out, and the cadence stays.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        put: Callable[[Sequence[Entry]], object],
        clock: Callable[[], Millis],
    ) -> None:
        self._snapshot = snapshot
        self._put = put
        self._clock = clock
        self._watches: dict[str, _Watch] = {}
        self._started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._run, name="http-probes", daemon=True)
        self._client: httpx.AsyncClient
        self._slots: asyncio.Semaphore
        self._stopping: asyncio.Event

    def start(self) -> None:
        """Begin to probe; returns when the schedule stands, or raises why it cannot."""
        self._thread.start()
        self._started.result()

    def stop(self) -> None:
        """End the schedule; probes under way are given up and leave no entry."""
        self._call(self._end)
        if self._thread.ident is not None:
            self._thread.join(STOP_WITHIN)  # longer only where the system's resolver hangs

    def replace(self, snapshot: Snapshot) -> None:
        """Go on with another snapshot; a source that did not change keeps its cadence."""
        self._snapshot = snapshot
        self._call(lambda: self._take(snapshot))

    def probe_now(self, names: Iterable[str]) -> None:
        """Probe these sources at once; one that is being probed is probed again right after."""
        wanted = tuple(names)
        self._call(lambda: self._wake(wanted))

    def _call(self, act: Callable[[], object]) -> None:
        if self._thread.ident is None or self._started.exception() is not None:
            return
        with contextlib.suppress(RuntimeError):  # a loop that has ended has nothing to be told
            self._started.result().call_soon_threadsafe(act)

    def _wake(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._watches:
                self._watches[name].wake.set()

    def _end(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception as error:  # noqa: BLE001 - the end of a thread is told to whoever waits, or logged
            if not self._started.done():
                self._started.set_exception(error)
            else:
                _log.exception("http probes have ended: restart the daemon")

    async def _main(self) -> None:
        self._stopping = asyncio.Event()
        self._slots = asyncio.Semaphore(AT_ONCE)
        async with client() as self._client:
            self._take(self._snapshot)
            self._started.set_result(asyncio.get_running_loop())
            await self._stopping.wait()
            tasks = [self._drop(name) for name in list(self._watches)]
            await asyncio.gather(*filter(None, tasks), return_exceptions=True)

    def _take(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        wanted = {name: s for name, s in snapshot.sources.items() if s.kind is SourceKind.HTTP_PROBE}
        for name, watch in list(self._watches.items()):
            if watch.source != wanted.get(name):
                self._drop(name)
        for name, source in wanted.items():
            if name not in self._watches:
                watch = self._watches[name] = _Watch(source)
                watch.task = asyncio.create_task(self._keep(watch))

    def _drop(self, name: str) -> asyncio.Task[None] | None:
        task = self._watches.pop(name).task
        if task is not None:
            task.cancel()
        return task

    async def _keep(self, watch: _Watch) -> None:
        """Probe at every beat, counted from the start, so that nothing drifts."""
        loop = asyncio.get_running_loop()
        born, begun = loop.time(), self._clock()
        delay, every = first_delay(watch.source), watch.source.every
        beat = 0
        while True:
            planned = delay + beat * every
            asked = await _wait(watch.wake, born + planned / SECOND - loop.time())
            if asked:
                planned = round((loop.time() - born) * SECOND)
            await self._probe(watch, begun + planned)
            passed = ((loop.time() - born) * SECOND - delay) / every
            beat = max(beat if asked else beat + 1, math.floor(passed) + 1)

    async def _probe(self, watch: _Watch, planned: Millis) -> None:
        watch.last = max(planned, watch.last + 1)
        async with self._slots:
            asked = self._clock()
            seen = await look(self._client, watch.source)
        entry = probe_entry(
            watch.source, self._snapshot.commit, seen, planned=watch.last, asked=asked, now=self._clock()
        )
        try:
            self._put([entry])
        except HoldfastError as error:
            _log.warning("a probe's result is lost", source=watch.source.name, why=str(error))
        except Exception:  # noqa: BLE001 - one lost result must not end the schedule
            _log.exception("a probe's result is lost", source=watch.source.name)


async def _wait(wake: asyncio.Event, seconds: float) -> bool:
    """Wait that long, or until somebody asks for a probe; whether somebody asked."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, seconds)):
            await wake.wait()
    asked = wake.is_set()
    wake.clear()
    return asked
