"""Whatever is written into a repository, the answer is a snapshot or a list of lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.config.conftest import files

from holdfast.config.load import load_files
from holdfast.config.reader import read
from holdfast.errors import ConfigError
from holdfast.model.snapshot import Snapshot
from holdfast.model.values import Json

EXAMPLES = Path(__file__).parents[2] / "content" / "config"
GOOD = sorted((EXAMPLES / "good").glob("*.yaml"))
WORDS = st.sampled_from(
    [
        "",
        "-x",
        "$",
        "$$",
        "$probe.data.ok",
        "$service.name",
        "$secret.x",
        "none",
        "web1",
        "shop",
        "restart-unit",
        "any",
        "all",
        "not",
        "5m",
        "0s",
        "data.ok",
        "data",
        "http.probe",
        "(",
        "x" * 5000,
        "a\nb",
        "é",
        "_",
        "Ünit",
        "{x}",
    ]
)
VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.floats(-10, 10) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


def ways(data: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to every value."""
    yield path
    for key, item in (
        data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    ):
        yield from ways(item, (*path, key))


def changed(data: Json, path: tuple[str | int, ...], value: Json, *, drop: bool) -> Json:
    """The same data with one value replaced, or left out."""
    if not path:
        return value
    head, *rest = path
    if isinstance(data, dict):
        return {
            key: changed(item, tuple(rest), value, drop=drop) if key == head else item
            for key, item in data.items()
            if not (drop and key == head and not rest)
        }
    assert isinstance(data, list)
    return [
        changed(item, tuple(rest), value, drop=drop) if at == head else item for at, item in enumerate(data)
    ]


def loaded_or_refused(content: dict[str, bytes]) -> None:
    try:
        found = load_files(content, "c")
    except ConfigError as error:
        lines = [str(problem) for problem in error.problems]
        assert lines
        assert all(line.isprintable() for line in lines)
    else:
        assert isinstance(found, Snapshot)


@given(st.data())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_changed_value_is_loaded_or_refused(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(GOOD)).read_bytes()
    documents = [document.data for document in read("x.yaml", text).documents]
    at = data.draw(st.integers(0, len(documents) - 1))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(ways(documents[at]))))
        new = changed(documents[at], path, data.draw(VALUES), drop=data.draw(st.booleans()))
        if isinstance(new, dict):
            documents[at] = new
    content = b"\n---\n".join(msgspec.json.encode(document) for document in documents)
    kind = next(iter(documents[at]), "")
    place = {"policy": "policies/x.yaml", "format": "holdfast.yaml"}.get(kind, "rules/x.yaml")

    loaded_or_refused({**files(), place: content})


@given(st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_slip_of_the_keyboard_is_loaded_or_refused(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(GOOD)).read_text(encoding="utf-8")
    at = data.draw(st.integers(0, len(text) - 1))
    upto = data.draw(st.integers(at, min(len(text), at + 12)))
    typed = data.draw(st.text(alphabet=st.sampled_from(list(":{}[]$#-\"' \n\tax&*!|>,")), max_size=3))
    place = (
        "holdfast.yaml" if "format: 1" in text else "policies/x.yaml" if "policy:" in text else "rules/x.yaml"
    )

    loaded_or_refused({**files(), place: (text[:at] + typed + text[upto:]).encode()})


def test_problems_come_in_the_order_of_files_and_lines() -> None:
    wrong = files("action: b\n", "action: a\n", site="format: 2\nmore: 1\n")

    with pytest.raises(ConfigError) as caught:
        load_files(wrong, "c")

    places = [(problem.file, problem.line) for problem in caught.value.problems]
    assert places == sorted(places)
    assert len(places) > 5


def test_a_snapshot_says_which_commit_it_is() -> None:
    assert load_files(files(), "abc").commit == "abc"
