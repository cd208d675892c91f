"""A whole mail provider on loopback: real SMTP with accounts, real LMTP delivery, real IMAP with TLS.

Dovecot keeps the mailboxes; an SMTP server in this process takes mail, marks who proved to be who, and
delivers into Dovecot. The rehearsal and the tests use the same one.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import imaplib
import shutil
import smtplib
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Final

from holdfast.errors import HoldfastError
from holdfast.rehearsal.dovecot import Dovecot
from holdfast.rehearsal.postman import Postman

DOMAIN: Final = "lab.test"
AUTHSERV_ID: Final = "mx.lab.test"
ACCOUNTS: Final[Mapping[str, str]] = {"holdfast": "bot-password", "founder": "founder-password"}
_TIMEOUT_S: Final = 10.0


@dataclass(slots=True)
class MailServers:
    """The running provider: where it listens, and what a mail client does with it."""

    smtp_port: int
    imap_port: int
    imaps_port: int
    lmtp_port: int
    ca_file: Path
    accounts: Mapping[str, str]
    domain: str
    authserv_id: str
    _dovecot: Dovecot = field(repr=False)

    def address(self, account: str) -> str:
        """The mail address of an account."""
        return f"{account}@{self.domain}"

    def smtp_url(self, sender: str, recipient: str) -> str:
        """The Apprise URL by which `sender` (an account) mails to `recipient` (an address)."""
        login = f"{sender}:{self.accounts[sender]}@127.0.0.1:{self.smtp_port}"
        return f"mailto://{login}/?from={self.address(sender)}&to={recipient}&smtp=127.0.0.1&mode=insecure"

    def submit(self, account: str | None, mail: EmailMessage | bytes, recipient: str, sender: str) -> None:
        """Send a mail over SMTP, logged in as `account` or (None) as a stranger."""
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=_TIMEOUT_S) as client:
            client.ehlo("client.lab.test")
            if account is not None:
                client.login(account, self.accounts[account])
            client.sendmail(
                sender,
                [recipient],
                mail if isinstance(mail, bytes) else mail.as_bytes(policy=email.policy.SMTP),
            )

    def deliver(self, raw: bytes, recipient: str, sender: str = "") -> None:
        """Put a mail into a mailbox by LMTP as it is, as a provider would that adds nothing."""
        with smtplib.LMTP("127.0.0.1", self.lmtp_port, timeout=_TIMEOUT_S) as client:
            client.sendmail(sender, [recipient], raw)

    def read(self, account: str) -> list[EmailMessage]:
        """Every mail in the INBOX of an account, the oldest first."""
        context = ssl.create_default_context(cafile=self.ca_file)
        with imaplib.IMAP4_SSL(
            "127.0.0.1", self.imaps_port, ssl_context=context, timeout=_TIMEOUT_S
        ) as client:
            client.login(account, self.accounts[account])
            client.select("INBOX", readonly=True)
            _, data = client.uid("FETCH", "1:*", "(BODY.PEEK[])")
            raws = [item[1] for item in data if isinstance(item, tuple)]
        return [email.message_from_bytes(raw, policy=email.policy.default) for raw in raws]

    def wait_for(self, account: str, count: int, seconds: float = 10.0) -> list[EmailMessage]:
        """The mails of an account once there are `count`. Raises HoldfastError when they do not come."""
        deadline = time.monotonic() + seconds
        pause = threading.Event()
        while len(mails := self.read(account)) < count:
            if time.monotonic() > deadline:
                raise HoldfastError(f"{account} has {len(mails)} mails after {seconds:.0f} s, not {count}")
            pause.wait(0.05)
        return mails

    def stop_imap(self) -> None:
        """Kill Dovecot, and with it every session."""
        self._dovecot.stop()

    def start_imap(self) -> None:
        """Start Dovecot again on the same ports and mailboxes."""
        self._dovecot.start()

    def renumber(self, account: str) -> None:
        """Forget the mail numbers of an INBOX, as a restored or migrated mailbox does (new UIDVALIDITY)."""
        self._dovecot.stop()
        self._dovecot.forget_numbers(account)
        stopped = int(time.time())
        pause = threading.Event()
        while int(time.time()) == stopped:  # Dovecot takes the second of the clock as the new number
            pause.wait(0.05)
        self._dovecot.start()


@contextlib.contextmanager
def start_mail(
    directory: Path,
    accounts: Mapping[str, str] = ACCOUNTS,
    domain: str = DOMAIN,
    authserv_id: str = AUTHSERV_ID,
) -> Iterator[MailServers]:
    """Run the provider; `directory` receives the certificate that its clients have to trust.

    Works as root (Dovecot then runs as `nobody`) and as anybody else. Everything is ended and removed
    on the way out. Raises HoldfastError when a server is missing or does not start.
    """
    home = Path(tempfile.mkdtemp(prefix="hf-mail-"))  # short: the paths of unix sockets end at 107 bytes
    dovecot: Dovecot | None = None
    postman: Postman | None = None
    try:
        dovecot = Dovecot(home, accounts)
        dovecot.set_up()
        ca_file = directory / "ca.pem"
        ca_file.write_bytes((home / "cert.pem").read_bytes())
        ports = dovecot.ports
        postman = Postman(accounts, domain, authserv_id, ports["lmtp"])
        postman.start()
        yield MailServers(
            smtp_port=postman.port,
            imap_port=ports["imap"],
            imaps_port=ports["imaps"],
            lmtp_port=ports["lmtp"],
            ca_file=ca_file,
            accounts=accounts,
            domain=domain,
            authserv_id=authserv_id,
            _dovecot=dovecot,
        )
    finally:
        if postman is not None:
            postman.stop()
        if dovecot is not None:
            dovecot.stop()
        shutil.rmtree(home, ignore_errors=True)
