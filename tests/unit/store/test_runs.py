"""Runs and attempts: what limits count, what may begin, what was begun, and what is written once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from holdfast.model.records import AttemptOrder, Outcome, OutcomeKind, Run, RunState
from holdfast.store import incidents, runs
from holdfast.store.database import Database, Tx
from holdfast.store.runs import AttemptState, Labels

Begin = Callable[[], AbstractContextManager[Tx]]
MakeRun = Callable[..., Run]
MakeOrder = Callable[..., AttemptOrder]

LABELS = Labels("shop", "web", "service-down", "shop-down")


def put(tx: Tx, order: AttemptOrder, *, step: int = 0, number: int = 1, now: int = 100) -> None:
    runs.order(tx, order, step=step, number=number, labels=LABELS, now=now)


def test_a_run_is_found_as_it_was_written(tx: Begin, run: MakeRun) -> None:
    wanted = run(approved_by="me", epoch=2, state=RunState.ASKING)
    with tx() as t:
        runs.insert(t, wanted, "hash-1")
        found = runs.find(t, "r1")
        nobody = runs.find(t, "r2")

    assert found == wanted
    assert nobody is None


def test_a_change_of_a_run_is_only_that_change(tx: Begin, run: MakeRun) -> None:
    with tx() as t:
        runs.insert(t, run(), "hash-1")
        runs.insert(t, run("r2"), "hash-1")
        runs.change(t, "r1", 200, state=RunState.VERIFYING, step=1)

    with tx() as t:
        assert runs.find(t, "r1") == run(state=RunState.VERIFYING, step=1, changed=200)
        assert runs.find(t, "r2") == run("r2")


def test_equal_plans_of_the_same_incident_are_found_oldest_first(tx: Begin, run: MakeRun) -> None:
    with tx() as t:
        runs.insert(t, run("r2", created=300), "hash-1")
        runs.insert(t, run("r1", created=200), "hash-1")
        runs.insert(t, run("r3"), "hash-2")
        runs.insert(t, run("r4", incident="i2"), "hash-1")
        found = [each.id for each in runs.equal(t, "i1", "hash-1")]

    assert found == ["r1", "r2"]


def test_only_what_is_ready_is_given_out_oldest_first(tx: Begin, order: MakeOrder) -> None:
    with tx() as t:
        put(t, order("r2"), now=200)
        put(t, order("r1"), now=100)
        put(t, order("r3"), now=300)
        runs.intend(t, "r3/0/1", "boot-1", 310)
        ready = [each.id for each in runs.ready(t, 10)]
        first = [each.id for each in runs.ready(t, 1)]

    assert ready == ["r1/0/1", "r2/0/1"]
    assert first == ["r1/0/1"]


def test_what_is_ready_on_one_target_is_found_without_the_others(tx: Begin, order: MakeOrder) -> None:
    with tx() as t:
        for number, run in enumerate(("r1", "r2", "r3")):
            made = order(run)
            if run == "r2":
                made = replace(made, step=replace(made.step, target="web9"))
            put(t, made, now=300 - number)
        there = [each.id for each in runs.ready(t, 10, "web9")]
        others = [each.id for each in runs.ready(t, 10, order("r1").step.target)]

    assert there == ["r2/0/1"]
    assert others == ["r3/0/1", "r1/0/1"]


def test_what_became_ready_since_the_last_look_is_found_once_and_in_the_order_of_writing(
    tx: Begin, order: MakeOrder
) -> None:
    with tx() as t:
        for run in ("r9", "r1", "r5"):
            put(t, order(run), now=100)
        runs.intend(t, "r1/0/1", "boot-1", 110)
        first, seen = runs.ready_after(t, 0, 1)
        rest, seen = runs.ready_after(t, seen, 10)
        nothing, same = runs.ready_after(t, seen, 10)
        put(t, order("r0"), now=100)  # in the same millisecond, with a smaller id
        new, _ = runs.ready_after(t, same, 10)

    found = [[each.id for each in part] for part in (first, rest, nothing, new)]
    assert found == [["r9/0/1"], ["r5/0/1"], [], ["r0/0/1"]]


def test_looking_for_what_is_new_reads_nothing_else(tx: Begin) -> None:
    with tx() as t:
        wanted = runs._READY_AFTER.params(after=0, limit=10)
        query = str(wanted.compile(compile_kwargs={"literal_binds": True}, dialect=t.dialect))
        plan = [row.detail for row in t.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}")]

    assert plan == ["SEARCH attempts USING INDEX attempts_state (state=? AND rowid>?)"]


def test_an_attempt_is_intended_once_by_whoever_comes_first(
    database: Database, point: str, order: MakeOrder
) -> None:
    with database.begin(point) as t:
        put(t, order())
    won: list[int] = []

    def hand(number: int) -> None:
        with database.begin(point) as t:
            if runs.intend(t, "r1/0/1", f"boot-{number}", 110):
                won.append(number)

    hands = [threading.Thread(target=hand, args=(number,)) for number in range(20)]
    for each in hands:
        each.start()
    for each in hands:
        each.join()
    with database.read() as t:
        ((order_again, boot),) = runs.intended(t)

    assert len(won) == 1
    assert (order_again, boot) == (order(), f"boot-{won[0]}")


@pytest.mark.parametrize("state", [AttemptState.CANCELLED, AttemptState.ENDED])
def test_what_is_over_is_not_begun(tx: Begin, run: MakeRun, order: MakeOrder, state: AttemptState) -> None:
    with tx() as t:
        put(t, order())
        if state is AttemptState.CANCELLED:
            runs.cancel(t, "r1", 110)
        else:
            runs.conclude(t, Outcome("r1/0/1", OutcomeKind.NOT_STARTED), 110)

        assert not runs.intend(t, "r1/0/1", "boot-1", 120)
        assert not runs.intend(t, "r9/0/1", "boot-1", 120)


def test_an_outcome_is_written_once(tx: Begin, order: MakeOrder) -> None:
    first = Outcome("r1/0/1", OutcomeKind.ENDED, 0, "well", digest="d")
    with tx() as t:
        put(t, order())
        runs.intend(t, "r1/0/1", "boot-1", 110)
        told = runs.conclude(t, first, 120)
        again = runs.conclude(t, Outcome("r1/0/1", OutcomeKind.UNKNOWN), 130)
        stranger = runs.conclude(t, Outcome("r9/0/1", OutcomeKind.ENDED, 0), 130)
        kept = runs.attempt(t, "r1/0/1")

    assert told is not None
    assert (told.state, told.boot, told.number) == (AttemptState.INTENDED, "boot-1", 1)
    assert (again, stranger) == (None, None)
    assert kept is not None
    assert (kept.state, kept.outcome) == (AttemptState.ENDED, first)


def test_cancelling_takes_back_what_has_not_begun_and_nothing_else(tx: Begin, order: MakeOrder) -> None:
    with tx() as t:
        put(t, order("r1", 0, 1))
        put(t, order("r1", 0, 2), number=2)
        put(t, order("r2", 0, 1))
        runs.intend(t, "r1/0/1", "boot-1", 110)
        count = runs.cancel(t, "r1", 120)
        states = [each.state for each in runs.attempts_of(t, "r1")]
        ready = [each.id for each in runs.ready(t, 10)]

    assert count == 1
    assert states == [AttemptState.INTENDED, AttemptState.CANCELLED]
    assert ready == ["r2/0/1"]


def test_the_retries_of_a_step_count_once_against_a_limit(tx: Begin, order: MakeOrder) -> None:
    with tx() as t:
        for number in (1, 2, 3):
            put(t, order("r1", 0, number), number=number, now=100 + number)
        after_one_step = runs.starts(t, 0, {"action": "restart-unit"})
        put(t, order("r1", 1, 1), step=1)
        put(t, order("r2", 0, 1))

        assert after_one_step == 1
        assert runs.starts(t, 0, {"action": "restart-unit"}) == 3


def test_a_limit_counts_by_its_labels_and_from_its_span(tx: Begin, order: MakeOrder) -> None:
    with tx() as t:
        put(t, order("r1"), now=100)
        put(t, order("r2", target="web2"), now=200)
        runs.order(
            t, order("r3"), step=0, number=1, labels=Labels(None, None, "service-down", "other"), now=300
        )
        put(t, order("r4"), now=400)
        runs.cancel(t, "r4", 410)

        assert runs.starts(t, 0, {}) == 3
        assert runs.starts(t, 100, {}) == 2
        assert runs.starts(t, 0, {"target": "web1"}) == 2
        assert runs.starts(t, 0, {"target": "web2", "action": "restart-unit"}) == 1
        assert runs.starts(t, 0, {"service": None}) == 1
        assert runs.starts(t, 0, {"service": "shop", "rule": "shop-down"}) == 2


def test_busy_are_the_targets_that_other_runs_act_on_or_observe(
    tx: Begin, run: MakeRun, order: MakeOrder
) -> None:
    with tx() as t:
        for number, state in enumerate(
            (RunState.RUNNING, RunState.VERIFYING, RunState.VERIFIED, RunState.ASKING, RunState.RUNNING)
        ):
            runs.insert(t, run(f"r{number}", state=state), "hash")
            put(t, order(f"r{number}", target=f"web{number}"))

        assert runs.busy_targets(t, "service", "shop", but_run="r4") == {"web0", "web1"}
        assert runs.busy_targets(t, "group", "web", but_run="") == {"web0", "web1", "web4"}
        assert runs.busy_targets(t, "service", "blog", but_run="") == set()
        assert runs.acting_on(t, {"web1", "web2", "web4"}) == ["r1", "r4"]
        assert runs.acting_on(t, set()) == []


def test_lists_of_runs_are_by_state_and_age(tx: Begin, run: MakeRun) -> None:
    with tx() as t:
        runs.insert(t, run("r1", created=100, state=RunState.WAITING), "h")
        runs.insert(t, run("r2", created=200, state=RunState.VERIFIED), "h")
        runs.insert(t, run("r3", created=300, state=RunState.ASKING), "h")

        assert [each.id for each in runs.in_states(t, [RunState.ASKING, RunState.WAITING])] == ["r1", "r3"]
        assert [each.id for each in runs.latest(t, 2)] == ["r3", "r2"]
        assert [each.id for each in runs.latest(t, 9, [RunState.VERIFIED])] == ["r2"]
        assert [each.id for each in runs.of_incident(t, "i1")] == ["r1", "r2", "r3"]


def test_results_count_how_the_runs_of_a_rule_ended(tx: Begin, run: MakeRun) -> None:
    with tx() as t:
        for number, state in enumerate((RunState.VERIFIED, RunState.VERIFIED, RunState.INEFFECTIVE)):
            runs.record(t, run(f"r{number}", state=state), "service-down", "shop", 100)
        runs.record(t, run("r2", state=RunState.FAILED), "service-down", "shop", 200)

        assert runs.results(t) == {("shop-down", "verified"): 2, ("shop-down", "failed"): 1}


def test_no_more_steps_were_started_than_attempts_were_written_since(tx: Begin, order: MakeOrder) -> None:
    with tx() as t:
        nothing = runs.starts_at_most(t, 0)
        for number, now in enumerate((100, 100, 200), 1):
            put(t, order(number=number), number=number, now=now)

        assert nothing == 0
        assert [runs.starts_at_most(t, since) for since in (0, 99, 100, 199, 200)] == [3, 3, 1, 1, 0]
        assert runs.starts(t, 0, {}) == 1


def test_under_way_is_what_is_not_over_of_one_incident(tx: Begin, run: MakeRun) -> None:
    with tx() as t:
        for number, state in enumerate(RunState):
            runs.insert(t, run(f"r{number}", state=state, created=900 - number), "hash-1")
        runs.insert(t, run("other", incident="i2"), "hash-1")
        found = runs.under_way(t, "i1")

    assert [each.state for each in found] == [state for state in reversed(RunState) if not state.over]


def test_a_run_waits_for_what_its_own_rule_fired_on(tx: Begin, run: MakeRun) -> None:
    with tx() as t:
        for incident, rule, key in (
            ("i1", "shop-down", "[1]"),
            ("i1", "logs", "[1]"),
            ("i2", "shop-down", "[2]"),
        ):
            incidents.fired(t, incident, rule, key, 100)
        runs.insert(t, run("waits", state=RunState.WAITING), "hash-1")
        runs.insert(t, run("runs"), "hash-1")
        runs.insert(t, run("other-rule", rule="logs", state=RunState.WAITING), "hash-1")
        runs.insert(t, run("other-key", incident="i2", state=RunState.WAITING), "hash-1")
        found = [each.id for each in runs.waiting_for(t, "shop-down", "[1]")]

    assert found == ["waits"]
