"""`test`: the tests that a config brings along, run against its own rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from holdfast.cli.door import (
    BAD_INPUT,
    FAILED,
    NOT_FOUND,
    OK,
    AsJson,
    Command,
    Config,
    NotFound,
    here,
    place,
    say,
    show,
    snapshot,
)
from holdfast.cli.words import count, span
from holdfast.errors import ConfigError
from holdfast.model.snapshot import Snapshot

if TYPE_CHECKING:
    from rich.console import RenderableType

    from holdfast.ruletest import Report, Result


def run_tests(
    ctx: typer.Context,
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", show_default=False, help="Else this one, else --config.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="This test; may be given several times."),
    ] = None,
    told: Annotated[
        bool, typer.Option("--story", help="Also tell what happened, line by line as the incidents do.")
    ] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Run the tests of a config repository.

    A test under tests/ is a story: events come in, time passes, the operator answers. The rules and
    policies decide as they would, on an empty database and with a clock of the test's own; nothing is
    sent, no host is touched and no daemon is needed. `git push` and a reload run the same tests, and
    refuse a config that fails one. All of them together may take half a minute. Exits with 1 when a
    test fails.
    """
    from holdfast.app.logs import silenced
    from holdfast.ruletest import run

    loaded = snapshot(here(place(ctx, config), directory))
    wanted = _chosen(loaded, only)
    with silenced():
        report = run(loaded, wanted, ended=lambda result: None if as_json else say(*_line(result)), told=told)
    show(report, _end(report, complete=only is None), as_json=as_json)
    if not report.passed:
        raise typer.Exit(FAILED)


def prove(loaded: Snapshot) -> None:
    """Run every test of a config. Raises ConfigError with all that is not as expected."""
    if not loaded.tests:
        return
    from holdfast.app.logs import silenced
    from holdfast.ruletest import run

    with silenced():  # what the road would log is about no trouble that anybody has
        report = run(loaded)
    if not report.passed:
        raise ConfigError(report.problems)


def _chosen(loaded: Snapshot, only: Sequence[str] | None) -> Sequence[str] | None:
    for name in only or ():
        if name not in loaded.tests:
            known = ", ".join(sorted(loaded.tests)) or "none is declared"
            raise NotFound(f"there is no test {name!r}: name one of {known}")
    return None if only is None else list(dict.fromkeys(only))


def _line(result: Result) -> Iterator[RenderableType]:
    from holdfast.cli.render.paper import cell, indented, listing, sentence

    mark, space = (cell("ok", "green"), "    ") if result.passed else (cell("FAIL", "bold red"), "  ")
    yield sentence(mark, f"{space}{result.name}  ", cell(f"{result.seconds:.2f} s", "dim"))
    rows = [(f"+{span(told.after)}" if told.after else "0", told.kind, told.text) for told in result.story]
    if rows:
        yield indented(listing(("", "", ""), rows, header=False), 6)
    for problem in result.problems:
        yield indented(cell(str(problem), ""), 6)


def _end(view: Report, *, complete: bool) -> Iterator[RenderableType]:
    from holdfast.cli.render.paper import cell, hint, sentence

    if not view.tests:
        yield "there are no tests"
        yield hint("Write one under tests/: docs/how-to/test-your-rules.md begins with five lines.")
        return
    failed = sum(not result.passed for result in view.tests)
    said = cell(f"{failed} failed", "bold red") if failed else cell("all passed", "green")
    yield sentence(f"{count(len(view.tests), 'test')}, ", said)
    if complete and view.untested:
        yield hint(f"No test makes these rules fire: {', '.join(view.untested)}")


COMMANDS: Final = (
    Command(
        "test",
        run_tests,
        "Set up",
        ("holdfast.ruletest.suite:Report",),
        ("holdfast test", "holdfast test my-config --only shop-down-is-restarted", "holdfast test --json"),
        (OK, FAILED, BAD_INPUT, NOT_FOUND),
    ),
)
