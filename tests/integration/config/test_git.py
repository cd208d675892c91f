from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.integration.config.conftest import Work

from holdfast.config.git import check_push, files_at, head, is_server, load_commit, make_server
from holdfast.errors import ConfigError, HoldfastError

ZERO = "0" * 40


def fine(_: object) -> None:
    """Every config proves itself."""


def test_a_good_push_is_taken_and_said_to_be_good(work: Work, server: Path) -> None:
    commit = work.commit()

    assert work.push() == (
        True,
        [f"holdfast: {commit[:12]} is good: 1 rules, 3 actions, 0 playbooks, 3 policies, 4 tests"],
    )
    assert head(server) == commit
    assert load_commit(server, commit).commit == commit


def test_a_bad_push_is_refused_with_the_lines_that_check_prints(work: Work, server: Path) -> None:
    good = work.commit()
    work.push()
    work.commit(rules__x="rule: x\n", rules__y="action: [\n")

    taken, said = work.push()

    assert not taken
    assert (
        "rules/x.yaml:1:1: `doc` is missing (for example doc: The shop fails its probe. Restart it once.)"
        in said
    )
    assert "rules/y.yaml:2:1: a value is missing here, or a bracket before it is not closed" in said
    assert said[-1] == f"holdfast: refused, {len(said) - 1} problems; what runs stays"
    assert head(server) == good


def test_a_refused_push_leaves_no_object_behind(work: Work, server: Path) -> None:
    bad = work.commit(rules__x="rule: x\n")

    work.push()

    assert head(server) is None
    with pytest.raises(HoldfastError, match="ls-tree failed"):
        files_at(server, bad)


def test_a_push_that_repairs_is_taken(work: Work, server: Path) -> None:
    work.commit(rules__x="rule: x\n")
    work.push()
    (work.directory / "rules/x.yaml").unlink()

    assert work.push()[0] is False  # not committed yet
    commit = work.commit()
    assert work.push()[0] is True
    assert head(server) == commit


def test_a_commit_that_is_there_is_judged_without_a_hook(work: Work, server: Path) -> None:
    good = work.commit()
    work.push()
    bad = work.commit(rules__x="rule: x\n")
    work.push("main:refs/heads/idea")

    refused = check_push([f"{good} {bad} refs/heads/main\n"], server, fine)

    assert check_push([f"{bad} {good} refs/heads/main\n"], server, fine).refused is False
    assert refused.refused
    assert refused.lines[-1] == "holdfast: refused, 4 problems; what runs stays"
    assert (
        check_push([f"{good} {'1' * 40} refs/heads/main\n"], server, fine)
        .lines[0]
        .startswith("holdfast: refused: git ls-tree")
    )


def test_main_cannot_be_deleted(work: Work, server: Path) -> None:
    commit = work.commit()
    work.push()

    taken, _ = work.push(":main")

    assert not taken
    assert head(server) == commit
    assert check_push([f"{commit} {ZERO} refs/heads/main\n"], server, fine).lines == (
        "holdfast: main cannot be deleted, Holdfast runs it (push a commit that reverts)",
    )


def test_another_branch_is_kept_and_not_read(work: Work, server: Path) -> None:
    work.commit()
    work.push()
    commit = work.commit(rules__x="rule: x\n")

    taken, said = work.push("main:refs/heads/idea")

    assert (taken, said) == (True, ["holdfast: refs/heads/idea is kept and not read (Holdfast runs main)"])
    assert head(server, "idea") == commit
    assert work.push(":refs/heads/idea")[0]


def test_a_good_and_a_bad_branch_are_one_push(work: Work, server: Path) -> None:
    work.commit(rules__x="rule: x\n")

    taken, said = work.push("main", "main:refs/heads/idea")

    assert not taken
    assert any("idea is kept" in line for line in said)
    assert head(server, "idea") is None


def test_going_back_by_force_is_taken_and_leaves_a_trace(work: Work, server: Path) -> None:
    first = work.commit()
    work.push()
    second = work.commit(policies__more="policy: more\ndoc: More.\nmatch: {}\neffect: deny\n")
    work.push()

    taken, _ = work.push(f"+{first}:main")

    assert taken
    assert head(server) == first
    assert second in (server / "logs/refs/heads/main").read_text()


def test_only_files_that_count_are_taken_from_a_commit(work: Work, server: Path) -> None:
    (work.directory / "README.md").write_text("hello")
    (work.directory / "rules/notes.txt").write_text("hello")
    commit = work.commit(docs__x="anything: [\n", rules__deep__er__x="")
    work.push()

    names = set(files_at(server, commit))

    assert names == {
        "holdfast.yaml",
        "rules/actions.yaml",
        "rules/shop.yaml",
        "rules/deep/er/x.yaml",
        "policies/envelopes.yaml",
        "policies/guards.yaml",
        "tests/shop.yaml",
    }
    assert files_at(server, commit)["rules/shop.yaml"] == (work.directory / "rules/shop.yaml").read_bytes()


