from __future__ import annotations

import msgspec
import pytest
from tests.unit.ruletest.conftest import (
    ACTIONS,
    ASKS,
    DOWN,
    NOBODY,
    ORDER,
    ORDERS,
    PAID,
    POLICIES,
    SITE,
    SUGGESTS,
    UP,
    Staged,
    loaded,
    played,
)

from holdfast.model.events import Event
from holdfast.model.records import IncidentState, OutcomeKind, RunState
from holdfast.model.ruletests import Ends, Send
from holdfast.model.values import DAY, HOUR, MINUTE, SECOND
from holdfast.ruletest.events import event_of
from holdfast.ruletest.looking import standing
from holdfast.ruletest.stage import BEGIN, CannotGoOn, Stage
from holdfast.store import incidents, journal, runs, timers

FAIL = Send("shop-probe", data={"ok": False, "status": 500})
WELL = Send("shop-probe", data={"ok": True, "status": 200})


def heard(stage: Stage, send: Send, times: int = 1, key: str = "") -> None:
    """Let events in, ten seconds apart."""
    for number in range(times):
        if number:
            stage.wait(10 * SECOND)
        stage.take(event(stage, send, key or f"{stage.now}-{number}-{send.data}"))


def event(stage: Stage, send: Send, key: str) -> Event:
    return event_of(send, stage.snapshot, stage.now, key)


def states(stage: Stage) -> list[RunState | None]:
    return [run.state for run in stage.look(standing).runs or ()]


def test_a_story_begins_on_the_first_of_january_2026(staged: Staged) -> None:
    stage = staged()

    assert (BEGIN, stage.now) == (1_767_225_600_000, BEGIN)
    assert stage.look(timers.next_due) == BEGIN + HOUR


def test_time_passes_only_when_it_is_told_to(staged: Staged) -> None:
    stage = staged()
    heard(stage, FAIL, 3)
    assert stage.now == BEGIN + 20 * SECOND

    stage.wait(5 * SECOND)

    assert stage.now == BEGIN + 25 * SECOND
    assert [run.changed for run in stage.look(lambda tx: runs.latest(tx, 9))] == [BEGIN + 20 * SECOND]


def test_what_becomes_due_happens_when_it_is_due_and_not_before(staged: Staged) -> None:
    stage = staged()
    heard(stage, FAIL, 3)

    stage.wait(90 * SECOND - 1)
    assert states(stage) == [RunState.VERIFYING]
    stage.wait(1)

    assert states(stage) == [RunState.INEFFECTIVE]


def test_a_timer_goes_off_at_its_own_time_on_a_long_wait(staged: Staged) -> None:
    stage = staged(restart_unit=Ends.FAILS)
    heard(stage, FAIL, 3)
    begun = stage.now
    stage.wait(DAY)
    run = stage.look(lambda tx: runs.latest(tx, 1))[0]
    tried = [attempt.created - begun for attempt in stage.look(lambda tx: runs.attempts_of(tx, run.id))]

    assert (tried, run.state) == ([0, 2 * SECOND, 6 * SECOND], RunState.FAILED)
    assert run.changed == begun + 6 * SECOND


def test_a_month_passes_with_every_tick_in_order(staged: Staged) -> None:
    stage = staged()
    heard(stage, FAIL, 3)
    stage.wait(30 * DAY)
    incident = stage.look(incidents.listed)[0]
    told = [(item.at, item.seq) for item in stage.look(lambda tx: incidents.story(tx, incident.id))]

    assert stage.now == BEGIN + 20 * SECOND + 30 * DAY
    assert told == sorted(told)
    assert told[-1][0] == BEGIN + 20 * SECOND + 90 * SECOND + 30 * MINUTE
    assert stage.look(timers.next_due) == BEGIN + 30 * DAY + HOUR
    assert stage.look(journal.cursor) > 30 * 24


