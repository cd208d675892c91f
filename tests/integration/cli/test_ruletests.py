from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

PASSES = """
test: restarted
doc: An example.
script:
  - {event: {source: shop-probe, data: {ok: false, status: 500}}, times: 3}
  - expect: {fired: [shop-down]}
"""
FAILS = """
test: broken
doc: An example.
script:
  - {event: {source: shop-probe, data: {ok: false, status: 500}}, times: 3}
  - expect: {fired: [], asks: [{question: "Well?"}]}
"""
WRONG = (
    "tests/shop.yaml:12:5: script[1].expect.fired: shop-down fired (expected none), in test broken",
    "tests/shop.yaml:12:5: script[1].expect.asks: there are 0 open questions (expected 1), in test broken",
)


@pytest.fixture
def config(holdfast: Any, tmp_path: Path) -> Path:
    """The starter pack, as `init` writes it."""
    assert holdfast("init", str(tmp_path / "config")).code == 0
    return tmp_path / "config"


def put(config: Path, *tests: str) -> None:
    (config / "tests" / "shop.yaml").write_text("---".join(tests))


def words(text: str) -> str:
    """The text without its line breaks and the room that is left for them."""
    return " ".join(text.split())


def test_what_init_writes_passes_its_own_tests(holdfast: Any, config: Path) -> None:
    shown = holdfast("test", str(config))
    lines = shown.out.splitlines()

    assert (shown.code, shown.err) == (0, "")
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["ok", "during-a-deploy-it-asks-first"],
        ["ok", "nobody-answers-and-nothing-runs"],
        ["ok", "shop-down-is-restarted"],
        ["ok", "shop-stays-down-and-is-rolled-back"],
    ]
    assert lines[-1] == "4 tests, all passed"


def test_each_test_is_told_with_its_time(holdfast: Any, config: Path) -> None:
    put(config, PASSES)
    line, end = holdfast("test", str(config)).out.splitlines()

    name, seconds = line.removeprefix("ok    ").split("  ")
    assert name == "restarted"
    assert 0 <= float(seconds.removesuffix(" s")) < 60
    assert end == "1 test, all passed"


def test_a_test_that_fails_says_everything_below_its_name_and_exits_with_1(
    holdfast: Any, config: Path
) -> None:
    put(config, PASSES, FAILS)
    shown = holdfast("test", str(config))

    assert (shown.code, shown.err) == (1, "")
    assert shown.out.startswith("FAIL  broken  ")
    assert all(line in words(shown.out) for line in WRONG)
    assert words(shown.out).endswith("s 2 tests, 1 failed")
    assert "\nok    restarted  " in shown.out


def test_the_report_is_one_json_document_and_no_progress(holdfast: Any, config: Path) -> None:
    put(config, PASSES, FAILS)
    shown = holdfast("test", str(config), "--json")
    found = shown.json

    assert (shown.code, shown.err) == (1, "")
    assert sorted(found) == ["commit", "passed", "tests", "untested"]
    assert found["passed"] is False
    assert found["commit"].startswith("dir-")
    assert [(one["name"], one["passed"], one["fired"]) for one in found["tests"]] == [
        ("broken", False, ["shop-down"]),
        ("restarted", True, ["shop-down"]),
    ]
    assert found["tests"][0]["where"] == "tests/shop.yaml:8"
    assert found["tests"][0]["problems"][0] == {
        "file": "tests/shop.yaml",
        "line": 12,
        "column": 5,
        "path": "script[1].expect.fired",
        "message": "shop-down fired (expected none), in test broken",
    }
    assert found["tests"][1]["problems"] == []


def test_a_report_that_passes_exits_with_0(holdfast: Any, config: Path) -> None:
    shown = holdfast("test", str(config), "--json")

    assert (shown.code, shown.json["passed"], shown.json["untested"]) == (0, True, [])


def test_only_the_named_tests_run_each_once(holdfast: Any, config: Path) -> None:
    put(config, PASSES, FAILS, PASSES.replace("restarted", "other"))
    one = holdfast("test", str(config), "--only", "restarted")
    two = holdfast(
        "test", str(config), "--only", "restarted", "--only", "other", "--only", "restarted", "--json"
    )

    assert one.code == 0
    assert one.out.splitlines()[-1] == "1 test, all passed"
    assert [result["name"] for result in two.json["tests"]] == ["other", "restarted"]


