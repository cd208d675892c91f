from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.config.tree import Document, Place, Sheet, escaped, quoted, spelled
from holdfast.errors import Problem


def test_a_path_is_spelled_as_people_write_it() -> None:
    assert spelled(("contain", 0, "with", "unit")) == "contain[0].with.unit"
    assert spelled(()) == ""


@given(st.text())
def test_any_text_is_shown_on_one_short_line(text: str) -> None:
    shown = escaped(text)

    assert shown.isprintable()
    assert len(shown) <= 61


def test_values_are_shown_as_in_the_file() -> None:
    shown = [quoted(item) for item in (None, True, False, 1, 1.5, "a\nb", [], {})]

    assert shown == ["nothing", "`true`", "`false`", "`1`", "`1.5`", r"`a\nb`", "a list", "a mapping"]


def test_a_sheet_writes_problems_with_their_place() -> None:
    document = Document(
        "rules/x.yaml", {"rule": "x"}, {(): Place(3, 1), ("rule",): Place(3, 7)}, {("rule",): Place(3, 1)}
    )
    problems: list[Problem] = []
    sheet = Sheet(document, problems)

    sheet.say(("rule",), "is wrong (be right)")
    sheet.say(("rule",), "is a wrong key", key=True)
    sheet.say(("doc",), "is missing")

    assert [str(problem) for problem in problems] == [
        "rules/x.yaml:3:7: rule: is wrong (be right)",
        "rules/x.yaml:3:1: rule: is a wrong key",
        "rules/x.yaml:3:1: doc: is missing",
    ]
    assert (document.kind, document.where) == ("rule", "rules/x.yaml:3")
