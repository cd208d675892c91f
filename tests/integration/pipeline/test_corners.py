"""What happens seldom: late ticks, replies without a reference, a changed basis, refusals, holds by time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest

from holdfast.effects import crash_point
from holdfast.model.events import Tick
from holdfast.model.kinds import EntryKind
from holdfast.model.records import GateState, IncidentState, OutcomeKind, RunState
from holdfast.model.values import HOUR, MINUTE, SECOND
from holdfast.store import gates, holds, incidents, runs, timers
from holdfast.store.timers import Timer

if TYPE_CHECKING:
    from conftest import World

POINT = crash_point("tests.integration.pipeline.corners")

BLOG = """
rule: blog-down
doc: The blog fails its probe.
mode: auto
when:
  probe: {event: http.probe, where: {data.ok: false, service: blog}}
incident: {type: service-down, severity: critical, title: "the blog is down"}
clears: {event: http.probe, where: {data.ok: true, service: blog}}
contain:
  - {do: maintenance-page, at: web1}
"""

HELD = """
rule: shop-down
doc: The shop fails its probe.
mode: auto
when:
  probe: {event: http.probe, where: {data.ok: false}, streak: 3}
incident: {type: service-down, severity: critical, title: "down"}
clears: {event: http.probe, where: {data.ok: true}, streak: 2}
contain:
  - {do: maintenance-page, at: $service.hosts, hold: 20m}
"""


def to_question(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    world.pass_time(90 * SECOND)


def tick(world: World, timer: str, name: str) -> None:
    world.put(EntryKind.TICK, "clock", msgspec.json.encode(Tick(timer)), name)


def timer_of(world: World, kind: str) -> list[Timer]:
    with world.db.read() as tx:
        return timers.of_kind(tx, kind)


# -- the operator's word ----------------------------------------------------------------------------------


def test_an_incident_that_the_operator_closes_is_over_and_what_was_asked_is_not_needed(world: World) -> None:
    to_question(world)
    (asked,) = world.questions()
    (incident,) = world.incidents()
    world.close(incident.id, "mended by hand")
    late = world.answers(asked, f"roll-back {world.code(asked)}")

    assert world.incidents()[0].state is IncidentState.CLEARED
    assert "cleared: me closed it: mended by hand" in world.story()
    assert (world.questions(), late.kind, world.ready()) == ([], "not-needed", [])


def test_a_run_that_nobody_saw_help_is_no_success_of_the_operators_word(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    world.close(world.incidents()[0].id)
    world.pass_time(2 * HOUR)

    assert [run.state for run in world.runs()] == [RunState.CANCELLED]
    assert world.incidents()[0].state is IncidentState.CLOSED


def test_a_command_that_runs_while_its_incident_is_closed_is_no_success_either(world: World) -> None:
    world.probe(ok=False, times=3)
    (order,) = world.ready()
    with world.db.begin(POINT) as tx:
        assert runs.intend(tx, order.id, "boot-a", world.now)
    world.close(world.incidents()[0].id, "by\nhand \x1b[31m")
    running = world.runs()[0].state
    world.ends(order, intended=False)
    world.pass_time(2 * HOUR)

    assert (running, world.runs()[0].state) == (RunState.RUNNING, RunState.CANCELLED)
    assert "cleared: me closed it: by hand [31m" in world.story()


def test_what_has_not_begun_when_its_incident_is_closed_does_not_begin(world: World) -> None:
    world.probe(ok=False, times=3)
    waited = len(world.ready())
    world.close(world.incidents()[0].id)

    assert (waited, world.ready()) == (1, [])
    assert [run.state for run in world.runs()] == [RunState.CANCELLED]


def test_a_try_that_is_to_come_does_not_come_once_its_incident_is_closed(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0], OutcomeKind.NOT_STARTED)
    world.close(world.incidents()[0].id)
    world.pass_time(HOUR)

    assert world.ready() == []
    assert [run.state for run in world.runs()] == [RunState.CANCELLED]


def test_what_a_closed_incident_holds_is_released(make_world: Callable[..., World]) -> None:
    world = make_world(rules__shop_yaml=HELD)
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    world.close(world.incidents()[0].id)

    assert [order.step.argv for order in world.ready()] == [("maintenance", "off")]


def test_a_fault_that_comes_back_opens_what_the_operator_closed(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    world.close(world.incidents()[0].id)
    world.probe(ok=False, times=1)
    still = world.incidents()[0].state
    world.probe(ok=True, times=1)
    world.probe(ok=False, times=3)

    assert still is IncidentState.CLEARED
    assert [(found.state, found.reopened) for found in world.incidents()] == [(IncidentState.OPEN, 1)]


def test_what_the_operator_closed_is_held_open_by_nothing_of_before(make_world: Callable[..., World]) -> None:
    lasting = HELD.replace("rule: shop-down", "rule: shop-stays-down").replace("streak: 3", "streak: 5")
    lasting = lasting.replace(
        "clears: {event: http.probe, where: {data.ok: true}, streak: 2}", "clears: {after: 6h}"
    )
    world = make_world(rules__shop_yaml=f"{HELD}---{lasting}")
    world.probe(ok=False, times=5)
    world.close(world.incidents()[0].id)
    world.probe(ok=True, times=2)
    world.probe(ok=False, times=3)
    again = world.incidents()[0].state
    world.probe(ok=True, times=2)

    assert again is IncidentState.OPEN
    assert world.incidents()[0].state is IncidentState.CLEARED


@pytest.mark.parametrize("name", ["i-of-nobody", ""])
def test_to_close_what_is_not_open_changes_nothing(world: World, name: str) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    world.probe(ok=True, times=2)
    story = world.story()
    world.close(name or world.incidents()[0].id)

    assert world.story() == story


# -- time -----------------------------------------------------------------------------------------------


def test_a_tick_of_a_timer_that_was_cancelled_meanwhile_does_nothing(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    (verify,) = timer_of(world, "verify")
    world.probe(ok=True, times=2)
    story = world.story()
    world.now = verify.due
    tick(world, verify.id, "late")

    assert world.story() == story
    assert world.runs()[0].state is RunState.VERIFYING


def test_a_tick_that_comes_before_its_time_leaves_the_timer_set(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    (verify,) = timer_of(world, "verify")
    tick(world, verify.id, "early")

    assert timer_of(world, "verify") == [verify]
    assert world.runs()[0].state is RunState.VERIFYING


def test_an_incident_stays_until_what_is_observed_for_it_is_over(make_world: Callable[..., World]) -> None:
    quick = make_world().files["rules/shop.yaml"].replace("  severity:", "  reopen: 5s\n  severity:")
    world = make_world(rules__shop_yaml=quick)
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    world.probe(ok=True, times=2)
    world.pass_time(10 * SECOND)
    while_observed = world.incidents()[0].state
    world.pass_time(MINUTE)

    assert while_observed is IncidentState.CLEARED
    assert world.incidents()[0].state is IncidentState.CLOSED
    assert world.runs()[0].state is RunState.VERIFIED


def test_quiet_is_counted_from_the_last_firing(make_world: Callable[..., World]) -> None:
    rule = """
