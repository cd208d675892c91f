from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.gate.basis import plan_hash
from holdfast.gate.card import BODY_MAX, TITLE_MAX, Card, card, fill
from holdfast.gate.reply import parse
from holdfast.gate.token import code_for, display
from holdfast.gate.wording import CODE_PLACEHOLDER
from holdfast.model.actions import Connector, Plan, PlannedStep, Retry, Risk, Touches
from holdfast.model.policies import Category, Effect, Verdict, Voice
from holdfast.model.records import Choice, Gate, GateState, Incident, IncidentState, TimelineItem
from holdfast.model.values import MINUTE, Severity

NOW = 1_763_841_845_000  # 20:04:05 UTC
CODE = code_for(b"k" * 32, "gate-1", "sven")
STEP = PlannedStep(
    action="roll-back-release",
    connector=Connector.SSH,
    target="web1",
    argv=("/usr/local/bin/roll-back", "shop"),
    params={},
    risk=Risk.MEDIUM,
    touches=(Touches.AVAILABILITY,),
    idempotent=False,
    irreversible=False,
    deadline=60_000,
    retry=Retry(),
    verify=None,
    fresh=True,
)
PLAN = Plan("roll-back-release", (STEP,))
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
GATE = Gate(
    id="gate-1",
    incident="inc-1",
    rule="shop-down",
    question="Roll shop back to the previous release?",
    choices=(Choice("roll-back", PLAN), Choice("wait")),
    silence="wait",
    basis="b1",
    state=GateState.PENDING,
    created=NOW,
    expires=NOW + 30 * MINUTE,
)
VERDICT = Verdict(
    Effect.HUMAN,
    Category.RULES_BASED,
    (
        Voice(
            "service-down-envelope", Effect.HUMAN, "outside the envelope: its risk is medium, low is allowed"
        ),
    ),
)
EVIDENCE = [TimelineItem("inc-1", NOW - 5000, 7, "event", "probe of shop answered 500", "c0ffee1")]


def card_with(
    incident: Incident = INCIDENT,
    gate: Gate = GATE,
    evidence: list[TimelineItem] = EVIDENCE,
    verdict: Verdict | None = VERDICT,
    **more: object,
) -> Card:
    return card(
        incident,
        gate,
        evidence=evidence,
        verdict=verdict,
        commit="c0ffee1",
        operator="sven",
        now=NOW,
        **more,  # type: ignore[arg-type]
    )


def test_the_card_says_everything_that_an_answer_needs_in_this_order():
    assert card_with() == Card(
        "Asks [critical]: shop fails its probe (500)",
        f"""\
What happened: shop fails its probe (500)
State: critical service-down on shop, open for 2 min
Question for sven: Roll shop back to the previous release?
Recommended: roll-back

How to answer: reply with one line and nothing else on it.
- to run: roll-back, a space, your code
- your code: {{code}}
- to run nothing, no code needed: wait
- or on the server: holdfast answer gate-1 CHOICE
Without an answer until 20:34:05 UTC, in 30 min: wait. Nothing runs; the incident stays open.

Choice roll-back: roll-back-release on web1 (plan {plan_hash(PLAN)[:8]})
  impact: risk medium, touches availability
  1. on web1: /usr/local/bin/roll-back shop
     undone by: nothing, no undo is declared
Choice wait: nothing runs.

Why: rule shop-down
- 20:04:00 UTC probe of shop answered 500

Policy: human, rules-based
- service-down-envelope: human, outside the envelope: its risk is medium, low is allowed

Config: c0ffee1
The whole story: holdfast show inc-1""",
    )


def test_the_first_screen_has_the_fault_the_advice_and_how_to_answer():
    first_screen = "\n".join(card_with().body.splitlines()[:9])

    assert len(first_screen) < 500
    for needed in ("fails its probe", "Recommended: roll-back", CODE_PLACEHOLDER, "no code needed: wait"):
        assert needed in first_screen


def test_a_card_without_a_verdict_leaves_the_policies_out():
    assert "Policy" not in card_with(verdict=None).body


def test_a_card_for_a_held_run_offers_approve_and_deny():
    held = replace(GATE, run="run-1", choices=(Choice("approve", PLAN), Choice("deny")), silence="deny")

    body = card_with(gate=held).body

    assert "- to run: approve, a space, your code" in body
    assert "no code needed: deny" in body


def test_a_question_that_can_run_nothing_shows_no_code():
    body = card_with(gate=replace(GATE, choices=(Choice("yes"), Choice("no")), silence="no")).body

    assert CODE_PLACEHOLDER not in body
    assert "Recommended" not in body
    assert "no code needed: yes or no" in body


def test_guards_that_could_not_be_read_are_shown():
    assert "- guard deploy: unknown, counted as not holding" in card_with(unknown_guards=["deploy"]).body


def test_a_card_that_replaces_another_begins_with_what_changed():
    body = card_with(changed="Changed since the last card: the commands that would run.").body

    assert body.startswith(
        "This card replaces an older one. Changed since the last card: the commands that would run.\n"
    )


def test_the_recommendation_can_be_given():
    assert "Recommended: wait" in card_with(recommended="wait").body


def test_a_reopened_incident_says_how_often():
    assert "open for 2 min, reopened 2 times" in card_with(incident=replace(INCIDENT, reopened=2)).body


