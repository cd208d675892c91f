"""An SMTP server with accounts that says on top of each mail whether its sender is proven."""

from __future__ import annotations

import asyncio
import email
import email.utils
import re
import smtplib
import socket
import threading
from collections.abc import Mapping
from typing import Final

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from aiosmtpd.smtp import log as smtp_log

_STOP_S: Final = 5.0
_AUTH_RESULTS: Final = re.compile(rb"(?im)^authentication-results:[^\n]*\n(?:[ \t][^\n]*\n)*")


class Postman:
    """The SMTP server: takes mail, says on top of it whether the sender is proven, and delivers it."""

    def __init__(self, accounts: Mapping[str, str], domain: str, authserv_id: str, lmtp_port: int) -> None:
        self._accounts = accounts
        self._domain = domain
        self._authserv_id = authserv_id
        self._lmtp_port = lmtp_port
        self._loop = asyncio.new_event_loop()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._run, name="rehearsal-smtp", daemon=True)
        self._running = threading.Event()

    def start(self) -> None:
        """Listen; returns once it does."""
        smtp_log.setLevel("ERROR")  # it warns of its own old attribute at every login
        self._thread.start()
        self._running.wait(_STOP_S)

    def stop(self) -> None:
        """Close every connection and the listener."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_S)

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Called by aiosmtpd with each mail; returns the SMTP reply."""
        account: object = session.auth_data  # None until somebody has logged in
        raw = envelope.original_content or b""
        stamped = self._stamped(raw, account if isinstance(account, str) else None)
        try:
            await asyncio.to_thread(self._deliver, stamped, envelope.mail_from or "", list(envelope.rcpt_tos))
        except (OSError, smtplib.SMTPException) as error:
            return f"451 4.3.0 not delivered: {type(error).__name__}"
        return "250 2.0.0 delivered"

    def _authenticate(self, *asked: object) -> AuthResult:
        data = asked[-1]  # after server, session, envelope and mechanism
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        name = data.login.decode(errors="replace").partition("@")[0]
        good = name in self._accounts and self._accounts[name] == data.password.decode(errors="replace")
        return AuthResult(success=good, handled=False, auth_data=name if good else None)

    def _stamped(self, raw: bytes, account: str | None) -> bytes:
        """Without what a sender claims in our name, and with our own word on top (RFC 8601)."""
        head, gap, body = raw.partition(b"\r\n\r\n")
        if not gap:
            head, gap, body = raw.partition(b"\n\n")
        ours = self._authserv_id.encode()
        kept = _AUTH_RESULTS.sub(lambda found: b"" if ours in found[0].lower() else found[0], head + b"\n")
        senders = email.message_from_bytes(head).get_all("from", [])
        domain = email.utils.parseaddr(senders[0])[1].rpartition("@")[2].lower() if len(senders) == 1 else ""
        if account is not None and domain == self._domain:
            verdict = f"auth=pass smtp.auth={account}@{self._domain}; dmarc=pass header.from={domain}"
        else:
            verdict = (
                f"auth={'none' if account is None else 'pass'}; dmarc=fail header.from={domain or 'unknown'}"
            )
        stamp = f"Authentication-Results: {self._authserv_id}; {verdict}\r\n"
        return stamp.encode("ascii", "replace") + kept.rstrip(b"\r\n") + b"\r\n\r\n" + body

    def _deliver(self, raw: bytes, sender: str, recipients: list[str]) -> None:
        with smtplib.LMTP("127.0.0.1", self._lmtp_port, timeout=_STOP_S) as client:
            client.sendmail(sender, recipients, raw)

    def _protocol(self) -> SMTP:
        return SMTP(
            self,
            hostname=self._authserv_id,
            authenticator=self._authenticate,
            auth_require_tls=False,
            loop=self._loop,
        )

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(self._loop.create_server(self._protocol, sock=self._socket))
        self._loop.call_soon(self._running.set)
        try:
            self._loop.run_forever()
        finally:
            server.close()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()
