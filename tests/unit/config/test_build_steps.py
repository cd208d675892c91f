from __future__ import annotations

import pytest
from tests.unit.config.conftest import Load, Problems

RULE = """
rule: shop-down
doc: The shop fails its probe.
when: {{probe: {{event: http.probe}}}}
incident: {{type: service-down, severity: critical, title: down}}
clears: {{after: 1h}}
contain: [{step}]
"""
PLAYBOOK = """
playbook: page-around
doc: The page goes up, the unit restarts.
params: {unit: {type: unit-name}}
steps: [{do: page-up}, {do: restart-unit, with: {unit: $unit}}]
"""


@pytest.mark.parametrize(
    "step",
    [
        "{do: restart-unit, with: {unit: $service.unit}}",
        "{do: restart-unit, at: web2, with: {unit: $probe.data.error}}",
        "{do: restart-unit, with: {unit: $incident.id}}",
        "{do: page-around, with: {unit: $service.unit}}",
        "{do: page-up, hold: 10m}",
        "{do: purge, with: {zone: us}}",
    ],
)
def test_a_step_that_fits_is_built(snapshot: Load, step: str) -> None:
    assert len(snapshot(PLAYBOOK, RULE.format(step=step)).rules["shop-down"].contain) == 1


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ("{do: page-around}", "page-around needs `unit`"),
        ("{do: page-around, with: {unit: $service.unit}, hold: forever}", "nothing takes restart-unit back"),
        ("{do: page-up, with: {x: 1}}", "page-up has no parameter `x`"),
        ("{do: page-up, at: $host}", "`$host` needs a host"),
        ("{do: page-up, at: $service}", "is no target"),
        ("{do: page-up, at: '$service.hosts '}", "is no target"),
        ("{do: page-up, at: shop}", "unknown host `shop`"),
        ("{do: page-up, at: local}", "unknown host `local`"),
        ("{do: page-up, at: -oProxyCommand=x}", "unknown host"),
        ("{do: restart-unit, with: {unit: $secret.ssh-key}}", "a secret never leaves holdfast.yaml"),
        ("{do: restart-unit, with: {unit: $service.hosts}}", "is a list"),
        ("{do: restart-unit, with: {unit: '$(reboot)'}}", "a lone $"),
        ("{do: shop-down}", "unknown action `shop-down`"),
    ],
)
def test_a_step_that_does_not_fit_says_why(problems: Problems, step: str, says: str) -> None:
    (line,) = problems(PLAYBOOK, RULE.format(step=step))

    assert says in line


def test_a_wrong_action_is_not_unknown_as_well(problems: Problems) -> None:
    wrong = "action: broken\ndoc: x\nssh: {argv: [x]}\ntouches: [availability]\nrisk: low\n"

    (line,) = problems(wrong, RULE.format(step="{do: broken, with: {a: 1}}"))

    assert "`undo` is missing" in line


def test_while_a_file_cannot_be_read_no_action_is_called_unknown(problems: Problems) -> None:
    (line,) = problems("action: [", RULE.format(step="{do: somewhere-else}"))

    assert line.startswith("rules/document0.yaml:1")
