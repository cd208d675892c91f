"""Why a rule matches an event, and why it does not: every condition with the value that was seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import log10
from typing import Final

from holdfast.conditions import Checked, Missing, split_join, trace
from holdfast.match.engine import fits
from holdfast.model.events import Event
from holdfast.model.rules import Guard, Pattern, Rule
from holdfast.model.values import DAY, HOUR, MINUTE, SECOND, Json, Millis, Truth

_MAX_SHOWN: Final = 120
_MAX_LISTED: Final = 5


class Role(StrEnum):
    """What a pattern does in its rule."""

    WHEN = "when"
    UNLESS = "unless"
    CLEARS = "clears"


@dataclass(frozen=True, slots=True)
class PatternExplained:
    """One pattern of a rule against one event.

    `truth` is None where the event is not of the pattern's type, and there are no `checks` then.
    `demand` says what beside the conditions it takes; `needed` is how many events in all, `before` how
    many of them are known from before this event, `missing` how many are to come after it.
    """

    role: Role
    alias: str
    event: str
    fits: bool
    truth: Truth | None
    checks: tuple[Checked, ...]
    demand: str
    needed: int
    before: int
    missing: int


@dataclass(frozen=True, slots=True)
class RuleExplained:
    """One rule against one event. `where` is the file and line of the rule, for people."""

    rule: str
    where: str
    mode: str
    patterns: tuple[PatternExplained, ...]


def explain(
    rules: Iterable[Rule], event: Event, *, progress: Mapping[str, int] | None = None
) -> tuple[RuleExplained, ...]:
    """Each rule in turn; `progress` gives, by pattern key, how many events counted before this one."""
    return tuple(
        RuleExplained(rule.name, rule.where, str(rule.mode), tuple(_patterns(rule, event, progress or {})))
        for rule in rules
    )


def _patterns(rule: Rule, event: Event, progress: Mapping[str, int]) -> Iterator[PatternExplained]:
    yield _pattern(Role.WHEN, rule.when, event, progress, "")
    for guard in rule.unless:
        yield _pattern(Role.UNLESS, guard.pattern, event, progress, _reach(guard))
    if isinstance(rule.clears, Pattern):
        yield _pattern(Role.CLEARS, rule.clears, event, progress, "")
    else:
        demand = f"clears by itself after {span(rule.clears.after)} without a firing"
        yield PatternExplained(Role.CLEARS, "", "", False, None, (), demand, 0, 0, 0)


def _pattern(
    role: Role, pattern: Pattern, event: Event, progress: Mapping[str, int], reach: str
) -> PatternExplained:
    where = split_join(pattern.where)[0] if role is Role.UNLESS else pattern.where
    about = fits(pattern.event, event.type)
    checks = trace(where, event.fact()) if about else ()
    truth = checks[0].truth if about else None
    needed = pattern.streak or pattern.count or 1
    before = min(progress.get(pattern.key, 0), needed)
    if pattern.streak and truth is Truth.FALSE:
        missing = needed
    else:
        missing = max(0, needed - before - (truth is Truth.TRUE))
    demand = ", ".join(part for part in (_demand(pattern), reach) if part)
    return PatternExplained(
        role, pattern.alias, pattern.event, about, truth, checks, demand, needed, before, missing
    )


def _demand(pattern: Pattern) -> str:
    if pattern.streak:
        return f"{pattern.streak} in a row from one source"
    if pattern.count:
        what = (
            f"{pattern.count} different values of {pattern.distinct}" if pattern.distinct else pattern.count
        )
        return f"{what} within {span(pattern.within or 0)}"
    return ""


def _reach(guard: Guard) -> str:
    joins = (*guard.join, *split_join(guard.pattern.where)[1])
    same = ", ".join(f"{path} the same as {ref}" for path, ref in joins)
    return f"in the last {span(guard.within)} ({same or 'of any origin'}), then it would {guard.effect}"


def render(explained: Iterable[RuleExplained]) -> list[str]:
    """The explanation as lines of plain text; values are shortened and hold no control characters."""
    lines: list[str] = []
    for rule in explained:
        lines.append(f"rule {rule.rule}, mode {rule.mode}" + (f" ({rule.where})" if rule.where else ""))
        for pattern in rule.patterns:
            lines.extend(_lines(pattern))
    return lines


def _lines(pattern: PatternExplained) -> Iterator[str]:
    head = f"  {pattern.role} {pattern.alias}".rstrip()
    if not pattern.event:
        yield f"{head}: {pattern.demand}"
        return
    if pattern.truth is None:
        yield f"{head}: about {pattern.event}, so this event does not touch it"
        return
    yield f"{head}: {pattern.truth}, about {pattern.event}"
    for check in pattern.checks:
        indent = "  " * check.depth
        asked = f"{check.path} {check.op} {shown(check.operand)}: saw {shown(check.seen)}"
        yield f"    {check.truth:<8}{indent}{asked if check.path else check.op}"
    if pattern.demand:
        yield f"    takes {pattern.demand}{_progress(pattern)}"


def _progress(pattern: PatternExplained) -> str:
    if pattern.needed == 1:
        return ""
    so_far = pattern.needed - pattern.missing
    if pattern.missing:
        return f"; {so_far} so far with this event, {pattern.missing} more to come"
    return f"; {so_far} with this event, which is enough"


def span(millis: Millis) -> str:
    """A span as people write it in rules: 90s, 10m, 1h."""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")):
        if millis and millis % unit == 0:
            return f"{millis // unit}{name}"
    return f"{millis}ms"


def shown(value: Json | Missing) -> str:
    """A value in at most one short line, whatever an event put there."""
    match value:
        case list() if len(value) <= _MAX_LISTED and not any(isinstance(item, list | dict) for item in value):
            return f"[{', '.join(map(shown, value))}]"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return f"an object of {len(value)}"
        case str():
            cut = value[:_MAX_SHOWN]
            more = f" (and {len(value) - len(cut)} more characters)" if len(value) > len(cut) else ""
            return repr(cut) + more
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[value]
        case int() if value.bit_length() > 256:
            return f"a number of about {int(value.bit_length() * log10(2)) + 1} digits"
        case int() | float():
            return repr(value)
        case _:
            return "nothing"
