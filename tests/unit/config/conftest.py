"""A small repository that the tests lay their documents over."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from holdfast.config.load import load_files
from holdfast.errors import ConfigError
from holdfast.model.snapshot import Snapshot

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILLdmGNZb1q1rDRYi2t1a1GGyTOlDpWqxF7u5tv2SKPe"
SITE = """
format: 1
estate:
  hosts:
    web1: {address: 10.0.0.5, user: act, host_key: "KEY web1", group: web}
    web2: {address: web2.example, user: act, port: 2222, identity: $secret.web2, host_key: "KEY"}
  services:
    shop: {hosts: [web1, web2], unit: shop.service, url: "https://shop.example/", labels: {a/b: x, dir: /srv}}
    mailer: {hosts: [web1], depends_on: [shop]}
sources:
  shop-probe: {kind: http-probe, service: shop, every: 2s}
  deploys: {kind: webhook, type: deploy.started, service: shop}
  anything: {kind: webhook}
events:
  deploy.started:
    {data.release: str, data.files: "list?", data.meta: any, data.seconds: "float?", data.late: bool}
channels:
  mail: {url: $secret.mail-url}
operators:
  me: {channels: [mail]}
""".replace("KEY", KEY)
ACTIONS = """
action: restart-unit
doc: Restart one systemd unit.
ssh: {argv: [systemctl, restart, --, $unit]}
params: {unit: {type: unit-name}}
undo: none
touches: [availability]
risk: low
---
action: page-up
doc: Show the maintenance page.
ssh: {argv: [page, up]}
undo: {do: page-down}
touches: [customers-see]
risk: low
---
action: page-down
doc: Take the maintenance page away.
ssh: {argv: [page, down]}
undo: none
touches: [customers-see]
risk: low
---
action: purge
doc: Purge a cache from here.
local: {argv: [purge, $zone]}
params: {zone: {type: enum, values: [eu, us]}}
undo: none
touches: [availability]
risk: low
"""
ENVELOPE = """
policy: service-down-envelope
doc: What may happen when a service is down.
envelope: {incident_type: service-down, allow: {risk: low, touches: [availability]}, confidence: 0.8}
"""
BASE = {
    "holdfast.yaml": SITE,
    "rules/actions.yaml": ACTIONS,
    "policies/envelope.yaml": ENVELOPE,
}

Load = Callable[..., Snapshot]
Problems = Callable[..., list[str]]


def files(*documents: str, site: str = SITE, policies: str = ENVELOPE) -> dict[str, bytes]:
    """The base with more documents under rules/, or with another site or other policies."""
    found = {**BASE, "holdfast.yaml": site, "policies/envelope.yaml": policies}
    found |= {f"rules/document{number}.yaml": text for number, text in enumerate(documents)}
    return {name: text.encode() for name, text in found.items()}


@pytest.fixture
def snapshot() -> Load:
    """Loads documents laid over the base; a mistake fails the test with its lines."""
    return lambda *documents, **changed: load_files(files(*documents, **changed), "c1")


@pytest.fixture
def problems() -> Problems:
    """Loads documents laid over the base, and gives the problems as lines."""

    def said(*documents: str, **changed: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load_files(files(*documents, **changed), "c1")
        return [str(problem) for problem in caught.value.problems]

    return said


@pytest.fixture
def site() -> str:
    """The base's holdfast.yaml."""
    return SITE
