"""What the engine process answered about one event, held against the native matcher."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.match.durable.facts import Native
from holdfast.match.durable.program import Answer
from holdfast.match.engine import Findings
from holdfast.model.values import Fact, Truth


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The findings that count. `different` names the patterns of which the engine was wrong."""

    findings: Findings
    compared: int
    different: tuple[str, ...]


def confirm(
    keys: Iterable[str], answers: Iterable[Answer], fact: Fact, native: Native, *, everything: bool
) -> Confirmed:
    """Native looks at every pattern that the engine holds for true, or at everything; its word counts."""
    findings = dict.fromkeys(keys, Truth.UNKNOWN)
    different: list[str] = []
    for answer in set(answers):
        if findings.get(answer.key) is not Truth.UNKNOWN:
            different.append(answer.key)  # both true and false, or about another type
        findings[answer.key] = answer.truth
    compared = 0
    for key, truth in findings.items():
        if everything or truth is Truth.TRUE or key in different:
            compared += 1
            if native(key, fact) is not truth and key not in different:
                different.append(key)
    if different:
        findings = {key: native(key, fact) for key in keys}
    return Confirmed(findings, compared, tuple(different))
