from __future__ import annotations

import fnmatch
import math
import re
import time
from collections.abc import Mapping
from types import MappingProxyType

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from holdfast.conditions import (
    MAX_DEPTH,
    MAX_TEXT,
    MISSING,
    RANKS,
    Missing,
    all_of,
    any_of,
    dereference,
    equal,
    evaluate,
    glob_problem,
    lookup,
    negate,
    parse_path,
    regex_problem,
    split_join,
    trace,
)
from holdfast.errors import InputError
from holdfast.model.conditions import AllOf, AnyOf, Compare, Condition, Not, Op, Over
from holdfast.model.values import Fact, Json, Ref, Severity, Truth

TRUE, FALSE, UNKNOWN = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN
NAN, INF = math.nan, math.inf
HALF_A_PAIR = "\ud800"


def ask(
    op: Op, operand: object, value: object = MISSING, *, fold: bool = False, over: Over = Over.VALUE
) -> Truth:
    """The answer about one value at data.v."""
    data = {} if value is MISSING else {"v": value}
    return evaluate(Compare("data.v", op, operand, over, fold), {"data": data})


# -- paths -----------------------------------------------------------------------------------------

FACT: Fact = {
    "service": None,
    "data": {
        "status": 503,
        "labels": {"app.kubernetes.io/name": "shop", 'a"b\\c': 1, "0": "key"},
        "disks": [{"free": 3}, {"free": 9}],
        "b c": 1,
    },
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("service", None),
        ("data.status", 503),
        ('data.labels["app.kubernetes.io/name"]', "shop"),
        ('data.labels["a\\"b\\\\c"]', 1),
        ('["data"]["status"]', 503),
        ("data.disks[1].free", 9),
        ('data["b c"]', 1),
        ("data.labels.0", "key"),
    ],
)
def test_a_path_leads_to_its_value(path: str, value: Json) -> None:
    assert lookup(FACT, path) == value


@pytest.mark.parametrize(
    "path",
    [
        "nothing",
        "data.nothing",
        "data.status.deeper",
        "service.deeper",
        "data.disks[2]",
        "data.disks.0",
        "data.labels[0]",
        "data.disks.free",
        "[0]",
    ],
)
def test_a_path_that_leads_nowhere_is_missing(path: str) -> None:
    assert lookup(FACT, path) is MISSING


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        ".data",
        "data.",
        "data..status",
        "data[",
        "data[x]",
        "data[-1]",
        "data[0]x",
        'data["x]',
        'data["x"y]',
        "data ",
        "data\n",
        "da ta",
        'data["\\x"]',
        "data.[0]",
        "data[9999999999]",
    ],
)
def test_a_path_that_cannot_be_read_is_refused_where_it_stops_and_missing_in_facts(path: str) -> None:
    with pytest.raises(InputError, match=r"cannot be read from character [0-9]+"):
        parse_path(path)
    assert lookup({"": 1, "data": {"": 1}}, path) is MISSING


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_any_keys_can_be_reached_in_brackets(keys: list[str]) -> None:
    quoted = "".join('["{}"]'.format(key.replace("\\", "\\\\").replace('"', '\\"')) for key in keys)
    fact: Json = 7
    for key in reversed(keys):
        fact = {key: fact}
    assert isinstance(fact, dict)

    assert lookup(fact, quoted) == 7


@given(st.text(max_size=20))
def test_no_path_raises_from_lookup(path: str) -> None:
    lookup(FACT, path)


def test_the_outermost_object_may_be_any_mapping() -> None:
    assert lookup(MappingProxyType({"data": {"v": 1}}), "data.v") == 1


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((), FACT),
        (("data", "status"), 503),
        (("data", "labels", "app.kubernetes.io/name"), "shop"),
        (("data", "labels", "0"), "key"),
        (("data", "disks", "1", "free"), 9),
        (("data", "disks", "2"), MISSING),
        (("data", "disks", "free"), MISSING),
        (("data", "disks", "9" * 5000), MISSING),
        (("data", "status", "0"), MISSING),
        (("nothing", "0"), MISSING),
    ],
)
def test_the_path_of_a_reference_has_texts_only_and_digits_find_places_in_arrays(
    path: tuple[str, ...], value: Json | Missing
) -> None:
    assert dereference(FACT, path) == value


