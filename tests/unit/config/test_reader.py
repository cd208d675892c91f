from __future__ import annotations

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.config.reader import MAX_BYTES, MAX_DEPTH, MAX_VALUES, ReadFile, read
from holdfast.config.tree import Place
from holdfast.model.values import Json

#: What a double-quoted YAML string can hold, and JSON can spell.
TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]))
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e300, 1e300) | TEXT
VALUES: st.SearchStrategy[Json] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
#: Characters that YAML gives a meaning, so that random text is rarely boring.
YAMLISH = st.text(
    alphabet=st.sampled_from(list("ab: -\n\t[]{},&*!|>'\"%@`#?$\\x0~<=\r\ufeff\u2028é1._")), max_size=60
)


def lines(file: ReadFile) -> list[str]:
    return [str(problem) for problem in file.problems]


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(content: bytes) -> None:
    file = read("x.yaml", content)

    assert all("\n" not in line and line.isprintable() for line in lines(file))
    assert file.complete or file.problems


@given(YAMLISH)
def test_no_yaml_crashes_the_reader(text: str) -> None:
    file = read("x.yaml", text.encode())

    assert all("\n" not in line and line.isprintable() for line in lines(file))
    assert all(problem.line >= 1 and problem.column >= 1 for problem in file.problems)


@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_data_comes_back_as_it_was(data: dict[str, Json]) -> None:
    file = read("x.yaml", msgspec.json.encode(data))

    assert file.problems == ()
    assert [document.data for document in file.documents] == [data]


def test_every_value_and_key_has_its_place() -> None:
    (document,) = read("x.yaml", b"# head\na: 1\nb:\n  - {c: true}\n").documents

    assert document.data == {"a": 1, "b": [{"c": True}]}
    assert document.values[("a",)] == Place(2, 4)
    assert document.values[("b", 0, "c")] == Place(4, 9)
    assert document.keys[("b", 0, "c")] == Place(4, 6)


def test_a_missing_value_has_the_place_of_what_it_is_missing_from() -> None:
    (document,) = read("x.yaml", b"a:\n  b: 1\n").documents

    assert document.place(("a", "c", "d")) == Place(2, 3)
    assert document.place(("z",)) == Place(1, 1)


def test_documents_count_lines_from_the_top_of_the_file() -> None:
    first, second = read("x.yaml", b"a: 1\n--- # two\n\nb: 2\n").documents

    assert (first.where, second.where) == ("x.yaml:1", "x.yaml:4")


def test_a_broken_document_does_not_hide_the_next() -> None:
    file = read("x.yaml", b"a: [1\n---\nb: 2\n---\nc: {d: @}\n")

    assert [document.data for document in file.documents] == [{"b": 2}]
    assert lines(file) == [
        "x.yaml:1:4: a bracket that opens here is not closed, or a comma is missing after it",
        "x.yaml:5:8: text cannot start with @ (quote it)",
    ]
    assert not file.complete


def test_every_mistake_of_a_document_is_found_at_once() -> None:
    file = read("x.yaml", b"a: 01\na: 2\nb: !t 3\ndoc: x #y\n<<: {}\n")

    assert [(problem.line, problem.path) for problem in file.problems] == [
        (1, "a"),
        (2, "a"),
        (3, "b"),
        (4, "doc"),
        (5, ""),
    ]


@pytest.mark.parametrize("content", [b"", b"\n", b"# nothing\n", b"---\n---\n", b"\xef\xbb\xbf", b"null\n"])
def test_an_empty_document_is_no_document(content: bytes) -> None:
    assert read("x.yaml", content) == ReadFile((), (), complete=True)


def test_the_first_of_two_equal_keys_stays() -> None:
    file = read("x.yaml", b"a: {b: 1, b: 2}\n")

    assert file.documents[0].data == {"a": {"b": 1}}
    assert lines(file) == ["x.yaml:1:11: a.b: this key is here twice (first on line 1)"]


def test_equal_keys_are_found_whatever_their_quotes() -> None:
    assert len(read("x.yaml", b"200: a\n'200': b\n").problems) == 1


def test_keys_are_text_as_written() -> None:
    (document,) = read("x.yaml", b"{200: a, on: b, true: c, 1.50: d}\n").documents

    assert list(document.data) == ["200", "on", "true", "1.50"]


