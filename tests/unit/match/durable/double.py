"""The engine process, which misbehaves from one of its answers on: `python double.py MODE [AFTER]`.

It is the real one up to there. What has to be waited for is waited for in the kernel.
"""

from __future__ import annotations

import itertools
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

import msgspec

from holdfast.match.durable import child, wire
from holdfast.match.durable.wire import Ask, Fired, Load, Ready

MODE, AFTER = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0
#: A fact that holds this ends a process in the mode `poison`.
POISON = "poison"

counted = itertools.count(1)
really_send, really_fired, really_compiled = wire.send, child.fired, child.compiled
Message = Load | Ready | Ask | Fired


def frame(body: bytes, size: int | None = None) -> bytes:
    return struct.pack(">I", len(body) if size is None else size) + body


def wait_for_ever() -> NoReturn:
    signal.alarm(0)
    while True:
        signal.pause()


def die(sock: socket.socket, message: Fired) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stop(sock: socket.socket, message: Fired) -> None:
    signal.alarm(0)
    os.kill(os.getpid(), signal.SIGSTOP)


def silent(sock: socket.socket, message: Fired) -> None:
    wait_for_ever()


def slow(sock: socket.socket, message: Fired) -> None:
    select.select([], [], [], 0.6)
    really_send(sock, message)


def garbage(sock: socket.socket, message: Fired) -> None:
    sock.sendall(frame(os.urandom(300)))


def noise(sock: socket.socket, message: Fired) -> None:
    sock.sendall(b"\x00" * 7 + os.urandom(4096))


def nested(sock: socket.socket, message: Fired) -> None:
    sock.sendall(frame(b"\x81\xa1x" + b"\x91" * 100_000 + b"\x01"))


def truncated(sock: socket.socket, message: Fired) -> None:
    whole = frame(msgspec.msgpack.encode(message))
    sock.sendall(whole[: len(whole) // 2])
    os._exit(0)


def huge(sock: socket.socket, message: Fired) -> None:
    sock.sendall(frame(b"", 2**32 - 1))
    wait_for_ever()


def promised(sock: socket.socket, message: Fired) -> None:
    sock.sendall(frame(b"\x00" * 10, wire.MAX_FRAME))
    wait_for_ever()


def trickle(sock: socket.socket, message: Fired) -> None:
    signal.alarm(0)
    sock.sendall(struct.pack(">I", wire.MAX_FRAME))
    while True:
        sock.sendall(b"\x00")
        select.select([], [], [], 0.0005)


def number(sock: socket.socket, message: Fired) -> None:
    really_send(sock, replace(message, number=message.number + 1))


def fewer(sock: socket.socket, message: Fired) -> None:
    really_send(sock, replace(message, fired=message.fired[1:]))


def beyond(sock: socket.socket, message: Fired) -> None:
    really_send(sock, replace(message, fired=[[10_000] for _ in message.fired]))


def negative(sock: socket.socket, message: Fired) -> None:
    really_send(sock, replace(message, fired=[[-1] for _ in message.fired]))


def nothing(sock: socket.socket, message: Fired) -> None:
    really_send(sock, replace(message, fired=[[] for _ in message.fired]))


def everything(sock: socket.socket, message: Fired) -> None:
    really_send(sock, replace(message, fired=[[0, 1] for _ in message.fired]))


def large(sock: socket.socket, message: Fired) -> None:
    really_send(sock, replace(message, peak=message.peak + 10_000_000))


ANSWERS: dict[str, Callable[[socket.socket, Fired], None]] = {
    one.__name__: one
    for one in (
        *(die, stop, silent, slow, garbage, noise, nested, truncated, huge, promised, trickle),
        *(number, fewer, beyond, negative, nothing, everything, large),
    )
}


def send(sock: socket.socket, message: Message) -> None:
    if isinstance(message, Ready):
        if MODE == "unready":
            wait_for_ever()
        if MODE == "miscounted":
            message = Ready(message.rules + 1)
    if isinstance(message, Fired) and MODE in ANSWERS and next(counted) > AFTER:
        ANSWERS[MODE](sock, message)
        return
    really_send(sock, message)


def fired(handle: object, text: str) -> list[int]:
    if MODE == "poison" and POISON in text:
        os.kill(os.getpid(), signal.SIGKILL)
    return really_fired(handle, text)


def compiled(rulesets: list[list[tuple[str, dict[str, object]]]]) -> list[object]:
    if MODE == "starved":
        raise MemoryError
    return list(really_compiled(rulesets))


if __name__ == "__main__":
    child.send, child.fired, child.compiled = send, fired, compiled  # type: ignore[assignment]
    if MODE == "exit":
        sys.exit(7)
    child.main()
