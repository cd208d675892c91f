from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from holdfast.match.durable.confirm import Confirmed, confirm
from holdfast.match.durable.program import Answer
from holdfast.model.values import Fact, Truth

T, F, U = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN
KEYS = ["a", "b", "c"]


class Native:
    """Answers as told, and remembers what it was asked."""

    def __init__(self, truths: dict[str, Truth]) -> None:
        self.truths = truths
        self.asked: list[str] = []

    def __call__(self, key: str, fact: Fact) -> Truth:
        assert fact == {}
        self.asked.append(key)
        return self.truths[key]


def confirmed(
    answers: Iterable[tuple[str, Truth]], truths: dict[str, Truth], *, everything: bool = False
) -> tuple[Confirmed, Native]:
    native = Native(truths)
    given_answers = [Answer(key, truth) for key, truth in answers]
    return confirm(list(truths), given_answers, {}, native, everything=everything), native


def test_native_is_asked_about_every_hit_and_about_nothing_else() -> None:
    result, native = confirmed([("a", T), ("b", F)], {"a": T, "b": F, "c": U})

    assert result == Confirmed({"a": T, "b": F, "c": U}, 1, ())
    assert native.asked == ["a"]


def test_everything_is_compared_where_that_is_wanted() -> None:
    result, native = confirmed([("a", T), ("b", F)], {"a": T, "b": F, "c": U}, everything=True)

    assert result == Confirmed({"a": T, "b": F, "c": U}, 3, ())
    assert sorted(native.asked) == KEYS


def test_a_hit_that_native_denies_does_not_count_and_is_a_difference() -> None:
    result, _ = confirmed([("a", T)], {"a": F, "b": T})

    assert result.findings == {"a": F, "b": T}
    assert result.different == ("a",)


def test_a_miss_is_found_only_where_everything_is_compared() -> None:
    missed, _ = confirmed([("a", F)], {"a": T})
    found, _ = confirmed([("a", F)], {"a": T}, everything=True)

    assert (missed.findings, missed.different) == ({"a": F}, ())
    assert (found.findings, found.different) == ({"a": T}, ("a",))


def test_an_engine_that_contradicts_itself_is_not_believed() -> None:
    result, _ = confirmed([("a", T), ("a", F), ("b", F)], {"a": U, "b": F})

    assert result.findings == {"a": U, "b": F}
    assert result.different == ("a",)


def test_an_answer_about_another_pattern_is_a_difference_and_no_finding() -> None:
    native = Native({"a": U, "z": T})

    result = confirm(["a"], [Answer("z", T)], {}, native, everything=False)

    assert result.findings == {"a": U}
    assert result.different == ("z",)


TRUTHS = st.fixed_dictionaries(dict.fromkeys(KEYS, st.sampled_from(Truth)))


@given(TRUTHS, st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from([T, F]))), st.booleans())
def test_no_pattern_counts_as_true_that_native_does_not_hold_for_true(
    truths: dict[str, Truth], told: list[tuple[str, Truth]], everything: bool
) -> None:
    result, _ = confirmed(told, truths, everything=everything)

    assert list(result.findings) == list(truths)
    assert all(truths[key] is T for key, truth in result.findings.items() if truth is T)
    if everything or result.different:
        assert result.findings == truths
    if everything:
        engine = {key: {truth for name, truth in told if name == key} or {U} for key in KEYS}
        assert set(result.different) == {key for key in KEYS if engine[key] != {truths[key]}}


@given(TRUTHS, st.booleans())
def test_an_engine_that_is_right_is_never_found_different(truths: dict[str, Truth], everything: bool) -> None:
    told = [(key, truth) for key, truth in truths.items() if truth is not U]

    result, _ = confirmed([*told, *told], truths, everything=everything)

    assert result.findings == truths
    assert result.different == ()
