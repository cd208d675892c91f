"""One SSH connection through Fabric, with everything explicit: nothing is read from the user's files."""

from __future__ import annotations

import base64
import binascii
import contextlib
import io
import socket
from dataclasses import dataclass
from typing import Final

import fabric
import paramiko

from holdfast.errors import ConnectorError
from holdfast.model.actions import Host

_KEEPALIVE_S: Final = 15
_KEY_TYPES: Final = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that each part of a conversation may take.

    `grace` comes on top of a deadline: TERM, two seconds, KILL, two more at worst, and the way back.
    """

    connect: float = 10.0
    answer: float = 15.0
    grace: float = 16.0


class _Refuse(paramiko.MissingHostKeyPolicy):
    """Fabric's own policy would take any key."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        del client, hostname
        raise ConnectorError(_key_refused(self.host, key, "has no host key in the estate"))


def dial(host: Host, pem: str, limits: Limits) -> fabric.Connection:
    """An authenticated connection to exactly that host. Raises ConnectorError that says what to do."""
    private, pinned = _private_key(host, pem), _pinned_key(host)
    sock = _socket(host, limits)
    connection: fabric.Connection = fabric.Connection(
        host.address,
        user=host.user,
        port=host.port,
        config=fabric.Config(lazy=True, overrides={"load_ssh_configs": False}),
        forward_agent=False,
        connect_timeout=limits.connect,
        connect_kwargs={
            "sock": sock,
            "pkey": private,
            "allow_agent": False,
            "look_for_keys": False,
            "banner_timeout": limits.connect,
            "auth_timeout": limits.connect,
            "channel_timeout": limits.connect,
        },
    )
    connection.client.set_missing_host_key_policy(_Refuse(host))
    if pinned is not None:
        name = host.address if host.port == 22 else f"[{host.address}]:{host.port}"
        connection.client.get_host_keys().add(name, pinned.get_name(), pinned)
    try:
        connection.open()
    except BaseException as error:
        connection.client.close()
        sock.close()
        _explain(host, error)
        raise
    connection.transport.set_keepalive(_KEEPALIVE_S)
    return connection


def told(error: BaseException) -> str:
    """What an error of a library says; some say nothing but their name."""
    return str(error) or type(error).__name__


def hang_up(connection: fabric.Connection) -> None:
    """End a connection from any thread, at once, also when the peer is frozen."""
    transport = connection.transport
    if transport is not None:
        with contextlib.suppress(OSError):
            transport.sock.shutdown(socket.SHUT_RDWR)
        transport.close()
    connection.client.close()


def _socket(host: Host, limits: Limits) -> socket.socket:
    try:
        sock = socket.create_connection((host.address, host.port), limits.connect)
    except OSError as error:
        raise ConnectorError(
            f"{host.name} ({host.address} port {host.port}) cannot be reached: {error}; is it up, "
            "and is its address in the estate right?"
        ) from error
    # without it every command waits 40 ms for a delayed acknowledgement
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return sock


def _private_key(host: Host, pem: str) -> paramiko.PKey:
    for kind in _KEY_TYPES:
        with contextlib.suppress(paramiko.SSHException, ValueError, IndexError):
            return kind.from_private_key(io.StringIO(pem))
    raise ConnectorError(
        f"{host.identity} is not a private key that can be used for {host.name}: it has to be the whole "
        "file that `ssh-keygen -t ed25519 -N ''` writes, without a passphrase"
    )


def _pinned_key(host: Host) -> paramiko.PKey | None:
    words = host.host_key.split()
    if not words:
        return None
    try:
        return paramiko.PKey.from_type_string(words[0], base64.b64decode(words[1], validate=True))
    except (
        IndexError,
        binascii.Error,
        paramiko.SSHException,
        paramiko.pkey.UnknownKeyType,
        ValueError,
    ) as error:
        raise ConnectorError(
            f"the host_key of {host.name} is not one: write the type and the base64 text of a line that "
            f"`ssh-keyscan -p {host.port} {host.address}` prints"
        ) from error


def _explain(host: Host, error: BaseException) -> None:
    """Raise the ConnectorError that an error of the library stands for; return when it is none of those."""
    where = f"{host.name} ({host.user}@{host.address} port {host.port})"
    if isinstance(error, paramiko.BadHostKeyException):
        why = "shows another host key than the one in the estate"
        raise ConnectorError(_key_refused(host, error.key, why)) from error
    if isinstance(error, paramiko.AuthenticationException):
        raise ConnectorError(
            f"{where} does not take the key {host.identity}: add its public half to "
            f"~{host.user}/.ssh/authorized_keys there"
        ) from error
    if isinstance(error, (paramiko.SSHException, EOFError, OSError)):
        raise ConnectorError(f"{where} does not speak SSH with us: {told(error)}") from error


def _key_refused(host: Host, key: paramiko.PKey, why: str) -> str:
    return (
        f"{host.name} ({host.address} port {host.port}) {why}, so nothing was sent to it. If you have "
        "checked on the machine itself that this is its key, put it into the estate: "
        f'host_key: "{key.get_name()} {key.get_base64()}"'
    )
