"""Who may wait for a commit, who is held back, and who is refused."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future

import pytest

from holdfast.errors import Overloaded
from holdfast.journal import SourceFull
from holdfast.journal.commit import Ack, Group
from holdfast.journal.entrance import PATIENCE, Entrance
from holdfast.journal.held import Held
from holdfast.journal.pace import TARGET, Pace
from holdfast.journal.queue import Waiting, weigh
from holdfast.model.events import Entry
from holdfast.model.kinds import EntryKind

HUGE = 10**12


def group(source: str, count: int = 1, *, kind: EntryKind = EntryKind.EVENT) -> Group:
    entries = [Entry(kind, source, str(number), "c", b"{}") for number in range(count)]
    return Group(entries, weigh(entries), Future())


class Scene:
    """An entrance, a clock, and a journal that commits when it is told to."""

    def __init__(self, room: int = 100_000) -> None:
        self.now = 50.0
        self.pace = Pace()
        self.waiting: Waiting[Group] = Waiting(room, HUGE)
        self.entrance = Entrance(self.waiting, self.pace, lambda: self.now)
        self.head = 0

    def enter(self, one: Group, *, patient: bool = True) -> bool:
        return self.entrance.enter(one, patient=patient)

    def commit(self, *, fail: bool = False, duplicate: bool = False) -> None:
        groups = self.waiting.take(HUGE, HUGE)
        results = []
        for one in groups:
            acks = []
            for _ in one.entries:
                self.head += not duplicate
                acks.append(Ack(0 if duplicate else self.head, duplicate))
            results.append(Overloaded("no") if fail else acks)
        self.entrance.settled(groups, results)

    def flood(self, source: str) -> int:
        """Let a source fill what it may; how many events that were."""
        count = 0
        while True:
            try:
                self.enter(group(source, 10), patient=False)
            except SourceFull:
                self.commit()
                return count
            count += 10


def test_a_patient_group_is_held_and_let_in_when_decisions_were_made() -> None:
    scene = Scene()
    scene.flood("noisy")
    held = group("noisy", 20)
    entered = scene.enter(held)
    early = scene.entrance.decided(5)
    let_in = scene.entrance.decided(500)

    assert (entered, early, let_in) == (False, [], [held])
    assert scene.waiting.take(HUGE, HUGE) == [held]


def test_nobody_overtakes_a_held_group_of_the_same_source() -> None:
    scene = Scene()
    scene.flood("noisy")
    large, small = group("noisy", 500), group("noisy")
    scene.enter(large)
    few = scene.entrance.decided(100)
    entered = scene.enter(small)
    rest = scene.entrance.decided(scene.head)

    assert (few, entered) == ([], False)
    assert rest == [large, small]


def test_a_source_that_is_held_back_holds_nobody_else_back() -> None:
    scene = Scene()
    scene.flood("noisy")
    scene.enter(group("noisy", 500))

    assert scene.enter(group("quiet"))
    assert scene.enter(group("hands", 500, kind=EntryKind.OUTCOME))


def test_what_is_no_event_is_neither_held_nor_counted() -> None:
    scene = Scene()
    scene.flood("noisy")
    before = len(scene.pace)
    entered = [scene.enter(group("noisy", 2000, kind=kind)) for kind in EntryKind if kind != EntryKind.EVENT]
    scene.commit()

    assert all(entered)
    assert len(scene.pace) == before


def test_whoever_cannot_wait_is_refused_at_once_and_counted() -> None:
    scene = Scene()
    scene.flood("noisy")
    before = scene.waiting.refused["noisy"]
    with pytest.raises(SourceFull, match=r"events of source noisy are not decided on yet.*: send slower"):
        scene.enter(group("noisy", 7), patient=False)

    assert scene.waiting.refused["noisy"] == before + 7


def test_a_group_that_was_held_for_too_long_leaves_and_is_counted() -> None:
    scene = Scene()
    scene.flood("noisy")
    scene.waiting.refused.clear()
    first, second = group("noisy", 3), group("noisy", 4)
    scene.enter(first)
    scene.now += PATIENCE / 2
    scene.enter(second)
    early = scene.entrance.late()
    scene.now += PATIENCE / 2
    late = scene.entrance.late()

    assert (early, late) == ([], [first])
    assert scene.waiting.refused == {"noisy": 3}
    assert scene.entrance.decided(scene.head) == [second]


def test_only_so_many_groups_are_held() -> None:
    scene = Scene()
    scene.flood("noisy")
    entered = [scene.enter(group("noisy")) for _ in range(64)]
    with pytest.raises(SourceFull):
        scene.enter(group("noisy"))

    assert not any(entered)
    assert len(scene.entrance.close()) == 64


def test_a_held_group_stays_held_while_there_is_no_room_for_its_commit() -> None:
    scene = Scene(room=10_000)
    scene.flood("noisy")
    held = group("noisy", 100)
    scene.enter(held)
    for number in range(10):
        scene.enter(group(f"s{number}", 1000))
    full = scene.entrance.decided(scene.head)
    scene.commit()

    assert full == []
    assert scene.entrance.decided(scene.head) == [held]
    assert scene.waiting.refused == {"noisy": 10}


@pytest.mark.parametrize("how", ["fail", "duplicate"])
def test_what_is_not_stored_is_not_waited_for(how: str) -> None:
    scene = Scene()
    scene.enter(group("a", 30))
    scene.enter(group("b", 30, kind=EntryKind.TICK))
    scene.commit(**{how: True})

    assert len(scene.pace) == 0
    assert len(scene.waiting) == 0


def test_without_a_pace_nothing_is_held() -> None:
    waiting: Waiting[Group] = Waiting(10**6, HUGE)
    entrance = Entrance(waiting, None, lambda: 0.0)
    entrance.inherit(0, 10**6)
    entered = [entrance.enter(group(source, 1000), patient=False) for source in "abcabc"]

    assert all(entered)
    assert entrance.decided(5) == []


def test_a_closed_loop_of_senders_is_slowed_down_and_never_refused() -> None:
    """Eight senders wait for each answer; the decisions are slower than they are."""
    scene, speed = Scene(), 4_000
    turn = [f"sender {number}" for number in range(8)]
    answered: Counter[str] = Counter()
    held: dict[int, str] = {}
    longest, cursor, debt = 0.0, 0, 0.0
    since: dict[str, float] = {}
    for _ in range(500):
        for sender in turn:
            one = group("noisy", 250)
            since[sender] = scene.now
            if scene.enter(one):
                answered[sender] += 250
            else:
                held[id(one)] = sender
        entered = [one for one in turn if one not in held.values()]
        scene.commit()
        scene.now += 0.01
        debt = min(debt + speed * 0.01, scene.head - cursor)
        cursor, debt = cursor + int(debt), debt - int(debt)
        let_in = [held.pop(id(one)) for one in scene.entrance.decided(cursor)]
        for sender in let_in:
            answered[sender] += 250
            longest = max(longest, scene.now - since[sender])
        assert scene.entrance.late() == []
        turn = entered + let_in

    assert scene.waiting.refused == Counter()
    assert longest < PATIENCE
    assert scene.head > 0.95 * speed * 5
    assert scene.head - cursor <= scene.pace.rate * TARGET + 250 * 8
    assert min(answered.values()) > 0.8 * max(answered.values())


def test_held_groups_are_bounded_by_their_bytes() -> None:
    held: Held[Group] = Held(size=5000)
    first = held.add(group("a", 5), 1.0)
    second = held.add(group("b", 5), 1.0)

    assert (first, second, len(held), held.next()) == (True, False, 1, 1.0)
    held.expired(1.0)
    assert held.add(group("b", 5), 1.0)
