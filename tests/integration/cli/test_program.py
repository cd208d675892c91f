"""The program itself: how it starts, ends, completes words, and meets a daemon that is real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast import __version__

DEADLINE = 60.0
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILLdmGNZb1q1rDRYi2t1a1GGyTOlDpWqxF7u5tv2SKPe"
SITE = f"""
format: 1
estate:
  hosts: {{here: {{address: 127.0.0.1, user: nobody, host_key: "{HOST_KEY}"}}}}
  services: {{shop: {{hosts: [here]}}}}
sources: {{ops: {{kind: webhook, type: ops.alarm, service: shop}}}}
channels: {{mail: {{url: $secret.mail-url}}}}
operators: {{ana: {{channels: [mail]}}}}
listen: {{host: 127.0.0.1, port: 0}}
"""
RULE = """
rule: shop-alarm
doc: Somebody rang the alarm about the shop.
mode: auto
when: {alarm: {event: ops.alarm, where: {data.level: {gte: 3}}}}
incident: {type: alarm, severity: error, title: "$service.name: $alarm.data.text"}
clears: {event: ops.alarm, where: {data.level: 0}}
then:
  - ask: "Write the mark for $service.name?"
    choices: {mark: {do: write-mark}, wait: {}}
    silence: wait
    within: 30m
---
action: write-mark
doc: Write a mark.
local: {argv: [/bin/echo, marked]}
verify: none
undo: none
touches: [availability]
idempotent: true
risk: low
deadline: 5s
"""
POLICY = """
policy: alarm-envelope
doc: Marks are harmless.
envelope: {incident_type: alarm, allow: {risk: low, touches: [availability]}}
"""


def program(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a shell does."""
    passed_on = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_C")}
    return subprocess.run(
        [sys.executable, "-m", "holdfast", *arguments],
        env=passed_on | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )


def test_the_version_is_one_line() -> None:
    done = program("--version")

    assert (done.returncode, done.stdout, done.stderr) == (0, f"holdfast {__version__}\n", "")


def test_help_begins_without_what_only_some_commands_need() -> None:
    code = (
        "import sys; from holdfast.cli import main; main(['--help']);"
        "print([name for name in ('sqlalchemy', 'httpx', 'rich', 'yaml', 'starlette', 'paramiko',"
        " 'structlog', 'asyncio', 'msgspec') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=DEADLINE
    )

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonsense",), "No such command 'nonsense'"),
        (("incident",), "Did you mean 'incidents'"),
        (("show",), "Missing argument 'ID'"),
        (("incidents", "--last", "0"), "greater than or equal to 1"),
        (("incidents", "--only", "lost"), "'lost' is not one of 'open', 'cleared', 'closed'"),
        (("run", "--listen", "here"), "'here' is no HOST:PORT"),
        (("run", "--listen", "127.0.0.1:99999"), "is no HOST:PORT"),
    ],
)
def test_bad_usage_exits_with_two_and_says_what_is_wrong(arguments: tuple[str, ...], said: str) -> None:
    done = program(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_failure_with_a_traceback(state: Path, outage: int) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m holdfast --state {state} show i41 --json | true"],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )

    assert "Traceback" not in done.stderr


def test_a_narrow_character_set_is_no_failure(state: Path, filling: Any) -> None:
    with filling(1000) as fill:
        fill.outage(1, "сервер упал …")
    done = program("--state", str(state), "incidents", PYTHONIOENCODING="ascii")

    assert (done.returncode, done.stderr) == (0, "")
    assert "??????" in done.stdout


def test_the_shell_is_offered_commands_and_ids(state: Path, outage: int) -> None:
    def offered(words: str) -> str:
        return program(
            _HOLDFAST_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))
        ).stdout

    with_state = f"holdfast --state {state} show "

    assert offered("holdfast inc").split() == ["incidents"]
    assert offered(with_state + "i4").split() == ["i41"]
    assert sorted(offered(with_state).split()) == ["i3", "i41", "i7"]
    assert offered(f"holdfast --state {state} deny g").split() == ["g44"]
    assert offered(f"holdfast --state {state}/none show i").split() == []


