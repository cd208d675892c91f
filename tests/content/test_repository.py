from __future__ import annotations

import ast
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, BUILD = PYPROJECT["project"], PYPROJECT["build-system"]
SOURCES = sorted((ROOT / "daemon/holdfast").rglob("*.py"))
SCRIPTS = [*sorted((ROOT / "scripts").iterdir()), ROOT / "systemd/install", ROOT / "systemd/uninstall"]
WRAPPERS = sorted((ROOT / "daemon/holdfast").rglob("*.sh"))
LOCKS = ["requirements.lock", "requirements-dev.lock", "requirements-build.lock"]
TEXTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)

LONGEST_FUNCTION = 40
# A migration is as long as the schema that it makes.
MAY_BE_LONG = {"upgrade"}


def locked(name: str) -> set[tuple[str, str]]:
    """Canonical names and versions; a package may have one version per Python."""
    rows = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", (ROOT / name).read_text(), flags=re.MULTILINE)
    return {(canonicalize_name(package), version) for package, version in rows}


@pytest.mark.parametrize(
    "name", ["pyproject.toml", "README.md", "daemon", "rules", "policies", "schemas", "tests", "systemd"]
)
def test_the_top_level_is_as_promised(name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize("folder", ["daemon", "rules", "policies", "schemas", "systemd", "tests"])
def test_no_folder_takes_an_import_name_away_from_others(folder: str) -> None:
    """With an `__init__.py`, `daemon/` would shadow python-daemon, and `systemd/` python-systemd."""
    assert not (ROOT / folder / "__init__.py").exists()


def test_no_room_is_called_after_nothing() -> None:
    nameless = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}

    assert [path for path in SOURCES if path.stem in nameless or path.parent.name in nameless] == []


def test_no_function_body_is_longer_than_a_screen() -> None:
    long = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name not in MAY_BE_LONG:
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                if lines > LONGEST_FUNCTION:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines} lines")

    assert long == []


@pytest.mark.parametrize("script", SCRIPTS + WRAPPERS, ids=lambda path: path.name)
def test_a_shell_script_parses(script: Path) -> None:
    run = subprocess.run(["sh", "-n", str(script)], capture_output=True, text=True, check=False)

    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("script", [*SCRIPTS, ROOT / ".ci/run"], ids=lambda path: path.name)
def test_a_script_can_be_executed(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!")


def test_every_target_of_make_has_its_line_of_help() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)
    run = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert phony
    assert sorted(line.split()[1] for line in run.stdout.splitlines()) == sorted(phony[1].split())


def test_ci_runs_the_command_that_the_readme_gives() -> None:
    readme = (ROOT / "README.md").read_text()
    last = (ROOT / ".ci/run").read_text().strip().splitlines()[-1]

    assert "make test" in readme
    assert last == "exec make test </dev/null"


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_hashes_and_no_place(lock: str) -> None:
    text = (ROOT / lock).read_text()
    packages = len(locked(lock))
    hashed = re.findall(r"^[A-Za-z0-9_.-]+==[^\n]*\\\n    --hash=sha256:", text, flags=re.MULTILINE)

    assert packages > 0
    assert len(hashed) == packages
    assert re.findall(r"://|--index|--find-links|file:|^-e", text, flags=re.MULTILINE) == []


def test_the_locks_agree_with_each_other() -> None:
    run, dev, build = (locked(lock) for lock in LOCKS)

    assert run <= dev
    assert build <= dev


@pytest.mark.parametrize(
    ("lock", "asked"),
    [
        ("requirements.lock", PROJECT["dependencies"]),
        ("requirements-dev.lock", PROJECT["optional-dependencies"]["dev"]),
        ("requirements-build.lock", BUILD["requires"]),
    ],
)
def test_a_lock_holds_what_pyproject_asks_for(lock: str, asked: list[str]) -> None:
    wanted = [Requirement(text) for text in asked]
    chosen = locked(lock)
    met = {
        str(one)
        for one in wanted
        for name, version in chosen
        if name == canonicalize_name(one.name) and version in one.specifier
    }

    assert {str(one) for one in wanted} - met == set()


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.name)
def test_a_link_in_a_document_leads_somewhere(text: Path) -> None:
    links = re.findall(r"\]\(([^)\s#]+)[^)]*\)", text.read_text())
    here = [link for link in links if "://" not in link and not link.startswith("mailto:")]

    assert [link for link in here if not (text.parent / link).exists()] == []


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    headlines = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)

    assert headlines[0] == "Unreleased"


def test_the_licence_is_the_one_that_is_declared() -> None:
    text = (ROOT / "LICENSE").read_text()

    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