rule: errors
doc: An error was logged.
mode: observe
when: {e: {event: log.error}}
incident: {type: service-down, severity: error, title: "errors", key: [subject]}
clears: {after: 10m}
per: [subject]
"""
    world = make_world(rules__shop_yaml=rule)
    world.event("log.error")
    world.pass_time(9 * MINUTE)
    world.event("log.error")
    world.pass_time(9 * MINUTE)
    before = world.incidents()[0].state
    world.pass_time(2 * MINUTE)

    assert before is IncidentState.OPEN
    assert world.incidents()[0].state is IncidentState.CLEARED


def lasting(world: World) -> int:
    with world.db.read() as tx:
        return len(holds.lasting(tx))


def test_a_hold_of_some_time_is_released_when_that_is_over(make_world: Callable[..., World]) -> None:
    world = make_world(rules__shop_yaml=HELD)
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    world.pass_time(20 * MINUTE - SECOND)
    before = (lasting(world), world.ready())
    world.pass_time(SECOND)
    (undo,) = world.ready()
    world.ends(undo)

    assert before == (1, [])
    assert undo.step.argv == ("maintenance", "off")
    assert lasting(world) == 0
    assert world.incidents()[0].state is IncidentState.OPEN


def test_a_hold_whose_time_is_over_waits_for_the_kill_switch(make_world: Callable[..., World]) -> None:
    world = make_world(rules__shop_yaml=HELD)
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    world.switch(stopped=True)
    world.pass_time(HOUR)
    held = (lasting(world), world.ready())
    world.switch(stopped=False)
    world.pass_time(MINUTE)

    assert held == (1, [])
    assert [order.step.argv for order in world.ready()] == [("maintenance", "off")]


def test_a_switch_that_stands_already_is_thrown_once(world: World) -> None:
    world.probe(ok=False, times=3)
    world.switch(stopped=True)
    story = world.story()
    world.switch(stopped=True)

    assert world.story() == story


# -- replies --------------------------------------------------------------------------------------------


def test_a_reply_that_belongs_to_no_question_changes_nothing_and_is_kept(world: World) -> None:
    to_question(world)
    (question,) = world.questions()
    answers = [
        world.answers(question, f"roll-back {world.code(question)}", thread_ref="somebody-elses"),
        world.answers(question, f"roll-back {world.code(question)}", thread_ref="", operator=None),
    ]

    assert [answer.kind for answer in answers] == ["not-found", "not-found"]
    assert world.ready() == []
    assert world.questions() == [question]


def test_a_proven_operator_on_another_machine_cannot_name_a_question_by_its_id(world: World) -> None:
    to_question(world)
    (question,) = world.questions()
    by_mail = world.answers(question, f"roll-back {world.code(question)}", thread_ref=question.id)

    assert by_mail.kind == "not-found"
    assert world.ready() == []


def two_questions(make_world: Callable[..., World]) -> World:
    """The shop and the blog are down, and each restart has to be allowed."""
    suggest = make_world().files["rules/shop.yaml"].replace("mode: auto", "mode: suggest")
    blog = BLOG.replace("mode: auto", "mode: suggest")
    world = make_world(rules__shop_yaml=suggest, rules__blog_yaml=blog)
    world.probe(ok=False, times=3)
    world.event("http.probe", source="blog-probe", service="blog", ok=False)
    return world


def test_without_a_reference_the_code_says_which_question_is_meant(
    make_world: Callable[..., World],
) -> None:
    world = two_questions(make_world)
    first, second = world.questions()
    nobody = world.answers(second, "approve", thread_ref="")
    answer = world.answers(second, f"approve {world.code(second)}", thread_ref="")

    assert nobody.kind == "not-found"
    assert (answer.kind, answer.gate) == ("accepted", second.id)
    assert [left.id for left in world.questions()] == [first.id]


def test_without_a_reference_and_a_code_the_only_question_is_meant(world: World) -> None:
    to_question(world)
    (question,) = world.questions()
    wrong = world.answers(question, "roll-back 0000-00", thread_ref="")
    right = world.answers(question, "wait", thread_ref="")

    assert (wrong.gate, wrong.kind) == (question.id, "wrong-code")
    assert (right.gate, right.choice) == (question.id, "wait")
    assert world.ready() == []


def test_after_too_many_wrong_codes_the_right_one_is_too_late(world: World) -> None:
    to_question(world)
    (question,) = world.questions()
    kinds = [world.answers(question, "roll-back 0000-00").kind for _ in range(5)]
    right = world.answers(question, f"roll-back {world.code(question)}")

    assert kinds[0] == "wrong-code"
    assert right.kind != "accepted"
    assert world.ready() == []


def test_a_receipt_goes_to_another_channel_than_the_reply_came_from(world: World) -> None:
    to_question(world)
    (question,) = world.questions()
    before = {message.id for message in world.messages()}
    world.answers(question, f"roll-back {world.code(question)}")
    receipts = [message for message in world.messages() if message.id not in before]

    assert [message.channel for message in receipts] == ["push"]


def test_an_approval_that_rests_on_something_that_changed_is_asked_anew(
    make_world: Callable[..., World],
) -> None:
    world = make_world(rules__blog_yaml=BLOG)
    to_question(world)
    (old,) = world.questions()
    world.event("http.probe", source="blog-probe", service="blog", ok=False)
    (other,) = world.ready()
    late = world.answers(old, f"roll-back {world.code(old)}")
    (new,) = world.questions()
    cards = [message.body for message in world.messages() if message.gate == new.id]
    again = world.answers(new, f"roll-back {world.code(new)}")
    with world.db.read() as tx:
        voided = gates.find(tx, old.id)

    assert other.step.action == "maintenance-page"
    assert late.kind == "void"
    assert voided is not None
    assert voided.state is GateState.VOID
    assert new.question == old.question
    assert any("changed" in card.lower() for card in cards), cards
    assert again.kind == "accepted"


# -- refusals -------------------------------------------------------------------------------------------

HOSTILE = """
rule: shop-down
doc: The sender names the unit.
mode: auto
when: {e: {event: unit.failed}}
incident: {type: service-down, severity: error, title: "unit failed"}
clears: {after: 1h}
contain:
  - {do: restart-unit, at: web1, with: {unit: $e.data.unit}}
