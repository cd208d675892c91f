"""One incident as a Markdown report, for a file or a ticket. Pure.

What strangers wrote is escaped, so that it can be no link, picture, heading or HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from rich.text import Text

from holdfast.cli.render.story import attempt
from holdfast.cli.story import RunStory, Story
from holdfast.cli.words import block, inert, line, moment, span
from holdfast.model.values import Millis

#: What could become markup, and the two beginnings that some readers turn into links.
_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>#|~&$]|:(?=//)|(?<=www)\.)", re.IGNORECASE)
_OUTPUT: Final = 40


def markdown(view: Story, now: Millis) -> Iterator[Text]:
    """The report, line by line; never wrapped."""
    for row in _report(view, now):
        yield Text(inert(row), no_wrap=True, overflow="ignore")


def plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", line(text))


def code(text: str) -> str:
    """Text in a code span, whatever backticks it holds."""
    inner = line(text) or " "
    longest = max((len(run) for run in re.findall("`+", inner)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if inner.startswith("`") or inner.endswith("`") else ""
    return f"{fence}{pad}{inner}{pad}{fence}"


def _report(view: Story, now: Millis) -> Iterator[str]:
    incident = view.incident
    end = now if incident.cleared is None else incident.cleared
    yield f"# {plain(incident.title)}"
    yield ""
    yield f"- id: {code(incident.id)}"
    yield f"- state: {incident.state}, {incident.severity}, type {code(incident.type)}"
    yield f"- about: {plain(incident.service or incident.subject)}"
    lasted = span(end - incident.opened)
    ended = (
        f"lasting for {lasted}" if incident.cleared is None else f"cleared {moment(end)} UTC after {lasted}"
    )
    yield f"- opened: {moment(incident.opened)} UTC, {ended}"
    if incident.reopened:
        yield f"- reopened: {incident.reopened} times"
    yield from _section("Why it is believed", _why(view))
    yield from _section("Decisions", _decisions(view))
    yield from _section("What was run", (row for run in view.runs for row in _run(run)))
    yield from _section("Holds", _holds(view))
    yield from _section("Questions and answers", _questions(view))
    yield from _section("Messages", _messages(view))
    yield from _section("Timeline (UTC)", _timeline(view))


def _section(title: str, rows: Iterator[str]) -> Iterator[str]:
    first = next(rows, None)
    if first is not None:
        yield from ("", f"## {title}", "", first)
        yield from rows


def _why(view: Story) -> Iterator[str]:
    for item in view.evidence:
        yield f"- {moment(item.at)} rule {code(item.rule)}: {plain(item.text)}"


def _decisions(view: Story) -> Iterator[str]:
    for item in view.decisions:
        what = f"{plain(', '.join(item.steps))}: **{plain(item.effect)}**"
        yield f"- {moment(item.at)} {what} ({plain(item.category)}, config {code(item.commit)})"
        for voice in item.voices:
            yield f"  - {code(voice.policy)}: {plain(voice.effect)}, {plain(voice.why)}"


def _run(item: RunStory) -> Iterator[str]:
    by = f", approved by {plain(item.run.approved_by)}" if item.run.approved_by else ""
    yield f"- {plain(item.run.plan)}: **{item.run.state}** ({item.run.part}, rule {code(item.run.rule)}{by})"
    for step in item.steps:
        yield f"  - on {plain(step.target)}: {code(step.command)}"
        for made in step.attempts:
            yield f"    - {plain(attempt(made))}"
            rows = block(made.output, _OUTPUT)
            if rows:
                yield from ("", *(f"          {row}" for row in rows), "")


def _holds(view: Story) -> Iterator[str]:
    for item in view.holds:
        end = (
            "still in place"
            if item.released is None
            else f"released {moment(item.released)}: {plain(item.why)}"
        )
        yield f"- {plain(item.plan)}, {item.kind}, since {moment(item.since)}, {end}"


def _questions(view: Story) -> Iterator[str]:
    for item in view.questions:
        by = f" by {plain(item.answered_by)}" if item.answered_by else ""
        said = f": {plain(item.answer)}{by}" if item.answer else ""
        yield f"- {plain(item.question)} **{item.state}**{said}"
    for reply in view.answers:
        who = f"{plain(reply.operator or 'somebody')} by {code(reply.channel)}"
        yield f"- {moment(reply.at)} {who}: {plain(reply.taken_for)}. {plain(reply.receipt)}"


def _messages(view: Story) -> Iterator[str]:
    for item in view.messages:
        yield f"- {item.state}: {plain(item.title)} to {plain(item.operator)} by {code(item.channel)}"


def _timeline(view: Story) -> Iterator[str]:
    for item in view.timeline:
        yield f"- {moment(item.at)} **{plain(item.kind)}** {plain(item.text)}"
