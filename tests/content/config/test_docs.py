"""Every YAML example that somebody may copy out of the documents is one that Holdfast reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from holdfast.config.load import load_files
from holdfast.config.papers import FOLDERS
from holdfast.config.reader import read
from holdfast.config.reference import render
from holdfast.config.schemas import KINDS
from holdfast.config.shape import check
from holdfast.config.starter import init
from holdfast.ruletest import run

REPOSITORY = Path(__file__).parents[3]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
FENCED = re.compile(r"^(?P<indent> *)```ya?ml\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)


def examples(page: Path) -> list[tuple[int, str]]:
    """Every fenced example of a page with the line that it begins in."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCED.finditer(text):
        body = re.sub(f"^{match['indent']}", "", match["body"], flags=re.MULTILINE)
        found.append((text[: match.start("body")].count("\n") + 1, body))
    return found


EXAMPLES = [
    pytest.param(body, id=f"{page.relative_to(REPOSITORY)}:{line}")
    for page in PAGES
    for line, body in examples(page)
]


def kind_of(first_key: str) -> str | None:
    return "holdfast" if first_key == "format" else first_key if first_key in KINDS else None


@pytest.mark.parametrize("body", EXAMPLES)
def test_an_example_of_the_documents_is_read(body: str) -> None:
    file = read("example.yaml", body.encode())

    problems = [str(problem) for problem in file.problems]
    for document in file.documents:
        kind = kind_of(document.kind)
        problems += [str(flaw.problem) for flaw in check(document, kind)] if kind else []

    assert problems == []


def test_there_are_examples_to_read() -> None:
    assert len(EXAMPLES) >= 6


def test_the_rules_of_the_how_to_load_beside_the_starter_pack(tmp_path: Path) -> None:
    init(tmp_path)
    files = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*.yaml")}
    page = REPOSITORY / "docs" / "how-to" / "write-a-rule.md"
    for line, body in examples(page):
        folder = next(folder for folder, kinds in FOLDERS.items() if body.split(":")[0] in kinds)
        files[f"{folder}/example{line}.yaml"] = body.encode()

    found = load_files(files, "docs")

    assert {"shop-stale", "shop-stale-while-quiet", "shop-slow"} <= set(found.rules)


def test_the_stories_of_the_how_to_and_the_starter_pack_end_as_they_say(tmp_path: Path) -> None:
    init(tmp_path)
    files = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*.yaml")}
    page = REPOSITORY / "docs" / "how-to" / "test-your-rules.md"
    told = examples(page)
    for line, body in told:
        files[f"tests/example{line}.yaml"] = body.encode()

    report = run(load_files(files, "docs"))

    assert [str(problem) for problem in report.problems] == []
    assert len(report.tests) == len(told) + 4
    assert report.untested == ()


def test_the_reference_is_what_the_schemas_say() -> None:
    page = REPOSITORY / "docs" / "reference" / "config.md"

    assert page.read_text(encoding="utf-8") == render(), (
        "run: python -m holdfast.config.reference docs/reference/config.md"
    )


def test_every_file_of_the_starter_pack_is_in_the_repository() -> None:
    for folder in ("rules", "policies"):
        assert list((REPOSITORY / folder).glob("*.yaml"))
