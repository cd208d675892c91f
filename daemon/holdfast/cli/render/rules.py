"""Rules, explanations and checks of the config as text. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.console import RenderableType
from rich.text import Text

from holdfast.cli.reasons import Explanation, Fired, IncidentReasons
from holdfast.cli.render.paper import Cell, cell, heading, hint, indented, pairs, sentence
from holdfast.cli.rulebook import RuleLine, RuleList, Summary
from holdfast.cli.words import ago, block, count, moment, shown
from holdfast.match.explain import RuleExplained, render
from holdfast.model.values import Millis, Truth


def rules(view: RuleList, now: Millis) -> Iterator[RenderableType]:
    """Each rule: what it waits for, what it does, and how it did so far."""
    if not view.rules:
        yield "The config has no rule."
        return
    for index, rule in enumerate(view.rules):
        if index:
            yield ""
        yield from _rule(rule, now)
    yield ""
    yield hint(f"config {view.commit}")


def summary(view: Summary) -> Iterator[RenderableType]:
    """One line per kind of thing that a valid config has."""
    yield sentence(cell("valid", "green"), f"  config {view.commit}")
    modes = ", ".join(f"{number} {mode}" for mode, number in sorted(view.modes.items()))
    policies = ", ".join(f"{number} {kind}" for kind, number in view.policies.items())
    yield pairs(
        [
            ("rules", f"{view.rules}{f' ({modes})' if modes else ''}"),
            ("actions", f"{view.actions}, {count(view.playbooks, 'playbook')}"),
            ("policies", f"{sum(view.policies.values())}{f' ({policies})' if policies else ''}"),
            ("tests", f"{view.tests}{' (`holdfast test` plays them)' if view.tests else ''}"),
            ("estate", f"{count(view.hosts, 'host')}, {count(view.services, 'service')}"),
            ("sources", str(view.sources)),
            ("people", f"{count(view.operators, 'operator')}, {count(view.channels, 'channel')}"),
        ],
        indent=2,
    )


def explanation(view: Explanation) -> Iterator[RenderableType]:
    """Each rule that the event touches, each condition with its answer; the others by name only."""
    event = view.event
    yield cell(f"{event.type} from {event.source}", "bold")
    yield hint(
        f"service {event.service or 'none'}, host {event.host or 'none'}, subject {event.subject}, "
        f"severity {event.severity}; config {view.commit}"
    )
    yield from _explained(view.rules)


def reasons(view: IncidentReasons) -> Iterator[RenderableType]:
    """Why the rules of an incident fired, event by event."""
    yield cell(view.title, "bold")
    for fired in view.fired:
        yield from _fired(fired)
    if not view.fired:
        yield "Its timeline holds no evidence."
    if view.note:
        yield ""
        yield hint(view.note)


def _rule(rule: RuleLine, now: Millis) -> Iterator[RenderableType]:
    yield sentence(cell(rule.name, "bold"), "  ", rule.mode, "  ", cell(rule.where, "dim"))
    yield indented(cell(rule.doc, ""), 2)
    rows: list[tuple[Cell, Cell]] = [("when", cell(rule.when, ""))]
    rows += [("unless", cell(item, "")) for item in rule.unless]
    rows += [("opens", f"{rule.severity} {rule.incident_type}"), ("clears", cell(rule.clears, ""))]
    rows += [("does", cell(item, "")) for item in rule.does]
    if rule.fired is not None:
        rows.append(("fired", _history(rule, now)))
    yield pairs(rows, indent=2)


def _history(rule: RuleLine, now: Millis) -> str:
    if not rule.fired or rule.last_fired is None:
        return "never"
    ended = ", ".join(f"{number} {state}" for state, number in sorted((rule.results or {}).items()))
    return (
        f"{count(rule.fired, 'time')}, last {ago(rule.last_fired, now)}{f'; runs: {ended}' if ended else ''}"
    )


def _explained(explained: Sequence[RuleExplained]) -> Iterator[RenderableType]:
    touched = [rule for rule in explained if any(pattern.fits for pattern in rule.patterns)]
    for rule in touched:
        yield ""
        for row in render([rule]):
            yield _coloured(row)
    others = [rule.rule for rule in explained if rule not in touched]
    if others:
        yield ""
        yield hint(f"not about such events: {', '.join(others)}")
    if not touched:
        yield hint("No rule looks at events of this type: check the `event:` of the rule that you expected.")


def _coloured(row: str) -> RenderableType:
    """The answer gets its colour; the text and its columns stay as they are."""
    text = Text("".join(block(row.strip(), 1)))
    for word, style in ((Truth.TRUE, "green"), (Truth.FALSE, "red"), (Truth.UNKNOWN, "yellow")):
        head = row.partition(", about")[0] if ": " in row else row
        for start in (f"{word} ", f": {word}"):
            if row.strip().startswith(start) or head.endswith(start):
                text.highlight_words([str(word)], style)
                break
    return indented(text, len(row) - len(row.lstrip()))


def _fired(fired: Fired) -> Iterator[RenderableType]:
    yield heading(f"{moment(fired.at)} UTC: {fired.rule} fired")
    yield indented(cell(fired.text, ""), 2)
    for guard in fired.guards:
        yield indented(cell(f"unless {shown(guard.get('name'))}: {shown(guard.get('truth'))}", "yellow"), 2)
    yield indented(hint(f"journal entry {fired.seq}, config {fired.commit}"), 2)
    for rule in fired.explained:
        # only what made it fire: how many more are to come is no news about one that has fired
        for row in render([replace(rule, patterns=rule.patterns[:1])])[1:]:
            yield _coloured(row.partition("; ")[0])
