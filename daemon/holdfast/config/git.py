"""git: the server that operators push to, what a commit holds, and what the push hook says.

Only argv lists, an environment of our own, and no hooks, pagers or config but the repository's.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from holdfast.config.load import MAX_FILES, MAX_TOTAL, counts, load_files
from holdfast.config.papers import FOLDERS, SITE
from holdfast.config.reader import MAX_BYTES, too_large
from holdfast.config.tree import escaped
from holdfast.errors import ConfigError, HoldfastError, Problem
from holdfast.model.snapshot import Snapshot

MAIN: Final = "main"
_MAIN_REF: Final = f"refs/heads/{MAIN}"
_TIMEOUT: Final = 30
_MOST_REFS: Final = 100
_MOST_LINES: Final = 200
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
#: Set by git while it runs the hook: the pushed objects lie apart until the hook agrees.
_QUARANTINE: Final = ("GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")
#: What the server's own config says.
_SERVER: Final = {
    "core.logAllRefUpdates": "true",      # what main was, even after a forced push
    "receive.fsckObjects": "true",
    "receive.maxInputSize": "32m",
    "receive.denyDeleteCurrent": "refuse",
}  # fmt: skip
_HOOK: Final = """#!/bin/sh
# Written by `holdfast init --server`: refuses a push that Holdfast could not use.
exec {command}
"""


@dataclass(frozen=True, slots=True)
class PushAnswer:
    """What the hook prints, line by line, and whether it refuses the push."""

    refused: bool
    lines: tuple[str, ...]


def make_server(directory: Path, holdfast: Sequence[str]) -> None:
    """Make a bare repository whose pre-receive hook runs `holdfast` (an argv) with `push-hook`.

    Raises HoldfastError when something is there already, or git cannot do it.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise HoldfastError(
            f"{directory} is not an empty directory: name one that is empty or does not exist."
        )
    _run(["init", "--quiet", "--bare", "--template=", f"--initial-branch={MAIN}", str(directory)], None)
    for key, value in _SERVER.items():
        _run(["config", key, value], directory)
    hook = directory / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(_HOOK.format(command=shlex.join([*holdfast, "push-hook"])), encoding="utf-8")
    hook.chmod(0o755)


def is_server(directory: Path) -> bool:
    """Whether a directory is a bare repository."""
    return (directory / "HEAD").is_file() and all((directory / name).is_dir() for name in ("objects", "refs"))


def head(repo: Path, branch: str = MAIN) -> str | None:
    """The commit of a branch, or None where it does not exist. Raises HoldfastError."""
    found = _run(["rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}"], repo, fine=(0, 1))
    return found.decode().strip() or None


def files_at(repo: Path, commit: str, quarantine: Mapping[str, str] | None = None) -> Mapping[str, bytes]:
    """The files of a commit that count, by path.

    `quarantine` is the environment that git gave to a hook. Raises ConfigError for links and for
    files that are too large, HoldfastError when the commit cannot be read.
    """
    if not _COMMIT.fullmatch(commit):
        raise HoldfastError(f"{escaped(commit)} is not a commit: give its full hexadecimal name.")
    listed = _run(["ls-tree", "-r", "-z", "-l", "--full-tree", commit, SITE, *FOLDERS], repo, quarantine)
    blobs = _blobs(listed)
    content = _run(
        ["cat-file", "--batch"], repo, quarantine, data="".join(f"{oid}\n" for oid in blobs.values()).encode()
    )
    return _contents(content, list(blobs))


def load_commit(
    repo: Path, commit: str, quarantine: Mapping[str, str] | None = None, *, tests: bool = True
) -> Snapshot:
    """The snapshot of a commit, with or without its tests. Raises ConfigError, HoldfastError."""
    return load_files(files_at(repo, commit, quarantine), commit, tests=tests)


def check_push(lines: Iterable[str], repo: Path, prove: Callable[[Snapshot], object]) -> PushAnswer:
    """Judge a push by the lines `old new ref` that git gives to a pre-receive hook.

    Only main is read. A push that would delete it, that could not be loaded, or that `prove` refuses by
    raising ConfigError, is refused as a whole.
    """
    updates = [line.split() for line in lines if line.strip()]
    if len(updates) > _MOST_REFS or any(len(update) != 3 for update in updates):
        return PushAnswer(
            refused=True, lines=(f"holdfast: a push of at most {_MOST_REFS} branches is understood",)
        )
    said: list[str] = []
    refused = False
    for _, new, ref in updates:
        if ref != _MAIN_REF:
            said.append(f"holdfast: {escaped(ref)} is kept and not read (Holdfast runs {MAIN})")
        elif not new.strip("0"):
            refused = True
            said.append(f"holdfast: {MAIN} cannot be deleted, Holdfast runs it (push a commit that reverts)")
        else:
            good, words = _judge(repo, new, prove)
            refused = refused or not good
            said += words
    return PushAnswer(refused, tuple(said))


