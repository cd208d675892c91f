"""The tests of a config that is to take over run in a process of their own, and leave nothing behind."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.app.ruletests import RuleTests
from holdfast.config.load import load
from holdfast.config.starter import init
from holdfast.errors import ConfigError

LONG = """
test: long
doc: An event a day for 27 years.
script:
  - {event: {source: deploys}, times: 10000, every: 1d}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    init(tmp_path / "config")
    for file in (tmp_path / "config/tests").iterdir():
        file.unlink()
    (tmp_path / "config/tests/long.yaml").write_text(LONG)
    return tmp_path / "config"


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, in this process and in those that it starts."""
    made = tmp_path / "tmp"
    made.mkdir()
    monkeypatch.setenv("TMPDIR", str(made))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return made


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.01)


def test_a_stop_ends_what_runs_at_once_says_so_and_leaves_nothing(config: Path, room: Path) -> None:
    tests, snapshot, said = RuleTests(config), load(config), []

    def prove() -> None:
        with pytest.raises(ConfigError) as refused:
            tests.prove(snapshot)
        said.append(str(refused.value))

    proving = threading.Thread(target=prove)
    proving.start()
    until(lambda: any(room.rglob("*.db-wal")))
    tests.stop()
    proving.join(10)

    assert said == ["holdfast.yaml:1:1: the rule tests could not be run: the daemon is stopping"]
    assert list(room.iterdir()) == []


def test_what_takes_too_long_is_ended_and_leaves_nothing(config: Path, room: Path) -> None:
    with pytest.raises(ConfigError, match="take more than 2 s"):
        RuleTests(config, patience=2.0).prove(load(config))

    assert list(room.iterdir()) == []


def test_without_a_place_for_temporary_files_the_config_is_refused(
    config: Path, room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(room / "gone"))

    with pytest.raises(ConfigError, match="the rule tests could not be run"):
        RuleTests(config).prove(load(config))


def test_what_lies_where_the_daemon_was_started_is_no_code(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "holdfast.py").write_text("raise SystemExit('somebody else')")
    monkeypatch.chdir(tmp_path)
    (config / "tests/long.yaml").write_text(LONG.replace(", times: 10000, every: 1d", ""))

    RuleTests(config).prove(load(config))
