"""An event of a test says nothing that its source could never say: a green test, and a silent night."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.integration.pipeline.conftest import CONFIG

from holdfast.errors import ConfigError
from holdfast.model.snapshot import Snapshot
from holdfast.model.values import Json
from holdfast.ruletest.events import every_event
from holdfast.sense.normalise import normalise

SITE = CONFIG["holdfast.yaml"].replace(
    "  hook: {kind: webhook, trust: medium}\n",
    """
  hook: {kind: webhook}
  deploys: {kind: webhook, type: deploy.started, service: shop}
  mapped: {kind: webhook, map: {type: $.what, service: $.which}}
""",
)
TEST = """
test: said
doc: One event comes in.
script:
  - event: {event}
"""


@pytest.mark.parametrize(
    ("source", "more"),
    [
        ("shop-probe", {"type": "http.other"}),
        ("shop-probe", {"severity": "critical"}),
        ("shop-probe", {"subject": "another"}),
        ("shop-probe", {"service": "blog"}),
        ("shop-probe", {"host": "web2"}),
        ("shop-probe", {"ago": "5m"}),
        ("hook", {"type": "a.b", "service": "shop"}),
        ("hook", {"type": "a.b", "host": "web1"}),
        ("deploys", {"type": "deploy.ended"}),
        ("deploys", {"service": "blog"}),
        ("mapped", {"type": "a.b", "host": "web1"}),
    ],
)
def test_what_a_source_cannot_say_is_refused(
    told: Callable[..., Snapshot], source: str, more: dict[str, str]
) -> None:
    said = ", ".join(f"{key}: {value}" for key, value in more.items())
    with pytest.raises(ConfigError) as refused:
        told(TEST.replace("{event}", f"{{source: {source}, {said}}}"), {"holdfast.yaml": SITE})

    (problem,) = refused.value.problems
    assert f"is not for {source} to say: its config does (leave it out)" in problem.message


@pytest.mark.parametrize(
    ("source", "more", "sent"),
    [
        ("hook", {"type": "a.b", "severity": "info", "subject": "s"}, None),
        ("deploys", {"severity": "info", "subject": "s"}, None),
        ("mapped", {"type": "a.b", "service": "shop"}, {"what": "a.b", "which": "shop"}),
    ],
)
def test_what_a_source_can_say_is_what_it_would_be_heard_to_say(
    told: Callable[..., Snapshot], source: str, more: dict[str, Json], sent: dict[str, Json] | None
) -> None:
    said = ", ".join(f"{key}: {value}" for key, value in more.items())
    snapshot = told(TEST.replace("{event}", f"{{source: {source}, {said}}}"), {"holdfast.yaml": SITE})

    (event,) = every_event(snapshot.tests["said"], snapshot, 0)
    heard = normalise(snapshot.sources[source], snapshot, sent or more, received=0, auth="test")

    names = ("type", "severity", "subject", "service", "host", "time")
    assert [getattr(event, name) for name in names] == [getattr(heard, name) for name in names]
