from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from holdfast.cli.door import EXIT_CODES
from holdfast.cli.entry import COMMANDS, build
from holdfast.cli.reference import reference

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"
#: With `--json`, these say themselves what they do; the others have to print an object.
WITHOUT_JSON = {"run", "rehearse", "push-hook"}


def built() -> Any:
    return typer.main.get_command(build())


def parameters(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def test_the_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text() == reference(), (
        "write it anew: python -m holdfast.cli.reference > docs/reference/cli.md"
    )


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_teaches(command: Any) -> None:
    found = built().commands[command.name]
    help_text = found.help.strip().splitlines()

    assert len(help_text[0]) <= 72
    assert command.hidden or command.examples
    assert all(parameter.help for parameter in found.params)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_that_answers_can_answer_in_json(command: Any) -> None:
    wanted = command.name not in WITHOUT_JSON

    assert ("--json" in parameters(built().commands[command.name])) == wanted
    assert bool(command.prints) == wanted


@pytest.mark.parametrize(
    ("name", "example"), [(command.name, example) for command in COMMANDS for example in command.examples]
)
def test_every_example_is_a_command_line_that_is_understood(name: str, example: str) -> None:
    words = shlex.split(
        example.partition(" | holdfast ")[2] or example.partition(" | ")[0].removeprefix("holdfast ")
    )
    words = words[: words.index(">")] if ">" in words else words
    root = built()
    context = root.make_context("holdfast", words)
    found = root.commands[name]

    assert (
        found.make_context(name, [*context._protected_args, *context.args][1:], parent=context).params
        is not None
    )


def test_every_exit_code_that_a_command_names_is_explained() -> None:
    named = {code for command in COMMANDS for code in command.exits}

    assert named == set(EXIT_CODES)