# -- one comparison ---------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [op for op in Op if op is not Op.EXISTS])
def test_a_missing_field_makes_the_condition_unknown(op: Op) -> None:
    operand = Ref("p", ("v",)) if op is Op.SAME else ("a",) if op in (Op.IN, Op.NIN) else "a"
    compare = Compare("data.v", op, operand)

    assert evaluate(compare, {"data": {}}, bind=lambda _: "a") is UNKNOWN
    assert evaluate(Not(compare), {"data": {}}, bind=lambda _: "a") is UNKNOWN


@pytest.mark.parametrize(
    ("wanted", "value", "answer"),
    [
        (True, 1, TRUE),
        (True, None, TRUE),
        (True, [], TRUE),
        (True, MISSING, FALSE),
        (False, MISSING, TRUE),
        (False, None, FALSE),
        ("yes", 1, UNKNOWN),
        (1, 1, UNKNOWN),
    ],
)
def test_exists_is_always_decided_and_null_exists(wanted: object, value: object, answer: Truth) -> None:
    assert ask(Op.EXISTS, wanted, value) is answer


SAME_VALUES = [
    (1, 1), (1, 1.0), (0, -0.0), (2**63, 2**63), (10**400, 10**400), (INF, INF),
    (True, True), (None, None), ("a", "a"), ("", ""), (HALF_A_PAIR, HALF_A_PAIR),
]  # fmt: skip
OTHER_VALUES = [
    (500, "500"), ("500", 500), (1, True), (0, False), (True, 1), (False, 0.0), (True, "true"),
    (None, 0), (None, ""), (None, False), (0, None), ("", None), ("a", "A"), ("a", "b"), (1, 2),
    (NAN, NAN), (NAN, 1), (1, NAN), (2**53 + 1, float(2**53)), (10**400, INF), ([], None), ([1], 1),
    ({}, ""), ({"a": 1}, 1), ("\u00e9", "e\u0301"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "operand"), SAME_VALUES)
def test_the_same_value_of_the_same_type_is_equal(value: Json, operand: Json) -> None:
    assert ask(Op.EQ, operand, value) is TRUE
    assert ask(Op.NE, operand, value) is FALSE
    assert ask(Op.IN, ("x", operand), value) is TRUE
    assert ask(Op.NIN, ("x", operand), value) is FALSE


@pytest.mark.parametrize(("value", "operand"), OTHER_VALUES)
def test_values_of_different_types_are_decided_to_be_different(value: Json, operand: Json) -> None:
    assert ask(Op.EQ, operand, value) is FALSE
    assert ask(Op.NE, operand, value) is TRUE
    assert ask(Op.IN, ("x", operand), value) is FALSE
    assert ask(Op.NIN, ("x", operand), value) is TRUE


def test_nothing_is_in_an_empty_list() -> None:
    assert ask(Op.IN, (), "a") is FALSE
    assert ask(Op.NIN, (), "a") is TRUE


@pytest.mark.parametrize(
    ("value", "operand", "answers"),
    [
        (1, 2, "lt lte"),
        (2, 2.0, "gte lte"),
        (3.5, 2, "gt gte"),
        (10**400, 1e308, "gt gte"),
        (-(10**400), -INF, "gt gte"),
        ("a", "b", "lt lte"),
        ("b", "b", "gte lte"),
        ("B", "a", "lt lte"),
        ("10", "9", "lt lte"),
    ],
)
def test_numbers_and_texts_are_ordered_among_themselves(value: Json, operand: Json, answers: str) -> None:
    for op in (Op.GT, Op.GTE, Op.LT, Op.LTE):
        assert ask(op, operand, value) is (TRUE if str(op) in answers.split() else FALSE), op