def test_files_are_told_apart_whatever_they_hold(work: Work, server: Path) -> None:
    tricky = ["", "\n", "a blob 5\n", "# no line break", "# é\r\n# x\r\n"]
    commit = work.commit(**{f"rules__t{number}": text for number, text in enumerate(tricky)})
    work.push("main:refs/heads/idea")

    found = files_at(server, commit)

    assert [found[f"rules/t{number}.yaml"].decode() for number in range(len(tricky))] == tricky


def test_links_and_large_files_are_refused_with_their_names(work: Work, server: Path) -> None:
    (work.directory / "rules/link.yaml").symlink_to("../../etc/passwd")
    (work.directory / "rules/big.yaml").write_bytes(b"# x\n" * 300_000)
    work.commit()

    taken, said = work.push()

    assert not taken
    assert said == [
        "rules/big.yaml:1:1: the file has 1,200,000 bytes, and at most 1,000,000 are read (split the file)",
        "rules/link.yaml:1:1: this is no plain file (links are not followed in git)",
        "holdfast: refused, 2 problems; what runs stays",
    ]


def test_a_hostile_file_name_is_one_line(work: Work, server: Path) -> None:
    (work.directory / "rules/a\nholdfast: fine.yaml").write_text("rule: x\n")
    (work.directory / "rules" / os.fsdecode(b"\xff.yaml")).write_text("rule: x\n")
    work.commit()

    taken, said = work.push()

    assert not taken
    assert said[:-1] == [
        r"rules/\udcff.yaml:1:1: the file name holds a control character",
        r"rules/a\nholdfast: fine.yaml:1:1: the file name holds a control character",
    ]


def test_too_many_branches_at_once_are_refused(server: Path) -> None:
    lines = [f"{ZERO} {'1' * 40} refs/heads/b{number}" for number in range(101)]

    assert check_push(lines, server, fine).refused
    assert check_push(["one two"], server, fine).refused
    assert not check_push([], server, fine).refused


@pytest.mark.parametrize("commit", ["main", "--help", "HEAD", "abc", "", ZERO[:-1] + "g"])
def test_only_a_commit_is_a_commit(server: Path, commit: str) -> None:
    with pytest.raises(HoldfastError, match="is not a commit"):
        files_at(server, commit)


def test_a_server_is_made_only_where_nothing_is(tmp_path: Path, server: Path) -> None:
    assert is_server(server)
    assert not is_server(tmp_path)
    with pytest.raises(HoldfastError, match="is not an empty directory"):
        make_server(server, ["holdfast"])


def test_a_hook_that_cannot_run_refuses(work: Work, tmp_path: Path) -> None:
    make_server(tmp_path / "broken.git", [str(tmp_path / "no-such-holdfast")])
    work.server = tmp_path / "broken.git"
    work.commit()

    assert work.push()[0] is False
    assert head(work.server) is None


def test_no_config_of_the_machine_reaches_git(
    work: Work, server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = work.commit()
    work.push()
    hostile = tmp_path / "gitconfig"
    hostile.write_text("[core]\n\tnotAKey = \n[alias]\n\tls-tree = !false\n[broken\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(hostile))
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path))

    assert head(server) == commit
    assert files_at(server, commit)


def test_what_git_refuses_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(HoldfastError, match=r"git rev-parse failed: .*not a git repository"):
        head(tmp_path)


def test_a_commit_without_a_site_says_how_to_get_one(work: Work, server: Path) -> None:
    (work.directory / "holdfast.yaml").unlink()
    commit = work.commit()
    work.push("main:refs/heads/idea")

    with pytest.raises(ConfigError, match=r"holdfast.yaml:1:1: the file is missing"):
        load_commit(server, commit)


def test_an_sha256_repository_is_read_too(work: Work, tmp_path: Path) -> None:
    bare = tmp_path / "sha256.git"
    subprocess.run(
        ["git", "init", "--quiet", "--bare", "--object-format=sha256", str(bare)], check=True, timeout=30
    )
    other = tmp_path / "sha256"
    other.mkdir()
    clone = Work.__new__(Work)
    clone.directory, clone.server = other, bare
    clone.git("init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    commit = clone.commit(holdfast="format: 1\n")
    clone.push()

    assert len(commit) == 64
    assert load_commit(bare, commit).commit == commit
