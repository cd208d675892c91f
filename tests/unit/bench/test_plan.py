from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import plan
import pytest
from budget import budget, read
from compare import compared
from drive import KEYS, WORKLOADS, hostile, stream
from main import Bench, one, report, rows
from plan import ALERTMANAGER, JOBS, OURS, Job, Show
from plot import draw, series
from publish import PAGE, figures, filled

BENCH = Path(__file__).parents[3] / "bench"
JOB = Job("a job", "harness", {OURS: ("peer_holdfast", "W1")}, [Show("lost", "", ("one", "two"))])


def bench(root: Path) -> Bench:
    return Bench(root / "peers", root / "scratch", root / "out.jsonl", quick=False, rounds=1)


def ran(**what: Any) -> dict[str, Any]:
    return {"job": "a job", "contestant": OURS, "round": 1, "seconds": 1.0, **what}


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_every_job_names_something_that_exists(job: Job) -> None:
    for contestant, words in job.commands.items():
        assert contestant in plan.CONTESTANTS
        assert words[0] in WORKLOADS if job.tool == "drive" else True
        assert (BENCH / f"{words[0]}.py").exists() or not words[0].startswith("peer_")


def test_no_two_jobs_share_a_name() -> None:
    names = [job.name for job in JOBS]

    assert sorted(set(names)) == sorted(names)


def test_what_cannot_run_is_said_with_its_reason(tmp_path: Path) -> None:
    here = bench(tmp_path)

    assert "not at" in (here.missing("harness", OURS) or "")
    assert here.missing("drive", OURS) is None

    (tmp_path / "peers").mkdir()
    (tmp_path / "peers" / "run.py").touch()

    assert "setup.sh" in (here.missing("harness", ALERTMANAGER) or "")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("print('{\"eps\": 1}'); raise SystemExit(3)", "exit code 3"),
        ('print(\'{"error": "not ready"}\')', "not ready"),
        ("raise RuntimeError('the port is taken')", "RuntimeError: the port is taken"),
        ("pass", "it said nothing"),
    ],
)
def test_a_run_that_fails_says_why(code: str, error: str) -> None:
    assert one([sys.executable, "-c", code])["error"] == error


def test_a_run_that_succeeds_gives_the_last_line_of_its_output() -> None:
    run = one([sys.executable, "-c", "print('noise'); print('{\"eps\": 2.5}')"])

    assert run["result"] == {"eps": 2.5}
    assert "error" not in run


def test_a_row_adds_its_keys_up_and_shows_a_failed_run_as_failed(tmp_path: Path) -> None:
    (row,) = rows([JOB], [ran(result={"one": 1, "two": 2})])
    here = bench(tmp_path)
    here.runs = [ran(result={}, error="it broke")]
    here.left_out = ["another job: no peers"]

    text = report(here, [JOB])

    assert row.figures == {OURS: [3.0]}
    assert "failed" in text.splitlines()[2]
    assert f"a job, {OURS}, round 1: it broke" in text
    assert "another job: no peers" in text


def test_the_stream_matches_as_often_as_that_of_the_harness() -> None:
    events = stream(1000, 10)
    matching = [event["id"] for event in events if event["type"].startswith("alarm_") and event["value"] > 90]

    assert matching == list(range(37, 1000, 100))
    assert len({event["id"] for event in events}) == 1000


def test_a_hundred_thousand_hostile_keys_are_all_different() -> None:
    hosts = {event["host"] for event in hostile(KEYS)}

    assert len(hosts) == KEYS
    assert {event["host"] for event in hostile(3, KEYS)} <= hosts


def test_the_plot_has_a_point_for_each_median() -> None:
    lines = [
        msgspec.json.encode({"job": f"{count} rules, of one type", "result": {"cpu_us": cost}})
        for count, cost in [(100, 300.0), (10, 30.0), (10, 50.0), (10, 40.0)]
    ]
    measured = series([b'{"machine": "x86_64"}', *lines])

    assert measured == {"of one type": [(10, 40.0), (100, 300.0)]}
    assert draw(measured).count("<circle") == 2


def test_a_plot_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="make bench"):
        draw({})


def test_the_budget_adds_up_parts_as_often_as_an_event_needs_them() -> None:
    def part(name: str, seconds: float, events: int) -> dict[str, Any]:
        info = {"room": "room", "what": name, "events": events}
        return {"name": name, "stats": {"min": seconds, "median": 2 * seconds}, "extra_info": info}

    measured = [part("test_append[8]", 80e-6, 8), part("test_local_attempt", 9e-3, 1)]
    costs = read(msgspec.json.encode({"benchmarks": measured}))
    last, missing = [line for line in budget(costs).splitlines() if line][-2:]

    assert costs["test_append[8]"].least == pytest.approx(10)
    assert [cell.strip() for cell in last.split("|")] == ["", "together", "", "100", "100%", ""]
    assert "test_door[1]" in missing


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    page = "a\n<!-- x -->\nold\n<!-- /x -->\nb\n"

    assert filled(page, "x", r"new \1") == "a\n<!-- x -->\n\nnew \\1\n\n<!-- /x -->\nb\n"
    assert filled(filled(page, "x", "one"), "x", "two") == filled(page, "x", "two")
    with pytest.raises(ValueError, match="<!-- y -->"):
        filled(page, "y", "new")


def test_the_page_has_a_place_for_the_figures_and_for_the_budget() -> None:
    page = PAGE.read_text()

    assert {filled(page, name, "a table") != page for name in ("figures", "budget")} == {True}


def test_the_published_table_has_the_rows_of_the_jobs_that_ran() -> None:
    job = JOBS[0]
    result = dict.fromkeys((key for show in job.rows for key in show.keys), 1)
    run = {"job": job.name, "contestant": OURS, "round": 1, "seconds": 1.0, "result": result}

    text = figures([b'{"cpus": 2}', msgspec.json.encode(run)])

    assert text.startswith("Measured on: cpus 2.")
    assert sum(job.name in line for line in text.splitlines()) == len(job.rows)
    assert JOBS[-1].rows[0].title not in text


def test_whole_runs_are_compared_by_their_medians() -> None:
    job = JOBS[0]

    def runs(*speeds: float) -> list[dict[str, Any]]:
        about = {"job": job.name, "contestant": OURS, "round": 1, "seconds": 1.0}
        return [{**about, "result": {"eps": speed}} for speed in speeds]

    _, _, line = compared({"first": runs(90, 100, 500), "second": runs(110, 110)}).splitlines()

    assert [cell.strip() for cell in line.split("|")][2:6] == ["events/s", "100", "110", "10%"]
