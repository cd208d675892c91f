"""What becomes of the engine is an incident of its own: opened, joined, cleared, and told once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from holdfast.match.native import NativeEngine
from holdfast.model.events import ConfigSwap, EngineMode, EngineNews, EngineTrouble
from holdfast.model.kinds import EntryKind
from holdfast.model.records import Incident, IncidentState
from holdfast.model.values import HOUR, MINUTE, Severity
from holdfast.pipeline.road import Loaded

if TYPE_CHECKING:
    from conftest import World

DIED = EngineNews(EngineMode.RECOVERING, EngineTrouble.DEATH, "it ended by itself: SIGKILL")
WELL = EngineNews(EngineMode.DURABLE, None, "a process has passed its smoke facts")
SET_ASIDE = EngineNews(EngineMode.RECOVERING, EngineTrouble.QUARANTINE, "a fact of ruleset 3 ended it twice")
GIVEN_UP = EngineNews(EngineMode.NATIVE, EngineTrouble.DEATH, "it failed 6 times, the last time: SIGKILL")

SITE = """
format: 1
sources:
  hook: {kind: webhook, trust: medium}
channels:
  mail: {url: $secret.mail-url}
operators:
  me: {channels: [mail]}
"""
RULE = """
rule: shop-down
doc: The shop fails.
mode: observe
when: {probe: {event: http.probe, where: {data.ok: false}}}
incident: {type: service-down, severity: critical, title: "it fails"}
clears: {event: http.probe, where: {data.ok: true}}
"""
POLICY = """
policy: service-down-envelope
doc: Nothing of risk is allowed.
envelope: {incident_type: service-down, allow: {risk: low, touches: [availability]}}
"""
FILES = {"holdfast.yaml": SITE, "rules/shop.yaml": RULE, "policies/envelopes.yaml": POLICY}


@pytest.fixture
def told(make_world: Callable[..., World]) -> Iterator[Callable[..., World]]:
    """A world that was told some news of its engine."""

    def make(*news: EngineNews) -> World:
        world = make_world(
            holdfast_yaml=SITE, rules__shop_yaml=RULE, rules__actions_yaml="", policies__envelopes_yaml=POLICY
        )
        for one in news:
            tell(world, one)
        return world

    return make


def tell(world: World, news: EngineNews) -> None:
    world.now += 1000
    world.put(EntryKind.ENGINE, "engine", msgspec.json.encode(news))


def trouble(world: World) -> Incident:
    [found] = [one for one in world.incidents() if one.type == "engine-trouble"]
    return found


def titles(world: World) -> list[str]:
    return [message.title for message in world.messages()]


def test_good_news_open_nothing(told: Callable[..., World]) -> None:
    world = told(WELL, WELL)

    assert world.incidents() == []
    assert world.messages() == []


def test_a_failure_opens_an_incident_and_tells_the_operator_once(told: Callable[..., World]) -> None:
    world = told(DIED)

    found = trouble(world)
    assert (found.state, found.severity, found.service) == (IncidentState.OPEN, Severity.WARNING, None)
    assert "native matching stands in" in found.title
    [message] = world.messages()
    assert "nothing was lost" in message.body
    assert "it ended by itself: SIGKILL" in message.body
    assert any("recovering: it ended by itself: SIGKILL" in line for line in world.story())


def test_what_follows_joins_it_without_another_message(told: Callable[..., World]) -> None:
    world = told(DIED, SET_ASIDE, DIED)

    assert trouble(world).state is IncidentState.OPEN
    assert len(world.messages()) == 1
    assert world.kinds().count("engine") == 3


def test_the_next_good_news_clear_it(told: Callable[..., World]) -> None:
    world = told(DIED, SET_ASIDE, WELL)

    assert trouble(world).state is IncidentState.CLEARED
    assert len(world.messages()) == 2
    assert "Cleared by itself" in titles(world)[-1]


def test_when_it_was_given_up_the_operator_is_told_again(told: Callable[..., World]) -> None:
    world = told(DIED, GIVEN_UP)

    found = trouble(world)
    assert (found.state, found.severity) == (IncidentState.OPEN, Severity.ERROR)
    assert len(world.messages()) == 2
    assert "restart the daemon or push a config" in world.messages()[-1].body


def test_it_comes_back_as_the_same_incident_within_the_hour_and_stays_open(
    told: Callable[..., World],
) -> None:
    world = told(DIED, WELL)
    world.pass_time(30 * MINUTE)
    tell(world, DIED)
    world.pass_time(2 * HOUR)

    assert (trouble(world).state, trouble(world).reopened) == (IncidentState.OPEN, 1)
    assert len(world.messages()) == 3


def test_it_is_closed_when_it_stayed_away(told: Callable[..., World]) -> None:
    world = told(DIED, WELL)
    world.pass_time(2 * HOUR)

    assert trouble(world).state is IncidentState.CLOSED


def test_hundreds_of_failures_are_counted_and_not_all_kept(told: Callable[..., World]) -> None:
    world = told(*[DIED] * 200)

    assert world.kinds().count("engine") == 50
    assert len(world.messages()) == 1


def test_it_stays_open_over_a_config_and_a_restart(told: Callable[..., World]) -> None:
    world = told(DIED)
    world.push(FILES, "c2")
    assert trouble(world).state is IncidentState.OPEN

    world.restart()
    assert trouble(world).state is IncidentState.OPEN

    tell(world, WELL)
    assert trouble(world).state is IncidentState.CLEARED


NATIVE = {**FILES, "holdfast.yaml": SITE + "engine: native\n"}


def test_a_config_that_asks_for_native_matching_clears_it(told: Callable[..., World]) -> None:
    world = told(GIVEN_UP)
    world.push(NATIVE, "c2")

    assert trouble(world).state is IncidentState.CLEARED
    assert any("the config asks for native matching" in line for line in world.story())


def test_the_last_words_of_an_engine_that_was_done_away_with_open_nothing(told: Callable[..., World]) -> None:
    """They may come into the journal after the config: nobody would ever clear what they open."""
    world = told()
    world.push(NATIVE, "c2")
    tell(world, DIED)
    tell(world, GIVEN_UP)

    assert world.incidents() == []


class Telling(NativeEngine):
    """An engine that writes down what is done with it."""

    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__([])
        self.name, self.log = name, log

    def announce(self) -> None:
        self.log.append(f"{self.name} announces")

    def close(self) -> None:
        self.log.append(f"{self.name} closes")


def swap(world: World, log: list[str], commit: str, name: str) -> None:
    world.snapshot = world.load(FILES, commit)
    world.pipeline.offer(Loaded(world.snapshot, Telling(name, log)))


def confirm(world: World, commit: str) -> None:
    world.put(EntryKind.CONFIG, "config", msgspec.json.encode(ConfigSwap(commit, None)))


def test_the_new_engine_speaks_when_the_old_one_has_had_its_last_word(told: Callable[..., World]) -> None:
    world, log = told(), []
    swap(world, log, "c2", "second")
    confirm(world, "c2")
    assert log == ["second announces"]

    swap(world, log, "c3", "third")
    confirm(world, "c3")

    assert log == ["second announces", "second closes", "third announces"]


def test_an_engine_that_never_takes_over_is_ended(told: Callable[..., World]) -> None:
    world, log = told(), []
    swap(world, log, "c2", "first")
    swap(world, log, "c2", "second")
    assert log == ["first closes"]

    world.pipeline.withdraw("c2")
    confirm(world, "c2")
    assert log == ["first closes", "second closes"]


def test_one_that_is_offered_for_the_config_that_decides_already_is_ended(told: Callable[..., World]) -> None:
    world, log = told(), []
    swap(world, log, "c2", "first")
    confirm(world, "c2")
    swap(world, log, "c2", "again")
    confirm(world, "c2")

    assert log == ["first announces", "again closes"]


def test_closing_the_road_ends_the_engine_and_those_to_come(told: Callable[..., World]) -> None:
    world, log = told(), []
    swap(world, log, "c2", "current")
    confirm(world, "c2")
    swap(world, log, "c3", "coming")
    log.clear()

    world.pipeline.close()

    assert sorted(log) == ["coming closes", "current closes"]


def test_a_rule_may_not_have_the_name_that_holds_the_incident(told: Callable[..., World]) -> None:
    from holdfast.config.load import load_files  # noqa: PLC0415 - only here
    from holdfast.errors import ConfigError  # noqa: PLC0415 - only here

    files: dict[str, Any] = {**FILES, "rules/shop.yaml": RULE.replace("shop-down", "builtin:engine")}
    with pytest.raises(ConfigError):
        load_files({name: text.encode() for name, text in files.items()}, "c9")
