from __future__ import annotations

import hashlib
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.gate.basis import Basis, basis, changed, plan_hash, state_class
from holdfast.model.actions import Connector, Plan, PlannedStep, Retry, Risk, Touches, Verify
from holdfast.model.policies import Category, Effect, Verdict, Voice
from holdfast.model.records import Choice, IncidentState

RESTART = PlannedStep(
    action="restart-unit",
    connector=Connector.SSH,
    target="web1",
    argv=("sudo", "-n", "systemctl", "restart", "--", "shop.service"),
    params={"unit": "shop.service", "tries": 1},
    risk=Risk.LOW,
    touches=(Touches.AVAILABILITY, Touches.CUSTOMERS_SEE),
    idempotent=True,
    irreversible=False,
    deadline=60_000,
    retry=Retry(),
    verify=Verify(),
    fresh=True,
)
PLAN = Plan("restart-unit", (RESTART,))
VERDICT = Verdict(
    Effect.HUMAN, Category.RULES_BASED, (Voice("builtin-rate", Effect.HUMAN, "used up: 3 of 3"),), 900_000
)
CHOICES = (Choice("roll-back", PLAN), Choice("wait"))
BASIS = basis(CHOICES, IncidentState.OPEN, ["run-7"], VERDICT)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
)
texts = st.text(st.characters(codec="utf-8"), max_size=8)


def steps(undo: st.SearchStrategy[tuple[PlannedStep, ...]]) -> st.SearchStrategy[PlannedStep]:
    return st.builds(
        PlannedStep,
        action=texts,
        connector=st.sampled_from(Connector),
        target=texts,
        argv=st.lists(texts, max_size=3).map(tuple),
        params=st.dictionaries(texts, scalars, max_size=3),
        risk=st.sampled_from(Risk),
        touches=st.frozensets(st.sampled_from(Touches)).map(tuple),
        idempotent=st.booleans(),
        irreversible=st.booleans(),
        deadline=st.integers(0, 10**9),
        retry=st.builds(Retry, st.integers(1, 9), st.integers(0, 9), st.integers(1, 3) | st.floats(1, 3)),
        verify=st.none() | st.builds(Verify),
        fresh=st.booleans(),
        skip_if=st.none() | st.just(("true",)),
        undo=undo,
    )


plans = st.builds(
    Plan,
    texts,
    st.lists(steps(st.lists(steps(st.just(())), max_size=1).map(tuple)), max_size=3).map(tuple),
    st.none() | texts,
    st.none() | st.integers(0, 10**9),
)


def test_the_hash_is_the_sha_256_of_the_plan_as_canonical_json():
    canonical = msgspec.json.encode(msgspec.to_builtins(PLAN), order="sorted")

    assert plan_hash(PLAN) == hashlib.sha256(canonical).hexdigest()


def test_the_hash_does_not_depend_on_the_order_of_parameters_and_touches():
    turned = replace(
        RESTART,
        params=dict(reversed(RESTART.params.items())),
        touches=tuple(reversed(RESTART.touches)),
    )

    assert plan_hash(Plan("restart-unit", (turned,))) == plan_hash(PLAN)
    assert plan_hash(Plan("x", (replace(RESTART, undo=(turned,)),))) == plan_hash(
        Plan("x", (replace(RESTART, undo=(RESTART,)),))
    )


@given(plans)
def test_a_plan_hashes_alike_before_and_after_it_was_stored(plan: Plan):
    stored = msgspec.json.decode(msgspec.json.encode(plan), type=Plan)

    assert plan_hash(stored) == plan_hash(plan)


