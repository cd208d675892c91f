"""One source storms: it is slowed down and shed, which is counted and said; others hardly notice."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from conftest import Process

SITE = """
format: 1
listen: {port: 0}
sources:
  storm: {kind: webhook, trust: medium}
  calm: {kind: webhook, trust: high}
"""

#: Every event of the storm is evidence for several incidents, so that no machine decides on ten thousand in
#: a second; every calm one opens an incident of its own.
FAULTS = 8
STORM = """
rule: storm-@N@
doc: The storm is one fault, again and again.
mode: observe
when: {e: {event: storm.fault, where: {data.value: {gt: 90}}}}
per: [subject]
incident: {type: lab, severity: error, title: "storm @N@", key: [subject, $e.type, $e.data.rule@N@]}
clears: {after: 1h}
---
"""
CALM = """
rule: calm
doc: A fault that has nothing to do with it.
mode: observe
when: {e: {event: calm.fault}}
per: [id]
incident: {type: lab, severity: error, title: "calm $e.data.n", key: [$e.id]}
clears: {after: 1h}
"""

#: Fifty thousand events in five seconds: so many connections, each with so many batches of its own.
SECONDS, CONNECTIONS, BATCHES, BATCH = 5.0, 250, 8, 25
EVENTS = CONNECTIONS * BATCHES * BATCH


class Storm:
    """Fifty thousand events in five seconds, if they are let; a connection waits for its own answers only."""

    def __init__(self, port: int) -> None:
        self.answers: Counter[int] = Counter()
        self._port = port
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send_all()))

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._thread.join(90)

    async def _send_all(self) -> None:
        async with asyncio.TaskGroup() as senders:
            for number in range(CONNECTIONS):
                senders.create_task(self._send(number))

    async def _send(self, sender: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        loop = asyncio.get_running_loop()
        begun = loop.time() + SECONDS / BATCHES * sender / CONNECTIONS
        for number in range(BATCHES):
            due = asyncio.Event()
            loop.call_at(begun + number * SECONDS / BATCHES, due.set)
            await due.wait()
            writer.write(request((sender * BATCHES + number) * BATCH))
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
            self.answers[int(head[9:12])] += BATCH
        writer.close()
        await writer.wait_closed()


def request(first: int) -> bytes:
    """A batch of the storm, as it goes over the wire."""
    numbers = range(first, first + BATCH)
    data = {"value": 95} | {f"rule{fault}": fault for fault in range(FAULTS)}
    body = msgspec.json.encode(
        [{"id": str(n), "type": "storm.fault", "data": data | {"n": n}} for n in numbers]
    )
    head = (
        "POST /events?source=storm HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def test_a_storm_of_one_source_is_shed_and_counted_and_others_go_on(
    daemon: Process, push_target: str, record_property: Callable[[str, object], None]
) -> None:
    rules = "".join(STORM.replace("@N@", str(fault)) for fault in range(FAULTS)) + CALM
    daemon.lab(push_target, {"holdfast.yaml": SITE, "rules/lab.yaml": rules, "rules/actions.yaml": ""})
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
    storms = {f"storm {fault}": 1 for fault in range(FAULTS)}
    assert titles == storms | {f"calm {n}": 1 for n in range(len(spans))}
    assert shed > 0
    assert f"source storm: {shed} events were refused" in daemon.run("status").stdout
    assert f'holdfast_events_refused_total{{source="storm"}} {float(shed)}' in daemon.get("/metrics").text
