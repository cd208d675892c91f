"""What every command shares: where things are, how answers are printed, and which exit code a failure has."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from holdfast.cli.words import escaped, inert, line
from holdfast.errors import ConfigError, DaemonUnreachable, HoldfastError, InputError, StoreError
from holdfast.model.values import Millis

if TYPE_CHECKING:
    from rich.console import RenderableType

    from holdfast.model.snapshot import Snapshot
    from holdfast.store.database import Tx

OK, FAILED, BAD_INPUT, NOT_FOUND, NO_DAEMON, REFUSED = range(6)
#: What each exit code means, for the reference.
EXIT_CODES: Final = {
    OK: "it worked",
    FAILED: "it failed",
    BAD_INPUT: "bad input, bad usage or a bad config",
    NOT_FOUND: "there is no such thing",
    NO_DAEMON: "no daemon answers",
    REFUSED: "the daemon refused, or did not accept the answer",
}

CONFIG: Final = Path("/etc/holdfast/config")
STATE: Final = Path("/var/lib/holdfast")
SITE: Final = "holdfast.yaml"
#: Output that is not read on a terminal is never wrapped.
_UNWRAPPED: Final = 4000

Config = Annotated[
    Path | None, typer.Option("--config", metavar="DIR", help="The config repository.", show_default=False)
]
State = Annotated[
    Path | None, typer.Option("--state", metavar="DIR", help="The state directory.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else on stdout.")]


class NotFound(HoldfastError):
    """There is no such thing."""


class Refused(HoldfastError):
    """The daemon understood, and did not do it."""


class ConfigRefused(InputError):
    """The daemon keeps the config that it has; `problems` are those of the new one."""

    def __init__(self, message: str, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the config and the state of one daemon are; `named` when somebody said which config."""

    config: Path = CONFIG
    state: Path = STATE
    named: bool = False

    @property
    def database(self) -> Path:
        """The one database file."""
        return self.state / "holdfast.db"

    @property
    def socket(self) -> Path:
        """The control socket of the daemon."""
        return self.state / "control.sock"


@dataclass(frozen=True, slots=True)
class Command:
    """One command as it is offered.

    `prints` names what its JSON is made of, as `module:dataclass`, so that nothing has to be imported to
    offer the command; with several, the arguments decide. A command that prints no JSON names none.
    """

    name: str
    run: Callable[..., None]
    group: str
    prints: tuple[str, ...]
    examples: tuple[str, ...]
    exits: tuple[int, ...] = (OK, FAILED, BAD_INPUT)
    hidden: bool = False


def place(ctx: typer.Context, config: Path | None = None, state: Path | None = None) -> Place:
    """Where things are: what stands after the command wins over what stands before it."""
    found = ctx.find_root().obj
    known = found if isinstance(found, Place) else Place()
    return Place(config or known.config, state or known.state, config is not None or known.named)


def here(where: Place, directory: Path | None) -> Place:
    """The config that was named; else the directory that one stands in, where that is one."""
    standing = Path() if not where.named and Path(SITE).is_file() else where.config
    return Place(directory or standing, where.state, named=True)


def now() -> Millis:
    """The wall clock; only what a person sees depends on it."""
    return time.time_ns() // 1_000_000


def snapshot(where: Place) -> Snapshot:
    """The config as it is now, from a directory or a bare repository. Raises ConfigError."""
    from holdfast.config.current import Current

    return Current(where.config).snapshot


@contextlib.contextmanager
def reading(where: Place) -> Iterator[Tx]:
    """A read-only look into the store, whether the daemon runs or not. Raises StoreError."""
    # imported here: SQLAlchemy costs more time than many commands take
    from holdfast.store.database import Database

    try:
        database = Database.open(where.database, lock=False)
    except OSError as error:
        raise StoreError(
            f"cannot look into {where.state} ({error.strerror}): run this as root or as the daemon's user"
        ) from error
    try:
        with database.read() as tx:
            yield tx
    finally:
        database.close()


def show(view: object, text: Iterable[RenderableType], *, as_json: bool) -> None:
    """Print one answer: JSON, or text that is only made when it is wanted."""
    if as_json:
        import msgspec

        _write(escaped(msgspec.json.format(msgspec.json.encode(view), indent=2)) + "\n")
    else:
        say(*text)


def say(*parts: RenderableType) -> None:
    """Print text: coloured and wrapped on a terminal, else one line each and plain."""
    from rich.console import Console

    width, coloured = _terminal()
    page = io.StringIO()
    console = Console(
        file=page, width=width, force_terminal=coloured, no_color=not coloured, markup=False, emoji=False,
        highlight=False, legacy_windows=False,
    )  # fmt: skip
    for part in parts:
        console.print(line(part) if isinstance(part, str) else part)
    rows = page.getvalue().splitlines()
    # every part was cleaned when it was made; without colours nothing is left that a terminal obeys
    _write("".join(f"{(row if coloured else inert(row)).rstrip()}\n" for row in rows))


def complain(error: HoldfastError) -> int:
    """Say on stderr what went wrong, a line for each problem; returns the exit code."""
    told: list[object] = [] if isinstance(error, ConfigError) else [error]
    if isinstance(error, ConfigError | ConfigRefused):
        told.extend(error.problems)
    for problem in told:
        sys.stderr.write(f"holdfast: {line(str(problem), 2000)}\n")
    return code_of(error)


def code_of(error: HoldfastError) -> int:
    """The exit code that an error stands for."""
    match error:
        case ConfigError() | InputError():
            return BAD_INPUT
        case NotFound():
            return NOT_FOUND
        case DaemonUnreachable():
            return NO_DAEMON
        case Refused():
            return REFUSED
        case _:
            return FAILED


def default_state() -> Path:
    """The state directory that the environment names, or the usual one."""
    named = os.environ.get("HOLDFAST_STATE") or os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(named) if named else STATE


def interactive() -> bool:
    """Whether a person sits at both ends, so that a question can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _terminal() -> tuple[int, bool]:
    if not sys.stdout.isatty():
        return _UNWRAPPED, False
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") in {None, "", "dumb"}
    return shutil.get_terminal_size().columns, not plain


def _write(text: str) -> None:
    stream: Any = sys.stdout
    stream.write(text)
    stream.flush()
