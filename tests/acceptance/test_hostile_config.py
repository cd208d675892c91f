"""`holdfast check` on a config that somebody made to hurt: clear lines, bounded time, bounded memory."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.config.load import MAX_VALUES
from holdfast.config.reader import MAX_BYTES

if TYPE_CHECKING:
    from conftest import Process

#: Far above what is measured, and far below what hurts: CPU seconds, and bytes of address space.
SECONDS = 60
MEMORY = 2**30
REFUSED = 2
#: Lines that are shown about one file, the one that counts the others included.
MOST_LINES = 21
PLAIN = str.maketrans(" ^", "--")
SITE = "format: 1\n"

ACTION = """
action: restart-unit-{0}
doc: Restart something.
local: {{argv: [/bin/true]}}
verify: none
undo: none
touches: [availability]
idempotent: true
risk: low
deadline: 20s
---
rule: r{0}
doc: It names an action that is almost there.
mode: auto
when: {{e: {{event: x}}}}
incident: {{type: a, severity: error, title: x}}
clears: {{after: 1h}}
contain:
  - {{do: restart-unot-{0}}}
---"""


def full(unit: bytes) -> bytes:
    """As much of it as a file may hold."""
    return unit * (MAX_BYTES // len(unit))


#: What a file under rules/ holds, and what is said about it.
FILES: dict[str, tuple[bytes, str]] = {
    "alias bomb": (
        b"a: &a [x, x, x, x, x, x, x, x, x]\n"
        + b"".join(b"b%d: &b%d [*a, *a, *a]\n" % (one, one) for one in range(20_000)),
        "anchors and aliases are not supported",
    ),
    "nested lists": (full(b"["), "nested deeper than 24 levels"),
    "nested mappings": (full(b"{a: "), "nested deeper than 24 levels"),
    "nested keys": (full(b"? "), "nested deeper than 24 levels"),
    "a huge plain text": (b"rule: " + b"y" * (MAX_BYTES - 10), "`" + "y" * 60 + "…`"),
    "a huge quoted text": (b'rule: "' + b"\\x41" * 249_990 + b'"', "`" + "A" * 60 + "…`"),
    "a huge block": (b"rule: |\n" + b"  y\n" * 240_000, "is not a name (use a-z"),
    "a huge key": (b"? " + b"y" * 990_000 + b"\n: 1\n", "unknown kind of document"),
    "10^6 keys": (b"".join(b"%d:\n" % one for one in range(10**6)), "at most 1,000,000 are read"),
    "NUL": (b"rule: a\x00b\n", "a character that cannot be seen, U+0000"),
    "no UTF-8": (b"rule: \xff\n", "this is not UTF-8 text"),
    "UTF-16": ("rule: x\n".encode("utf-16"), "this is not UTF-8 text"),
    "a surrogate": (b'rule: "\\ud800"\n', "the text holds a control character"),
    "tags": (full(b"! "), "the tag ! is not supported"),
    "a directive": (full(b"%a\n"), "directives are not supported"),
}  # fmt: skip
#: The same, for what takes long to find out.
LONG: dict[str, tuple[bytes, str]] = {
    "many keys": (b"".join(b"k%d: 1\n" % one for one in range(80_000)), "values in one file (split it)"),
}


@dataclass(frozen=True)
class Checked:
    """What a check said, and what it took."""

    code: int
    said: str
    seconds: float


@pytest.fixture
def check(daemon: Process, tmp_path: Path) -> Callable[[Mapping[str, bytes]], Checked]:
    def _check(files: Mapping[str, bytes]) -> Checked:
        daemon.write("holdfast.yaml", SITE)
        for name, content in files.items():
            path = daemon.config / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        said = tmp_path / "said"
        with said.open("wb") as out:
            process = subprocess.Popen(daemon.argv("check"), stdout=out, stderr=out, stdin=subprocess.DEVNULL)
            resource.prlimit(process.pid, resource.RLIMIT_AS, (MEMORY, MEMORY))
            _, status, usage = os.wait4(process.pid, 0)  # the one way to learn what one child took
            process.returncode = os.waitstatus_to_exitcode(status)
        return Checked(
            process.returncode,
            said.read_text(encoding="utf-8"),
            usage.ru_utime + usage.ru_stime,
        )

    return _check


def bounded(checked: Checked, *, seconds: float = SECONDS) -> None:
    assert checked.code == REFUSED
    assert "Traceback" not in checked.said
    assert all(character.isprintable() or character == "\n" for character in checked.said)
    assert checked.seconds < seconds


def test_every_hostile_file_is_refused_in_clear_lines(check: Callable[..., Checked]) -> None:
    names = {f"rules/{name.lower().translate(PLAIN)}.yaml": name for name in FILES}
    checked = check({path: FILES[name][0] for path, name in names.items()})

    bounded(checked)
    for path, name in names.items():
        lines = [line for line in checked.said.splitlines() if line.startswith(f"{path}:")]
        assert any(FILES[name][1] in line for line in lines), (name, lines)
        assert len(lines) <= MOST_LINES
        assert max(map(len, lines)) < 400


@pytest.mark.parametrize("name", LONG)
def test_a_hostile_file_costs_little(check: Callable[..., Checked], name: str) -> None:
    checked = check({"rules/hostile.yaml": LONG[name][0]})

    bounded(checked)
    assert LONG[name][1] in checked.said


def test_many_hostile_files_cost_no_more_than_a_few(check: Callable[..., Checked]) -> None:
    checked = check({f"rules/hostile{number}.yaml": full(b"---\nrule: x\n") for number in range(15)})

    bounded(checked)
    assert f"the repository has more than {MAX_VALUES:,} values" in checked.said


def test_names_that_are_almost_right_are_not_compared_without_end(check: Callable[..., Checked]) -> None:
    checked = check({"rules/hostile.yaml": "".join(map(ACTION.format, range(1000))).encode()})

    bounded(checked, seconds=10)
    assert "unknown action" in checked.said


def test_a_few_names_that_are_almost_right_are_still_told(check: Callable[..., Checked]) -> None:
    checked = check({"rules/hostile.yaml": ACTION.format(1).encode()})

    assert "(did you mean restart-unit-1?)" in checked.said
