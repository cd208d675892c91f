#!/usr/bin/env python3
"""One command for every figure: ours, and those of the peers that are installed, in the same run.

`make bench`, `make bench ARGS=--quick`, or bench/main.py [--quick] [--runs N] [--only W1] with the project's
Python. Contestants take turns in every round, one at a time, so that whatever else the machine does meets all
of them. Progress goes to stderr, the table to stdout, every single run to a file of JSON lines.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from figures import Row, number, table
from plan import ALERTMANAGER, ANSIBLE, CONTESTANTS, JOBS, OURS, Job, Show

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
#: A run that takes longer has failed.
PATIENCE = 1200.0


@dataclass(slots=True)
class Bench:
    """Where things are, and what came of the runs."""

    peers: Path
    scratch: Path
    out: Path
    quick: bool
    rounds: int
    runs: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def missing(self, tool: str, contestant: str) -> str | None:
        """Why this contestant cannot run here, or None."""
        if tool == "drive":
            return None
        if not (self.peers / "run.py").exists():
            return f"the harness of the peers is not at {self.peers} (--peers DIR)"
        if not self.python.exists():
            return f"{self.python} is missing: run {self.peers / 'setup.sh'}"
        if contestant == ALERTMANAGER and shutil.which("prometheus-alertmanager") is None:
            return "prometheus-alertmanager is not installed"
        if contestant == ANSIBLE and not self.python.with_name("ansible-rulebook").exists():
            return f"ansible-rulebook is not in {self.python.parent}"
        return None

    @property
    def python(self) -> Path:
        """The harness's own Python, which has what its adapters need."""
        return self.scratch / "venv" / "bin" / "python"

    def argv(self, job: Job, words: Sequence[str]) -> list[str]:
        """The command line of one run."""
        more = [*(job.quick or ())] if self.quick else []
        if job.tool == "drive":
            return [
                sys.executable,
                str(HERE / "drive.py"),
                *words,
                *more,
                *(["--quick"] if self.quick else []),
            ]
        adapters = ["--repeat", "1", "--adapters", str(HERE)]
        return [str(self.python), str(self.peers / "run.py"), *words, *more, *adapters]

    def write(self, line: dict[str, Any]) -> None:
        """Add a line to the file of results."""
        with self.out.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")


def measure(bench: Bench, jobs: Sequence[Job]) -> None:
    """Every job, round by round, contestant by contestant."""
    for place, job in enumerate(jobs, 1):
        if bench.quick and job.quick is None:
            bench.left_out.append(f"{job.name}: not part of a quick run")
            continue
        able = {}
        for contestant, words in job.commands.items():
            why = bench.missing(job.tool, contestant)
            if why is None:
                able[contestant] = words
            else:
                bench.left_out.append(f"{job.name}, {contestant}: {why}")
        for turn in range(1, (job.rounds or bench.rounds) + 1):
            for contestant, words in able.items():
                tell(f"[{place}/{len(jobs)}] {job.name}, {contestant}, round {turn} ... ", end="")
                run = one(bench.argv(job, words))
                run = {"job": job.name, "contestant": contestant, "round": turn, **run}
                bench.runs.append(run)
                bench.write(run)
                tell(summary(job, run))


def one(argv: Sequence[str]) -> dict[str, Any]:
    """Run a command; its last line of output as the result, or the error."""
    begun = time.monotonic()
    result: dict[str, Any] = {}
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            argv, check=False, capture_output=True, text=True, timeout=PATIENCE, env=environment
        )
        result = msgspec.json.decode(done.stdout.strip().splitlines()[-1])
        error = result.pop("error", None)
        if done.returncode:
            error = f"exit code {done.returncode}"
    except subprocess.TimeoutExpired:
        error = f"not done after {PATIENCE:g} s"
    except (IndexError, msgspec.MsgspecError):
        error = (done.stderr.strip() or "it said nothing").splitlines()[-1][-300:]
    line = {"command": list(argv), "seconds": round(time.monotonic() - begun, 2), "result": result}
    return line if error is None else {**line, "error": error}


