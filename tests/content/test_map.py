from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAP = (ROOT / "docs" / "map.md").read_text()
PACKAGE = ROOT / "daemon" / "holdfast"


def rooms_on_the_map() -> list[str]:
    """First column of the table under "The rooms"."""
    chapter = MAP.split("## The rooms")[1].split("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", chapter, flags=re.MULTILINE)


def rooms_in_the_package() -> set[str]:
    """Modules and packages right under `holdfast`."""
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    return modules | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def layers() -> list[set[str]]:
    """The groups that the import contract enforces."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return [set(re.findall(r"\w+", layer)) for layer in contracts[0]["layers"]]


def test_every_room_has_one_row_and_every_row_a_room() -> None:
    assert sorted(rooms_on_the_map()) == sorted(rooms_in_the_package())


def test_the_groups_on_the_map_are_those_that_are_enforced() -> None:
    sentence = MAP.split("Groups, top to bottom:")[1].split("\n\n")[0]
    groups = [set(re.findall(r"`(\w+)`", group)) for group in sentence.split("·")]

    assert groups == layers()


def test_every_file_the_map_names_exists() -> None:
    named = re.findall(r"`((?:[a-z_]+/)+[a-z_.*]*|[a-z_]+\.py)`", MAP)
    missing = [name for name in named if not any([*ROOT.glob(name), *PACKAGE.glob(name)])]

    assert missing == []
