"""The daemon with its engine process: no acknowledged event is lost or matched twice."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
import pytest

from holdfast.model.records import Incident, IncidentState

if TYPE_CHECKING:
    from conftest import Process

CHILD = b"holdfast.match.durable.child"
PATIENCE = 60.0

#: Each event is an incident of its own; nothing runs.
WATCH = """
rule: fault
doc: Each fault is an incident of its own.
mode: observe
when: {e: {event: lab.fault, where: {data.n: {gte: 0}}}}
incident: {type: lab, severity: error, title: "fault $e.data.n", key: [$e.id]}
clears: {after: 1h}
per: [id]
"""


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    return False


def children(pid: int) -> list[int]:
    """The engine processes of a daemon."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, IndexError):
            if entry.name.isdigit() and CHILD in (entry / "cmdline").read_bytes():
                stat = (entry / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
                if int(stat[1]) == pid and stat[0] != "Z":
                    found.append(int(entry.name))
    return found


def engine(daemon: Process) -> dict[str, Any]:
    found: dict[str, Any] = daemon.status()["engine"]
    return found


def pid_of(daemon: Process) -> int:
    assert daemon.process is not None
    return daemon.process.pid


def watched(daemon: Process, push_target: str) -> Process:
    daemon.lab(push_target, {"rules/lab.yaml": WATCH})
    assert daemon.start()
    daemon.until(lambda: engine(daemon)["mode"] == "durable", "the engine")
    return daemon


def matched(daemon: Process) -> Counter[str]:
    return Counter(one.title for one in daemon.read(_all) if one.type == "lab")


def _all(tx: Any) -> list[Incident]:
    from holdfast.store import incidents  # noqa: PLC0415 - the connection is of the caller

    return incidents.listed(tx, limit=100_000)


def trouble(daemon: Process) -> list[Incident]:
    return [one for one in daemon.read(_all) if one.type == "engine-trouble"]


class Stream:
    """Sends events one after the other until it is stopped, and remembers which were acknowledged."""

    def __init__(self, daemon: Process) -> None:
        self.url = f"http://127.0.0.1:{daemon.port}/events?source=lab"
        self.acknowledged: set[int] = set()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join()

    def _run(self) -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            for number in range(100_000):
                if self.stopped.is_set():
                    return
                event = {"id": f"n{number}", "type": "lab.fault", "data": {"n": number}}
                if client.post(self.url, json=event).status_code == 202:
                    self.acknowledged.add(number)

    def reaches(self, count: int) -> bool:
        return len(self.acknowledged) >= count


def starve(pid: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_AS, (1024 * 1024, 1024 * 1024))
    # what it has is enough for small answers: the question that needs more ends it
    os.kill(pid, 0)


STRIKES: dict[str, Callable[[int], None]] = {
    "killed": lambda pid: os.kill(pid, signal.SIGKILL),
    "stopped": lambda pid: os.kill(pid, signal.SIGSTOP),
    "starved": starve,
}


@pytest.mark.parametrize("how", STRIKES)
def test_no_acknowledged_event_is_lost_or_matched_twice_while_the_engine_is(
    daemon: Process, push_target: str, how: str, record_property: Callable[[str, object], None]
) -> None:
    watched(daemon, push_target)
    first = engine(daemon)["pid"]
    with Stream(daemon) as stream:
        daemon.until(lambda: stream.reaches(30), "events")
        STRIKES[how](first)
        if how == "starved":
            long = {"id": "long", "type": "lab.fault", "data": {"n": 999_999, "x": "y" * 100}}
            daemon.until(
                lambda: (daemon.post(long).is_success and not alive(first)) or _fed(daemon), "its death"
            )
        daemon.until(lambda: engine(daemon)["pid"] not in {0, first}, "another process")
        reached = len(stream.acknowledged)
        daemon.until(lambda: stream.reaches(reached + 30), "more events")
    daemon.until(lambda: daemon.behind() == 0, "the decisions")

    found = matched(daemon)
    wanted = Counter(f"fault {number}" for number in stream.acknowledged)
    found.pop("fault 999999", None)
    assert found == wanted
    daemon.until(lambda: [one.state for one in trouble(daemon)] == [IncidentState.CLEARED], "the all-clear")
    figures = engine(daemon)
    assert (figures["mode"], figures["differences"]) == ("durable", 0)
    assert not alive(first)
    assert len(children(pid_of(daemon))) == 1
    record_property("proof", f"engine {how}: {len(stream.acknowledged)} events acknowledged, 0 lost, 0 twice")


def _fed(daemon: Process) -> bool:
    """Give the starved process more to hold than it has, until it is gone."""
    for number in range(20):
        text = "é" * 2000
        daemon.post(
            {"id": f"w{number}-{time.monotonic_ns()}", "type": "lab.wide", "data": {"a": text, "b": text}}
        )
    return False


def test_status_shows_how_the_engine_is(daemon: Process, push_target: str) -> None:
    watched(daemon, push_target)
    daemon.send({"id": "n1", "type": "lab.fault", "data": {"n": 1}})

    found = daemon.look("status")["daemon"]["engine"]

    assert found["mode"] == "durable"
    assert found["pid"] in children(pid_of(daemon))
    assert (found["asked"], found["confirmed"], found["deaths"], found["differences"]) == (1, 1, 0, 0)


def test_a_new_config_has_a_new_process_and_the_old_one_goes(daemon: Process, push_target: str) -> None:
    watched(daemon, push_target)
    before = engine(daemon)["pid"]
    with Stream(daemon) as stream:
        daemon.until(lambda: stream.reaches(20), "events")
        daemon.write("rules/lab.yaml", WATCH.replace("gte: 0", "gt: -1"))
        daemon.control("POST", "/reload")
        reached = len(stream.acknowledged)
        daemon.until(lambda: stream.reaches(reached + 20), "more events")
    daemon.until(lambda: daemon.behind() == 0, "the decisions")

    after = engine(daemon)["pid"]
    assert after not in {0, before}
    assert children(pid_of(daemon)) == [after]
    assert matched(daemon) == Counter(f"fault {number}" for number in stream.acknowledged)
    assert trouble(daemon) == []


def test_a_config_that_is_refused_leaves_the_engine_as_it_is(daemon: Process, push_target: str) -> None:
    watched(daemon, push_target)
    before = engine(daemon)["pid"]
    daemon.write("rules/lab.yaml", "rule: [")
    daemon.control("POST", "/reload")

    assert children(pid_of(daemon)) == [before]


def test_native_starts_no_process_and_durable_comes_back(daemon: Process, push_target: str) -> None:
    daemon.lab(push_target, {"rules/lab.yaml": WATCH})
    site = (daemon.config / "holdfast.yaml").read_text(encoding="utf-8")
    daemon.write("holdfast.yaml", site + "engine: native\n")
    assert daemon.start()
    daemon.send({"id": "n1", "type": "lab.fault", "data": {"n": 1}})
    assert (engine(daemon)["mode"], children(pid_of(daemon))) == ("native", [])

    daemon.write("holdfast.yaml", site)
    daemon.control("POST", "/reload")
    daemon.send({"id": "n2", "type": "lab.fault", "data": {"n": 2}})
    assert (engine(daemon)["mode"], len(children(pid_of(daemon)))) == ("durable", 1)

    daemon.write("holdfast.yaml", site + "engine: native\n")
    daemon.control("POST", "/reload")
    daemon.send({"id": "n3", "type": "lab.fault", "data": {"n": 3}})
    assert (engine(daemon)["mode"], children(pid_of(daemon))) == ("native", [])
    assert matched(daemon) == Counter(["fault 1", "fault 2", "fault 3"])
    assert trouble(daemon) == []


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_after_the_daemon_no_engine_process_is_left(daemon: Process, push_target: str, how: str) -> None:
    watched(daemon, push_target)
    child = engine(daemon)["pid"]
    if how == "stop":
        assert daemon.stop() == 0
        assert not alive(child), "a stop waits for it"
    else:
        daemon.kill()

    daemon.until(lambda: not alive(child), "its end")
    assert trouble(daemon) == []


def test_a_signal_to_the_whole_terminal_is_a_clean_stop_without_an_incident(
    daemon: Process, push_target: str
) -> None:
    watched(daemon, push_target)
    child = engine(daemon)["pid"]
    os.killpg(pid_of(daemon), signal.SIGTERM)

    assert daemon.wait_dead() == 0
    assert not alive(child)
    assert trouble(daemon) == []


def test_a_trouble_of_the_last_life_is_cleared_by_a_start(daemon: Process, push_target: str) -> None:
    watched(daemon, push_target)
    os.kill(engine(daemon)["pid"], signal.SIGKILL)
    daemon.send({"id": "n1", "type": "lab.fault", "data": {"n": 1}})
    daemon.until(lambda: trouble(daemon), "the incident")
    daemon.kill()
    assert daemon.start()

    daemon.until(lambda: [one.state for one in trouble(daemon)] == [IncidentState.CLEARED], "the all-clear")


@pytest.fixture
def without_durable_rules(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Everything that is installed but durable_rules, as where it could not be built.

    A directory of links to what the venv holds, which stands for it: `-S` leaves the venv's own out.
    """
    [site] = [Path(place) for place in sys.path if (Path(place) / "durable").is_dir()]
    there = tmp_path / "site"
    there.mkdir()
    for entry in site.iterdir():
        if not entry.name.startswith("durable"):
            (there / entry.name).symlink_to(entry)
    package = Path(__file__).parents[2] / "daemon"
    yield {"PYTHONPATH": f"{there}:{package}"}
    shutil.rmtree(there)


def test_without_durable_rules_the_daemon_matches_natively_and_says_so(
    daemon: Process, push_target: str, without_durable_rules: dict[str, str]
) -> None:
    daemon.lab(push_target, {"rules/lab.yaml": WATCH})
    daemon.env = without_durable_rules
    really = daemon.argv
    daemon.argv = lambda *words: [really()[0], "-S", *really(*words)[1:]]  # type: ignore[method-assign]
    assert daemon.start()
    daemon.send({"id": "n1", "type": "lab.fault", "data": {"n": 1}})

    figures = engine(daemon)
    assert (figures["mode"], figures["pid"], figures["started"]) == ("native", 0, 0)
    assert "durable-rules is not installed" in figures["why"]
    assert children(pid_of(daemon)) == []
    assert matched(daemon) == Counter(["fault 1"])
    [found] = trouble(daemon)
    assert (found.state, found.severity) == (IncidentState.OPEN, "error")
    assert any("built from source" in line["why"] for line in daemon.logged("engine.news"))
