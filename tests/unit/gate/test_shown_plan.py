from __future__ import annotations

from dataclasses import replace

from holdfast.gate.basis import plan_hash
from holdfast.gate.shown_plan import plan_lines, summary
from holdfast.model.actions import Connector, Plan, PlannedStep, Retry, Risk, Touches

STEP = PlannedStep(
    action="roll-back-release",
    connector=Connector.SSH,
    target="web1",
    argv=("/usr/local/bin/roll-back", "the shop"),
    params={},
    risk=Risk.MEDIUM,
    touches=(Touches.CUSTOMERS_SEE, Touches.AVAILABILITY),
    idempotent=False,
    irreversible=False,
    deadline=60_000,
    retry=Retry(),
    verify=None,
    fresh=True,
)
FORWARD = replace(STEP, argv=("/usr/local/bin/roll-forward", "the shop"))
PLAN = Plan("roll-back-release", (STEP, replace(STEP, target="web2", risk=Risk.HIGH)))


def test_a_summary_names_the_plan_its_targets_and_its_hash():
    assert summary(PLAN) == f"roll-back-release on web1, web2 (plan {plan_hash(PLAN)[:8]})"
    assert summary(replace(PLAN, steps=())).startswith("roll-back-release on nothing (plan ")


def test_a_plan_shows_every_command_with_its_target_and_its_undo():
    plan = replace(PLAN, steps=(replace(STEP, undo=(FORWARD, FORWARD)), replace(STEP, target="web2")))

    forward = "/usr/local/bin/roll-forward 'the shop'"
    assert plan_lines(plan) == [
        "  impact: risk medium, touches availability, customers-see",
        "  1. on web1: /usr/local/bin/roll-back 'the shop'",
        f"     undone by: {forward} on web1, then {forward} on web1",
        "  2. on web2: /usr/local/bin/roll-back 'the shop'",
        "     undone by: nothing, no undo is declared",
    ]


def test_the_impact_is_that_of_the_worst_step():
    assert plan_lines(PLAN)[0] == "  impact: risk high, touches availability, customers-see"
    assert plan_lines(replace(PLAN, steps=())) == ["  impact: risk low, touches nothing"]


def test_an_irreversible_step_says_that_it_cannot_be_undone():
    lines = plan_lines(replace(PLAN, steps=(replace(STEP, irreversible=True),)))

    assert lines[-1] == "     undone by: nothing, it cannot be undone"


def test_the_command_that_leaves_a_step_out_is_shown_too():
    lines = plan_lines(replace(PLAN, steps=(replace(STEP, skip_if=("test", "-e", "/run/done")),)))

    assert "     left out where this succeeds: test -e /run/done" in lines


def test_a_containment_says_how_long_it_lasts():
    assert plan_lines(replace(PLAN, hold="until-clear"))[-1] == "  lasts: until-clear"
    assert plan_lines(replace(PLAN, hold="duration", hold_for=1_200_000))[-1] == "  lasts: duration (20 min)"


def test_steps_that_do_not_fit_are_counted():
    lines = plan_lines(replace(PLAN, steps=(STEP,) * 11))

    assert sum("on web1:" in line for line in lines) == 8
    assert lines[-1] == "  … and 3 more steps: the server shows them all"


def test_undo_steps_that_do_not_fit_are_counted():
    lines = plan_lines(replace(PLAN, steps=(replace(STEP, undo=(FORWARD,) * 10),)))

    assert lines[-1].endswith(", then 2 more steps")
    assert lines[-1].count("roll-forward") == 8
