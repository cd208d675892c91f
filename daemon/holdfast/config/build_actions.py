"""`action:` and `playbook:` documents, and the checks that need both."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from holdfast.config import params as typed
from holdfast.config.build_site import Site, own_ips, unknown
from holdfast.config.catalog import Catalog, RefFlaw, check_do, read_values
from holdfast.config.papers import Papers
from holdfast.config.references import BadReference, duration, value
from holdfast.config.shape import did_you_mean
from holdfast.config.tree import Path, Sheet, quoted
from holdfast.model.actions import Action, Connector, Param, Playbook, Retry, Risk, Touches, Verify
from holdfast.model.rules import Do
from holdfast.model.values import MINUTE, SECOND, Ref

#: More steps than that on one target are not planned.
MAX_STEPS: Final = 200
_ENOUGH: Final = 1_000_000
_NONE: Final = "none"
_SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "ash", "ksh"})


def build_catalog(papers: Papers, site: Site) -> Catalog:
    """Every action and playbook, checked by itself and against one another."""
    actions = {name: _action(sheet, name, site) for name, sheet in papers.of("action").items()}
    playbooks = {name: _playbook(sheet, name, site) for name, sheet in papers.of("playbook").items()}
    names = frozenset(papers.declared["action"] | papers.declared["playbook"])
    catalog = Catalog(actions, playbooks, names if papers.complete else None)
    for name, sheet in papers.of("action").items():
        undo = sheet.document.data["undo"]
        if isinstance(undo, dict):
            values = actions[name].undo
            check_do(sheet, ("undo",), undo, values.params if values else {}, catalog)
    for name, sheet in papers.of("playbook").items():
        steps: Any = sheet.document.data["steps"]
        for place, step in enumerate(steps):
            check_do(sheet, ("steps", place), step, playbooks[name].steps[place].params, catalog)
    _refuse_cycles(papers, playbooks)
    _refuse_too_many(papers, playbooks)
    return catalog


def _action(sheet: Sheet, name: str, site: Site) -> Action:
    data: Mapping[str, Any] = sheet.document.data
    params = typed.build(sheet, own_ips(site))
    connector = Connector.SSH if "ssh" in data else Connector.LOCAL
    skip_if = data.get("skip_if", _NONE)
    risk, irreversible = Risk(data["risk"]), data.get("irreversible", False)
    _check_undo(sheet, data["undo"], risk, irreversible=irreversible)
    return Action(
        name=name,
        doc=data["doc"],
        connector=connector,
        argv=_argv(sheet, (str(connector), "argv"), data[connector]["argv"], params),
        touches=frozenset(map(Touches, data["touches"])),
        risk=risk,
        params=params,
        skip_if=None if skip_if == _NONE else _argv(sheet, ("skip_if",), skip_if, params),
        verify=_verify(data.get("verify", {})),
        undo=_undo(sheet, data["undo"], params),
        irreversible=irreversible,
        idempotent=data.get("idempotent", False),
        deadline=duration(data["deadline"]) if "deadline" in data else MINUTE,
        retry=_retry(data.get("retry", {})),
        fresh="fresh" not in data,
        where=sheet.document.where,
    )


def _argv(sheet: Sheet, path: Path, items: list[str], params: Mapping[str, Param]) -> tuple[str | Ref, ...]:
    argv: list[str | Ref] = []
    for place, item in enumerate(items):
        here = (*path, place)
        try:
            read = value(item)
        except BadReference as error:
            sheet.say(here, str(error))
            continue
        if isinstance(read, Ref):
            flaw = param_flaw(params)(read) or _misplaced(argv)
            if flaw:
                sheet.say(here, flaw)
        argv.append(read if isinstance(read, Ref) else str(read))
    return tuple(argv)


def _misplaced(before: list[str | Ref]) -> str | None:
    """Why a parameter cannot follow these arguments: what is run is fixed, and no shell reads a value."""
    if not before:
        return "the program itself cannot be a parameter (write it out)"
    shell = any(isinstance(item, str) and PurePosixPath(item).name in _SHELLS for item in before)
    last = before[-1]
    if shell and isinstance(last, str) and last.startswith("-") and last.endswith("c"):
        return "a parameter never becomes shell text (write [sh, -c, '… \"$$1\"', --, $x])"
    return None


def param_flaw(params: Mapping[str, Param]) -> RefFlaw:
    """The check of references where only the document's own parameters are known."""

    def flaw(ref: Ref) -> str | None:
        if ref.alias in params and not ref.path:
            return None
        hint = did_you_mean(ref.alias, params) or " (declare it under params)"
        return f"{quoted(str(ref))} is no parameter{hint}"

    return flaw


