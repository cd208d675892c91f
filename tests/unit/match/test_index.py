from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.match.engine import fits
from holdfast.match.index import TypeIndex

PARTS = st.sampled_from(["http", "probe", "a", "", "*"])
TYPES = st.lists(PARTS, min_size=1, max_size=4).map(".".join)
WANTED = TYPES | TYPES.map("{}.*".format)


@given(st.lists(WANTED, max_size=8, unique=True), TYPES | WANTED)
def test_it_finds_what_fits_and_nothing_else(wanted: list[str], event_type: str) -> None:
    index = TypeIndex({name: [name] for name in wanted})

    assert sorted(index.of(event_type)) == sorted(name for name in wanted if fits(name, event_type))


def test_what_is_about_the_type_itself_comes_before_what_is_about_all_below() -> None:
    index = TypeIndex({"http.*": ["all"], "http.probe.*": ["deeper"], "http.probe.slow": ["exact", "second"]})

    assert index.of("http.probe.slow") == ("exact", "second", "all", "deeper")
    assert index.of("http.probe") == ("all",)
    assert index.of("http") == ()


def test_an_empty_one_finds_nothing() -> None:
    index: TypeIndex[str] = TypeIndex({})

    assert index.of("http.probe") == index.of("") == ()


def test_a_type_of_a_million_dots_is_looked_at_no_further_than_the_config_goes() -> None:
    index = TypeIndex({"http.*": [1], "http.probe.*": [2]})

    assert index.of("http" + "." * 1_000_000) == (1,)
    assert index.of("." * 1_000_000) == ()