@pytest.mark.parametrize(
    ("value", "operand"),
    [
        ("5", 5), (5, "5"), (True, 0), (1, True), (None, 0), (0, None), ([1], 0), ({}, 0), (NAN, 0), (0, NAN),
        (NAN, NAN), ([], []), ("a", None), (True, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("op", [Op.GT, Op.GTE, Op.LT, Op.LTE])
def test_what_has_no_order_is_unknown(op: Op, value: Json, operand: Json) -> None:
    assert ask(op, operand, value) is UNKNOWN


@pytest.mark.parametrize("name", sorted(RANKS))
def test_severity_trust_risk_and_mode_are_ordered_by_rank_and_not_by_letter(name: str) -> None:
    words = list(RANKS[name])
    for low, value in enumerate(words):
        for high, operand in enumerate(words):
            answers = {
                Op.GT: low > high, Op.GTE: low >= high, Op.LT: low < high, Op.LTE: low <= high
            }  # fmt: skip
            for op, answer in answers.items():
                assert evaluate(Compare(name, op, operand), {name: value}) is (TRUE if answer else FALSE)
    assert evaluate(Compare(name, Op.GTE, words[0]), {name: "no such word"}) is UNKNOWN
    assert evaluate(Compare(name, Op.GTE, "no such word"), {name: words[0]}) is UNKNOWN
    assert evaluate(Compare(name, Op.GTE, 0), {name: words[0]}) is UNKNOWN
    assert evaluate(Compare(name, Op.GTE, words[0]), {name: 7}) is UNKNOWN


def test_a_field_of_the_data_that_is_called_severity_has_no_ranks() -> None:
    compare = Compare("data.severity", Op.GT, str(Severity.ERROR))

    assert evaluate(compare, {"data": {"severity": "critical"}}) is FALSE


@pytest.mark.parametrize(
    ("op", "operand", "value", "answer"),
    [
        (Op.CONTAINS, "own", "is down now", TRUE),
        (Op.CONTAINS, "up", "is down now", FALSE),
        (Op.CONTAINS, "", "x", TRUE),
        (Op.CONTAINS, 5, "5", UNKNOWN),
        (Op.CONTAINS, "5", 5, UNKNOWN),
        (Op.CONTAINS, "a", None, UNKNOWN),
        (Op.CONTAINS, "a", {"a": 1}, UNKNOWN),
        (Op.CONTAINS, "db", ["web", "db"], TRUE),
        (Op.CONTAINS, "d", ["web", "db"], FALSE),
        (Op.CONTAINS, 1, [True, "1"], FALSE),
        (Op.CONTAINS, "db", [], FALSE),
        (Op.CONTAINS, None, [None], TRUE),
        (Op.STARTSWITH, "web", "web1", TRUE),
        (Op.STARTSWITH, "1", "web1", FALSE),
        (Op.STARTSWITH, "web", ["web"], UNKNOWN),
        (Op.STARTSWITH, 1, "1", UNKNOWN),
        (Op.ENDSWITH, "1", "web1", TRUE),
        (Op.ENDSWITH, "web", "web1", FALSE),
        (Op.ENDSWITH, "1", 1, UNKNOWN),
        (Op.GLOB, "web*", "web1", TRUE),
        (Op.GLOB, "web", "web1", FALSE),
        (Op.GLOB, "*", 5, UNKNOWN),
        (Op.GLOB, "*", None, UNKNOWN),
        (Op.GLOB, "*", ["a"], UNKNOWN),
        (Op.GLOB, 5, "5", UNKNOWN),
        (Op.REGEX, "eb[0-9]", "web1", TRUE),
        (Op.REGEX, "^eb", "web1", FALSE),
        (Op.REGEX, "a.c", "a\nc", FALSE),
        (Op.REGEX, "(?s)a.c", "a\nc", TRUE),
        (Op.REGEX, "5", 5, UNKNOWN),
        (Op.REGEX, ".", None, UNKNOWN),
        (Op.REGEX, 5, "5", UNKNOWN),
        (Op.IN, "abc", "a", UNKNOWN),
        (Op.IN, 1, 1, UNKNOWN),
        (Op.SAME, "constant", "constant", UNKNOWN),
    ],
)
def test_an_operator_on_a_type_that_it_does_not_know_is_unknown(
    op: Op, operand: Json, value: Json, answer: Truth
) -> None:
    assert ask(op, operand, value) is answer


@pytest.mark.parametrize(
    ("op", "operand", "value"),
    [
        (Op.EQ, "SHOP", "shop"),
        (Op.EQ, "straße", "STRASSE"),
        (Op.IN, ("X", "SHOP"), "Shop"),
        (Op.CONTAINS, "DOWN", "is Down"),
        (Op.CONTAINS, "DB", ["db"]),
        (Op.STARTSWITH, "WEB", "web1"),
        (Op.ENDSWITH, "B1", "web1"),
        (Op.GLOB, "WEB[0-9]", "web1"),
        (Op.GLOB, "w*", "WEB"),
        (Op.REGEX, "^WEB", "web1"),
        (Op.GTE, "a", "B"),
    ],
)
def test_fold_ignores_the_case_of_texts(op: Op, operand: Json, value: Json) -> None:
    assert ask(op, operand, value, fold=True) is TRUE
    assert ask(op, operand, value) is FALSE


def test_fold_does_not_make_other_types_equal() -> None:
    assert ask(Op.EQ, 1, True, fold=True) is FALSE
    assert ask(Op.EQ, "TRUE", True, fold=True) is FALSE
    assert ask(Op.EQ, None, None, fold=True) is TRUE


@pytest.mark.parametrize(
    ("over", "value", "answer"),
    [
        (Over.ANY, [1, 9], TRUE),
        (Over.ANY, [1, 2], FALSE),
        (Over.ANY, [1, "x"], UNKNOWN),
        (Over.ANY, ["x", 9], TRUE),
        (Over.ANY, [], FALSE),
        (Over.ALL, [8, 9], TRUE),
        (Over.ALL, [1, 9], FALSE),
        (Over.ALL, [9, "x"], UNKNOWN),
        (Over.ALL, ["x", 1], FALSE),
        (Over.ALL, [], TRUE),
    ],
)
def test_any_and_all_read_arrays_element_by_element(over: Over, value: Json, answer: Truth) -> None:
    assert ask(Op.GT, 5, value, over=over) is answer


@pytest.mark.parametrize("over", [Over.ANY, Over.ALL])
@pytest.mark.parametrize("value", [9, "9", None, {"a": 9}, MISSING])
def test_any_and_all_of_what_is_no_array_is_unknown(over: Over, value: object) -> None:
    assert ask(Op.GT, 5, value, over=over) is UNKNOWN
    assert ask(Op.EXISTS, True, value, over=over) is UNKNOWN


def test_a_value_compares_an_array_as_a_whole() -> None:
    assert ask(Op.EQ, 9, [9]) is FALSE
    assert ask(Op.GT, 5, [9]) is UNKNOWN
    assert ask(Op.EQ, None, [None], over=Over.ANY) is TRUE
    assert ask(Op.EXISTS, True, [None], over=Over.ANY) is TRUE


# -- references ------------------------------------------------------------------------------------

REF = Ref("p", ("service",))


def test_same_compares_with_the_value_that_a_reference_stands_for() -> None:
    condition = Compare("service", Op.SAME, REF)

    assert evaluate(condition, {"service": "shop"}, bind={REF: "shop"}.__getitem__) is TRUE
    assert evaluate(condition, {"service": "shop"}, bind={REF: "bank"}.__getitem__) is FALSE
    assert evaluate(condition, {"service": None}, bind=lambda _: None) is TRUE
    assert evaluate(condition, {"service": "shop"}, bind=lambda _: MISSING) is UNKNOWN
    assert evaluate(condition, {"service": "shop"}) is UNKNOWN


def test_other_operators_take_references_too() -> None:
    assert evaluate(Compare("n", Op.GT, REF), {"n": 5}, bind=lambda _: 4) is TRUE
    assert evaluate(Compare("n", Op.IN, REF), {"n": 5}, bind=lambda _: [4, 5]) is TRUE
    assert evaluate(Compare("n", Op.GT, REF), {"n": 5}) is UNKNOWN


@pytest.mark.parametrize("op", [Op.GLOB, Op.REGEX])
def test_what_an_event_holds_never_becomes_a_pattern(op: Op) -> None:
    assert evaluate(Compare("n", op, REF), {"n": "anything"}, bind=lambda _: "*") is UNKNOWN


@pytest.mark.parametrize("op", [Op.EQ, Op.NE, Op.SAME])
def test_two_lists_or_objects_cannot_be_compared(op: Op) -> None:
    assert evaluate(Compare("n", op, REF), {"n": [1]}, bind=lambda _: [1]) is UNKNOWN
    assert evaluate(Compare("n", op, REF), {"n": {}}, bind=lambda _: {}) is UNKNOWN


def test_only_a_join_that_must_hold_is_split_off() -> None:
    join, other = Compare("service", Op.SAME, REF), Compare("data.v", Op.EQ, 1)

    assert split_join(join) == (AllOf(()), (("service", REF),))
    assert split_join(AllOf((other, join))) == (AllOf((other,)), (("service", REF),))
    assert split_join(AllOf((AllOf((join,)), other))) == (AllOf((other,)), (("service", REF),))
    assert split_join(other) == (other, ())
    assert split_join(AllOf((AllOf(()), other))) == (AllOf((AllOf(()), other)), ())
    for kept in (Not(join), AnyOf((join, other)), AllOf((AnyOf((join,)),))):
        assert split_join(kept) == (kept, ())


# -- groups ----------------------------------------------------------------------------------------

ANSWERS = {
    TRUE: Compare("data.v", Op.EQ, 1),
    FALSE: Compare("data.v", Op.EQ, 2),
    UNKNOWN: Compare("data.nothing", Op.EQ, 1),
}


@given(st.lists(st.sampled_from(list(Truth)), max_size=5))
def test_all_any_and_not_follow_kleene(answers: list[Truth]) -> None:
    items = tuple(ANSWERS[answer] for answer in answers)
    fact: Fact = {"data": {"v": 1}}
    every = FALSE if FALSE in answers else UNKNOWN if UNKNOWN in answers else TRUE
    some = TRUE if TRUE in answers else UNKNOWN if UNKNOWN in answers else FALSE

    assert every is evaluate(AllOf(items), fact) is all_of(answers)
    assert some is evaluate(AnyOf(items), fact) is any_of(answers)
    assert evaluate(Not(AllOf(items)), fact) is {TRUE: FALSE, FALSE: TRUE, UNKNOWN: UNKNOWN}[every]


# -- patterns of text --------------------------------------------------------------------------------

GLOB_TEXT = st.text(alphabet="ab[]!-*?.\\^\n1é", max_size=8)


@given(GLOB_TEXT, GLOB_TEXT)
@example("[]a]", "]")
@example("[!]a]", "b")
@example("[!a]", "b")
@example("[a-b]", "b")
@example("[^a]", "^")
@example("a[", "a[")
@example("[!]", "[!]")
def test_glob_means_what_the_shell_means(pattern: str, value: str) -> None:
    assume(glob_problem(pattern) is None)
    answer = ask(Op.GLOB, pattern, value)

    assert answer is (TRUE if re.compile(fnmatch.translate(pattern)).match(value) else FALSE)


@given(st.text(max_size=30))
def test_a_glob_of_stars_around_the_text_itself_holds(value: str) -> None:
    quoted = "".join(f"[{character}]" if character in "*?[" else character for character in value)

    assert ask(Op.GLOB, f"*{quoted}*", f"x{value}\ny") is TRUE


@pytest.mark.parametrize("pattern", ["(", "a{9999}", r"(a)\1", "(?=a)", "[z-a]", HALF_A_PAIR, r"\ud800"])
def test_a_regex_that_cannot_be_used_has_a_reason_and_is_unknown(pattern: str) -> None:
    assert regex_problem(pattern)
    assert ask(Op.REGEX, pattern, "a") is UNKNOWN


def test_a_good_pattern_has_no_problem() -> None:
    assert regex_problem(r"^web[0-9]{1,3}$") is None
    assert glob_problem("web[0-9]*") is None
    assert glob_problem("[z-a]")


@pytest.mark.parametrize("op", [Op.GLOB, Op.REGEX])
def test_texts_that_are_too_long_or_no_texts_are_not_searched(op: Op) -> None:
    pattern = "*" if op is Op.GLOB else "x*"

    assert ask(op, pattern, "x" * MAX_TEXT) is TRUE
    assert ask(op, pattern, "x" * (MAX_TEXT + 1)) is UNKNOWN
    assert ask(op, pattern, f"x{HALF_A_PAIR}") is UNKNOWN


@pytest.mark.parametrize(
    ("op", "pattern"),
    [(Op.REGEX, "(x+x+)+y"), (Op.REGEX, "(x|x)*y"), (Op.REGEX, "(.*){12}y"), (Op.GLOB, "*x" * 40 + "y")],
)
def test_patterns_run_in_linear_time(op: Op, pattern: str) -> None:
    start = time.process_time()
    answer = ask(op, pattern, "x" * MAX_TEXT)
    spent = time.process_time() - start

    assert answer is FALSE
    assert spent < 10  # a backtracking engine would need longer than the universe has existed


# -- never an exception -----------------------------------------------------------------------------

PATHS = st.sampled_from(["data.v", "data.w", "data", "severity", "data.l[0]", "data..", 'data["v"]', "trust"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 2**63, 10**400, -(10**400), 500]),
    st.sampled_from([0.0, 1.0, -0.0, NAN, INF, -INF, 1e-7]),
    st.sampled_from(["", "a", "A", "1", "500", "true", "*", "a*", "[", "(", "error", "high", HALF_A_PAIR]),
)
VALUES: st.SearchStrategy[Json] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["v", "w", HALF_A_PAIR]), inner, max_size=2)
    ),
    max_leaves=6,
)
OPERANDS = st.one_of(SCALARS, st.lists(SCALARS, max_size=3).map(tuple), st.just(REF))
COMPARISONS = st.builds(
    Compare, PATHS, st.sampled_from(list(Op)), OPERANDS, st.sampled_from(list(Over)), st.booleans()
)
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: AllOf(tuple(items))),
        st.lists(inner, max_size=3).map(lambda items: AnyOf(tuple(items))),
        inner.map(Not),
    ),
    max_leaves=6,
)
FACTS = st.fixed_dictionaries(
    {},
    optional={
        "severity": SCALARS | st.just("critical"),
        "trust": SCALARS,
        "data": st.fixed_dictionaries(
            {}, optional={"v": VALUES, "w": VALUES, "l": st.lists(VALUES, max_size=2)}
        ),
    },
)
BOUND = st.one_of(VALUES, st.just(MISSING))


