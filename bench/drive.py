#!/usr/bin/env python3
"""What the harness of the peers does not measure: batches, latency of the 202, limits, memory, many rules.

With the project's Python: bench/drive.py WORKLOAD [--events N] ... Each run prints one JSON object on stdout.
Nothing but the daemon's own doors is used: `POST /events`, and the control socket for how far it is.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import daemon
import msgspec
import repository
import sender
from figures import percentile

BATCH = 500
CONNECTIONS = 8
#: So often a request is sent again that was refused for now.
TRIES = 30
#: Events of a request where each of them is dear.
FEW = 50
#: The longest that a backlog may take before a run counts as failed.
SETTLE = 600.0
PATH = f"/events?source={repository.SOURCE}"
KEYS = 100_000

Event = dict[str, Any]
Result = dict[str, float]


def stream(count: int, rules: int, first: int = 0) -> list[Event]:
    """Events like those of W1: one of a hundred matches one rule, ten are near misses, the rest is noise."""
    chance = random.Random(42)  # noqa: S311 - the same events each time
    return [_of_stream(number, rules, chance) for number in range(first, first + count)]


def _of_stream(number: int, rules: int, chance: random.Random) -> Event:
    host = f"h{chance.randrange(100)}"
    if number % 100 == 37:
        return {"id": number, "host": host, "type": f"alarm_{number // 100 % rules}", "value": 95}
    if number % 10 == 3:
        kind = f"alarm_{chance.randrange(rules)}"
        return {"id": number, "host": host, "type": kind, "value": chance.randrange(90)}
    kind = f"metric_{chance.randrange(20)}"
    return {"id": number, "host": host, "type": kind, "value": chance.randrange(101)}


def calmed(events: Sequence[Event]) -> list[Event]:
    """The same events, none of which is worth an alarm."""
    return [{**event, "value": min(event["value"], 90)} for event in events]


def hostile(count: int, first: int = 0) -> list[Event]:
    """Events that are counted per host, each of 100,000 hosts in turn, with names that nobody would like."""
    return [
        {
            "id": number,
            "type": "http_5xx",
            "host": f"{number % KEYS}'\";$(x)\u2028\U0001f525" + "x" * (number % KEYS % 200),
            "value": 95,
        }
        for number in range(first, first + count)
    ]


def batches(port: int, events: Sequence[Event], size: int = BATCH) -> list[bytes]:
    """Rendered requests of `size` events each."""
    return [
        sender.render(port, PATH, msgspec.json.encode(events[at : at + size]))
        for at in range(0, len(events), size)
    ]


def singles(port: int, events: Sequence[Event]) -> list[bytes]:
    """Rendered requests of one event each."""
    return [sender.render(port, PATH, msgspec.json.encode(event)) for event in events]


# -- the workloads ----------------------------------------------------------------------------------------


def batch(root: Path, args: argparse.Namespace) -> Result:
    """Batches of 500: acknowledged events a second, and how far the pipeline is behind meanwhile.

    With `--calm` nothing fires: the near misses remain.
    """
    repository.write(root / "config", "W1", args.rules, root / "fired.log")
    with daemon.running(root / "config", root / "state") as running:
        events = stream(args.events, args.rules)
        requests = batches(running.port, calmed(events) if args.calm else events)
        lags = [0]

        def look(_: sender.Sent) -> None:
            status = running.status()
            lags.append(status.journal - status.cursor)

        cpu = running.cpu()
        sent = sender.send(running.port, requests, connections=CONNECTIONS, look=look, look_every=0.05)
        drained = running.settle(SETTLE)
        _whole(sent)
        return {
            "eps": args.events / sent.wall,
            "decided_eps": args.events / (sent.wall + drained),
            "lag_events": max(lags),
            "drain_s": drained,
            "cpu_us": (running.cpu() - cpu) / args.events * 1e6,
        }


def latency(root: Path, args: argparse.Namespace) -> Result:
    """Open loop at a fixed rate over 32 connections: milliseconds from due to 202."""
    repository.write(root / "config", "W1", args.rules, root / "fired.log")
    with daemon.running(root / "config", root / "state") as running:
        requests = singles(running.port, stream(args.events, args.rules))
        sent = sender.send(running.port, requests, connections=32, per_second=args.rate)
        _whole(sent)
        shares = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}
        return {name: percentile(sent.latencies, share) * 1000 for name, share in shares.items()}


def decide(root: Path, args: argparse.Namespace) -> Result:
    """The stream of W1 until everything is decided and everything allowed has run; limits on or off."""
    log = root / "fired.log"
    repository.write(root / "config", "W1", args.rules, log, limits=args.limits)
    with daemon.running(root / "config", root / "state") as running:
        requests = singles(running.port, stream(args.events, args.rules))
        sent = sender.send(running.port, requests, connections=CONNECTIONS)
        _whole(sent)
        wanted = args.events // 100
        drained = running.settle(SETTLE)
        asked = daemon.asked(running.state)
        acted = _wait(lambda: _lines(log), wanted - asked, SETTLE)
        return {
            "eps": args.events / (sent.wall + drained),
            "wanted": wanted,
            "acted": acted,
            "asked": asked,
            "lost": wanted - acted - asked,
        }


def kill(root: Path, args: argparse.Namespace) -> Result:
    """W5 with the questions counted: kill -9 of the whole tree at half, restart, send the rest."""
    log = root / "fired.log"
    repository.write(root / "config", "W5", args.rules, log, limits=args.limits)
    events = [
        {"id": number, "host": "h0", "type": f"alarm_{number % args.rules}", "value": 95}
        for number in range(args.events)
    ]
    with daemon.running(root / "config", root / "state") as running:

        def strike(sent: sender.Sent) -> None:
            if len(sent.acknowledged) >= args.events // 2:
                running.kill()

        requests = singles(running.port, events)
        first = sender.send(running.port, requests, connections=CONNECTIONS, look=strike, look_every=0.0)
    known = set(first.acknowledged)
    with daemon.running(root / "config", root / "state") as running:
        rest = [event for event in events if event["id"] not in known]
        _whole(sender.send(running.port, singles(running.port, rest), connections=CONNECTIONS))
        running.settle(SETTLE)
        asked = daemon.asked(running.state)
        _wait(lambda: _lines(log), args.events - asked, SETTLE)
        marks = Counter(log.read_text(encoding="ascii").split())
        return {
            "acknowledged": len(known),
            "acted": len(marks),
            "asked": asked,
            "lost": args.events - len(marks) - asked,
            "twice": sum(count > 1 for count in marks.values()),
            "start_s": running.up,
        }


def memory(root: Path, args: argparse.Namespace) -> Result:
    """MiB after a tenth of the events and after all of them, each of which moves one of 100,000 keys."""
    repository.write(root / "config", "W3", 1, root / "fired.log")
    with daemon.running(root / "config", root / "state") as running:
        empty = running.memory()
        levels = []
        for upto in (args.events // 10, args.events):
            begun = args.events // 10 if levels else 0
            for first in range(begun, upto, 20_000):  # rendered in parts: the sender needs memory too
                events = hostile(min(20_000, upto - first), first)
                _insistent(running.port, batches(running.port, events))
                running.settle(SETTLE)
            time.sleep(1)
            levels.append(running.memory())
        return {"empty": empty, "tenth": levels[0], "all": levels[1], "ratio": levels[1] / levels[0]}


def rules(root: Path, args: argparse.Namespace) -> Result:
    """CPU microseconds for an event, sent in batches; with `--one-type` every rule sees each of them."""
    log = root / "fired.log"
    repository.write(root / "config", "W1", args.rules, log, one_type=args.one_type)
    with daemon.running(root / "config", root / "state") as running:
        events = stream(args.events, args.rules)
        if args.one_type:
            events = [{**event, "type": "alarm_0"} for event in events]
        events = calmed(events)  # what a firing costs is measured elsewhere
        # a thousand rules of one type take milliseconds for an event: who sends more than is decided is shed
        requests = batches(running.port, events, FEW if args.one_type else BATCH)
        at_once = 1 if args.one_type else len(requests)
        before = running.cpu()
        for at in range(0, len(requests), at_once):
            _whole(sender.send(running.port, requests[at : at + at_once], connections=CONNECTIONS))
            running.settle(SETTLE)
        used = running.cpu() - before
        return {"cpu_us": used / args.events * 1e6, "start_s": running.up}


def idle(root: Path, args: argparse.Namespace) -> Result:
    """Percent of one core while nothing comes in, by the scheduler's own clock."""
    repository.write(root / "config", "W4", args.rules, root / "fired.log")
    with daemon.running(root / "config", root / "state") as running:
        time.sleep(2)  # until what a start leaves behind is done
        before, begun = running.ran(), time.perf_counter()
        time.sleep(args.seconds)
        return {"cpu_pct": (running.ran() - before) / (time.perf_counter() - begun) * 100}


