"""One incident with everything that one operator needs to decide, gathered from the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from holdfast.cli.views import (
    HoldLine,
    IncidentLine,
    QuestionLine,
    RunLine,
    hold_list,
    incident_line,
    question_line,
    run_line,
)
from holdfast.cli.words import command
from holdfast.model.actions import PlannedStep
from holdfast.model.records import Incident, TimelineItem
from holdfast.model.values import Json, Millis
from holdfast.store import gates, incidents, outbox, runs
from holdfast.store.database import Tx
from holdfast.store.runs import Attempt


@dataclass(frozen=True, slots=True)
class TimelineLine:
    """One line of the story; `seq` is the journal entry that led to it."""

    at: Millis
    seq: int
    kind: str
    text: str
    commit: str


@dataclass(frozen=True, slots=True)
class HolderLine:
    """One rule that fired, for which values of its `per`, and whether it is clear again."""

    rule: str
    key: str
    clear: bool


@dataclass(frozen=True, slots=True)
class EvidenceLine:
    """One event that a rule fired on; `guards` are the `unless` that held or could not be read."""

    at: Millis
    seq: int
    rule: str
    text: str
    commit: str
    event: Json
    guards: Json


@dataclass(frozen=True, slots=True)
class VoiceLine:
    """What one policy said, and why."""

    policy: str
    effect: str
    why: str


@dataclass(frozen=True, slots=True)
class DecisionLine:
    """One verdict on one run, with every policy that spoke, the strictest first."""

    at: Millis
    run: str
    effect: str
    category: str
    steps: tuple[str, ...]
    voices: tuple[VoiceLine, ...]
    commit: str


@dataclass(frozen=True, slots=True)
class AttemptLine:
    """One attempt of one step, and what became of it as far as anyone can prove."""

    id: str
    number: int
    state: str
    created: Millis
    outcome: str | None
    exit_code: int | None
    started: Millis | None
    ended: Millis | None
    output: str
    detail: str


@dataclass(frozen=True, slots=True)
class StepLine:
    """One command on one target, and its attempts."""

    action: str
    target: str
    command: str
    risk: str
    touches: tuple[str, ...]
    undo: tuple[str, ...]
    attempts: tuple[AttemptLine, ...]


@dataclass(frozen=True, slots=True)
class RunStory:
    """One run with its steps."""

    run: RunLine
    steps: tuple[StepLine, ...]


@dataclass(frozen=True, slots=True)
class AnswerLine:
    """One reply, what it was taken for, and what the operator was told."""

    at: Millis
    question: str | None
    channel: str
    operator: str | None
    taken_for: str
    choice: str | None
    receipt: str


@dataclass(frozen=True, slots=True)
class MessageLine:
    """One message to one operator, and whether it arrived."""

    id: str
    operator: str
    channel: str
    title: str
    question: str | None
    state: str
    attempt: int
    detail: str


@dataclass(frozen=True, slots=True)
class Story:
    """One incident: what it is, why it is believed, what was decided, done, asked and told."""

    incident: IncidentLine
    rules: tuple[HolderLine, ...]
    evidence: tuple[EvidenceLine, ...]
    decisions: tuple[DecisionLine, ...]
    runs: tuple[RunStory, ...]
    questions: tuple[QuestionLine, ...]
    answers: tuple[AnswerLine, ...]
    messages: tuple[MessageLine, ...]
    holds: tuple[HoldLine, ...]
    timeline: tuple[TimelineLine, ...]


def story(tx: Tx, incident: Incident) -> Story:
    """Everything that the store knows about an incident."""
    items = incidents.story(tx, incident.id)
    return Story(
        incident=incident_line(incident),
        rules=tuple(HolderLine(*holder) for holder in incidents.holders(tx, incident.id)),
        evidence=tuple(_evidence(items)),
        decisions=tuple(_decisions(items)),
        runs=tuple(
            RunStory(run_line(run), tuple(_steps(run.plan.steps, runs.attempts_of(tx, run.id))))
            for run in runs.of_incident(tx, incident.id)
        ),
        questions=tuple(question_line(gate) for gate in gates.of_incident(tx, incident.id)),
        answers=tuple(
            AnswerLine(item.at, item.gate, item.channel, item.operator, item.kind, item.choice, item.receipt)
            for item in gates.answers_of(tx, incident.id)
        ),
        messages=tuple(_messages(tx, incident.id)),
        holds=hold_list(tx, incident.id).holds,
        timeline=tuple(TimelineLine(item.at, item.seq, item.kind, item.text, item.commit) for item in items),
    )


def _evidence(items: Iterable[TimelineItem]) -> Iterator[EvidenceLine]:
    for item in items:
        if item.kind == "evidence":
            yield EvidenceLine(
                at=item.at,
                seq=item.seq,
                rule=_text(item.data, "rule"),
                text=item.text,
                commit=item.commit,
                event=item.data.get("event"),
                guards=item.data.get("guards") or [],
            )


def _decisions(items: Iterable[TimelineItem]) -> Iterator[DecisionLine]:
    for item in items:
        verdict = item.data.get("verdict")
        if item.kind == "decided" and isinstance(verdict, dict):
            voices = verdict.get("voices")
            steps = item.data.get("steps")
            yield DecisionLine(
                at=item.at,
                run=_text(item.data, "run"),
                effect=_text(verdict, "effect"),
                category=_text(verdict, "category"),
                steps=tuple(str(step) for step in steps) if isinstance(steps, list) else (),
                voices=tuple(
                    VoiceLine(_text(voice, "policy"), _text(voice, "effect"), _text(voice, "why"))
                    for voice in (voices if isinstance(voices, list) else [])
                    if isinstance(voice, dict)
                ),
                commit=item.commit,
            )


def _steps(planned: Iterable[PlannedStep], attempts: list[Attempt]) -> Iterator[StepLine]:
    for index, step in enumerate(planned):
        yield StepLine(
            action=step.action,
            target=step.target,
            command=command(step.argv, 600),
            risk=str(step.risk),
            touches=tuple(str(item) for item in step.touches),
            undo=tuple(f"{back.target}: {command(back.argv, 600)}" for back in step.undo),
            attempts=tuple(_attempt(attempt) for attempt in attempts if attempt.step == index),
        )


def _attempt(attempt: Attempt) -> AttemptLine:
    outcome = attempt.outcome
    return AttemptLine(
        id=attempt.order.id,
        number=attempt.number,
        state=str(attempt.state),
        created=attempt.created,
        outcome=None if outcome is None else str(outcome.kind),
        exit_code=None if outcome is None else outcome.exit_code,
        started=None if outcome is None else outcome.started,
        ended=None if outcome is None else outcome.ended,
        output="" if outcome is None else outcome.output,
        detail="" if outcome is None else outcome.detail,
    )


def _messages(tx: Tx, incident: str) -> Iterator[MessageLine]:
    for message, state, detail in outbox.of_incident(tx, incident):
        yield MessageLine(
            id=message.id,
            operator=message.operator,
            channel=message.channel,
            title=message.title,
            question=message.gate,
            state=str(state),
            attempt=message.attempt,
            detail=detail,
        )


def _text(data: Mapping[str, Json], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else "?"
