from __future__ import annotations

import pytest

from holdfast.conditions import evaluate
from holdfast.decide.builtin import BUILTIN, MANDATED_TOUCHES, PREFIX, in_force
from holdfast.model.actions import Touches
from holdfast.model.conditions import AllOf
from holdfast.model.policies import BlastOf, BlastRadius, Effect, EffectPolicy, Limit
from holdfast.model.values import HOUR, Truth

BY_NAME = {policy.name: policy for policy in BUILTIN}


def own_limit(replaces: str | None) -> Limit:
    return Limit("own", "Ours.", AllOf(()), ("service",), max=9, within=HOUR, replaces=replaces)


def own_radius(replaces: str | None) -> BlastRadius:
    return BlastRadius("own", "Ours.", AllOf(()), BlastOf.SERVICE, at_once=9, replaces=replaces)


def test_the_built_in_policies_have_the_numbers_that_the_design_names():
    rate, one, group = (BY_NAME[f"builtin-{name}"] for name in ("rate", "one-target", "blast-radius"))

    assert isinstance(rate, Limit)
    assert (rate.per, rate.max, rate.within) == (("action", "target"), 3, HOUR)
    assert isinstance(one, BlastRadius)
    assert (one.of, one.at_once, one.percent) == (BlastOf.SERVICE, 1, None)
    assert isinstance(group, BlastRadius)
    assert (group.of, group.at_once, group.percent) == (BlastOf.GROUP, None, 20)


def test_every_built_in_name_carries_the_reserved_prefix_and_stands_once():
    assert len(BY_NAME) == len(BUILTIN)
    assert all(name.startswith(PREFIX) for name in BY_NAME)


@pytest.mark.parametrize("touches", Touches)
def test_only_data_schema_money_and_legal_are_mandated(touches: Touches):
    policy = BY_NAME["builtin-human-mandated"]
    assert isinstance(policy, EffectPolicy)

    truth = evaluate(policy.match, {"touches": ["availability", str(touches)]})

    assert (truth is Truth.TRUE) == (touches in MANDATED_TOUCHES)
    assert policy.effect is Effect.HUMAN
    assert {Touches.DATA, Touches.SCHEMA, Touches.MONEY, Touches.LEGAL} == MANDATED_TOUCHES


def test_a_limit_takes_the_place_of_the_built_in_limit_that_it_names():
    names = [policy.name for policy in in_force([own_limit("builtin-rate")])]

    assert "builtin-rate" not in names
    assert "own" in names
    assert len(names) == len(BUILTIN)


def test_a_radius_takes_the_place_of_the_built_in_radius_that_it_names():
    names = [policy.name for policy in in_force([own_radius("builtin-one-target")])]

    assert "builtin-one-target" not in names
    assert "builtin-blast-radius" in names


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_a_limit_replaces_nothing_that_is_no_limit(name: str):
    replaced = set(BY_NAME) - {policy.name for policy in in_force([own_limit(name)])}

    assert replaced == ({name} if name == "builtin-rate" else set())


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_a_radius_replaces_nothing_that_is_no_radius(name: str):
    replaced = set(BY_NAME) - {policy.name for policy in in_force([own_radius(name)])}

    assert replaced == ({name} if name in {"builtin-one-target", "builtin-blast-radius"} else set())


def test_a_policy_that_replaces_nothing_stands_beside_the_built_in_ones():
    names = [policy.name for policy in in_force([own_limit(None), own_radius(None)])]

    assert names == [*BY_NAME, "own", "own"]
