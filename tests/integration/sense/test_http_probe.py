"""The schedule of probes against a real server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import msgspec
import pytest

from holdfast.errors import Overloaded
from holdfast.model.events import Entry, Event
from holdfast.model.kinds import EntryKind
from holdfast.model.snapshot import Snapshot, Source, SourceKind
from holdfast.model.values import HOUR, SECOND, Severity, Trust
from holdfast.sense.http_look import Look
from holdfast.sense.http_probe import Prober, first_delay, probe_entry

DEADLINE = 20
Until = Callable[[Callable[[], bool]], bool]


def clock() -> int:
    return int(time.time() * 1000)


class Journal:
    """Keeps what it is given, and can refuse."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.refuse: Exception | None = None

    def __call__(self, entries: Sequence[Entry]) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.entries.extend(entries)

    def events(self, source: str) -> list[Event]:
        return [
            msgspec.json.decode(entry.body, type=Event)
            for entry in list(self.entries)
            if entry.source == source
        ]

    def planned(self, source: str) -> list[int]:
        return [int(entry.id.rpartition("-")[2]) for entry in list(self.entries) if entry.source == source]


def probe(name: str, url: str, **more: object) -> Source:
    return Source(name, SourceKind.HTTP_PROBE, url=url, **{"every": 50, "timeout": 2000, **more})


def snapshot(*sources: Source, commit: str = "c0") -> Snapshot:
    return Snapshot(commit, sources={source.name: source for source in sources})


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def start(journal: Journal) -> Iterator[Callable[..., Prober]]:
    running: list[Prober] = []

    def _start(*sources: Source) -> Prober:
        prober = Prober(snapshot(*sources), journal, clock)
        prober.start()
        running.append(prober)
        return prober

    yield _start
    for prober in running:
        prober.stop()


def test_a_probe_is_an_event_of_its_source(site, journal: Journal, start, until: Until) -> None:
    start(probe("shop-probe", f"{site.url}/status", service="shop", host="web1", trust=Trust.HIGH))
    assert until(lambda: len(journal.entries) >= 2)

    entry = journal.entries[0]
    event = msgspec.json.decode(entry.body, type=Event)
    assert (entry.kind, entry.source, entry.commit, entry.id) == (
        EntryKind.EVENT,
        "shop-probe",
        "c0",
        event.id,
    )
    assert (event.type, event.service, event.host, event.subject) == (
        "http.probe",
        "shop",
        "web1",
        "shop-probe",
    )
    assert (event.provenance.auth, event.provenance.trust, event.provenance.commit) == (
        "probe",
        Trust.HIGH,
        "c0",
    )
    assert (event.severity, event.data["ok"], event.data["status"]) == (Severity.INFO, True, 200)
    assert event.time <= event.received


def test_a_failing_probe_is_an_event_too_and_so_is_its_recovery(
    site, journal: Journal, start, until: Until
) -> None:
    site.status = 503
    start(probe("p", f"{site.url}/status", severity=Severity.CRITICAL, max_severity=Severity.ERROR))
    assert until(lambda: len(journal.entries) >= 2)
    site.status = 200
    assert until(lambda: journal.events("p")[-1].data["ok"] is True)

    bad = journal.events("p")[0]
    assert (bad.severity, bad.data["ok"], bad.data["status"], bad.data["error"]) == (
        Severity.ERROR,
        False,
        503,
        "answered 503",
    )


def test_the_cadence_does_not_drift(site, journal: Journal, start, until: Until) -> None:
    start(probe("p", f"{site.url}/status", every=60))
    assert until(lambda: len(journal.entries) >= 12)

    planned = journal.planned("p")
    assert planned == sorted(set(planned))
    assert {(later - planned[0]) % 60 for later in planned} == {0}


def test_a_source_is_never_probed_twice_at_the_same_time(site, journal: Journal, start, until: Until) -> None:
    start(
        probe("slow", f"{site.url}/hang", timeout=300, every=20),
        probe("quick", f"{site.url}/status", every=20),
    )
    assert until(lambda: len(journal.events("slow")) >= 3)

    assert all(event.data["error"] == "timed out after 0.3 s" for event in journal.events("slow"))
    assert len(journal.events("quick")) > len(journal.events("slow"))
    planned = journal.planned("slow")
    assert all(later - sooner >= 300 and (later - sooner) % 20 == 0 for sooner, later in pairwise(planned))


def test_a_probe_can_be_had_at_once(site, journal: Journal, start, until: Until) -> None:
    prober = start(probe("p", f"{site.url}/status", every=HOUR), probe("q", f"{site.url}/name", every=HOUR))
    assert until(lambda: len(journal.events("p")) == 1)
    prober.probe_now(["p", "nobody"])
    assert until(lambda: len(journal.events("p")) == 2)
    prober.probe_now(["p"])
    assert until(lambda: len(journal.events("p")) == 3)

    assert len(set(journal.planned("p"))) == 3


