"""The order of things that nobody wished for: stops, restarts, pushes and removals in the middle."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.app.clock import Clock, Onward
from holdfast.errors import Overloaded, StoreError
from holdfast.model.events import Entry
from holdfast.model.kinds import EntryKind
from holdfast.model.records import DeliveryState, IncidentState, OutcomeKind, RunState
from holdfast.model.values import HOUR, MINUTE, SECOND
from holdfast.pipeline import road
from holdfast.store import facts, holds, journal, runs

if TYPE_CHECKING:
    from conftest import World


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

UNDO_ASKS = """
policy: undo-asks
doc: Taking the page away needs a human.
match: {action: maintenance-page-off}
effect: {require: human}
"""

BLOG = """
rule: blog-down
doc: The blog fails its probe.
mode: auto
when:
  probe: {event: http.probe, where: {data.ok: false}, streak: 3}
incident: {type: service-down, severity: critical, title: "down"}
clears: {event: http.probe, where: {data.ok: true}, streak: 2}
contain:
  - {do: maintenance-page, at: $service.hosts, hold: until-clear}
"""


def approve(world: World) -> str:
    (question,) = world.questions()
    return world.answers(question, f"approve {world.code(question)}").kind


def lasting(world: World) -> list[str]:
    with world.db.read() as tx:
        return [hold.run for hold in holds.lasting(tx)]


def to_hold(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])


def to_question(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    world.pass_time(90 * SECOND)


# -- what was held back and is wanted after all ---------------------------------------------------------


def test_a_run_that_the_kill_switch_took_back_begins_when_it_is_approved(world: World) -> None:
    world.probe(ok=False, times=3)
    world.switch(stopped=True)
    world.switch(stopped=False)
    kind = approve(world)

    assert kind == "accepted"
    assert [order.step.action for order in world.ready()] == ["restart-unit"]


def test_a_run_that_waited_for_fresh_evidence_in_vain_begins_when_it_is_approved(world: World) -> None:
    world.probe(ok=False, times=3)
    world.restart()
    world.pass_time(MINUTE)
    kind = approve(world)

    assert kind == "accepted"
    assert [order.step.action for order in world.ready()] == ["restart-unit"]


def test_a_retry_that_the_kill_switch_held_begins_when_it_is_approved(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0], code=1)
    world.switch(stopped=True)
    world.pass_time(2 * SECOND)
    world.switch(stopped=False)
    kind = approve(world)

    assert kind == "accepted"
    assert len(world.ready()) == 1


def test_a_step_that_is_done_is_not_done_again_after_the_kill_switch(
    make_world: Callable[..., World],
) -> None:
    world = make_world(rules__shop_yaml=BLOG)
    world.probe(ok=False, times=3, service="blog")
    (first,) = world.ready()
    world.switch(stopped=True)
    with world.db.read() as tx:
        taken_back = runs.ready(tx, 10) == []
    world.switch(stopped=False)
    approve(world)
    (again,) = world.ready()
    with world.db.begin("tests.integration.pipeline") as tx:
        runs.intend(tx, again.id, "boot-a", world.now)
    world.switch(stopped=True)
    world.ends(again, intended=False)
    world.switch(stopped=False)
    approve(world)

    assert taken_back
    assert [first.step.target, again.step.target] == ["web1", "web1"]
    assert [order.step.target for order in world.ready()] == ["web2"]


def test_a_run_is_held_at_every_restart_until_it_has_begun(world: World) -> None:
    world.probe(ok=False, times=3)
    world.restart()
    world.probe(ok=False)
    ordered = len(world.ready())
    world.restart()

    assert ordered == 1
    assert world.ready() == []
    assert world.runs()[0].state is RunState.WAITING


# -- a poisoned entry never stops the road --------------------------------------------------------------


def test_an_entry_that_breaks_a_rule_of_the_database_is_set_aside(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(work: object, switch: object) -> None:
        runs.insert(work.tx, world.runs()[0], "same")  # type: ignore[attr-defined]

    world.probe(ok=False, times=3)
    read, _ = road._OTHERS[EntryKind.SWITCH]
    monkeypatch.setitem(road._OTHERS, EntryKind.SWITCH, (read, twice))  # type: ignore[arg-type]
    world.switch(stopped=True)
    with world.db.read() as tx:
        aside = journal.quarantined(tx, 10)

    assert [found.entry.kind for found in aside] == [EntryKind.SWITCH]


# -- taking back what was done --------------------------------------------------------------------------


def test_a_restart_does_not_forget_an_undo(make_world: Callable[..., World]) -> None:
    world = make_world(rules__shop_yaml=HOLDING)
    to_hold(world)
    world.probe(ok=True, times=2)
    world.restart()
    world.pass_time(2 * MINUTE)

    assert [order.step.action for order in world.ready()] == ["maintenance-page-off"]


def test_the_kill_switch_does_not_forget_an_undo(make_world: Callable[..., World]) -> None:
    world = make_world(rules__shop_yaml=HOLDING)
    to_hold(world)
    world.probe(ok=True, times=2)
    world.switch(stopped=True)
    held = world.ready()
    world.switch(stopped=False)
    approve(world)

    assert held == []
    assert [order.step.action for order in world.ready()] == ["maintenance-page-off"]


def test_a_question_about_an_undo_outlives_the_next_clear(make_world: Callable[..., World]) -> None:
    world = make_world(rules__shop_yaml=HOLDING, policies__undo_yaml=UNDO_ASKS)
    to_hold(world)
    world.probe(ok=True, times=2)
    (question,) = world.questions()
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    world.probe(ok=True, times=2)

    assert question.id in {open_one.id for open_one in world.questions()}


def test_a_hold_whose_undo_was_denied_is_listed_again(make_world: Callable[..., World]) -> None:
    world = make_world(rules__shop_yaml=HOLDING, policies__undo_yaml=UNDO_ASKS)
    to_hold(world)
    world.probe(ok=True, times=2)
    (question,) = world.questions()
    world.answers(question, "deny")

    assert len(lasting(world)) == 1
    assert world.ready() == []


def test_a_hold_that_stayed_under_the_kill_switch_is_asked_about_afterwards(
    make_world: Callable[..., World],
) -> None:
    world = make_world(rules__shop_yaml=HOLDING)
    to_hold(world)
    world.switch(stopped=True)
    world.probe(ok=True, times=2)
    world.switch(stopped=False)
    before = world.ready()
    approve(world)

    assert before == []
    assert [order.step.action for order in world.ready()] == ["maintenance-page-off"]


def test_a_hold_whose_rule_was_removed_stays_listed_and_the_operator_is_told(
    make_world: Callable[..., World],
) -> None:
    world = make_world(rules__shop_yaml=HOLDING)
    to_hold(world)
    world.push({**world.files, "rules/shop.yaml": HOLDING.replace("rule: shop-down", "rule: renamed")}, "c2")
    world.pass_time(2 * HOUR)

    assert len(lasting(world)) == 1
    assert any("maintenance-page stays" in message.body for message in world.messages())


def test_half_a_containment_is_taken_back_where_it_took_place(make_world: Callable[..., World]) -> None:
    world = make_world(rules__shop_yaml=BLOG)
    world.probe(ok=False, times=3, service="blog")
    world.ends(world.ready()[0])
    for _ in range(3):
        world.pass_time(5 * MINUTE)
        for order in world.ready():
            world.ends(order, OutcomeKind.NOT_STARTED, intended=False)
    failed = world.runs()[0].state
    world.probe(ok=True, times=2, service="blog")

    assert failed is RunState.FAILED
    assert [(order.step.action, order.step.target) for order in world.ready()] == [
        ("maintenance-page-off", "web1")
    ]


def test_a_hold_until_answered_ends_with_the_incident_too(make_world: Callable[..., World]) -> None:
    rule = HOLDING.replace("until-clear", "until-answered") + (
        "then:\n  - ask: Keep it?\n    choices: {keep: {}, drop: {}}\n    silence: keep\n    within: 30m\n"
    )
    world = make_world(rules__shop_yaml=rule)
    to_hold(world)
    world.probe(ok=True, times=2)

    assert [order.step.action for order in world.ready()] == ["maintenance-page-off"]


# -- a push in the middle -------------------------------------------------------------------------------

GUARDED = """
rule: shop-down
doc: The shop fails its probe.
mode: auto
when:
  probe: {event: http.probe, where: {data.ok: false}, streak: 3}
