from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.app import daemon as app
from holdfast.cli import door
from holdfast.cli.door import ConfigRefused, NotFound, Place, Refused
from holdfast.cli.standing import COMMIT, STOPPED
from holdfast.errors import (
    ConfigError,
    DaemonUnreachable,
    HoldfastError,
    InputError,
    Overloaded,
    Problem,
    StoreError,
)
from holdfast.pipeline import road, work


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HoldfastError("x"), 1),
        (StoreError("x"), 1),
        (Overloaded("x"), 1),
        (InputError("x"), 2),
        (ConfigError([Problem("f", 1, 1, "", "m")]), 2),
        (ConfigRefused("x", ("p",)), 2),
        (NotFound("x"), 3),
        (DaemonUnreachable("x"), 4),
        (Refused("x"), 5),
    ],
)
def test_every_error_has_its_exit_code(error: HoldfastError, code: int) -> None:
    assert door.code_of(error) == code


def test_an_error_is_one_line_on_stderr_and_nothing_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    code = door.complain(InputError("first\nsecond \x1b[31m\u202ethird"))

    assert (code, *capsys.readouterr()) == (2, "", "holdfast: first second [31mthird\n")


def test_every_problem_of_a_config_has_its_own_line(capsys: pytest.CaptureFixture[str]) -> None:
    door.complain(ConfigError([Problem("b.yaml", 2, 1, "when", "bad"), Problem("a.yaml", 1, 1, "", "worse")]))

    assert capsys.readouterr().err == "holdfast: a.yaml:1:1: worse\nholdfast: b.yaml:2:1: when: bad\n"


def test_the_door_and_the_daemon_mean_the_same_files() -> None:
    place = Place(state=Path("/s"))

    assert [place.database.name, place.socket.name] == [app.DATABASE, app.SOCKET]


def test_the_door_and_the_pipeline_mean_the_same_facts() -> None:
    assert [COMMIT, STOPPED] == [road.COMMIT, work.STOPPED]


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, "/var/lib/holdfast"),
        ({"STATE_DIRECTORY": "/a"}, "/a"),
        ({"STATE_DIRECTORY": "/a:/b"}, "/a"),
        ({"STATE_DIRECTORY": "/a", "HOLDFAST_STATE": "/c"}, "/c"),
    ],
)
def test_the_environment_names_the_state_directory(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], found: str
) -> None:
    for name in ("HOLDFAST_STATE", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert door.default_state() == Path(found)
