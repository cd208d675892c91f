"""What an operator installs: the built wheel, away from this checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return next(folder.glob("holdfast-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked where nothing of the checkout is near."""
    folder = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def holdfast(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the unpacked command line, away from the checkout."""
    ours = ("HOLDFAST_", "COVERAGE_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-m", "holdfast", *arguments],
        cwd=installed,
        env=environment | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )


def names(folder: Path) -> set[str]:
    """Every file under a folder that git would keep."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_whole_package(installed: Path) -> None:
    assert names(ROOT / "daemon/holdfast") <= names(installed / "holdfast")


@pytest.mark.parametrize(
    ("source", "place"),
    [("schemas", "_schemas"), ("rules", "_starter/rules"), ("policies", "_starter/policies")],
)
def test_the_wheel_holds_the_documents_beside_the_package(installed: Path, source: str, place: str) -> None:
    expected = names(ROOT / source)

    assert expected != set()
    assert names(installed / "holdfast" / place) == expected


def test_the_wheel_holds_nothing_else(installed: Path) -> None:
    top = {path.name for path in installed.iterdir()}

    assert {name for name in top if not name.endswith(".dist-info")} == {"holdfast"}


def test_an_installed_holdfast_makes_a_config_that_it_accepts(installed: Path, tmp_path: Path) -> None:
    """Starter pack and schemas come from the wheel, not from the checkout."""
    made = holdfast(installed, "init", str(tmp_path / "config"))
    checked = holdfast(installed, "check", str(tmp_path / "config"))

    assert (made.returncode, made.stderr) == (0, "")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert names(tmp_path / "config") >= {f"rules/{name}" for name in names(ROOT / "rules")}


def test_the_unpacked_package_is_the_one_that_ran(installed: Path) -> None:
    code = "import holdfast; print(holdfast.__file__)"
    environment = os.environ | {"PYTHONPATH": str(installed)}
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=installed,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert Path(run.stdout.strip()).is_relative_to(installed)


def test_the_version_is_the_same_everywhere(wheel: Path, installed: Path) -> None:
    run = holdfast(installed, "--version")

    assert run.stdout.strip() == f"holdfast {wheel.name.split('-')[1]}"
