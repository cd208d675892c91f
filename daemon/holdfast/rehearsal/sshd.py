"""A real sshd of its own on a free loopback port: own keys, public keys only, ended with all its sessions."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from holdfast.errors import HoldfastError

_START_S: Final = 15.0
_STOP_S: Final = 5.0
_TRIES: Final = 5

_SSHD_CONFIG: Final = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {dir}/host_key
AuthorizedKeysFile {dir}/authorized_keys
PidFile none
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
UseDNS no
StrictModes no
PrintMotd no
MaxStartups 100
MaxSessions 100
LogLevel VERBOSE
"""
#: Only newer versions know it; without it, a test that fails to log in would lock out the next one.
_PENALTIES: Final = "PerSourcePenalties no\n"


@dataclass(frozen=True, slots=True)
class Sshd:
    """A running sshd. `host_key_line` is what belongs into the estate as `host_key`."""

    host: str
    port: int
    user: str
    host_key_line: str
    client_key_path: Path
    pid: int
    directory: Path

    def sessions(self) -> list[int]:
        """The processes that serve connections right now, and whatever still runs below them."""
        return _descendants(self.pid)

    def log(self) -> str:
        """What it logged so far."""
        return (self.directory / "sshd.log").read_text(encoding="utf-8", errors="replace")


@contextlib.contextmanager
def start_sshd(directory: Path, *, extra: Sequence[str] = (), port: int | None = None) -> Iterator[Sshd]:
    """Start an sshd that keeps all it needs in `directory`; the user is whoever runs this.

    `extra` are more lines for its configuration; keys that are there already are kept. Raises
    HoldfastError with the end of its log when it does not start.
    """
    program = _program()
    for name in ("host_key", "client_key"):
        _make_key(directory / name)
    shutil.copyfile(directory / "client_key.pub", directory / "authorized_keys")
    if os.geteuid() == 0:  # Debian makes it at boot; sshd as root refuses to start without it
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    process, chosen = _start(program, directory, extra, port)
    words = (directory / "host_key.pub").read_text(encoding="ascii").split()
    user = pwd.getpwuid(os.geteuid()).pw_name
    key_line = " ".join(words[:2])
    try:
        yield Sshd("127.0.0.1", chosen, user, key_line, directory / "client_key", process.pid, directory)
    finally:
        _stop(process)


def _start(
    program: str, directory: Path, extra: Sequence[str], port: int | None
) -> tuple[subprocess.Popen[bytes], int]:
    for left in reversed(range(1 if port else _TRIES)):  # somebody else may take the port before sshd does
        chosen = port or _free_port()
        _configure(program, directory, extra, chosen)
        with (directory / "sshd.log").open("ab") as log:
            process = subprocess.Popen(
                [program, "-D", "-e", "-f", str(directory / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            if _answers(process, chosen):
                return process, chosen
        except BaseException:  # Ctrl-C too: it leads a session of its own and would not hear of it
            _stop(process)
            raise
        _stop(process)
        if not left:
            break
    log_end = (directory / "sshd.log").read_text(encoding="utf-8", errors="replace")[-600:]
    raise HoldfastError(f"sshd does not start: {log_end or 'it said nothing'}")


def _configure(program: str, directory: Path, extra: Sequence[str], port: int) -> None:
    text = _SSHD_CONFIG.format(dir=directory, port=port) + "".join(f"{line}\n" for line in extra)
    complaint = _try_config(program, directory / "sshd_config", text + _PENALTIES)
    if complaint:
        complaint = _try_config(program, directory / "sshd_config", text)
    if complaint:
        raise HoldfastError(f"sshd does not take its configuration: {complaint}")


def _try_config(program: str, path: Path, text: str) -> str:
    """What sshd has against it; empty for nothing."""
    path.write_text(text, encoding="utf-8")
    check = [program, "-t", "-f", str(path)]
    done = subprocess.run(check, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.stderr.strip() or "no reason given" if done.returncode else ""


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether it listens before it ends or the time is over."""
    deadline = time.monotonic() + _START_S
    pause = threading.Event()
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
            return sock.recv(4) == b"SSH-" and process.poll() is None
        pause.wait(0.01)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the listener and its sessions: each of those leads a process group of its own."""
    everybody = [process.pid, *_descendants(process.pid)]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in everybody:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGCONT)  # a frozen one would not hear it
                os.kill(pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
        everybody = [pid for pid in everybody if pid != process.pid and Path(f"/proc/{pid}").exists()]
    process.wait()


def _descendants(pid: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                parents[int(entry.name)] = int(stat.rpartition(") ")[2].split()[1])
    found: list[int] = []
    wanted = {pid}
    while wanted:
        wanted = {child for child, parent in parents.items() if parent in wanted and child not in found}
        found += sorted(wanted)
    return found


def _make_key(path: Path) -> None:
    if not path.exists():
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rehearsal", "-f", str(path)],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )


def _program() -> str:
    """Where sshd is. A user's PATH on Debian does not have the system programs."""
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    found = shutil.which("sshd", path=places)
    if found is None:
        raise HoldfastError("sshd is missing: apt-get install --no-install-recommends openssh-server")
    return found  # with its whole path: sshd starts itself again for every connection


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
