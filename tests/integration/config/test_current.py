from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.integration.config.conftest import Work

from holdfast.config.current import Current
from holdfast.config.starter import init
from holdfast.config.watch import Watcher
from holdfast.errors import ConfigError, Problem
from holdfast.model.snapshot import Snapshot

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


class Proof:
    """Takes down what is tried out, and refuses it where it is told to."""

    def __init__(self) -> None:
        self.tried: list[str] = []
        self.refuses = False

    def __call__(self, snapshot: Snapshot) -> None:
        self.tried.append(snapshot.commit)
        if self.refuses:
            raise ConfigError([Problem("tests/shop.yaml", 1, 1, "", "it is not as expected")])


def test_the_first_one_is_tried_out_at_the_first_reload_and_each_later_one_before_it_counts(
    tmp_path: Path,
) -> None:
    init(tmp_path / "config")
    proof = Proof()
    current = Current(tmp_path / "config", proof)
    first = current.snapshot
    tried_at_first = list(proof.tried)
    same = [current.reload(), current.reload()]
    (tmp_path / "config/policies/more.yaml").write_text(MORE)
    proof.refuses = True
    with pytest.raises(ConfigError, match="not as expected"):
        current.reload()
    kept = current.snapshot
    proof.refuses = False
    second = current.reload()

    assert tried_at_first == []
    assert same == [first, first]
    assert kept is same[0] is same[1] is first
    assert proof.tried == [first.commit, second.commit, second.commit]
    assert "more" in second.policies


def test_a_first_one_that_fails_is_tried_out_again_until_it_passes(tmp_path: Path) -> None:
    init(tmp_path / "config")
    proof = Proof()
    current = Current(tmp_path / "config", proof)
    proof.refuses = True
    for _ in range(2):
        with pytest.raises(ConfigError, match="not as expected"):
            current.reload()
    proof.refuses = False

    assert not current.proven
    assert current.reload() is current.snapshot
    assert current.proven
    assert len(proof.tried) == 3


def test_a_config_without_tests_needs_no_proof(tmp_path: Path) -> None:
    init(tmp_path / "config")
    (tmp_path / "config/tests/shop.yaml").unlink()

    assert Current(tmp_path / "config").proven


def test_a_start_leaves_tests_out_that_cannot_be_read_and_everything_else_is_refused(
    work: Work, server: Path, tmp_path: Path
) -> None:
    work.commit()
    work.push()
    init(tmp_path / "config")
    (tmp_path / "config/tests/shop.yaml").write_text("test: [")
    current = Current(tmp_path / "config", starting=True)

    assert set(current.snapshot.rules) == {"shop-down"}
    assert (current.snapshot.tests, current.proven) == ({}, False)
    with pytest.raises(ConfigError, match=r"tests/shop\.yaml"):
        current.reload()
    with pytest.raises(ConfigError, match=r"tests/shop\.yaml"):
        Current(tmp_path / "config")
    (tmp_path / "config/rules/more.yaml").write_text("rule: [")
    with pytest.raises(ConfigError, match=r"rules/more\.yaml"):
        Current(tmp_path / "config", starting=True)
    assert len(Current(server, starting=True).snapshot.tests) == 4


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
