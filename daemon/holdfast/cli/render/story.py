"""One incident as text, the most needed first: what waits for the operator, why, what was done. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import RenderableType

from holdfast.cli.render import lists
from holdfast.cli.render.paper import Cell, cell, heading, hint, indented, listing, pairs, sentence
from holdfast.cli.story import AttemptLine, DecisionLine, MessageLine, RunStory, StepLine, Story
from holdfast.cli.views import HoldLine, IncidentLine, QuestionLine
from holdfast.cli.words import block, line, moment, short, span
from holdfast.model.values import DAY, Millis

_EVIDENCE: Final = 8
_OUTPUT: Final = 12
_DETAIL: Final = 120


def story(view: Story, now: Millis) -> Iterator[RenderableType]:
    """The whole snapshot; a section with nothing in it is left out."""
    yield from headline(view.incident, now)
    rules = ", ".join(f"{item.rule}{' (clear)' if item.clear else ''}" for item in view.rules)
    if rules:
        yield hint(f"rules: {rules}")
    yield from _waiting(view, now)
    yield from _why(view)
    yield from _decided(view)
    yield from _ran(view)
    yield from _holds(view)
    yield from _answered(view)
    yield from _told(view)
    yield from _timeline(view)


def headline(incident: IncidentLine, now: Millis) -> Iterator[RenderableType]:
    """What it is, in three lines."""
    end = incident.cleared if incident.cleared is not None else now
    yield cell(incident.title, "bold")
    lasted = f" {'for' if incident.cleared is None else 'after'} {span(end - incident.opened)}"
    again = f", reopened {incident.reopened} times" if incident.reopened else ""
    yield sentence(short(incident.id), "  ", incident.severity, "  ", incident.state, lasted, again)
    about = incident.service or incident.subject
    yield hint(f"{incident.type} on {about}, opened {moment(incident.opened)} UTC, id {incident.id}")


def stamp(at: Millis, opened: Millis) -> str:
    """The time of day, and the date where it is another day than the incident's."""
    whole = moment(at)
    return whole if at // DAY != opened // DAY else whole[-8:]


def attempt(item: AttemptLine) -> str:
    """How one attempt ended, in a few words."""
    if item.outcome is None:
        return f"attempt {item.number}: {item.state}, no outcome yet"
    how = f"exit code {item.exit_code}" if item.outcome == "ended" else item.outcome
    took = ""
    if item.started is not None and item.ended is not None:
        millis = item.ended - item.started
        took = f" after {span(millis)}" if millis >= 1000 else f" after {millis} ms"
    return f"attempt {item.number}: {how}{took}{f' ({item.detail})' if item.detail else ''}"


def decided(item: DecisionLine) -> str:
    """What was decided about which steps, in one line."""
    return f"{', '.join(item.steps) or 'a run'}: "


def _waiting(view: Story, now: Millis) -> Iterator[RenderableType]:
    waiting = [item for item in view.questions if item.state == "pending"]
    for item in waiting:
        yield heading("Waits for you")
        yield from lists.question(item, now)


def _why(view: Story) -> Iterator[RenderableType]:
    if not view.evidence:
        return
    yield heading("Why it is believed")
    left = len(view.evidence) - _EVIDENCE
    rows: list[tuple[Cell, Cell]] = []
    for item in view.evidence[:_EVIDENCE]:
        rows.append((stamp(item.at, view.incident.opened), sentence(f"{item.rule}: {item.text}")))
        guards = item.guards if isinstance(item.guards, list) else []
        rows.extend(
            ("", sentence(f"unless {guard.get('name')}: {guard.get('truth')}"))
            for guard in guards
            if isinstance(guard, dict)
        )
    if left > 0:
        rows.append(("", hint(f"… and {left} more events like these")))
    yield pairs(rows)


def _decided(view: Story) -> Iterator[RenderableType]:
    if not view.decisions:
        return
    yield heading("Decisions")
    for item in view.decisions:
        at = stamp(item.at, view.incident.opened)
        yield sentence(
            cell(at, "dim"),
            "  ",
            decided(item),
            item.effect,
            f" ({item.category}, commit {item.commit[:12]})",
        )
        yield indented(
            listing(
                ("", "", ""), [(voice.effect, voice.policy, voice.why) for voice in item.voices], header=False
            ),
            10,
        )


def _ran(view: Story) -> Iterator[RenderableType]:
    if not view.runs:
        return
    yield heading("What was run")
    for item in view.runs:
        yield from _run(item)


def _run(item: RunStory) -> Iterator[RenderableType]:
    run = item.run
    by = f", approved by {run.approved_by}" if run.approved_by else ""
    yield sentence(
        cell(short(run.id), "dim"),
        "  ",
        f"{run.plan} on {', '.join(run.targets)}: ",
        run.state,
        f" ({run.part}, rule {run.rule}{by})",
    )
    for step in item.steps:
        yield indented(cell(f"{step.target}: {step.command}"), 4)
        yield from _attempts(step)


def _attempts(step: StepLine) -> Iterator[RenderableType]:
    for item in step.attempts:
        yield indented(cell(attempt(item), "dim"), 6)
        for row in block(item.output, _OUTPUT):
            yield indented(cell(f"| {row}"), 6)


def _holds(view: Story) -> Iterator[RenderableType]:
    if not view.holds:
        return
    yield heading("Holds")
    yield pairs([(short(item.run), _hold(item, view.incident.opened)) for item in view.holds])


def _hold(item: HoldLine, opened: Millis) -> str:
    what = f"{item.plan} on {', '.join(item.targets) or '?'} since {stamp(item.since, opened)}"
    if item.released is not None:
        return f"{what}, released {stamp(item.released, opened)}: {item.why}"
    return f"{what}, {lists.lasts(item)}"


def _answered(view: Story) -> Iterator[RenderableType]:
    past = [item for item in view.questions if item.state != "pending"]
    if not past and not view.answers:
        return
    yield heading("Questions and answers")
    yield pairs([(short(item.id), _asked(item)) for item in past])
    yield pairs(
        [
            (
                stamp(item.at, view.incident.opened),
                f"{item.operator or 'somebody'} by {item.channel}: {item.taken_for}. {item.receipt}",
            )
            for item in view.answers
        ]
    )


def _asked(item: QuestionLine) -> Cell:
    by = f" by {item.answered_by}" if item.answered_by else ""
    answer = f": {item.answer}{by}" if item.answer else ""
    return sentence(f"{item.question} ", item.state, answer)


def _told(view: Story) -> Iterator[RenderableType]:
    if not view.messages:
        return
    yield heading("Messages")
    yield pairs(
        [(item.state if item.state == "sent" else cell(item.state), _message(item)) for item in view.messages]
    )


def _message(item: MessageLine) -> str:
    detail = f" ({line(item.detail, _DETAIL)})" if item.detail and item.state != "sent" else ""
    return f"{item.operator} by {item.channel}: {item.title}{detail}"


def _timeline(view: Story) -> Iterator[RenderableType]:
    yield heading("Timeline (UTC)")
    yield listing(
        ("", "", ""),
        [
            (cell(stamp(item.at, view.incident.opened), "dim"), cell(item.kind, "dim"), cell(item.text, ""))
            for item in view.timeline
        ],
        header=False,
    )