@given(CONDITIONS, FACTS, st.none() | BOUND)
def test_no_condition_raises_on_any_fact(condition: Condition, fact: Fact, bound: Json | Missing) -> None:
    assert evaluate(condition, fact, bind=lambda _: bound) in Truth
    assert evaluate(condition, fact) in Truth


@given(CONDITIONS, FACTS, BOUND)
def test_the_answer_is_the_one_of_the_tables(condition: Condition, fact: Fact, bound: Json | Missing) -> None:
    assert evaluate(condition, fact, bind=lambda _: bound) is by_the_tables(condition, fact, bound)


@given(CONDITIONS, FACTS, BOUND)
def test_a_trace_is_complete_and_its_first_line_is_the_answer(
    condition: Condition, fact: Fact, bound: Json | Missing
) -> None:
    lines = trace(condition, fact, bind=lambda _: bound)

    assert lines[0].truth is evaluate(condition, fact, bind=lambda _: bound)
    assert len(lines) == nodes(condition)


def nested(depth: int) -> Condition:
    """A comparison that holds, below an even number of negations."""
    condition: Condition = Compare("v", Op.EQ, 1)
    for _ in range(depth):
        condition = Not(AllOf((condition,)))
    return condition


def test_conditions_that_are_nested_too_deep_are_unknown() -> None:
    within = (MAX_DEPTH - 2) // 2 // 2 * 2

    assert evaluate(nested(within), {"v": 1}) is TRUE
    assert trace(nested(within), {"v": 1})[0].truth is TRUE
    assert evaluate(nested(20_000), {"v": 1}) is UNKNOWN
    assert trace(nested(20_000), {"v": 1})[0].truth is UNKNOWN