@pytest.fixture
def daemon(state: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`holdfast run` as a process, answering on its control socket."""
    for name, text in (("holdfast.yaml", SITE), ("rules/shop.yaml", RULE), ("policies/all.yaml", POLICY)):
        path = tmp_path / "config" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    command = [
        sys.executable,
        "-m",
        "holdfast",
        "run",
        "--config",
        str(tmp_path / "config"),
        "--state",
        str(state),
    ]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stderr=log, text=True)
    try:
        deadline = time.monotonic() + DEADLINE
        while not (state / "control.sock").exists():
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, "the daemon did not come up"
            threading.Event().wait(0.05)
        yield process
    finally:
        process.kill()
        process.wait(DEADLINE)


def test_an_alarm_is_sent_asked_about_approved_and_done(
    daemon: subprocess.Popen[str], holdfast: Any, state: Path, tmp_path: Path
) -> None:
    alarm = tmp_path / "alarm.json"
    alarm.write_text('{"data": {"level": 5, "text": "it burns"}}')
    sent = holdfast("send", str(alarm), "--source", "ops", "--json").json
    (incident,) = holdfast("incidents", "--json").json["incidents"]
    asked = holdfast("approve").out
    approved = holdfast("approve", incident["id"], "--json").json
    again = holdfast("approve", approved["question"])
    run = _until(
        lambda: holdfast("runs", "--json").json["runs"],
        lambda found: found and found[0]["state"] == "verified",
    )
    story = holdfast("show", incident["id"], "--json").json

    assert (sent["accepted"], sent["handled"]) == (1, True)
    assert incident["title"] == "shop: it burns"
    assert "mark  local: /bin/echo marked" in asked
    assert (approved["choice"], approved["kind"], approved["operator"]) == ("mark", "accepted", "ana")
    assert again.code == 5
    assert run[0]["approved_by"] == "ana"
    assert story["runs"][0]["steps"][0]["attempts"][0]["output"].strip() == "marked"
    assert {"evidence", "question", "answer", "decided", "start", "attempt", "verified"} <= {
        item["kind"] for item in story["timeline"]
    }
    assert story["decisions"][-1]["voices"][0]["policy"] == "alarm-envelope"
    assert story["evidence"][0]["event"]["data"]["text"] == "it burns"


def test_the_switch_and_the_config_are_heard_and_a_stop_is_orderly(
    daemon: subprocess.Popen[str], holdfast: Any, tmp_path: Path
) -> None:
    up = holdfast("status", "--json")
    assert holdfast("stop-all", "--reason", "drill").code == 0
    stopped = holdfast("status", "--json").json
    assert holdfast("resume").code == 0
    resumed = holdfast("status", "--json").json
    (tmp_path / "config" / "rules" / "bad.yaml").write_text("nonsense: 1\n")
    refused = holdfast("reload")
    complaining = holdfast("status")
    daemon.send_signal(signal.SIGTERM)
    code = daemon.wait(DEADLINE)
    down = holdfast("status", "--json")

    assert (up.code, up.json["up"], up.json["stored"]["commit"]) == (0, True, up.json["daemon"]["commit"])
    assert (stopped["stored"]["stopped"], resumed["stored"]["stopped"]) == (True, False)
    assert refused.code == 2
    assert "rules/bad.yaml:1:1" in refused.err
    assert "rules/bad.yaml:1:1" in complaining.out
    assert code == 0
    assert (down.code, down.json["up"]) == (4, False)


def test_a_second_daemon_on_the_same_state_is_refused(
    daemon: subprocess.Popen[str], state: Path, tmp_path: Path
) -> None:
    done = program("run", "--config", str(tmp_path / "config"), "--state", str(state))

    assert done.returncode == 1
    assert f"another holdfast daemon (process {daemon.pid}) uses" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_daemon_does_not_start_with_a_broken_config(tmp_path: Path) -> None:
    (tmp_path / "config" / "rules").mkdir(parents=True)
    (tmp_path / "config" / "holdfast.yaml").write_text("format: 1\n")
    (tmp_path / "config" / "rules" / "bad.yaml").write_text("nonsense: 1\n")
    done = program("run", "--config", str(tmp_path / "config"), "--state", str(tmp_path / "state"))

    assert done.returncode == 2
    assert "holdfast: rules/bad.yaml:1:1" in done.stderr


def _until(look: Any, enough: Any) -> Any:
    """Look until it is enough."""
    deadline = time.monotonic() + DEADLINE
    while not enough(found := look()):
        assert time.monotonic() < deadline, msgspec.json.encode(found)
        threading.Event().wait(0.05)
    return found
