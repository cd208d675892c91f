from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.notify.address import is_ours, ref_in, with_ref

BASE = "holdfast@lab.test"


@given(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,54}", fullmatch=True))
def test_a_reference_comes_back_from_the_address_that_it_was_put_into(ref: str) -> None:
    assert ref_in(with_ref(BASE, ref), BASE) == ref


def test_a_reference_survives_a_mail_system_that_changes_the_case() -> None:
    assert ref_in("HoldFast+Gate-7KQ4@LAB.test", BASE) == "gate-7kq4"


@pytest.mark.parametrize("ref", ["", "Upper", "a b", "a@b", "a>b", "a\r\nBcc: x@y", "+", "-a", "x" * 65, "é"])
def test_a_reference_that_an_address_cannot_carry_is_refused(ref: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a mail address"):
        with_ref(BASE, ref)


@pytest.mark.parametrize("address", ["", "holdfast", "@lab.test", "holdfast@", "a+b@lab.test"])
def test_a_base_that_is_no_plain_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="no plain mail address"):
        with_ref(address, "g1")


@pytest.mark.parametrize(
    "address",
    [
        BASE,
        "other+g1@lab.test",
        "holdfast+g1@evil.test",
        "holdfast+@lab.test",
        "holdfast+a b@lab.test",
        "",
        "+@",
    ],
)
def test_an_address_that_is_not_ours_with_a_plus_part_holds_no_reference(address: str) -> None:
    assert ref_in(address, BASE) is None


def test_the_reply_address_is_ours_with_and_without_a_plus_part() -> None:
    found = [is_ours(one, BASE) for one in (BASE, "Holdfast+x@Lab.test", "holdfastx@lab.test", "x@y", "")]

    assert found == [True, True, False, False, False]


def test_a_reference_that_would_make_the_address_too_long_for_mail_servers_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        with_ref(BASE, "a" * 56)
