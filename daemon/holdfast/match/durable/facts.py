"""An event as the engine is shown it: a few typed fields that nobody else named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from holdfast.conditions import MISSING, RANKS, lookup
from holdfast.match.closures import Closure, compiled
from holdfast.match.durable.branches import Kind, TypeOf, is_plain, type_of
from holdfast.match.durable.program import BELOW, TYPE, Shown, Slot, Unit
from holdfast.model.values import Fact, Json, Truth

#: Every fact has the same id: one that was left behind in the engine shows at once.
ID: Final = "1"
_VALUES: Final = {TypeOf.TEXT: Kind.TEXT, TypeOf.NUMBER: Kind.NUMBER, TypeOf.BOOL: Kind.BOOL}

_encode: Final = msgspec.json.Encoder().encode

#: The native answer of a pattern, by its key.
Native = Callable[[str, Fact], Truth]


@dataclass(frozen=True, slots=True)
class Asked:
    """One fact for one ruleset, as JSON."""

    ruleset: int
    text: str

    @classmethod
    def about(cls, ruleset: int, shown: Shown) -> Asked:
        """Ask about a fact."""
        return cls(ruleset, _encode({"id": ID, **shown}).decode())


class Projection:
    """Makes the facts of one unit."""

    def __init__(self, unit: Unit, native: Native) -> None:
        self.keys = tuple(unit.keys)
        self._ruleset = unit.ruleset
        self._first = (f"{BELOW}{unit.number}", 1) if unit.below else (TYPE, unit.wanted)
        self._slots: list[tuple[int, Slot]] = list(enumerate(unit.paths()))
        self._features: list[tuple[str, Closure]] = [
            (f"q{number}", compiled(feature.condition)) for number, feature in unit.features.values()
        ]
        self._forced = {key: unit.forced(key) for key in unit.keys}
        self._native = native

    def ask(self, fact: Fact) -> Asked:
        """What the engine is asked about an event."""
        name, value = self._first
        shown: Shown = {name: value}
        for number, slot in self._slots:
            if not _show(shown, number, slot, lookup(fact, slot.path)):
                self._force(shown, slot, fact)
        for field, test in self._features:
            truth = test(fact)
            if truth is not Truth.UNKNOWN:
                shown[field] = int(truth is Truth.TRUE)
        return Asked.about(self._ruleset, shown)

    def _force(self, shown: Shown, slot: Slot, fact: Fact) -> None:
        """A value that cannot be shown: the answers of the patterns that read it are shown instead."""
        for key in slot.keys:
            truth = self._native(key, fact)
            if truth is not Truth.UNKNOWN:
                shown[self._forced[key]] = int(truth is Truth.TRUE)


def _show(shown: Shown, number: int, slot: Slot, value: Json | msgspec.UnsetType) -> bool:
    """Add the views of a value that are tested; False where the value cannot be shown."""
    if value is MISSING:
        return True
    if Kind.SET in slot.kinds:
        shown[f"{Kind.SET}{number}"] = 1
    if Kind.RANK in slot.kinds and isinstance(value, str) and value in RANKS[slot.path]:
        shown[f"{Kind.RANK}{number}"] = RANKS[slot.path][value]
    if not is_plain(value):
        return False
    kind = type_of(value)
    if Kind.TYPE in slot.kinds:
        shown[f"{Kind.TYPE}{number}"] = kind.value
    view = _VALUES.get(kind)
    if view in slot.kinds and isinstance(value, str | int | float):
        shown[f"{view}{number}"] = int(value) if isinstance(value, bool) else value
    return True
