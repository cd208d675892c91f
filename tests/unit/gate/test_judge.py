from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.gate.basis import plan_hash
from holdfast.gate.judge import TRIES_MAX, JudgementKind, judge, runs_something
from holdfast.gate.token import ALPHABET, code_for, display
from holdfast.model.actions import Connector, Plan, PlannedStep, Retry, Risk, Touches
from holdfast.model.records import AuthLevel, Choice, Gate, GateState, InboundReply

KEY = b"k" * 32
NOW = 1_000_000
PLAN = Plan(
    "roll-back-release",
    (
        PlannedStep(
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
        ),
    ),
)
ASK = Gate(
    id="gate-1",
    incident="inc-1",
    rule="shop-down",
    question="Roll shop back?",
    choices=(Choice("roll-back", PLAN), Choice("wait")),
    silence="wait",
    basis="b1",
    state=GateState.PENDING,
    created=NOW - 60_000,
    expires=NOW + 60_000,
)
HOLDS_A_RUN = replace(
    ASK, run="run-1", choices=(Choice("approve", PLAN), Choice("deny")), silence="deny", question="Run it?"
)
CODE = code_for(KEY, "gate-1", "sven")
WRONG = code_for(KEY, "gate-2", "sven")
MAIL = InboundReply("mail", "sven@example.com", "<1@example.com>", "", "gate-1", AuthLevel.PROVEN, "sven")
CLI = InboundReply("cli", "uid:1000", "1", "", "gate-1", AuthLevel.PROVEN, "sven")


def kind_of(
    gate: Gate, reply: InboundReply, text: str, now: int = NOW, basis_now: str = "b1"
) -> JudgementKind:
    return judge(gate, replace(reply, text=text), key=KEY, now=now, basis_now=basis_now).kind


def test_the_right_code_from_a_proven_operator_is_accepted():
    judgement = judge(ASK, replace(MAIL, text=f"roll-back {display(CODE)}"), key=KEY, now=NOW, basis_now="b1")

    assert judgement.kind is JudgementKind.ACCEPTED
    assert judgement.choice == "roll-back"
    assert not judgement.count_try
    assert plan_hash(PLAN)[:8] in judgement.receipt


def test_a_run_that_is_held_back_is_approved_the_same_way():
    assert kind_of(HOLDS_A_RUN, MAIL, f"approve {CODE}") is JudgementKind.ACCEPTED
    assert kind_of(HOLDS_A_RUN, MAIL, "approve") is JudgementKind.NOT_UNDERSTOOD
    assert kind_of(HOLDS_A_RUN, MAIL, "deny") is JudgementKind.DENIED


def test_an_approve_without_a_plan_of_its_own_still_needs_the_code():
    bare = replace(HOLDS_A_RUN, choices=(Choice("approve"), Choice("deny")), silence="approve")

    assert runs_something(bare, bare.choices[0])
    assert kind_of(bare, MAIL, "approve") is JudgementKind.NOT_UNDERSTOOD
    assert kind_of(bare, MAIL, f"approve {CODE}") is JudgementKind.ACCEPTED
    assert kind_of(bare, MAIL, "deny") is JudgementKind.DENIED


@pytest.mark.parametrize("auth", [AuthLevel.KNOWN, AuthLevel.PROVEN])
def test_a_known_sender_may_choose_to_run_nothing_without_a_code(auth: AuthLevel):
    judgement = judge(ASK, replace(MAIL, text="Wait", auth=auth), key=KEY, now=NOW, basis_now="another")

    assert judgement.kind is JudgementKind.DENIED
    assert judgement.choice == "wait"
    assert "nothing runs" in judgement.receipt


def test_deny_stands_for_the_silent_choice_where_none_has_its_name():
    judgement = judge(ASK, replace(MAIL, text="deny"), key=KEY, now=NOW, basis_now="b1")

    assert (judgement.kind, judgement.choice) == (JudgementKind.DENIED, "wait")