def _check_undo(sheet: Sheet, undo: Any, risk: Risk, *, irreversible: bool) -> None:
    if undo == _NONE and risk is not Risk.LOW and not irreversible:
        message = f"`undo: none` at {risk} risk (name what takes it back, or say `irreversible: true`)"
        sheet.say(("undo",), message)
    if undo != _NONE and irreversible:
        sheet.say(("irreversible",), "it has an `undo`, so it is not irreversible (leave one out)")


def _undo(sheet: Sheet, undo: Any, params: Mapping[str, Param]) -> Do | None:
    if undo == _NONE:
        return None
    return Do(
        undo["do"], params=read_values(sheet, ("undo", "with"), undo.get("with", {}), param_flaw(params))
    )


def _verify(data: Any) -> Verify | None:
    if data == _NONE:
        return None
    return Verify(duration(data.get("within", "90s")), duration(data.get("steady", "30s")))


def _retry(data: Mapping[str, Any]) -> Retry:
    return Retry(
        attempts=data.get("attempts", 1),
        backoff=duration(data["backoff"]) if "backoff" in data else 2 * SECOND,
        factor=float(data.get("factor", 2)),
        jitter=data.get("jitter", True),
    )


def _playbook(sheet: Sheet, name: str, site: Site) -> Playbook:
    data: Mapping[str, Any] = sheet.document.data
    params = typed.build(sheet, own_ips(site))
    steps = []
    for place, step in enumerate(data["steps"]):
        path: Path = ("steps", place)
        if "at" in step:
            unknown(sheet, (*path, "at"), "host", step["at"], site.names("hosts"))
        values = read_values(sheet, (*path, "with"), step.get("with", {}), param_flaw(params))
        steps.append(Do(step["do"], step.get("at"), values))
    return Playbook(name, data["doc"], tuple(steps), params, sheet.document.where)


def _refuse_cycles(papers: Papers, playbooks: Mapping[str, Playbook]) -> None:
    """Write down every playbook that runs itself, once for each way back."""
    for name in sorted(playbooks):
        way = _way_back(playbooks, name)
        if way and name == min(way):
            sheet = papers.of("playbook")[name]
            place = next(
                at for at, step in enumerate(playbooks[name].steps) if step.action == (*way, name)[1]
            )
            message = f"a cycle: {' → '.join((*way, name))} (a playbook cannot run itself)"
            sheet.say(("steps", place, "do"), message)


def _way_back(playbooks: Mapping[str, Playbook], goal: str) -> tuple[str, ...] | None:
    """The shortest way from a playbook back to itself, without its end; None where there is none."""
    ways: dict[str, tuple[str, ...]] = {goal: (goal,)}
    waiting = deque([goal])
    while waiting:
        here = waiting.popleft()
        for step in playbooks[here].steps:
            if step.action == goal:
                return ways[here]
            if step.action in playbooks and step.action not in ways:
                ways[step.action] = (*ways[here], step.action)
                waiting.append(step.action)
    return None


def _refuse_too_many(papers: Papers, playbooks: Mapping[str, Playbook]) -> None:
    """Write down every playbook that would run more steps than a plan may have."""
    counted: dict[str, int] = {}

    def count(name: str) -> int:
        if name not in playbooks:
            return 1
        if name not in counted:
            counted[name] = 0  # a cycle ends where it closes; it is refused by itself
            counted[name] = min(sum(count(step.action) for step in playbooks[name].steps), _ENOUGH)
        return counted[name]

    for name, sheet in papers.of("playbook").items():
        if count(name) > MAX_STEPS:
            sheet.say(("steps",), f"these are more than {MAX_STEPS} steps with those of the playbooks in it")
