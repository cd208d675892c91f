"""What an answer is bound to: when it changes between the card and the answer, the answer is void."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from holdfast.model.actions import Plan, PlannedStep
from holdfast.model.policies import Verdict
from holdfast.model.records import Choice, IncidentState

_ABSENT: Final = "none"
_PART_LENGTH: Final = 32  # hex digits: 128 bits for each part


@dataclass(frozen=True, slots=True)
class Basis:
    """The four things that the person who answers took for granted.

    `plans` pairs each choice that runs something with the hash of its plan, `runs` are the ids of other
    runs that are not over on the same targets, `verdict` is who spoke and how, not in which words:
    a count that moves inside a sentence changes nothing.
    """

    plans: tuple[tuple[str, str], ...]
    incident: str
    runs: tuple[str, ...]
    verdict: str

    @property
    def digest(self) -> str:
        """`plans=…;incident=…;runs=…;verdict=…`, each part hashed by itself, so that `changed` can tell
        from two digests what is different."""
        parts = {
            "plans": _sha256(self.plans),
            "incident": _sha256(self.incident),
            "runs": _sha256(self.runs),
            "verdict": _sha256(self.verdict),
        }
        return ";".join(f"{name}={value[:_PART_LENGTH]}" for name, value in parts.items())


def plan_hash(plan: Plan) -> str:
    """Return the SHA-256, in hex, of the plan as canonical JSON.

    Equal plans hash alike whatever the order of their parameters and touches, before and after they
    were stored.
    """
    stored = msgspec.json.decode(msgspec.json.encode(_ordered(plan)), type=Plan)
    return _sha256(stored)


def state_class(state: IncidentState) -> str:
    """Return `firing` or `over`: all that an answer depends on."""
    return "firing" if state is IncidentState.OPEN else "over"


def basis(
    choices: Sequence[Choice],
    state: IncidentState,
    other_runs: Sequence[str],
    verdict: Verdict | None,
) -> Basis:
    """Return what an answer to these choices rests on.

    The verdict is the one without an approval, at the card and at the answer alike.
    """
    plans = ((choice.name, plan_hash(choice.plan)) for choice in choices if choice.plan is not None)
    return Basis(
        plans=tuple(sorted(plans)),
        incident=state_class(state),
        runs=tuple(sorted(set(other_runs))),
        verdict=_spoken(verdict),
    )


def changed(old: str, new: Basis) -> str:
    """Return one sentence that says what is different from the basis whose digest was `old`, or ""
    where nothing is."""
    before, after = _parts(old), _parts(new.digest)
    sentences = {
        "plans": "the commands that would run",
        "incident": f"the state of the incident (now {'over' if new.incident == 'over' else 'firing'})",
        "runs": _runs_now(new.runs),
        "verdict": "what the policies say",
    }
    differing = [words for name, words in sentences.items() if before.get(name) != after[name]]
    return f"Changed since the last card: {', '.join(differing)}." if differing else ""


def _runs_now(runs: tuple[str, ...]) -> str:
    named = f"now: {', '.join(runs)}" if runs else "now none"
    return f"other runs on the same targets ({named})"


def _parts(digest: str) -> dict[str, str]:
    return {name: value for name, _, value in (part.partition("=") for part in digest.split(";"))}


def _spoken(verdict: Verdict | None) -> str:
    if verdict is None:
        return _ABSENT
    voices = sorted({f"{voice.policy}={voice.effect}" for voice in verdict.voices})
    return "; ".join((str(verdict.effect), str(verdict.category), *voices))


def _ordered(plan: Plan) -> Plan:
    return replace(plan, steps=tuple(_ordered_step(step) for step in plan.steps))


def _ordered_step(step: PlannedStep) -> PlannedStep:
    undo = tuple(_ordered_step(inner) for inner in step.undo)
    return replace(step, touches=tuple(sorted(set(step.touches))), undo=undo)


def _sha256(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
