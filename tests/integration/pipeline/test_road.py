"""From events to runs, questions and records: the road on a real database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import StoreError
from holdfast.model.kinds import EntryKind
from holdfast.model.records import (
    AttemptOrder,
    AuthLevel,
    DeliveryState,
    IncidentState,
    OutcomeKind,
    RunState,
)
from holdfast.model.values import DAY, HOUR, MINUTE, SECOND
from holdfast.store import incidents, journal, runs
from holdfast.store.database import Due

if TYPE_CHECKING:
    from conftest import World


def test_two_failures_are_not_three(world: World) -> None:
    world.probe(ok=False, times=2)

    assert world.incidents() == []


def test_three_failures_open_one_incident_and_order_the_restart(world: World) -> None:
    world.probe(ok=False, times=3)
    (incident,) = world.incidents()
    (order,) = world.ready()

    assert (incident.state, incident.title) == (IncidentState.OPEN, "shop fails its probe (500)")
    assert order.step.argv == ("sudo", "-n", "systemctl", "restart", "--", "shop.service")
    assert order.step.target == "web1"


def test_a_run_is_verified_by_observation_and_not_by_its_exit_code(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    after_exit = world.runs()[0].state
    world.probe(ok=True, times=2)
    after_clear = (world.runs()[0].state, world.incidents()[0].state)
    world.pass_time(30 * SECOND)

    assert after_exit is RunState.VERIFYING
    assert after_clear == (RunState.VERIFYING, IncidentState.CLEARED)
    assert world.runs()[0].state is RunState.VERIFIED


def test_a_fault_that_stays_makes_the_run_ineffective_and_asks(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    world.pass_time(90 * SECOND)
    (question,) = world.questions()

    assert world.runs()[0].state is RunState.INEFFECTIVE
    assert question.question == "Roll shop back?"
    assert [choice.name for choice in question.choices] == ["roll-back", "wait"]


def test_a_fault_that_returns_while_it_is_observed_makes_the_run_ineffective(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    world.probe(ok=True, times=2)
    world.probe(ok=False, times=3)

    assert world.runs()[0].state is RunState.INEFFECTIVE
    assert world.incidents()[0].reopened == 1
    assert len(world.incidents()) == 1


def test_an_ineffective_run_is_not_repeated_in_the_same_incident(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    world.probe(ok=True, times=2)
    world.probe(ok=False, times=3)

    assert world.ready() == []
    assert [question.question for question in world.questions()] == ["Roll shop back?"]


def to_question(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    world.pass_time(90 * SECOND)


def test_the_right_code_from_a_proven_sender_runs_the_choice(world: World) -> None:
    to_question(world)
    (question,) = world.questions()
    answer = world.answers(question, f"roll-back {world.code(question)}")
    (order,) = world.ready()

    assert answer.kind == "accepted"
    assert order.step.action == "roll-back-release"
    assert world.runs()[-1].approved_by == "me"
    [told] = [line for line in world.story() if line.startswith("decided: roll-back-release")]
    assert told.startswith("decided: roll-back-release: allow (")
    assert told.endswith("): approved by me")


def test_a_code_works_once(world: World) -> None:
    to_question(world)
    (question,) = world.questions()
    first = world.answers(question, f"roll-back {world.code(question)}")
    second = world.answers(question, f"roll-back {world.code(question)}")

    assert (first.kind, second.kind) == ("accepted", "already-answered")
    assert len(world.ready()) == 1


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("roll-back 000000", {}),
        ("roll-back", {}),
        ("roll-back CODE", {"auth": AuthLevel.KNOWN}),
        ("roll-back CODE", {"auth": AuthLevel.NONE, "operator": None}),
        ("please roll-back CODE", {}),
        ("", {}),
    ],
)
def test_anything_less_than_the_code_of_a_proven_operator_runs_nothing(
    world: World, words: str, changes: dict[str, object]
) -> None:
    to_question(world)
    (question,) = world.questions()
    world.answers(question, words.replace("CODE", world.code(question)), **changes)

    assert world.ready() == []
    assert world.questions() == [world.questions()[0]]


def test_silence_runs_nothing_keeps_the_incident_open_and_tells_the_operator(world: World) -> None:
    to_question(world)
    before = len(world.messages())
    world.pass_time(30 * MINUTE)

    assert world.questions() == []
    assert world.ready() == []
    assert world.incidents()[0].state is IncidentState.OPEN
    assert len(world.messages()) > before


def test_a_late_answer_is_expired_and_runs_nothing(world: World) -> None:
    to_question(world)
    (question,) = world.questions()
    world.pass_time(31 * MINUTE)
    answer = world.answers(question, f"roll-back {world.code(question)}")

    assert answer.kind == "expired"
    assert world.ready() == []


def test_a_question_is_not_needed_any_more_when_the_incident_clears(world: World) -> None:
    to_question(world)
    (question,) = world.questions()
    world.probe(ok=True, times=2)
    answer = world.answers(question, f"roll-back {world.code(question)}")

    assert world.questions() == []
    assert answer.kind == "not-needed"
    assert world.ready() == []


def test_an_attempt_that_failed_is_repeated_after_its_backoff_as_often_as_declared(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0], code=1)
    at_once = world.ready()
    world.pass_time(2 * SECOND)
    (second,) = world.ready()
    world.ends(second, code=1)
    world.pass_time(MINUTE)

    assert at_once == []
    assert second.id.endswith("/0/2")
    assert world.ready() == []
    assert world.runs()[0].state is RunState.FAILED


def test_a_target_that_is_not_reached_is_tried_again_because_nothing_began(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0], OutcomeKind.NOT_STARTED, intended=False)
    world.pass_time(MINUTE)

    assert len(world.ready()) == 1


def test_an_unknown_outcome_of_a_step_that_may_not_run_twice_asks(world: World) -> None:
    to_question(world)
    (question,) = world.questions()
    world.answers(question, f"roll-back {world.code(question)}")
    world.ends(world.ready()[0], OutcomeKind.UNKNOWN)
    (asked,) = world.questions()

    assert world.ready() == []
    assert world.runs()[-1].state is RunState.UNKNOWN
    assert [choice.name for choice in asked.choices] == ["run-again", "leave"]


def test_an_unknown_outcome_of_an_idempotent_step_runs_again(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0], OutcomeKind.UNKNOWN)
    world.pass_time(MINUTE)

    assert len(world.ready()) == 1


def test_an_outcome_that_comes_twice_counts_once(world: World) -> None:
    world.probe(ok=False, times=3)
    (order,) = world.ready()
    world.ends(order)
    story = world.story()
    world.ends(order, intended=False)

    assert world.story() == story


def test_the_fourth_restart_within_an_hour_asks_first(world: World) -> None:
    for _ in range(3):
        world.probe(ok=False, times=3)
        world.ends(world.ready()[0])
        world.probe(ok=True, times=2)
        world.pass_time(5 * MINUTE)
    world.probe(ok=False, times=3)

    assert world.ready() == []
    (question,) = world.questions()
    assert [choice.name for choice in question.choices] == ["approve", "deny"]
    assert world.runs()[-1].state is RunState.ASKING


def test_approving_a_run_over_its_limit_starts_that_run(world: World) -> None:
    test_the_fourth_restart_within_an_hour_asks_first(world)
    (question,) = world.questions()
    answer = world.answers(question, f"approve {world.code(question)}")

    assert answer.kind == "accepted"
    assert [order.run for order in world.ready()] == [question.run]


def test_denying_a_run_needs_no_code_and_ends_it(world: World) -> None:
    test_the_fourth_restart_within_an_hour_asks_first(world)
    (question,) = world.questions()
    answer = world.answers(question, "deny")

    assert answer.kind == "denied"
    assert world.runs()[-1].state is RunState.DENIED
    assert world.ready() == []


def test_a_cleared_incident_closes_and_the_next_fault_is_a_new_one(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    world.probe(ok=True, times=2)
    world.pass_time(HOUR)
    closed = world.incidents()[0].state
    world.probe(ok=False, times=3)

    assert closed is IncidentState.CLOSED
    assert len(world.incidents()) == 2


def test_a_restart_of_the_daemon_holds_what_had_not_begun_until_fresh_evidence(world: World) -> None:
    world.probe(ok=False, times=3)
    ordered = len(world.ready())
    world.restart()
    held = (len(world.ready()), world.runs()[0].state)
    world.probe(ok=False)

    assert ordered == 1
    assert held == (0, RunState.WAITING)
    assert len(world.ready()) == 1


def test_without_fresh_evidence_the_operator_is_asked_after_a_minute(world: World) -> None:
    world.probe(ok=False, times=3)
    world.restart()
    world.pass_time(MINUTE)
    (question,) = world.questions()

    assert world.ready() == []
    assert "fresh evidence" in question.question
    assert world.runs()[0].state is RunState.ASKING


def test_a_run_that_waits_for_fresh_evidence_is_dropped_when_the_fault_is_gone(world: World) -> None:
    world.probe(ok=False, times=3)
    world.restart()
    world.probe(ok=True, times=2)

    assert world.runs()[0].state is RunState.CANCELLED
    assert world.ready() == []


def test_an_attempt_whose_begin_is_unsure_is_not_given_out_again_after_a_restart(world: World) -> None:
    world.probe(ok=False, times=3)
    (order,) = world.ready()
    with world.db.begin("tests.integration.pipeline") as tx:
        runs.intend(tx, order.id, "boot-a", world.now)
    world.restart()

    assert world.ready() == []
    assert world.runs()[0].state is RunState.RUNNING


def test_streaks_survive_a_restart(world: World) -> None:
    world.probe(ok=False, times=2)
    world.restart()
    world.probe(ok=False)

    assert len(world.incidents()) == 1


def test_the_kill_switch_holds_new_runs_and_asks_when_it_is_off_again(world: World) -> None:
    world.switch(stopped=True)
    world.probe(ok=False, times=3)
    stopped = (world.ready(), world.runs()[0].state)
    world.switch(stopped=False)
    (question,) = world.questions()

    assert stopped == ([], RunState.WAITING)
    assert "kill switch" in question.question


def test_the_kill_switch_takes_back_what_was_ordered_but_has_not_begun(world: World) -> None:
    world.probe(ok=False, times=3)
    world.switch(stopped=True)

    assert world.ready() == []
    assert world.runs()[0].state is RunState.WAITING


def test_an_approval_runs_nothing_while_the_kill_switch_is_on(world: World) -> None:
    to_question(world)
    (question,) = world.questions()
    world.switch(stopped=True)
    world.answers(question, f"roll-back {world.code(question)}")

    assert world.ready() == []


def test_a_message_that_fails_is_tried_again_and_goes_to_the_second_channel(world: World) -> None:
    world.probe(ok=False, times=3)
    (message,) = world.messages()
    world.delivered(message, DeliveryState.FAILED, "refused")
    channels = sorted((sent.channel, sent.attempt) for sent in world.messages())

    assert channels == [("mail", 1), ("push", 0)]


def test_a_message_nobody_can_confirm_is_not_repeated_but_goes_to_the_second_channel(world: World) -> None:
    world.probe(ok=False, times=3)
    (message,) = world.messages()
    world.delivered(message, DeliveryState.UNCONFIRMED)

    assert [sent.channel for sent in world.messages()] == ["push"]


def test_a_message_that_keeps_failing_is_given_up_in_words(world: World) -> None:
    world.probe(ok=False, times=3)
    for _ in range(5):
        message = next(sent for sent in world.messages() if sent.channel == "mail")
        world.delivered(message, DeliveryState.FAILED, "refused")

    assert [sent.channel for sent in world.messages()] == ["push"]
    assert sum(kind == "message" for kind in world.kinds()) == 5


def test_a_pushed_commit_changes_what_happens_next(make_world: Callable[..., World], world: World) -> None:
    world.probe(ok=False, times=2)
    observing = {
        **world.files,
        "rules/shop.yaml": world.files["rules/shop.yaml"].replace("mode: auto", "mode: observe"),
    }
    world.push(observing, "c2")
    world.probe(ok=False)

    assert world.ready() == []
    assert world.kinds().count("observed") == 1
    with world.db.read() as tx:
        commits = {item.commit for item in incidents.story(tx, world.incidents()[0].id)}
    assert commits == {"c2"}


def test_a_pushed_commit_that_changes_an_action_voids_the_questions_about_it(world: World) -> None:
    to_question(world)
    (old,) = world.questions()
    changed = world.files["rules/actions.yaml"].replace(
        "[shop-release, previous]", "[shop-release, last-good]"
    )
    world.push({**world.files, "rules/actions.yaml": changed}, "c2")
    (new,) = world.questions()
    late = world.answers(old, f"roll-back {world.code(old)}")

    assert old.id != new.id
    assert new.choices[0].plan is not None
    assert new.choices[0].plan.steps[0].argv == ("shop-release", "last-good")
    assert late.kind != "accepted"
    assert world.ready() == []


def test_a_broken_entry_is_set_aside_and_the_road_goes_on(world: World) -> None:
    world.put(EntryKind.OUTCOME, "execute", b"not json")
    world.probe(ok=False, times=3)
    with world.db.read() as tx:
        aside = journal.quarantined(tx, 10)

    assert [found.entry.body for found in aside] == [b"not json"]
    assert len(world.incidents()) == 1
    assert any("set aside" in message.title or "set aside" in message.body for message in world.messages())


def test_the_same_journal_gives_the_same_records(make_world: Callable[..., World]) -> None:
    stories = []
    for _ in range(2):
        world = make_world()
        to_question(world)
        (question,) = world.questions()
        world.answers(question, f"roll-back {world.code(question)}")
        stories.append((world.story(), [run.id for run in world.runs()], question.id))

    assert stories[0] == stories[1]


HOLDING = """
rule: shop-down
doc: The shop fails its probe.
mode: auto
when:
  probe: {event: http.probe, where: {data.ok: false}, streak: 3}
