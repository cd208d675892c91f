from __future__ import annotations

import threading
from dataclasses import replace

from holdfast.execute.desk import Desk, Job
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