def test_deny_stands_for_nothing_that_runs():
    broken = replace(ASK, silence="roll-back")
    named = replace(ASK, choices=(Choice("deny", PLAN), Choice("wait")))

    assert kind_of(broken, MAIL, "deny") is JudgementKind.NOT_UNDERSTOOD
    assert kind_of(replace(ASK, silence="gone"), MAIL, "deny") is JudgementKind.NOT_UNDERSTOOD
    assert kind_of(named, MAIL, "deny") is JudgementKind.NOT_UNDERSTOOD
    assert kind_of(named, MAIL, f"deny {CODE}") is JudgementKind.ACCEPTED


@pytest.mark.parametrize("text", ["roll-back 7KQ4-MX", "wait", "deny", "hello"])
@pytest.mark.parametrize(
    "reply",
    [
        replace(MAIL, operator=None),
        replace(MAIL, operator=""),
        replace(MAIL, auth=AuthLevel.NONE),
        replace(CLI, operator=None),
        replace(CLI, auth=AuthLevel.NONE),
    ],
)
def test_a_stranger_decides_nothing_and_learns_nothing(reply: InboundReply, text: str):
    judgements = {
        judge(replace(ASK, state=state), replace(reply, text=text), key=KEY, now=NOW, basis_now="b1")
        for state in GateState
    }

    assert len(judgements) == 1
    only = judgements.pop()
    assert only.kind is JudgementKind.NOT_ALLOWED
    assert not only.count_try


@pytest.mark.parametrize("code", [CODE, WRONG])
@pytest.mark.parametrize("reply", [MAIL, CLI])
def test_an_unproven_sender_runs_nothing_and_their_wrong_code_is_no_try(reply: InboundReply, code: str):
    claimed = replace(reply, auth=AuthLevel.KNOWN, text=f"roll-back {code}")

    judgement = judge(ASK, claimed, key=KEY, now=NOW, basis_now="b1")

    assert judgement.kind is JudgementKind.NOT_ALLOWED
    assert not judgement.count_try


def test_over_the_control_socket_no_code_is_needed():
    assert kind_of(ASK, CLI, "roll-back") is JudgementKind.ACCEPTED
    assert kind_of(ASK, CLI, f"roll-back {CODE}") is JudgementKind.ACCEPTED
    assert kind_of(replace(ASK, tries=TRIES_MAX), CLI, "roll-back") is JudgementKind.ACCEPTED
    assert kind_of(replace(ASK, tries=TRIES_MAX), CLI, f"roll-back {CODE}") is JudgementKind.ACCEPTED


def test_a_wrong_code_over_the_control_socket_means_another_card_and_is_no_try():
    judgement = judge(ASK, replace(CLI, text=f"roll-back {WRONG}"), key=KEY, now=NOW, basis_now="b1")

    assert judgement.kind is JudgementKind.WRONG_CODE
    assert not judgement.count_try


def test_a_wrong_code_counts_as_a_try():
    judgement = judge(ASK, replace(MAIL, text=f"roll-back {WRONG}"), key=KEY, now=NOW, basis_now="b1")

    assert judgement.kind is JudgementKind.WRONG_CODE
    assert judgement.count_try
    assert judgement.choice is None


def test_the_code_of_another_operator_is_a_wrong_code():
    theirs = code_for(KEY, "gate-1", "deputy")

    assert kind_of(ASK, MAIL, f"roll-back {theirs}") is JudgementKind.WRONG_CODE
    assert kind_of(ASK, replace(MAIL, operator="deputy"), f"roll-back {theirs}") is JudgementKind.ACCEPTED


@pytest.mark.parametrize(
    "text", ["", "   ", "hello", "roll-back", "Roll-back? not sure 7KQ4MX", "roll-back 7KQ"]
)
def test_what_is_not_understood_is_never_a_try(text: str):
    judgement = judge(ASK, replace(MAIL, text=text), key=KEY, now=NOW, basis_now="b1")

    assert judgement.kind is JudgementKind.NOT_UNDERSTOOD
    assert not judgement.count_try


