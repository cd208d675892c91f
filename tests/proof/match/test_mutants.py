"""Defects that are planted in the compiler and in the native matcher: the proof has to find each of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BRANCHES, PROGRAM, FACTS = "durable/branches.py", "durable/program.py", "durable/facts.py"
CLOSURES, INDEX, NATIVE = "closures.py", "index.py", "native.py"

#: File, what stands there, and what a tired hand might have written.
MUTANTS = [
    # the compiler
    (
        BRANCHES,
        ("return Branches(self.false, self.true)"),
        ("return Branches(self.true, self.false)"),
    ),
    (
        BRANCHES,
        ("Op.GT: (Is.GT, Is.LTE),"),
        ("Op.GT: (Is.GT, Is.LT),"),
    ),
    (
        BRANCHES,
        ("Op.LTE: (Is.LTE, Is.GT),"),
        ("Op.LTE: (Is.LT, Is.GTE),"),
    ),
    (
        BRANCHES,
        ("return Branches(((Test(field, Is.EQ, literal),),), ((other,), (Test(field, Is.NE, literal),)))"),
        ("return Branches(((Test(field, Is.EQ, literal),),), ((Test(field, Is.NE, literal),),))"),
    ),
    (
        BRANCHES,
        ("negative = compare.op in {Op.NE, Op.NIN}"),
        ("negative = compare.op in {Op.NE}"),
    ),
    (
        BRANCHES,
        ("if compare.fold or compare.over is not Over.VALUE:"),
        ("if compare.over is not Over.VALUE:"),
    ),
    (
        BRANCHES,
        ("return found if wanted else found.swapped()"),
        ("return found"),
    ),
    (
        PROGRAM,
        ("for truth, literal in ((Truth.TRUE, 1), (Truth.FALSE, 0)):"),
        ("for truth, literal in ((Truth.TRUE, 1), (Truth.FALSE, 1)):"),
    ),
    (
        FACTS,
        ("    if not is_plain(value):\n        return False\n"),
        (""),
    ),
    (
        FACTS,
        ("if Kind.SET in slot.kinds:"),
        ("if Kind.SET in slot.kinds and value is not None:"),
    ),
    (
        FACTS,
        ("shown[field] = int(truth is Truth.TRUE)"),
        ("shown[field] = int(truth is not Truth.TRUE)"),
    ),
    # the native matcher
    (
        CLOSURES,
        ("return _decided_by(_TRUE, _FALSE, [compiled"),
        ("return _decided_by(_TRUE, _UNKNOWN, [compiled"),
    ),
    (
        CLOSURES,
        ("return lambda fact: negate(inner(fact))"),
        ("return lambda fact: inner(fact)"),
    ),
    (
        CLOSURES,
        ("            if truth is decisive:\n                return truth\n"),
        (""),
    ),
    (
        CLOSURES,
        ("if value == operand and type(value) is not bool:"),
        ("if value == operand:"),
    ),
    (
        CLOSURES,
        ("if op is Op.IN and isinstance(operand, tuple) and all("),
        ("if op is Op.IN and isinstance(operand, tuple) and any("),
    ),
    (
        CLOSURES,
        ("Op.GTE: operator.ge,"),
        ("Op.GTE: operator.gt,"),
    ),
    (
        CLOSURES,
        (
            "        if value is operand:\n"
            "            return _TRUE\n"
            "        return _UNKNOWN if value is MISSING else _FALSE"
        ),
        ("        return _TRUE if value is operand else _FALSE"),
    ),
    (
        CLOSURES,
        ("return value.get(inner, MISSING) if type(value) is dict else MISSING"),
        ("return value.get(inner, None) if type(value) is dict else MISSING"),
    ),
    (
        CLOSURES,
        (
            "        if type(value) is str and value in operands:\n"
            "            return _TRUE\n"
            "        return _UNKNOWN if"
        ),
        (
            "        if type(value) is str and value not in operands:\n"
            "            return _TRUE\n"
            "        return _UNKNOWN if"
        ),
    ),
    (
        INDEX,
        ("self._below[name[:-1]] = tuple(items)"),
        ("self._below[name[:-2]] = tuple(items)"),
    ),
    (
        NATIVE,
        ("return {key: test(fact) for key, test in patterns}"),
        ("return {key: test(fact) for key, test in patterns if test(fact) is Truth.TRUE}"),
    ),
]


def run(daemon: Path) -> subprocess.CompletedProcess[str]:
    """A few thousand cases, with the package of that directory."""
    environment = os.environ | {"PYTHONPATH": str(daemon)}
    program = Path(__file__).with_name("differ.py")
    return subprocess.run(
        [sys.executable, str(program), "7", "40"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_the_unchanged_package_passes() -> None:
    ended = run(ROOT / "daemon")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith(" cases, no difference\n")


@pytest.mark.parametrize(
    ("file", "right", "wrong"), MUTANTS, ids=[f"{n}-{m[0]}" for n, m in enumerate(MUTANTS)]
)
def test_a_planted_defect_is_found(file: str, right: str, wrong: str, tmp_path: Path) -> None:
    copy = tmp_path / "daemon"
    shutil.copytree(ROOT / "daemon", copy, ignore=shutil.ignore_patterns("__pycache__"))
    place = copy / "holdfast" / "match" / file
    text = place.read_text()
    assert text.count(right) >= 1, "the mutant is about code that is no longer there: plant it anew"
    place.write_text(text.replace(right, wrong, 1))

    ended = run(copy)

    assert ended.returncode == 1, ended.stdout
    assert " instead of " in ended.stdout or "Failed" in ended.stderr or "Error" in ended.stderr
