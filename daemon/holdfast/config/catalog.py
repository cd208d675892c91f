"""Actions and playbooks by their one name, and whether a `do` fits what it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.config.params import misfit
from holdfast.config.references import BadReference, value
from holdfast.config.shape import did_you_mean
from holdfast.config.tree import Path, Sheet, quoted
from holdfast.model.actions import Action, Param, Playbook
from holdfast.model.values import Ref, Value

#: Why a reference cannot stand here, or None.
RefFlaw = Callable[[Ref], str | None]


@dataclass(frozen=True, slots=True)
class Catalog:
    """What can be done. `declared` holds the names of wrong documents too, and None where some
    document could not be read: then no name can be called unknown."""

    actions: Mapping[str, Action]
    playbooks: Mapping[str, Playbook]
    declared: frozenset[str] | None

    def params(self, name: str) -> Mapping[str, Param] | None:
        """The parameters of an action or playbook, or None where it is not known."""
        found = self.actions.get(name) or self.playbooks.get(name)
        return found.params if found else None

    def leaves(self, name: str) -> tuple[Action, ...]:
        """Every action that the name runs in the end, each once."""
        found: dict[str, Action] = {}
        seen, waiting = {name}, [name]
        while waiting:
            here = waiting.pop()
            if here in self.actions:
                found[here] = self.actions[here]
            elif here in self.playbooks:
                calls = {step.action for step in self.playbooks[here].steps} - seen
                seen |= calls
                waiting += sorted(calls)
        return tuple(found.values())


def read_values(sheet: Sheet, path: Path, data: Mapping[str, Any], ref_flaw: RefFlaw) -> dict[str, Value]:
    """The values of `with`; a wrong one is written down and left out."""
    found: dict[str, Value] = {}
    for name, item in data.items():
        try:
            read = value(item)
        except BadReference as error:
            sheet.say((*path, name), str(error))
            continue
        flaw = ref_flaw(read) if isinstance(read, Ref) else None
        if flaw:
            sheet.say((*path, name), flaw)
            continue
        found[name] = read
    return found


def check_do(
    sheet: Sheet, path: Path, data: Mapping[str, Any], values: Mapping[str, Value], catalog: Catalog
) -> None:
    """Write down an unknown action, missing and unknown parameters, and literals that can never pass."""
    name = data["do"]
    if catalog.declared is not None and name not in catalog.declared:
        sheet.say((*path, "do"), f"unknown action {quoted(name)}{did_you_mean(name, catalog.declared)}")
    params = catalog.params(name)
    if params is None:
        return
    given: Mapping[str, Any] = data.get("with", {})
    for param in params:
        if param not in given:
            sheet.say(path, f"{name} needs `{param}` (add it to `with`)")
    for key in given:
        if key not in params:
            sheet.say(
                (*path, "with", key),
                f"{name} has no parameter {quoted(key)}{did_you_mean(key, params)}",
                key=True,
            )
        elif key in values and not isinstance(read := values[key], Ref):
            flaw = misfit(params[key], read)
            if flaw:
                sheet.say((*path, "with", key), flaw)
