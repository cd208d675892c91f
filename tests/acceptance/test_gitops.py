"""The config changes while the daemon runs: by git push, by editing files, by a signal."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from holdfast.errors import Problem
from holdfast.model.records import RunState

if TYPE_CHECKING:
    from conftest import Process

THREE = """
rule: thrice
doc: Three times in a row.
mode: observe
when: {e: {event: lab.beat, where: {data.ok: false}, streak: 3}}
incident: {type: lab, severity: error, title: "thrice", key: [subject]}
clears: {event: lab.beat, where: {data.ok: true}}
per: [subject]
"""

MARK = """
test: a-fault-leaves-a-mark
doc: Each fault runs its command once, without a word.
script:
  - event: {source: lab, type: lab.fault, data: {n: 1}}
  - expect:
      fired: [fault]
      incidents: [{type: lab, title: fault 1}]
      runs: [{do: leave-a-mark, at: [local], verdict: allow, state: verified}]
"""

GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "founder",
    "GIT_AUTHOR_EMAIL": "founder@lab.test",
    "GIT_COMMITTER_NAME": "founder",
    "GIT_COMMITTER_EMAIL": "founder@lab.test",
}


class Clone:
    """The operator's clone of the config repository that the daemon reads."""

    def __init__(self, directory: Path, server: Path) -> None:
        self.directory = directory
        self.directory.mkdir()
        self.git("init", "-q", "-b", "main")
        self.git("remote", "add", "origin", str(server))

    def git(self, *words: str) -> str:
        done = self._run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def commit(self) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "a change")
        return self.git("rev-parse", "HEAD").strip()

    def push(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self._run("push", *(words or ("origin", "main")))

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *words],
            cwd=self.directory,
            env={**os.environ, **GIT},
            check=False,
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )


def fault(number: int) -> dict[str, object]:
    return {"id": f"n{number}", "type": "lab.fault", "data": {"n": number}}


def beat(number: int, *, ok: bool = False) -> dict[str, object]:
    return {"id": f"b{number}", "type": "lab.beat", "subject": "heart", "data": {"ok": ok}}


@pytest.fixture
def clone(daemon: Process, push_target: str, tmp_path: Path) -> Clone:
    """A server made by `holdfast init --server`, with a first commit, and the daemon on it."""
    server = tmp_path / "config.git"
    made = daemon.run("init", "--server", str(server))
    assert made.returncode == 0, made.stderr
    daemon.secret("push-url", push_target)
    clone = Clone(tmp_path / "clone", server)
    for name, text in daemon.lab_files().items():
        clone.write(name, daemon.filled(text))
    daemon.config = server
    return clone


def pushed(clone: Clone) -> str:
    commit = clone.commit()
    done = clone.push()
    assert done.returncode == 0, done.stderr
    return commit


def decides_by(daemon: Process, commit: str) -> Callable[[], bool]:
    return lambda: daemon.status()["commit"] == commit


def remote_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What the hook said, without git's own words."""
    lines = [line.removeprefix("remote: ").rstrip() for line in done.stderr.splitlines()]
    return [line for line in lines if line.startswith(("rules/", "policies/", "tests/", "holdfast"))]


def test_a_server_that_nothing_was_pushed_to_says_how_to_push(clone: Clone, daemon: Process) -> None:
    refused = daemon.run("run")

    assert refused.returncode == 2
    assert "nothing has been pushed to main yet" in refused.stderr
    assert f"git push {daemon.config} main" in refused.stderr


def test_a_push_takes_over_and_every_line_carries_the_commit_that_led_to_it(
    clone: Clone, daemon: Process, record_property: Callable[[str, object], None]
) -> None:
    first = pushed(clone)
    assert daemon.start()
    daemon.send(fault(1))
    clone.write("rules/lab.yaml", daemon.lab_files()["rules/lab.yaml"].replace('"fault', '"new fault'))
    second = pushed(clone)
    began = time.monotonic()
    daemon.until(decides_by(daemon, second), "the pushed commit to take over")
    record_property("seconds from push to swap", round(time.monotonic() - began, 3))
    daemon.send(fault(2))
    daemon.until(lambda: daemon.marks()[1] and daemon.marks()[2], "both effects")
    daemon.until(lambda: all(run.state.over for run in daemon.runs()), "both runs to be over")
    new, old = daemon.incidents()
    lines = {item.seq: item.commit for item in (*daemon.story(old.id), *daemon.story(new.id))}
    swap = min(seq for seq, commit in lines.items() if commit == second)

    assert (old.title, new.title) == ("fault 1", "new fault 2")
    assert daemon.story(old.id)[0].commit == first
    assert {item.commit for item in daemon.story(new.id)} == {second}
    assert set(lines.values()) == {first, second}
    assert all(commit == (second if seq >= swap else first) for seq, commit in lines.items())