def test_values_that_are_nested_deep_or_huge_harm_nothing() -> None:
    deep: Json = 1
    for _ in range(100_000):
        deep = [deep]

    assert ask(Op.EQ, 1, deep) is FALSE
    assert ask(Op.CONTAINS, 1, deep) is FALSE
    assert ask(Op.EQ, 1, "x" * 5_000_000) is FALSE
    assert ask(Op.EQ, 10**5000, 10**5000) is TRUE
    while isinstance(deep, list):  # taken apart by hand: freeing it would recurse
        deep = deep.pop()


def test_a_trace_says_what_was_asked_and_what_was_seen() -> None:
    condition = AllOf(
        (
            Compare("data.status", Op.IN, (500, 503)),
            Not(Compare("service", Op.SAME, REF)),
            Compare("data.l", Op.GT, 5, Over.ANY),
        )
    )
    lines = trace(condition, {"service": "shop", "data": {"status": 503}}, bind=lambda _: "bank")

    assert [(line.depth, line.path, line.op, line.operand, line.seen, line.truth) for line in lines] == [
        (0, "", "all", None, MISSING, UNKNOWN),
        (1, "data.status", "in", [500, 503], 503, TRUE),
        (1, "", "not", None, MISSING, TRUE),
        (2, "service", "same", "$p.service", "shop", FALSE),
        (1, "data.l", "any gt", 5, MISSING, UNKNOWN),
    ]
    assert b'"seen"' not in msgspec.json.encode(lines[4])
    assert b'"seen":503' in msgspec.json.encode(lines[1])


