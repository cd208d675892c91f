"""The config repository that every workload of the bench runs on: real rules, real actions, real policies.

Plain text and the standard library, so that the harness's own Python can write it too. bench/README.md
shows what it comes to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

SOURCE: Final = "bench"

_SITE: Final = """format: 1
sources:
  {source}: {{kind: webhook, trust: high}}      # without a secret: heard from this machine only
{estate}"""

_ALARM: Final = """rule: alarm-{k}
doc: Each alarm {k} above 90 is an incident of its own, and runs one command.
mode: auto
when: {{e: {{event: {event}, where: {{data.value: {{gt: {above}}}}}}}}}
per: [id]
incident: {{type: bench, severity: error, title: "alarm {k} of $e.data.host", key: [$e.id]}}
clears: {{after: 1h}}
contain:
  - {{do: {action}, with: {{id: $e.id}}{at}}}
"""

_COUNTED: Final = """rule: many-5xx
doc: Three server errors of one host within a minute are an incident.
mode: auto
when: {e: {event: http_5xx, count: 3, within: 60s}}
per: [data.host]
incident: {type: bench, severity: error, title: "$e.data.host fails", key: [$e.id]}
clears: {after: 1h}
contain:
  - {do: write-host, with: {host: $e.data.host}}
"""

_ACTION: Final = """action: {name}
doc: {doc}
{way}: {{argv: [/bin/sh, -c, '{script}', bench, ${param}, {log}]}}
params: {{{param}: {{type: {kind}}}}}
verify: none
undo: none
touches: [availability]
idempotent: true
risk: low
deadline: 20s
fresh: none
"""

_ENVELOPE: Final = """policy: bench-envelope
doc: What the bench does is allowed by itself.
envelope: {incident_type: bench, allow: {risk: low, touches: [availability]}}
"""

_UNLIMITED: Final = """---
policy: bench-rate
doc: The bench acts far more often than three times an hour.
limit: {per: [action, target], max: 100000, within: 1h}
replaces: builtin-rate
---
policy: bench-targets
doc: The bench acts on one machine all the time.
blast-radius: {of: service, at_once: 100000}
replaces: builtin-one-target
---
policy: bench-group
doc: The same for groups.
blast-radius: {of: group, at_once: 100000}
replaces: builtin-blast-radius
"""


def write(
    root: Path,
    workload: str,
    rules: int,
    log: Path,
    *,
    limits: bool = False,
    estate: str = "",
    one_type: bool = False,
) -> Path:
    """Write the repository of a workload under `root` and return it.

    `limits` leaves the built-in limits in force. `estate` is the block of that name with one host `web1`:
    then the action runs there over SSH. `one_type` makes every rule look at every alarm; only the first
    can ever hold.
    """
    way = "ssh" if estate else "local"
    script = 'date "+$$1 %s.%N" >> "$$2"' if workload == "W2" else 'echo "$$1" >> "$$2"'
    if workload == "W3":
        rulebook = [_COUNTED]
        action = ("write-host", "Append the name of a host to a file.", "host", "host-name")
    else:
        rulebook = [_alarm(k, at=", at: web1" if estate else "", one_type=one_type) for k in range(rules)]
        action = ("write-id", "Append a number to a file.", "id", "int")
    name, doc, param, kind = action
    files = {
        "holdfast.yaml": _SITE.format(source=SOURCE, estate=estate),
        "rules/alarms.yaml": "---\n".join(rulebook),
        "rules/actions.yaml": _ACTION.format(
            name=name, doc=doc, param=param, kind=kind, way=way, script=script, log=log
        ),
        "policies/bench.yaml": _ENVELOPE + ("" if limits else _UNLIMITED),
    }
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


def _alarm(k: int, *, at: str, one_type: bool) -> str:
    event = "alarm_0" if one_type else f"alarm_{k}"
    above = 90 if k == 0 or not one_type else 1000 + k
    return _ALARM.format(k=k, event=event, above=above, action="write-id", at=at)
