"""Three-valued logic: and, or, not."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.model.values import Truth


def truth_of(answer: bool) -> Truth:
    """The decided answer."""
    return Truth.TRUE if answer else Truth.FALSE


def any_of(truths: Iterable[Truth]) -> Truth:
    """True if one is; else unknown if one is; of none, false."""
    answer = Truth.FALSE
    for truth in truths:
        if truth is Truth.TRUE:
            return truth
        if truth is Truth.UNKNOWN:
            answer = truth
    return answer


def all_of(truths: Iterable[Truth]) -> Truth:
    """False if one is; else unknown if one is; of none, true."""
    answer = Truth.TRUE
    for truth in truths:
        if truth is Truth.FALSE:
            return truth
        if truth is Truth.UNKNOWN:
            answer = truth
    return answer


def negate(truth: Truth) -> Truth:
    """The opposite; unknown stays unknown."""
    if truth is Truth.UNKNOWN:
        return truth
    return truth_of(truth is Truth.FALSE)