def test_an_event_that_was_heard_already_changes_nothing(staged: Staged) -> None:
    stage = staged()
    for _ in range(5):
        heard(stage, FAIL, key="same")

    assert stage.look(standing).incidents == ()


def test_the_same_id_of_another_source_is_another_event(staged: Staged) -> None:
    stage = staged()
    for source, subject in (("anything", "ana"), ("anything", "bob"), ("orders", "cleo")):
        failed = Send(source, type="order.failed", subject=subject, data={"amount": 1})
        stage.take(event(stage, failed, "same"))

    assert [one.subject for one in stage.look(standing).incidents or ()] == ["ana", "cleo"]


def test_a_command_that_is_not_named_succeeds(staged: Staged) -> None:
    stage = staged(page_up=Ends.FAILS)
    heard(stage, FAIL, 3)
    run = stage.look(lambda tx: runs.latest(tx, 1))[0]
    outcome = stage.look(lambda tx: runs.attempts_of(tx, run.id))[0].outcome

    assert run.state is RunState.VERIFYING
    assert outcome is not None
    assert (outcome.kind, outcome.exit_code, outcome.started, outcome.ended, outcome.detail) == (
        OutcomeKind.ENDED,
        0,
        stage.now,
        stage.now,
        "as the test says",
    )


@pytest.mark.parametrize(
    ("ends", "kind", "code", "tries", "state"),
    [
        (Ends.SUCCEEDS, OutcomeKind.ENDED, 0, 1, RunState.INEFFECTIVE),
        (Ends.FAILS, OutcomeKind.ENDED, 1, 3, RunState.FAILED),
        (Ends.UNREACHED, OutcomeKind.NOT_STARTED, None, 3, RunState.FAILED),
        (Ends.UNKNOWN, OutcomeKind.UNKNOWN, None, 4, RunState.UNKNOWN),
    ],
)
def test_a_command_ends_as_the_test_says(
    staged: Staged, ends: Ends, kind: OutcomeKind, code: int | None, tries: int, state: RunState
) -> None:
    stage = staged(restart_unit=ends)
    heard(stage, FAIL, 3)
    stage.wait(5 * MINUTE)
    run = stage.look(lambda tx: runs.latest(tx, 1))[0]
    attempts = stage.look(lambda tx: runs.attempts_of(tx, run.id))
    outcomes = [attempt.outcome for attempt in attempts]

    assert run.state is state
    assert [outcome and (outcome.kind, outcome.exit_code) for outcome in outcomes] == [(kind, code)] * tries


def test_what_is_tried_again_at_the_same_millisecond_comes_to_an_end() -> None:
    actions = ACTIONS.replace(
        "{attempts: 3, backoff: 2s, jitter: false}", "{attempts: 10, backoff: 1ms, factor: 1}"
    )
    script = f"{DOWN}- wait: 1s\n- expect: {{runs: [{{state: failed}}]}}\n"

    assert played(script, "restart-unit: fails", actions=actions) == []


@pytest.mark.parametrize(
    ("choice", "runs_then"),
    [
        ("run-again", "{do: restart-unit, state: unknown}, {do: restart-unit, state: unknown}"),
        ("leave", "{do: restart-unit, state: unknown}"),
    ],
)
def test_an_unknown_end_is_asked_about(choice: str, runs_then: str) -> None:
    script = f"""{DOWN}- wait: 1m
- expect: {{runs: [{{state: unknown}}], asks: [{{choices: [run-again, leave]}}]}}
- answer: {choice}
- wait: 1m
- expect: {{runs: [{runs_then}]}}
"""

    assert played(script, "restart-unit: unknown") == []


def test_a_hold_lasts_until_the_incident_clears_and_is_then_undone() -> None:
    script = f"""{ORDER}- expect: {{runs: [{{do: page-up, state: verified}}], holds: [page-up]}}
- wait: 2d
- expect: {{holds: [page-up]}}
{PAID}- expect:
    incidents: [{{state: cleared}}]
    runs: [{{do: page-up}}, {{do: undo page-up, at: [web2], verdict: allow, state: verified}}]
    holds: []
"""

    assert played(script) == []


