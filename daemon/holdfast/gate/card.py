"""The card: one question on one phone screen, and below it everything that the answer rests on.

Every line starts with words of ours, so that no line of a quoted card is by itself a reply.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.gate.judge import runs_something
from holdfast.gate.reply import DENY
from holdfast.gate.shown_plan import plan_lines, summary
from holdfast.gate.token import display, normalise
from holdfast.gate.wording import CODE_PLACEHOLDER, LINE_MAX, NAME_MAX, clean, clock, span
from holdfast.model.policies import Verdict
from holdfast.model.records import Choice, Gate, Incident, TimelineItem
from holdfast.model.values import Millis

TITLE_MAX: Final = 120
BODY_MAX: Final = 12_000

_EVIDENCE_SHOWN: Final = 5
_VOICES_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Card:
    """A message: the title is one line, the body plain text with `CODE_PLACEHOLDER` at most once."""

    title: str
    body: str


def card(
    incident: Incident,
    gate: Gate,
    *,
    evidence: Sequence[TimelineItem],
    verdict: Verdict | None,
    commit: str,
    operator: str,
    now: Millis,
    unknown_guards: Sequence[str] = (),
    changed: str = "",
    recommended: str | None = None,
) -> Card:
    """Return the card for one gate and one operator, the most needed first.

    `evidence` is in order of time; `unknown_guards` are `unless` guards that could not be read;
    `changed` is the sentence of `basis.changed` for a card that replaces another; `recommended` names
    a choice, by default the first that runs something.
    """
    parts = [
        _question(incident, gate, operator=operator, now=now, changed=changed, recommended=recommended),
        _answer(gate, now),
        _choices(gate),
        _belief(gate, evidence, unknown_guards),
        _policies(verdict),
        [f"Config: {clean(commit, NAME_MAX)}", *_whole_story(incident)],
    ]
    body = "\n\n".join("\n".join(lines) for lines in parts if lines)
    return Card(title(f"Asks [{incident.severity}]", incident.title), cut(body))


def fill(body: str, code: str) -> str:
    """Return the body with the reply code in its place; raises ValueError for what is not a code."""
    known = normalise(code)
    if known is None:
        raise ValueError("only a reply code can be filled into a card: six symbols of Crockford base32")
    return body.replace(CODE_PLACEHOLDER, display(known))


def title(kind: str, text: str) -> str:
    """Return a title of one line, safe as a mail subject, whatever the text holds."""
    return clean(f"{kind}: {clean(text, TITLE_MAX)}", TITLE_MAX)


def cut(body: str) -> str:
    """Return the body, or as much of it as a phone takes, with a last line that says so."""
    if len(body) <= BODY_MAX:
        return body
    whole_lines, _, _ = body[: BODY_MAX - 100].rpartition("\n")
    return f"{whole_lines}\n… cut here: the server shows the rest."


def _question(
    incident: Incident, gate: Gate, *, operator: str, now: Millis, changed: str, recommended: str | None
) -> list[str]:
    where = clean(incident.service or incident.subject, NAME_MAX)
    kind = f"{incident.severity} {clean(incident.type, NAME_MAX)} on {where}"
    again = f", reopened {incident.reopened} times" if incident.reopened else ""
    lines = [
        f"What happened: {clean(incident.title, LINE_MAX)}",
        f"State: {kind}, {incident.state} for {span(now - incident.opened)}{again}",
        f"Question for {clean(operator, NAME_MAX)}: {clean(gate.question, LINE_MAX)}",
    ]
    if changed:
        lines.insert(0, f"This card replaces an older one. {clean(changed, 2 * LINE_MAX)}")
    running = [choice.name for choice in gate.choices if runs_something(gate, choice)]
    advice = recommended or (running[0] if running else None)
    return [*lines, f"Recommended: {clean(advice, NAME_MAX)}"] if advice else lines


def _answer(gate: Gate, now: Millis) -> list[str]:
    running = [clean(choice.name, NAME_MAX) for choice in gate.choices if runs_something(gate, choice)]
    harmless = [clean(choice.name, NAME_MAX) for choice in gate.choices if not runs_something(gate, choice)]
    lines = ["How to answer: reply with one line and nothing else on it."]
    if running:
        lines += [
            f"- to run: {' or '.join(running)}, a space, your code",
            f"- your code: {CODE_PLACEHOLDER}",
        ]
    until = f"{clock(gate.expires)}, in {span(gate.expires - now)}"
    silence = clean(gate.silence, NAME_MAX)
    return [
        *lines,
        f"- to run nothing, no code needed: {' or '.join(harmless) or DENY}",
        f"- or on the server: holdfast answer {clean(gate.id, NAME_MAX)} CHOICE",
        f"Without an answer until {until}: {silence}. Nothing runs; the incident stays open.",
    ]


def _choices(gate: Gate) -> list[str]:
    return [line for choice in gate.choices for line in _choice(gate, choice)]


def _choice(gate: Gate, choice: Choice) -> list[str]:
    name = clean(choice.name, NAME_MAX)
    if choice.plan is None:
        held = "releases the held run" if runs_something(gate, choice) else "nothing runs"
        return [f"Choice {name}: {held}."]
    return [f"Choice {name}: {summary(choice.plan)}", *plan_lines(choice.plan)]


def _belief(gate: Gate, evidence: Sequence[TimelineItem], unknown_guards: Sequence[str]) -> list[str]:
    lines = [f"Why: rule {clean(gate.rule, NAME_MAX)}"]
    shown = evidence[-_EVIDENCE_SHOWN:]
    if len(shown) < len(evidence):
        lines.append(f"- … {len(evidence) - len(shown)} earlier lines")
    lines += [f"- {clock(item.at)} {clean(item.text, LINE_MAX)}" for item in shown]
    lines += [
        f"- guard {clean(guard, NAME_MAX)}: unknown, counted as not holding"
        for guard in unknown_guards[:_VOICES_SHOWN]
    ]
    return lines


def _policies(verdict: Verdict | None) -> list[str]:
    if verdict is None:
        return []
    lines = [f"Policy: {verdict.effect}, {verdict.category}"]
    lines += [
        f"- {clean(voice.policy, NAME_MAX)}: {voice.effect}, {clean(voice.why, LINE_MAX)}"
        for voice in verdict.voices[:_VOICES_SHOWN]
    ]
    hidden = len(verdict.voices) - _VOICES_SHOWN
    return [*lines, f"- … and {hidden} more"] if hidden > 0 else lines


def _whole_story(incident: Incident) -> list[str]:
    return [f"The whole story: holdfast show {clean(incident.id, NAME_MAX)}"]
