"""What a rule does: `contain`, `then`, questions and their choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.config.build_conditions import Reader
from holdfast.config.build_site import Site
from holdfast.config.catalog import Catalog, check_do, read_values
from holdfast.config.fields import of_outcome
from holdfast.config.references import BadReference, duration, reference, text
from holdfast.config.scope import Scope
from holdfast.config.tree import Path, Sheet, quoted
from holdfast.model.actions import Connector
from holdfast.model.rules import Ask, Do, Hold, HoldKind
from holdfast.model.values import Ref, Text

#: Understood at every question, whatever its choices are: run nothing.
_DENY = "deny"


@dataclass(frozen=True, slots=True)
class Steps:
    """Reads the steps of one rule; problems are written on its sheet."""

    sheet: Sheet
    scope: Scope
    catalog: Catalog
    site: Site

    def contain(
        self, items: Sequence[Mapping[str, Any]], then: Sequence[Mapping[str, Any]]
    ) -> tuple[Do, ...]:
        """The containments; `then` is looked at for the question that a hold waits for."""
        asks = any("ask" in item for item in then)
        return tuple(self._do(("contain", place), item, asks=asks) for place, item in enumerate(items))

    def then(self, items: Sequence[Mapping[str, Any]]) -> tuple[Ask | Do, ...]:
        """Questions and fuller steps."""
        found: list[Ask | Do] = []
        for place, item in enumerate(items):
            path: Path = ("then", place)
            found.append(self._ask(path, item) if "ask" in item else self._do(path, item))
        return tuple(found)

    def _do(self, path: Path, data: Mapping[str, Any], *, asks: bool = False) -> Do:
        values = read_values(self.sheet, (*path, "with"), data.get("with", {}), self.scope.flaw)
        check_do(self.sheet, path, data, values, self.catalog)
        hold = self._hold((*path, "hold"), data, asks=asks) if "hold" in data else None
        return Do(data["do"], self._target(path, data), values, hold)

    def _target(self, path: Path, data: Mapping[str, Any]) -> Ref | str | None:
        at = data.get("at")
        leaves = self.catalog.leaves(data["do"])
        remote = any(leaf.connector is Connector.SSH for leaf in leaves)
        if at is None:
            flaw = self.scope.target_flaw("$service.hosts", None) if remote else None
            if flaw:
                self.sheet.say((*path, "do"), f"without `at` it runs on the hosts of the service: {flaw}")
            return None
        if leaves and not remote:
            self.sheet.say((*path, "at"), "it runs on the machine of Holdfast (leave `at` out)")
            return None
        flaw = self.scope.target_flaw(at, self.site.names("hosts"))
        if flaw:
            self.sheet.say((*path, "at"), flaw)
            return None
        return reference(at) if at.startswith("$") else str(at)

    def _hold(self, path: Path, data: Mapping[str, Any], *, asks: bool) -> Hold:
        word = data["hold"]
        if word == HoldKind.UNTIL_ANSWERED and not asks:
            self.sheet.say(path, "`until-answered` waits for a question, and `then` has none (add an `ask`)")
        for leaf in self.catalog.leaves(data["do"]):
            if leaf.undo is None:
                right = "give it an `undo`, or leave `hold` out"
                self.sheet.say(path, f"when the hold ends, nothing takes {leaf.name} back ({right})")
        if word in {HoldKind.UNTIL_CLEAR, HoldKind.UNTIL_ANSWERED, HoldKind.FOREVER}:
            return Hold(HoldKind(word))
        return Hold(HoldKind.DURATION, duration(word))

    def _ask(self, path: Path, data: Mapping[str, Any]) -> Ask:
        choices: dict[str, Do | None] = {}
        for name, item in data["choices"].items():
            here = (*path, "choices", name)
            choices[name] = self._do(here, item) if item else None
            if name == _DENY and item:
                self.sheet.say(
                    here,
                    "`deny` always means that nothing runs (name the choice after what it does)",
                    key=True,
                )
        if data["silence"] not in choices:
            quiet = ", ".join(name for name, do in choices.items() if do is None) or "add `wait: {}`"
            right = f"name a choice that does nothing: {quiet}"
            self.sheet.say((*path, "silence"), f"{quoted(data['silence'])} is no choice ({right})")
        elif choices[data["silence"]] is not None:
            self.sheet.say((*path, "silence"), "silence never acts (name a choice that is `{}`)")
        condition = (
            Reader(self.sheet, of_outcome).condition((*path, "if"), data["if"]) if "if" in data else None
        )
        question = read_text(self.sheet, (*path, "ask"), data["ask"], self.scope, incident=True)
        return Ask(question, choices, data["silence"], duration(data["within"]), condition)


def read_text(sheet: Sheet, path: Path, template: str, scope: Scope, *, incident: bool) -> Text:
    """A title or question whose references all exist; problems are written down."""
    try:
        read = text(template)
    except BadReference as error:
        sheet.say(path, str(error))
        return Text(())
    for part in read.parts:
        flaw = scope.flaw(part, incident=incident) if isinstance(part, Ref) else None
        if flaw:
            sheet.say(path, flaw)
    return read
