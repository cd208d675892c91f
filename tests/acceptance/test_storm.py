"""One source storms: it is slowed down and shed, which is counted and said; others hardly notice."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from conftest import Process

SITE = """
format: 1
listen: {port: 0}
sources:
  storm: {kind: webhook, trust: medium}
  calm: {kind: webhook, trust: high}
"""

#: Every event of the storm is evidence for one incident, every calm one opens an incident of its own.
RULES = """
rule: storm
doc: The storm is one fault, again and again.
mode: observe
when: {e: {event: storm.fault, where: {data.value: {gt: 90}}}}
per: [subject]
incident: {type: lab, severity: error, title: "storm", key: [subject]}
clears: {after: 1h}
---
rule: calm
doc: A fault that has nothing to do with it.
mode: observe
when: {e: {event: calm.fault}}
per: [id]
incident: {type: lab, severity: error, title: "calm $e.data.n", key: [$e.id]}
clears: {after: 1h}
"""

EVENTS, SECONDS, BATCH, SENDERS = 50_000, 5.0, 100, 8


class Storm:
    """Fifty thousand events in five seconds, if they are let; each sender keeps to its own schedule."""

    def __init__(self, port: int) -> None:
        self.answers: Counter[int] = Counter()
        self._url = f"http://127.0.0.1:{port}/events?source=storm"
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send, args=(n,)) for n in range(SENDERS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        for thread in self._threads:
            thread.join(90)

    def _send(self, sender: int) -> None:
        requests = EVENTS // BATCH // SENDERS
        begun, pause = time.monotonic(), threading.Event()
        with httpx.Client(trust_env=False, timeout=60) as client:
            for number in range(requests):
                pause.wait(max(0.0, begun + number * SECONDS / requests - time.monotonic()))
                first = (sender * requests + number) * BATCH
                events = [
                    {"id": str(first + n), "type": "storm.fault", "data": {"value": 95, "n": first + n}}
                    for n in range(BATCH)
                ]
                status = client.post(self._url, json=events).status_code
                with self._lock:
                    self.answers[status] += BATCH


def test_a_storm_of_one_source_is_shed_and_counted_and_others_go_on(
    daemon: Process, push_target: str, record_property: Callable[[str, object], None]
) -> None:
    daemon.lab(push_target, {"holdfast.yaml": SITE, "rules/lab.yaml": RULES, "rules/actions.yaml": ""})
    assert daemon.start()
    storm = Storm(daemon.port)
    spans = []

    storm.start()
    begun = time.monotonic()
    while time.monotonic() - begun < SECONDS + 1:
        sent = time.monotonic()
        answer = daemon.send(
            {"id": f"c{len(spans)}", "type": "calm.fault", "data": {"n": len(spans)}}, "calm"
        )
        spans.append(time.monotonic() - sent)
        assert (answer["accepted"], answer["handled"]) == (1, True)
    storm.end()
    daemon.until(lambda: daemon.behind() == 0, "the storm to be decided on")

    status = daemon.status()
    shed = storm.answers[429]
    record_property(
        "proof",
        f"storm       {sum(storm.answers.values()):,} events in {SECONDS:g} s from one source: "
        f"{storm.answers[202]:,} taken, {shed:,} shed; meanwhile {len(spans)} matching events of another "
        f"source were decided on after {1000 * sorted(spans)[len(spans) // 2]:.0f} ms (median), "
        f"{1000 * max(spans):.0f} ms at most",
    )
    assert set(storm.answers) <= {202, 429}
    assert sum(storm.answers.values()) == EVENTS
    assert status["refused"].get("storm", 0) == shed
    assert "calm" not in status["refused"]
    titles = Counter(incident.title for incident in daemon.incidents())
    assert titles == {"storm": 1} | {f"calm {n}": 1 for n in range(len(spans))}
    if shed:
        assert f"source storm: {shed} events were refused" in daemon.run("status").stdout