def rows(jobs: Sequence[Job], runs: Sequence[dict[str, Any]]) -> Iterator[Row]:
    """The rows of the table: jobs that show the same figure of other contestants share one."""
    figures: dict[tuple[str, str], Row] = {}
    for job in jobs:
        for show in job.rows:
            key = show.title, show.unit
            row = figures.setdefault(
                key, Row(show.title, show.unit, {}, show.aim, higher_is_better=show.higher_is_better)
            )
            for run in runs:
                if run["job"] != job.name:
                    continue
                value = None if "error" in run else total(show, run["result"])
                if value is not None:
                    row.figures.setdefault(run["contestant"], []).append(value)
                else:
                    row.failed.add(run["contestant"])
    # a row of which nobody was asked anything is named under "Not run"
    yield from (row for row in figures.values() if row.figures or row.failed)


def total(show: Show, result: dict[str, Any]) -> float | None:
    """The figure of a row; None where the result does not have it."""
    values = [result.get(key) for key in show.keys]
    return None if None in values else float(sum(value for value in values if value is not None))


def summary(job: Job, run: dict[str, Any]) -> str:
    """One run in a line."""
    if "error" in run:
        return f"FAILED: {run['error']}"
    shown = ", ".join(f"{number(total(show, run['result']))} {show.unit}".strip() for show in job.rows)
    return f"{shown} ({run['seconds']:g} s)"


def report(bench: Bench, jobs: Sequence[Job]) -> str:
    """The table, then what failed and what was left out."""
    parts = [table([*rows(jobs, bench.runs)], CONTESTANTS, OURS, ALERTMANAGER)]
    parts += [
        f"Medians. {OURS} : {ALERTMANAGER} above 1 means that {OURS} does better; spread is of {OURS}'s runs."
    ]
    failed = [
        f"- {run['job']}, {run['contestant']}, round {run['round']}: {run['error']}"
        for run in bench.runs
        if "error" in run
    ]
    if failed:
        parts += ["Failed:\n" + "\n".join(failed)]
    if bench.left_out:
        parts += ["Not run:\n" + "\n".join(f"- {line}" for line in bench.left_out)]
    return "\n\n".join(parts)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
        check=False, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    return {
        "machine": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "commit": commit,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def tell(text: str, end: str = "\n") -> None:
    """Progress."""
    sys.stderr.write(text + end)
    sys.stderr.flush()


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, one round: about two minutes")
    parser.add_argument("--runs", type=int, help="rounds of the short ones (default 3, quick 1)")
    parser.add_argument("--only", action="append", metavar="TEXT", help="jobs whose name holds TEXT")
    parser.add_argument("--peers", type=Path, default=ROOT.parent / "shared" / "peers", help="the harness")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench", help="where results go")
    return parser.parse_args()


def main() -> int:
    """Measure, print; 1 when a run of ours failed."""
    args = arguments()
    scratch = Path(os.environ.get("PEERS_SCRATCH", Path(tempfile.gettempdir()) / "holdfast-peers"))
    args.out.mkdir(parents=True, exist_ok=True)
    part = "-part" if args.quick or args.only else ""
    out = args.out / (time.strftime("%Y%m%d-%H%M%S", time.gmtime()) + f"{part}.jsonl")
    bench = Bench(args.peers, scratch, out, args.quick, args.runs or (1 if args.quick else 3))
    jobs = [job for job in JOBS if not args.only or any(text in job.name for text in args.only)]
    about = machine()
    bench.write(about)
    tell(" ".join(f"{key}={value}" for key, value in about.items()))
    measure(bench, jobs)
    sys.stdout.write(report(bench, jobs) + "\n")
    tell(f"Every run: {out}")
    return int(any("error" in run and run["contestant"] == OURS for run in bench.runs))


if __name__ == "__main__":
    sys.exit(main())
