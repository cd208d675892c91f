"""A plan as a person reads it before saying yes: exactly what runs where, and how it is undone."""

from __future__ import annotations

from typing import Final

from holdfast.gate.basis import plan_hash
from holdfast.gate.wording import LINE_MAX, NAME_MAX, clean, command, span
from holdfast.model.actions import Plan, PlannedStep, Risk, Touches

_COMMAND_MAX: Final = 600
_STEPS_SHOWN: Final = 8


def summary(plan: Plan) -> str:
    """Return a plan in one line: its name, its targets and the first eight digits of its hash."""
    targets = list(dict.fromkeys(step.target for step in plan.steps))
    where = clean(", ".join(targets), LINE_MAX) if targets else "nothing"
    return f"{clean(plan.name, NAME_MAX)} on {where} (plan {plan_hash(plan)[:8]})"


def plan_lines(plan: Plan) -> list[str]:
    """Return the impact, every command with its target and its undo, and how long it lasts.

    What does not fit is counted, never left out in silence.
    """
    lines = [f"  impact: {_impact(plan)}"]
    for number, step in enumerate(plan.steps[:_STEPS_SHOWN], start=1):
        lines += _step(number, step)
    hidden = len(plan.steps) - _STEPS_SHOWN
    if hidden > 0:
        lines.append(f"  … and {hidden} more steps: the server shows them all")
    if plan.hold is not None:
        length = f" ({span(plan.hold_for)})" if plan.hold_for is not None else ""
        lines.append(f"  lasts: {clean(plan.hold, NAME_MAX)}{length}")
    return lines


def _step(number: int, step: PlannedStep) -> list[str]:
    lines = [f"  {number}. on {clean(step.target, NAME_MAX)}: {command(step.argv, _COMMAND_MAX)}"]
    if step.skip_if is not None:
        lines.append(f"     left out where this succeeds: {command(step.skip_if, _COMMAND_MAX)}")
    return [*lines, f"     undone by: {_undo(step)}"]


def _undo(step: PlannedStep) -> str:
    if not step.undo:
        return "nothing, it cannot be undone" if step.irreversible else "nothing, no undo is declared"
    shown = [
        f"{command(back.argv, _COMMAND_MAX)} on {clean(back.target, NAME_MAX)}"
        for back in step.undo[:_STEPS_SHOWN]
    ]
    hidden = len(step.undo) - len(shown)
    return ", then ".join([*shown, *([f"{hidden} more steps"] if hidden else [])])


def _impact(plan: Plan) -> str:
    risk = max((step.risk for step in plan.steps), key=lambda item: item.rank, default=Risk.LOW)
    touched = {touches for step in plan.steps for touches in step.touches}
    names = [str(touches) for touches in Touches if touches in touched]
    return f"risk {risk}, touches {', '.join(names) or 'nothing'}"
