"""The rehearsal's stage: real servers, a real shop, a config repository, and the daemon on top."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from holdfast.errors import HoldfastError
from holdfast.rehearsal import shop
from holdfast.rehearsal.mail import MailServers, start_mail
from holdfast.rehearsal.sshd import Sshd, start_sshd

_PACK: Final = Path(__file__).with_name("pack")
_UP_WITHIN: Final = 20.0
_STOP_WITHIN: Final = 12.0
OPERATOR: Final = "founder"


@dataclass(slots=True)
class Stage:
    """Everything that runs. `server` is the bare repository, `work` a clone to push from."""

    root: Path
    state: Path
    server: Path
    work: Path
    shop: Path
    mail: MailServers
    sshd: Sshd
    daemon: subprocess.Popen[bytes]

    def on_host(self, *words: str) -> None:
        """Do something on the shop's host behind the daemon's back."""
        argv = [sys.executable, "-m", "holdfast.rehearsal.shop", str(self.shop), *words]
        # a session of its own: Ctrl-C is for the rehearsal, which ends everything in order
        subprocess.run(
            argv, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True
        )

    def push(self, message: str) -> subprocess.CompletedProcess[str]:
        """Commit everything in the clone and push it; what git said is in the result."""
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "-m", message)
        return subprocess.run(
            ["git", "push", "origin", "main"],
            cwd=self.work,
            env=_git_env(),
            check=False,
            text=True,
            capture_output=True,
            start_new_session=True,
        )

    def take_back(self) -> None:
        """Forget the last commit of the clone."""
        git(self.work, "reset", "-q", "--hard", "HEAD~1")


@contextlib.contextmanager
def stage(say: Callable[[str], None]) -> Iterator[Stage]:
    """Build the stage, and leave nothing of it behind. Raises HoldfastError with what is missing."""
    root = Path(tempfile.mkdtemp(prefix="holdfast-rehearsal-"))
    try:
        with contextlib.ExitStack() as servers:
            say("an sshd of its own on a free loopback port")
            # receipts are kept in the home of the account: here they are gone with all the rest
            home = f'SetEnv "HOME={_folder(root / "home")}"'
            sshd = servers.enter_context(start_sshd(_folder(root / "sshd"), extra=[home]))
            say("a mail server with two mailboxes: holdfast and founder")
            mail = servers.enter_context(start_mail(_folder(root / "mail")))
            say("the shop, a web service with two releases; the second one is broken")
            place = _folder(root / "shop")
            shop.prepare(place, _free_port())
            servers.callback(shop.stop, place)
            shop.restart(place)
            say("a config repository that is changed by git push")
            server, work, state = root / "config.git", root / "config", _folder(root / "state")
            _secrets(state, mail, sshd)
            _repository(server, work, _values(place, mail, sshd))
            say("the daemon")
            daemon = servers.enter_context(_daemon(server, state))
            yield Stage(root, state, server, work, place, mail, sshd, daemon)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def git(directory: Path, *words: str) -> None:
    """Run git in the clone."""
    done = subprocess.run(
        ["git", *words],
        cwd=directory,
        env=_git_env(),
        check=False,
        text=True,
        capture_output=True,
        start_new_session=True,
    )
    if done.returncode != 0:
        raise HoldfastError(f"git {' '.join(words)} failed: {done.stderr.strip()}")


@contextlib.contextmanager
def _daemon(server: Path, state: Path) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-m", "holdfast", "--config", str(server), "--state", str(state), "run"]
    with (state / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_until_up(daemon, state)
        yield daemon
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait()


def _wait_until_up(daemon: subprocess.Popen[bytes], state: Path) -> None:
    transport = httpx.HTTPTransport(uds=str(state / "control.sock"))
    deadline = time.monotonic() + _UP_WITHIN
    with httpx.Client(transport=transport, base_url="http://control", trust_env=False) as client:
        while time.monotonic() < deadline and daemon.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if client.get("/status", timeout=2).status_code == 200:
                    return
            time.sleep(0.05)
    log = (state / "daemon.log").read_text(encoding="utf-8", errors="replace")
    raise HoldfastError(f"the daemon did not come up:\n{log[-3000:]}")


def _secrets(state: Path, mail: MailServers, sshd: Sshd) -> None:
    folder = _folder(state / "secrets")
    values = {
        "mail-url": mail.smtp_url("holdfast", mail.address(OPERATOR)),
        "mail-password": mail.accounts["holdfast"],
        "ssh-key": Path(sshd.client_key_path).read_text(encoding="ascii"),
    }
    for name, value in values.items():
        handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(value)


def _repository(server: Path, work: Path, values: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", "init", "--server", str(server)],
        check=False,
        text=True,
        capture_output=True,
        start_new_session=True,
    )
    if done.returncode != 0:
        raise HoldfastError(
            f"the config repository cannot be made: {done.stderr.strip() or done.stdout.strip()}"
        )
    shutil.copytree(_PACK, work)
    for file in work.rglob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        file.write_text(text, encoding="utf-8")
    git(work, "init", "-q", "-b", "main")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "the rehearsal's config")
    git(work, "remote", "add", "origin", str(server))
    git(work, "push", "-q", "origin", "main")


def _values(place: Path, mail: MailServers, sshd: Sshd) -> dict[str, str]:
    return {
        "LISTEN": str(_free_port()),
        "SSH_PORT": str(sshd.port),
        "SSH_USER": sshd.user,
        "HOST_KEY": sshd.host_key_line,
        "SHOP_PORT": (place / "port").read_text(encoding="ascii"),
        "SHOP": str(place),
        "PYTHON": sys.executable,
        "IMAPS_PORT": str(mail.imaps_port),
        "CA_FILE": str(mail.ca_file),
        "DOMAIN": mail.domain,
        "AUTHSERV_ID": mail.authserv_id,
    }


def _folder(path: Path) -> Path:
    path.mkdir(mode=0o700)
    return path


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _git_env() -> dict[str, str]:
    """The rehearsal's own identity; nobody's git configuration plays a part."""
    home = pwd.getpwuid(os.getuid()).pw_dir
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": home,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "founder",
        "GIT_AUTHOR_EMAIL": "founder@lab.test",
        "GIT_COMMITTER_NAME": "founder",
        "GIT_COMMITTER_EMAIL": "founder@lab.test",
    }