def test_a_bad_push_is_refused_with_the_lines_of_check_and_the_old_commit_decides(
    clone: Clone, daemon: Process
) -> None:
    first = pushed(clone)
    assert daemon.start()
    files = daemon.lab_files()
    clone.write("rules/lab.yaml", files["rules/lab.yaml"].replace("do: leave-a-mark", "do: leave-a-mrk"))
    clone.write("rules/actions.yaml", daemon.filled(files["rules/actions.yaml"]).replace("undo: none\n", ""))
    clone.write("policies/lab.yaml", files["policies/lab.yaml"].replace("max: 100000", "max: many"))
    clone.commit()
    refused = clone.push()
    checked = daemon.run("check", str(clone.directory))
    daemon.send(fault(1))
    daemon.until(lambda: daemon.marks()[1], "the effect under the old rule")
    problems = checked.stdout.splitlines()[:-1]

    assert refused.returncode != 0
    assert checked.returncode == 2
    assert len(problems) >= 3
    assert remote_lines(refused)[:-1] == problems
    assert remote_lines(refused)[-1] == f"holdfast: refused, {len(problems)} problems; what runs stays"
    assert daemon.status()["commit"] == first
    assert daemon.status()["config_problem"] is None
    assert {item.commit for item in daemon.story(daemon.incidents()[0].id)} == {first}


def test_a_push_that_fails_its_own_test_is_refused_and_one_that_passes_is_taken(
    clone: Clone, daemon: Process
) -> None:
    clone.write("tests/lab.yaml", MARK)
    first = pushed(clone)
    assert daemon.start()
    rule = daemon.lab_files()["rules/lab.yaml"]
    clone.write("rules/lab.yaml", rule.replace("mode: auto", "mode: suggest"))
    clone.commit()
    refused = clone.push()
    tested = daemon.run("test", str(clone.directory), "--json")
    daemon.send(fault(1))
    daemon.until(lambda: daemon.marks()[1], "the effect under the old rule")
    clone.write("tests/lab.yaml", MARK.replace("verdict: allow, state: verified", "verdict: human"))
    second = pushed(clone)
    daemon.until(decides_by(daemon, second), "the pushed commit to take over")
    daemon.send(fault(2))
    [report] = msgspec.json.decode(tested.stdout)["tests"]
    problems = sorted(str(Problem(**problem)) for problem in report["problems"])

    assert refused.returncode != 0
    assert tested.returncode == 1
    assert problems == [
        f"tests/lab.yaml:6:5: script[1].expect.runs[0].{wrong}, in test a-fault-leaves-a-mark"
        for wrong in (
            "state: it is `asking` (expected `verified`)",
            "verdict: it is `human` (expected `allow`)",
        )
    ]
    assert remote_lines(refused)[:-1] == problems
    assert remote_lines(refused)[-1] == f"holdfast: refused, {len(problems)} problems; what runs stays"
    assert {item.commit for item in daemon.story(daemon.incidents()[-1].id)} == {first}
    assert [run.state for run in daemon.runs()] == [RunState.ASKING, RunState.VERIFIED]
    assert daemon.marks() == {1: 1}


def test_a_branch_that_is_not_main_and_a_deleted_main_change_nothing(clone: Clone, daemon: Process) -> None:
    first = pushed(clone)
    assert daemon.start()
    clone.write("rules/lab.yaml", "this: is no rule\n")
    clone.commit()
    side = clone.push("origin", "HEAD:refs/heads/experiment")
    deleted = clone.push("origin", ":main")
    daemon.send(fault(1))

    assert side.returncode == 0, side.stderr
    assert deleted.returncode != 0
    assert daemon.status()["commit"] == first