then:
  - ask: "Which one?"
    choices: {restart: {do: restart-unit, at: web1, with: {unit: $e.data.other}}, wait: {}}
    silence: wait
    within: 30m
"""


@pytest.mark.parametrize("unit", ["-Hroot@evil.service", "a.service\n", "a b.service", "", 7, None])
def test_a_value_that_is_no_unit_name_reaches_no_command_and_the_operator_hears_of_it(
    make_world: Callable[..., World], unit: object
) -> None:
    world = make_world(rules__shop_yaml=HOSTILE)
    world.event("unit.failed", service="shop", unit=unit, other="good.service")  # type: ignore[arg-type]
    refused = [line for line in world.story() if line.startswith("refused")]
    (question,) = world.questions()

    assert world.ready() == []
    assert len(refused) == 1
    assert "restart-unit cannot be planned" in refused[0]
    assert any("cannot be planned" in message.body for message in world.messages())
    assert [choice.name for choice in question.choices] == ["restart", "wait"]


def test_a_choice_that_cannot_be_bound_is_not_offered(make_world: Callable[..., World]) -> None:
    world = make_world(rules__shop_yaml=HOSTILE)
    world.event("unit.failed", service="shop", unit="-x", other="--evil")
    (question,) = world.questions()

    assert [choice.name for choice in question.choices] == ["wait"]


DENY = """
policy: never-on-friday
doc: No restarts.
match: {action: restart-unit}
effect: deny
"""


def test_what_a_policy_denies_is_not_done_and_the_next_step_follows(make_world: Callable[..., World]) -> None:
    world = make_world(policies__deny_yaml=DENY)
    world.probe(ok=False, times=3)
    (question,) = world.questions()

    assert world.ready() == []
    assert world.runs()[0].state is RunState.DENIED
    assert any("denied by policy" in message.body for message in world.messages())
    assert question.question == "Roll shop back?"


def test_with_nobody_to_ask_the_story_says_how_to_answer(make_world: Callable[..., World]) -> None:
    site = (
        make_world()
        .files["holdfast.yaml"]
        .replace("  me: {channels: [mail, push], addresses: [me@lab.test]}", "")
    )
    world = make_world(holdfast_yaml=site.replace("operators:", ""))
    to_question(world)

    assert world.messages() == []
    assert len(world.questions()) == 1
    assert any("holdfast answer" in line for line in world.story())
    assert any("nobody to tell" in line for line in world.story())


# -- outcomes -------------------------------------------------------------------------------------------


def test_a_second_outcome_and_one_of_an_unknown_attempt_change_nothing(world: World) -> None:
    world.probe(ok=False, times=3)
    (order,) = world.ready()
    world.ends(order)
    story = world.story()
    world.ends(order, OutcomeKind.KILLED, intended=False)
    world.ends(replace(order, id="r9/0/1"), intended=False)

    assert world.story() == story
    assert world.runs()[0].state is RunState.VERIFYING


def test_a_step_that_was_not_needed_counts_as_done(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0], OutcomeKind.SKIPPED)

    assert world.runs()[0].state is RunState.VERIFYING


def test_a_command_that_was_killed_at_its_deadline_is_tried_again_if_it_may_be(world: World) -> None:
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0], OutcomeKind.KILLED)
    world.pass_time(2 * SECOND)

    assert [order.id[-4:] for order in world.ready()] == ["/0/2"]


def test_a_host_that_is_never_reached_is_given_up_in_words(world: World) -> None:
    world.probe(ok=False, times=3)
    for _ in range(3):
        world.ends(world.ready()[0], OutcomeKind.NOT_STARTED, intended=False)
        world.pass_time(MINUTE)

    assert world.ready() == []
    assert world.runs()[0].state is RunState.FAILED
    assert any("web1 could not be reached" in line for line in world.story())
    assert any(message.title.startswith("Failed") for message in world.messages())


def test_a_fault_that_cleared_before_the_command_ended_still_has_to_stay_away(world: World) -> None:
    world.probe(ok=False, times=3)
    (order,) = world.ready()
    world.probe(ok=True, times=2)
    world.ends(order)
    states = [world.runs()[0].state]
    world.pass_time(30 * SECOND)

    assert states == [RunState.VERIFYING]
    assert world.runs()[0].state is RunState.VERIFIED


def test_evidence_is_counted_without_end_and_kept_within_a_bound(make_world: Callable[..., World]) -> None:
    rule = HELD.replace(", streak: 3", "").replace("mode: auto", "mode: observe")
    world = make_world(rules__shop_yaml=rule)
    world.probe(ok=False, times=60)
    with world.db.read() as tx:
        (incident,) = incidents.listed(tx)
        kept = len(incidents.story(tx, incident.id, "evidence"))
        counted = incidents.firing_counts(tx)["shop-down"][0]

    assert (kept, counted) == (50, 60)


# -- answers, groups, keys and pushes -------------------------------------------------------------------

UNTIL_ANSWERED = """
rule: shop-down
doc: The shop fails its probe. Show a page until somebody has decided.
mode: auto
when:
  probe: {event: http.probe, where: {data.ok: false}, streak: 3}
