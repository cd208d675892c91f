"""Minds the attempts on the daemon's own machine: one process for all of them, and a command costs one more.

The wrapper needs five processes for an attempt and a millisecond for each. This does the same for the usual
case and leaves the same files (`wrapper.sh` says which), so that the wrapper can tell what became of it. What
is out of the ordinary it declines, with nothing started: then the wrapper makes the attempt.

It is run as a script that imports nothing but the standard library:

    python -I -S minder.py STATE_DIR SHELL    (with a SEQPACKET socket as its standard input)

A message is NONCE, ATTEMPT, DEADLINE_S and the words of the command, a NUL byte between them, with the file
to answer on. It outlives the daemon, and ends once nobody can order any more and nothing is left to mind.

It cannot write down who leads (the file `leader`) before there is somebody, so the file is made empty first:
if this process dies in between, whoever asks looks for the command by HOLDFAST_ATTEMPT in its environment.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Final

_HEAD: Final = 48 * 1024
_TAIL: Final = 16 * 1024
#: A pipe takes this much; an answer that is longer needs a bigger one.
_PIPE: Final = 64 * 1024
_MOST: Final = 256 * 1024
#: How long an output that a process left behind holds open is waited for.
_SETTLE_S: Final = 2.0
#: The attempts of the past are counted once in so many.
_PRUNE_EACH: Final = 100
_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
_NOTHING: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_IGNORED: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
#: What python or we ignore, or who started the daemon in the background did, and a command must not.
_DEFAULTS: Final = (*_IGNORED, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ)


class Minder:
    """The loop: orders come in, outputs and ends of commands are heard, deadlines pass."""

    def __init__(self, state: str, shell: str, control: socket.socket) -> None:
        self.state = os.fsencode(state)
        self.boot = _read(os.environ.get("HOLDFAST_BOOT_ID_FILE") or _BOOT_ID).partition("\n")[0].strip()
        self.me = f"{os.getpid()} {started(os.getpid())}"
        self.minded: set[Attempt] = set()
        self._text = _read(__file__.removesuffix("minder.py") + "wrapper.sh")
        self._shell = os.fsencode(shell)
        self._env = dict(os.environb)
        self._control: socket.socket | None = control
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._poll = select.epoll()
        self._heard: dict[int, Callable[[], object]] = {}
        self._made = 0

    def mind(self) -> None:
        """Until nobody orders any more and nothing is left."""
        if self._control is not None:
            self.hear(self._control.fileno(), self._order)
            self._control.send(b"ready")
        while self._control is not None or self.minded:
            due = [attempt.due for attempt in self.minded if attempt.due is not None]
            ready = self._poll.poll(max(0.0, min(due) - time.monotonic()) if due else None)
            for number, act in [(number, self._heard[number]) for number, _ in ready]:
                if self._heard.get(number) is act:  # not closed meanwhile, nor its number given to another
                    act()
            for attempt in list(self.minded) if due else ():
                attempt.look_at_the_clock()

    def hear(self, number: int, act: Callable[[], object]) -> None:
        """Call `act` whenever there is something to read."""
        self._heard[number] = act
        self._poll.register(number, select.EPOLLIN)

    def deaf(self, number: int) -> None:
        """Close a file that was heard."""
        del self._heard[number]
        self._poll.unregister(number)
        os.close(number)

    def spawn(self, argv: tuple[bytes, ...], attempt: bytes = b"", output: int | None = None) -> int:
        """Start a program in a session of its own. Raises OSError when it cannot be started."""
        out = self._null if output is None else output
        copies = ((self._null, 0), (out, 1), (out, 2))
        return os.posix_spawnp(
            argv[0],
            argv,
            {**self._env, b"HOLDFAST_ATTEMPT": attempt + b"@"} if attempt else self._env,
            file_actions=[(os.POSIX_SPAWN_DUP2, *copy) for copy in copies],
            setsid=True,
            setsigdef=_DEFAULTS,
        )

    def wrapper(self, verb: bytes, *words: bytes, then: Callable[[int], object]) -> None:
        """Let the wrapper do what is seldom done; `then` is given its exit code."""
        argv = (self._shell, b"-c", self._text.encode(), b"holdfast", verb, b"-", self.state, *words)
        self.wait(self.spawn(argv), lambda pid: then(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))

    def wait(self, pid: int, then: Callable[[int], object]) -> None:
        """Call `then` when a process of ours has ended; reaping it is its affair."""
        watch = os.pidfd_open(pid)

        def end() -> None:
            self.deaf(watch)
            then(pid)

        self.hear(watch, end)

    def retire(self) -> None:
        """Take no more orders: a supervisor that is gone is the only sign that a receipt will not come."""
        if self._control is not None:
            self.deaf(self._control.detach())
            self._control = None

    def count(self) -> None:
        """One more has left its files."""
        self._made += 1
        if self._made % _PRUNE_EACH == 0:
            with contextlib.suppress(OSError):
                self.wrapper(b"prune", then=lambda _: None)

    def _order(self) -> None:
        if self._control is None:
            return
        data, control, _, _ = self._control.recvmsg(_MOST, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
        if not data:
            self.retire()
            return
        nonce, name, deadline, *argv = data.split(b"\0")
        answer = int.from_bytes(control[0][2], sys.byteorder)
        Attempt(self, nonce.decode(), name, answer).start(int(deadline), tuple(argv))


class Attempt:
    """One command: claimed, started, listened to, ended, and its receipt written."""

    def __init__(self, minder: Minder, nonce: str, name: bytes, answer: int) -> None:
        self.due: float | None = None
        self._minder = minder
        self._nonce = nonce
        self._name = name
        self._answer = answer
        self._base = minder.state + b"/attempts/" + name
        self._begun = ""
        self._pid = 0
        self._pipe: int | None = None
        self._file: int | None = None
        self._head, self._tail = bytearray(), bytearray()
        self._code: int | None = None
        self._ended = self._ending = self._full = self._over = False
        self._killed = self._held = self._left = 0

    def start(self, deadline: int, argv: tuple[bytes, ...]) -> None:
        """Claim it and start it, or decline."""
        try:
            self._begun = uptime()
            claim = _create(self._base + b"@claim", os.O_EXCL)
        except OSError:
            self._decline()
            return
        try:
            _fill(claim, f"{self._minder.boot}\n{self._minder.me}\n{self._begun}\n")
            leader = _create(self._base + b"@leader")
            try:
                self._spawn(argv)
            except OSError:
                os.close(leader)
                raise
        except OSError:
            for part in (b"@leader", b"@claim"):
                with contextlib.suppress(OSError):
                    os.unlink(self._base + part)  # noqa: PTH108 - pathlib costs half of our start
            self._decline()
            return
        with contextlib.suppress(OSError):
            _fill(leader, f"{self._pid} {started(self._pid)}\n")
        self.due = time.monotonic() + deadline
        self._minder.minded.add(self)
        self._minder.wait(self._pid, self._end)

    def look_at_the_clock(self) -> None:
        """The deadline may have passed, or the patience with an output that is held open."""
        if self.due is None or time.monotonic() < self.due:
            return
        self.due = None
        if self._ended:
            self._held = 1
            self._settle()
            return
        self._killed, self._ending = 1, True
        try:
            self._minder.wrapper(b"end", self._name, b"%d" % self._pid, then=self._stopped)
        except OSError:
            os.killpg(self._pid, signal.SIGKILL)
            self._stopped(0)

    def _spawn(self, argv: tuple[bytes, ...]) -> None:
        pipe, output = os.pipe()
        try:
            try:
                self._pid = self._minder.spawn(argv, self._base, output)
            except OSError:
                # no such program, or a script that names none: a shell knows what to do, or what to say
                shell = (b"/bin/sh", b"-c", b'exec "$@"', b"sh", *argv)
                self._pid = self._minder.spawn(shell, self._base, output)
        except OSError:
            os.close(pipe)
            raise
        finally:
            os.close(output)
        self._pipe = pipe
        self._minder.hear(pipe, self._listen)

    def _decline(self) -> None:
        self._say(_answer(self._nonce, "declined", self._minder.boot))

    def _listen(self) -> None:
        if self._pipe is None:
            return
        piece = os.read(self._pipe, _PIPE)
        if piece:
            self._keep(piece)
            return
        self._minder.deaf(self._pipe)
        self._pipe = None
        if self._over:
            self._minder.minded.discard(self)
        else:
            self._settle()

    def _keep(self, piece: bytes) -> None:
        """The head goes into its file at once, the tail waits for the end; the rest is dropped."""
        if self._over or self._full:
            return
        room = _HEAD - len(self._head)
        head = piece[:room]
        if head:
            try:
                if self._file is None:
                    self._file = _create(self._base + b"@head")
                written = os.write(self._file, head)
            except OSError:
                written = 0
            self._full = written < len(head)
            self._head += head[:written]
        if not self._full:
            self._tail += piece[room:]
            del self._tail[:-_TAIL]

    def _end(self, _: int) -> None:
        self._ended, self.due = True, None
        self._settle()

    def _stopped(self, code: int) -> None:
        """The group was killed at its deadline, or what is left of it cannot be."""
        self._left, self._ending = int(code == 1), False
        self._settle()

    def _settle(self) -> None:
        """Finish, unless something is still to come."""
        if not self._ended or self._ending or self._over:
            return  # not reaped before it is killed: its number stays its own
        if self._code is None:
            code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
            self._code = code if code >= 0 else 128 - code
        if self._pipe is not None and not self._held:
            self.due = self.due or time.monotonic() + _SETTLE_S
            return
        self.due = None
        self._over = True
        self._finish()
        if self._pipe is None:
            self._minder.minded.discard(self)

    def _finish(self) -> None:
        if self._file is not None:
            os.close(self._file)
        if self._held:
            self._tail.clear()
        body = bytes(self._head + self._tail)
        fields = (
            f"boot={self._minder.boot}\nbegun={self._begun}\nended={uptime()}\nexit={self._code}\n"
            f"killed={self._killed}\nskipped=0\nheld={self._held}\nleft={self._left}\nsha256={digest(body)}\n"
        )
        try:
            if self._tail:
                _fill(_create(self._base + b"@tail"), bytes(self._tail))
            _fill(_create(self._base + b"@receipt"), fields + "done\n")
        except OSError:
            self._minder.retire()
            os.close(self._answer)
            return
        self._say(_answer(self._nonce, "ended", self._minder.boot, fields, body))
        self._minder.count()

    def _say(self, text: bytes) -> None:
        """Answer, if anybody still listens; never wait for it."""
        with contextlib.suppress(OSError):
            if len(text) > _PIPE:
                fcntl.fcntl(self._answer, fcntl.F_SETPIPE_SZ, 2 * _PIPE)
            os.write(self._answer, text)
        os.close(self._answer)


def uptime() -> str:
    """Seconds since the boot, in hundredths like the kernel's own."""
    hundredths = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 10_000_000
    return f"{hundredths // 100}.{hundredths % 100:02}"


