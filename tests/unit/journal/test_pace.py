"""How far the decisions may lag, and whose events wait."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.journal.pace import LITTLE, MOST, TARGET, Pace


class Road:
    """A pace, a journal that commits at once, and a pipeline that decides so many a second."""

    def __init__(self, speed: int) -> None:
        self.pace = Pace()
        self.speed = speed
        self.now = 1000.0
        self.head = self.cursor = 0
        self.sent: dict[int, float] = {}
        self.slowest: Counter[str] = Counter()
        self.sources: dict[int, str] = {}
        self.refused: Counter[str] = Counter()

    def send(self, source: str, count: int = 1) -> bool:
        if not self.pace.admits(source, count, self.now):
            self.refused[source] += count
            return False
        self.pace.accept(source, count)
        for _ in range(count):
            self.head += 1
            self.sent[self.head], self.sources[self.head] = self.now, source
            self.pace.stored(source, self.head, self.now)
        return True

    def decide(self, seconds: float) -> None:
        """Let time pass, in which decisions are made."""
        done = min(self.head, self.cursor + round(self.speed * seconds))
        self.now += seconds
        for seq in range(self.cursor + 1, done + 1):
            source = self.sources[seq]
            self.slowest[source] = max(self.slowest[source], round(1000 * (self.now - self.sent[seq])))
        self.cursor = done
        self.pace.decided(done, self.now)


def storm(speed: int, noise: int, seconds: float = 5.0) -> Road:
    """A source sends `noise` events a second for a while, another one every tenth of a second."""
    road = Road(speed)
    for step in range(round(seconds * 100)):
        for _ in range(noise // 100):
            road.send("noisy")
        if step % 10 == 0:
            assert road.send("quiet")
        road.decide(0.01)
    return road


@pytest.mark.parametrize("speed", [2_000, 5_000, 20_000])
def test_a_storm_of_one_source_delays_another_by_less_than_a_second(speed: int) -> None:
    road = storm(speed, 10_000)

    assert road.slowest["quiet"] < 1000
    assert road.refused["quiet"] == 0


def test_what_is_decided_on_as_fast_as_it_comes_is_never_refused() -> None:
    assert storm(12_000, 10_000).refused == Counter()


def test_a_storm_that_is_refused_still_gets_what_is_left_of_the_speed() -> None:
    road = storm(5_000, 10_000)

    assert road.cursor > 0.95 * 5 * 5_000


def test_the_speed_is_learned_from_work_without_a_pause_only() -> None:
    road = Road(3_000)
    guess = road.pace.rate
    for _ in range(100):
        road.send("a")
        road.decide(0.5)
    idle = road.pace.rate
    for _ in range(100):
        road.send("a", 300)
        road.send("b", 300)
        road.decide(0.05)

    assert idle == guess
    assert road.pace.rate == pytest.approx(3_000, rel=0.01)


def test_a_source_with_little_is_taken_even_while_nothing_is_decided() -> None:
    road = Road(0)
    while road.send("noisy"):
        pass
    road.decide(10.0)
    first = [road.send("quiet") for _ in range(LITTLE)]

    assert all(first)
    assert road.send("large", 1000)
    assert not road.send("large", 1000)


def test_a_source_with_little_is_taken_however_slow_the_decisions_are() -> None:
    road = Road(20)
    for _ in range(50):
        road.send("noisy", 30)
        road.decide(1.0)
    taken = [road.send("quiet") for _ in range(LITTLE + 1)]

    assert road.pace.rate == pytest.approx(20, rel=0.1)
    assert taken == [True] * LITTLE + [False]


def test_decisions_that_stop_are_noticed_before_their_speed_is() -> None:
    road = Road(0)
    for _ in range(LITTLE + 10):
        road.send("a")
    road.send("b")
    early = road.pace.wait(road.now)
    road.decide(TARGET + 1)
    late = road.pace.wait(road.now)
    enough = sum(road.send("a") for _ in range(10_000))

    assert early < TARGET < late
    assert enough < road.pace.rate * TARGET / 2


def test_sources_share_what_may_wait() -> None:
    road = Road(0)
    for _ in range(20_000):
        for source in "abcd":
            road.send(source)
    waiting = Counter(road.sources.values())

    assert max(waiting.values()) - min(waiting.values()) <= 1
    assert len(road.pace) <= road.pace.rate * TARGET


def test_no_more_wait_than_is_kept_in_memory_however_fast_the_decisions_are() -> None:
    road, most = Road(100_000), 0
    for _ in range(2_000):
        while road.send("noisy", 500):
            pass
        most = max(most, len(road.pace))
        road.decide(0.001)

    assert road.pace.rate == pytest.approx(100_000, rel=0.01)
    assert MOST - 500 < most <= MOST
    assert road.send("quiet", 500)


def test_what_the_last_life_left_counts() -> None:
    road = Road(1000)
    road.head, road.cursor = 20_000, 0
    road.pace.inherit(0, 20_000, road.now)
    road.sent = dict.fromkeys(range(20_001), road.now)
    road.sources = dict.fromkeys(range(20_001), "")
    first, second = road.send("a", 100), road.send("a", 5_000)
    road.decide(30.0)

    assert (first, second) == (True, False)
    assert len(road.pace) == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"), st.integers(1, 40), st.integers(0, 60), st.floats(0, 2), st.booleans()
        ),
        max_size=60,
    )
)
def test_every_event_is_counted_until_it_is_decided_on_or_forgotten(
    steps: list[tuple[str, int, int, float, bool]],
) -> None:
    pace, now = Pace(), 0.0
    undecided: list[tuple[int, str]] = []
    head = 0
    for source, count, done, pause, written in steps:
        now += pause
        if pace.admits(source, count, now):
            pace.accept(source, count)
            for _ in range(count):
                head += 1
                if written:
                    pace.stored(source, head, now)
                    undecided.append((head, source))
                else:
                    pace.forget(source, 1)
        elif not any(source == other for _, other in undecided):
            raise AssertionError("a source without anything undecided is always taken")
        cursor = undecided[min(done, len(undecided)) - 1][0] if done and undecided else 0
        undecided = [(seq, other) for seq, other in undecided if seq > cursor]
        pace.decided(cursor, now)
        assert len(pace) == len(undecided)
        assert pace._sources == dict(Counter(other for _, other in undecided))
        assert pace.rate > 0
        assert pace.wait(now) >= 0