def test_a_test_that_is_not_there_exits_with_3_and_names_those_that_are(holdfast: Any, config: Path) -> None:
    put(config, PASSES, FAILS)
    shown = holdfast("test", str(config), "--only", "restarted", "--only", "restart")

    assert (shown.code, shown.out) == (3, "")
    assert "there is no test 'restart': name one of broken, restarted" in words(shown.err)


def test_without_any_tests_no_name_is_right(holdfast: Any, config: Path) -> None:
    (config / "tests" / "shop.yaml").unlink()
    shown = holdfast("test", str(config), "--only", "x")

    assert shown.code == 3
    assert "there is no test 'x': name one of none is declared" in words(shown.err)


def test_without_tests_it_says_how_to_begin(holdfast: Any, config: Path) -> None:
    (config / "tests" / "shop.yaml").unlink()
    shown = holdfast("test", str(config))
    found = holdfast("test", str(config), "--json")

    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("there are no tests\n")
    assert "Write one under tests/" in shown.out
    assert (found.code, found.json["passed"], found.json["tests"]) == (0, True, [])
    assert found.json["untested"] == ["shop-down"]


def test_rules_that_no_test_makes_fire_are_named_after_a_whole_run(holdfast: Any, config: Path) -> None:
    put(config, PASSES.replace("times: 3", "times: 2").replace("[shop-down]", "[]"))
    whole = holdfast("test", str(config))
    part = holdfast("test", str(config), "--only", "restarted")

    assert (whole.code, part.code) == (0, 0)
    assert "No test makes these rules fire: shop-down" in whole.out
    assert "No test makes" not in part.out


def test_a_config_that_is_not_valid_exits_with_2_and_runs_nothing(holdfast: Any, config: Path) -> None:
    put(config, PASSES.replace("shop-probe", "shop-prob"))
    shown = holdfast("test", str(config))

    assert (shown.code, shown.out) == (2, "")
    assert "unknown source `shop-prob` (did you mean shop-probe?)" in words(shown.err)


def test_a_config_that_is_named_wins_over_the_directory_one_stands_in(
    holdfast: Any, config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put(config, PASSES)
    assert holdfast("init", str(tmp_path / "other")).code == 0
    monkeypatch.chdir(tmp_path / "other")

    assert [one["name"] for one in holdfast("test", "--json").json["tests"]] == ["restarted"]
    assert len(holdfast("test", str(tmp_path / "other"), "--json").json["tests"]) == 4


def test_it_leaves_nothing_behind(
    holdfast: Any, config: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    before = sorted(config.rglob("*"))
    put(config, PASSES, FAILS)

    assert holdfast("test", str(config)).code == 1
    assert list(place.iterdir()) == []
    assert list(state.iterdir()) == []
    assert sorted(config.rglob("*")) == before


def test_without_room_for_its_databases_it_says_so(
    holdfast: Any, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    shown = holdfast("test", str(config))

    assert shown.code == 1
    assert "there is no room for the databases of the tests" in words(shown.err)
    assert len(shown.err.splitlines()) <= 3


def test_the_program_tests_the_directory_it_stands_in_and_logs_nothing(config: Path) -> None:
    put(config, PASSES, FAILS)
    environment = {name: value for name, value in os.environ.items() if name != "HOLDFAST_CONFIG"}
    ran = subprocess.run(
        [sys.executable, "-m", "holdfast", "test", "--json"],
        cwd=config,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (ran.returncode, ran.stderr) == (1, "")
    assert [one["name"] for one in msgspec.json.decode(ran.stdout)["tests"]] == ["broken", "restarted"]


def test_the_story_stands_below_its_test_with_the_time_since_it_began(holdfast: Any, config: Path) -> None:
    put(config, PASSES)
    plain = holdfast("test", str(config)).out
    shown = holdfast("test", str(config), "--story")
    rows = [row.split(maxsplit=3) for row in shown.out.splitlines()[1:-1]]

    assert shown.code == 0
    assert len(plain.splitlines()) == 2
    assert rows[0][:3] == ["+20", "s", "opened"]
    assert ["+20", "s", "start", "restart-unit on web1"] in rows
