from __future__ import annotations

import pytest
from figures import Row, number, percentile, ratio, spread, table
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (0.999, 100), (1.0, 100)]
)
def test_a_percentile_is_the_nearest_rank(share: float, expected: float) -> None:
    assert percentile(range(100, 0, -1), share) == expected


@given(NUMBERS, st.floats(0, 1))
def test_a_percentile_is_a_value_that_enough_others_do_not_exceed(values: list[float], share: float) -> None:
    found = percentile(values, share)

    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 1.1), ([1.0], -0.1)])
def test_a_percentile_of_nothing_or_beyond_all_is_refused(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, share)


def test_the_spread_is_the_distance_of_the_ends_as_a_part_of_the_median() -> None:
    assert spread([90, 100, 120]) == pytest.approx(0.3)
    assert spread([0.0, 0.0]) == 0


def test_a_ratio_above_one_means_that_ours_is_better_whichever_way_better_is() -> None:
    assert ratio(200, 100, higher_is_better=True) == 2
    assert ratio(5, 10, higher_is_better=False) == 2
    assert ratio(10, 5, higher_is_better=False) == 0.5


@pytest.mark.parametrize(("ours", "theirs"), [(None, 1), (1, None), (0, 1), (1, 0)])
def test_there_is_no_ratio_to_nothing(ours: float | None, theirs: float | None) -> None:
    assert ratio(ours, theirs, higher_is_better=True) is None
    assert ratio(ours, theirs, higher_is_better=False) is None


def test_a_row_shows_medians_the_ratio_the_spread_and_who_failed() -> None:
    row = Row("speed", "events/s", {"we": [90, 100, 120], "they": [50]}, "80", failed={"others"})

    text = table([row], ("we", "they", "others", "absent"), "we", "they").splitlines()

    assert [cell.strip() for cell in text[-1].split("|")] == [
        *["", "speed", "events/s", "100", "50", "failed", "-"],
        *["2.00", "30%", "3", "80", ""],
    ]
    assert len({len(line) for line in text}) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0"), (0.0123, "0.0123"), (3.14159, "3.14"), (12.0, "12"), (15600.4, "15,600")],
)
def test_a_figure_has_as_many_digits_as_it_means(value: float | None, text: str) -> None:
    assert number(value) == text