def test_a_hold_of_some_time_is_undone_when_that_is_over() -> None:
    script = f"""{ORDER}- wait: 599s
- expect: {{holds: [page-up]}}
- wait: 1s
- expect: {{holds: [], runs: [{{do: page-up}}, {{do: undo page-up}}], incidents: [{{state: open}}]}}
"""

    assert played(script, orders=ORDERS.replace("until-clear", "10m")) == []


def test_an_undo_that_fails_leaves_what_it_was_to_take_back() -> None:
    script = (
        f"{ORDER}{PAID}- expect: {{runs: [{{}}, {{do: undo page-up, state: failed}}], holds: [page-up]}}\n"
    )

    assert played(script.replace("{}", "{do: page-up}"), "page-down: fails") == []


def test_a_question_that_nobody_answers_expires_and_nothing_runs() -> None:
    script = f"""{DOWN}- wait: 90s
- expect: {{asks: [{{choices: [roll-back, wait]}}]}}
- wait: 30m
- expect: {{asks: [], runs: [{{do: restart-unit}}]}}
"""

    assert played(script) == []


def test_a_run_that_nobody_approves_expires() -> None:
    script = f"""- event: {{source: deploys}}
{DOWN}- wait: 30m
- expect: {{asks: [{{choices: [roll-back, wait]}}], runs: [{{state: expired}}]}}
"""

    assert played(script) == []


def test_a_run_that_is_denied_never_starts() -> None:
    script = f"""- event: {{source: deploys}}
{DOWN}- answer: deny
- expect: {{runs: [{{state: denied}}], asks: [{{choices: [roll-back, wait]}}]}}
"""

    assert played(script) == []


def test_a_choice_that_runs_nothing_is_taken() -> None:
    script = f"{DOWN}- wait: 90s\n- answer: wait\n- expect: {{asks: [], runs: [{{do: restart-unit}}]}}\n"

    assert played(script) == []


def test_a_choice_that_runs_something_runs_it_as_approved() -> None:
    script = f"""{DOWN}- wait: 90s
- answer: roll-back
- expect: {{asks: [], runs: [{{do: restart-unit}}, {{do: roll-back, verdict: allow, state: verified}}]}}
"""

    assert played(script) == []


def test_an_answer_is_the_first_operators(staged: Staged) -> None:
    site = SITE.replace("  me: {channels: [mail]}", "  zoe: {channels: [mail]}\n  abe: {channels: [mail]}")
    stage = staged(loaded(site=site))
    stage.take(event(stage, Send("deploys"), "d"))
    heard(stage, FAIL, 3)
    stage.answer("deny")
    incident = stage.look(incidents.listed)[0]

    assert [item.text for item in stage.look(lambda tx: incidents.story(tx, incident.id, "answer"))] == [
        "zoe answered deny by cli"
    ]


def test_an_answer_where_nothing_is_asked_ends_the_story(staged: Staged) -> None:
    with pytest.raises(CannotGoOn, match=r"^nothing is asked right now$"):
        staged().answer("wait")


def test_an_answer_that_no_question_offers_names_those_that_are_offered(staged: Staged) -> None:
    stage = staged()
    stage.take(event(stage, Send("deploys"), "d"))
    heard(stage, FAIL, 3)

    with pytest.raises(CannotGoOn, match=r"^no open question offers wait \(there is approve, deny\)$"):
        stage.answer("wait")


def test_an_answer_that_two_questions_offer_is_not_guessed(staged: Staged) -> None:
    stage = staged(loaded(orders=SUGGESTS))
    for name in ("ana", "bob"):
        stage.take(
            event(stage, Send("anything", type="order.failed", subject=name, data={"amount": 1}), name)
        )

    with pytest.raises(
        CannotGoOn, match=r"^2 open questions offer approve, so it is not clear which is meant$"
    ):
        stage.answer("approve")