@pytest.mark.parametrize(
    "different",
    [
        replace(PLAN, name="restart"),
        replace(PLAN, hold="until-clear"),
        replace(PLAN, hold_for=1),
        replace(PLAN, steps=()),
        replace(PLAN, steps=(RESTART, RESTART)),
        *(
            replace(PLAN, steps=(replace(RESTART, **change),))
            for change in (
                {"target": "web2"},
                {"argv": (*RESTART.argv[:-1], "shop service")},
                {"argv": (*RESTART.argv, "")},
                {"params": {"unit": "shop.service", "tries": True}},
                {"params": {"unit": "shop.service", "tries": "1"}},
                {"params": {"unit": "shop.service"}},
                {"risk": Risk.MEDIUM},
                {"touches": (Touches.AVAILABILITY,)},
                {"idempotent": False},
                {"irreversible": True},
                {"deadline": 60_001},
                {"retry": Retry(attempts=2)},
                {"verify": None},
                {"fresh": False},
                {"skip_if": ()},
                {"undo": (RESTART,)},
                {"connector": Connector.LOCAL},
            )
        ),
    ],
)
def test_any_difference_in_what_would_run_is_another_hash(different: Plan):
    assert plan_hash(different) != plan_hash(PLAN)


def test_all_that_matters_about_the_incident_is_whether_it_fires():
    assert state_class(IncidentState.OPEN) == "firing"
    assert {state_class(state) for state in IncidentState} == {"firing", "over"}


def test_nothing_changed_says_nothing():
    again = basis(tuple(reversed(CHOICES)), IncidentState.OPEN, ["run-7", "run-7"], VERDICT)

    assert again == BASIS
    assert changed(BASIS.digest, again) == ""


def test_a_count_inside_a_reason_changes_nothing():
    later = replace(VERDICT, voices=(Voice("builtin-rate", Effect.HUMAN, "used up: 4 of 3"),), within=1)

    assert basis(CHOICES, IncidentState.OPEN, ["run-7"], later).digest == BASIS.digest


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (
            basis((Choice("roll-back", replace(PLAN, name="x")),), IncidentState.OPEN, ["run-7"], VERDICT),
            "the commands",
        ),
        (
            basis((Choice("revert", PLAN), Choice("wait")), IncidentState.OPEN, ["run-7"], VERDICT),
            "the commands",
        ),
        (basis(CHOICES, IncidentState.CLEARED, ["run-7"], VERDICT), "the state of the incident (now over)"),
        (
            basis(CHOICES, IncidentState.OPEN, ["run-8", "run-9"], VERDICT),
            "other runs on the same targets (now: run-8, run-9)",
        ),
        (basis(CHOICES, IncidentState.OPEN, [], VERDICT), "other runs on the same targets (now none)"),
        (basis(CHOICES, IncidentState.OPEN, ["run-7"], None), "what the policies say"),
        (
            basis(CHOICES, IncidentState.OPEN, ["run-7"], replace(VERDICT, effect=Effect.DENY)),
            "what the policies say",
        ),
        (basis(CHOICES, IncidentState.OPEN, ["run-7"], replace(VERDICT, voices=())), "what the policies say"),
        (
            basis(CHOICES, IncidentState.OPEN, ["run-7"], replace(VERDICT, category=Category.MODEL_ASSISTED)),
            "what the policies say",
        ),
    ],
)
def test_a_changed_part_changes_the_digest_and_is_named(new: Basis, words: str):
    sentence = changed(BASIS.digest, new)

    assert new.digest != BASIS.digest
    assert sentence.startswith(f"Changed since the last card: {words}")
    assert sentence.count(",") == words.count(",")


def test_several_changes_are_named_in_one_sentence():
    new = basis(CHOICES, IncidentState.CLEARED, ["run-7"], None)

    assert (
        changed(BASIS.digest, new)
        == "Changed since the last card: the state of the incident (now over), what the policies say."
    )


def test_a_digest_that_cannot_be_read_counts_as_changed():
    assert changed("", BASIS).count(",") == 3
    assert changed("rubbish", BASIS).startswith("Changed since the last card: the commands")


@given(st.text())
def test_changed_says_something_for_exactly_the_other_digests(old: str):
    assert bool(changed(old, BASIS)) == (old != BASIS.digest)
