"""What `make bench` runs: jobs as data, and the rows of the table that each of them fills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

OURS = "Holdfast"
LIMITED = "limits on"
ALERTMANAGER = "Alertmanager"
ANSIBLE = "ansible-rulebook"
CONTESTANTS = (OURS, LIMITED, ALERTMANAGER, ANSIBLE)

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Show:
    """One row: the sum of these keys of a result."""

    title: str
    unit: str
    keys: Words
    aim: str = ""
    higher_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement of some contestants. `tool` is `harness` (run.py of the peers) or `drive` (our own).

    `rounds` of None are as many as the command line says. `quick` are more words for a quick run, None leaves
    the job out of it.
    """

    name: str
    tool: str
    commands: Mapping[str, Words]
    rows: Sequence[Show]
    rounds: int | None = None
    quick: Words | None = ()


def _w1(rules: int, connections: int, aim: str) -> Job:
    more = "" if connections == 8 else f"_{connections}"
    work = ("W1", "--R", str(rules))
    commands = {OURS: (f"peer_holdfast{more}", *work)}
    commands[ALERTMANAGER] = ("alertmanager" if not more else f"peer_alertmanager{more}", *work)
    if not more:
        commands[ANSIBLE] = ("ansible", *work)
    name = f"W1 R={rules}, {connections} connections"
    rows = [
        Show(f"{name}: to the last action", "events/s", ("eps",), aim, higher_is_better=True),
        Show(f"{name}: missing or extra actions", "", ("missing", "extra"), "0"),
    ]
    if rules == 10 and not more:
        rows += [Show(f"{name}: CPU", "s", ("cpu_s",)), Show(f"{name}: peak memory", "MB", ("peak_rss",))]
    return Job(name, "harness", commands, rows, quick=("--n", "4000") if rules == 10 else None)


def _w2() -> list[Job]:
    shown = (("p50", 5), ("p99", 10))
    return [
        Job(
            "W2",
            "harness",
            {
                OURS: ("peer_holdfast", "W2", "--count", "200"),
                ALERTMANAGER: ("alertmanager", "W2", "--count", "200"),
            },
            [Show(f"W2 event to local action, {key}", "ms", (key,), f"<= {aim}") for key, aim in shown],
            quick=("--count", "30"),
        ),
        Job(
            "W2 of ansible-rulebook: one event in 4 s",
            "harness",
            {ANSIBLE: ("ansible", "W2", "--count", "10", "--interval", "4")},
            [Show(f"W2 event to local action, {key}", "ms", (key,)) for key, _ in shown],
            rounds=1,
            quick=None,
        ),
        Job(
            "W2 over SSH",
            "harness",
            {OURS: ("peer_holdfast_ssh", "W2", "--count", "200")},
            [
                Show("W2 event to action over warm SSH, p50", "ms", ("p50",), "<= 12"),
                Show("W2 event to action over warm SSH, p99", "ms", ("p99",)),
            ],
            quick=("--count", "30"),
        ),
    ]


def _other_peers() -> list[Job]:
    return [
        Job(
            "W3",
            "harness",
            {OURS: ("peer_holdfast", "W3"), ANSIBLE: ("ansible", "W3")},
            [
                Show("W3 three of one host in 60 s", "events/s", ("eps",), higher_is_better=True),
                Show(
                    "W3 hosts that fired as often as they should",
                    "of 51",
                    ("ok_hosts",),
                    "51",
                    higher_is_better=True,
                ),
                Show("W3 fires that should not be", "", ("false_fires",), "0"),
            ],
            quick=None,
        ),
        Job(
            "W4",
            "harness",
            {
                OURS: ("peer_holdfast", "W4", "--R", "100"),
                ALERTMANAGER: ("alertmanager", "W4", "--R", "100"),
                ANSIBLE: ("ansible", "W4", "--R", "100"),
            },
            [
                Show("W4 start to first action, 100 rules", "s", ("start_s",), "<= 1.5"),
                Show("W4 idle PSS of all processes", "MB", ("idle_pss",), "<= 150"),
                Show("W4 idle CPU, in ticks", "%", ("idle_cpu_pct",), "<= 1"),
            ],
        ),
        Job(
            "W5",
            "harness",
            {OURS: ("peer_holdfast", "W5"), ALERTMANAGER: ("alertmanager", "W5"), ANSIBLE: ("ansible", "W5")},
            [
                Show("W5 kill -9: acknowledged and lost", "", ("lost_acked", "lost_after"), "0"),
                Show("W5 kill -9: acted on twice", "", ("twice_acked", "twice_retried"), "0"),
            ],
            quick=("--n", "500"),
        ),
        Job(
            "W5b",
            "harness",
            {OURS: ("peer_holdfast", "W5b"), ANSIBLE: ("ansible", "W5b")},
            [Show("W5b correlation survives kill -9", "fires", ("fires",), "1", higher_is_better=True)],
        ),
    ]


