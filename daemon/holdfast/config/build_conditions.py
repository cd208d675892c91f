"""`where`, `match` and `if`: mappings in, conditions out; every operand fits what it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from holdfast.conditions import RANKS, regex_problem
from holdfast.config.fields import Field, UnknownField, Vocabulary
from holdfast.config.references import BadReference, literal
from holdfast.config.shape import did_you_mean
from holdfast.config.tree import Path, Sheet, escaped, quoted
from holdfast.model.conditions import AllOf, AnyOf, Compare, Condition, Not, Op, Over
from holdfast.model.values import Json, Ref, Scalar

_TEXTUAL: Final = frozenset({Op.STARTSWITH, Op.ENDSWITH, Op.GLOB, Op.REGEX})
_ORDERS: Final = frozenset({Op.GT, Op.GTE, Op.LT, Op.LTE})
_FOLDABLE: Final = _TEXTUAL | {Op.EQ, Op.NE, Op.IN, Op.NIN, Op.CONTAINS}
_OF_LISTS: Final = frozenset({Op.CONTAINS, Op.EXISTS})
_NAMES: Final = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text"}

#: Reads a reference and checks it; None where it is wrong, which is then written down.
ReadRef = Callable[[Path, str], Ref | None]


class _Wrong(ValueError):
    """The operand does not fit; says why."""


@dataclass(frozen=True, slots=True)
class _Test:
    """One operator as written: where, which, and how it reads a list."""

    path: Path
    op: Op
    operand: Json
    over: Over
    fold: bool


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the conditions of one document. `same` is None where joining makes no sense."""

    sheet: Sheet
    fields: Vocabulary
    same: ReadRef | None = None

    def condition(self, path: Path, data: Json, *, top: bool = True) -> Condition:
        """The condition that a mapping stands for; of an empty one, what always holds."""
        items: list[Condition] = []
        for key, value in data.items() if isinstance(data, dict) else ():
            here = (*path, key)
            if key in {"any", "all"} and isinstance(value, list):
                below = tuple(self.condition((*here, at), item, top=False) for at, item in enumerate(value))
                items.append(AnyOf(below) if key == "any" else AllOf(below))
            elif key == "not":
                items.append(Not(self.condition(here, value, top=False)))
            else:
                items += self._compares(here, key, value, top=top)
        return items[0] if len(items) == 1 else AllOf(tuple(items))

    def _compares(self, path: Path, name: str, value: Json, *, top: bool) -> Iterator[Condition]:
        """The comparisons with the field `name`; problems are written down and left out."""
        try:
            field = self.fields(name)
        except UnknownField as error:
            self.sheet.say(path, str(error), key=True)
            return
        for test in _spread(path, value, Over.VALUE):
            if len(_quantifiers(test.path[len(path) :])) > 1:
                self.sheet.say(test.path, "`any` and `all` of a list do not nest")
                continue
            try:
                yield self._compare(name, field, test, top=top)
            except (_Wrong, BadReference) as error:
                self.sheet.say(test.path, str(error))

    def _compare(self, name: str, field: Field, test: _Test, *, top: bool) -> Compare:
        if test.op is Op.SAME:
            return self._join(name, test, top=top)
        if test.fold and test.op not in _FOLDABLE:
            raise _Wrong(f"`fold` ignores case, which `{test.op}` does not look at (leave it out)")
        element = _element(name, field, test)
        operand: Scalar | tuple[Scalar, ...]
        if isinstance(test.operand, list):
            operand = tuple(_operand(name, element, test, item) for item in test.operand)
        else:
            operand = _operand(name, element, test, test.operand)
        return Compare(name, test.op, operand, test.over, test.fold)

    def _join(self, name: str, test: _Test, *, top: bool) -> Compare:
        if self.same is None:
            raise _Wrong("`same` joins a guard to the event that fired (it belongs in `unless`)")
        if not top or test.over is not Over.VALUE or test.fold:
            raise _Wrong("`same` stands alone and outside any, all and not")
        reference = self.same(test.path, str(test.operand))
        return Compare(name, Op.SAME, reference or Ref(""))


