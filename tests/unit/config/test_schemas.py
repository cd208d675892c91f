"""The schemas are the manual: every key says what it is and shows how it is written."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from holdfast.config.build_tests import MAX_EVENTS, MAX_WAIT
from holdfast.config.reader import read
from holdfast.config.schemas import KINDS, PARTS, directory, schema, validator
from holdfast.config.shape import flow
from holdfast.model.actions import ParamKind, Risk, Touches
from holdfast.model.conditions import Op, Over
from holdfast.model.policies import BlastOf, Effect
from holdfast.model.records import IncidentState, RunState
from holdfast.model.rules import GuardEffect, Mode
from holdfast.model.ruletests import Ends
from holdfast.model.snapshot import AuthScheme, Cast, SourceKind
from holdfast.model.values import DAY, Severity, Trust

REPOSITORY = Path(__file__).parents[3]
Node = dict[str, Any]


def nodes(node: Any, path: str) -> Iterator[tuple[str, Node]]:
    """Every mapping of a schema file, with the way to it; examples are data, not schemas."""
    if isinstance(node, dict):
        yield path, node
        for key, item in node.items():
            if key not in {"examples", "default", "enum", "const", "x-say"}:
                yield from nodes(item, f"{path}/{key}")
    elif isinstance(node, list):
        for place, item in enumerate(node):
            yield from nodes(item, f"{path}/{place}")


ALL = [found for kind in (*KINDS, PARTS) for found in nodes(schema(kind), kind)]
PROPERTIES = [
    (f"{path}/{name}", item)
    for path, node in ALL
    if not path.endswith("/properties")
    for name, item in node.get("properties", {}).items()
    if set(item) != {"const"}
]


@pytest.mark.parametrize("kind", [*KINDS, PARTS])
def test_a_schema_is_a_schema(kind: str) -> None:
    Draft202012Validator.check_schema(schema(kind))


def test_every_file_of_the_directory_is_known() -> None:
    found = {path.name.removesuffix(".schema.json") for path in directory().iterdir()}

    assert found == {*KINDS, PARTS, "openapi.json"}


@pytest.mark.parametrize(("path", "item"), PROPERTIES, ids=[path for path, _ in PROPERTIES])
def test_every_key_has_a_description_and_an_example(path: str, item: Node) -> None:
    assert item.get("description", "").endswith(".")
    assert item.get("examples")


def test_there_are_keys_to_look_at() -> None:
    assert len(PROPERTIES) > 130


@pytest.mark.parametrize(
    ("path", "node"),
    [(path, node) for path, node in ALL if "examples" in node],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_every_example_is_valid(path: str, node: Node) -> None:
    kind = path.split("/", maxsplit=1)[0]
    top = validator(kind)

    wrong = [
        error.message
        for example in node["examples"]
        for error in top.evolve(schema={**node, "$defs": schema(kind).get("$defs", {})}).iter_errors(example)
    ]

    assert wrong == []


@pytest.mark.parametrize(
    ("path", "node"),
    [(path, node) for path, node in ALL if "pattern" in node and isinstance(node["pattern"], str)],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_every_pattern_is_about_the_whole_value(path: str, node: Node) -> None:
    assert node["pattern"].startswith("^")
    assert node["pattern"].endswith("$")


def test_every_mapping_is_closed_or_says_what_its_keys_are() -> None:
    branches = ("/if", "/then", "/items", "$defs/source")
    free = [
        path
        for path, node in ALL
        if node.get("type") == "object"
        and "additionalProperties" not in node
        and not {"if", "then"} & set(node)
        and not path.endswith(branches)
    ]

    assert free == []


@pytest.mark.parametrize(
    ("kind", "way", "words"),
    [
        (PARTS, ("severity", "enum"), Severity),
        (PARTS, ("trust", "enum"), Trust),
        (PARTS, ("risk", "enum"), Risk),
        (PARTS, ("touches", "items", "enum"), Touches),
        (PARTS, ("param", "properties", "type", "enum"), ParamKind),
        ("rule", ("guard", "properties", "effect", "enum"), GuardEffect),
        ("holdfast", ("source", "properties", "kind", "enum"), SourceKind),
        ("holdfast", ("webhook", "properties", "verify", "properties", "scheme", "enum"), AuthScheme),
        ("holdfast", ("mapped", "then", "properties", "as", "enum"), Cast),
        ("test", ("ends", "enum"), Ends),
        ("test", ("incident", "properties", "state", "enum"), IncidentState),
        ("test", ("run", "properties", "state", "enum"), RunState),
        ("test", ("run", "properties", "verdict", "enum"), Effect),
    ],
)
def test_a_vocabulary_is_the_same_in_code_and_schema(kind: str, way: tuple[str, ...], words: Any) -> None:
    node: Any = schema(kind)["$defs"]
    for step in way:
        node = node[step]

    assert set(node) == set(map(str, words))


def test_the_other_vocabularies_are_the_same_too() -> None:
    rule, policy, parts = schema("rule"), schema("policy"), schema(PARTS)

    assert rule["properties"]["mode"]["enum"] == [str(mode) for mode in Mode]
    assert policy["properties"]["blast-radius"]["properties"]["of"]["enum"] == [str(of) for of in BlastOf]
    assert set(parts["$defs"]["operators"]["properties"]) == {
        *map(str, Op),
        str(Over.ANY),
        str(Over.ALL),
        "fold",
    }


def test_a_test_is_told_the_bounds_that_the_builder_has() -> None:
    step = schema("test")["$defs"]["step"]["properties"]

    assert step["times"]["maximum"] == MAX_EVENTS == 10_000
    assert "30 days" in step["wait"]["description"]
    assert "30 days" in step["every"]["description"]
    assert MAX_WAIT == 30 * DAY


def test_examples_are_written_so_that_the_reader_reads_them() -> None:
    examples = [example for _, node in ALL for example in node.get("examples", [])]

    again = [read("x.yaml", f"x: {flow(example)}\n".encode()) for example in examples]

    assert [file.problems for file in again if file.problems] == []
    assert [file.documents[0].data["x"] for file in again] == examples


def test_a_line_break_at_the_end_is_not_overlooked() -> None:
    assert validator(PARTS).evolve(schema={"type": "string", "pattern": "^[a-z]+$"}).is_valid("a")
    assert not validator(PARTS).evolve(schema={"type": "string", "pattern": "^[a-z]+$"}).is_valid("a\n")


def test_a_wheel_holds_the_schemas_and_the_starter_pack_and_works_alone(tmp_path: Path) -> None:
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    built = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
    )
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(tmp_path / built.stdout.split()[-1]) as wheel:
        wheel.extractall(unpacked)
    script = (
        "from pathlib import Path; from holdfast.config import load, schemas, starter;"
        "starter.init(Path('config')); print(schemas.directory(), len(load.load(Path('config')).rules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(unpacked)},
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
    )

    place, rules = ran.stdout.split()
    assert Path(place) == unpacked / "holdfast" / "_schemas"
    assert int(rules) > 0
