"""Setting up: a config repository to begin with, a look at its problems, and a look at the machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from holdfast.cli.door import (
    BAD_INPUT,
    FAILED,
    OK,
    SITE,
    AsJson,
    Command,
    Config,
    Place,
    State,
    here,
    place,
    reading,
    say,
    show,
    snapshot,
)
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from holdfast.cli.doctor import Finding

GROUP: Final = "Set up"


@dataclass(frozen=True, slots=True)
class Initialised:
    """What `init` wrote, and what to do next."""

    directory: str | None
    files: tuple[str, ...]
    server: str | None
    next: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProblemLine:
    """One thing that is wrong; lines and columns count from 1."""

    file: str
    line: int
    column: int
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Invalid:
    """Why a config is not valid: every problem of every file."""

    valid: bool
    problems: tuple[ProblemLine, ...]


def init(
    ctx: typer.Context,
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", show_default=False, help="New or empty; else --config.")
    ] = None,
    server: Annotated[
        Path | None,
        typer.Option("--server", metavar="DIR", help="Also make a bare repository that checks every push."),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write a small working config repository.

    It has a rule, its actions and its policies; the addresses are yours to fill in. With --server,
    `git push` to the bare repository changes the running rules, and a push that is not valid is
    refused with the same messages that `holdfast check` prints. With --server and no DIR only the
    bare repository is made.
    """
    from holdfast.config.starter import init as write

    target = directory if server is not None else directory or place(ctx, config).config
    written = () if target is None else tuple(str(path) for path in write(target))
    if server is not None:
        from holdfast.config.git import make_server

        make_server(server, [sys.executable, "-m", "holdfast"])
    view = Initialised(
        None if target is None else str(target),
        written,
        None if server is None else str(server),
        _next(target or Path("my-config"), server),
    )
    show(view, _initialised(view), as_json=as_json)


def check(
    ctx: typer.Context,
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", show_default=False, help="Else this one, else --config.")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Print every problem of a config repository at once.

    Each line is `file:line:column: path: what is wrong (what would be right)`; editors jump to it.
    Nothing is changed and no daemon is needed. Without a problem it says what the config holds.
    """
    from holdfast.cli.render import rules as text
    from holdfast.cli.rulebook import summary
    from holdfast.cli.words import count

    try:
        loaded = snapshot(here(place(ctx, config), directory))
    except ConfigError as error:
        if as_json:
            lines = tuple(
                ProblemLine(item.file, item.line, item.column, item.path, item.message)
                for item in error.problems
            )
            show(Invalid(False, lines), (), as_json=True)
        else:
            say(*(str(problem) for problem in error.problems), count(len(error.problems), "problem"))
        raise typer.Exit(BAD_INPUT) from None
    view = summary(loaded)
    show(view, text.summary(view), as_json=as_json)


def doctor(
    ctx: typer.Context,
    ssh: Annotated[
        bool, typer.Option("--ssh", help="Also log in to each host; nothing is run there.")
    ] = False,
    config: Config = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Check that everything is there that the daemon needs.

    Looks at the state directory, config, database, engine, secrets, host keys and channels. A bad line says
    what to do. Exits with 1 when anything is bad; notes are not bad.
    """
    from holdfast.cli.doctor import health
    from holdfast.cli.render import standing as text

    view = health(_findings(place(ctx, config, state), ssh=ssh))
    show(view, text.health(view), as_json=as_json)
    if not view.well:
        raise typer.Exit(FAILED)


def _findings(where: Place, *, ssh: bool) -> Iterator[Finding]:
    from holdfast.cli import doctor as checks
    from holdfast.cli.client import Daemon
    from holdfast.config.secrets import Secrets
    from holdfast.match.durable.handle import try_out

    yield from checks.state_directory(where)
    finding, loaded = checks.config(where, lambda: snapshot(where))
    yield finding
    yield checks.database(where, lambda: _entries(where))
    yield checks.daemon(lambda: Daemon(where.socket).status())
    if loaded is None:
        return
    yield checks.engine(loaded, lambda: try_out(loaded.rules.values()))
    known = Secrets(checks.secret_directories(), where.state / "secrets")
    yield from checks.secrets(loaded, known.get)
    yield from checks.estate(loaded)
    if ssh:
        from holdfast.execute.ssh import SshConnector

        connector = SshConnector(lambda: loaded.hosts, known.get)
        try:
            yield from checks.ssh(loaded, connector.boot)
        finally:
            connector.close()


def _entries(where: Place) -> int:
    from holdfast.store import journal

    with reading(where) as tx:
        return journal.head(tx)


def _next(target: Path, server: Path | None) -> tuple[str, ...]:
    edit = f"edit {target / SITE}: the address, user and host key of your server"
    if server is None:
        return (edit, f"holdfast check {target}", f"holdfast run --config {target}")
    push = f"git init -b main && git add -A && git commit -m 'the estate' && git push {server} main"
    return (edit, f"cd {target} && {push}", f"holdfast run --config {server}")


def _initialised(view: Initialised) -> Iterator[RenderableType]:
    from holdfast.cli.render.paper import cell, pairs

    if view.directory is not None:
        yield f"{view.directory} holds a working config: {len(view.files)} files."
    if view.server is not None:
        yield f"{view.server} is a repository that takes only valid pushes."
    yield ""
    yield cell("Next:", "bold")
    yield pairs([(f"{number}.", cell(step, "")) for number, step in enumerate(view.next, 1)])


COMMANDS: Final = (
    Command(
        "init",
        init,
        GROUP,
        ("holdfast.cli.setup:Initialised",),
        ("holdfast init my-config", "holdfast init my-config --server /var/lib/holdfast/config.git"),
        (OK, FAILED, BAD_INPUT),
    ),
    Command(
        "check",
        check,
        GROUP,
        ("holdfast.cli.rulebook:Summary", "holdfast.cli.setup:Invalid"),
        ("holdfast check", "holdfast check my-config --json"),
        (OK, BAD_INPUT),
    ),
    Command(
        "doctor",
        doctor,
        GROUP,
        ("holdfast.cli.doctor:Health",),
        ("holdfast doctor", "holdfast doctor --ssh"),
        (OK, FAILED, BAD_INPUT),
    ),
)
