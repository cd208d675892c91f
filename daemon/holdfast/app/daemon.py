"""Wire the rooms together, start them in order, and stop them within ten seconds."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import structlog

from holdfast import __version__
from holdfast.app import engines
from holdfast.app.clock import Clock, now, wall
from holdfast.app.identity import identity
from holdfast.app.logs import configure
from holdfast.app.mailboxes import Mailboxes
from holdfast.app.metrics import readings
from holdfast.app.ruletests import RuleTests
from holdfast.app.status import status
from holdfast.app.supervisor import Supervisor
from holdfast.app.turns import Turns
from holdfast.config.current import Current
from holdfast.config.schemas import openapi
from holdfast.config.secrets import Secrets
from holdfast.config.watch import Watcher
from holdfast.errors import ConfigError, HoldfastError
from holdfast.execute.hands import Hands
from holdfast.execute.local import LocalConnector
from holdfast.execute.ssh import SshConnector
from holdfast.gate import token
from holdfast.gate.card import fill
from holdfast.gate.wording import CODE_PLACEHOLDER
from holdfast.journal import Journal, Pace
from holdfast.model.actions import Connector
from holdfast.model.events import ConfigSwap, Entry, Start
from holdfast.model.kinds import EntryKind
from holdfast.model.records import Message
from holdfast.model.snapshot import Snapshot
from holdfast.model.values import Json
from holdfast.notify.address import with_ref
from holdfast.notify.courier import Courier
from holdfast.notify.outbox import Outbox
from holdfast.pipeline.road import Pipeline
from holdfast.redact import Redactor
from holdfast.ruletest import sent
from holdfast.sense.http_probe import Prober
from holdfast.store import gates, journal
from holdfast.store.database import BALLAST_BYTES, Database, Due, Dues
from holdfast.web.control import ControlDoors, control_app
from holdfast.web.ingest import IngestDoors, ingest_app
from holdfast.web.serve import Served, serve_tcp, serve_unix

STOP_FILE: Final = "stop"
SOCKET: Final = "control.sock"
DATABASE: Final = "holdfast.db"
#: Seconds that a running attempt has to end when the daemon goes down; its receipt stays on the host.
PATIENCE: Final = 5.0
#: The pipeline counts as stuck when it has not moved for this many seconds while entries wait.
STUCK_AFTER: Final = 60.0
#: For so many seconds the redactor may not know a secret that was just put in its place.
REREAD_SECRETS: Final = 2.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line decides. `listen` overrides the config's host and port."""

    config: Path
    state: Path
    listen: tuple[str, int] | None = None