def _both(*words: str) -> dict[str, Words]:
    return {OURS: words, LIMITED: (*words, "--limits")}


def _ours() -> list[Job]:
    return [
        Job(
            "W1 with and without limits",
            "drive",
            _both("decide"),
            [
                Show("W1 until all is decided and has run", "events/s", ("eps",), higher_is_better=True),
                Show("W1 asked by a limit", "", ("asked",)),
                Show("W1 neither run nor asked", "", ("lost",), "0"),
            ],
        ),
        Job(
            "W5 with and without limits",
            "drive",
            _both("kill"),
            [
                Show("W5 asked by a limit", "", ("asked",)),
                Show("W5 neither run nor asked", "", ("lost",), "0"),
                Show("W5 run twice", "", ("twice",), "0"),
            ],
        ),
        Job(
            "batches of 500",
            "drive",
            {OURS: ("batch",)},
            [
                Show(
                    "batches of 500: acknowledged", "events/s", ("eps",), ">= 80,000", higher_is_better=True
                ),
                Show("batches of 500: decided", "events/s", ("decided_eps",), higher_is_better=True),
                Show("batches of 500: most that wait for their decision", "events", ("lag_events",)),
                Show("batches of 500: CPU for an event", "us", ("cpu_us",)),
            ],
        ),
        Job(
            "batches of 500, none fires",
            "drive",
            {OURS: ("batch", "--calm")},
            [
                Show("batches of 500, none fires: acknowledged", "events/s", ("eps",), higher_is_better=True),
                Show(
                    "batches of 500, none fires: decided", "events/s", ("decided_eps",), higher_is_better=True
                ),
            ],
        ),
        Job(
            "202 at 2,000 events/s",
            "drive",
            {OURS: ("latency",)},
            [
                Show("202 at 2,000 events/s, open loop, p50", "ms", ("p50",)),
                Show("202 at 2,000 events/s, open loop, p99", "ms", ("p99",), "<= 10"),
                Show("202 at 2,000 events/s, open loop, p99.9", "ms", ("p999",)),
            ],
        ),
        Job(
            "idle, 100 rules",
            "drive",
            {OURS: ("idle", "--rules", "100")},
            [Show("idle CPU, by the scheduler's clock", "%", ("cpu_pct",), "<= 1")],
            quick=("--seconds", "3"),
        ),
        Job(
            "memory",
            "drive",
            {OURS: ("memory",)},
            [
                Show("PSS after a tenth of the hostile events", "MiB", ("tenth",)),
                Show("PSS after all hostile events", "MiB", ("all",)),
                Show("PSS: all over a tenth", "times", ("ratio",), "<= 1.10"),
            ],
            rounds=1,
        ),
    ]


def _rules() -> list[Job]:
    return [
        Job(
            f"{count} rules, {shape}",
            "drive",
            {OURS: ("rules", "--rules", str(count), *words)},
            [Show(f"CPU for an event, {count:,} rules {shape}", "us", ("cpu_us",))],
            rounds=1 if words else None,
            quick=() if count < 1000 else None,
        )
        for shape, words in (("of a type each", ()), ("of one type", ("--one-type", "--events", "4000")))
        for count in (10, 100, 1000)
    ]


JOBS: tuple[Job, ...] = (
    _w1(10, 8, "5,000; 7,000"),
    _w1(100, 8, "5,000; 7,000"),
    _w1(10, 32, "8,000; 11,000"),
    _w1(100, 32, ""),
    *_w2(),
    *_other_peers(),
    *_ours(),
    *_rules(),
)
