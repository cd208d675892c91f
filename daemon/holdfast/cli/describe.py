"""Rules in words: what a pattern waits for, and what a rule then does. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.match.explain import shown, span
from holdfast.model.conditions import AllOf, AnyOf, Compare, Condition, Not, Op, Over
from holdfast.model.rules import Ask, Do, Guard, Hold, HoldKind, Pattern, Quiet, Rule
from holdfast.model.values import Ref, Value


def when(rule: Rule) -> str:
    """What makes the rule fire."""
    return pattern(rule.when)


def unless(guard: Guard) -> str:
    """What holds the rule back."""
    joins = "".join(f", {path} the same as {ref}" for path, ref in guard.join)
    return f"{pattern(guard.pattern)} in the last {span(guard.within)}{joins}: then it would {guard.effect}"


def clears(rule: Rule) -> str:
    """What ends its incident."""
    if isinstance(rule.clears, Quiet):
        return f"nothing for {span(rule.clears.after)}"
    return pattern(rule.clears)


def does(rule: Rule) -> tuple[str, ...]:
    """What the rule does, one line for each thing, in order."""
    contain = [f"contain: {do(item)}" for item in rule.contain]
    then = [f"then: {ask(item) if isinstance(item, Ask) else do(item)}" for item in rule.then]
    return (*contain, *then) or ("records only",)


def pattern(item: Pattern) -> str:
    """An event type, its condition, and how often."""
    where = condition(item.where)
    demand = ""
    if item.streak:
        demand = f", {item.streak} in a row"
    elif item.count:
        what = f"different {item.distinct}" if item.distinct else "times"
        demand = f", {item.count} {what} within {span(item.within or 0)}"
    return f"{item.event}{f' where {where}' if where else ''}{demand}"


def condition(item: Condition, *, nested: bool = False) -> str:
    """A condition on one line; of no items, empty."""
    match item:
        case Compare():
            return _compare(item)
        case AllOf(items):
            text = " and ".join(condition(part, nested=True) for part in items)
            return f"({text})" if nested and len(items) > 1 else text
        case AnyOf(items):
            text = " or ".join(condition(part, nested=True) for part in items) or "never"
            return f"({text})" if nested and len(items) > 1 else text
        case Not(inner):
            return f"not {condition(inner, nested=True) or 'always'}"


def do(item: Do) -> str:
    """One action with its target, parameters and hold."""
    at = f" at {item.at}" if item.at is not None else ""
    return f"{item.action}{_params(item.params)}{at}{_hold(item.hold)}"


def ask(item: Ask) -> str:
    """One question with its choices and what silence means."""
    choices = ", ".join(f"{name}{f' ({do(what)})' if what else ''}" for name, what in item.choices.items())
    only = f" if {condition(item.condition)}" if item.condition is not None else ""
    return f"ask{only}: {item.question} {choices}; silence for {span(item.within)} is {item.silence}"


def _compare(item: Compare) -> str:
    over = "" if item.over is Over.VALUE else f"{item.over} of "
    fold = " (any case)" if item.fold else ""
    if isinstance(item.operand, tuple):
        operand = f"[{', '.join(shown(value) for value in item.operand)}]"
    elif isinstance(item.operand, Ref):
        operand = str(item.operand)
    else:
        operand = shown(item.operand)
    op = "is" if item.op is Op.EQ else str(item.op)
    return f"{over}{item.path} {op} {operand}{fold}"


def _params(params: Mapping[str, Value]) -> str:
    if not params:
        return ""
    return f" ({', '.join(f'{name}={value}' for name, value in params.items())})"


def _hold(hold: Hold | None) -> str:
    if hold is None:
        return ""
    if hold.kind is HoldKind.DURATION:
        return f", held for {span(hold.duration or 0)}"
    return f", held {hold.kind}"
