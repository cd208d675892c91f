from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.unit.config.conftest import files

from holdfast.config.load import MAX_FILES, counts, digest, load, load_files
from holdfast.config.reader import too_large
from holdfast.errors import ConfigError

SOUND = files()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    top = tmp_path / "config"
    for name, content in SOUND.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return top


def said(root: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(root)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("holdfast.yaml", True),
        ("rules/a.yaml", True),
        ("rules/a/b/c.yaml", True),
        ("policies/a.yaml", True),
        ("rules/a.yml", True),  # to be refused, not overlooked
        ("tests/a.yaml", True),
        ("a.yaml", False),
        ("rules/README.md", False),
        ("rules/.#a.yaml", False),
        ("rules/.a.yaml", False),
        ("rules/#a.yaml#", False),
        ("rules/.git/a.yaml", False),
        ("rules/a.yaml~", False),
        ("rules/a.yaml.swp", False),
        ("rules", False),
        ("x/holdfast.yaml", False),
    ],
)
def test_only_some_files_count(name: str, read: bool) -> None:
    assert counts(name) is read


def test_a_directory_loads_under_the_digest_of_its_files(root: Path) -> None:
    first = load(root).commit
    (root / "README.md").write_text("not config")
    same = load(root).commit
    (root / "rules/actions.yaml").write_bytes(SOUND["rules/actions.yaml"] + b"# more\n")
    other = load(root).commit

    assert first == same == digest(SOUND)
    assert first.startswith("dir-")
    assert len(first) == 16
    assert other != first


def test_a_commit_that_is_known_is_kept(root: Path) -> None:
    assert load(root, "abc").commit == "abc"


def test_the_digest_sees_where_a_name_ends() -> None:
    assert digest({"a": b"bc"}) != digest({"ab": b"c"})


def test_deleting_a_file_deletes_what_it_declared(root: Path) -> None:
    (root / "policies/envelope.yaml").unlink()

    assert load(root).policies == {}


def test_every_mistake_of_every_file_is_found_at_once(root: Path) -> None:
    (root / "rules/a.yaml").write_text("rule: [\n")
    (root / "rules/b.yml").write_text("rule: b\n")
    (root / "rules/c.yaml").write_bytes(b"\xff")
    (root / "rules/d.yaml").symlink_to("/etc/hostname")
    (root / "rules/e.yaml").symlink_to("nowhere")
    (root / "policies/f.yaml").write_text("rule: f\n---\npolicy: f\n")
    (root / "holdfast.yaml").write_text((root / "holdfast.yaml").read_text() + "more: 1\n")

    lines = said(root)

    assert [line.split(": ")[-1] for line in lines if line.startswith("rules/")] == [
        "a value is missing here, or a bracket before it is not closed",
        "only .yaml files are read (rename it)",
        "this is not UTF-8 text (save the file as UTF-8)",
        "the link leads out of the repository (put the file here)",
        "the link leads nowhere",
    ]
    assert "policies/f.yaml:1:1: rule: a rule belongs under rules/" in lines
    assert len([line for line in lines if line.startswith("policies/f.yaml:3")]) == 2
    assert lines[0].startswith("holdfast.yaml:")
    assert "unknown key `more`" in lines[0]


def test_a_link_inside_the_repository_is_followed(root: Path) -> None:
    (root / "shared.yaml").write_bytes(SOUND["policies/envelope.yaml"])
    (root / "policies/envelope.yaml").unlink()
    (root / "policies/envelope.yaml").symlink_to("../shared.yaml")

    assert set(load(root).policies) == {"service-down-envelope"}


def test_a_directory_outside_is_not_walked_into(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.yaml").write_text("rule: x\n")
    (root / "rules/more").symlink_to(outside)

    assert said(root) == ["rules/more:1:1: a link to a folder is not followed (put the files here)"]


def test_a_folder_that_is_a_link_is_not_overlooked(root: Path) -> None:
    (root / "policies").rename(root / "elsewhere")
    (root / "policies").symlink_to("elsewhere")

    assert said(root) == ["policies:1:1: a link to a folder is not followed (put the files here)"]


def test_the_whole_repository_may_be_reached_by_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(root)

    assert load(tmp_path / "current").commit == digest(SOUND)


def test_a_pipe_stops_nobody(root: Path) -> None:
    os.mkfifo(root / "rules/pipe.yaml")

    assert said(root) == ["rules/pipe.yaml:1:1: this is no plain file"]


@pytest.fixture
def nobody() -> Iterator[None]:
    """Root can read every file: be somebody else for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_what_cannot_be_read_is_a_problem_and_not_overlooked(nobody: None) -> None:
    with TemporaryDirectory() as directory:
        root = Path(directory)
        for name, content in SOUND.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_bytes(content)
        (root / "rules/x.yaml").write_text("rule: x\n")
        (root / "rules/x.yaml").chmod(0)
        (root / "rules/team").mkdir(mode=0)

        assert said(root) == [
            "rules/team:1:1: the folder cannot be read: Permission denied",
            "rules/x.yaml:1:1: the file cannot be read: Permission denied",
        ]


def test_a_directory_in_the_place_of_a_file_is_a_problem(root: Path) -> None:
    (root / "holdfast.yaml").unlink()
    (root / "holdfast.yaml").mkdir()

    assert said(root) == ["holdfast.yaml:1:1: this is no plain file"]


def test_ten_megabytes_are_one_clear_line(root: Path) -> None:
    (root / "rules/big.yaml").write_bytes(b"x" * 10_000_000)

    assert said(root) == [
        "rules/big.yaml:1:1: the file has 10,000,000 bytes, and at most 1,000,000 are read (split the file)"
    ]


def test_an_enormous_file_is_not_read_at_all(root: Path) -> None:
    with (root / "rules/big.yaml").open("wb") as file:
        file.truncate(2**40)

    assert said(root) == [f"rules/big.yaml:1:1: {too_large(2**40)}"]


def test_too_many_files_are_one_clear_line() -> None:
    many = {f"rules/{number}.yaml": b"" for number in range(MAX_FILES + 1)}

    with pytest.raises(ConfigError, match=r"^holdfast.yaml:1:1: the repository has 2,001 files"):
        load_files(many, "c")


def test_a_file_full_of_mistakes_does_not_drown_the_others(root: Path) -> None:
    (root / "rules/a.yaml").write_text("---\nrul: x\n" * 500)
    (root / "rules/b.yaml").write_text("rul: x\n")

    lines = said(root)

    assert len(lines) == 22
    assert lines[20] == "rules/a.yaml:40:10000: and 480 more problems in this file"
    assert lines[21].startswith("rules/b.yaml:1:1:")


def test_a_hostile_file_name_is_one_line(root: Path) -> None:
    (root / "rules/a\nholdfast.yaml:1:1: fine.yaml").write_text("rule: x\n")

    assert said(root) == [
        r"rules/a\nholdfast.yaml:1:1: fine.yaml:1:1: the file name holds a control character"
    ]


def test_a_missing_site_says_how_to_get_one() -> None:
    with pytest.raises(ConfigError, match=r"holdfast.yaml:1:1: the file is missing \(`holdfast init`"):
        load_files({}, "c")


def test_an_empty_site_says_how_to_begin() -> None:
    with pytest.raises(ConfigError, match="begin with `format: 1`"):
        load_files({"holdfast.yaml": b"# nothing\n"}, "c")


def test_no_directory_is_one_clear_line(tmp_path: Path) -> None:
    assert said(tmp_path / "nowhere")[0].endswith("this is no directory (`holdfast init` makes one)")
