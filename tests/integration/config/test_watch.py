from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.config.conftest import Work
from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedNoWriteEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileOpenedEvent,
    FileSystemEvent,
)

from holdfast.config.load import load
from holdfast.config.starter import init
from holdfast.config.watch import Watcher

PATIENCE = 10.0


class Calls:
    """Counts the calls of a watcher, and waits for them."""

    def __init__(self) -> None:
        self.count = 0
        self._more = threading.Condition()

    def __call__(self) -> None:
        with self._more:
            self.count += 1
            self._more.notify_all()

    def reach(self, count: int, patience: float = PATIENCE) -> bool:
        with self._more:
            return self._more.wait_for(lambda: self.count >= count, patience)


Watch = Callable[[Path], Calls]


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Starts watchers, and stops them in the end."""
    started: list[Watcher] = []

    def begin(path: Path) -> Calls:
        calls = Calls()
        watcher = Watcher(path, calls)
        watcher.start()
        started.append(watcher)
        return calls

    yield begin
    for watcher in started:
        watcher.stop()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    init(tmp_path / "config")
    return tmp_path / "config"


def saved_like_vim(root: Path) -> None:
    swap = root / "rules/.shop.yaml.swp"
    swap.write_text("x")
    (root / "rules/4913").write_text("")
    (root / "rules/4913").unlink()
    (root / "rules/shop.yaml").rename(root / "rules/shop.yaml~")
    (root / "rules/shop.yaml").write_text("rule: x\n")
    (root / "rules/shop.yaml~").unlink()
    swap.unlink()


def replaced_by_rename(root: Path) -> None:
    (root / "new").write_text("rule: x\n")
    (root / "new").rename(root / "rules/shop.yaml")


def new_folder(root: Path) -> None:
    (root / "rules/team").mkdir()
    (root / "rules/team/x.yaml").write_text("rule: x\n")


def folder_moved_away(root: Path) -> None:
    (root / "policies").rename(root / "old")


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "rules/shop.yaml").write_text("rule: x\n"),
        lambda root: (root / "holdfast.yaml").write_text("format: 1\n"),
        lambda root: (root / "rules/shop.yaml").unlink(),
        saved_like_vim,
        replaced_by_rename,
        new_folder,
        folder_moved_away,
    ],
)
def test_a_change_is_seen(watch: Watch, root: Path, change: Callable[[Path], object]) -> None:
    calls = watch(root)

    change(root)

    assert calls.reach(1)


def test_a_file_in_a_new_folder_is_seen_later_too(watch: Watch, root: Path) -> None:
    calls = watch(root)
    (root / "rules/team").mkdir()
    assert calls.reach(1)

    (root / "rules/team/x.yaml").write_text("rule: x\n")

    assert calls.reach(2)


def test_many_changes_at_once_are_one(watch: Watch, root: Path) -> None:
    calls = watch(root)

    for number in range(50):
        (root / f"rules/x{number}.yaml").write_text("rule: x\n")

    assert calls.reach(1)
    assert calls.count == 1


def test_changes_without_end_are_seen_all_the_same(watch: Watch, root: Path) -> None:
    calls = watch(root)
    deadline = time.monotonic() + PATIENCE
    wait = threading.Event()

    while calls.count == 0 and time.monotonic() < deadline:
        (root / "rules/x.yaml").write_text(f"# {time.monotonic()}\n")
        wait.wait(0.02)

    assert calls.count > 0


@pytest.mark.parametrize(
    ("event", "seen"),
    [
        (FileModifiedEvent("rules/a.yaml"), True),
        (FileCreatedEvent("rules/a/b.yaml"), True),
        (FileDeletedEvent("holdfast.yaml"), True),
        (FileMovedEvent("new", "policies/a.yaml"), True),
        (FileMovedEvent("policies/a.yaml", "old"), True),
        (DirMovedEvent("rules/team", "elsewhere"), True),
        (DirCreatedEvent("policies"), True),
        (FileModifiedEvent("README.md"), False),
        (FileModifiedEvent("tests/a.yaml"), True),
        (FileCreatedEvent("rules/.a.yaml.swp"), False),
        (FileCreatedEvent("rules/.#a.yaml"), False),
        (FileCreatedEvent("rules/4913"), False),
        (FileModifiedEvent("rules/a.yaml~"), False),
        (DirCreatedEvent(".git/refs"), False),
        (FileModifiedEvent("../rules/a.yaml"), False),
        (FileOpenedEvent("rules/a.yaml"), False),
        (FileClosedNoWriteEvent("rules/a.yaml"), False),
    ],
    ids=lambda item: (
        f"{type(item).__name__} {item.src_path} {item.dest_path}" if hasattr(item, "src_path") else ""
    ),
)
def test_only_a_change_of_what_counts_is_seen(root: Path, event: FileSystemEvent, seen: bool) -> None:
    watcher = Watcher(root, lambda: None)
    event.src_path = str(root / str(event.src_path))
    event.dest_path = event.dest_path and str(root / str(event.dest_path))

    watcher.on_any_event(event)

    assert (watcher._first is not None) is seen


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("refs/heads/main", True),
        ("packed-refs", True),
        ("reftable/tables.list", True),
        ("refs/heads/main.lock", False),
        ("packed-refs.lock", False),
        ("objects/ab/cdef", False),
        ("config", False),
        ("logs/refs/heads/main", False),
    ],
)
def test_only_a_change_of_a_branch_is_seen(server: Path, path: str, seen: bool) -> None:
    watcher = Watcher(server, lambda: None)

    watcher.on_any_event(FileModifiedEvent(str(server / path)))

    assert (watcher._first is not None) is seen


def test_our_own_look_wakes_nobody(root: Path) -> None:
    calls = Calls()

    def look() -> None:
        load(root)
        calls()

    watcher = Watcher(root, look)
    watcher.start()
    (root / "rules/more.yaml").write_text("# nothing\n")
    once = calls.reach(1)
    again = calls.reach(2, patience=0.5)
    watcher.stop()

    assert (once, again) == (True, False)


def test_a_push_is_seen(watch: Watch, work: Work, server: Path) -> None:
    work.commit()
    work.push()
    calls = watch(server)
    work.commit(policies__more="policy: more\ndoc: More.\nmatch: {}\neffect: deny\n")

    assert work.push()[0]

    assert calls.reach(1)


def test_the_first_push_is_seen(watch: Watch, work: Work, server: Path) -> None:
    calls = watch(server)
    work.commit()

    work.push()

    assert calls.reach(1)


def test_packed_branches_are_seen(watch: Watch, work: Work, server: Path) -> None:
    work.commit()
    work.push()
    calls = watch(server)

    work.git("--git-dir", str(server), "pack-refs", "--all")

    assert calls.reach(1)


def test_a_failing_answer_does_not_end_the_watch(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calls = Calls()

    def fail() -> None:
        calls()
        raise ValueError("no")

    watcher = Watcher(root, fail)
    watcher.start()
    (root / "rules/a.yaml").write_text("x")
    first = calls.reach(1)
    (root / "rules/b.yaml").write_text("x")
    second = calls.reach(2)
    watcher.stop()

    assert (first, second) == (True, True)
    assert "config.watch.failed" in capsys.readouterr().out


def test_after_the_stop_nothing_is_called(root: Path) -> None:
    calls = Calls()
    watcher = Watcher(root, calls)
    watcher.start()
    watcher.stop()

    (root / "rules/a.yaml").write_text("x")

    assert calls.count == 0