WORKLOADS: dict[str, Callable[[Path, argparse.Namespace], Result]] = {
    "batch": batch,
    "latency": latency,
    "decide": decide,
    "kill": kill,
    "memory": memory,
    "rules": rules,
    "idle": idle,
}
#: Events of a full run and of a quick one.
EVENTS = {
    "batch": (200_000, 40_000),
    "latency": (60_000, 6_000),
    "decide": (20_000, 3_000),
    "kill": (5_000, 500),
    "memory": (1_000_000, 100_000),
    "rules": (20_000, 5_000),
}


def _insistent(port: int, requests: list[bytes]) -> None:
    """Send each request until it is acknowledged, as a sender should who is told to come again (429)."""
    for _ in range(TRIES):
        sent = sender.send(port, requests, connections=CONNECTIONS)
        if set(sent.refused) <= {429}:
            sent.refused.clear()
        _whole(sent)
        taken = set(sent.acknowledged)
        requests = [request for number, request in enumerate(requests) if number not in taken]
        if not requests:
            return
    raise RuntimeError(f"{len(requests)} requests were refused {TRIES} times")


def _whole(sent: sender.Sent) -> None:
    """Raises RuntimeError unless every request was acknowledged."""
    if sent.refused or sent.broken:
        raise RuntimeError(f"not acknowledged: by status {sent.refused}, without an answer {sent.broken}")


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _wait(look: Callable[[], int], wanted: int, within: float) -> int:
    """Wait until there are so many, or none came for ten seconds; how many there are."""
    begun = moved = time.perf_counter()
    seen = look()
    while seen < wanted and (now := time.perf_counter()) - begun < within and now - moved < 10:
        time.sleep(0.01)
        seen, before = look(), seen
        moved = time.perf_counter() if seen != before else moved
    return seen


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--events", type=int, help="the default depends on the workload")
    parser.add_argument("--rules", type=int, default=10)
    parser.add_argument("--rate", type=float, default=2_000.0, help="events a second of `latency`")
    parser.add_argument("--limits", action="store_true", help="`decide`: the built-in limits as they are")
    parser.add_argument("--one-type", action="store_true", help="`rules`: each rule looks at each event")
    parser.add_argument("--calm", action="store_true", help="`batch`: no event fires")
    parser.add_argument("--seconds", type=float, default=20.0, help="of `idle`")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    args.events = args.events or EVENTS.get(args.workload, (0, 0))[args.quick]
    return args


def main() -> None:
    """One run in a directory of its own."""
    args = arguments()
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        result = WORKLOADS[args.workload](Path(name), args)
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")


if __name__ == "__main__":
    main()
