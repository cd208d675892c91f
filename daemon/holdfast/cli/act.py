"""Acting: the kill switch, the end of an incident, the config; over the daemon's control socket."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from holdfast.cli.completion import an_incident
from holdfast.cli.door import (
    BAD_INPUT,
    FAILED,
    NO_DAEMON,
    NOT_FOUND,
    OK,
    REFUSED,
    AsJson,
    Command,
    Place,
    Refused,
    State,
    place,
    reading,
    show,
)
from holdfast.errors import HoldfastError
from holdfast.model.records import IncidentState

if TYPE_CHECKING:
    from rich.console import RenderableType


GROUP: Final = "Act"
#: How a command of the operator may end.
ACTS: Final = (OK, FAILED, BAD_INPUT, NOT_FOUND, NO_DAEMON, REFUSED)


@dataclass(frozen=True, slots=True)
class Switched:
    """The kill switch as it is now."""

    stopped: bool
    by: str
    reason: str
    seq: int


@dataclass(frozen=True, slots=True)
class Closed:
    """An incident that the operator has ended."""

    incident: str
    state: str
    by: str
    reason: str
    seq: int


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The config that decides now, and the one before."""

    commit: str
    previous: str
    changed: bool


def stop_all(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "",
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Throw the kill switch: no new step starts.

    It holds until `holdfast resume`. What runs ends under its deadline. Events are still heard,
    incidents still open, you are still told. It survives a restart. Without a daemon, a file called
    `stop` in the state directory does the same.
    """
    _switch(place(ctx, state=state), stopped=True, reason=reason, as_json=as_json)


def resume(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "",
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Release the kill switch.

    Runs that were held back are asked about, never simply started.
    """
    _switch(place(ctx, state=state), stopped=False, reason=reason, as_json=as_json)


def close(
    ctx: typer.Context,
    incident: Annotated[
        str,
        typer.Argument(metavar="ID", autocompletion=an_incident, help="An incident, or how it begins."),
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "",
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Say that an incident is over, whatever is observed.

    For one that no rule will see clear: you mended it by hand, or changed the rule meanwhile. What it
    holds is released, what it asks is no longer needed, what has not begun does not begin, and a run
    that nobody saw help counts for nothing. When a rule fires again, it opens again; but while the
    fault just goes on, a streak does not fire anew: mend it first.
    """
    from holdfast.cli.client import Daemon
    from holdfast.cli.views import find_incident

    where = place(ctx, state=state)
    with reading(where) as tx:
        found = find_incident(tx, incident)
    if found.state is not IncidentState.OPEN:
        raise Refused(f"{found.id} is {found.state} already: `holdfast show {incident}` tells its story")
    by = _user()
    done = Daemon(where.socket).close(found.id, by=by, reason=reason).decided("your word")
    with reading(where) as tx:
        now_is = find_incident(tx, found.id).state
    if now_is is IncidentState.OPEN:
        raise HoldfastError(
            f"{found.id} is open still: it opened again at once (`holdfast show {incident}`), or your word "
            "could not be handled (`holdfast events --quarantined`)"
        )
    show(
        Closed(found.id, str(now_is), by, reason, done.seq),
        (f"{found.id} is {now_is}: {found.title}",),
        as_json=as_json,
    )


def reload(ctx: typer.Context, state: State = None, as_json: AsJson = False) -> None:
    """Load the config again.

    When it is not valid, the last good one stays and every problem is said. The daemon also does
    this by itself when files change or something is pushed.
    """
    import msgspec

    from holdfast.cli.client import Daemon

    result = Daemon(place(ctx, state=state).socket).reload()
    try:
        view = msgspec.convert(result, Reloaded)
    except msgspec.ValidationError as error:
        raise HoldfastError(
            f"the daemon's answer cannot be read ({error}): is it another version?"
        ) from error
    how = (
        f"config {view.commit} took over from {view.previous}"
        if view.changed
        else f"config {view.commit}, as before"
    )
    show(view, (how,), as_json=as_json)


def _switch(where: Place, *, stopped: bool, reason: str, as_json: bool) -> None:
    from holdfast.cli.client import Daemon

    by = _user()
    done = Daemon(where.socket).switch(stopped=stopped, by=by, reason=reason).decided("the switch")
    show(Switched(stopped, by, reason, done.seq), _switched(stopped=stopped), as_json=as_json)


def _user() -> str:
    """Who sits there."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _switched(*, stopped: bool) -> Iterator[RenderableType]:
    from holdfast.cli.render.paper import cell, hint

    if stopped:
        yield cell("Stopped: no new step starts until `holdfast resume`.", "bold yellow")
        yield hint("`holdfast runs --active` shows what still runs, `holdfast holds` what stays in place.")
    else:
        yield cell("Resumed: new incidents are acted on; what was held back is asked.", "green")
        yield hint("`holdfast approve` lists what waits for you.")


COMMANDS: Final = (
    Command(
        "stop-all",
        stop_all,
        GROUP,
        ("holdfast.cli.act:Switched",),
        ("holdfast stop-all --reason 'it restarts in circles'",),
        (OK, FAILED, NO_DAEMON),
    ),
    Command(
        "resume", resume, GROUP, ("holdfast.cli.act:Switched",), ("holdfast resume",), (OK, FAILED, NO_DAEMON)
    ),
    Command(
        "close",
        close,
        GROUP,
        ("holdfast.cli.act:Closed",),
        ("holdfast close i41 --reason 'mended by hand'",),
        ACTS,
    ),
    Command(
        "reload",
        reload,
        GROUP,
        ("holdfast.cli.act:Reloaded",),
        ("holdfast reload",),
        (OK, FAILED, BAD_INPUT, NO_DAEMON),
    ),
)
