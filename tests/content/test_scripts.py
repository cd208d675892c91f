"""The shell scripts that a newcomer meets first, up to the point where they would change the machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ABSENT = "no-such-package=/no/such/file"


def run(
    script: str, *arguments: str, path: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a script without a terminal, with nothing that would count as consent."""
    clean = {name: value for name, value in os.environ.items() if name not in ("CI", "YES")}
    if path is not None:
        clean["PATH"] = f"{path}:{clean['PATH']}"
    return subprocess.run(
        [str(ROOT / script), *arguments],
        env=clean | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def bin_of(tmp_path: Path) -> Path:
    """A directory for programs that stand in front of the system's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def program(folder: Path, name: str, text: str) -> None:
    """Put a small program there."""
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_what_is_there_needs_nothing() -> None:
    said = run("scripts/need", "shell=sh", "any=/no/such/file,/bin/sh")

    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_without_consent_nothing_is_installed_and_the_line_is_printed(bin_of: Path, tmp_path: Path) -> None:
    program(bin_of, "apt-get", f"touch {tmp_path}/called")
    program(bin_of, "id", "echo 0")
    said = run("scripts/need", "shell=sh", ABSENT, path=bin_of)

    assert said.returncode == 1
    assert "apt-get update && apt-get install -y --no-install-recommends no-such-package\n" in said.stderr
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("consent", [{"CI": "true"}, {"YES": "1"}])
def test_who_is_not_root_gets_the_line_for_sudo(
    bin_of: Path, tmp_path: Path, consent: dict[str, str]
) -> None:
    program(bin_of, "apt-get", f"touch {tmp_path}/called")
    program(bin_of, "id", "echo 1000")
    said = run("scripts/need", ABSENT, path=bin_of, **consent)

    assert said.returncode == 1
    assert "    sudo apt-get update && sudo apt-get install -y" in said.stderr
    assert not (tmp_path / "called").exists()


def test_a_python_that_is_too_old_is_named(bin_of: Path, tmp_path: Path) -> None:
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        program(bin_of, name, '[ "$1" = -V ] && echo Python 3.10.1; exit 1')
    said = run("scripts/venv", str(tmp_path / "venv"), path=bin_of)

    assert said.returncode == 1
    assert said.stderr.startswith(
        "Holdfast needs Python 3.11, 3.12 or 3.13; python3 here is: Python 3.10.1.\n"
    )
    assert not (tmp_path / "venv").exists()


def test_a_dry_install_prints_its_steps_and_does_none() -> None:
    before = sorted(Path("/opt").iterdir()), Path("/etc/holdfast").exists()
    said = run("systemd/install", "--dry-run")

    assert (said.returncode, said.stderr) == (0, "")
    assert (sorted(Path("/opt").iterdir()), Path("/etc/holdfast").exists()) == before
    for step in (
        "-m pip install --quiet --require-hashes --no-deps --no-build-isolation -r /dev/stdin",
        "install -m 644 systemd/holdfast.service /etc/systemd/system/holdfast.service",
        "systemctl daemon-reload",
    ):
        assert step in said.stdout


def test_uninstalling_keeps_the_history_unless_told() -> None:
    kept = run("systemd/uninstall", "--dry-run").stdout
    purged = run("systemd/uninstall", "--dry-run", "--purge").stdout

    assert "rm -rf /opt/holdfast" in kept
    assert "rm -rf /var/lib/holdfast" not in kept
    assert "rm -rf /var/lib/holdfast" in purged


@pytest.mark.parametrize("script", ["systemd/install", "systemd/uninstall"])
def test_a_word_that_is_not_known_prints_how_to_use_it(script: str) -> None:
    said = run(script, "--now")

    assert said.returncode == 2
    assert f"  {script} [--dry-run]" in said.stderr
