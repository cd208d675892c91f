from __future__ import annotations

import pytest

from holdfast.config.papers import ALL, Papers, sort
from holdfast.config.reader import read
from holdfast.errors import Problem

SITE = "format: 1\n"
ACTION = "action: x\ndoc: x\nssh: {argv: [x]}\nundo: none\ntouches: [data]\nrisk: low\n"


def papers(**texts: str) -> Papers:
    files = {"holdfast.yaml": SITE} | {
        name.replace("__", "/") + ".yaml": text for name, text in texts.items()
    }
    return sort({name: read(name, text.encode()) for name, text in files.items()}, [])


def test_documents_are_sorted_by_kind_and_name() -> None:
    found = papers(rules__a=f"{ACTION}---\n{ACTION.replace('action: x', 'action: y')}")

    assert (list(found.of("action")), list(found.of("rule")), found.problems) == (["x", "y"], [], [])
    assert found.site is not None


def test_a_name_is_declared_even_where_the_document_is_wrong() -> None:
    found = papers(rules__a=ACTION.replace("risk: low", "risk: tiny"))

    assert found.declared["action"] == {"x"}
    assert found.of("action") == {}


def test_a_document_with_a_key_too_many_can_still_be_checked() -> None:
    found = papers(rules__a=f"{ACTION}extra: 1\n")

    assert len(found.problems) == 1
    assert "extra" not in found.of("action")["x"].document.data


def test_a_document_with_a_wrong_key_that_nothing_depends_on_can_still_be_checked() -> None:
    found = papers(rules__a=f"{ACTION}retry: {{attempts: 99}}\ndeadline: 5\n")

    assert len(found.problems) == 2
    assert not {"retry", "deadline"} & set(found.of("action")["x"].document.data)


def test_a_document_with_a_refused_value_is_set_aside() -> None:
    found = papers(rules__a=ACTION.replace("risk: low", "risk: low\nirreversible: &a true"))

    assert len(found.problems) == 1
    assert found.of("action") == {}


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("estate: {hosts: {web1: {address: x}}}", {("hosts", "web1")}),
        ("estate: {hosts: 5}", {("hosts", ALL)}),
        ("estate: 5", {("hosts", ALL), ("services", ALL)}),
        ("sources: {a: {kind: x}, b: {kind: webhook, trust: x}}", {("sources", "a"), ("sources", "b")}),
        ("sources: {A: {kind: webhook}}", {("sources", "A")}),
        ("channels: []", {("channels", ALL)}),
        ("extra: 1", set()),
        ("estate: {services: {shop: {extra: 1}}}", set()),
    ],
)
def test_a_wrong_entry_of_the_site_is_set_aside_alone(text: str, broken: set[tuple[str, str]]) -> None:
    found = sort({"holdfast.yaml": read("holdfast.yaml", f"format: 1\n{text}\n".encode())}, [])

    assert found.broken == broken
    assert found.problems
    assert found.site is not None


def test_a_document_without_a_kind_makes_the_picture_incomplete() -> None:
    assert not papers(rules__a="rul: x\n").complete
    assert not papers(rules__a="{}\n").complete
    assert papers(rules__a="rule: x\n").complete


def test_an_action_and_a_playbook_share_their_names() -> None:
    found = papers(rules__a=ACTION, rules__b="playbook: x\ndoc: x\nsteps: [{do: x}]\n")

    assert [str(problem) for problem in found.problems] == [
        "rules/b.yaml:1:11: playbook: the action `x` exists already (first in rules/a.yaml:1)"
    ]


def test_problems_of_unreadable_files_come_along() -> None:
    before = Problem("holdfast.yaml", 1, 1, "", "gone")

    found = sort({}, [before])

    assert (found.problems, found.complete) == ([before], False)
