from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.config.load import load
from holdfast.config.starter import init
from holdfast.errors import HoldfastError


def test_the_starter_pack_loads_without_problems(tmp_path: Path) -> None:
    written = init(tmp_path / "new" / "config")

    found = load(tmp_path / "new" / "config")

    assert [path.is_file() for path in written] == [True] * len(written)
    assert {path.relative_to(tmp_path / "new" / "config").parts[0] for path in written} == {
        "holdfast.yaml", "rules", "policies", "tests",
    }  # fmt: skip
    assert set(found.rules) == {"shop-down"}
    assert {"restart-unit", "roll-back-release"} <= set(found.actions)
    assert {"service-down-envelope", "migrations-need-a-human"} <= set(found.policies)


def test_the_starter_pack_restarts_as_the_design_says(tmp_path: Path) -> None:
    init(tmp_path / "config")

    action = load(tmp_path / "config").actions["restart-unit"]

    assert [str(item) for item in action.argv] == ["sudo", "-n", "systemctl", "restart", "--", "$unit"]


def test_an_empty_directory_may_be_there_already(tmp_path: Path) -> None:
    assert len(init(tmp_path)) >= 4


def test_nothing_that_exists_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")

    with pytest.raises(HoldfastError, match="is not an empty directory"):
        init(tmp_path)
    with pytest.raises(HoldfastError, match="is not an empty directory"):
        init(tmp_path / "note")
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(HoldfastError, match=r"cannot be written: Not a directory"):
        init(tmp_path / "file" / "config")