def test_of_many_pushes_in_a_row_the_last_one_decides(clone: Clone, daemon: Process) -> None:
    pushed(clone)
    assert daemon.start()
    assert daemon.process is not None
    rule = daemon.lab_files()["rules/lab.yaml"]
    last = ""
    for number in range(5):
        clone.write("rules/lab.yaml", rule.replace("doc: Each", f"doc: Version {number}. Each"))
        last = pushed(clone)
        daemon.process.send_signal(signal.SIGHUP)
    daemon.until(decides_by(daemon, last), "the last commit to take over")
    daemon.control("POST", "/reload")

    assert daemon.status()["commit"] == last


@pytest.fixture
def edited(daemon: Process, push_target: str) -> Process:
    """A daemon on a plain directory."""
    daemon.lab(push_target)
    assert daemon.start()
    return daemon


def test_an_edited_file_takes_over(edited: Process) -> None:
    before = edited.status()["commit"]
    edited.write("rules/lab.yaml", edited.lab_files()["rules/lab.yaml"].replace('"fault', '"edited fault'))
    edited.until(lambda: edited.status()["commit"] != before, "the edit to take over")
    edited.send(fault(1))

    assert edited.incidents()[0].title == "edited fault 1"


def test_a_broken_file_leaves_the_last_good_config_and_is_said_everywhere(edited: Process) -> None:
    good = edited.lab_files()["rules/lab.yaml"]
    before = edited.status()["commit"]
    edited.write("rules/lab.yaml", good.replace("per: [id]", "per: [id"))
    edited.until(lambda: edited.status()["config_problem"], "the problem to be known")
    told = edited.look("status")["daemon"]
    words = edited.run("status").stdout
    ready, alive = edited.get("/readyz"), edited.get("/healthz")
    reload = edited.run("reload")
    edited.send(fault(1))
    edited.until(lambda: edited.marks()[1], "the effect under the last good config")
    edited.write("rules/lab.yaml", good)
    edited.until(lambda: edited.status()["config_problem"] is None, "the repair to be seen")

    assert told["commit"] == before
    assert told["config_problem"].startswith("rules/lab.yaml:")
    assert told["config_problem"].splitlines()[0] in words
    assert (ready.status_code, alive.status_code) == (503, 200)
    assert "refused" in ready.json()["checks"]["config"]
    assert reload.returncode == 2
    assert told["config_problem"].splitlines()[0] in reload.stderr
    assert edited.get("/readyz").status_code == 200
    assert edited.status()["commit"] == before


def test_an_edit_that_fails_a_test_leaves_the_last_good_config_and_is_said(edited: Process) -> None:
    edited.write("tests/lab.yaml", MARK)
    before = edited.status()["commit"]
    edited.until(lambda: edited.status()["commit"] != before, "the test to be taken")
    good = edited.status()["commit"]
    edited.write("rules/lab.yaml", edited.lab_files()["rules/lab.yaml"].replace('"fault', '"a fault'))
    edited.until(lambda: edited.status()["config_problem"], "the problem to be known")
    problem = edited.status()["config_problem"]
    reload = edited.run("reload")
    edited.send(fault(1))
    edited.write("tests/lab.yaml", MARK.replace("title: fault 1", "title: a fault 1"))
    edited.until(lambda: edited.status()["config_problem"] is None, "the repair to be seen")
    edited.send(fault(2))

    assert problem.startswith("tests/lab.yaml:6:5: script[1].expect.incidents[0].title: it is `a fault 1`")
    assert reload.returncode == 2
    assert problem in reload.stderr
    assert [incident.title for incident in edited.incidents()] == ["a fault 2", "fault 1"]
    assert edited.status()["commit"] != good
    assert edited.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("test", "problem"),
    [
        (
            MARK.replace("fault 1", "fault 2"),
            "tests/lab.yaml:6:5: script[1].expect.incidents[0].title: it is",
        ),
        ("test: [", "tests/lab.yaml:1:8: a value is missing here"),
    ],
)
def test_a_start_waits_for_no_test_and_says_what_is_wrong_with_it(
    daemon: Process, push_target: str, test: str, problem: str
) -> None:
    """At a start there is nothing else that could decide."""
    daemon.lab(push_target, {"tests/lab.yaml": test})
    assert daemon.run("test").returncode in {1, 2}
    assert daemon.start()
    daemon.send(fault(1))
    daemon.until(lambda: daemon.status()["config_problem"], "the problem to be known")
    told = daemon.status()["config_problem"]
    reload = daemon.run("reload")
    daemon.send(fault(2))
    commit = daemon.status()["commit"]
    daemon.write("tests/lab.yaml", MARK)
    daemon.until(lambda: daemon.status()["config_problem"] is None, "the repair to be seen")

    assert told.startswith(problem)
    assert reload.returncode == 2
    assert [incident.title for incident in daemon.incidents()] == ["fault 2", "fault 1"]
    assert {item.commit for one in daemon.incidents() for item in daemon.story(one.id)} == {commit}


