"""Every check has an example that passes and one that fails, with the line that an operator reads.

`good/NAME.yaml` and `bad/NAME.yaml` are laid over `base/`. The first line of a bad one is
`# expect: ` and its first problem. A line `# file: PATH` says where the example stands when that is
not `rules/example.yaml`; there it takes the place of what the base has.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from holdfast.config.load import load_files
from holdfast.errors import ConfigError

HERE = Path(__file__).parent
BASE = {
    path.relative_to(HERE / "base").as_posix(): path.read_bytes() for path in (HERE / "base").rglob("*.yaml")
}
NAMES = sorted(path.stem for path in (HERE / "bad").glob("*.yaml"))


def laid_over_base(path: Path) -> dict[str, bytes]:
    text = path.read_text(encoding="utf-8")
    place = re.search(r"^# file: (.+)$", text, re.MULTILINE)
    return {**BASE, (place[1] if place else "rules/example.yaml"): text.encode()}


def test_the_base_loads() -> None:
    assert load_files(BASE, "base").tests == {}


def test_every_bad_example_has_a_good_one() -> None:
    good = sorted(path.stem for path in (HERE / "good").glob("*.yaml"))

    assert good == NAMES
    assert len(NAMES) > 100


@pytest.mark.parametrize("name", NAMES)
def test_a_good_example_loads(name: str) -> None:
    assert load_files(laid_over_base(HERE / "good" / f"{name}.yaml"), "good").commit == "good"


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_example_says_its_one_clear_line(name: str) -> None:
    path = HERE / "bad" / f"{name}.yaml"
    expected = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# expect: ")

    with pytest.raises(ConfigError) as caught:
        load_files(laid_over_base(path), "bad")

    said = [str(problem) for problem in caught.value.problems]
    assert said[0] == expected
    assert all("\n" not in line for line in said)
    assert len(said) == 1, "one mistake is one line"