def test_the_one_question_that_offers_a_choice_is_found_among_others(staged: Staged) -> None:
    stage = staged(loaded(orders=SUGGESTS))
    heard(stage, FAIL, 3)
    stage.wait(90 * SECOND)
    stage.take(event(stage, Send("anything", type="order.failed", data={"amount": 1}), "o"))
    stage.answer("wait")

    assert [ask.choices for ask in stage.look(standing).asks or ()] == [("approve", "deny")]


def test_nobody_answers_where_no_operator_is_declared(staged: Staged) -> None:
    stage = staged(loaded(site=NOBODY))
    stage.take(event(stage, Send("deploys"), "d"))
    heard(stage, FAIL, 3)

    with pytest.raises(CannotGoOn, match=r"^holdfast\.yaml declares no operator, so nobody can answer$"):
        stage.answer("approve")


def test_an_answer_that_is_not_taken_ends_the_story(staged: Staged) -> None:
    policies = f"""{POLICIES}---
policy: once
doc: Once an hour.
match: {{action: page-up}}
limit: {{per: [action], max: 1, within: 1h}}
"""
    stage = staged(loaded(orders=ASKS, policies=policies))
    stage.take(event(stage, Send("anything", type="order.failed", subject="ana", data={"amount": 1}), "a"))
    stage.answer("up")
    stage.wait(1)
    stage.take(event(stage, Send("anything", type="order.failed", subject="bob", data={"amount": 1}), "b"))
    stage.wait(HOUR)

    with pytest.raises(CannotGoOn, match=r"^the answer was not taken: .*changed"):
        stage.answer("up")


def test_the_same_answer_can_be_given_twice() -> None:
    script = f"""{ORDER}- answer: approve
- {{event: {{source: anything, type: order.failed, subject: bob, data: {{amount: 5}}}}}}
- answer: approve
- expect: {{runs: [{{state: verified}}, {{state: verified}}], asks: []}}
"""

    assert played(script, orders=SUGGESTS) == []


def test_a_fault_that_comes_back_opens_its_incident_again(staged: Staged) -> None:
    stage = staged()
    heard(stage, FAIL, 3)
    heard(stage, WELL, 3)
    assert [one.state for one in stage.look(standing).incidents or ()] == [IncidentState.CLEARED]

    heard(stage, FAIL, 3)

    assert [one.state for one in stage.look(standing).incidents or ()] == [IncidentState.OPEN]


def test_what_is_asked_is_void_when_the_fault_is_gone() -> None:
    script = f"- event: {{source: deploys}}\n{DOWN}{UP}- expect: {{asks: [], runs: [{{state: cancelled}}]}}\n"

    assert played(script) == []


def test_an_entry_that_cannot_be_handled_ends_the_story_and_is_called_a_defect(staged: Staged) -> None:
    stage = staged()

    with pytest.raises(
        CannotGoOn, match=r"^the event e1 cannot be handled and would be set aside: this is a defect$"
    ):
        stage.take(msgspec.structs.replace(event(stage, FAIL, "e1"), time="soon"))


def test_what_never_ends_ends_the_story(staged: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = staged()
    monkeypatch.setattr("holdfast.ruletest.stage._MOST", 1)

    with pytest.raises(CannotGoOn, match=r"^one action follows on the other without end$"):
        heard(stage, FAIL, 3)


def test_many_things_that_are_due_at_once_all_happen(staged: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = staged(loaded(orders=ORDERS.replace("until-clear", "10m")))
    monkeypatch.setattr("holdfast.ruletest.stage._AT_ONCE", 2)
    for number in range(5):
        send = Send("anything", type="order.failed", subject=f"s{number}", data={"amount": 1})
        stage.take(event(stage, send, f"{number}"))
    assert stage.look(standing).holds == ("page-up",) * 5

    stage.wait(10 * MINUTE)

    assert stage.look(standing).holds == ()