# -- the tables, written down a second time ---------------------------------------------------------


def nodes(condition: Condition) -> int:
    """How many comparisons and groups there are."""
    if isinstance(condition, Compare):
        return 1
    items = (condition.item,) if isinstance(condition, Not) else condition.items
    return 1 + sum(map(nodes, items))


def by_the_tables(condition: Condition, fact: Fact, bound: Json | Missing) -> Truth:
    """A second, slow reading of the semantics page."""
    if isinstance(condition, Not):
        inner = by_the_tables(condition.item, fact, bound)
        return {TRUE: FALSE, FALSE: TRUE, UNKNOWN: UNKNOWN}[inner]
    if isinstance(condition, AllOf | AnyOf):
        answers = [by_the_tables(item, fact, bound) for item in condition.items]
        decisive, otherwise = (FALSE, TRUE) if isinstance(condition, AllOf) else (TRUE, FALSE)
        return decisive if decisive in answers else UNKNOWN if UNKNOWN in answers else otherwise
    value = by_hand(condition.path, fact)
    operand: object = condition.operand
    if isinstance(operand, Ref):
        operand = MISSING if condition.op in (Op.GLOB, Op.REGEX) else bound
    elif condition.op is Op.SAME:
        operand = MISSING
    if condition.over is Over.VALUE:
        return one_value(condition, value, operand)
    if not isinstance(value, list) or operand is MISSING:
        return UNKNOWN
    answers = [one_value(condition, item, operand) for item in value]
    if condition.over is Over.ANY:
        return TRUE if TRUE in answers else UNKNOWN if UNKNOWN in answers else FALSE
    return FALSE if FALSE in answers else UNKNOWN if UNKNOWN in answers else TRUE