def _spread(path: Path, value: Json, over: Over) -> Iterator[_Test]:
    """A value as written, as operators: a bare one means eq, a list of elements means in."""
    if not isinstance(value, dict):
        yield _Test(path, Op.IN if isinstance(value, list) else Op.EQ, value, over, fold=False)
        return
    fold = value.get("fold") is True
    for key, item in value.items():
        if key in {"any", "all"}:
            for test in _spread((*path, key), item, Over(key)):
                yield replace(test, fold=test.fold or fold)
        elif key != "fold":
            yield _Test((*path, key), Op(key), item, over, fold)


def _quantifiers(path: Path) -> list[str]:
    return [str(part) for part in path if part in {"any", "all"}]


def _element(name: str, field: Field, test: _Test) -> Field:
    """The field that the operand is compared with: for lists, that of one element."""
    if test.over is not Over.VALUE and field.kind not in {"list", "any"}:
        raise _Wrong(f"{name} is no list (write the value or the operator alone)")
    if field.kind != "list":
        return field if test.op is not Op.CONTAINS else replace(field, words=None)
    if test.over is Over.VALUE and test.op not in _OF_LISTS:
        raise _Wrong(f"{name} is a list (write {name}: {{any: …}}, {{all: …}} or {{contains: …}})")
    return replace(field, kind="str" if field.words else "any", optional=field.words is None)


def _operand(name: str, field: Field, test: _Test, value: Json) -> Scalar:
    """One constant, after a look at whether the comparison can ever be true."""
    if isinstance(value, list | dict):
        raise _Wrong(f"{quoted(value)} is no plain value, and `{test.op}` compares with one")
    if test.op is Op.REGEX:
        return _regex(str(value), field, name)
    if test.op is Op.EXISTS:
        return value
    item = literal(value)
    if test.fold and not isinstance(item, str):
        raise _Wrong(f"`fold` ignores case, and {quoted(item)} has none (leave it out)")
    if test.op in _ORDERS:
        _check_order(name, field, item)
    elif test.op in _TEXTUAL:
        _check_kind(name, field, item, "str")
    else:
        _check_kind(
            name, field, item, "str" if test.op is Op.CONTAINS and field.kind != "any" else field.kind
        )
        if not test.fold:
            _check_words(field, item)
    return item


def _regex(pattern: str, field: Field, name: str) -> str:
    _check_kind(name, field, pattern, "str")
    problem = regex_problem(pattern)
    if problem:
        raise _Wrong(f"RE2 cannot use this regex: {problem} (it knows no back-references and no look-around)")
    return pattern


def _check_order(name: str, field: Field, item: Scalar) -> None:
    ranks = RANKS.get(name)
    if ranks is not None:
        if item not in ranks:
            raise _Wrong(f"{quoted(item)} is no {name}{did_you_mean(str(item), ranks)}")
    elif field.kind in {"bool", "list"}:
        raise _Wrong(f"{name} is {_NAMES.get(field.kind, 'a list')}: it has no greater and no less")
    else:
        _check_kind(name, field, item, field.kind)


def _check_kind(name: str, field: Field, item: Scalar, wanted: str) -> None:
    """Refuse what is never equal: the number 500 is not the text "500"."""
    if field.kind not in {"any", wanted}:
        raise _Wrong(f"{name} is {_NAMES[field.kind]}, and this operator is for {_NAMES[wanted]}")
    if item is None:
        if not field.optional:
            raise _Wrong(f"{name} is never null (compare it with {_NAMES.get(wanted, 'a value')})")
        return
    kinds = {
        "bool": isinstance(item, bool),
        "int": isinstance(item, int) and not isinstance(item, bool),
        "float": isinstance(item, int | float) and not isinstance(item, bool),
        "str": isinstance(item, str),
    }
    if not kinds.get(wanted, True):
        shown = f'the text "{escaped(item)}"' if isinstance(item, str) else quoted(item)
        right = "quote it" if wanted == "str" else "the two are never equal"
        raise _Wrong(f"{shown} is not {_NAMES[wanted]}, and {name} is ({right})")


def _check_words(field: Field, item: Scalar) -> None:
    if field.words is not None and isinstance(item, str) and item not in field.words:
        raise _Wrong(f"{quoted(item)} is no {field.what}{did_you_mean(item, field.words)}")
