"""Running the daemon, and handing things to it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from holdfast.cli.door import (
    BAD_INPUT,
    FAILED,
    NO_DAEMON,
    NOT_FOUND,
    OK,
    AsJson,
    Command,
    Config,
    State,
    place,
    say,
    show,
)
from holdfast.cli.why import content_of
from holdfast.errors import InputError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from holdfast.cli.client import Journalled

GROUP: Final = "Run"
_CLOUDEVENT: Final = "application/cloudevents+json"
_BATCH: Final = "application/cloudevents-batch+json"


def run(
    ctx: typer.Context,
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="HOST:PORT", help="Instead of `listen:` of the config.")
    ] = None,
    config: Config = None,
    state: State = None,
) -> None:
    """Run the daemon until it is told to stop.

    This is what systemd starts; SIGTERM and Ctrl-C stop it. It may be killed at any instant: what
    it acknowledged is on disk, and starting is recovering. SIGHUP loads the config again. Logs go
    to standard error, one JSON object a line.
    """
    wanted = None if listen is None else address(listen)
    from holdfast.app import serve

    where = place(ctx, config, state)
    raise typer.Exit(serve(where.config, where.state, listen=wanted))


def rehearse(
    leave: Annotated[
        bool, typer.Option("--leave", help="End after the last act instead of waiting for Ctrl-C.")
    ] = False,
) -> None:
    """Play three outages before your eyes, on this machine alone.

    A real sshd, a real mail server, a real web service and a git repository are started on free
    loopback ports. The service is broken three times: a restart heals it, a question comes by mail
    and is answered, and a pushed commit changes what is done. Nothing of it is left behind.
    """
    from rich.console import Console

    from holdfast.rehearsal.play import rehearse as play
    from holdfast.rehearsal.screen import Screen

    raise typer.Exit(play(Screen(Console(highlight=False)), stay=not leave))


def push_hook() -> None:
    """Check what is being pushed, and run its tests.

    git calls this as the pre-receive hook of the bare repository.
    """
    from holdfast.cli.ruletests import prove
    from holdfast.config.git import check_push

    said = check_push(sys.stdin, Path(os.environ.get("GIT_DIR", ".")), prove)
    say(*said.lines)
    if said.refused:
        raise typer.Exit(BAD_INPUT)


def send(
    ctx: typer.Context,
    event: Annotated[str, typer.Argument(metavar="EVENT.json", help="A file, or - for standard input.")],
    source: Annotated[
        str, typer.Option("--source", metavar="NAME", help="A source that the config declares.")
    ],
    cloudevent: Annotated[bool, typer.Option("--cloudevent", help="The file holds CloudEvents.")] = False,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Hand events to the daemon, as if a source had sent them.

    The file holds one event or an array of them. When it returns, the event is on disk and decided
    on. `holdfast explain` shows the same without sending anything.
    """
    from holdfast.cli.client import Daemon

    body = content_of(event)
    batch = body.lstrip()[:1] == b"["
    media = "application/json" if not cloudevent else _BATCH if batch else _CLOUDEVENT
    view = Daemon(place(ctx, state=state).socket).send(body, source, media)
    show(view, _sent(view), as_json=as_json)


def address(text: str) -> tuple[str, int]:
    """`HOST:PORT`, with an IPv6 host in brackets. Raises InputError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise InputError(f"--listen {text!r} is no HOST:PORT: write 127.0.0.1:8443, or [::1]:8443")
    return host, int(port)


def _sent(view: Journalled) -> Iterator[RenderableType]:
    from holdfast.cli.render.paper import hint, sentence

    again = f", {view.duplicates} known already" if view.duplicates else ""
    where = f", journal entry {view.seq}" if view.seq else ""
    yield sentence(f"{view.accepted} accepted{again}{where}")
    if not view.handled:
        yield hint(view.what_to_do)
    elif view.seq:
        yield hint("`holdfast incidents` shows what came of it.")


COMMANDS: Final = (
    Command(
        "run",
        run,
        GROUP,
        (),
        ("holdfast run", "holdfast run --config my-config --state ./state --listen 127.0.0.1:8443"),
        (OK, FAILED, BAD_INPUT),
    ),
    Command(
        "rehearse", rehearse, GROUP, (), ("holdfast rehearse", "holdfast rehearse --leave"), (OK, FAILED)
    ),
    Command(
        "send",
        send,
        GROUP,
        ("holdfast.cli.client:Journalled",),
        (
            "holdfast send event.json --source shop-probe",
            'echo \'{"type": "deploy.started"}\' | holdfast send - --source deploys',
        ),
        (OK, FAILED, BAD_INPUT, NOT_FOUND, NO_DAEMON),
    ),
    Command("push-hook", push_hook, GROUP, (), (), (OK, BAD_INPUT), hidden=True),
)