def by_hand(path: str, fact: Fact) -> object:
    """The value at one of the few paths that are generated here."""
    data = fact.get("data", MISSING)
    if path in ("severity", "trust", "data"):
        return fact.get(path, MISSING)
    if not isinstance(data, Mapping) or path == "data..":
        return MISSING
    if path == "data.l[0]":
        return data["l"][0] if data.get("l") else MISSING
    return data.get("w" if path == "data.w" else "v", MISSING)


def kind(value: object) -> str:
    """The type as rules see it."""
    names = {type(None): "null", bool: "bool", int: "number", float: "number", str: "text"}
    return names.get(type(value), "container")


def one_value(compare: Compare, value: object, operand: object) -> Truth:
    """One row of the table of operators, as far as every type has an answer."""
    op, fold = compare.op, compare.fold
    if op is Op.EXISTS:
        return UNKNOWN if kind(operand) != "bool" else TRUE if (value is not MISSING) == operand else FALSE
    if MISSING in (value, operand):
        return UNKNOWN
    if op in (Op.NE, Op.NIN):
        positive = Compare(compare.path, Op.EQ if op is Op.NE else Op.IN, compare.operand, fold=fold)
        return {TRUE: FALSE, FALSE: TRUE, UNKNOWN: UNKNOWN}[one_value(positive, value, operand)]
    if op in (Op.EQ, Op.SAME):
        return alike(value, operand, fold)
    if op is Op.IN and isinstance(operand, list | tuple):
        return among([alike(value, item, fold) for item in operand])
    if op is Op.CONTAINS and isinstance(value, list):
        return among([alike(item, operand, fold) for item in value])
    return one_of_a_type(compare, value, operand)


