from __future__ import annotations

import threading
from dataclasses import replace

from holdfast.execute.desk import Desk, Job, Look
from holdfast.model.actions import Connector, PlannedStep, Retry, Risk
from holdfast.model.records import AttemptOrder


def job(
    attempt: str, target: str = "web1", *, boot: str | None = None, way: Connector = Connector.SSH
) -> Job:
    step = PlannedStep("act", way, target, ("true",), {}, Risk.LOW, (), False, False, 5, Retry(), None, True)
    return Job(AttemptOrder(attempt, "r1", "i1", step, 5), boot)


def test_a_place_takes_one_job_at_a_time() -> None:
    desk = Desk()
    first = job("a")

    assert desk.take(first)
    assert not desk.take(job("b"))
    assert desk.take(job("c", "web2"))
    assert desk.take(job("d", way=Connector.LOCAL))
    assert desk.next() == first
    assert not desk.take(job("b"))
    desk.free(first)
    assert desk.take(job("b"))


def test_what_has_begun_is_never_refused_but_taken_once() -> None:
    desk = Desk()

    assert desk.take(job("a", boot="x"))
    assert desk.take(job("b", boot="x"))
    assert not desk.take(job("b", boot="x"))


def test_a_place_is_free_when_everything_that_had_begun_there_is_done() -> None:
    desk = Desk()
    first, second = job("a", boot="x"), job("b", boot="x")
    desk.take(first)
    desk.take(second)
    desk.free(first)

    assert not desk.take(job("c"))
    desk.free(second)
    assert desk.take(job("c"))


def test_a_job_put_back_comes_again_after_its_pause_and_keeps_its_place() -> None:
    desk = Desk()
    desk.take(job("a"))
    taken = desk.next()
    assert taken is not None
    desk.put_back(replace(taken, pause=0.05))
    desk.take(job("b", "web2"))

    assert not desk.take(job("c"))
    assert [found.order.id for found in (desk.next(), desk.next()) if found] == ["b", "a"]


def test_a_worker_that_waits_is_woken_by_a_job_and_by_the_end() -> None:
    desk = Desk()
    found: list[Job | None] = []
    workers = [threading.Thread(target=lambda: found.append(desk.next())) for _ in range(2)]
    for worker in workers:
        worker.start()
    desk.take(job("a"))
    while not found:
        threading.Event().wait(0.005)
    desk.close()
    for worker in workers:
        worker.join(5)

    assert [one.order.id if one else None for one in found] == ["a", None]
    assert desk.next() is None


def taken(desk: Desk, count: int) -> list[str]:
    """The ids of the next jobs."""
    jobs = [desk.next() for _ in range(count)]
    return [found.order.id for found in jobs if isinstance(found, Job)]


def test_behind_a_busy_place_attempts_stand_in_line_and_follow_in_order() -> None:
    desk = Desk()
    for name in "abc":
        desk.line_up(job(name).order)
    desk.line_up(job("z", "web2").order)
    first = taken(desk, 2)
    desk.free(job("a"))
    desk.free(job("b"))

    assert first == ["a", "z"]
    assert taken(desk, 2) == ["b", "c"]


def test_an_attempt_stands_in_line_once_whatever_is_said_of_it_again() -> None:
    desk = Desk()
    for name in "aabbab":
        desk.line_up(job(name).order)
    taken(desk, 1)
    desk.free(job("a"))
    taken(desk, 1)
    desk.free(job("b"))
    desk.line_up(job("c").order)

    assert taken(desk, 1) == ["c"]


def test_one_that_has_begun_is_waited_for_by_those_in_line() -> None:
    desk = Desk()
    begun = job("a", boot="x"), job("b", boot="x")
    for each in begun:
        desk.take(each)
    desk.line_up(job("c").order)
    taken(desk, 2)
    desk.free(begun[0])
    desk.look()
    between = desk.next()
    desk.free(begun[1])

    assert isinstance(between, Look)
    assert taken(desk, 1) == ["c"]


def test_a_line_has_an_end_and_says_when_there_is_room_again() -> None:
    desk = Desk(line=2)
    for name in "abcd":
        desk.line_up(job(name).order)
    taken(desk, 1)
    still_one = desk.free(job("a"))
    desk.line_up(job("e").order)  # not before "d", which was turned away
    taken(desk, 1)
    room = desk.free(job("b"))
    for name in "de":
        desk.line_up(job(name).order)
    taken(desk, 1)
    again = desk.free(job("c"))

    assert (still_one, room, again) == (False, True, False)
    assert taken(desk, 1) == ["d"]


def test_a_full_line_of_one_place_turns_nobody_away_elsewhere() -> None:
    desk = Desk(line=1)
    for name in "abc":
        desk.line_up(job(name).order)
    desk.line_up(job("z", "web2").order)

    assert taken(desk, 2) == ["a", "z"]


def test_a_wish_to_look_comes_before_the_jobs_and_is_granted_once() -> None:
    desk = Desk()
    desk.take(job("a"))
    desk.look()
    desk.look()

    assert isinstance(desk.next(), Look)
    assert taken(desk, 1) == ["a"]


def test_a_wish_to_look_in_a_while_wakes_a_worker_then() -> None:
    desk = Desk()
    desk.look(0.05)
    desk.look(60)

    assert isinstance(desk.next(), Look)


def test_of_several_that_line_up_all_but_one_wake_somebody() -> None:
    desk = Desk()
    found: list[str] = []
    workers = [threading.Thread(target=lambda: found.extend(taken(desk, 1))) for _ in range(2)]
    for worker in workers:
        worker.start()
    for number in range(3):
        desk.line_up(job(str(number), f"web{number}").order)
    found.extend(taken(desk, 1))
    for worker in workers:
        worker.join(5)

    assert sorted(found) == ["0", "1", "2"]


def test_what_is_offered_wakes_a_worker_and_is_taken_once() -> None:
    desk = Desk()
    came: list[object] = []
    worker = threading.Thread(target=lambda: came.append(desk.next()), daemon=True)
    worker.start()
    desk.offer([job("a").order, job("b").order, job("a").order])
    worker.join(20)
    desk.offer([job("a").order])

    assert came == [job("a")]
    desk.free(job("a"))
    assert desk.next() == job("b")
    desk.free(job("b"))
    desk.close()
    assert desk.next() is None
