"""`policy:` documents, and the checks that need the rules beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from holdfast.config.build_conditions import Reader
from holdfast.config.build_site import Site
from holdfast.config.catalog import Catalog
from holdfast.config.fields import Known, countable_fields, of_proposal
from holdfast.config.papers import Papers
from holdfast.config.references import duration
from holdfast.config.shape import close_to, did_you_mean
from holdfast.config.tree import Sheet, quoted
from holdfast.model.actions import Risk, Touches
from holdfast.model.conditions import AllOf, Condition
from holdfast.model.policies import BlastOf, BlastRadius, Effect, EffectPolicy, Envelope, Limit, Policy

_BUILT_IN: Final = "builtin-"
#: A built-in limit → the kind of policy that can take its place.
_REPLACED_BY: Final = {
    "builtin-rate": "limit",
    "builtin-one-target": "blast-radius",
    "builtin-blast-radius": "blast-radius",
}
#: An envelope cannot allow these: they always need a human.
_NEVER: Final = frozenset({Touches.DATA, Touches.SCHEMA, Touches.MONEY, Touches.LEGAL})
#: The target of what runs on the machine of Holdfast itself.
_LOCAL: Final = frozenset({"local"})


def build_policies(papers: Papers, site: Site, catalog: Catalog) -> dict[str, Policy]:
    """Every policy, and a word for every rule whose incident has no envelope."""
    known = _known(papers, site, catalog)
    policies = {name: _policy(sheet, name, known) for name, sheet in papers.of("policy").items()}
    _check_envelopes(papers, policies)
    return policies


def _known(papers: Papers, site: Site, catalog: Catalog) -> Known:
    """The names that a policy can speak of; one that names nothing would protect nothing."""
    hosts = site.names("hosts")
    found = {
        "service": site.names("services"),
        "target": hosts | _LOCAL if hosts is not None else None,
        "action": catalog.declared,
        "rule": frozenset(papers.declared["rule"]) if papers.complete else None,
    }
    return {kind: names for kind, names in found.items() if names is not None}


def _policy(sheet: Sheet, name: str, known: Known) -> Policy:
    data: Mapping[str, Any] = sheet.document.data
    if name.startswith(_BUILT_IN):
        sheet.say(
            ("policy",), f"names with {_BUILT_IN} are built in (take another, and say `replaces: {name}`)"
        )
    if "replaces" in data and _REPLACED_BY[data["replaces"]] not in data:
        sheet.say(
            ("replaces",), f"only a `{_REPLACED_BY[data['replaces']]}` replaces {data['replaces']}", key=True
        )
    if "envelope" in data:
        return _envelope(sheet, name, data)
    match = _match(sheet, data, known)
    if "effect" in data:
        return _effect(sheet, name, data, match)
    if "limit" in data:
        return _limit(sheet, name, data, match)
    blast = data["blast-radius"]
    return BlastRadius(
        name,
        data["doc"],
        match,
        BlastOf(blast["of"]),
        blast.get("at_once"),
        blast.get("percent"),
        data.get("replaces"),
    )


def _match(sheet: Sheet, data: Mapping[str, Any], known: Known) -> Condition:
    return (
        Reader(sheet, of_proposal(known)).condition(("match",), data.get("match", {}))
        if data.get("match")
        else AllOf(())
    )


def _envelope(sheet: Sheet, name: str, data: Mapping[str, Any]) -> Envelope:
    item = data["envelope"]
    if "match" in data:
        sheet.say(("match",), "an envelope matches by its `incident_type` (leave `match` out)", key=True)
    for place, touch in enumerate(item["allow"]["touches"]):
        if touch in _NEVER:
            message = f"what touches {touch} always needs a human, and no envelope allows it (leave it out)"
            sheet.say(("envelope", "allow", "touches", place), message)
    return Envelope(
        name=name,
        doc=data["doc"],
        incident_type=item["incident_type"],
        risk=Risk(item["allow"]["risk"]),
        touches=frozenset(map(Touches, item["allow"]["touches"])),
        confidence=item.get("confidence"),
    )


def _effect(sheet: Sheet, name: str, data: Mapping[str, Any], match: Condition) -> EffectPolicy:
    if "match" not in data:
        sheet.say(("effect",), "`match` is missing (write `match: {}` for every proposal)", key=True)
    effect = data["effect"]
    if not isinstance(effect, dict):
        return EffectPolicy(name, data["doc"], match, Effect(effect))
    within = duration(effect["within"]) if "within" in effect else None
    return EffectPolicy(name, data["doc"], match, Effect.HUMAN, within)


def _limit(sheet: Sheet, name: str, data: Mapping[str, Any], match: Condition) -> Limit:
    item = data["limit"]
    fields = countable_fields()
    for place, field in enumerate(item["per"]):
        if field not in fields:
            sheet.say(
                ("limit", "per", place), f"{quoted(field)} cannot be counted by{did_you_mean(field, fields)}"
            )
    return Limit(
        name,
        data["doc"],
        match,
        tuple(item["per"]),
        item["max"],
        duration(item["within"]),
        data.get("replaces"),
    )


def _check_envelopes(papers: Papers, policies: Mapping[str, Policy]) -> None:
    """One envelope for each type of incident, and none missing."""
    first: dict[str, Envelope] = {}
    for name, policy in policies.items():
        if isinstance(policy, Envelope):
            other = first.setdefault(policy.incident_type, policy)
            if other is not policy:
                message = f"{quoted(policy.incident_type)} has an envelope already: {other.name}"
                papers.of("policy")[name].say(("envelope", "incident_type"), message)
    if not papers.complete or len(policies) < len(papers.declared["policy"]):
        return  # the envelope may stand in a document that is wrong
    for sheet in papers.of("rule").values():
        incident: Any = sheet.document.data["incident"]
        if incident["type"] not in first:
            close = close_to(incident["type"], first, cutoff=0.85)
            hint = f" (did you mean {close}?)" if close else " (add an `envelope` for it under policies/)"
            message = f"no envelope says what may happen for {quoted(incident['type'])}{hint}"
            sheet.say(("incident", "type"), message)