def started(pid: int) -> str:
    """When a process started, in the kernel's ticks: with its number it names it for good."""
    return _read(f"/proc/{pid}/stat").rpartition(") ")[2].split()[19]


def digest(body: bytes) -> str:
    """The SHA-256 of an output."""
    if not body:
        return _NOTHING
    # imported here: it costs more than all the rest, and many commands are silent
    import hashlib  # noqa: PLC0415

    return hashlib.sha256(body).hexdigest()


def _answer(nonce: str, state: str, here: str, fields: str = "", body: bytes = b"") -> bytes:
    head = f"holdfast {nonce}\nstate={state}\nhere={here}\nnow={uptime()}\n{fields}\n"
    return head.encode() + body + f"\nholdfast {nonce} end\n".encode()


def _read(path: str) -> str:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, 65536).decode("ascii", "replace")
    finally:
        os.close(file)


def _create(path: bytes, more: int = os.O_TRUNC) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | more, 0o666)


def _fill(file: int, text: str | bytes) -> None:
    """Write all of it and close. Raises OSError when it does not fit."""
    data = text.encode() if isinstance(text, str) else text
    try:
        if os.write(file, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(file)


def main(state: str, shell: str) -> None:
    """Mind what comes in on standard input."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)  # noqa: TID251 - a process of its own
    os.close(os.pidfd_open(os.getpid()))  # a kernel without it is found out before anything is promised
    Minder(state, shell, socket.socket(fileno=0)).mind()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