def test_a_start_whose_tests_pass_has_nothing_to_say(daemon: Process, push_target: str) -> None:
    daemon.lab(push_target, {"tests/lab.yaml": MARK})
    assert daemon.start()
    before = daemon.status()["commit"]
    reload = daemon.look("reload")

    assert (reload["commit"], reload["changed"]) == (before, False)
    assert daemon.status()["config_problem"] is None
    assert daemon.logged("config.swapped") == []


def test_a_deleted_file_takes_its_rule_with_it(edited: Process) -> None:
    before = edited.status()["commit"]
    (edited.config / "rules/lab.yaml").unlink()
    edited.until(lambda: edited.status()["commit"] != before, "the deletion to take over")
    edited.send(fault(1))

    assert edited.status()["rules"] == 0
    assert edited.incidents() == []
    assert not edited.marks()


def test_a_hang_up_loads_what_no_watcher_sees(daemon: Process, push_target: str) -> None:
    """A symbolic link that points elsewhere is no change of any file."""
    daemon.lab(push_target)
    first = daemon.config.rename(daemon.config.with_name("first"))
    second = Path(shutil.copytree(first, first.with_name("second")))
    rule = second / "rules/lab.yaml"
    rule.write_text(rule.read_text().replace('"fault', '"other fault'))
    daemon.config.symlink_to(first)
    assert daemon.start()
    assert daemon.process is not None
    before = daemon.status()["commit"]
    fresh = daemon.config.with_name("fresh")
    fresh.symlink_to(second)
    fresh.replace(daemon.config)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.until(lambda: daemon.status()["commit"] != before, "the other config to take over")
    daemon.send(fault(1))

    assert daemon.incidents()[0].title == "other fault 1"


def edit(daemon: Process, old: str, new: str) -> None:
    before = daemon.status()["commit"]
    assert old in THREE
    daemon.write("rules/three.yaml", THREE.replace(old, new))
    daemon.until(lambda: daemon.status()["commit"] != before, "the edit to take over")


@pytest.fixture
def half_done(daemon: Process, push_target: str) -> Process:
    """A streak that has come to two of three."""
    daemon.lab(push_target, {"rules/three.yaml": THREE})
    assert daemon.start()
    for number in (1, 2):
        daemon.send(beat(number))
    assert daemon.incidents() == []
    return daemon


def test_a_rule_of_which_only_the_words_change_keeps_its_half_done_streak(half_done: Process) -> None:
    edit(half_done, "doc: Three times in a row.", "doc: Three times, one after the other.")
    half_done.send(beat(3))

    assert [incident.title for incident in half_done.incidents()] == ["thrice"]


@pytest.mark.parametrize(
    ("old", "new"),
    [("streak: 3", "streak: 4"), ("where: {data.ok: false}", "where: {data.ok: {ne: true}}")],
)
def test_a_rule_of_which_the_condition_changes_begins_again(half_done: Process, old: str, new: str) -> None:
    edit(half_done, old, new)
    for number in (3, 4):
        half_done.send(beat(number))
    half_way = half_done.incidents()
    for number in (5, 6):
        half_done.send(beat(number))

    assert half_way == []
    assert [incident.title for incident in half_done.incidents()] == ["thrice"]


def test_a_half_done_streak_survives_a_kill(half_done: Process) -> None:
    half_done.kill()
    assert half_done.start()
    half_done.send(beat(3))

    assert [incident.title for incident in half_done.incidents()] == ["thrice"]
