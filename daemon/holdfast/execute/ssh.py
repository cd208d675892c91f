"""Attempts over SSH: pooled connections, one exec channel per attempt, receipts on the host."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import fabric
import paramiko

from holdfast.errors import ConnectorError, HoldfastError
from holdfast.execute import receipt, wrapper
from holdfast.execute.connector import Ending
from holdfast.execute.dial import Limits, dial, hang_up, told
from holdfast.execute.receipt import Report
from holdfast.execute.watchdog import Watchdog
from holdfast.model.actions import Host
from holdfast.model.records import AttemptOrder, OutcomeKind
from holdfast.model.values import Secret

#: Where receipts are kept, below the home directory of the user that we log in as.
STATE: Final = ".local/state/holdfast"
#: What can go wrong on a connection; a closed socket surfaces as any of these.
_TROUBLE: Final = (paramiko.SSHException, EOFError, OSError, AssertionError)


@dataclass(frozen=True, slots=True)
class _Link:
    """A connection, the boot it belongs to (no connection survives a reboot), and what it was made of."""

    host: Host
    connection: fabric.Connection
    boot: str


class SshConnector:
    """Runs steps on the hosts of the estate.

    `hosts` gives the present estate; `get_secret` the text of a private key. Receipts are kept in
    `state`, an absolute path or one below the home directory of the user.
    """

    def __init__(
        self,
        hosts: Callable[[], Mapping[str, Host]],
        get_secret: Callable[[Secret], str],
        *,
        state: str = STATE,
        limits: Limits | None = None,
    ) -> None:
        self._hosts = hosts
        self._get_secret = get_secret
        self._state = state
        self._limits = limits or Limits()
        self._watchdog = Watchdog()
        self._links: dict[str, _Link] = {}
        self._open: set[fabric.Connection] = set()
        self._lock = threading.Lock()
        self._dialling: dict[str, threading.Lock] = {}
        self._closed = False

    def boot(self, target: str) -> str:
        """The boot of the target, over a connection that is there or a new one."""
        return self._link(target).boot

    def run(self, order: AttemptOrder, boot: str) -> Ending:
        """One attempt in one round trip; see Connector."""
        nonce = wrapper.new_nonce()
        line = wrapper.command_line(wrapper.run_words(order, self._state, nonce))
        link, channel = self._channel(order.step.target)
        if link.boot != boot:
            channel.close()
            raise ConnectorError(
                f"{order.step.target} was rebooted, or lost its state directory, before the attempt began"
            )
        limit = wrapper.deadline_s(order) + self._limits.grace
        report = self._ask(link, channel, line, nonce, limit)
        if report is None:
            return Ending(OutcomeKind.UNKNOWN, detail="the connection was lost before it ended")
        refusal = receipt.started_nothing(report)
        if refusal is not None:
            self._drop(link)  # the next connection makes the state directory again, if it can
            raise ConnectorError(f"{order.step.target}: {refusal}")
        return receipt.ending(report, boot) or Ending(OutcomeKind.UNKNOWN, detail="it is running already")

    def status(self, order: AttemptOrder, boot: str) -> Ending | None:
        """What the host says about an attempt; see Connector."""
        nonce = wrapper.new_nonce()
        line = wrapper.command_line(wrapper.status_words(order, self._state, nonce))
        link, channel = self._channel(order.step.target)
        report = self._ask(link, channel, line, nonce, self._limits.answer)
        if report is None:
            raise ConnectorError(f"{order.step.target} did not answer when asked about {order.id}")
        return receipt.ending(report, boot)

    def close(self) -> None:
        """Close every connection, also those being opened; nothing can be reached any more."""
        with self._lock:
            self._closed = True
            connections = list(self._open)
            self._links.clear()
        for connection in connections:
            hang_up(connection)
        self._watchdog.close()

    def _channel(self, target: str) -> tuple[_Link, paramiko.Channel]:
        """A fresh channel; opening one is also the health check of a pooled connection."""
        for last in (False, True):
            link = self._link(target)
            try:
                return link, self._session(link.connection)
            except _TROUBLE as error:
                self._drop(link)
                if last:
                    raise ConnectorError(f"{target} gives no channel: {told(error)}") from error
        raise AssertionError

    def _link(self, target: str) -> _Link:
        host = self._hosts().get(target)
        if host is None:
            raise ConnectorError(f"{target} is not a host of the estate (it was removed from the config)")
        with self._lock:
            dialling = self._dialling.setdefault(target, threading.Lock())
        with dialling:
            link = self._links.get(target)
            if link is not None and link.host == host and link.connection.transport.is_active():
                return link
            if link is not None:
                self._drop(link)
            link = self._dial(host)
            with self._lock:
                if not self._closed:
                    self._links[target] = link
                    return link
            hang_up(link.connection)
            raise ConnectorError("the daemon is stopping")

    def _dial(self, host: Host) -> _Link:
        try:
            pem = self._get_secret(host.identity)
        except (HoldfastError, LookupError, OSError) as error:
            raise ConnectorError(
                f"the key {host.identity} for {host.name} cannot be read: {error}"
            ) from error
        connection = dial(host, pem, self._limits)
        with self._lock:
            self._open.add(connection)
        nonce = wrapper.new_nonce()
        line = wrapper.command_line(wrapper.boot_words(self._state, nonce))
        try:
            channel = self._session(connection)
            link = _Link(host, connection, "")
            boot = receipt.boot_of(self._ask(link, channel, line, nonce, self._limits.answer))
        except BaseException as error:
            self._forget(connection)
            if isinstance(error, (ConnectorError, *_TROUBLE)):
                raise ConnectorError(f"{host.name}: {told(error)}") from error
            raise
        return _Link(host, connection, boot)

    def _session(self, connection: fabric.Connection) -> paramiko.Channel:
        channel: paramiko.Channel = connection.transport.open_session(timeout=self._limits.connect)
        return channel

    def _ask(
        self, link: _Link, channel: paramiko.Channel, line: bytes, nonce: str, limit: float
    ) -> Report | None:
        """Send one line and read its answer; None when there is no whole one within `limit` seconds."""
        data = bytearray()
        with self._watchdog.limit(limit, lambda: self._drop(link)):
            try:
                channel.exec_command(line)
                until = time.monotonic() + limit
                while not receipt.is_whole(data, nonce) and len(data) < receipt.MAX_ANSWER:
                    channel.settimeout(max(0.01, until - time.monotonic()))
                    piece = channel.recv(65536)
                    if not piece:
                        break
                    data += piece
                channel.close()
            except _TROUBLE:
                self._drop(link)
        return receipt.parse(bytes(data), nonce)

    def _drop(self, link: _Link) -> None:
        """Forget a connection that is no good any more; the next call makes another one."""
        with self._lock:
            if self._links.get(link.host.name) is link:
                del self._links[link.host.name]
        self._forget(link.connection)

    def _forget(self, connection: fabric.Connection) -> None:
        with self._lock:
            self._open.discard(connection)
        hang_up(connection)
