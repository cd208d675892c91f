from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.gate.card import Card
from holdfast.gate.judge import Judgement, JudgementKind
from holdfast.gate.notice import (
    cleared,
    expired,
    failed,
    opened,
    quarantined,
    receipt_message,
    stuck,
)
from holdfast.gate.wording import CODE_PLACEHOLDER
from holdfast.model.actions import Connector, Plan, PlannedStep, Retry, Risk, Touches
from holdfast.model.events import Entry
from holdfast.model.kinds import EntryKind
from holdfast.model.policies import Category, Effect, Verdict, Voice
from holdfast.model.records import (
    Choice,
    Gate,
    GateState,
    Incident,
    IncidentState,
    Outcome,
    OutcomeKind,
    Run,
    RunState,
)
from holdfast.model.values import MINUTE, SECOND, Severity

NOW = 1_763_841_845_000  # 20:04:05 UTC
PLAN = Plan(
    "restart-unit",
    (
        PlannedStep(
            action="restart-unit",
            connector=Connector.SSH,
            target="web1",
            argv=("sudo", "-n", "systemctl", "restart", "--", "shop.service"),
            params={},
            risk=Risk.LOW,
            touches=(Touches.AVAILABILITY,),
            idempotent=True,
            irreversible=False,
            deadline=60_000,
            retry=Retry(),
            verify=None,
            fresh=True,
        ),
    ),
)
INCIDENT = Incident(
    id="inc-1",
    key="shop/service-down",
    type="service-down",
    severity=Severity.CRITICAL,
    title="shop fails its probe (500)",
    service="shop",
    subject="shop-probe",
    state=IncidentState.OPEN,
    version=3,
    opened=NOW - 2 * MINUTE,
    changed=NOW,
)
RUN = Run("run-1", "inc-1", "shop-down", "contain", PLAN, RunState.VERIFIED, 1, NOW, NOW, 7)
GATE = Gate(
    id="gate-1",
    incident="inc-1",
    rule="shop-down",
    question="Roll shop back?",
    choices=(Choice("roll-back", PLAN), Choice("wait")),
    silence="wait",
    basis="b1",
    state=GateState.PENDING,
    created=NOW,
    expires=NOW + 30 * MINUTE,
)
OUTCOME = Outcome("run-1/0/1", OutcomeKind.ENDED, exit_code=5, output="a lot\nUnit not found.\n")


def verdict_of(effect: Effect) -> Verdict:
    return Verdict(effect, Category.RULES_BASED, (Voice("some-policy", effect, "because"),))


@pytest.mark.parametrize(
    ("effect", "now"),
    [
        (Effect.ALLOW, "Now: it runs by itself"),
        (Effect.HUMAN, "Now: it waits for an answer, a card follows"),
        (Effect.DENY, "Now: it is not run, the policies forbid it"),
    ],
)
def test_an_opened_incident_says_what_is_done_about_it(effect: Effect, now: str):
    notice = opened(INCIDENT, rule="shop-down", plans=[PLAN], verdict=verdict_of(effect), commit="c0ffee1")

    assert notice.title == "Opened [critical]: shop fails its probe (500)"
    assert now in notice.body
    assert "  1. on web1: sudo -n systemctl restart -- shop.service" in notice.body
    assert "- some-policy: because" in notice.body
    assert "Why: rule shop-down at config c0ffee1" in notice.body


def test_an_opened_incident_without_a_plan_is_watched():
    for verdict in (None, verdict_of(Effect.ALLOW)):
        notice = opened(INCIDENT, rule="shop-down", plans=[], verdict=verdict, commit="c0ffee1")

        assert "nothing runs by itself" in notice.body


def test_a_reopened_incident_says_so():
    again = replace(INCIDENT, reopened=1)

    notice = opened(again, rule="shop-down", plans=[], verdict=None, commit="c0ffee1")

    assert notice.title.startswith("Reopened ")


def test_a_cleared_incident_says_when_and_what_was_run():
    healed = replace(INCIDENT, state=IncidentState.CLEARED, cleared=NOW - 5 * SECOND)

    notice = cleared(healed, runs=[RUN], now=NOW)

    assert notice.title == "Healed [critical]: shop fails its probe (500)"
    assert "Cleared: by observation at 20:04:00 UTC, after 1 min 55 s" in notice.body
    assert "Was run: restart-unit on web1" in notice.body
    assert "verified" in notice.body


@pytest.mark.parametrize("runs", [[], [replace(RUN, state=RunState.INEFFECTIVE)]])
def test_holdfast_takes_no_credit_for_what_cleared_by_itself(runs: list[Run]):
    assert cleared(INCIDENT, runs=runs, now=NOW).title.startswith("Cleared by itself ")