def test_a_receipt_for_what_was_not_understood_says_what_would_be():
    judgement = judge(ASK, replace(MAIL, text="hello"), key=KEY, now=NOW, basis_now="b1")

    assert "roll-back and the code, wait" in judgement.receipt


def test_the_fifth_wrong_code_says_that_codes_no_longer_count():
    fourth = judge(
        replace(ASK, tries=3), replace(MAIL, text=f"roll-back {WRONG}"), key=KEY, now=NOW, basis_now="b1"
    )
    fifth = judge(
        replace(ASK, tries=4), replace(MAIL, text=f"roll-back {WRONG}"), key=KEY, now=NOW, basis_now="b1"
    )

    assert fourth.kind is fifth.kind is JudgementKind.WRONG_CODE
    assert "none counts any more" not in fourth.receipt
    assert "none counts any more" in fifth.receipt


@pytest.mark.parametrize("code", [CODE, WRONG])
def test_after_five_wrong_codes_even_the_right_one_is_locked_out(code: str):
    locked = replace(ASK, tries=TRIES_MAX)

    judgement = judge(locked, replace(MAIL, text=f"roll-back {code}"), key=KEY, now=NOW, basis_now="b1")

    assert judgement.kind is JudgementKind.LOCKED
    assert not judgement.count_try
    assert "not denied, answer on the server: holdfast answer gate-1 CHOICE" in judgement.receipt


def test_a_locked_gate_can_still_be_denied():
    assert kind_of(replace(ASK, tries=TRIES_MAX), MAIL, "wait") is JudgementKind.DENIED


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (GateState.ANSWERED, JudgementKind.ALREADY_ANSWERED),
        (GateState.EXPIRED, JudgementKind.EXPIRED),
        (GateState.NOT_NEEDED, JudgementKind.NOT_NEEDED),
        (GateState.VOID, JudgementKind.REPLACED),
    ],
)
@pytest.mark.parametrize("reply", [MAIL, CLI])
@pytest.mark.parametrize("text", [f"roll-back {CODE}", f"roll-back {WRONG}", "roll-back", "wait", "hello"])
def test_a_gate_is_decided_once(state: GateState, kind: JudgementKind, reply: InboundReply, text: str):
    judgement = judge(replace(ASK, state=state), replace(reply, text=text), key=KEY, now=NOW, basis_now="b1")

    assert judgement.kind is kind
    assert judgement.choice is None
    assert not judgement.count_try


def test_the_receipt_of_a_second_answer_names_the_first():
    answered = replace(ASK, state=GateState.ANSWERED, answer="wait", answered_by="sven")

    judgement = judge(answered, replace(MAIL, text=f"roll-back {CODE}"), key=KEY, now=NOW, basis_now="b1")

    assert "wait by sven" in judgement.receipt


@pytest.mark.parametrize(
    ("now", "kind"),
    [
        (ASK.expires - 1, JudgementKind.ACCEPTED),
        (ASK.expires, JudgementKind.EXPIRED),
        (ASK.expires + 1, JudgementKind.EXPIRED),
    ],
)
def test_a_late_answer_runs_nothing_even_where_nobody_closed_the_gate_yet(now: int, kind: JudgementKind):
    judgement = judge(ASK, replace(MAIL, text=f"roll-back {CODE}"), key=KEY, now=now, basis_now="b1")

    assert judgement.kind is kind
    assert ("Expired, nothing ran" in judgement.receipt) == (kind is JudgementKind.EXPIRED)


def test_a_changed_basis_voids_the_answer():
    judgement = judge(ASK, replace(MAIL, text=f"roll-back {CODE}"), key=KEY, now=NOW, basis_now="b2")

    assert judgement.kind is JudgementKind.VOID
    assert judgement.choice == "roll-back"
    assert kind_of(ASK, CLI, "roll-back", basis_now="b2") is JudgementKind.VOID


def test_a_wrong_code_makes_no_new_card():
    assert kind_of(ASK, MAIL, f"roll-back {WRONG}", basis_now="b2") is JudgementKind.WRONG_CODE