incident: {type: service-down, severity: critical, title: "down"}
clears: {event: http.probe, where: {data.ok: true}, streak: 2}
contain:
  - {do: maintenance-page, at: $service.hosts, hold: until-answered}
then:
  - ask: "Roll back?"
    choices: {roll-back: {do: roll-back-release, at: $service.hosts}, wait: {}}
    silence: wait
    within: 30m
"""


def test_a_hold_until_answered_ends_with_the_answer(make_world: Callable[..., World]) -> None:
    world = make_world(rules__shop_yaml=UNTIL_ANSWERED)
    world.probe(ok=False, times=3)
    world.ends(world.ready()[0])
    (question,) = world.questions()
    before = (lasting(world), world.ready())
    world.answers(question, "wait")

    assert before == (1, [])
    assert [order.step.argv for order in world.ready()] == [("maintenance", "off")]
    assert lasting(world) == 0


GROUP = """
policy: half-of-the-group
doc: At most half of the web hosts at a time.
blast-radius: {of: group, percent: 50}
---
policy: any-number-of-a-service
doc: In this test only the group counts.
blast-radius: {of: service, at_once: 100}
replaces: builtin-one-target
"""


def test_more_than_the_share_of_a_group_is_asked_first(make_world: Callable[..., World]) -> None:
    blog = BLOG.replace("at: web1", "at: web2")
    world = make_world(rules__blog_yaml=blog, policies__group_yaml=GROUP)
    world.probe(ok=False, times=3)
    world.event("http.probe", source="blog-probe", service="blog", ok=False)
    (question,) = world.questions()
    voices = [line for line in world.story() if "half-of-the-group" in line or "group" in line]

    assert [order.step.target for order in world.ready()] == ["web1"]
    assert question.run is not None
    assert voices


KEYED = """
rule: disk-full
doc: One incident for each mount point, whatever the service.
mode: observe
when: {e: {event: disk.full}}
incident: {type: service-down, severity: error, title: "$e.data.mount is full", key: [$e.data.mount, subject]}
clears: {after: 1h}
per: [subject]
"""


def test_the_key_that_a_rule_names_tells_incidents_apart(make_world: Callable[..., World]) -> None:
    world = make_world(rules__shop_yaml=KEYED)
    for mount in ("/", "/var", "/", None):
        world.event("disk.full", mount=mount)

    assert sorted(incident.title for incident in world.incidents()) == [
        "/ is full",
        "/var is full",
        "none is full",
    ]


def test_what_waits_for_a_rule_that_a_push_removed_is_dropped(world: World) -> None:
    world.switch(stopped=True)
    world.probe(ok=False, times=3)
    world.push({name: text for name, text in world.files.items() if name != "rules/shop.yaml"}, "c2")
    world.switch(stopped=False)

    assert world.runs()[0].state is RunState.CANCELLED
    assert world.questions() == []
    assert world.ready() == []


def test_what_waits_for_an_action_that_a_push_took_away_is_dropped_in_words(world: World) -> None:
    world.switch(stopped=True)
    world.probe(ok=False, times=3)
    rule = world.files["rules/shop.yaml"]
    without = rule.replace(
        "do: restart-unit, at: $service.hosts, with: {unit: $service.unit}", "do: maintenance-page"
    )
    world.push({**world.files, "rules/shop.yaml": without}, "c2")

    assert world.runs()[0].state is RunState.CANCELLED
    assert any("a pushed commit took it away" in message.body for message in world.messages())
