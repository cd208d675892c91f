"""Whatever is in a config repository: a snapshot, or lines that say where and what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import strategies as st
from tests.proof.prove import Tally, prove, slips
from tests.unit.config.conftest import files

from holdfast.conditions import parse_path
from holdfast.config import references, starter
from holdfast.config.load import load_files
from holdfast.config.reader import MAX_DEPTH, read
from holdfast.config.references import BadReference
from holdfast.config.scalars import AmbiguousScalar, resolve
from holdfast.errors import ConfigError
from holdfast.model.snapshot import Snapshot
from holdfast.model.values import Json, Ref, Text
from holdfast.ruletest import run

EXAMPLES = Path(__file__).parents[1] / "content" / "config"
GOOD = [path.read_text(encoding="utf-8") for path in sorted((EXAMPLES / "good").glob("*.yaml"))]
PIECES = [
    *(
        ":",
        "-",
        "?",
        ",",
        "[",
        "]",
        "{",
        "}",
        "#",
        "&",
        "*",
        "!",
        "|",
        ">",
        "'",
        '"',
        "%",
        "@",
        "`",
        "$",
        "$$",
    ),
    *(
        "---",
        "...",
        "<<:",
        "~",
        "null",
        "true",
        "0",
        "07",
        "0o7",
        "0x7",
        "1e400",
        ".inf",
        ".nan",
        "{x}",
        "&a",
    ),
    *("*a", "!!str", "%YAML", "$e.data.x", "$secret.x", "$service.name", "any:", "all:", "not:"),
    *("where:", "event:", "rule:", "5m", "0s", "\t", "\n", "\n\n", "\n  ", "\n---\n", " #", "\x00", "\x85"),
    *("\u2028", "\ufeff", "\r", "é", "\U0001f600", "\\ud800", "\\U00110000", "x" * 400, "9" * 40),
    *("[" * 30, "{a: " * 30, "- " * 30),
]
texts = slips(GOOD, PIECES, most=2)
STARTER = {
    name: (Path(starter.__file__).parents[3] / name).read_bytes()
    for name in ("rules/shop.yaml", "rules/actions.yaml", "policies/envelopes.yaml", "policies/guards.yaml")
} | {"holdfast.yaml": Path(starter.__file__).with_name("starter.yaml").read_bytes()}
STORIES = Path(starter.__file__).with_name("starter_tests.yaml").read_text(encoding="utf-8").split("---\n")


def depth(value: Json) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inner), default=0) if isinstance(value, dict | list) else 0


def test_yaml(tally: Callable[[str], Tally]) -> None:
    def parse(content: bytes) -> bool:
        found = read("rules/x.yaml", content)
        for problem in found.problems:
            assert str(problem).isprintable()
            assert problem.line >= 1
            assert problem.column >= 1
            assert len(problem.message) < 600
        assert found.complete or found.problems
        for document in found.documents:
            assert depth(document.data) <= MAX_DEPTH + 1
            assert () in document.values
        return not found.problems

    raw = texts.map(lambda text: text.encode(errors="surrogatepass")) | st.binary(max_size=80)
    prove(tally("config.reader: YAML"), raw, parse, thousands=30)


def told(error: ConfigError) -> None:
    assert 0 < len(error.problems) < 60
    assert all(str(problem).isprintable() for problem in error.problems)


def test_repositories(tally: Callable[[str], Tally]) -> None:
    def parse(text: str) -> bool:
        first = text.lstrip().partition(":")[0]
        folders = {"format": "holdfast.yaml", "policy": "policies/x.yaml", "test": "tests/x.yaml"}
        name = folders.get(first, "rules/x.yaml")
        try:
            found = load_files({**files(), name: text.encode()}, "c")
        except ConfigError as error:
            told(error)
            raise
        assert isinstance(found, Snapshot)
        return True

    prove(tally("config.load: repositories"), texts, parse, refusals=(ConfigError,), thousands=20)


def test_stories(tally: Callable[[str], Tally]) -> None:
    """What is taken for a rule test can be played: it ends, and says in a line each what is wrong."""

    def play(text: str) -> bool:
        try:
            report = run(load_files({**STARTER, "tests/shop.yaml": text.encode()}, "c"), patience=60)
        except ConfigError as error:
            told(error)
            raise
        assert all(str(problem).isprintable() for problem in report.problems)
        assert report.passed is not bool(report.problems)
        return bool(report.tests)

    stories = slips(STORIES, [*PIECES, "times: 3", "wait: 30d", "answer: deny", "unknown", "expect:"], most=1)
    prove(tally("ruletest: stories"), stories, play, refusals=(ConfigError,), thousands=4)


def test_scalars(tally: Callable[[str], Tally]) -> None:
    good = ["12", "-1.5e3", "0o17", "0x1f", "true", "null", "~", "22:00", "2026-01-01", "1_000", ".5", "text"]
    pieces = [*"0123456789+-._eExXoOab~: é\n\u0661", "inf", ".nan", "Null", "TRUE", "9" * 30]
    signs = slips(good, pieces)

    def parse(text: str) -> bool:
        value = resolve(text)
        assert value is None or isinstance(value, bool | str | int | float)
        assert not isinstance(value, int) or -(2**63) <= value < 2**63
        assert not isinstance(value, float) or abs(value) < float("inf")
        assert not isinstance(value, str) or value == text
        return True

    prove(tally("config.scalars: plain scalars"), signs, parse, refusals=(AmbiguousScalar,), thousands=60)


@pytest.mark.parametrize(
    ("name", "read_one", "kinds", "good"),
    [
        ("durations", references.duration, int, ["10s", "3660d", "500ms", "1h"]),
        ("JSONPaths", references.json_path, tuple, ["$.data.items[0].id", '$["a b"].c', "$"]),
        ("references", references.reference, Ref, ["$e.data.status", '$e["a b"].c', "$service.name"]),
        ("titles", references.text, Text, ["$service.name is down ($e.data.x).", "$$5", "plain"]),
        ("values", references.value, str | Ref, ["$e.data.status", "a $$ b", "plain"]),
        ("literals", references.literal, str, ["a $$ b", "plain", "$$"]),
    ],
)
def test_small_languages(
    tally: Callable[[str], Tally], name: str, read_one: Callable[[str], object], kinds: type, good: list[str]
) -> None:
    pieces = [
        "$",
        "$$",
        ".",
        "..",
        "[",
        "]",
        '["',
        '"]',
        "[0]",
        "[9999999]",
        "-",
        "_",
        "a",
        "\n",
        "é",
        "\x00",
        "9" * 9,
        "ms",
        "d",
        "\u0661",
        " ",
    ]

    def parse(text: str) -> bool:
        found = read_one(text)
        assert isinstance(found, kinds)
        if isinstance(found, int):
            assert 0 < found <= references.LONGEST
        return True

    prove(
        tally(f"config.references: {name}"),
        slips(good, pieces, most=4),
        parse,
        refusals=(BadReference,),
        thousands=15,
    )


def test_a_json_path_is_a_path_of_conditions_too(tally: Callable[[str], Tally]) -> None:
    names = st.lists(st.text(alphabet="abz09_-", min_size=1, max_size=4), min_size=1, max_size=4)

    def parse(parts: list[str]) -> bool:
        assert references.json_path("$." + ".".join(parts)) == parse_path(".".join(parts))
        return True

    prove(
        tally("config.references: paths, against conditions"),
        names,
        parse,
        refusals=(BadReference,),
        thousands=10,
    )
