"""Looking: these commands read the store, work without a daemon, and change nothing."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from holdfast.cli import why
from holdfast.cli.completion import an_incident
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
    now,
    place,
    reading,
    show,
    snapshot,
)
from holdfast.errors import DaemonUnreachable, InputError, StoreError
from holdfast.model.kinds import EntryKind
from holdfast.model.records import IncidentState, RunState

GROUP: Final = "Look"
_LOOKS: Final = (OK, FAILED, BAD_INPUT)
_FINDS: Final = (OK, FAILED, BAD_INPUT, NOT_FOUND)

Last = Annotated[int, typer.Option("--last", metavar="N", min=1, max=10_000, help="At most so many.")]


def status(ctx: typer.Context, config: Config = None, state: State = None, as_json: AsJson = False) -> None:
    """Show how things stand.

    That is the daemon, open incidents, questions that wait, and what is held. Without a daemon it
    shows what the store held when it ended, and exits with 4.
    """
    from holdfast import __version__
    from holdfast.cli.client import Daemon
    from holdfast.cli.render import standing as text
    from holdfast.cli.standing import Standing, stored

    where = place(ctx, config, state)
    daemon = found = why = problem = None
    try:
        daemon = dict(Daemon(where.socket).status())
    except DaemonUnreachable as error:
        why = str(error)
    try:
        with reading(where) as tx:
            found = stored(tx)
    except StoreError as error:
        problem = str(error)
    view = Standing(daemon is not None, why, __version__, daemon, found, problem)
    show(view, text.standing(view, now()), as_json=as_json)
    if daemon is None:
        raise typer.Exit(NO_DAEMON)


def incidents(
    ctx: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    only: Annotated[
        list[IncidentState] | None,
        typer.Option("--only", metavar="STATE", help="Only open, cleared or closed ones."),
    ] = None,
    last: Last = 50,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """List incidents, the newest first.

    An open one is still observed; a cleared one stays an hour, in case it comes back.
    """
    from holdfast.cli import views
    from holdfast.cli.render import lists

    states = only or ([] if everything else [IncidentState.OPEN, IncidentState.CLEARED])
    with reading(place(ctx, state=state)) as tx:
        view = views.incident_list(tx, states, last)
    show(view, lists.incidents(view, now()), as_json=as_json)


def show_incident(
    ctx: typer.Context,
    incident: Annotated[
        str,
        typer.Argument(metavar="ID", autocompletion=an_incident, help="The beginning of its id is enough."),
    ],
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a report for a file or a ticket.")
    ] = False,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Tell one incident from beginning to end.

    Why it is believed, what was decided and by which policy, what was run, asked and told. What
    waits for your answer comes first, with the exact commands that an answer would run.
    """
    from holdfast.cli import views
    from holdfast.cli.render import report
    from holdfast.cli.render import story as text
    from holdfast.cli.story import story

    if markdown and as_json:
        raise InputError("choose --markdown or --json, not both")
    with reading(place(ctx, state=state)) as tx:
        view = story(tx, views.find_incident(tx, incident))
    show(view, report.markdown(view, now()) if markdown else text.story(view, now()), as_json=as_json)


def events(
    ctx: typer.Context,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="Only what was set aside, with the reason.")
    ] = False,
    kind: Annotated[EntryKind | None, typer.Option("--kind", help="Only entries of this kind.")] = None,
    last: Last = 20,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """List entries of the journal.

    Those are events and everything else that moved the world. The journal's order is the order in
    which everything was decided.
    """
    from holdfast.cli import views
    from holdfast.cli.render import lists

    with reading(place(ctx, state=state)) as tx:
        view = views.entry_list(tx, last, kind, quarantined=quarantined)
    show(view, lists.entries(view, quarantined=quarantined), as_json=as_json)


def runs(
    ctx: typer.Context,
    incident: Annotated[
        str | None,
        typer.Option(
            "--incident", metavar="ID", autocompletion=an_incident, help="Only runs of this incident."
        ),
    ] = None,
    active: Annotated[bool, typer.Option("--active", help="Only those that are not over.")] = False,
    last: Last = 20,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """List what was done, and how it ended.

    Verified means that the fault was observed to be gone; that a command exited with 0 is not
    enough.
    """
    from holdfast.cli import views
    from holdfast.cli.render import lists

    states = [item for item in RunState if not item.over] if active else []
    with reading(place(ctx, state=state)) as tx:
        of = None if incident is None else views.find_incident(tx, incident).id
        view = views.run_list(tx, last, states, of)
    show(view, lists.runs(view, now()), as_json=as_json)


def rules(ctx: typer.Context, config: Config = None, state: State = None, as_json: AsJson = False) -> None:
    """List the rules, and how often each fired.

    Each with its mode, what it waits for, what it does, and how its runs ended.
    """
    from holdfast.cli.render import rules as text
    from holdfast.cli.rulebook import rule_list

    where = place(ctx, config, state)
    loaded = snapshot(where)
    try:
        with reading(where) as tx:
            view = rule_list(loaded, tx)
    except StoreError:  # before the first start there is no history, and the rules are still worth a look
        view = rule_list(loaded, None)
    show(view, text.rules(view, now()), as_json=as_json)


def holds(ctx: typer.Context, state: State = None, as_json: AsJson = False) -> None:
    """List containments that are still in place.

    Each with how long it lasts, and what takes it back then.
    """
    from holdfast.cli import views
    from holdfast.cli.render import lists

    with reading(place(ctx, state=state)) as tx:
        view = views.hold_list(tx)
    show(view, lists.holds(view, now()), as_json=as_json)


COMMANDS: Final = (
    Command(
        "status",
        status,
        GROUP,
        ("holdfast.cli.standing:Standing",),
        ("holdfast status", "holdfast status --json | jq .stored.behind"),
        (*_LOOKS, NO_DAEMON),
    ),
    Command(
        "incidents",
        incidents,
        GROUP,
        ("holdfast.cli.views:IncidentList",),
        (
            "holdfast incidents",
            "holdfast incidents --all --last 200",
            "holdfast incidents --only open --json",
        ),
        _LOOKS,
    ),
    Command(
        "show",
        show_incident,
        GROUP,
        ("holdfast.cli.story:Story",),
        ("holdfast show i41", "holdfast show i41 --markdown > outage.md"),
        _FINDS,
    ),
    *why.COMMANDS,
    Command(
        "events",
        events,
        GROUP,
        ("holdfast.cli.views:EntryList",),
        ("holdfast events --last 50", "holdfast events --kind reply", "holdfast events --quarantined"),
        _LOOKS,
    ),
    Command(
        "runs",
        runs,
        GROUP,
        ("holdfast.cli.views:RunList",),
        ("holdfast runs --active", "holdfast runs --incident i41"),
        _FINDS,
    ),
    Command("rules", rules, GROUP, ("holdfast.cli.rulebook:RuleList",), ("holdfast rules",), _LOOKS),
    Command("holds", holds, GROUP, ("holdfast.cli.views:HoldList",), ("holdfast holds",), _LOOKS),
)
