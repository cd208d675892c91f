"""A small estate with two rules, and scripts that are played through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.config.load import load_files
from holdfast.model.ruletests import Ends
from holdfast.model.snapshot import Snapshot
from holdfast.ruletest import Report, run
from holdfast.ruletest.stage import Stage

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILLdmGNZb1q1rDRYi2t1a1GGyTOlDpWqxF7u5tv2SKPe"
SITE = f"""
format: 1
estate:
  hosts:
    web1: {{address: 10.0.0.5, user: act, host_key: "{KEY}"}}
    web2: {{address: 10.0.0.6, user: act, host_key: "{KEY}"}}
  services:
    shop: {{hosts: [web1], unit: shop.service, url: "https://shop.example/"}}
    mailer: {{hosts: [web2]}}
sources:
  shop-probe: {{kind: http-probe, service: shop, every: 10s}}
  mailer-probe: {{kind: http-probe, service: mailer, url: "http://mailer.example/", every: 20s}}
  deploys: {{kind: webhook, type: deploy.started, service: shop, host: web1, severity: info}}
  anything: {{kind: webhook}}
  modest: {{kind: webhook, type: note, severity: warning, max_severity: warning, trust: low}}
  orders:
    kind: webhook
    map:
      id: $.id
      type: $.kind
      time: {{from: $.created, as: epoch}}
      severity: {{from: $.level, table: {{fatal: critical}}, default: error}}
      service: $.shop
      subject: $.customer
      data.amount: {{from: $.amount, as: int}}
events:
  deploy.started: {{data.release: "str?", data.by: "str?"}}
  order.failed: {{data.amount: "int?", data.code: "str?", data.note: "str?"}}
channels:
  mail: {{url: $secret.mail-url}}
operators:
  me: {{channels: [mail]}}
"""
NOBODY = SITE.partition("channels:")[0]
ACTIONS = """
action: restart-unit
doc: Restart one systemd unit.
ssh: {argv: [systemctl, restart, --, $unit]}
params: {unit: {type: unit-name}}
verify: {observe: incident-clears, within: 90s, steady: 30s}
undo: none
touches: [availability]
idempotent: true
risk: low
retry: {attempts: 3, backoff: 2s, jitter: false}
---
action: roll-back
doc: Put the release before this one back.
ssh: {argv: [release, previous]}
params: {}
verify: none
undo: {do: roll-forward}
touches: [customers-see]
risk: high
---
action: roll-forward
doc: Put the release after this one back.
ssh: {argv: [release, next]}
params: {}
verify: none
undo: {do: roll-back}
touches: [customers-see]
risk: high
---
action: page-up
doc: Show the maintenance page.
ssh: {argv: [page, up]}
params: {}
verify: none
undo: {do: page-down}
touches: [customers-see]
risk: low
---
action: page-down
doc: Take the maintenance page away.
ssh: {argv: [page, down]}
params: {}
verify: none
undo: none
touches: [customers-see]
risk: low
"""
SHOP = """
rule: shop-down
doc: The shop fails its probe.
mode: auto
when:
  probe: {event: http.probe, where: {source: shop-probe, data.ok: false}, streak: 3}
unless:
  deploy: {event: deploy.started, where: {service: {same: $probe.service}}, within: 10m}
incident: {type: service-down, severity: critical, title: "$service.name fails ($probe.data.status)"}
clears: {event: http.probe, where: {data.ok: true}, streak: 3}
contain:
  - {do: restart-unit, at: $service.hosts, with: {unit: $service.unit}}
then:
  - ask: "Roll $service.name back?"
    if: {firing: true}
    choices: {roll-back: {do: roll-back, at: $service.hosts}, wait: {}}
    silence: wait
    within: 30m
"""
ORDERS = """
rule: orders-fail
doc: An order failed.
mode: auto
when:
  order: {event: order.failed, where: {data.amount: {gte: 1}}}
per: [subject]
incident: {type: orders-failing, severity: error, title: "$order.subject: $order.data.note"}
clears: {event: order.paid}
contain:
  - {do: page-up, at: web2, hold: until-clear}
"""
#: The same rule when it asks first, and when it asks what to do.
SUGGESTS = ORDERS.replace("mode: auto", "mode: suggest")
ASKS = f"""{ORDERS.partition("contain:")[0]}
then:
  - ask: "Well, $order.subject?"
    choices: {{up: {{do: page-up, at: web2}}, wait: {{}}}}
    silence: wait
    within: 2h
"""
POLICIES = """
policy: service-down-envelope
doc: What may happen when a service is down.
envelope: {incident_type: service-down, allow: {risk: low, touches: [availability]}}
---
policy: orders-envelope
doc: What may happen when orders fail.
envelope: {incident_type: orders-failing, allow: {risk: low, touches: [customers-see]}}
---
policy: often
doc: The page may go up often.
match: {}
limit: {per: [action, target], max: 1000, within: 1h}
replaces: builtin-rate
"""
CONFIG = {
    "holdfast.yaml": SITE,
    "rules/actions.yaml": ACTIONS,
    "rules/shop.yaml": SHOP,
    "rules/orders.yaml": ORDERS,
    "policies/all.yaml": POLICIES,
}
#: Steps that many scripts begin with.
DOWN = "- {event: {source: shop-probe, data: {ok: false, status: 500}}, times: 3}\n"
UP = "- {event: {source: shop-probe, data: {ok: true, status: 200}}, times: 3}\n"
ORDER = "- {event: {source: anything, type: order.failed, subject: ana, data: {amount: 5, note: no}}}\n"
PAID = "- {event: {source: anything, type: order.paid, subject: ana}}\n"

Load = Callable[..., Snapshot]
Play = Callable[..., list[str]]
Staged = Callable[..., Stage]


def written(script: str, name: str = "example", commands: str = "") -> str:
    """A document with this script; the script begins in line 4 or 5."""
    told = f"commands: {{{commands}}}\n" if commands else ""
    return f"test: {name}\ndoc: An example.\n{told}script:\n{script}"


def loaded(*tests: str, **files: str) -> Snapshot:
    """The config with these tests; `site`, `actions`, `shop`, `orders` and `policies` replace a file."""
    places = dict(zip(("site", "actions", "shop", "orders", "policies"), CONFIG, strict=True))
    texts = {**CONFIG, **{places[name]: text for name, text in files.items()}}
    texts |= {f"tests/example{number}.yaml": text for number, text in enumerate(tests)}
    return load_files({name: text.encode() for name, text in texts.items()}, "c1")


def ran(*scripts: str, commands: str = "", **files: str) -> Report:
    """What comes of one test per script."""
    tests = [written(script, f"example-{number}", commands) for number, script in enumerate(scripts)]
    return run(loaded(*tests, **files))


def played(script: str, commands: str = "", **files: str) -> list[str]:
    """What one script says is wrong, as path and message."""
    report = ran(script, commands=commands, **files)
    return [f"{problem.path}: {problem.message}" for problem in report.problems]


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[Staged]:
    """Opens a stage on an empty database, and closes it."""
    opened: list[Stage] = []

    def begin(snapshot: Snapshot | None = None, **commands: Ends) -> Stage:
        named = {name.replace("_", "-"): ends for name, ends in commands.items()}
        stage = Stage(snapshot or loaded(), tmp_path / f"{len(opened)}.db", named)
        opened.append(stage)
        return stage

    yield begin
    for stage in opened:
        stage.close()
