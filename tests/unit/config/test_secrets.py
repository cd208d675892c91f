from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.config.secrets import Secrets
from holdfast.errors import HoldfastError
from holdfast.model.values import Secret


def put(directory: Path, name: str, content: bytes, mode: int = 0o600) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / name).write_bytes(content)
    (directory / name).chmod(mode)
    return directory / name


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"hunter2", "hunter2"),
        (b"hunter2\n", "hunter2"),
        (b"hunter2\r\n", "hunter2"),
        (b"hunter2\n\n", "hunter2\n"),
        (b" hunter2 ", " hunter2 "),
        ("pässword\n".encode(), "pässword"),
        (b"-----BEGIN\nkey\n-----END\n", "-----BEGIN\nkey\n-----END"),
    ],
)
def test_a_secret_is_its_file_without_one_line_break(tmp_path: Path, content: bytes, secret: str) -> None:
    put(tmp_path, "mail-url", content)

    assert Secrets([tmp_path]).get(Secret("mail-url")) == secret


def test_the_first_directory_wins_and_home_comes_last(tmp_path: Path) -> None:
    put(tmp_path / "first", "a", b"1")
    put(tmp_path / "second", "a", b"2")
    put(tmp_path / "second", "b", b"3")
    put(tmp_path / "home", "c", b"4")
    secrets = Secrets([tmp_path / "first", tmp_path / "missing", tmp_path / "second"], tmp_path / "home")

    assert [secrets.get(Secret(name)) for name in "abc"] == ["1", "3", "4"]
    assert secrets.all_known() == ["1", "2", "3", "4"]


def test_a_missing_secret_says_where_to_put_it(tmp_path: Path) -> None:
    secrets = Secrets([tmp_path], tmp_path / "home")

    with pytest.raises(HoldfastError, match=rf"'x' is missing: put it into {tmp_path}/home/x, .*0600"):
        secrets.get(Secret("x"))
    with pytest.raises(HoldfastError, match="no directory"):
        Secrets([]).get(Secret("x"))


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        (b"x", 0o604, "Everybody can read the secret .*chmod 600"),
        (b"", 0o600, "empty"),
        (b"\n", 0o600, "empty"),
        (b"\xff", 0o600, "not UTF-8"),
        (b"x" * 70_000, 0o600, "too large"),
    ],
)
def test_a_bad_secret_is_refused_without_repeating_it(
    tmp_path: Path, content: bytes, mode: int, says: str
) -> None:
    put(tmp_path, "x", content, mode)

    with pytest.raises(HoldfastError, match=says):
        Secrets([tmp_path]).get(Secret("x"))


def test_a_group_may_read_a_secret(tmp_path: Path) -> None:
    put(tmp_path, "x", b"hunter2", 0o640)

    assert Secrets([tmp_path]).get(Secret("x")) == "hunter2"


def test_what_cannot_be_read_stops_nobody(tmp_path: Path) -> None:
    put(tmp_path, "good", b"hunter2")
    put(tmp_path, "open", b"secret", 0o644)
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")

    assert Secrets([tmp_path, tmp_path / "missing"]).all_known() == ["hunter2"]
