"""A real Dovecot (IMAP with TLS, and LMTP) for anybody who is not root; root lends it another account."""

from __future__ import annotations

import contextlib
import datetime as dt
import grp
import ipaddress
import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from holdfast.errors import HoldfastError

_START_S: Final = 15.0
_STOP_S: Final = 1.0
_TRIES: Final = 3
#: Dovecot refuses to run as root; then it runs as this account.
_UNPRIVILEGED: Final = "nobody"

#: Every line of it is needed to run without privileges.
_DOVECOT_CONF: Final = """\
protocols = imap lmtp
listen = 127.0.0.1
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/dovecot.log
ssl = yes
ssl_cert = <{dir}/cert.pem
ssl_key = <{dir}/key.pem
disable_plaintext_auth = no
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
mail_home = {dir}/home/%n
mail_location = maildir:~/Maildir
first_valid_uid = {uid}
first_valid_gid = {gid}
recipient_delimiter = +
namespace inbox {{
  inbox = yes
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%n {dir}/passwd
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} allow_all_users=yes
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
service auth {{
  user = {user}
}}
service auth-worker {{
  user = {user}
}}
protocol lmtp {{
  auth_username_format = %n
}}
"""


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs Dovecot."""

    user: str
    group: str
    uid: int
    gid: int


class Dovecot:
    """The IMAP and LMTP server, as one process group."""

    def __init__(self, directory: Path, accounts: Mapping[str, str]) -> None:
        self.directory = directory
        self._accounts = accounts
        self._runs_as = _runs_as()
        self._program = _program()
        self._process: subprocess.Popen[bytes] | None = None
        self.ports = {"imap": 0, "imaps": 0, "lmtp": 0}

    def set_up(self) -> None:
        """Write certificate, passwords and configuration into the directory, and start on free ports."""
        make_certificate(self.directory / "cert.pem", self.directory / "key.pem")
        lines = [f"{name}:{{PLAIN}}{password}::::::\n" for name, password in self._accounts.items()]
        (self.directory / "passwd").write_text("".join(lines), encoding="utf-8")
        for name in ("home", "run", "state"):
            (self.directory / name).mkdir()
        for left in reversed(range(_TRIES)):  # somebody else may take a port before Dovecot does
            self._configure()
            try:
                self.start()
            except HoldfastError:
                if not left:
                    raise
            else:
                return

    def forget_numbers(self, account: str) -> None:
        """Remove what Dovecot keeps about an INBOX beside the mails; it must not run."""
        for index in (self.directory / "home" / account / "Maildir").glob("dovecot*"):
            index.unlink()

    def _configure(self) -> None:
        self.ports = dict(zip(self.ports, free_ports(len(self.ports)), strict=True))
        who = self._runs_as
        text = _DOVECOT_CONF.format(
            dir=self.directory, user=who.user, group=who.group, uid=who.uid, gid=who.gid, **self.ports
        )
        (self.directory / "dovecot.conf").write_text(text, encoding="utf-8")
        if os.geteuid() == 0:
            for path in (self.directory, *self.directory.iterdir()):
                os.chown(path, who.uid, who.gid)

    def start(self) -> None:
        """Start and wait until it answers. Raises HoldfastError with the end of its log."""
        switch: dict[str, Any] = {}
        if os.geteuid() == 0:
            switch = {"user": self._runs_as.uid, "group": self._runs_as.gid, "extra_groups": []}
        with (self.directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [self._program, "-F", "-c", str(self.directory / "dovecot.conf")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.directory,
                start_new_session=True,
                **switch,
            )
        deadline = time.monotonic() + _START_S
        pause = threading.Event()
        while not all(_answers(port) for port in self.ports.values()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise HoldfastError(f"Dovecot does not start: {self._log_end()}")
            pause.wait(0.02)

    def stop(self) -> None:
        """End the whole group: its children outlive a killed master."""
        process, self._process = self._process, None
        if process is None:
            return
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()

    def _log_end(self) -> str:
        texts = [
            path.read_text(encoding="utf-8", errors="replace")[-600:]
            for path in (self.directory / "output", self.directory / "dovecot.log")
            if path.exists()
        ]
        return " ".join(texts) or "it said nothing"


def free_ports(count: int) -> list[int]:
    """Ports that are free now; all are held at once, so that none is given twice."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def make_certificate(cert: Path, key: Path) -> None:
    """Write a certificate for this machine's loopback names, valid for a few days, and its key."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "holdfast rehearsal")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def _program() -> str:
    """Where Dovecot is. A user's PATH on Debian does not have the system programs."""
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    found = shutil.which("dovecot", path=places)
    if found is None:
        raise HoldfastError(
            "Dovecot is missing: apt-get install --no-install-recommends dovecot-imapd dovecot-lmtpd"
        )
    return found


def _runs_as() -> Account:
    entry = pwd.getpwnam(_UNPRIVILEGED) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    return Account(entry.pw_name, grp.getgrgid(entry.pw_gid).gr_name, entry.pw_uid, entry.pw_gid)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