def test_an_empty_basis_binds_nothing():
    assert kind_of(replace(ASK, basis=""), MAIL, f"roll-back {CODE}", basis_now="") is JudgementKind.VOID


# -- properties --------------------------------------------------------------------------------------

guesses = st.text(ALPHABET, min_size=6, max_size=6) | st.just(WRONG) | st.just(CODE)
texts = (
    st.text()
    | st.sampled_from(["roll-back", "approve", "wait", "deny", ""])
    | st.builds("{} {}".format, st.sampled_from(["roll-back", "approve", "wait", "deny"]), guesses)
)
replies = st.builds(
    InboundReply,
    channel=st.sampled_from(["mail", "cli", "ntfy"]),
    sender=st.text(),
    message_id=st.text(),
    text=texts,
    thread_ref=st.text(),
    auth=st.sampled_from(AuthLevel),
    operator=st.sampled_from([None, "", "sven", "deputy"]),
)
gates = st.builds(
    replace,
    st.sampled_from([ASK, HOLDS_A_RUN, replace(HOLDS_A_RUN, choices=(Choice("approve"), Choice("deny")))]),
    state=st.sampled_from(GateState),
    tries=st.integers(0, 7),
    basis=st.sampled_from(["b1", "b2", ""]),
    silence=st.sampled_from(["wait", "deny", "roll-back", "approve", "gone"]),
)


@given(gates, replies, st.integers(ASK.expires - 2, ASK.expires + 2))
def test_nothing_runs_without_a_proven_sender_the_right_code_and_the_same_basis(
    gate: Gate, reply: InboundReply, now: int
):
    judgement = judge(gate, reply, key=KEY, now=now, basis_now="b1")

    if judgement.kind is JudgementKind.ACCEPTED:
        code = code_for(KEY, gate.id, reply.operator or "")
        assert reply.operator
        assert reply.auth is AuthLevel.PROVEN
        assert gate.state is GateState.PENDING
        assert now < gate.expires
        assert gate.basis == "b1"
        assert reply.channel == "cli" or (
            reply.text.strip().upper().endswith(code) and gate.tries < TRIES_MAX
        )


@given(gates, replies, st.integers(ASK.expires - 2, ASK.expires + 2))
def test_every_reply_gets_one_sentence_and_only_what_runs_nothing_is_denied(
    gate: Gate, reply: InboundReply, now: int
):
    judgement = judge(gate, reply, key=KEY, now=now, basis_now="b1")

    choice = next((item for item in gate.choices if item.name == judgement.choice), None)

    assert len(judgement.receipt.splitlines()) == 1
    assert judgement.receipt.endswith(".")
    assert CODE not in judgement.receipt
    assert (choice is not None) == (
        judgement.kind in {JudgementKind.ACCEPTED, JudgementKind.DENIED, JudgementKind.VOID}
    )
    if choice is not None:
        assert runs_something(gate, choice) == (judgement.kind is not JudgementKind.DENIED)
    assert judgement.count_try == (judgement.kind is JudgementKind.WRONG_CODE and reply.channel != "cli")


@given(st.lists(replies.filter(lambda reply: reply.channel != "cli"), max_size=30))
def test_no_sequence_of_guesses_gets_more_than_five_tries(sequence: list[InboundReply]):
    gate, evaluated = ASK, 0

    for reply in sequence:
        judgement = judge(gate, reply, key=KEY, now=NOW, basis_now="b1")
        if judgement.kind in {JudgementKind.ACCEPTED, JudgementKind.DENIED}:
            gate = replace(gate, state=GateState.ANSWERED, answer=judgement.choice)
        if judgement.count_try:
            evaluated += 1
            gate = replace(gate, tries=gate.tries + 1)
        if judgement.kind is JudgementKind.ACCEPTED:
            assert reply.auth is AuthLevel.PROVEN
            assert code_for(KEY, gate.id, reply.operator or "") in reply.text.upper()

    assert evaluated <= TRIES_MAX
