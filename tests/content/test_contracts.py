"""The walls of pyproject.toml, tried by breaking through each of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
NAMES = [contract["name"] for contract in CONTRACTS]
LAYERS = CONTRACTS[0]["layers"]

#: (module that gets the import, what it imports, the contract that must say so)
BREACHES = [
    ("errors", "holdfast.model", "one road, closed rooms"),
    ("model.values", "holdfast.effects", "one road, closed rooms"),
    ("store.tables", "holdfast.gate", "one road, closed rooms"),
    ("journal", "holdfast.memory", "one road, closed rooms"),
    ("execute", "holdfast.notify", "one road, closed rooms"),
    ("sense", "holdfast.config", "one road, closed rooms"),
    ("pipeline", "holdfast.web", "one road, closed rooms"),
    ("pipeline", "holdfast.app", "one road, closed rooms"),
    ("web", "holdfast.cli", "one road, closed rooms"),
    ("decide", "time", "decide and gate are pure"),
    ("decide", "holdfast.store.database", "decide and gate are pure"),
    ("gate", "subprocess", "decide and gate are pure"),
    ("gate", "structlog", "decide and gate are pure"),
    ("web", "holdfast.execute", "web looks and hands on, it never acts"),
    ("web", "holdfast.gate", "web looks and hands on, it never acts"),
    ("memory", "sqlite3", "SQL only in store"),
    ("pipeline", "sqlalchemy", "SQL only in store"),
    ("notify", "paramiko", "SSH only in execute"),
    ("config", "fabric", "SSH only in execute"),
    ("execute", "apprise", "mail and messages only in notify"),
    ("app", "smtplib", "mail and messages only in notify"),
    ("match", "yaml", "config files only in config"),
    ("app", "watchdog", "config files only in config"),
    ("match.native", "durable", "durable_rules only in its own process"),
    ("sense", "starlette", "HTTP is served only by web"),
    ("cli", "uvicorn", "HTTP is served only by web"),
    ("execute", "httpx", "HTTP is asked only by sense, cli and rehearsal"),
    ("decide", "re2", "regular expressions on events are linear"),
    ("web", "rich", "the terminal belongs to cli and rehearsal"),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package and its settings, free to be broken."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "daemon", tmp_path / "daemon", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """lint-imports over a copy."""
    environment = os.environ | {"PYTHONPATH": str(folder / "daemon"), "COLUMNS": "200"}
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def source(folder: Path, module: str) -> Path:
    """The file of a module, whether it is a package or not."""
    path = folder / "daemon/holdfast" / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def test_each_breach_of_a_wall_is_reported(copy: Path) -> None:
    for module, imported, _ in BREACHES:
        with source(copy, module).open("a") as file:
            file.write(f"\nimport {imported}\n")

    said = chapters(lint(copy).stdout)
    missed = [
        (module, imported, contract)
        for module, imported, contract in BREACHES
        if f"holdfast.{module} -> {imported} " not in said.get(contract, "")
    ]

    assert missed == []


def test_no_contract_is_left_untried() -> None:
    assert {contract for _, _, contract in BREACHES} == set(NAMES)


def test_a_module_without_a_room_is_reported(copy: Path) -> None:
    source(copy, "utils").write_text("")

    run = lint(copy)

    assert run.returncode == 1
    assert "holdfast.utils" in run.stdout


def test_every_room_exists() -> None:
    """No layer is optional (in brackets): a contract about a room that is gone would say nothing."""
    assert [layer for layer in LAYERS if "(" in layer] == []


def chapters(said: str) -> dict[str, str]:
    """What lint-imports says under the headline of each broken contract."""
    words = re.split(r"^(.+)\n-{4,}\n", said, flags=re.MULTILINE)
    return dict(zip(words[1::2], words[2::2], strict=True))