def _judge(repo: Path, commit: str, prove: Callable[[Snapshot], object]) -> tuple[bool, list[str]]:
    quarantine = {name: os.environ[name] for name in _QUARANTINE if name in os.environ}
    try:
        snapshot = load_commit(repo, commit, quarantine)
        prove(snapshot)
    except ConfigError as error:
        shown = [str(problem) for problem in error.problems[:_MOST_LINES]]
        count = len(error.problems)
        return False, [
            *shown,
            f"holdfast: refused, {count} problem{'s' if count > 1 else ''}; what runs stays",
        ]
    except HoldfastError as error:
        return False, [f"holdfast: refused: {error}"]
    counted = ", ".join(
        f"{len(items)} {name}"
        for name, items in (
            ("rules", snapshot.rules),
            ("actions", snapshot.actions),
            ("playbooks", snapshot.playbooks),
            ("policies", snapshot.policies),
            ("tests", snapshot.tests),
        )
    )
    return True, [f"holdfast: {commit[:12]} is good: {counted}"]


def _blobs(listed: bytes) -> dict[str, str]:
    """Path → object of every file that counts, after a look at what git says about each."""
    blobs: dict[str, str] = {}
    problems: list[Problem] = []
    total = 0
    for line in listed.split(b"\0"):
        head_, _, raw = line.partition(b"\t")
        name = raw.decode(errors="surrogateescape")
        if not raw or not counts(name):
            continue
        mode, _, oid, size = head_.decode().split()
        if mode not in {"100644", "100755"}:
            problems.append(
                Problem(escaped(name), 1, 1, "", "this is no plain file (links are not followed in git)")
            )
        elif int(size) > MAX_BYTES:
            problems.append(Problem(escaped(name), 1, 1, "", too_large(int(size))))
        else:
            blobs[name] = oid
            total += int(size)
    if len(blobs) > MAX_FILES or total > MAX_TOTAL:
        bound = f"at most {MAX_FILES:,} files with {MAX_TOTAL:,} bytes are read"
        problems.append(
            Problem(SITE, 1, 1, "", f"the commit has {len(blobs):,} files with {total:,} bytes, and {bound}")
        )
    if problems:
        raise ConfigError(problems)
    return blobs


def _contents(output: bytes, names: Sequence[str]) -> dict[str, bytes]:
    """The answers of `cat-file --batch`, in the order of the questions."""
    found: dict[str, bytes] = {}
    at = 0
    for name in names:
        end = output.index(b"\n", at)
        size = int(output[at:end].split()[2])
        found[name] = output[end + 1 : end + 1 + size]
        at = end + size + 2
    return found


def _run(
    arguments: Sequence[str],
    repo: Path | None,
    quarantine: Mapping[str, str] | None = None,
    *,
    data: bytes = b"",
    fine: tuple[int, ...] = (0,),
) -> bytes:
    """What git prints. Raises HoldfastError with git's own last line."""
    where = ["-c", "core.hooksPath=/dev/null"]
    if repo is not None:
        place = str(repo.resolve())
        where += ["-c", f"safe.directory={place}", f"--git-dir={place}"]
    try:
        done = subprocess.run(
            ["git", *where, *arguments],
            input=data,
            capture_output=True,
            env=_environment(quarantine),
            cwd=repo,
            timeout=_TIMEOUT,
            check=False,
        )
    except FileNotFoundError as error:
        raise HoldfastError(
            "git is not here: install it (Debian: apt install git), or give a directory."
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HoldfastError(f"git {arguments[0]} did not end well: {error}.") from error
    if done.returncode not in fine:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise HoldfastError(f"git {arguments[0]} failed: {escaped(last) or f'exit code {done.returncode}'}.")
    return done.stdout


def _environment(quarantine: Mapping[str, str] | None) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "HOME": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        **(quarantine or {}),
    }
