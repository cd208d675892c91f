"""Whatever a sender wrote: the terminal shows it and obeys none of it, and JSON stays JSON."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest

from holdfast.model.actions import Plan
from holdfast.model.kinds import EntryKind
from holdfast.model.records import Choice, IncidentState
from holdfast.store.outbox import MessageState

OBEYED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
NASTY = (
    "\x1b[2J\x1b[31m\x1b]0;owned\x07\x1b]8;;http://evil\x1b\\link \u009b2J \u202etxet \u2066x\u2069"
    "\u200b\u2028\u0085\r\n\x00\x7f [bold red on white]markup[/bold red on white] [link=file:///etc]l[/]"
    ":boom: [/] {code} \U000e0041"
)

COMMANDS = [
    ["incidents", "--all"],
    ["show", "i1"],
    ["show", "i1", "--markdown"],
    ["explain", "i1"],
    ["events"],
    ["events", "--quarantined"],
    ["runs"],
    ["holds"],
    ["approve"],
    ["status"],
]


@pytest.fixture
def nasty(filling: Any) -> None:
    with filling(1_700_000_000_000) as fill:
        incident = fill.outage(1, NASTY, type=NASTY, service=NASTY, subject=NASTY)
        plan = Plan(NASTY, (fill.step(NASTY, NASTY, argv=("echo", NASTY)),))
        run = fill.run(incident, 1, plan=plan)
        fill.hold(run)
        gate = fill.gate(
            incident, 1, 2_000_000_000_000, question=NASTY, choices=(Choice(NASTY, plan), Choice("wait"))
        )
        fill.answer(gate, 9, NASTY, NASTY)
        fill.message(incident, 1, MessageState.FAILED, NASTY)
        fill.note(incident, NASTY, NASTY, {"rule": NASTY})
        fill.note(incident, "evidence", NASTY, {"rule": NASTY, "guards": [{"name": NASTY, "truth": NASTY}]})
        verdict = {
            "effect": NASTY,
            "category": NASTY,
            "voices": [{"policy": NASTY, "effect": NASTY, "why": NASTY}],
        }
        fill.note(incident, "decided", NASTY, {"run": NASTY, "verdict": verdict, "steps": [NASTY]})
        fill.outage(2, NASTY, state=IncidentState.CLOSED)
        seqs = fill.journal(
            (EntryKind.EVENT, {"type": NASTY, "service": NASTY, "data": {NASTY: NASTY}}),
            (EntryKind.REPLY, {"sender": NASTY, "text": NASTY}),
            (EntryKind.OUTCOME, [NASTY]),
            (EntryKind.EVENT, NASTY.encode()),
        )
        fill.set_aside(seqs[3], NASTY)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_terminal_obeys_nothing_that_a_sender_wrote(holdfast: Any, nasty: None, command: list[str]) -> None:
    shown = holdfast(*command)

    assert shown.code == (4 if command == ["status"] else 0)
    assert {sign for sign in shown.out + shown.err if unicodedata.category(sign) in OBEYED} <= {"\n"}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_markup_of_a_sender_is_shown_as_text(holdfast: Any, nasty: None, command: list[str]) -> None:
    shown = holdfast(*command).out.replace("\\", "")

    assert "[bold red on white]markup[/bold red on white]" in shown


@pytest.mark.parametrize(
    "command", [command for command in COMMANDS if "--markdown" not in command], ids=" ".join
)
def test_json_holds_every_character_and_cannot_touch_the_terminal(
    holdfast: Any, nasty: None, command: list[str]
) -> None:
    shown = holdfast(*command, "--json")

    assert {sign for sign in shown.out if unicodedata.category(sign) in OBEYED} <= {"\n"}
    assert NASTY in _texts(shown.json)


@pytest.mark.parametrize("command", ["show", "explain", "deny", "approve"])
def test_what_was_typed_is_no_less_hostile(holdfast: Any, nasty: None, command: str) -> None:
    shown = holdfast(command, NASTY.replace("\0", "").replace("/", ""))

    assert (shown.code, shown.out) == (3, "")
    assert {sign for sign in shown.err if unicodedata.category(sign) in OBEYED} <= {"\n"}
    assert shown.err.count("\n") == 1


def _texts(value: Any) -> set[str]:
    """Every text in a JSON value, names too."""
    if isinstance(value, dict):
        return set(value) | {text for item in value.values() for text in _texts(item)}
    if isinstance(value, list):
        return {text for item in value for text in _texts(item)}
    return {value} if isinstance(value, str) else set()
