from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.integration.config.conftest import Work

from holdfast.config.current import Current
from holdfast.config.starter import init
from holdfast.config.watch import Watcher
from holdfast.errors import ConfigError

MORE = "policy: more\ndoc: More.\nmatch: {}\neffect: deny\n"


def test_a_directory_is_loaded_and_reloaded(tmp_path: Path) -> None:
    init(tmp_path / "config")
    current = Current(tmp_path / "config")
    before = current.snapshot

    (tmp_path / "config/policies/more.yaml").write_text(MORE)
    after = current.reload()

    assert "more" not in before.policies
    assert "more" in after.policies
    assert current.snapshot is after
    assert before.commit != after.commit


def test_what_did_not_change_stays_the_same_snapshot(tmp_path: Path) -> None:
    init(tmp_path / "config")
    current = Current(tmp_path / "config")
    before = current.snapshot
    (tmp_path / "config/README.md").write_text("hello")

    assert current.reload() is before


def test_the_last_good_one_stays_while_the_new_one_is_bad(tmp_path: Path) -> None:
    init(tmp_path / "config")
    current = Current(tmp_path / "config")
    before = current.snapshot
    (tmp_path / "config/policies/more.yaml").write_text("policy: more\n")

    with pytest.raises(ConfigError, match="`doc` is missing"):
        current.reload()

    assert current.snapshot is before
    (tmp_path / "config/policies/more.yaml").write_text(MORE)
    assert "more" in current.reload().policies


def test_a_bad_first_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the file is missing"):
        Current(tmp_path)


def test_an_empty_server_says_what_to_do(server: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing has been pushed to main yet \(git push "):
        Current(server)


def test_main_of_a_server_is_loaded_under_its_commit(work: Work, server: Path) -> None:
    first = work.commit()
    work.push()
    current = Current(server)
    same = current.reload()
    second = work.commit(policies__more=MORE)
    work.push()

    assert current.snapshot is same
    assert same.commit == first
    assert current.reload().commit == second


def test_a_bad_commit_on_main_leaves_the_last_good_one(work: Work, server: Path) -> None:
    good = work.commit()
    work.push()
    current = Current(server)
    work.commit(rules__x="rule: x\n")
    (server / "hooks/pre-receive").unlink()  # somebody worked around the hook
    work.push()

    with pytest.raises(ConfigError, match=r"rules/x\.yaml"):
        current.reload()

    assert current.snapshot.commit == good


def test_a_server_that_git_cannot_read_leaves_the_last_good_one(work: Work, server: Path) -> None:
    work.commit()
    work.push()
    current = Current(server)
    before = current.snapshot
    (server / "config").write_text("[core\n")

    with pytest.raises(ConfigError, match=r"config\.git:1:1: git rev-parse failed: "):
        current.reload()

    assert current.snapshot is before


def test_a_pushed_commit_takes_over_within_a_second_or_so(work: Work, server: Path) -> None:
    work.commit()
    work.push()
    current = Current(server)
    taken_over = threading.Event()

    def change() -> None:
        if "more" in current.reload().policies:
            taken_over.set()

    watcher = Watcher(server, change)
    watcher.start()
    work.commit(policies__more=MORE)
    work.push()
    seen = taken_over.wait(10)
    watcher.stop()

    assert seen