def one_of_a_type(compare: Compare, value: object, operand: object) -> Truth:
    """One row of the table of operators that need two numbers, two texts, or two ranks."""
    orders = compare.op in (Op.GT, Op.GTE, Op.LT, Op.LTE)
    if orders and compare.path in RANKS:
        ranks = RANKS[compare.path]
        if kind(value) != "text" or kind(operand) != "text" or not {value, operand} <= set(ranks):
            return UNKNOWN
        return ordered(compare.op, ranks[value], ranks[operand])
    if orders and kind(value) == kind(operand) == "number":
        return UNKNOWN if is_nan(value) or is_nan(operand) else ordered(compare.op, value, operand)
    if kind(value) != "text" or kind(operand) != "text" or compare.op is Op.IN:
        return UNKNOWN
    return texts(compare.op, value, operand, compare.fold)


def is_nan(value: object) -> bool:
    """Whether it is NaN; huge integers cannot be asked by math."""
    return isinstance(value, float) and math.isnan(value)


def among(answers: list[Truth]) -> Truth:
    """Whether one of them is true, for certain or not."""
    return TRUE if TRUE in answers else UNKNOWN if UNKNOWN in answers else FALSE


def alike(left: object, right: object, fold: bool) -> Truth:
    """Equality by type and value."""
    if kind(left) == kind(right) == "container" and not isinstance(right, tuple):
        return UNKNOWN
    if kind(left) != kind(right) or kind(left) == "container":
        return FALSE
    if fold and isinstance(left, str) and isinstance(right, str):
        return TRUE if left.casefold() == right.casefold() else FALSE
    return TRUE if left == right else FALSE


def ordered(op: Op, left: object, right: object) -> Truth:
    """Order of two comparable values."""
    holds = {Op.GT: left > right, Op.GTE: left >= right, Op.LT: left < right, Op.LTE: left <= right}[op]
    return TRUE if holds else FALSE


def texts(op: Op, value: str, operand: str, fold: bool) -> Truth:
    """Operators over two texts."""
    if op in (Op.GLOB, Op.REGEX) and HALF_A_PAIR in value + operand:
        return UNKNOWN
    if op is Op.REGEX:
        try:
            return TRUE if re.search(operand, value, re.IGNORECASE if fold else 0) else FALSE
        except re.error:
            return UNKNOWN
    if fold:
        value, operand = value.casefold(), operand.casefold()
    if op is Op.GLOB:
        return TRUE if fnmatch.fnmatchcase(value, operand) else FALSE
    if op in (Op.GT, Op.GTE, Op.LT, Op.LTE):
        return ordered(op, value, operand)
    holds = {
        Op.CONTAINS: operand in value,
        Op.STARTSWITH: value.startswith(operand),
        Op.ENDSWITH: value.endswith(operand),
    }[op]
    return TRUE if holds else FALSE


def test_equal_is_symmetric_for_scalars() -> None:
    for left, right in SAME_VALUES:
        assert equal(left, right)
        assert equal(right, left)
    for left, right in OTHER_VALUES:
        assert not equal(right, left)


def test_negate_twice_is_nothing() -> None:
    assert [negate(negate(truth)) for truth in Truth] == list(Truth)
