"""What is expected and what is there: each difference is a path and a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Final

import msgspec

from holdfast.decide import decisive
from holdfast.model.policies import Effect, Verdict
from holdfast.model.records import Run
from holdfast.model.ruletests import (
    Expect,
    ExpectedIncident,
    ExpectedQuestion,
    ExpectedRun,
)
from holdfast.model.values import Millis
from holdfast.ruletest.stage import BEGIN
from holdfast.store import gates, holds, incidents, runs
from holdfast.store.database import Tx

Item = ExpectedIncident | ExpectedQuestion | ExpectedRun

#: So many of anything are looked at, and shown in a message.
_MOST: Final = 1_000
_SHOWN: Final = 5


def standing(tx: Tx) -> Expect:
    """How everything stands, in the words in which it is expected."""
    found = sorted(incidents.listed(tx, limit=_MOST), key=lambda incident: _place(incident.id))
    proposed = sorted(runs.latest(tx, _MOST), key=lambda run: _place(run.id))
    waiting = sorted(gates.pending(tx), key=lambda gate: _place(gate.id))
    held = sorted(holds.lasting(tx), key=lambda hold: (hold.since, _place(hold.run)))
    return Expect(
        fired=tuple(sorted(incidents.firing_counts(tx))),
        incidents=tuple(
            ExpectedIncident(one.type, one.state, one.severity, one.service, one.subject, one.title)
            for one in found
        ),
        runs=tuple(_run(tx, run) for run in proposed),
        asks=tuple(
            ExpectedQuestion(gate.question, tuple(choice.name for choice in gate.choices)) for gate in waiting
        ),
        holds=tuple(_name(tx, hold.run) for hold in held),
    )


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the timelines: `after` is milliseconds since the story began."""

    after: Millis
    incident: str
    kind: str
    text: str


def story(tx: Tx) -> tuple[Told, ...]:
    """What happened, line by line, as the incidents tell it."""
    lines = [line for _, line in incidents.tail(tx, 0, _MOST)]
    return tuple(Told(line.at - BEGIN, line.incident, line.kind, line.text) for line in lines)


def differences(wanted: Expect, there: Expect) -> Iterator[tuple[str, str]]:
    """(path, what is wrong) of everything that is not as expected."""
    if wanted.fired is not None and set(wanted.fired) != set(there.fired or ()):
        yield (
            "fired",
            f"{_named(there.fired or (), 'no rule')} fired (expected {_named(wanted.fired, 'none')})",
        )
    for name, one in (("incidents", "incident"), ("runs", "run"), ("asks", "open question")):
        expected, found = getattr(wanted, name), getattr(there, name)
        if expected is not None:
            yield from _lists(name, one, expected, found)
    if wanted.holds is not None and wanted.holds != there.holds:
        yield (
            "holds",
            f"{_named(there.holds or (), 'nothing')} is held (expected {_named(wanted.holds, 'nothing')})",
        )


def _place(name: str) -> tuple[int, ...]:
    """When something came about, from its id (i10.2-test): much of a story happens in one millisecond, and
    as text i10 would stand before i9."""
    return tuple(map(int, name[1:].partition("-")[0].split(".")))


def _lists(name: str, one: str, wanted: Sequence[Item], there: Sequence[Item]) -> Iterator[tuple[str, str]]:
    if len(wanted) != len(there):
        shown = "; ".join(_shown(item) for item in there[:_SHOWN])
        more = f"; and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
        count = (
            f"there {'is' if len(there) == 1 else 'are'} {len(there)} {one}{'' if len(there) == 1 else 's'}"
        )
        yield name, f"{count}{f' ({shown}{more})' if there else ''} (expected {len(wanted)})"
        return
    for place, (expected, found) in enumerate(zip(wanted, there, strict=True)):
        for key, value in _said(expected):
            seen = getattr(found, key)
            if seen != value:
                yield f"{name}[{place}].{key}", f"it is {_word(seen)} (expected {_word(value)})"


def _said(item: Item) -> Iterator[tuple[str, object]]:
    """What an item says, by name."""
    for entry in fields(item):
        value = getattr(item, entry.name)
        if value is not None:
            yield entry.name, value


def _run(tx: Tx, run: Run) -> ExpectedRun:
    verdict = _verdict(tx, run)
    return ExpectedRun(
        do=run.plan.name,
        at=tuple(dict.fromkeys(step.target for step in run.plan.steps)),
        verdict=None if verdict is None else Effect(verdict.effect),
        by=None if verdict is None else decisive(verdict).policy,
        state=run.state,
    )


def _verdict(tx: Tx, run: Run) -> Verdict | None:
    """The last one about a run."""
    told = [line for line in incidents.story(tx, run.incident, "decided") if line.data.get("run") == run.id]
    return msgspec.convert(told[-1].data["verdict"], Verdict) if told else None


def _name(tx: Tx, run_id: str) -> str:
    run = runs.find(tx, run_id)
    return "?" if run is None else run.plan.name


def _shown(item: Item) -> str:
    return ", ".join(f"{name} {_word(value)}" for name, value in _said(item))


def _word(value: object) -> str:
    if value is None:
        return "not there"
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return f"`{value}`"


def _named(names: Sequence[str], otherwise: str) -> str:
    return ", ".join(names) or otherwise
