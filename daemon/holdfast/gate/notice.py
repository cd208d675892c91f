"""The messages that ask nothing: what was seen, what was done, and what a person should do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from holdfast.gate.card import Card, cut, title
from holdfast.gate.judge import Judgement, JudgementKind
from holdfast.gate.shown_plan import plan_lines, summary
from holdfast.gate.wording import LINE_MAX, NAME_MAX, clean, clock, span
from holdfast.model.actions import Plan
from holdfast.model.events import EngineMode, EngineNews, Entry
from holdfast.model.policies import Effect, Verdict
from holdfast.model.records import Gate, Incident, Outcome, Run, RunState
from holdfast.model.values import Millis

_OUTPUT_MAX: Final = 400
_MAY_HAVE_HELPED: Final = frozenset({RunState.VERIFYING, RunState.VERIFIED})
_DOES: Final = {
    Effect.ALLOW: "Now: it runs by itself",
    Effect.HUMAN: "Now: it waits for an answer, a card follows",
    Effect.DENY: "Now: it is not run, the policies forbid it",
}


def opened(
    incident: Incident, *, rule: str, plans: Sequence[Plan], verdict: Verdict | None, commit: str
) -> Card:
    """Return the notice of a new or reopened incident, with what is done about it at once.

    No plans, or no verdict on them, means that the incident is only watched.
    """
    lines = [*_what(incident), f"Why: rule {clean(rule, NAME_MAX)} at config {clean(commit, NAME_MAX)}"]
    if verdict is None or not plans:
        lines.append("Now: nothing runs by itself, the incident is recorded and watched")
    else:
        lines.append(_DOES[verdict.effect])
        lines += [line for plan in plans for line in (f"Plan: {summary(plan)}", *plan_lines(plan))]
        lines += [
            f"- {clean(voice.policy, NAME_MAX)}: {clean(voice.why, LINE_MAX)}" for voice in verdict.voices
        ]
    kind = "Reopened" if incident.reopened else "Opened"
    return _notice(incident, kind, lines, "nothing, unless you know better than this plan")


def cleared(incident: Incident, *, runs: Sequence[Run], now: Millis) -> Card:
    """Return the notice that the fault was observed to be gone, and what had been run against it."""
    ended = now if incident.cleared is None else incident.cleared
    did = [f"Was run: {summary(run.plan)}, {run.state}" for run in runs] or ["Was run: nothing"]
    lines = [
        *_what(incident),
        f"Cleared: by observation at {clock(ended)}, after {_lasted(incident, ended)}",
        *did,
    ]
    helped = any(run.state in _MAY_HAVE_HELPED for run in runs)
    return _notice(incident, "Healed" if helped else "Cleared by itself", lines, "nothing")


def failed(incident: Incident, run: Run, outcome: Outcome) -> Card:
    """Return the notice that a run could not do what it says: its command failed or never started."""
    lines = [
        *_what(incident),
        f"Was run: {summary(run.plan)}",
        f"Result: {_ended(outcome)}",
        *_output(outcome),
    ]
    return _notice(incident, "Failed", lines, "look at the target, then take over")


def stuck(incident: Incident, why: str) -> Card:
    """Return the notice that the automation has come to its end with this incident, and hands over."""
    lines = [
        *_what(incident),
        f"Result: {clean(why, 2 * LINE_MAX)}",
        "Now: nothing more is tried for this part by itself; the incident stays open",
    ]
    return _notice(incident, "Needs you", lines, "take over")


def quarantined(entry: Entry, reason: str) -> Card:
    """Return the notice that one entry of the journal could not be handled and was set aside."""
    where = f"{entry.kind} {clean(entry.id, NAME_MAX)} from {clean(entry.source, NAME_MAX)}"
    lines = [
        "What happened: one entry of the journal could not be handled and was set aside",
        f"Entry: number {entry.seq}, {where}",
        f"Why: {clean(reason, 2 * LINE_MAX)}",
        "Now: everything after it goes on; what it asked for was not done",
        "For you to do: look at it with holdfast events --quarantined",
    ]
    return Card(title("Set aside", where), cut("\n".join(lines)))


def expired(incident: Incident, gate: Gate) -> Card:
    """Return the notice that nobody answered in time, and that therefore nothing ran."""
    lines = [
        *_what(incident),
        f"Was asked: {clean(gate.question, LINE_MAX)}",
        f"Result: no answer until {clock(gate.expires)}, so {clean(gate.silence, NAME_MAX)}; nothing ran",
    ]
    return _notice(incident, "No answer", lines, "look at the incident: it stays open")


def receipt_message(
    incident: Incident, gate: Gate, judgement: Judgement, *, operator: str, channel: str
) -> Card:
    """Return what a reply did, for a channel other than the one that it came from."""
    lines = [
        *_what(incident),
        f"Was asked: {clean(gate.question, LINE_MAX)}",
        f"Reply: by {clean(operator, NAME_MAX)} over {clean(channel, NAME_MAX)}",
        f"Result: {clean(judgement.receipt, 2 * LINE_MAX)}",
    ]
    taken = judgement.kind in {JudgementKind.ACCEPTED, JudgementKind.DENIED}
    todo = "if this was not you, stop everything: holdfast stop-all" if taken else "nothing"
    return _notice(incident, "Answered" if taken else "Reply without effect", lines, todo)


def engine(incident: Incident, news: EngineNews) -> Card:
    """Return that the matching engine failed, and that nothing waits for it."""
    lines = [
        *_what(incident),
        f"Why: {clean(news.why, LINE_MAX)}",
        "Meanwhile: every event is matched natively; nothing was lost, and nothing waits",
    ]
    if news.mode is EngineMode.NATIVE:
        todo = "restart the daemon or push a config to try the engine again; docs/engine.md tells how to look"
    else:
        todo = "nothing: it is started again by itself"
    return _notice(incident, "Engine", lines, todo)


def _notice(incident: Incident, kind: str, lines: Sequence[str], todo: str) -> Card:
    story = f"The whole story: holdfast show {clean(incident.id, NAME_MAX)}"
    heading = title(f"{kind} [{incident.severity}]", incident.title)
    return Card(heading, cut("\n".join([*lines, f"For you to do: {todo}", story])))


def _what(incident: Incident) -> list[str]:
    where = clean(incident.service or incident.subject, NAME_MAX)
    return [
        f"What happened: {clean(incident.title, LINE_MAX)}",
        f"State: {incident.severity} {clean(incident.type, NAME_MAX)} on {where}, {incident.state}",
    ]


def _lasted(incident: Incident, until: Millis) -> str:
    return span(until - incident.opened)


def _ended(outcome: Outcome) -> str:
    code = "" if outcome.exit_code is None else f", exit code {outcome.exit_code}"
    detail = f": {clean(outcome.detail, LINE_MAX)}" if outcome.detail else ""
    return f"{outcome.kind}{code}{detail}"


def _output(outcome: Outcome) -> list[str]:
    """The end of the output: an error stands on the last line."""
    tail = outcome.output.strip()[-_OUTPUT_MAX:]
    return [f"Output ends: {clean(tail, _OUTPUT_MAX)}"] if tail else []
