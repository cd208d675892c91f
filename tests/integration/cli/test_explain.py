from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def config(holdfast: Any, tmp_path: Path) -> Path:
    assert holdfast("init", str(tmp_path / "config")).code == 0
    return tmp_path / "config"


@pytest.fixture
def event(tmp_path: Path) -> Any:
    """Write an event to a file; its path."""

    def write(text: str) -> str:
        path = tmp_path / "event.json"
        path.write_text(text)
        return str(path)

    return write


def checks(found: Any, role: str = "when") -> list[tuple[str, str, Any]]:
    """(path, truth, value seen) of every comparison; the value is left out where there is none."""
    (rule,) = found["rules"]
    pattern = next(item for item in rule["patterns"] if item["role"] == role)
    return [
        (item["path"], item["truth"], item.get("seen", "nothing"))
        for item in pattern["checks"]
        if item["path"]
    ]


def test_each_condition_is_shown_with_its_answer_and_the_value_seen(
    holdfast: Any, config: Path, event: Any
) -> None:
    found = holdfast(
        "explain", event('{"type": "http.probe", "service": "shop", "data": {"ok": false}}'), "--json"
    ).json

    assert checks(found) == [("source", "true", "shop-probe"), ("data.ok", "true", False)]
    assert checks(found, "clears") == [("data.ok", "false", False)]


def test_a_missing_field_is_unknown_and_nothing_was_seen(holdfast: Any, config: Path, event: Any) -> None:
    path = event('{"type": "http.probe", "service": "shop", "data": {}}')
    shown = holdfast("explain", path).out

    assert checks(holdfast("explain", path, "--json").json) == [
        ("source", "true", "shop-probe"),
        ("data.ok", "unknown", "nothing"),
    ]
    assert "unknown   data.ok eq false: saw nothing" in shown


def test_the_text_says_how_many_more_it_takes(holdfast: Any, config: Path, event: Any) -> None:
    shown = holdfast("explain", event('{"type": "http.probe", "service": "shop", "data": {"ok": false}}')).out

    assert "rule shop-down, mode auto (rules/shop.yaml:3)" in shown
    assert "takes 3 in a row from one source; 1 so far with this event, 2 more to come" in shown


def test_an_event_that_no_rule_looks_at_says_so(holdfast: Any, config: Path, event: Any) -> None:
    shown = holdfast("explain", event('{"type": "backup.done"}')).out

    assert "not about such events: shop-down" in shown
    assert "No rule looks at events of this type" in shown


def test_an_event_without_a_sender_comes_from_the_only_source_that_fits(
    holdfast: Any, config: Path, event: Any
) -> None:
    def source(text: str) -> str:
        name: str = holdfast("explain", event(text), "--json").json["event"]["source"]
        return name

    assert source('{"type": "http.probe", "service": "shop"}') == "shop-probe"
    assert source('{"type": "deploy.started"}') == "deploys"
    assert source('{"type": "http.probe", "service": "other"}') == "explain"
    assert source('{"type": "http.probe", "source": "mine"}') == "mine"


def test_a_payload_is_read_as_its_source_sends_it(holdfast: Any, config: Path, event: Any) -> None:
    found = holdfast(
        "explain", event('{"version": "v2", "type": "nonsense"}'), "--source", "deploys", "--json"
    ).json

    assert (found["event"]["type"], found["event"]["service"]) == ("deploy.started", "shop")
    assert found["event"]["data"]["version"] == "v2"


def test_standard_input_is_a_file_too(config: Path) -> None:
    program = [sys.executable, "-m", "holdfast", "--config", str(config), "explain", "-"]
    done = subprocess.run(
        program, input='{"type": "http.probe"}', capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("http.probe from shop-probe")


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("{broken", (), "not JSON"),
        ("[1]", (), "holds no JSON object"),
        ("{}", (), "missing required field `type`"),
        ('{"type": "x", "status": 503}', (), "a normalised event has no status: put values under data"),
        ('{"type": "x", "severity": "awful"}', (), "Invalid enum value 'awful'"),
        (
            '{"type": "x"}',
            ("--source", "nobody"),
            "there is no source 'nobody' in the config: name one of deploys",
        ),
        ('{"type": "x"}', ("--cloudevent",), "--cloudevent needs --source"),
    ],
)
def test_an_event_that_cannot_be_read_is_bad_input(
    holdfast: Any, config: Path, event: Any, text: str, options: tuple[str, ...], said: str
) -> None:
    shown = holdfast("explain", event(text), *options)

    assert (shown.code, shown.out) == (2, "")
    assert said in shown.err
    assert shown.err.count("\n") == 1


def test_a_file_that_is_not_there_is_bad_input(holdfast: Any, config: Path, tmp_path: Path) -> None:
    shown = holdfast("explain", str(tmp_path / "none.json"))

    assert (shown.code, shown.out) == (2, "")
    assert "No such file or directory" in shown.err


def test_an_incident_is_explained_by_its_evidence_and_the_rule_of_today(
    holdfast: Any, config: Path, outage: int
) -> None:
    shown = holdfast("explain", "i41").out
    found = holdfast("explain", "i41", "--json").json

    assert "shop-down fired" in shown
    assert "data.ok eq false: saw false" in shown
    assert "it fired under dir-0123456789ab" in shown
    assert "more to come" not in shown
    (fired,) = found["fired"]
    assert (fired["rule"], fired["seq"], fired["event"]["data"]["status"]) == ("shop-down", 41, 503)
    assert fired["explained"][0]["rule"] == "shop-down"


def test_guards_that_held_are_shown(holdfast: Any, filling: Any) -> None:
    guard = {"name": "deploy", "effect": "ask", "truth": "true", "source": "deploys", "event": "7", "time": 1}
    with filling(1000) as fill:
        incident = fill.outage(1)
        fill.note(incident, "evidence", "z", {"rule": "r", "guards": [guard]})

    assert "unless deploy: true" in holdfast("explain", "i1").out
    assert "unless deploy: true" in holdfast("show", "i1").out


def test_an_incident_is_explained_without_a_config_too(holdfast: Any, outage: int) -> None:
    shown = holdfast("explain", "i41")

    assert shown.code == 0
    assert "http.probe from shop-probe: ok=false, status=503" in shown.out
    assert "`holdfast check` says why" in shown.out


def test_a_source_for_an_incident_is_bad_usage(holdfast: Any, config: Path, outage: int) -> None:
    shown = holdfast("explain", "i41", "--source", "deploys")

    assert (shown.code, shown.out) == (2, "")