def test_a_failed_run_shows_how_it_ended_and_the_end_of_its_output():
    notice = failed(INCIDENT, RUN, OUTCOME)

    assert "Result: ended, exit code 5" in notice.body
    assert "Output ends: a lot Unit not found." in notice.body


def test_of_long_output_the_end_is_shown():
    notice = failed(INCIDENT, RUN, replace(OUTCOME, output="x" * 5000 + " the reason"))

    assert notice.body.count("the reason") == 1
    assert len(notice.body) < 1500


def test_a_run_that_never_started_says_why():
    never = Outcome("run-1/0/1", OutcomeKind.NOT_STARTED, detail="no route to host")

    notice = failed(INCIDENT, RUN, never)

    assert "Result: not-started: no route to host" in notice.body
    assert "Output" not in notice.body


def test_a_question_that_nobody_answered_says_that_nothing_ran():
    notice = expired(INCIDENT, GATE)

    assert "no answer until 20:34:05 UTC, so wait; nothing ran" in notice.body


def test_handing_over_says_why_and_that_nothing_more_is_tried():
    notice = stuck(INCIDENT, "restart-unit is denied by policy: no changes on Sundays")

    assert notice.title == "Needs you [critical]: shop fails its probe (500)"
    assert "Result: restart-unit is denied by policy: no changes on Sundays" in notice.body
    assert "nothing more is tried" in notice.body


def test_what_was_set_aside_is_named():
    entry = Entry(EntryKind.EVENT, "shop-probe", "e-17", "c0ffee1", b"{}", received=NOW, seq=42)

    notice = quarantined(entry, "it broke the matcher")

    assert notice.title == "Set aside: event e-17 from shop-probe"
    assert "Entry: number 42, event e-17 from shop-probe" in notice.body
    assert "Why: it broke the matcher" in notice.body
    assert "holdfast events --quarantined" in notice.body


@pytest.mark.parametrize("kind", JudgementKind)
def test_a_receipt_on_another_channel_names_who_answered_and_what_came_of_it(kind: JudgementKind):
    notice = receipt_message(INCIDENT, GATE, Judgement(kind, "So it is."), operator="sven", channel="mail")

    taken = kind in {JudgementKind.ACCEPTED, JudgementKind.DENIED}

    assert "Reply: by sven over mail" in notice.body
    assert "Result: So it is." in notice.body
    assert ("holdfast stop-all" in notice.body) == taken
    assert notice.title.startswith("Answered " if taken else "Reply without effect ")


hostile = st.text(st.characters(), max_size=80) | st.sampled_from(
    ["a\r\nBcc: x@example.com", "{code}", "wait", "x" * 5000, "\ud800", "\x1b[2J\n\nwait"]
)


@st.composite
def hostile_notices(draw: st.DrawFn) -> Card:
    incident = replace(
        INCIDENT, title=draw(hostile), service=draw(st.none() | hostile), subject=draw(hostile)
    )
    outcome = replace(OUTCOME, output=draw(hostile), detail=draw(hostile), attempt=draw(hostile))
    gate = replace(GATE, question=draw(hostile), silence=draw(hostile))
    judgement = Judgement(JudgementKind.ACCEPTED, draw(hostile))
    verdict = Verdict(
        Effect.ALLOW, Category.RULES_BASED, (Voice(draw(hostile), Effect.ALLOW, draw(hostile)),)
    )
    made = [
        opened(incident, rule=draw(hostile), plans=[PLAN], verdict=verdict, commit=draw(hostile)),
        cleared(incident, runs=[RUN], now=NOW),
        failed(incident, RUN, outcome),
        expired(incident, gate),
        stuck(incident, draw(hostile)),
        quarantined(Entry(EntryKind.EVENT, draw(hostile), draw(hostile), "c", b"{}"), draw(hostile)),
        receipt_message(incident, gate, judgement, operator=draw(hostile), channel=draw(hostile)),
    ]
    return draw(st.sampled_from(made))


@given(hostile_notices())
def test_whatever_the_world_says_a_notice_is_printable_and_every_line_is_ours(notice: Card):
    assert len(notice.title.splitlines()) == 1
    assert notice.title.isprintable()
    for line in notice.body.split("\n"):
        assert line.isprintable()
        assert ": " in line or line.startswith("- ")
    assert CODE_PLACEHOLDER not in notice.body
    assert sum(line.startswith("For you to do: ") for line in notice.body.split("\n")) == 1
