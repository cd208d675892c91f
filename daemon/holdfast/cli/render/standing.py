"""How things stand, as text: what needs the operator first. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from rich.console import RenderableType

from holdfast.cli.doctor import Finding, Health, Level
from holdfast.cli.render import lists
from holdfast.cli.render.paper import Cell, cell, heading, hint, indented, listing, pairs, sentence
from holdfast.cli.standing import Standing, Stored, text_of
from holdfast.cli.words import ago, count, short, shown
from holdfast.model.values import Json, Millis

_PROBLEMS: Final = 5
_MARKS: Final = {Level.GOOD: ("ok", "green"), Level.NOTE: ("note", "yellow"), Level.BAD: ("BAD", "bold red")}


def standing(view: Standing, now: Millis) -> Iterator[RenderableType]:
    """The daemon, then what is open, what waits, and what is held."""
    if view.up:
        version = text_of(view.daemon, "version") or "?"
        yield sentence(
            cell("up", "bold green"),
            f"  holdfast {version}, listening on {text_of(view.daemon, 'listen') or '?'}",
        )
    else:
        yield sentence(cell("down", "bold red"), f"  {view.why}")
    if view.stored is None:
        yield cell(view.store_problem or "there is no store to look into", "yellow")
        return
    if not view.up:
        yield hint("What follows is what the store held when the daemon ended.")
    yield pairs(_facts(view.stored, view.daemon, now))
    yield from _problems(view.daemon)
    if view.stored.open_incidents:
        yield heading("Open incidents")
        yield listing(
            ("ID", "SEVERITY", "SINCE", "TITLE"),
            [
                (short(item.id), item.severity, ago(item.opened, now), item.title)
                for item in view.stored.open_incidents
            ],
        )
    for item in view.stored.questions:
        yield heading("Waits for you")
        yield from lists.question(item, now)


def health(view: Health) -> Iterator[RenderableType]:
    """One line for each check, with what to do where it is not well."""
    rows: list[tuple[Cell, Cell]] = []
    for item in view.findings:
        word, style = _MARKS[item.level]
        rows.append((cell(word, style), sentence(cell(item.name, "bold"), ": ", cell(item.text, ""))))
        if item.fix:
            rows.append(("", hint(item.fix)))
    yield pairs(rows)
    bad = _count(view.findings, Level.BAD)
    yield ""
    yield cell(
        "All well." if not bad else f"{bad} of {len(view.findings)} checks are bad.",
        "red" if bad else "green",
    )


def _facts(stored: Stored, daemon: Mapping[str, Json] | None, now: Millis) -> list[tuple[Cell, Cell]]:
    commit = text_of(daemon, "commit") or stored.commit
    received = f", last entry {ago(stored.last_received, now)}" if stored.journal else ""
    switch: Cell = (
        cell("ON: no new step starts (`holdfast resume` ends it)", "bold red") if stored.stopped else "off"
    )
    rows: list[tuple[Cell, Cell]] = [
        ("config", cell(commit or "none yet", "")),
        (
            "journal",
            f"{count(stored.journal, 'entry', 'entries')}, {stored.behind} not decided on yet{received}",
        ),
        *_engine(daemon),
        ("incidents", _tally(stored.incidents) or "none yet"),
        ("runs", _tally(stored.runs) or "none under way"),
        ("questions", f"{len(stored.questions)} waiting"),
        ("holds", f"{stored.holds} in place"),
        ("kill switch", switch),
    ]
    if stored.messages:
        rows.append(("messages", cell(f"not delivered: {_tally(stored.messages)}", "yellow")))
    if stored.quarantined:
        rows.append(
            (
                "set aside",
                cell(
                    f"{count(stored.quarantined, 'entry', 'entries')} (`holdfast events --quarantined`)",
                    "yellow",
                ),
            )
        )
    return rows


def _engine(daemon: Mapping[str, Json] | None) -> list[tuple[Cell, Cell]]:
    """Who matches: one line, yellow where the engine does not."""
    figures = None if daemon is None else daemon.get("engine")
    if not isinstance(figures, dict):
        return []
    mode, why = str(figures.get("mode")), str(figures.get("why") or "")
    if mode == "durable":
        counts = (
            f"{shown(figures.get('asked'))} events asked, {shown(figures.get('compared'))} answers compared"
        )
        return [("engine", f"durable_rules, {counts}, {shown(figures.get('differences'))} different")]
    return [("engine", cell(f"{mode}: {why}" if why else mode, "yellow"))]


def _problems(daemon: Mapping[str, Json] | None) -> Iterator[RenderableType]:
    """What the daemon says is not well with itself."""
    if daemon is None:
        return
    checks = daemon.get("checks")
    for name, said in (checks if isinstance(checks, dict) else {}).items():
        if said != "ok":
            yield cell(f"{name}: {said}", "yellow")
    problem = text_of(daemon, "config_problem")
    if problem is not None:
        for row in problem.splitlines()[:_PROBLEMS]:
            yield indented(cell(row, "yellow"), 2)
    refused = daemon.get("refused")
    for name, number in (refused if isinstance(refused, dict) else {}).items():
        yield cell(
            f"source {name}: {shown(number)} events were refused because too much was waiting", "yellow"
        )


def _tally(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items())


def _count(findings: tuple[Finding, ...], level: Level) -> int:
    return sum(item.level is level for item in findings)
