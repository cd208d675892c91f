from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cases import CONDITIONS, SCALARS, event, facts_of, rule, rules
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.match.durable import engine as module
from holdfast.match.durable.engine import SAMPLE, DurableEngine
from holdfast.match.durable.handle import ARGV, Handle
from holdfast.match.durable.program import Program
from holdfast.match.engine import Engine
from holdfast.match.native import NativeEngine
from holdfast.model.conditions import AllOf, Compare, Condition, Op
from holdfast.model.events import EngineMode, EngineNews, EngineTrouble, Event
from holdfast.model.rules import Rule
from holdfast.model.values import Severity, Truth

DOUBLE = str(Path(__file__).with_name("double.py"))
ABOVE = Compare("data.a", Op.GT, 5)
PATIENCE = 60.0


class Begun:
    """An engine that has started, and what it told."""

    def __init__(self, made: list[Rule], mode: str) -> None:
        self.news: list[EngineNews] = []
        self.engine = DurableEngine(made, self.report, start=self.start)
        self.mode = mode

    def report(self, news: EngineNews) -> bool:
        self.news.append(news)
        return True

    def start(self, program: Program, /) -> Handle:
        name, _, after = self.mode.partition(":")
        argv = ARGV if name == "well" else [sys.executable, "-P", DOUBLE, name, after or "0"]
        return Handle(program, argv=argv, answer_s=20.0)


@pytest.fixture
def begin() -> Iterator[Callable[..., Begun]]:
    begun: list[Begun] = []

    def make(made: list[Rule], mode: str = "well") -> Begun:
        begun.append(Begun(made, mode))
        begun[-1].engine.start(PATIENCE)
        begun[-1].engine.announce()
        return begun[-1]

    yield make
    for one in begun:
        one.engine.close()


def test_the_process_is_asked_and_native_confirms(begin: Callable[..., Begun]) -> None:
    begun = begin(rules([ABOVE, Compare("data.b", Op.EQ, "x")]))
    engine: Engine = begun.engine

    found = engine.match([event({"a": 6}, number=n) for n in range(3)] + [event(kind="other")])

    assert found == [{"r0/e": Truth.TRUE, "r1/e": Truth.UNKNOWN}] * 3 + [{}]
    figures = engine.figures()
    assert (figures.mode, figures.asked, figures.native, figures.differences) == (EngineMode.DURABLE, 3, 0, 0)
    assert figures.confirmed == figures.compared >= 3


def test_before_the_process_is_there_native_answers() -> None:
    engine = DurableEngine(rules([ABOVE]), bool)

    found = engine.match([event({"a": 6}), event(kind="no.rule.is.about.it")])
    engine.close()

    assert found == [{"r0/e": Truth.TRUE}, {}]
    assert (engine.figures().mode, engine.figures().native) == (EngineMode.STARTING, 1)


def test_of_severe_events_and_of_a_sample_everything_is_compared(begin: Callable[..., Begun]) -> None:
    begun = begin(rules([ABOVE]))
    begun.engine.match([event({"a": 1}, number=n) for n in range(1600)])
    sampled = begun.engine.figures().compared
    begun.engine.match(
        [event({"a": 1}, severity=Severity.ERROR), event({"a": 1}, severity=Severity.CRITICAL)]
    )

    assert 1600 // SAMPLE // 2 < sampled < 1600 // SAMPLE * 2
    assert begun.engine.figures().compared == sampled + 2


def test_an_id_that_is_no_text_is_matched_like_any_other(begin: Callable[..., Begun]) -> None:
    begun = begin(rules([ABOVE]))
    odd = Event(**{**{name: getattr(event({"a": 6}), name) for name in Event.__slots__}, "id": "\ud800"})

    assert begun.engine.match([odd]) == [{"r0/e": Truth.TRUE}]


@pytest.mark.parametrize("mode", ["nothing", "everything"])
def test_an_engine_that_is_wrong_is_found_out_and_given_up(
    begin: Callable[..., Begun], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Handle, "smoke", lambda _: None)
    made = rules([ABOVE])
    begun = begin(made, mode)
    severe = [event({"a": a}, severity=Severity.ERROR) for a in (1, 6)]

    found = begun.engine.match(severe)

    assert found == NativeEngine(made).match(severe)
    assert begun.engine.figures().differences > 0
    assert (begun.news[-1].mode, begun.news[-1].trouble) == (EngineMode.NATIVE, EngineTrouble.DIFFERENCE)
    assert begun.engine.match(severe) == found
    assert begun.engine.figures().pid == 0


