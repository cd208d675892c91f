"""The operator's answers over the real control door; what the pipeline makes of them is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.model.kinds import EntryKind
from holdfast.model.records import Choice, InboundReply
from holdfast.store import journal
from holdfast.store.database import Database


def ruled(kind: str, receipt: str = "said") -> Callable[[int], Any]:
    """A pipeline that takes every reply for this."""
    return lambda seq: {"seq": seq, "kind": kind, "receipt": receipt, "choice": None}


def replies(database: Database) -> list[tuple[str, str, str | None]]:
    """What was answered to which question by whom."""
    with database.read() as tx:
        said = [entry for entry in journal.latest(tx, 100, EntryKind.REPLY) if entry.source == "cli"]
    found = [msgspec.json.decode(entry.body, type=InboundReply) for entry in said]
    return [(reply.thread_ref, reply.text, reply.operator) for reply in found]


@pytest.mark.parametrize("asked", ["g44", "g44-abcdefgh", "i41", "i41-abcdefgh"])
def test_a_question_is_named_by_its_id_or_by_its_incident(
    holdfast: Any, control: Any, outage: int, database: Database, asked: str
) -> None:
    control.decide = ruled("accepted", "it starts now")
    shown = holdfast("answer", asked, "roll-back")

    assert (shown.code, shown.out, shown.err) == (0, "it starts now\n", "")
    assert replies(database) == [("g44-abcdefgh", "roll-back", "ana")]


def test_the_receipt_in_json(holdfast: Any, control: Any, outage: int) -> None:
    control.decide = ruled("accepted", "it starts now")
    found = holdfast("answer", "g44", "wait", "--json").json

    assert found == {
        "question": "g44-abcdefgh",
        "choice": "wait",
        "operator": "ana",
        "kind": "accepted",
        "receipt": "it starts now",
        "seq": 4,
    }


def test_approving_takes_the_only_choice_that_runs_something(
    holdfast: Any, control: Any, outage: int, database: Database
) -> None:
    control.decide = ruled("accepted")
    shown = holdfast("approve", "i41")

    assert shown.code == 0
    assert replies(database) == [("g44-abcdefgh", "roll-back", "ana")]


def test_approving_takes_the_choice_of_that_name_first(
    holdfast: Any, control: Any, filling: Any, database: Database
) -> None:
    control.decide = ruled("accepted")
    with filling(1000) as fill:
        plan = fill.run(fill.outage(1), 1).plan
        fill.gate(
            fill.outage(2), 2, 9000, choices=(Choice("other", plan), Choice("approve", plan), Choice("deny"))
        )
    holdfast("approve", "g2")

    assert [text for _, text, _ in replies(database)] == ["approve"]


def test_approving_a_question_with_two_ways_asks_which(
    holdfast: Any, control: Any, filling: Any, database: Database
) -> None:
    with filling(1000) as fill:
        incident = fill.outage(1)
        plan = fill.run(incident, 1).plan
        fill.gate(incident, 2, 9000, choices=(Choice("left", plan), Choice("right", plan), Choice("wait")))
    shown = holdfast("approve", "g2")

    assert (shown.code, shown.out) == (2, "")
    assert "holdfast answer g2-abcdefgh left|right|wait" in shown.err
    assert replies(database) == []


def test_denying_says_deny_and_is_taken(holdfast: Any, control: Any, outage: int, database: Database) -> None:
    control.decide = ruled("denied", "nothing runs")
    shown = holdfast("deny", "i41")

    assert (shown.code, shown.out) == (0, "nothing runs\n")
    assert replies(database) == [("g44-abcdefgh", "deny", "ana")]


@pytest.mark.parametrize(
    "kind", ["expired", "already-answered", "void", "not-allowed", "not-needed", "anything"]
)
def test_an_answer_that_was_not_taken_exits_with_five(
    holdfast: Any, control: Any, outage: int, kind: str
) -> None:
    control.decide = ruled(kind, "why not")
    shown = holdfast("approve", "i41")
    found = holdfast("approve", "i41", "--json")

    assert (shown.code, shown.out) == (5, "why not\n")
    assert (found.code, found.json["kind"]) == (5, kind)


def test_an_answer_to_nothing_is_not_found(holdfast: Any, control: Any, outage: int) -> None:
    control.decide = ruled("not-found", "no open question belongs to this reply")
    shown = holdfast("approve", "i41")

    assert (shown.code, shown.out, shown.err) == (3, "", "holdfast: no open question belongs to this reply\n")


def test_a_choice_that_the_question_has_not_is_refused_before_it_is_sent(
    holdfast: Any, control: Any, outage: int, database: Database
) -> None:
    shown = holdfast("answer", "g44", "rollback")

    assert (shown.code, shown.out) == (2, "")
    assert shown.err == "holdfast: 'rollback' is no choice of g44-abcdefgh: answer with roll-back or wait\n"
    assert replies(database) == []


def test_an_incident_without_a_question_is_not_found(holdfast: Any, control: Any, outage: int) -> None:
    assert holdfast("approve", "i7").code == 3
    assert holdfast("approve", "g99").err.startswith("holdfast: there is no question 'g99'")


def test_an_incident_with_two_questions_asks_which(
    holdfast: Any, control: Any, outage: int, filling: Any
) -> None:
    with filling(2000) as fill:
        fill.gate(replace(fill.outage(50), id="i41-abcdefgh"), 51, 9000)
    shown = holdfast("approve", "i41")

    assert (shown.code, shown.out) == (2, "")
    assert "g44-abcdefgh" in shown.err
    assert "g51-abcdefgh" in shown.err


def test_an_answer_that_is_not_decided_in_time_fails_and_says_that_it_is_on_disk(
    holdfast: Any, control: Any, outage: int, database: Database
) -> None:
    control.hangs = True
    shown = holdfast("approve", "i41")

    assert (shown.code, shown.out) == (1, "")
    assert "on disk" in shown.err
    assert len(replies(database)) == 1


def test_a_pipeline_without_a_receipt_is_a_failure(holdfast: Any, control: Any, outage: int) -> None:
    assert holdfast("approve", "i41").code == 1


def test_somebody_who_is_no_operator_is_refused(
    holdfast: Any, control: Any, outage: int, database: Database
) -> None:
    control.decide = ruled("accepted")
    shown = holdfast("approve", "i41", "--operator", "eve")

    assert (shown.code, shown.out) == (2, "")
    assert shown.err == "holdfast: There is no operator 'eve'. Name one of the config: ana.\n"
    assert replies(database) == []


def test_with_several_operators_somebody_has_to_say_who(
    holdfast: Any, control: Any, outage: int, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    control.decide = ruled("accepted")
    control.add_operator("ben")
    shown = holdfast("approve", "i41")
    monkeypatch.setenv("HOLDFAST_OPERATOR", "ben")
    named = holdfast("approve", "i41")

    assert (shown.code, shown.err) == (2, "holdfast: who answers? Say --operator ana or --operator ben\n")
    assert named.code == 0
    assert replies(database) == [("g44-abcdefgh", "roll-back", "ben")]


def test_without_an_operator_nobody_can_answer(holdfast: Any, control: Any, outage: int) -> None:
    control.no_operators()
    shown = holdfast("approve", "i41")

    assert (shown.code, shown.err) == (
        5,
        "holdfast: the config declares no operator: add one to holdfast.yaml, then answer\n",
    )


def test_a_daemon_that_does_not_name_its_operators_is_helped_by_the_config(
    holdfast: Any, control: Any, outage: int, tmp_path: Path, database: Database
) -> None:
    control.decide = ruled("accepted")
    control.says = {"version": "0.1.0"}
    broken = holdfast("approve", "i41")
    holdfast("init", str(tmp_path / "config"))
    site = tmp_path / "config" / "holdfast.yaml"
    site.write_text(site.read_text().replace("  me:\n", "  ana:\n"))
    helped = holdfast("approve", "i41")

    assert (broken.code, broken.out) == (2, "")
    assert "who answers? Say --operator NAME" in broken.err
    assert helped.code == 0, helped.err
    assert replies(database) == [("g44-abcdefgh", "roll-back", "ana")]


def test_approving_without_an_id_lists_and_answers_nothing_where_nobody_sits(
    holdfast: Any, control: Any, outage: int, database: Database
) -> None:
    shown = holdfast("approve")

    assert shown.code == 0
    assert "web1: sudo -n /usr/local/bin/roll-back shop" in shown.out
    assert replies(database) == []


def test_nothing_waits(holdfast: Any, database: Database) -> None:
    assert holdfast("approve").out == "No question waits for an answer.\n"
    assert holdfast("approve", "--json").json == {"pending": []}
