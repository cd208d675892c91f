"""All tests of a config, one after the other, each on a database of its own."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from holdfast.errors import ConfigError, HoldfastError, Problem, StoreError
from holdfast.model.events import Event
from holdfast.model.ruletests import Answer, Expect, RuleTest, Send, Wait
from holdfast.model.snapshot import Snapshot
from holdfast.ruletest.events import event_of, every_event
from holdfast.ruletest.looking import Told, differences, standing, story
from holdfast.ruletest.stage import BEGIN, Stage, TooSlow
from holdfast.sense.refusal import Refused
from holdfast.store.database import Database

#: Events of the tests that a new engine is shown, all in all.
SHOWN: Final = 1_000
#: Seconds that all tests may take together: a push waits for them, and a daemon for twice as long.
PATIENCE: Final = 30.0
_EMPTY, _STORE = "empty.db", "holdfast.db"


@dataclass(frozen=True, slots=True)
class Result:
    """One test: it passed where there is no problem. `fired` are the rules that it made fire; `story` is
    empty where nobody asked for it."""

    name: str
    where: str
    passed: bool
    problems: tuple[Problem, ...]
    fired: tuple[str, ...]
    story: tuple[Told, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """What came of the tests; `untested` are the rules that none of them made fire."""

    passed: bool
    commit: str
    tests: tuple[Result, ...]
    untested: tuple[str, ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that was not as expected."""
        return tuple(problem for result in self.tests for problem in result.problems)


def run(
    snapshot: Snapshot,
    names: Iterable[str] | None = None,
    *,
    ended: Callable[[Result], object] = lambda _: None,
    told: bool = False,
    patience: float = PATIENCE,
) -> Report:
    """Run the tests of these names, or all, in the order of their names; `ended` is told each result.

    A script ends at the first step that is not as expected, with everything that is wrong there. With
    `told` each result has its story. Raises StoreError when there is no room for the databases, and
    ConfigError when it takes too long.
    """
    until = time.monotonic() + patience
    results: list[Result] = []
    chosen = [snapshot.tests[name] for name in sorted(snapshot.tests if names is None else names)]
    with _folder() as folder:
        for test in chosen:
            try:
                result = _one(snapshot, test, folder, until, told=told)
            except TooSlow as error:
                found = [problem for earlier in results for problem in earlier.problems]
                raise ConfigError([*found, _too_slow(test, patience)]) from error
            ended(result)
            results.append(result)
    fired = {rule for result in results for rule in result.fired}
    return Report(
        all(result.passed for result in results),
        snapshot.commit,
        tuple(results),
        tuple(sorted(snapshot.rules.keys() - fired)),
    )


def _too_slow(test: RuleTest, patience: float) -> Problem:
    message = f"all tests together take more than {patience:g} s (this one was on: make it shorter)"
    return Problem(test.file, test.script[0].line, test.script[0].column, "script", message)


def sent(snapshot: Snapshot) -> Sequence[Event]:
    """What the tests send, for an engine that is to take over; what would be refused is left out."""
    found: list[Event] = []
    for test in snapshot.tests.values():
        try:
            found += every_event(test, snapshot, BEGIN)
        except Refused:
            continue
    return found[:SHOWN]


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder with an empty database in it, and gone at the end."""
    try:
        temporary = tempfile.TemporaryDirectory(prefix="holdfast-test-")
    except OSError as error:
        raise StoreError(f"there is no room for the databases of the tests: {error}") from error
    with temporary as name:
        Database.open(Path(name, _EMPTY)).close()
        yield Path(name)


def _one(snapshot: Snapshot, test: RuleTest, folder: Path, until: float, *, told: bool) -> Result:
    begun = time.monotonic()
    database = _copied(folder)
    stage = Stage(snapshot, database, test.commands, until=until)
    try:
        problems = tuple(_played(stage, snapshot, test))
        fired = stage.look(standing).fired or ()
        lines = stage.look(story) if told else ()
    finally:
        stage.close()
        for leftover in folder.glob(f"{_STORE}*"):
            leftover.unlink()
    seconds = round(time.monotonic() - begun, 3)
    return Result(test.name, test.where, not problems, problems, fired, lines, seconds)


def _copied(folder: Path) -> Path:
    """A database as a new installation has it; to make one anew takes ten times as long."""
    try:
        return Path(shutil.copyfile(folder / _EMPTY, folder / _STORE))
    except OSError as error:
        raise StoreError(f"there is no room for the databases of the tests: {error}") from error


def _played(stage: Stage, snapshot: Snapshot, test: RuleTest) -> Iterator[Problem]:
    for number, step in enumerate(test.script):
        try:
            wrong = list(_step(stage, snapshot, step.deed, number))
        except (StoreError, TooSlow):
            raise
        except HoldfastError as error:
            wrong = [("", str(error))]
        for path, message in wrong:
            kind = _KINDS[type(step.deed)]
            where = ".".join(part for part in (f"script[{number}].{kind}", path) if part)
            yield Problem(test.file, step.line, step.column, where, f"{message}, in test {test.name}")
        if wrong:
            return


def _step(
    stage: Stage, snapshot: Snapshot, deed: Send | Wait | Answer | Expect, number: int
) -> Iterable[tuple[str, str]]:
    match deed:
        case Send():
            for time_ in range(deed.times):
                if time_:
                    stage.wait(deed.every)
                stage.take(event_of(deed, snapshot, stage.now, f"{number}-{time_}"))
        case Wait():
            stage.wait(deed.span)
        case Answer():
            stage.answer(deed.choice)
        case Expect():
            return differences(deed, stage.look(standing))
    return ()


_KINDS: Final = {Send: "event", Wait: "wait", Answer: "answer", Expect: "expect"}
