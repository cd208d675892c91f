"""Is everything there that the daemon needs? Each check says what it found and what to do."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from holdfast.cli.door import Place
from holdfast.cli.words import count
from holdfast.errors import ConfigError, HoldfastError
from holdfast.model.snapshot import EngineKind, Snapshot, SourceKind
from holdfast.model.values import Secret

#: With less room than this on the disk of the state directory, trouble is near.
ROOM: Final = 512 * 1024 * 1024
#: Where systemd shows the credentials of the running service.
CREDENTIALS: Final = Path("/run/credentials/holdfast.service")


class Level(StrEnum):
    """How a check ended; only `bad` makes the doctor fail."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found, and what to do where it is not well."""

    name: str
    level: Level
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """Every check; `well` when none is bad."""

    well: bool
    findings: tuple[Finding, ...]


def health(findings: Iterable[Finding]) -> Health:
    """All findings together."""
    kept = tuple(findings)
    return Health(all(item.level is not Level.BAD for item in kept), kept)


def state_directory(where: Place) -> Iterator[Finding]:
    """Is it there, private, writable, and is there room?"""
    path = where.state
    if not path.is_dir():
        yield Finding(
            "state", Level.NOTE, f"{path} does not exist yet", "The daemon makes it at its first start."
        )
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        yield Finding(
            "state", Level.BAD, f"others can look into {path} (mode {mode:04o})", f"chmod 750 {path}"
        )
    elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(
            "state",
            Level.BAD,
            f"{path} cannot be written by you",
            "Run this as root or as the daemon's user.",
        )
    else:
        yield Finding("state", Level.GOOD, f"{path} is private and writable")
    free = shutil.disk_usage(path).free
    if free < ROOM:
        yield Finding("disk", Level.BAD, f"only {free // 2**20} MB are free below {path}", "Free some space.")
    else:
        yield Finding("disk", Level.GOOD, f"{free // 2**20} MB are free")


def config(where: Place, load: Callable[[], Snapshot]) -> tuple[Finding, Snapshot | None]:
    """Is the config valid? The snapshot, if it is."""
    try:
        loaded = load()
    except ConfigError as error:
        first = str(error.problems[0]) if error.problems else "it cannot be read"
        text = f"{count(len(error.problems), 'problem')}, the first: {first}"
        return Finding("config", Level.BAD, text, f"holdfast check {where.config}"), None
    except HoldfastError as error:
        return Finding("config", Level.BAD, str(error), f"holdfast check {where.config}"), None
    return Finding("config", Level.GOOD, f"{count(len(loaded.rules), 'rule')} at {loaded.commit}"), loaded


def database(where: Place, look: Callable[[], int]) -> Finding:
    """Can the database be read? `look` gives the number of journal entries."""
    if not where.database.exists():
        return Finding("database", Level.NOTE, "there is none yet", "The daemon makes it at its first start.")
    try:
        entries = look()
    except HoldfastError as error:
        return Finding("database", Level.BAD, str(error))
    return Finding("database", Level.GOOD, count(entries, "journal entry", "journal entries"))


def daemon(ask: Callable[[], object]) -> Finding:
    """Does it answer?"""
    try:
        ask()
    except HoldfastError as error:
        return Finding("daemon", Level.NOTE, str(error))
    return Finding("daemon", Level.GOOD, "it answers")


def engine(snapshot: Snapshot, start: Callable[[], object]) -> Finding:
    """Does the engine process start with these rules, and answer right?"""
    if snapshot.engine is EngineKind.NATIVE:
        return Finding("engine", Level.NOTE, "the config asks for native matching")
    try:
        start()
    except HoldfastError as error:
        fix = "Until then rules are matched natively: nothing is lost. docs/engine.md tells more."
        return Finding("engine", Level.BAD, f"it does not work: {error}", fix)
    return Finding("engine", Level.GOOD, "durable_rules starts with these rules and answers right")


def secrets(snapshot: Snapshot, get: Callable[[Secret], str]) -> Iterator[Finding]:
    """Is each secret there that the config names, and is it private?"""
    for name, used_by in sorted(_secrets(snapshot).items()):
        users = ", ".join(used_by[:3]) + (", …" if len(used_by) > 3 else "")
        try:
            get(Secret(name))
        except HoldfastError as error:
            yield Finding(f"secret {name}", Level.BAD, f"needed by {users}", str(error))
        else:
            yield Finding(f"secret {name}", Level.GOOD, f"is there, for {users}")


def estate(snapshot: Snapshot) -> Iterator[Finding]:
    """Are host keys pinned, can somebody be asked, and does every source prove itself?"""
    for host in snapshot.hosts.values():
        if _pinned(host.host_key):
            yield Finding(f"host {host.name}", Level.GOOD, "its key is pinned")
        else:
            fix = f"ssh-keyscan -p {host.port} {host.address} prints it; compare it with the one on the host"
            yield Finding(f"host {host.name}", Level.BAD, "its key is not pinned", fix)
    reachable = [name for name, operator in snapshot.operators.items() if operator.channels]
    if reachable:
        yield Finding("operators", Level.GOOD, f"{', '.join(reachable)} can be asked")
    else:
        yield Finding(
            "operators",
            Level.BAD,
            "nobody can be asked",
            "Declare an operator with a channel in holdfast.yaml.",
        )
    for source in snapshot.sources.values():
        if source.kind is SourceKind.WEBHOOK and source.secret is None:
            yield Finding(
                f"source {source.name}",
                Level.NOTE,
                "has no secret, so it is heard from this machine only",
                "Add `verify:` to the source if others are to send.",
            )


def ssh(snapshot: Snapshot, reach: Callable[[str], object]) -> Iterator[Finding]:
    """Can each host be logged in to? `reach` raises a HoldfastError that says why not."""
    for name in snapshot.hosts:
        try:
            reach(name)
        except HoldfastError as error:
            yield Finding(f"ssh {name}", Level.BAD, str(error))
        else:
            yield Finding(f"ssh {name}", Level.GOOD, "logged in")


def secret_directories() -> list[Path]:
    """Where systemd puts credentials: of this process, or of the running service."""
    named = os.environ.get("CREDENTIALS_DIRECTORY")
    return [Path(named)] if named else [path for path in (CREDENTIALS,) if os.access(path, os.R_OK | os.X_OK)]


def _secrets(snapshot: Snapshot) -> dict[str, list[str]]:
    """Each secret by name, with who needs it."""
    found: dict[str, list[str]] = {}
    for host in snapshot.hosts.values():
        found.setdefault(host.identity.name, []).append(f"host {host.name}")
    for source in snapshot.sources.values():
        if source.secret is not None:
            found.setdefault(source.secret.name, []).append(f"source {source.name}")
    for channel in snapshot.channels.values():
        found.setdefault(channel.url.name, []).append(f"channel {channel.name}")
        if channel.replies is not None:
            found.setdefault(channel.replies.password.name, []).append(f"replies of {channel.name}")
    return found


def _pinned(key: str) -> bool:
    kind, _, rest = key.strip().partition(" ")
    return kind.startswith(("ssh-", "ecdsa-", "sk-")) and len(rest.split(" ")[0]) >= 32