def test_no_hit_of_a_lying_engine_ever_counts(
    begin: Callable[..., Begun], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the severity, and though this event is not in the sample."""
    monkeypatch.setattr(Handle, "smoke", lambda _: None)
    begun = begin(rules([ABOVE]), "everything")

    assert begun.engine.match([event({"a": 1}, number=n) for n in range(5)]) == [{"r0/e": Truth.FALSE}] * 5


def test_an_event_that_would_keep_the_process_busy_is_matched_natively(begin: Callable[..., Begun]) -> None:
    wide = rules(
        [AllOf((Compare(f"data.a{n}", Op.EQ, "x"), Compare(f"data.b{n}", Op.EQ, "x"))) for n in range(8)]
    )
    begun = begin(wide)
    long = event({f"{letter}{n}": "y" * 2000 for letter in "ab" for n in range(8)})
    short = event({f"{letter}{n}": "y" * 100 for letter in "ab" for n in range(8)})

    found = begun.engine.match([long, short])

    assert found == NativeEngine(wide).match([long, short])
    assert (begun.engine.figures().asked, begun.engine.figures().native) == (1, 1)


def test_of_many_units_few_events_are_asked_about_at_once(
    begin: Callable[..., Begun], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked about together is a bounded number of facts, however many rules there are."""
    sizes: list[int] = []
    really = Handle.ask

    def ask(self: Handle, asked: Any, seconds: float | None = None) -> list[list[int]]:
        sizes.append(len(asked))
        return really(self, asked, seconds)

    many = rules([Compare(f"data.f{n}", Op.GT, n) for n in range(400)])
    begun = begin(many)
    monkeypatch.setattr(Handle, "ask", ask)
    events = [event({f"f{n}": n + 1}, number=n) for n in range(100)]

    assert begun.engine.match(events) == NativeEngine(many).match(events)
    assert max(sizes) <= module.FACTS_AT_ONCE
    assert sum(sizes) > 2_000


def test_when_the_time_of_a_batch_is_up_native_does_the_rest(
    begin: Callable[..., Begun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH_S", 0.0)
    made = rules([ABOVE])
    begun = begin(made)
    events = [event({"a": n}) for n in range(250)]

    assert begun.engine.match(events) == NativeEngine(made).match(events)
    assert (begun.engine.figures().asked, begun.engine.figures().native) == (0, 250)
    assert begun.engine.figures().mode is EngineMode.DURABLE


def test_the_last_batch_before_a_death_is_answered_too(begin: Callable[..., Begun]) -> None:
    made = rules([ABOVE])
    begun = begin(made, "die:3")
    longest = 0.0
    for number in range(40):
        events = [event({"a": n}, number=n) for n in range(number)]
        begun_at = time.monotonic()
        assert begun.engine.match(events) == NativeEngine(made).match(events)
        longest = max(longest, time.monotonic() - begun_at)

    assert begun.engine.figures().deaths > 0
    assert longest < 20


KINDS = ["lab.x", "lab.y", "lab.*", "other"]
SETS = st.lists(st.tuples(CONDITIONS, st.sampled_from(KINDS)), min_size=1, max_size=8)
SEEN = st.lists(st.tuples(facts_of(SCALARS), st.sampled_from(KINDS), st.sampled_from(Severity)), max_size=6)


@given(SETS, SEEN)
@settings(max_examples=20)
def test_the_findings_are_those_of_native_and_in_the_same_order(
    given_rules: list[tuple[Condition, str]], seen: list[tuple[dict[str, Any], str, Severity]]
) -> None:
    made = [rule(f"r{n}", condition, kind) for n, (condition, kind) in enumerate(given_rules)]
    begun = Begun(made, "well")
    events = []
    for number, (fact, kind, severity) in enumerate(seen):
        data = fact.get("data", {})
        events.append(event(data, kind, number, severity))
    try:
        begun.engine.start(PATIENCE)
        found = begun.engine.match(events)
        wanted = NativeEngine(made).match(events)

        assert found == wanted
        assert [list(one) for one in found] == [list(one) for one in wanted]
        assert begun.engine.figures().differences == 0
        assert begun.engine.figures().native == 0
    finally:
        begun.engine.close()
