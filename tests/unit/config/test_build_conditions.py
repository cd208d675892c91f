from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from holdfast.conditions import evaluate, split_join
from holdfast.config.build_conditions import Reader
from holdfast.config.fields import of_event, of_proposal
from holdfast.config.reader import read
from holdfast.config.tree import Path, Sheet
from holdfast.errors import Problem
from holdfast.model.conditions import AllOf, AnyOf, Compare, Condition, Not, Op, Over
from holdfast.model.snapshot import FieldType
from holdfast.model.values import Ref, Truth

DECLARED = {
    "data.ok": FieldType("bool"),
    "data.status": FieldType("int", optional=True),
    "data.load": FieldType("float", optional=True),
    "data.text": FieldType("str"),
    "data.files": FieldType("list", optional=True),
    "data.more": FieldType("any"),
}
KNOWN = {"service": frozenset({"shop"}), "source": frozenset({"probe"}), "action": frozenset({"restart"})}


def reader(text: str, problems: list[Problem], vocabulary: str) -> tuple[Reader, object]:
    (document,) = read("x.yaml", f"where: {text}\n".encode()).documents
    fields = {
        "event": of_event(DECLARED, KNOWN),
        "undeclared": of_event(None, KNOWN),
        "proposal": of_proposal(KNOWN),
    }
    return Reader(Sheet(document, problems), fields[vocabulary], same_of_probe), document.data["where"]


def same_of_probe(_path: Path, text: str) -> Ref | None:
    return Ref("probe", tuple(text.removeprefix("$probe.").split(".")))


def condition(text: str, vocabulary: str = "event") -> Condition:
    problems: list[Problem] = []
    built, data = reader(text, problems, vocabulary)
    found = built.condition(("where",), data)  # type: ignore[arg-type]
    assert [str(problem) for problem in problems] == []
    return found


def wrong(text: str, vocabulary: str = "event") -> str:
    problems: list[Problem] = []
    built, data = reader(text, problems, vocabulary)
    built.condition(("where",), data)  # type: ignore[arg-type]
    (problem,) = problems
    return problem.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", AllOf(())),
        ("{data.ok: false}", Compare("data.ok", Op.EQ, False)),
        ("{data.status: null}", Compare("data.status", Op.EQ, None)),
        ("{data.load: 5}", Compare("data.load", Op.EQ, 5)),
        (
            "{data.ok: true, service: shop}",
            AllOf((Compare("data.ok", Op.EQ, True), Compare("service", Op.EQ, "shop"))),
        ),
        (
            "{data.status: {gte: 500, lt: 600}}",
            AllOf((Compare("data.status", Op.GTE, 500), Compare("data.status", Op.LT, 600))),
        ),
        ("{data.status: {in: [500, 503]}}", Compare("data.status", Op.IN, (500, 503))),
        ("{data.text: {eq: Shop, fold: true}}", Compare("data.text", Op.EQ, "Shop", fold=True)),
        (
            "{data.text: {startswith: a, endswith: b, fold: false}}",
            AllOf((Compare("data.text", Op.STARTSWITH, "a"), Compare("data.text", Op.ENDSWITH, "b"))),
        ),
        ('{data.text: {regex: "^a$"}}', Compare("data.text", Op.REGEX, "^a$")),
        ('{data.text: "$$5"}', Compare("data.text", Op.EQ, "$5")),
        ("{data.text: {exists: false}}", Compare("data.text", Op.EXISTS, False)),
        ("{data.files: {any: a}}", Compare("data.files", Op.EQ, "a", Over.ANY)),
        ("{data.files: {any: [a, b]}}", Compare("data.files", Op.IN, ("a", "b"), Over.ANY)),
        (
            "{data.files: {all: {glob: '*.py', fold: true}}}",
            Compare("data.files", Op.GLOB, "*.py", Over.ALL, fold=True),
        ),
        ("{data.files: {contains: 5}}", Compare("data.files", Op.CONTAINS, 5)),
        ("{data.more.x.y: 5}", Compare("data.more.x.y", Op.EQ, 5)),
        ("{data.more: {any: [1]}}", Compare("data.more", Op.IN, (1,), Over.ANY)),
        ("{'data.more[\"a.b\"]': 5}", Compare('data.more["a.b"]', Op.EQ, 5)),
        ("{'data.files[0]': a}", Compare("data.files[0]", Op.EQ, "a")),
        ("{severity: {gte: error}}", Compare("severity", Op.GTE, "error")),
        ("{source: {contains: pro}}", Compare("source", Op.CONTAINS, "pro")),
        ("{service: {eq: SHOP, fold: true}}", Compare("service", Op.EQ, "SHOP", fold=True)),
        (
            "{any: [{data.ok: true}, {data.status: 5, data.text: a}]}",
            AnyOf(
                (
                    Compare("data.ok", Op.EQ, True),
                    AllOf((Compare("data.status", Op.EQ, 5), Compare("data.text", Op.EQ, "a"))),
                )
            ),
        ),
        ("{not: {all: [{data.ok: true}]}}", Not(AllOf((Compare("data.ok", Op.EQ, True),)))),
    ],
)
def test_a_mapping_becomes_a_condition(text: str, expected: Condition) -> None:
    assert condition(text) == expected


