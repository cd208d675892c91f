from __future__ import annotations

import pytest

from holdfast.config.fields import (
    BUILT_IN,
    HTTP_PROBE,
    Field,
    UnknownField,
    countable_fields,
    of_event,
    of_outcome,
    of_proposal,
)
from holdfast.model.actions import Risk
from holdfast.model.events import Event, Provenance
from holdfast.model.policies import Origin, Proposal
from holdfast.model.rules import Mode
from holdfast.model.values import Json, Severity, Trust
from holdfast.store.tables import attempts

EVENT = Event("1", "s", "t", 1, 2, Severity.INFO, "x", Provenance("none", Trust.LOW, "c"))
PROPOSAL = Proposal(
    Origin.RULE, "a", "t", frozenset(), Risk.LOW, True, False, None, None, "i", Severity.INFO, "r", Mode.AUTO
)


def kind_of(value: Json) -> set[str]:
    names = {str: "str", bool: "bool", int: "int", float: "float", list: "list", dict: "any"}
    return {names[type(value)]} if value is not None else {"str", "float"}


@pytest.mark.parametrize("path", list(EVENT.fact()))
def test_every_field_of_an_event_is_known_with_its_type(path: str) -> None:
    found = of_event(None, {})(path)

    assert found.kind in kind_of(EVENT.fact()[path])
    assert found.optional == (EVENT.fact()[path] is None or path == "data")


@pytest.mark.parametrize("path", list(PROPOSAL.fact()))
def test_every_field_of_a_proposal_is_known_with_its_type(path: str) -> None:
    found = of_proposal({})(path)

    assert found.kind in kind_of(PROPOSAL.fact()[path])
    assert found.optional == (PROPOSAL.fact()[path] is None)


def test_a_limit_counts_by_what_the_store_remembers_of_each_start() -> None:
    assert countable_fields() <= set(PROPOSAL.fact())
    assert countable_fields() <= set(attempts.columns.keys())


def test_words_come_from_the_estate_where_it_is_known() -> None:
    assert of_event(None, {"service": frozenset({"shop"})})("service").words == {"shop"}
    assert of_event(None, {})("service").words is None
    assert of_event(None, {})("severity").words == set(map(str, Severity))


def test_an_outcome_has_two_fields() -> None:
    assert of_outcome("firing") == Field("bool")
    with pytest.raises(UnknownField, match=r"did you mean contain\.outcome"):
        of_outcome("contain.outcme")


@pytest.mark.parametrize("path", ["Data.ok", "ok", "data.x.", "", "data[", "service.x", "data..y"])
def test_nothing_stands_at_a_wrong_path(path: str) -> None:
    with pytest.raises(UnknownField):
        of_event(BUILT_IN[HTTP_PROBE], {})(path)
