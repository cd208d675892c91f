from __future__ import annotations

import pytest

from holdfast.config.reader import read
from holdfast.config.shape import check, close_to, did_you_mean, flow


def said(kind: str, text: str) -> list[str]:
    (document,) = read("x.yaml", text.encode()).documents
    return [str(flaw.problem) for flaw in check(document, kind) if flaw.problem]


def test_a_secret_that_was_written_out_is_never_repeated() -> None:
    channels = (
        "format: 1\nchannels:\n  mail: {url: 'mailtos://me:hunter2@smtp.example.com'}\n  push: {url: 4711}\n"
    )
    estate = "estate: {services: {shop: {url: 'https://me:hunter2@shop.example/'}}}\n"

    lines = said("holdfast", channels + estate)

    assert len(lines) == 3
    assert not [line for line in lines if "hunter2" in line or "4711" in line]


def test_a_misspelled_key_is_one_line_and_not_two() -> None:
    assert said("playbook", "playbook: x\ndoc: x\nstepts: [{do: y}]\n") == [
        "x.yaml:3:1: stepts: unknown key `stepts` (did you mean steps?)"
    ]


def test_what_the_misspelled_key_leaves_open_still_counts_as_wrong() -> None:
    (document,) = read("x.yaml", b"playbook: x\ndoc: x\nstepts: [{do: y}]\n").documents

    flaws = check(document, "playbook")

    assert {(flaw.path, flaw.problem is None, flaw.extra) for flaw in flaws} == {
        (("stepts",), False, True),
        ((), True, False),
    }


def test_below_a_value_that_the_reader_refused_nothing_more_is_said() -> None:
    (document,) = read("x.yaml", b"playbook: x\ndoc: x\nsteps: [{do: y, with: {a: &b 1, c: *b}}]\n").documents

    flaws = check(document, "playbook")

    assert [flaw.problem for flaw in flaws] == [None, None]


def test_several_mistakes_are_all_found() -> None:
    lines = said("playbook", "playbook: X\ndoc: 5\nsteps: [{doo: y}, {do: z, at: 3}]\nmore: 1\n")

    assert len(lines) == 5


@pytest.mark.parametrize("value", ["null", "5", "[]", "text"])
def test_a_wrong_type_is_one_line_where_keys_exclude_each_other(value: str) -> None:
    lines = said("policy", f"policy: x\ndoc: x\nblast-radius: {value}\n")

    assert len(lines) == 1
    assert "a mapping" in lines[0]


def test_a_word_in_braces_says_how_to_write_it() -> None:
    assert said("playbook", "playbook: x\ndoc: {service}\nsteps: [{do: y}]\n") == [
        "x.yaml:2:6: doc: YAML reads {service} as a mapping (write $service or quote it)"
    ]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("touchs", "touches"),
        ("Touches", "touches"),
        ("undu", "undo"),
        ("verify", None),
        ("un", None),
        ("dead", "deadline"),
    ],
)
def test_a_slip_of_the_hand_is_recognised(word: str, meant: str | None) -> None:
    assert close_to(word, ["touches", "undo", "deadline", "every"]) == meant


def test_without_a_likeness_it_says_what_there_is() -> None:
    assert did_you_mean("zzz", ["b", "a"]) == " (there is a, b)"
    assert did_you_mean("zzz", []) == ""
    assert did_you_mean("zzz", [f"n{number:02}" for number in range(30)]).endswith("n19, …)")


def test_values_are_written_in_one_line_of_yaml() -> None:
    assert flow({"a": [1, True, None, "22:00", "x: y", "0755", "#"], "b": {}}) == (
        '{a: [1, true, null, 22:00, "x: y", "0755", "#"], b: {}}'
    )