unless:
  deploy: {event: deploy.started, where: {service: {same: $probe.service}}, within: 10m}
incident: {type: service-down, severity: critical, title: "down"}
clears: {event: http.probe, where: {data.ok: true}, streak: 2}
contain:
  - {do: restart-unit, at: $service.hosts, with: {unit: $service.unit}}
"""


def changed_restart(world: World) -> dict[str, str]:
    text = world.files["rules/actions.yaml"].replace("systemctl, restart", "systemctl, reload")
    return {**world.files, "rules/actions.yaml": text}


def to_guarded_question(make_world: Callable[..., World]) -> World:
    world = make_world(rules__shop_yaml=GUARDED)
    world.event("deploy.started", service="shop")
    world.probe(ok=False, times=3)
    return world


def test_a_push_that_changes_an_action_starts_nothing_that_was_only_asked(
    make_world: Callable[..., World],
) -> None:
    world = to_guarded_question(make_world)
    asked = len(world.questions())
    world.push(changed_restart(world), "c2")
    (question,) = world.questions()

    assert asked == 1
    assert world.ready() == []
    assert question.choices[0].plan is not None
    assert "reload" in question.choices[0].plan.steps[0].argv


def test_a_push_that_changes_only_words_leaves_the_questions(make_world: Callable[..., World]) -> None:
    world = to_guarded_question(make_world)
    before = [question.id for question in world.questions()]
    text = "\n\n" + world.files["rules/actions.yaml"].replace("Restart one", "Restart this one")
    world.push({**world.files, "rules/actions.yaml": text}, "c2")

    assert [question.id for question in world.questions()] == before
    assert approve(world) == "accepted"
    assert len(world.ready()) == 1


def test_a_push_never_contains_again_when_an_undo_is_asked(make_world: Callable[..., World]) -> None:
    world = make_world(rules__shop_yaml=HOLDING, policies__undo_yaml=UNDO_ASKS)
    to_hold(world)
    world.probe(ok=True, times=2)
    text = world.files["rules/actions.yaml"].replace("[maintenance, off]", "[maintenance, gone]")
    world.push({**world.files, "rules/actions.yaml": text}, "c2")

    assert world.ready() == []
    assert [question.question.partition(" needs")[0] for question in world.questions()] == [
        "undo maintenance-page"
    ]


def test_a_config_that_changed_while_the_daemon_was_down_voids_questions_too(world: World) -> None:
    to_question(world)
    (old,) = world.questions()
    text = world.files["rules/actions.yaml"].replace("[shop-release, previous]", "[shop-release, good]")
    world.snapshot = world.load({**world.files, "rules/actions.yaml": text}, "c2")
    world.restart()
    (new,) = world.questions()
    late = world.answers(old, f"roll-back {world.code(old)}")

    assert late.kind == "replaced"
    assert new.choices[0].plan is not None
    assert new.choices[0].plan.steps[0].argv == ("shop-release", "good")


def test_what_waits_under_the_kill_switch_does_not_outlive_a_push_that_changes_it(world: World) -> None:
    world.probe(ok=False, times=3)
    world.switch(stopped=True)
    world.push(changed_restart(world), "c2")
    world.switch(stopped=False)
    first = approve(world)  # asked under the kill switch: that it is off now is a change of its basis
    approve(world)

    assert first == "void"
    assert [("reload" in order.step.argv) for order in world.ready()] == [True]


def test_an_incident_of_a_removed_rule_does_not_swallow_the_next_fault(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    text = world.files["rules/shop.yaml"].replace("rule: shop-down", "rule: shop-fails")
    world.push({**world.files, "rules/shop.yaml": text}, "c2")
    said = any("was removed" in message.body for message in world.messages())
    world.pass_time(2 * HOUR)
    world.probe(ok=False, times=3)

    assert said
    assert [incident.state for incident in world.incidents()] == [IncidentState.OPEN, IncidentState.CLOSED]
    assert len(world.ready()) == 1


def test_a_removed_rule_of_which_a_run_is_under_way_is_told_of(make_world: Callable[..., World]) -> None:
    world = make_world(rules__shop_yaml=BLOG)
    world.probe(ok=False, times=3, service="blog")
    (order,) = world.ready()
    with world.db.begin("tests.integration.pipeline") as tx:
        runs.intend(tx, order.id, "boot-a", world.now)
    world.push({**world.files, "rules/shop.yaml": BLOG.replace("blog-down", "other")}, "c2")
    world.ends(order, intended=False)

    assert world.ready() == []
    assert any("does not go on" in message.body for message in world.messages())


# -- one fault, several rules, several times ------------------------------------------------------------

SECOND_RULE = """
rule: shop-slow
doc: The shop is slow.
mode: auto
when: {slow: {event: shop.slow, where: {service: {ne: null}}}}
incident: {type: service-down, severity: error, title: "slow"}
clears: {event: shop.fast}
contain:
  - {do: restart-unit, at: $service.hosts, with: {unit: $service.unit}}
