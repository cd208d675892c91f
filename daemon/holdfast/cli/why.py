"""`explain`: why rules fire, and why they do not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from holdfast.cli.completion import an_incident
from holdfast.cli.door import (
    BAD_INPUT,
    FAILED,
    NOT_FOUND,
    OK,
    AsJson,
    Command,
    Config,
    Place,
    State,
    now,
    place,
    reading,
    show,
    snapshot,
)
from holdfast.errors import ConfigError, InputError


def explain(
    ctx: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="EVENT.json|ID", autocompletion=an_incident, help="A file, - for stdin, or an incident."
        ),
    ],
    source: Annotated[
        str | None, typer.Option("--source", metavar="NAME", help="The file is what this source sends.")
    ] = None,
    cloudevent: Annotated[
        bool, typer.Option("--cloudevent", help="With --source: the file is a CloudEvent.")
    ] = False,
    config: Config = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Say why rules fire, or why they do not.

    Shows each condition with its answer and the value that was seen. An event needs a type at
    least: {"type": "http.probe", "service": "shop", "data": {"ok": false}}. Of an incident, every
    firing is explained. Nothing is sent, and no daemon is needed.
    """
    where = place(ctx, config, state)
    if what == "-" or what.endswith(".json") or "/" in what or Path(what).is_file():
        _event(where, what, source, cloudevent=cloudevent, as_json=as_json)
    elif source is not None or cloudevent:
        raise InputError(f"there is no file {what!r}: --source and --cloudevent are about an event in a file")
    else:
        _incident(where, what, as_json=as_json)


def _event(where: Place, name: str, source: str | None, *, cloudevent: bool, as_json: bool) -> None:
    from holdfast.cli.reasons import event_from, explanation
    from holdfast.cli.render import rules as text

    if cloudevent and source is None:
        raise InputError("--cloudevent needs --source: name the source that sends it")
    content = content_of(name)
    loaded = snapshot(where)
    event = event_from(content, loaded, now(), source=source, cloudevent=cloudevent)
    view = explanation(event, loaded)
    show(view, text.explanation(view), as_json=as_json)


def _incident(where: Place, wanted: str, *, as_json: bool) -> None:
    from holdfast.cli.reasons import incident_reasons
    from holdfast.cli.render import rules as text
    from holdfast.cli.views import find_incident

    try:
        loaded = snapshot(where)
    except ConfigError:  # the evidence is worth reading without the conditions; the note says so
        loaded = None
    with reading(where) as tx:
        view = incident_reasons(tx, find_incident(tx, wanted), loaded)
    show(view, text.reasons(view), as_json=as_json)


def content_of(name: str, limit: int = 5 * 1024 * 1024) -> bytes:
    """The bytes of a file, or of standard input for `-`. Raises InputError."""
    try:
        if name == "-":
            content = sys.stdin.buffer.read(limit + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(limit + 1)
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from error
    if len(content) > limit:
        raise InputError(f"{name} has more than {limit:,} bytes: send less at once")
    return content


COMMANDS: Final = (
    Command(
        "explain",
        explain,
        "Look",
        ("holdfast.cli.reasons:Explanation", "holdfast.cli.reasons:IncidentReasons"),
        (
            "holdfast explain event.json",
            "holdfast explain payload.json --source stripe",
            "holdfast explain i41",
        ),
        (OK, FAILED, BAD_INPUT, NOT_FOUND),
    ),
)
