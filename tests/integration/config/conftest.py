"""A real bare repository with the hook, and a real clone to push from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.config.git import make_server
from holdfast.config.starter import init

#: What stands for `holdfast` in the hook: the same two lines that the command has.
HOOK = """
import sys
from pathlib import Path

from holdfast.config.git import check_push

assert sys.argv[1:] == ["push-hook"], sys.argv
answer = check_push(sys.stdin, Path.cwd(), lambda _: None)
print("\\n".join(answer.lines))
sys.exit(answer.refused)
"""


class Work:
    """A clone with the starter pack in it."""

    def __init__(self, directory: Path, server: Path) -> None:
        self.directory, self.server = directory, server
        self.git("init", "--quiet", "--initial-branch=main")
        init(directory / "new")
        for path in sorted((directory / "new").iterdir()):
            path.rename(directory / path.name)
        (directory / "new").rmdir()

    def git(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "me", "GIT_AUTHOR_EMAIL": "me@lab.test",
            "GIT_COMMITTER_NAME": "me", "GIT_COMMITTER_EMAIL": "me@lab.test",
            "LC_ALL": "C",
        }  # fmt: skip
        return subprocess.run(
            ["git", *arguments],
            cwd=self.directory,
            env=environment,
            check=check,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def commit(self, **files: str) -> str:
        """Write files (`rules__x` is rules/x.yaml), commit everything, and give the commit."""
        for name, text in files.items():
            path = self.directory / f"{name.replace('__', '/')}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")
        return self.git("rev-parse", "HEAD").stdout.strip()

    def push(self, *what: str) -> tuple[bool, list[str]]:
        """Push; whether it was taken, and what the other side said."""
        done = self.git("push", str(self.server), *(what or ("main",)), check=False)
        said = [
            line.removeprefix("remote: ").rstrip()
            for line in done.stderr.splitlines()
            if line.startswith("remote: ")
        ]
        return done.returncode == 0, said


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A bare repository whose hook is the real one."""
    script = tmp_path / "hook with a space.py"
    script.write_text(HOOK, encoding="utf-8")
    make_server(tmp_path / "config.git", [sys.executable, str(script)])
    return tmp_path / "config.git"


@pytest.fixture
def work(tmp_path: Path, server: Path) -> Work:
    """A clone to push from, with the starter pack not yet committed."""
    (tmp_path / "work").mkdir()
    return Work(tmp_path / "work", server)