def test_without_a_declaration_everything_under_data_goes() -> None:
    assert condition("{data.whatever: {gt: 5}}", "undeclared") == Compare("data.whatever", Op.GT, 5)


def test_a_policy_looks_at_lists_by_element() -> None:
    assert condition("{touches: {any: [schema, data]}}", "proposal") == Compare(
        "touches", Op.IN, ("schema", "data"), Over.ANY
    )


def test_same_at_the_top_can_be_split_off() -> None:
    found = condition("{service: {same: $probe.service}, data.ok: true}")

    kept, joins = split_join(found)

    assert kept == AllOf((Compare("data.ok", Op.EQ, True),))
    assert joins == (("service", Ref("probe", ("service",))),)


def test_what_was_built_is_what_is_meant() -> None:
    fact: Mapping[str, object] = {
        "service": "shop",
        "data": {"ok": False, "status": 503, "files": ["a.sql", "b.py"]},
    }
    evaluated: Callable[[str], Truth] = lambda text: evaluate(condition(text), fact)  # type: ignore[arg-type] # noqa: E731

    assert (
        evaluated("{data.ok: false, data.status: {gte: 500}, data.files: {any: {endswith: .sql}}}")
        is Truth.TRUE
    )
    assert evaluated("{data.files: {all: {endswith: .sql}}}") is Truth.FALSE
    assert evaluated("{not: {data.text: x}}") is Truth.UNKNOWN


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{data.okay: 1}", "unknown field `data.okay` (did you mean data.ok?)"),
        ("{data.ok.deep: 1}", "`data.ok.deep` leads nowhere: data.ok is declared as bool"),
        ("{service.name: shop}", "`service.name` leads nowhere: service is a plain value"),
        ("{'data..x': 1}", '`data..x` is not a path (write data.status or data.labels["a/b"])'),
        ("{data.ok: 1}", "`1` is not true or false, and data.ok is (the two are never equal)"),
        ("{data.status: 1.5}", "`1.5` is not a whole number, and data.status is (the two are never equal)"),
        ("{data.status: true}", "`true` is not a whole number, and data.status is (the two are never equal)"),
        ("{data.text: 5}", "`5` is not text, and data.text is (quote it)"),
        ("{data.text: {in: [a, 5]}}", "`5` is not text, and data.text is (quote it)"),
        ("{data.text: null}", "data.text is never null (compare it with text)"),
        ("{data.text: {gt: 5}}", "`5` is not text, and data.text is (quote it)"),
        ("{data.status: {contains: '5'}}", "data.status is a whole number, and this operator is for text"),
        ("{data.files: a}", "data.files is a list (write data.files: {any: …}, {all: …} or {contains: …})"),
        ("{data.files: {any: {all: a}}}", "`any` and `all` of a list do not nest"),
        ("{data.text: {any: [a]}}", "data.text is no list (write the value or the operator alone)"),
        ("{data.more: {eq: 5, fold: true}}", "`fold` ignores case, and `5` has none (leave it out)"),
        (
            "{data.more: {exists: true, fold: true}}",
            "`fold` ignores case, which `exists` does not look at (leave it out)",
        ),
        ("{data.more: {any: {same: $probe.x}}}", "`same` stands alone and outside any, all and not"),
        ("{not: {service: {same: $probe.x}}}", "`same` stands alone and outside any, all and not"),
        ("{service: shpo}", "`shpo` is no service (did you mean shop?)"),
        ("{severity: {gt: high}}", "`high` is no severity (there is critical, error, info, warning)"),
        ("{trust: hihg}", "`hihg` is no trust (did you mean high?)"),
    ],
)
def test_what_could_never_hold_is_refused(text: str, says: str) -> None:
    assert wrong(text) == says


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{touches: {contains: shema}}", "`shema` is no thing to touch (did you mean schema?)"),
        ("{touches: {all: {in: [data, money, x]}}}", "`x` is no thing to touch"),
        ("{idempotent: yes}", 'the text "yes" is not true or false'),
        ("{action: {in: [restart, stop]}}", "`stop` is no action (there is restart)"),
        ("{data.x: 1}", "unknown field `data.x`"),
    ],
)
def test_a_policy_that_would_protect_nothing_is_refused(text: str, says: str) -> None:
    assert wrong(text, "proposal").startswith(says)
