"""Before a config takes over, its tests run in a process of their own."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.app.ruletests import RuleTests
from holdfast.config.load import load
from holdfast.config.starter import init
from holdfast.errors import ConfigError
from holdfast.model.snapshot import Snapshot

#: Many seconds of work: thirty days of ticks, so many times.
LONG = """
test: long
doc: It takes its time.
script: [{script}]
""".replace("{script}", ", ".join(["{wait: 30d}"] * 200))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    init(tmp_path / "config")
    return tmp_path / "config"


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, in this process and in those that it starts."""
    made = tmp_path / "tmp"
    made.mkdir()
    monkeypatch.setenv("TMPDIR", str(made))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return made


def break_a_test(config: Path) -> None:
    tests = config / "tests/shop.yaml"
    tests.write_text(tests.read_text().replace("verdict: human", "verdict: deny"))


def refused(tests: RuleTests, snapshot: Snapshot) -> str:
    with pytest.raises(ConfigError) as caught:
        tests.prove(snapshot)
    return str(caught.value)


def test_a_config_that_passes_its_tests_is_proven(config: Path) -> None:
    RuleTests(config).prove(load(config))


def test_a_config_that_fails_one_is_refused_with_what_is_wrong(config: Path) -> None:
    break_a_test(config)

    assert refused(RuleTests(config), load(config)) == (
        "tests/shop.yaml:50:5: script[3].expect.runs[0].verdict: it is `human` (expected `deny`), "
        "in test during-a-deploy-it-asks-first"
    )


def test_a_config_without_tests_starts_nothing(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (config / "tests/shop.yaml").unlink()
    monkeypatch.setattr("sys.executable", "/nonexistent")

    RuleTests(config).prove(load(config))


def test_a_config_that_changed_meanwhile_is_not_proven(config: Path) -> None:
    before = load(config)
    (config / "rules/more.yaml").write_text("# a word\n")

    assert "the config changed while its rule tests ran" in refused(RuleTests(config), before)


def test_a_config_that_broke_meanwhile_is_not_proven(config: Path) -> None:
    before = load(config)
    (config / "rules/more.yaml").write_text("rule: [\n")

    assert "rules/more.yaml:2:1" in refused(RuleTests(config), before)


def test_a_process_that_cannot_be_started_is_said(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")

    assert "could not be run: [Errno 2]" in refused(RuleTests(config), load(config))


def test_a_process_that_says_nothing_of_use_is_said(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/true")

    assert "the rule tests could not be run" in refused(RuleTests(config), load(config))


def test_tests_that_take_too_long_are_ended_and_leave_nothing(config: Path, room: Path) -> None:
    (config / "tests/long.yaml").write_text(LONG)

    assert "take more than 2 s" in refused(RuleTests(config, patience=2.0), load(config))
    assert list(room.iterdir()) == []


def test_a_stop_ends_what_runs_leaves_nothing_and_nothing_is_begun_after_it(
    config: Path, room: Path, until: Callable[..., None]
) -> None:
    (config / "tests/long.yaml").write_text(LONG)
    tests, snapshot, said = RuleTests(config), load(config), list[str]()
    proving = threading.Thread(target=lambda: said.append(refused(tests, snapshot)))
    proving.start()
    until(lambda: any(room.rglob("*.db-wal")))
    tests.stop()
    proving.join()

    assert said == ["holdfast.yaml:1:1: the rule tests could not be run: the daemon is stopping"]
    assert refused(tests, snapshot) == said[0]
    assert list(room.iterdir()) == []


def test_without_a_place_for_temporary_files_a_config_is_refused(
    config: Path, room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(room / "gone"))

    assert "the rule tests could not be run" in refused(RuleTests(config), load(config))


def test_what_lies_where_the_daemon_was_started_is_no_code(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "holdfast.py").write_text("raise SystemExit('somebody else')")
    monkeypatch.chdir(tmp_path)

    RuleTests(config).prove(load(config))


def test_a_daemon_that_is_to_die_at_a_crash_point_does_not_take_its_tests_along(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "HOLDFAST_CRASH_AT", "pipeline.decide.before")

    RuleTests(config).prove(load(config))