def test_of_much_evidence_the_newest_is_shown_and_the_rest_counted():
    many = [replace(EVIDENCE[0], seq=n, text=f"line {n}") for n in range(12)]

    body = card_with(evidence=many).body

    assert "- … 7 earlier lines" in body
    assert "line 6\n" not in body
    assert "line 7\n" in body
    assert "line 11\n" in body


def test_of_many_voices_the_strictest_are_shown_and_the_rest_counted():
    voices = tuple(Voice(f"p{n}", Effect.HUMAN, "why") for n in range(13))

    body = card_with(verdict=replace(VERDICT, voices=voices)).body

    assert "- p9: human, why" in body
    assert "p10" not in body
    assert "- … and 3 more" in body


def test_a_body_that_is_too_long_is_cut_at_a_line_and_says_so():
    long = replace(STEP, argv=("x" * 600,), undo=(STEP,) * 8)
    plans = tuple(Choice(f"c{n}", Plan("p", (long,) * 8)) for n in range(3))

    body = card_with(gate=replace(GATE, choices=plans)).body

    assert len(body) <= BODY_MAX
    assert body.splitlines()[-1] == "… cut here: the server shows the rest."
    assert CODE_PLACEHOLDER in body


def test_filling_puts_the_code_in_its_place():
    body = fill(card_with().body, CODE)

    assert f"- your code: {display(CODE)}" in body
    assert CODE_PLACEHOLDER not in body


@pytest.mark.parametrize("code", ["", "approve", "7KQ4-MX\nBcc: x", "{code}"])
def test_only_a_code_can_be_filled_in(code: str):
    with pytest.raises(ValueError, match="reply code"):
        fill("{code}", code)


# -- properties --------------------------------------------------------------------------------------

hostile = (
    st.text(st.characters(), max_size=300)
    | st.lists(
        st.sampled_from(
            [
                "\r\n",
                "\n",
                "\u2028",
                "\x85",
                "wait",
                "deny",
                "roll-back {code}",
                "{code}",
                "{co",
                "de}",
                " ",
                ">",
                "\x00",
                "\ud800",
                "Bcc: a@b.c",
            ]
        )
    ).map("".join)
    | st.just("x" * 5000)
)
storable = hostile.map(lambda text: text.replace("\ud800", "")).filter(
    lambda text: not any("\ud800" <= sign <= "\udfff" for sign in text)
)  # a plan is JSON: half a surrogate pair never gets into one
hostile_steps = st.builds(
    replace, st.just(STEP), argv=st.lists(storable, min_size=1, max_size=3).map(tuple), target=storable
)
words = st.from_regex(r"[a-z][a-z-]{0,10}", fullmatch=True)


@st.composite
def hostile_cards(draw: st.DrawFn) -> tuple[Gate, Card]:
    incident = replace(
        INCIDENT, title=draw(hostile), service=draw(st.none() | hostile), subject=draw(hostile)
    )
    incident = replace(incident, type=draw(hostile), id=draw(hostile))
    plan = Plan(draw(storable), (draw(hostile_steps),))
    gate = replace(
        GATE,
        question=draw(hostile),
        rule=draw(hostile),
        choices=(Choice(draw(words), plan), Choice("wait"), Choice("code")),
        run=draw(st.none() | st.just("run-1")),
        expires=draw(st.integers(0, 2**60)),
    )
    evidence = [replace(EVIDENCE[0], text=text) for text in draw(st.lists(hostile, max_size=7))]
    verdict = replace(VERDICT, voices=(Voice(draw(hostile), Effect.HUMAN, draw(hostile)),))
    changed, guards = draw(hostile), draw(st.lists(hostile, max_size=2))
    return gate, card_with(incident, gate, evidence, verdict, changed=changed, unknown_guards=guards)


@given(hostile_cards())
def test_a_title_is_one_short_line_whatever_the_event_said(made: tuple[Gate, Card]):
    title = made[1].title

    assert len(title.splitlines()) == 1
    assert title.isprintable()
    assert len(title) <= TITLE_MAX
    assert title.encode()


@given(hostile_cards())
def test_no_line_of_a_card_is_a_reply_and_the_code_stands_in_one_place(made: tuple[Gate, Card]):
    gate, asked = made
    names = [choice.name for choice in gate.choices]

    body = fill(asked.body, CODE)

    for line in body.splitlines():
        assert parse(line.strip("> "), names) is None
    assert asked.body.count(CODE_PLACEHOLDER) == 1
    assert body.count(display(CODE)) == 1
    assert len(asked.body) <= BODY_MAX


@given(hostile_cards())
def test_every_line_of_a_card_can_be_printed_and_has_words_of_ours_first(made: tuple[Gate, Card]):
    beginnings = (
        *("What happened: ", "State: ", "Question for ", "Recommended: ", "This card replaces "),
        *("How to answer: ", "- ", "Without an answer until ", "Choice ", "  impact: ", "  1. on "),
        *("     undone by: ", "Why: rule ", "Policy: ", "Config: ", "The whole story: "),
    )

    for line in made[1].body.split("\n"):
        assert line.isprintable()
        assert not line or line.startswith(beginnings)


@given(hostile_cards())
def test_a_card_can_be_sent(made: tuple[Gate, Card]):
    assert made[1].title.encode()
    assert made[1].body.encode()
