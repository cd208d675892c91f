from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.decide.voices import at_once, span
from holdfast.model.conditions import AllOf
from holdfast.model.policies import BlastOf, BlastRadius
from holdfast.model.values import DAY, HOUR, MINUTE, SECOND


@pytest.mark.parametrize(
    ("millis", "words"),
    [(HOUR, "1h"), (90 * MINUTE, "90m"), (2 * DAY, "2d"), (45 * SECOND, "45s"), (1500, "1500ms"), (0, "0ms")],
)
def test_a_span_is_shown_in_its_largest_whole_unit(millis: int, words: str):
    assert span(millis) == words


@given(st.none() | st.integers(1, 50), st.none() | st.integers(1, 100), st.integers(0, 1000))
def test_a_radius_never_allows_less_than_one_target_nor_more_than_either_bound(
    fixed: int | None, percent: int | None, total: int
):
    most = at_once(BlastRadius("r", "d", AllOf(()), BlastOf.GROUP, fixed, percent), total)

    assert most >= 1
    assert fixed is None or most <= fixed
    assert percent is None or most == 1 or most * 100 <= total * percent
    assert fixed is not None or percent is not None or most == 1