class Daemon:
    """The whole daemon, from the snapshot to the sockets."""

    def __init__(self, settings: Settings) -> None:
        """Open everything that can fail before anything is promised. Raises HoldfastError."""
        self.settings = settings
        self.supervisor = Supervisor()
        state = settings.state
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        self.secrets = Secrets([Path(credentials)] if credentials else [], state / "secrets")
        self._redactor, self._redactor_until = Redactor(), 0.0
        self.rule_tests = RuleTests(settings.config)
        self.current = Current(settings.config, self.rule_tests.prove, starting=True)
        self.database = Database.open(state / DATABASE, ballast=BALLAST_BYTES)
        with self.database.read() as tx:
            now.not_before(journal.last_received(tx))
        self.identity = identity(self.database, state)
        configure(self._redact, human=sys.stderr.isatty())
        self.complaint: str | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The config that decides right now."""
        return self.pipeline.snapshot

    async def run(self) -> int:
        """Start, serve until SIGTERM or SIGINT, stop; the exit code."""
        loop = asyncio.get_running_loop()
        self.stopping = asyncio.Event()
        self.turns = Turns(loop)
        self._one_reload = asyncio.Lock()
        self._reloading: set[asyncio.Task[None]] = set()
        self._build()
        async with contextlib.AsyncExitStack() as up:
            try:
                await self._start(up, loop)
            except HoldfastError as error:
                log.error("daemon.cannot_start", why=str(error))  # noqa: TRY400 - foreseen: no traceback
                print(f"holdfast: {error}", file=sys.stderr)  # noqa: T201 - the door is not up yet
                return 1
            if not self.current.proven:
                self._reload_soon()  # it decides already; what its tests say is said when they have run
            await self._watch_over()
            self.supervisor.stopping()
        log.info("daemon.stopped")
        return 0

    def _build(self) -> None:
        self.journal = Journal(self.database, now, on_commit=lambda _: self.pipeline.wake(), pace=Pace())
        self.pipeline = Pipeline(
            self.database,
            engines.load(self.current.snapshot, self.journal.append),
            self.identity,
            decided=self._decided,
            tail=self.journal.take,
        )
        put = self.journal.put
        self.clock = Clock(self.database, put, self.settings.state / STOP_FILE)
        self.hands = Hands(
            self.database,
            put,
            {
                Connector.SSH: SshConnector(lambda: self.snapshot.hosts, self.secrets.get),
                Connector.LOCAL: LocalConnector(self.settings.state / "attempts"),
            },
            now,
            redact=self._redact,
            commit=lambda: self.snapshot.commit,
            may_start=lambda: not (self.settings.state / STOP_FILE).exists(),
        )
        self.outbox = Outbox(
            self.database,
            put,
            snapshot=lambda: self.snapshot,
            secret=self.secrets.get,
            fill=self._filled,
            reply_address=self._reply_address,
            clock=now,
            courier=Courier(),
        )
        self.mailboxes = Mailboxes(self.database, put, self.secrets.get)
        self.prober = Prober(self.current.snapshot, self.journal.append, now)

    async def _start(self, up: contextlib.AsyncExitStack, loop: asyncio.AbstractEventLoop) -> None:
        """Whatever was started is stopped, whatever happens in between: first what hears the config
        change, then all that talks to the world, then the road."""
        up.callback(self.database.close)
        self.journal.start()
        up.callback(self.journal.stop)
        up.callback(self.pipeline.close)
        await asyncio.to_thread(self.pipeline.engine.start, engines.PATIENCE)
        self.pipeline.engine.announce()
        self.pipeline.start()
        up.callback(self.pipeline.stop, PATIENCE)
        start = msgspec.json.encode(Start(_boot_id(), __version__))
        commit = self.current.snapshot.commit
        (ack,) = self.journal.put([Entry(EntryKind.START, "app", f"start-{now()}", commit, start)])
        self.pipeline.wake()
        # the start decides what of the last life may still be begun: nothing acts before that
        await self.turns.come(ack.seq)
        self.clock.start()
        up.callback(self.clock.stop, PATIENCE)
        stops: list[Callable[[], Awaitable[object]]] = []
        up.push_async_callback(_all_at_once, stops)
        self.hands.start()
        stops.append(lambda: asyncio.to_thread(self.hands.stop, PATIENCE))
        self.outbox.start()
        stops.append(lambda: asyncio.to_thread(self.outbox.stop))
        self.mailboxes.use(self.current.snapshot)
        stops.append(lambda: asyncio.to_thread(self.mailboxes.stop))
        self.prober.start()
        stops.append(lambda: asyncio.to_thread(self.prober.stop))
        self.served = await self._serve()
        stops.append(self.served.stop)
        control = await serve_unix(control_app(self._control_doors()), self.settings.state / SOCKET)
        stops.append(control.stop)
        watcher = Watcher(self.settings.config, lambda: loop.call_soon_threadsafe(self._reload_soon))
        watcher.start()
        up.callback(watcher.stop)
        up.callback(self.rule_tests.stop)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon)
        gc.freeze()  # what is here now stays, and takes a twentieth of a second to look through
        self._say_hello()

    async def _serve(self) -> Served:
        listen = self.current.snapshot.listen
        host, port = self.settings.listen or (listen.host, listen.port)
        doors = IngestDoors(
            snapshot=lambda: self.snapshot,
            secret=self.secrets.get,
            append=self.journal.append_async,
            clock=wall,  # what senders sign is their own wall clock
            ready=self.checks,
            readings=lambda: readings(self),
            openapi=openapi(),
        )
        self._ingest = ingest_app(doors)
        return await serve_tcp(self._ingest, host, port)

    def complaints(self) -> Mapping[tuple[str, str], int]:
        """How many requests were refused since the start, by source and kind."""
        return self._ingest.complaints.counts

    def _control_doors(self) -> ControlDoors:
        return ControlDoors(
            snapshot=lambda: self.snapshot,
            append=self._append_by_command,
            clock=now,
            handled=self._handled,
            reload=self.reload,
            status=lambda: status(self),
        )

    def _append_by_command(self, entries: Sequence[Entry]) -> Awaitable[list]:  # type: ignore[type-arg]
        """What the operator does by command; releasing the kill switch also takes the file away."""
        if any(entry.kind is EntryKind.SWITCH and b'"stopped":false' in entry.body for entry in entries):
            (self.settings.state / STOP_FILE).unlink(missing_ok=True)
        return self.journal.append_async(entries)

    async def _handled(self, seq: int) -> Json:
        await self.turns.come(seq)
        with self.database.read() as tx:
            answer = gates.recorded(tx, seq)
        return {"seq": seq} if answer is None else msgspec.to_builtins(answer)

    def _reload_soon(self) -> None:
        task = asyncio.ensure_future(self._reload_quietly())
        self._reloading.add(task)
        task.add_done_callback(self._reloading.discard)

    async def _reload_quietly(self) -> None:
        try:
            await self.reload()
        except HoldfastError:
            return  # it was logged where it was refused
        except Exception as error:
            log.exception("config.reload_failed")
            self.complaint = f"the config could not be loaded again ({error}): this is a defect, see the log"
            self.supervisor.ready(f"config {self.snapshot.commit[:12]} stays")

    async def reload(self) -> Json:
        """Load the config again and let it take over; the last good one stays otherwise."""
        # one after the other: an older config that was read slowly must not take over from a newer one
        async with self._one_reload:
            self.supervisor.reloading()
            before = self.snapshot.commit
            try:
                snapshot = await asyncio.to_thread(self.current.reload)
                if snapshot.commit != before:
                    await self._take_over(snapshot)
            except HoldfastError as error:
                self.complaint = str(error)
                problems = len(error.problems) if isinstance(error, ConfigError) else 1
                log.error("config.refused", problems=problems, first=self.complaint.partition("\n")[0])  # noqa: TRY400
                self.supervisor.ready(f"config refused, {self.snapshot.commit[:12]} stays")
                raise
            self.complaint = None
            self.supervisor.ready(f"config {snapshot.commit[:12]}")
            return {"commit": snapshot.commit, "previous": before, "changed": snapshot.commit != before}

    async def _take_over(self, snapshot: Snapshot) -> None:
        before = self.snapshot
        loaded = engines.load(snapshot, self.journal.append)
        # the new engine passes its smoke facts, and sees what the tests send, while the old one goes on
        await asyncio.to_thread(loaded.engine.start, engines.PATIENCE)
        await asyncio.to_thread(loaded.engine.match, sent(snapshot))
        self.pipeline.offer(loaded)
        body = msgspec.json.encode(ConfigSwap(snapshot.commit, before.commit))
        entry = Entry(EntryKind.CONFIG, "config", f"{snapshot.commit}-{now()}", snapshot.commit, body)
        try:
            (ack,) = await self.journal.append_async([entry])
        except HoldfastError:
            self.pipeline.withdraw(snapshot.commit)
            raise
        await self.turns.come(ack.seq)
        self.prober.replace(snapshot)
        # a mailbox that hangs is let go of slowly, and meanwhile events are heard
        await asyncio.to_thread(self.mailboxes.use, snapshot)

    async def _watch_over(self) -> None:
        """Tell systemd that we live, as long as the pipeline moves."""
        beat = self.supervisor.beat or 5.0
        last, since = self.pipeline.cursor, now()
        while not self.stopping.is_set():
            moving = self.pipeline.cursor != last or self.pipeline.idle
            last, since = self.pipeline.cursor, now() if moving else since
            if now() - since < STUCK_AFTER * 1000:
                self.supervisor.alive()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(beat):
                    await self.stopping.wait()

    def checks(self) -> dict[str, str]:
        """What has to be well for the daemon to be ready: a name each, with `ok` or what is wrong."""
        return {
            "pipeline": "ok" if self.pipeline.failed is None else self.pipeline.failed,
            "config": "ok"
            if self.complaint is None
            else "the newest config was refused; the last good one stays",
            "mail": self.mailboxes.complaint() or "ok",
        }

    def _decided(self, cursor: int, due: Dues) -> None:
        # who acts comes first
        if Due.ATTEMPTS in due:
            self.hands.wake(due[Due.ATTEMPTS])
        if Due.MESSAGES in due:
            self.outbox.wake()
        if Due.TIMERS in due:
            self.clock.wake()
        self.journal.decided(cursor)
        self.turns.moved(cursor)

    def _filled(self, message: Message) -> str:
        if message.gate is None or CODE_PLACEHOLDER not in message.body:
            return message.body
        return fill(message.body, token.code_for(self.identity.gate_key, message.gate, message.operator))

    def _reply_address(self, message: Message) -> str | None:
        channel = self.snapshot.channels.get(message.channel)
        if message.gate is None or channel is None or channel.replies is None:
            return None
        return with_ref(channel.replies.address, token.thread_ref(self.identity.gate_key, message.gate))

    def _redact(self, text: str) -> str:
        # secrets are files that may change: read them again now and then, not for every line
        if time.monotonic() > self._redactor_until:
            self._redactor.learn(self.secrets.all_known())
            self._redactor_until = time.monotonic() + REREAD_SECRETS
        return self._redactor.text(text)

    def _say_hello(self) -> None:
        snapshot = self.current.snapshot
        open_sources = [
            name
            for name, source in snapshot.sources.items()
            if source.kind == "webhook" and source.secret is None
        ]
        if open_sources:
            log.warning("sources.loopback_only", sources=open_sources, why="they declare no secret")
        log.info(
            "daemon.ready",
            version=__version__,
            commit=snapshot.commit,
            listen=self.served.address,
            rules=len(snapshot.rules),
        )
        self.supervisor.ready(
            f"{len(snapshot.rules)} rules at {snapshot.commit[:12]}, listening on {self.served.address}"
        )


async def _all_at_once(stops: Sequence[Callable[[], Awaitable[object]]]) -> None:
    """Together they take as long as the slowest, however many of them hang."""
    for result in await asyncio.gather(*(stop() for stop in stops), return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