then:
  - ask: "Slow: roll $service.name back?"
    choices: {roll-back: {do: roll-back-release, at: $service.hosts}, wait: {}}
    silence: wait
    within: 30m
"""


def test_a_restart_that_is_under_way_is_not_ordered_twice_when_the_fault_returns(world: World) -> None:
    world.probe(ok=False, times=3)
    (order,) = world.ready()
    with world.db.begin("tests.integration.pipeline") as tx:
        runs.intend(tx, order.id, "boot-a", world.now)
    world.probe(ok=True, times=2)
    world.probe(ok=False, times=3)

    assert world.ready() == []
    assert world.questions() == []
    assert len(world.runs()) == 1


def test_a_rule_that_joined_a_containment_waits_for_it(make_world: Callable[..., World]) -> None:
    world = make_world(rules__slow_yaml=SECOND_RULE)
    world.probe(ok=False, times=3)
    world.event("shop.slow", service="shop")
    early = world.questions()
    world.ends(world.ready()[0])
    world.pass_time(90 * SECOND)

    assert early == []
    assert len(world.runs()) == 1
    assert sorted(question.rule for question in world.questions()) == ["shop-down", "shop-slow"]


def test_a_second_rule_responds_to_a_reopened_incident_too(make_world: Callable[..., World]) -> None:
    slow = SECOND_RULE.replace(
        "  - {do: restart-unit, at: $service.hosts, with: {unit: $service.unit}}\n", ""
    )
    slow = slow.replace("contain:\n", "")
    world = make_world(rules__slow_yaml=slow)
    world.event("shop.slow", service="shop")
    world.event("shop.fast", service="shop")
    world.probe(ok=False, times=3)
    world.event("shop.slow", service="shop")

    assert [question.rule for question in world.questions()] == ["shop-slow"]


def test_the_operator_hears_of_an_incident_that_a_watching_rule_had_opened(
    make_world: Callable[..., World],
) -> None:
    world = make_world(rules__slow_yaml=SECOND_RULE.replace("mode: auto", "mode: observe"))
    world.event("shop.slow", service="shop")
    silent = world.messages()
    world.probe(ok=False, times=3)

    assert silent == []
    assert len(world.messages()) == 1


def test_what_follows_a_guarded_containment_that_nobody_allowed_does_not_run_by_itself(
    make_world: Callable[..., World],
) -> None:
    rule = GUARDED.replace("within: 10m", "within: 1h") + (
        "then:\n  - {do: maintenance-page, at: $service.hosts}\n"
    )
    world = make_world(rules__shop_yaml=rule)
    world.event("deploy.started", service="shop")
    world.probe(ok=False, times=3)
    world.pass_time(31 * MINUTE)

    assert world.ready() == []
    assert [question.question.partition(" needs")[0] for question in world.questions()] == [
        "maintenance-page"
    ]


# -- silence --------------------------------------------------------------------------------------------


def test_time_in_which_nobody_listened_proves_nothing(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    world.now += 5 * MINUTE
    world.restart()
    world.pass_time(SECOND)
    observed = world.runs()[0].state
    world.pass_time(90 * SECOND)

    assert observed is RunState.VERIFYING
    assert world.runs()[0].state is RunState.INEFFECTIVE


def test_quiet_while_the_daemon_was_down_clears_nothing(make_world: Callable[..., World]) -> None:
    world = make_world(rules__slow_yaml=SECOND_RULE.replace("{event: shop.fast}", "{after: 10m}"))
    world.event("shop.slow", service="shop")
    world.now += HOUR
    world.restart()
    world.pass_time(5 * MINUTE)
    waiting = world.incidents()[0].state
    world.pass_time(6 * MINUTE)

    assert waiting is IncidentState.OPEN
    assert world.incidents()[0].state is IncidentState.CLEARED


def test_a_late_answer_gets_a_new_card_that_can_be_answered(world: World) -> None:
    to_question(world)
    (question,) = world.questions()
    world.pass_time(31 * MINUTE)
    late = world.answers(question, f"roll-back {world.code(question)}")
    (again,) = world.questions()
    nothing = world.ready()
    answer = world.answers(again, f"roll-back {world.code(again)}")

    assert (late.kind, answer.kind) == ("expired", "accepted")
    assert nothing == []
    assert [order.step.action for order in world.ready()] == ["roll-back-release"]


def to_unknown(world: World) -> None:
    to_question(world)
    (question,) = world.questions()
    world.answers(question, f"roll-back {world.code(question)}")
    world.ends(world.ready()[0], OutcomeKind.UNKNOWN)


@pytest.mark.parametrize("late", [False, True])
def test_a_locked_target_can_be_freed_after_the_fault_is_gone(world: World, late: bool) -> None:
    to_unknown(world)
    (question,) = world.questions()
    world.probe(ok=True, times=2)
    if late:
        world.pass_time(31 * MINUTE)
        world.answers(question, "leave")
        (question,) = world.questions()
    answer = world.answers(question, "leave")
    with world.db.read() as tx:
        locked = facts.named(tx, "lock:")

    assert answer.kind == "denied"
    assert locked == {}


def test_a_message_to_a_channel_that_was_removed_goes_to_another(world: World) -> None:
    world.probe(ok=False, times=3)
    (message,) = world.messages()
    site = world.files["holdfast.yaml"].replace("  mail: {url: $secret.mail-url}\n", "")
    world.push({**world.files, "holdfast.yaml": site.replace("[mail, push]", "[push]")}, "c2")
    world.delivered(message, DeliveryState.FAILED, "not declared")

    assert "push" in {sent.channel for sent in world.messages()}


# -- threads that must not die, and a clock that must not stand still -----------------------------------


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def test_the_pipeline_outlives_whatever_is_thrown_at_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    thrown = []

    def throw(*_: object) -> None:
        thrown.append(1)
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(world.pipeline, "_handle_batch", throw)
        with world.db.begin("tests.integration.pipeline") as tx:
            entry = Entry(EntryKind.SWITCH, "cli", "s1", "c1", b'{"stopped":true,"by":"me"}')
            (seq,) = journal.append(tx, [entry], world.now)
        world.pipeline.start()
        world.pipeline.wake()
        eventually(lambda: thrown and world.pipeline.failed)
    world.pipeline.wake()
    eventually(lambda: world.pipeline.cursor == seq and world.pipeline.failed is None)
    world.pipeline.stop(5)

    with world.db.read() as tx:
        assert facts.get(tx, "stopped") == "1"


def test_a_config_whose_swap_was_not_committed_does_not_decide(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreError("the disk is full")

    before = world.pipeline.snapshot
    with monkeypatch.context() as broken:
        broken.setattr(journal, "advance", full)
        with pytest.raises(StoreError):
            world.push(changed_restart(world), "c2")
    kept = world.pipeline.snapshot
    world.pipeline.drain()

    assert kept is before
    assert world.pipeline.snapshot.commit == "c2"


def test_a_stop_file_is_told_of_again_until_the_journal_has_it(world: World, tmp_path: Path) -> None:
    stop, taken, refusals = tmp_path / "stop", [], [Overloaded("full"), ZeroDivisionError()]

    def put(entries: Sequence[Entry]) -> None:
        if refusals:
            raise refusals.pop()
        taken.extend(entries)

    ticking = Clock(world.db, put, stop)
    ticking.start()
    stop.touch()
    eventually(lambda: any(entry.kind is EntryKind.SWITCH for entry in taken))
    ticking.stop(5)

    assert refusals == []


def test_where_the_wall_clock_is_set_back_time_goes_on() -> None:
    wall, steady = [1_000_000], [0]
    clock = Onward(lambda: wall[0], lambda: steady[0])
    wall[0], steady[0] = 900_000, 5_000
    after = clock()
    wall[0], steady[0] = 905_000, 10_000
    later = clock()
    wall[0], steady[0] = 2_000_000, 11_000

    assert (after, later, clock()) == (1_005_000, 1_010_000, 2_000_000)


def test_a_clock_begins_where_the_journal_ended() -> None:
    wall, steady = [1_000], [0]
    clock = Onward(lambda: wall[0], lambda: steady[0])
    clock.not_before(5_000)
    steady[0] = 10

    assert clock() == 5_010
