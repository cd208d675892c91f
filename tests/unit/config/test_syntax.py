from __future__ import annotations

import pytest

from holdfast.config.reader import read


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: {b: 1\nc: 2\n", "1:4: a bracket that opens here is not closed, or a comma is missing after it"),
        ("a: [b\n", "1:4: a bracket that opens here is not closed, or a comma is missing after it"),
        ("a: [\n", "2:1: a value is missing here, or a bracket before it is not closed"),
        ('a: "b\n', "1:4: the quote that opens here is never closed"),
        ("a: 'b\n", "1:4: the quote that opens here is never closed"),
        ("a: b: c\n", "1:5: a second `: ` in one line, or wrong indentation (quote text with a colon)"),
        ("a:\n  b: 1\n c: 2\n", "3:2: wrong indentation, or text after a value (quote the whole text)"),
        ('a: "b" c\n', "1:8: wrong indentation, or text after a value (quote the whole text)"),
        ("a: 1\nword\nb: 2\n", "2:1: a line without `: ` (is a colon or a quote missing?)"),
        ("a: - b\n", "1:4: a `- ` does not belong here (start it on a line of its own)"),
        ("a:\n\t- b\n", "2:1: a tab where spaces belong (indent with spaces)"),
        ("a: *\n", "1:5: text cannot start with * (quote it)"),
        ("a: &\n", "1:5: text cannot start with & (quote it)"),
        ("a: !<\n", "1:6: text cannot start with ! (quote it)"),
        ("a: %b\n", "1:4: text cannot start with % (quote it)"),
        ("a: `b`\n", "1:4: text cannot start with ` (quote it)"),
        ('a: "\\d"\n', "1:6: an escape that YAML does not know (write \\\\ for one backslash)"),
        ("a: |b\n  c\n", "1:5: after | or > the text starts on the next line, indented with spaces"),
        ("a: {b} is down\n", "1:8: YAML reads {b} as a mapping (write $b or quote it)"),
        ("- {a: {b} is down}\n", "1:11: YAML reads {b} as a mapping (write $b or quote it)"),
        ("a: 1\n...\nb: 2\n", "3:1: a second document (begin it with a line `---`)"),
    ],
)
def test_a_syntax_error_is_one_line_that_says_what_to_do(text: str, line: str) -> None:
    assert [str(problem) for problem in read("x.yaml", text.encode()).problems] == [f"x.yaml:{line}"]
