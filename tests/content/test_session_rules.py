from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"


def session(folder: Path, code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a pytest session of its own over one test file, under the house rules."""
    shutil.copy(CONFTEST, folder)
    (folder / "test_it.py").write_text(code)
    (folder / "pytest.ini").write_text("[pytest]\n")
    passed_on = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COV_", "COVERAGE_", "PYTEST_"))
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:cov", *arguments]
    environment = passed_on | {"HOLDFAST_NO_SKIPS": "0"} | environment
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


SKIPS = """
import pytest

def test_runs():
    pass

def test_does_not_run():
    pytest.skip("no server")
"""

LEAVES = """
import socket, subprocess

kept = []

def test_forgets_an_orphan():
    subprocess.run(["sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"], check=True)

def test_forgets_a_listener():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    kept.append(listener)
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_skip_is_counted_and_allowed_on_a_laptop(tmp_path: Path, workers: str) -> None:
    run = session(tmp_path, SKIPS, "-n", workers)

    assert run.returncode == 0, run.stdout + run.stderr
    assert "skipped: 1" in run.stdout
    assert run.stdout.splitlines()[-1].strip("= ").startswith("1 passed, 1 skipped")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_skip_fails_the_session_where_none_is_allowed(tmp_path: Path, workers: str) -> None:
    run = session(tmp_path, SKIPS, "-n", workers, HOLDFAST_NO_SKIPS="1")

    assert run.returncode == 1, run.stdout + run.stderr
    assert "1 skipped, and HOLDFAST_NO_SKIPS=1 allows none" in run.stdout


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_module_that_skips_itself_counts_too(tmp_path: Path, workers: str) -> None:
    code = 'import pytest\npytest.skip("no", allow_module_level=True)\n'
    code_that_runs = "def test_runs():\n    pass\n"
    (tmp_path / "test_other.py").write_text(code_that_runs)

    run = session(tmp_path, code, "-n", workers, HOLDFAST_NO_SKIPS="1")

    assert run.returncode == 1, run.stdout + run.stderr
    assert "1 skipped, and" in run.stdout


@pytest.mark.parametrize("workers", ["0", "2"])
def test_what_a_test_leaves_behind_fails_the_session_and_is_ended(tmp_path: Path, workers: str) -> None:
    run = session(tmp_path, LEAVES, "-n", workers)
    lines = [line for line in run.stdout.splitlines() if line.startswith("process ")]
    pids = [int(line.split()[1].rstrip(":")) for line in lines]

    assert run.returncode == 1, run.stdout + run.stderr
    assert ["sleep 600" in line and "test_forgets_an_orphan" in line for line in lines] == [True]
    assert "this process listens on tcp port" in run.stdout
    assert not any(is_running(pid) for pid in pids)


def test_a_clean_session_passes(tmp_path: Path) -> None:
    run = session(tmp_path, "def test_runs():\n    pass\n", HOLDFAST_NO_SKIPS="1")

    assert run.returncode == 0, run.stdout + run.stderr
    assert "skipped: 0" in run.stdout


def is_running(pid: int) -> bool:
    """Whether the process lives; a zombie that nobody reaped has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