def test_a_probe_on_demand_does_not_wait_for_the_first_beat(
    site, journal: Journal, start, until: Until
) -> None:
    late = next(name for name in map(str, range(1000)) if first_delay(probe(name, "", every=HOUR)) > 1900)
    prober = start(probe(late, f"{site.url}/status", every=HOUR))
    prober.probe_now([late])
    assert until(lambda: len(journal.entries) == 2)

    first, second = journal.planned(late)
    assert 0 < second - first <= 2 * SECOND


def test_a_probe_on_demand_keeps_the_cadence(site, journal: Journal, start, until: Until) -> None:
    prober = start(probe("p", f"{site.url}/status", every=100))
    assert until(lambda: len(journal.entries) >= 2)
    for _ in range(5):
        seen = len(journal.entries)
        prober.probe_now(["p"])
        assert until(lambda seen=seen: len(journal.entries) > seen)
    count = len(journal.entries)
    assert until(lambda: len(journal.entries) >= count + 4)

    planned = journal.planned("p")
    assert planned == sorted(set(planned))
    assert {(later - planned[0]) % 100 for later in planned[-3:]} == {0}


def test_a_reload_takes_what_changed_and_leaves_the_rest_its_cadence(
    site, journal: Journal, start, until: Until
) -> None:
    kept, gone = (
        probe("kept", f"{site.url}/status", every=70),
        probe("gone", f"{site.url}/status?gone", every=20),
    )
    moved = probe("moved", f"{site.url}/status?before", every=20)
    prober = start(kept, gone, moved)
    assert until(lambda: {entry.source for entry in journal.entries} == {"kept", "gone", "moved"})
    new = probe("new", f"{site.url}/status?new", every=20)
    prober.replace(snapshot(kept, new, probe("moved", f"{site.url}/status?after", every=20), commit="c1"))
    assert until(lambda: site.hits["/status?new"] >= 2 and site.hits["/status?after"] >= 2)
    gone = len(journal.events("gone"))
    count = len(journal.events("kept"))
    assert until(lambda: len(journal.events("kept")) >= count + 3)

    assert len(journal.events("gone")) == gone
    planned = journal.planned("kept")
    assert {(later - planned[0]) % 70 for later in planned} == {0}
    assert journal.entries[-1].commit == "c1"
    assert msgspec.json.decode(journal.entries[-1].body, type=Event).provenance.commit == "c1"


@pytest.mark.parametrize("error", [Overloaded("full"), RuntimeError("a bug")])
def test_a_result_that_nobody_takes_does_not_end_the_schedule(
    site, journal: Journal, start, until: Until, error: Exception
) -> None:
    journal.refuse = error
    start(probe("p", f"{site.url}/status"))
    assert until(lambda: site.hits["/status"] >= 3)
    journal.refuse = None

    assert until(lambda: len(journal.entries) >= 2)


def test_stopping_does_not_wait_for_a_server_that_hangs(site, journal: Journal, start, until: Until) -> None:
    prober = start(probe("p", f"{site.url}/hang", timeout=3_600_000))
    assert until(lambda: site.busy["/hang"] == 1)
    prober.stop()

    assert not [thread for thread in threading.enumerate() if thread.name == "http-probes"]
    assert journal.entries == []


def test_every_probe_is_a_connection_of_its_own_and_says_who_asks(
    site, journal: Journal, start, until: Until
) -> None:
    start(probe("p", f"{site.url}/status"))
    assert until(lambda: len(journal.entries) >= 3)

    assert {headers["user-agent"] for headers in site.headers_seen} == {"holdfast"}


def test_webhooks_are_not_probed(site, journal: Journal, start, until: Until) -> None:
    start(
        Source("hook", SourceKind.WEBHOOK, url=f"{site.url}/name", every=20), probe("p", f"{site.url}/status")
    )
    assert until(lambda: len(journal.entries) >= 3)

    assert site.hits["/name"] == 0


def test_calls_before_the_start_and_after_the_stop_do_no_harm(site, journal: Journal, until: Until) -> None:
    prober = Prober(snapshot(), journal, clock)
    prober.stop()
    prober.probe_now(["p"])
    prober.replace(snapshot(probe("p", f"{site.url}/status")))
    prober.start()
    assert until(lambda: len(journal.entries) >= 1)
    prober.stop()
    prober.stop()
    prober.probe_now(["p"])
    prober.replace(snapshot())


def test_first_probes_come_soon_and_spread(site) -> None:
    delays = [first_delay(probe(f"probe-{number}", "", every=HOUR)) for number in range(200)]

    assert max(delays) < 2 * SECOND
    assert len(set(delays)) > 150
    assert first_delay(probe("x", "", every=10)) < 10


def test_the_type_of_a_probe_can_be_named_by_its_source() -> None:
    source = probe("p", "http://x/", type="shop.probe")
    entry = probe_entry(source, "c0", Look(True, 1.0, 200), planned=5, asked=6, now=7)
    event = msgspec.json.decode(entry.body, type=Event)

    assert (event.id, event.type, event.time, event.received) == ("p-5", "shop.probe", 6, 7)
