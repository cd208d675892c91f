"""A directory, or files from git, into a Snapshot."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from holdfast.config.build import build
from holdfast.config.papers import FOLDERS, SITE
from holdfast.config.reader import MAX_BYTES, read, too_large
from holdfast.config.tree import escaped
from holdfast.errors import ConfigError, Problem
from holdfast.model.snapshot import Snapshot

MAX_FILES: Final = 2_000
MAX_TOTAL: Final = 16_000_000
#: Thousands of rules; it bounds the time and the memory that a push can cost.
MAX_VALUES: Final = 200_000
_MOST_PROBLEMS: Final = 20
_TESTS: Final = "tests/"
_LINKED: Final = "a link to a folder is not followed (put the files here)"


def counts(name: str) -> bool:
    """Whether a path of the repository is read: holdfast.yaml, and YAML files under rules/ and its like.

    `.yml` counts as well, so that it is refused instead of overlooked; hidden files and what editors
    leave behind do not.
    """
    if name == SITE:
        return True
    folder, *rest = name.split("/")
    if folder not in FOLDERS or not rest or any(part.startswith((".", "#")) for part in rest):
        return False
    return rest[-1].endswith((".yaml", ".yml"))


def load(root: Path, commit: str | None = None, *, tests: bool = True) -> Snapshot:
    """Load a directory. Without a commit, a digest of names and contents stands for it (`dir-…`).

    Without `tests`, those are left out, whatever is in them. Raises ConfigError with every problem of
    every file.
    """
    problems: list[Problem] = []
    files = _gather(root, problems)
    commit = commit or digest(files)
    if not tests:
        files = {name: content for name, content in files.items() if not is_test(name)}
        problems = [problem for problem in problems if not is_test(problem.file)]
    return _build(files, commit, problems)


def load_files(files: Mapping[str, bytes], commit: str, *, tests: bool = True) -> Snapshot:
    """Load files by path, as git has them; what does not count is ignored. Raises ConfigError."""
    wanted = {
        name: content for name, content in files.items() if counts(name) and (tests or not is_test(name))
    }
    return _build(wanted, commit, [])


def is_test(name: str) -> bool:
    """Whether a file of the repository is about tests alone: what decides does not depend on it."""
    return name.startswith(_TESTS)


def digest(files: Mapping[str, bytes]) -> str:
    """`dir-` and 12 hex digits of SHA-256 over names and contents."""
    total = hashlib.sha256()
    for name, content in sorted(files.items()):
        for part in (name.encode(errors="surrogateescape"), content):
            total.update(len(part).to_bytes(8))
            total.update(part)
    return f"dir-{total.hexdigest()[:12]}"


def _build(files: Mapping[str, bytes], commit: str, problems: list[Problem]) -> Snapshot:
    total = sum(map(len, files.values()))
    if len(files) > MAX_FILES or total > MAX_TOTAL:
        size = f"{len(files):,} files with {total:,} bytes"
        bound = f"at most {MAX_FILES:,} files with {MAX_TOTAL:,} bytes are read"
        raise ConfigError([Problem(SITE, 1, 1, "", f"the repository has {size}, and {bound}")])
    found, left = {}, MAX_VALUES
    for name, content in sorted(files.items()):
        if name.endswith(".yml"):
            problems.append(Problem(escaped(name), 1, 1, "", "only .yaml files are read (rename it)"))
        elif not name.isprintable():
            problems.append(Problem(escaped(name), 1, 1, "", "the file name holds a control character"))
        else:
            found[name] = read(name, content)
            left -= found[name].values
        if left < 0:
            message = f"the repository has more than {MAX_VALUES:,} values, and no more are read"
            raise ConfigError([Problem(SITE, 1, 1, "", message)])
    try:
        return build(found, commit, problems)
    except ConfigError as error:
        raise ConfigError(_bounded(error.problems)) from None


def _bounded(problems: tuple[Problem, ...]) -> list[Problem]:
    """The first problems of each file, and how many more there are."""
    kept: list[Problem] = []
    count: dict[str, int] = {}
    for problem in problems:
        count[problem.file] = count.get(problem.file, 0) + 1
        if count[problem.file] <= _MOST_PROBLEMS:
            kept.append(problem)
    for name, number in count.items():
        if number > _MOST_PROBLEMS:
            last = max(problem.line for problem in kept if problem.file == name)
            more = f"and {number - _MOST_PROBLEMS} more problems in this file"
            kept.append(Problem(name, last, 10_000, "", more))
    return kept


def _gather(root: Path, problems: list[Problem]) -> dict[str, bytes]:
    """The files that count, by path. What cannot be read becomes a problem."""
    if not root.is_dir():
        raise ConfigError([Problem(str(root), 1, 1, "", "this is no directory (`holdfast init` makes one)")])
    top = root.resolve()
    files: dict[str, bytes] = {}

    def refuse(path: Path, reason: str) -> None:
        problems.append(Problem(escaped(path.relative_to(root).as_posix()), 1, 1, "", reason))

    for path in _candidates(root, refuse):
        reason = _unsafe(path, top)
        if reason is None:
            try:
                files[path.relative_to(root).as_posix()] = _read(path)
            except OSError as error:
                reason = f"the file cannot be read: {error.strerror}"
        if reason:
            refuse(path, reason)
        if len(files) > MAX_FILES:
            break
    return files


def _candidates(root: Path, refuse: Callable[[Path, str], None]) -> Iterator[Path]:
    """Every path that counts; a folder that cannot be looked into is refused, never taken as empty."""
    if (root / SITE).is_symlink() or (root / SITE).exists():
        yield root / SITE
    for folder in FOLDERS:
        if (root / folder).is_symlink():
            refuse(root / folder, _LINKED)
        else:
            yield from _below(root, root / folder, refuse)


def _below(root: Path, folder: Path, refuse: Callable[[Path, str], None]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            refuse(Path(error.filename), f"the folder cannot be read: {error.strerror}")

    for above, below, names in os.walk(folder, onerror=unreadable):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for path in (Path(above) / name for name in below):
            if path.is_symlink():
                refuse(path, _LINKED)
        for path in (Path(above) / name for name in sorted(names)):
            if counts(path.relative_to(root).as_posix()):
                yield path


def _unsafe(path: Path, top: Path) -> str | None:
    """Why a file is not read: it is no file, is too large, or a link leads out of the repository."""
    try:
        target = path.resolve(strict=True)
        status = target.stat()
    except (OSError, RuntimeError):
        return "the link leads nowhere" if path.is_symlink() else "the file cannot be read"
    if not target.is_relative_to(top):
        return "the link leads out of the repository (put the file here)"
    if not stat.S_ISREG(status.st_mode):
        return "this is no plain file"
    return too_large(status.st_size) if status.st_size > MAX_BYTES else None


def _read(path: Path) -> bytes:
    """The content; of a file that grew meanwhile, enough for the reader to refuse it."""
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)