incident: {type: service-down, severity: critical, title: "down"}
clears: {event: http.probe, where: {data.ok: true}, streak: 2}
contain:
  - {do: maintenance-page, at: $service.hosts, hold: until-clear}
"""


def test_a_containment_that_lasts_is_released_when_the_incident_clears(
    make_world: Callable[..., World],
) -> None:
    world = make_world(rules__shop_yaml=HOLDING)
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    held = "hold" in world.kinds()
    world.probe(ok=True, times=2)
    (undo,) = world.ready()

    assert held
    assert undo.step.argv == ("maintenance", "off")


def test_under_the_kill_switch_a_hold_stays(make_world: Callable[..., World]) -> None:
    world = make_world(rules__shop_yaml=HOLDING)
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    world.switch(stopped=True)
    world.probe(ok=True, times=2)

    assert world.ready() == []
    assert "released" not in world.kinds()


def test_an_incident_that_nothing_helps_is_handed_over(make_world: Callable[..., World]) -> None:
    world = make_world(rules__shop_yaml=HOLDING)
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])

    assert "exhausted" in world.kinds()
    assert any("nothing more to try" in message.body for message in world.messages())


def test_hostile_event_text_reaches_titles_without_control_characters(
    make_world: Callable[..., World],
) -> None:
    rule = HOLDING.replace('title: "down"', 'title: "down: $probe.data.error"')
    world = make_world(rules__shop_yaml=rule)
    for _ in range(3):
        world.now += 1000
        world.event(
            "http.probe", source="shop-probe", service="shop", ok=False, error="x\r\nBcc: a@b\x1b[2J\u202e"
        )

    assert world.incidents()[0].title == "down: x Bcc: a@b [2J"


def unknown_roll_back(world: World) -> None:
    to_question(world)
    (question,) = world.questions()
    world.answers(question, f"roll-back {world.code(question)}")
    world.ends(world.ready()[0], OutcomeKind.UNKNOWN)


def test_a_target_with_an_unknown_end_is_not_touched_again_without_a_human(world: World) -> None:
    unknown_roll_back(world)
    for _ in range(3):
        world.now += 1000
        world.event("http.probe", source="blog-probe", service="blog", ok=False)
    asked = [question.question for question in world.questions()]

    assert world.ready() == []
    assert any("web1 is locked" in question for question in asked)


def test_answering_the_question_about_an_unknown_end_frees_the_target(world: World) -> None:
    unknown_roll_back(world)
    (question,) = world.questions()
    answer = world.answers(question, f"run-again {world.code(question)}")

    assert answer.kind == "accepted"
    assert [order.step.action for order in world.ready()] == ["roll-back-release"]


def test_old_entries_leave_the_journal_and_the_incidents_stay(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    world.probe(ok=True, times=2)
    world.put(EntryKind.OUTCOME, "execute", b"not json")
    world.pass_time(40 * DAY)
    with world.db.read() as tx:
        entries = journal.after(tx, 0, 10_000)
        aside = journal.quarantined(tx, 10)

    assert [entry.body for entry in entries if entry.received < world.now - 31 * DAY] == [b"not json"]
    assert len(aside) == 1
    assert len(world.incidents()) == 1


def test_what_is_not_committed_is_handed_to_nobody_and_what_is_then_is_handed_over_once(world: World) -> None:
    """SQLite itself refuses the commit, which is the last moment at which a decision can fail."""
    told: list[Sequence[AttemptOrder]] = []
    world.pipeline._decided = lambda _, due: told.append(due.get(Due.ATTEMPTS, ()))
    world.probe(ok=False, times=2)
    told.clear()
    world.pipeline.stop(0)
    world.probe(ok=False)
    world.pipeline._stopping = False

    def refuse(_: int, what: str | None, *__: object) -> int:
        return sqlite3.SQLITE_DENY if what == "COMMIT" else sqlite3.SQLITE_OK

    world.db._driver.set_authorizer(refuse)
    for _ in range(3):
        with pytest.raises(StoreError):
            world.pipeline.drain()
        world.pipeline._use(world.pipeline._loaded)
    world.db._driver.set_authorizer(None)
    assert (told, world.ready()) == ([], [])
    world.pipeline.drain()

    assert told == [world.ready()]
    assert len(world.ready()) == 1
