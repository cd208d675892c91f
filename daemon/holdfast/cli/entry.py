"""Every command in one list, and the function that runs one of them.

What a command needs is imported when it runs, so that help is fast.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from holdfast import __version__
from holdfast.cli import act, answer, daemon, look, ruletests, setup
from holdfast.cli.door import CONFIG, FAILED, Command, Place, complain, default_state
from holdfast.errors import HoldfastError

COMMANDS: Final[tuple[Command, ...]] = (
    *setup.COMMANDS,
    *ruletests.COMMANDS,
    *daemon.COMMANDS,
    *look.COMMANDS,
    *answer.COMMANDS,
    *act.COMMANDS,
)


class Grouped(TyperGroup):
    """Help with the commands in groups, in plain text: fast, narrow, and fit for grep."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """One section for each group, in the order of their commands."""
        names = [name for name in self.list_commands(ctx) if not self.commands[name].hidden]
        width = max(map(len, names), default=0)
        for group, members in _groups(names):
            with formatter.section(group):
                formatter.write_dl(
                    [(f"{name:<{width}}", self.commands[name].get_short_help_str(200)) for name in members]
                )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Nothing that Holdfast foresaw ends in a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        build()(args=None if arguments is None else list(arguments), prog_name="holdfast")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except HoldfastError as error:
        return complain(error)
    return 0


def build() -> typer.Typer:
    """The application with every command."""
    app = typer.Typer(
        cls=Grouped,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(_everywhere)
    for command in COMMANDS:
        app.command(command.name, hidden=command.hidden, epilog=_epilog(command))(command.run)
    return app


def _everywhere(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            envvar="HOLDFAST_CONFIG",
            metavar="DIR",
            show_default=str(CONFIG),
            help="The config repository: a directory, or a bare git repository.",
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            envvar="HOLDFAST_STATE",
            metavar="DIR",
            show_default="STATE_DIRECTORY, else /var/lib/holdfast",
            help="The state directory: database, secrets, control socket.",
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=lambda wanted: _version(wanted=wanted),
            help="Print the version.",
        ),
    ] = False,
) -> None:
    """Emergency response for people who run a company alone.

    Holdfast senses trouble, contains it over SSH within your policies, asks you where it must, and
    remembers every incident. Begin with `holdfast init`; when something is on fire, `holdfast status`.
    """
    del version
    ctx.obj = Place(config or CONFIG, state or default_state(), named=config is not None)


def _version(*, wanted: bool) -> None:
    if wanted:
        print(f"holdfast {__version__}")
        raise typer.Exit


def _groups(names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """The visible commands by group; both in the order in which they are declared."""
    declared = [command for command in COMMANDS if command.name in names]
    for group in dict.fromkeys(command.group for command in declared):
        yield group, [command.name for command in declared if command.group == group]


def _epilog(command: Command) -> str | None:
    """Examples, one a line: `\\b` keeps the lines apart."""
    if not command.examples:
        return None
    return "\n".join(("\b", "Examples:", *(f"  {example}" for example in command.examples)))
