"""Lists as text: from the plain dataclasses of `views` to what a terminal shows. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import RenderableType

from holdfast.cli.render.paper import Cell, cell, hint, indented, listing, pairs, sentence
from holdfast.cli.views import (
    ChoiceLine,
    EntryLine,
    EntryList,
    HoldLine,
    HoldList,
    IncidentList,
    QuestionLine,
    QuestionList,
    RunList,
)
from holdfast.cli.words import ago, moment, short, shown, span
from holdfast.model.values import Json, Millis

#: What nobody reads in a list; the JSON has it.
_DULL: Final = frozenset({"digest", "boot", "started", "ended", "output"})
_EMPTY: Final[tuple[Json, ...]] = (None, "", [], {})


def incidents(view: IncidentList, now: Millis) -> Iterator[RenderableType]:
    """The list of incidents: the open ones first, then the newest."""
    if view.incidents:
        urgent = sorted(view.incidents, key=lambda item: item.state != "open")
        yield listing(
            ("ID", "STATE", "SEVERITY", "SINCE", "TITLE"),
            [
                (short(item.id), item.state, item.severity, ago(item.opened, now), item.title)
                for item in urgent
            ],
        )
        yield ""
        yield hint(f"`holdfast show {short(urgent[0].id)}` tells the whole story.")
        return
    total = sum(view.counts.values())
    yield "No incident is open." if total else "No incident yet."
    if total:
        yield hint(f"`holdfast incidents --all` lists {total} from before.")


def entries(view: EntryList, *, quarantined: bool) -> Iterator[RenderableType]:
    """Entries of the journal; with the reasons, those that were set aside."""
    if not view.entries:
        yield "Nothing was set aside." if quarantined else "The journal has no such entry."
        return
    if not quarantined:
        yield listing(
            ("SEQ", "RECEIVED (UTC)", "KIND", "SOURCE", "WHAT"),
            [
                (str(item.seq), moment(item.received), item.kind, item.source, gist(item))
                for item in view.entries
            ],
        )
        return
    for item in view.entries:
        yield sentence(f"{item.seq}  {moment(item.received)}  {item.kind} from {item.source}")
        yield indented(cell(item.reason or "?", "yellow"), 4)
        yield indented(cell(gist(item), "dim"), 4)


def gist(item: EntryLine) -> str:
    """One entry in a few words."""
    body = item.body
    if not isinstance(body, dict):
        return shown(body)
    if item.kind == "event":
        data = body.get("data")
        values = [f"{name}={shown(value)}" for name, value in data.items()] if isinstance(data, dict) else []
        about = body.get("service") or body.get("subject")
        return " ".join([shown(body.get("type")), shown(about), *values[:6]])
    if item.kind == "reply":
        # a reply may hold a code that still counts: only its first word is shown
        words = str(body.get("text", "")).split()
        return f"{shown(body.get('sender'))}: {words[0] if words else ''}"
    return " ".join(
        f"{name}={shown(value)}" for name, value in body.items() if name not in _DULL and value not in _EMPTY
    )


def runs(view: RunList, now: Millis) -> Iterator[RenderableType]:
    """The list of runs."""
    if not view.runs:
        yield "Nothing was run."
        return
    yield listing(
        ("ID", "INCIDENT", "STATE", "SINCE", "WHAT"),
        [
            (
                short(item.id),
                short(item.incident),
                item.state,
                ago(item.changed, now),
                sentence(
                    f"{item.plan} on {', '.join(item.targets) or 'nothing'}",
                    f" ({item.part}, step {min(item.step + 1, item.steps)} of {item.steps})",
                    f", approved by {item.approved_by}" if item.approved_by else "",
                ),
            )
            for item in view.runs
        ],
    )


def holds(view: HoldList, now: Millis) -> Iterator[RenderableType]:
    """The containments that are in place."""
    if not view.holds:
        yield "Nothing is held."
        return
    yield listing(
        ("RUN", "INCIDENT", "SINCE", "WHAT"),
        [(short(item.run), short(item.incident), ago(item.since, now), _held(item)) for item in view.holds],
    )


def questions(view: QuestionList, now: Millis) -> Iterator[RenderableType]:
    """The questions that wait, with what each answer would run."""
    if not view.pending:
        yield "No question waits for an answer."
        return
    for index, item in enumerate(view.pending):
        if index:
            yield ""
        yield from question(item, now)


def question(item: QuestionLine, now: Millis) -> Iterator[RenderableType]:
    """One question: its choices, what they run, and how to answer."""
    yield cell(item.question, "bold")
    if item.expires > now:
        left = f"in {span(item.expires - now)} silence counts as {item.silence}"
    else:
        left = f"silence counts as {item.silence} now"
    yield hint(f"{short(item.id)}, incident {short(item.incident)}, rule {item.rule}; {left}")
    yield pairs([row for choice in item.choices for row in _choice(item, choice)], indent=2)
    running = next((choice.name for choice in item.choices if choice.plan is not None), None)
    answer = (
        f"answer {short(item.id)} {running}"
        if running not in {"approve", None}
        else f"approve {short(item.id)}"
    )
    yield indented(cell(f"holdfast {answer}", "cyan"), 2)


def _choice(item: QuestionLine, choice: ChoiceLine) -> list[tuple[Cell, Cell]]:
    if choice.plan is None:
        releases = item.run is not None and choice.name == "approve"
        return [(choice.name, "lets the held run go on" if releases else "nothing runs")]
    return [(choice.name if not index else "", text) for index, text in enumerate(choice.commands)]


def lasts(item: HoldLine) -> str:
    """How long a hold lasts, in words."""
    if item.until is not None:
        return f"until {moment(item.until)} UTC"
    words = {"until-clear": "until the incident clears", "until-answered": "until the question is answered"}
    return words.get(item.kind, item.kind)


def _held(item: HoldLine) -> Cell:
    undo = f"; then {', '.join(item.undo)}" if item.undo else ""
    return f"{item.plan} on {', '.join(item.targets) or '?'}, {lasts(item)}{undo}"