@pytest.mark.parametrize(
    "line", [b"doc: down # again", b"title: down  #3", b"ask: # what?", b"- {doc: a,\n   ask: b #c\n  }"]
)
def test_a_sentence_that_yaml_would_cut_is_refused(line: bytes) -> None:
    file = read("x.yaml", b"x:\n  " + line + b"\n")

    assert [problem.message for problem in file.problems] == [
        "the text ends where the ` #` begins (quote it)"
    ]


@pytest.mark.parametrize(
    "line", [b'doc: "down # again"', b"doc: 'a' # b", b"doc: a#b", b"doc: |\n  # a\n  b", b"x: y # z"]
)
def test_a_sentence_that_stays_whole_is_fine(line: bytes) -> None:
    assert read("x.yaml", line + b"\n").problems == ()


def test_a_bare_word_in_braces_is_remembered() -> None:
    (document,) = read("x.yaml", b"{a: {service}, b: {x: 1}, c: {p, q}, d: {$s.name}, e: {}}\n").documents

    assert document.braces == {("a",), ("d",)}


def test_ten_megabytes_are_one_clear_line_at_once() -> None:
    content = b"a: [" + b"x, " * 3_500_000 + b"]"
    started = time.monotonic()

    file = read("big.yaml", content)

    bound = f"at most {MAX_BYTES:,} are read (split the file)"
    assert lines(file) == [f"big.yaml:1:1: the file has {len(content):,} bytes, and {bound}"]
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("opening", [b"[", b"{a: ", b"- ", b"{? "])
def test_deep_nesting_is_a_clear_line(opening: bytes) -> None:
    file = read("deep.yaml", opening * 100_000)

    assert len(file.problems) <= 2, "a key that is a mapping is a mistake of its own"
    assert file.problems[-1].message == f"nested deeper than {MAX_DEPTH} levels"


def test_as_deep_as_allowed_is_read() -> None:
    assert read("x.yaml", b"a: " + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1)).problems == ()


def test_too_many_values_are_one_clear_line() -> None:
    file = read("x.yaml", b"a: [" + b"1," * (MAX_VALUES + 10) + b"]")

    assert [problem.message for problem in file.problems] == [
        f"more than {MAX_VALUES:,} values in one file (split it)"
    ]


@pytest.mark.parametrize("document", [b"---\n", b"---\n\t\n", b"---\na: 1\n"])
def test_documents_without_end_are_one_clear_line(document: bytes) -> None:
    file = read("x.yaml", document * (MAX_VALUES + 10))

    assert file.problems[-1].message == f"more than {MAX_VALUES:,} values in one file (split it)"
    assert not file.complete
    assert file.values == MAX_VALUES + 1
    assert len(file.documents) <= MAX_VALUES


def test_an_alias_bomb_is_one_clear_line() -> None:
    bomb = b"a: &a [x]\n" + b"".join(b"k%d: &n%d [*a, *a, *a]\n" % (i, i) for i in range(1000))

    file = read("bomb.yaml", bomb)

    assert len(file.problems) == 1
    assert "aliases are not supported" in file.problems[0].message


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"a: 1\nb: \xff", (2, 4)),
        (b"\xff\xfea\x00", (1, 1)),
        ("a: é\nb: \x00".encode(), (2, 4)),
        ("a: \u2028".encode(), (1, 4)),
    ],
)
def test_what_is_no_plain_text_is_named_with_its_place(content: bytes, place: tuple[int, int]) -> None:
    (problem,) = read("x.yaml", content).problems

    assert (problem.line, problem.column) == place


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_they_like(ending: str) -> None:
    text = f"a: 1{ending}b: 2{ending}---{ending}a: 1{ending}a: 2{ending}"

    file = read("x.yaml", text.encode())

    assert [document.data for document in file.documents] == [{"a": 1, "b": 2}, {"a": 1}]
    assert [problem.line for problem in file.problems] == [5]


@pytest.mark.parametrize("escape", [r"\x1b", r"\0", r"\u2028", r"\ud800", r"\U0000FEFF", r"\e"])
def test_a_control_character_cannot_hide_in_an_escape(escape: str) -> None:
    file = read("x.yaml", f'a: "x{escape}y"\n'.encode())

    assert [problem.message for problem in file.problems] == [
        "the text holds a control character (leave it out)"
    ]


def test_an_escape_beyond_unicode_is_no_crash() -> None:
    file = read("x.yaml", rb'a: "\UFFFFFFFF"' + b"\n")

    assert [problem.message for problem in file.problems] == ["an escape that names no character"]
