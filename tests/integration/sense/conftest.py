"""Real HTTP servers with good and bad manners."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DEADLINE = 20


class Site(ThreadingHTTPServer):
    """Answers by path; `release` lets everybody go who is kept waiting."""

    daemon_threads = True

    def __init__(self) -> None:
        self.hits: Counter[str] = Counter()
        self.busy: Counter[str] = Counter()
        self.most_at_once: Counter[str] = Counter()
        self.headers_seen: list[dict[str, str]] = []
        self.release = threading.Event()
        self.status = 200
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are what is tested here."""


class Handler(BaseHTTPRequestHandler):
    """One GET."""

    server: Site

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        site = self.server
        with site.lock:
            site.hits[self.path] += 1
            site.busy[self.path] += 1
            site.most_at_once[self.path] = max(site.most_at_once[self.path], site.busy[self.path])
            site.headers_seen.append(dict(self.headers))
        try:
            self._answer()
        finally:
            with site.lock:
                site.busy[self.path] -= 1

    def _answer(self) -> None:
        path = self.path.split("?")[0]
        manners = {
            "/status": lambda: self._head(self.server.status),
            "/name": lambda: self._head(500),
            "/moved": lambda: self._head(302, ("location", f"{self.server.url}/target")),
            "/hang": self._hang,
            "/drip": self._drip,
            "/endless": self._endless,
            "/bomb": self._bomb,
            "/garbage": lambda: self.wfile.write(b"\x00\x01 this is no HTTP\r\n\r\n"),
        }
        manners.get(path, lambda: None)()

    def _hang(self) -> None:
        self.server.release.wait(DEADLINE)
        self._head(200)

    def _drip(self) -> None:
        self._head(200, ("content-length", "1000"))
        while not self.server.release.wait(0.02):
            self.wfile.write(b"x")

    def _endless(self) -> None:
        self._head(200)
        while not self.server.release.is_set():
            self.wfile.write(b"x" * 65536)

    def _bomb(self) -> None:
        self._head(200, ("content-encoding", "gzip"))
        self.wfile.write(b"this is no gzip at all")

    def _head(self, status: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()


@contextlib.contextmanager
def serving(site: Site) -> Iterator[Site]:
    thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        site.release.set()
        site.shutdown()
        site.server_close()
        thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site()) as up:
        yield up


@dataclass(frozen=True)
class Certificate:
    """A certificate of its own authority."""

    file: Path
    key: Path


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=365 * 80))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    made.file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made


@pytest.fixture
def tls_site(certificate: Certificate) -> Iterator[Site]:
    up = Site()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key)
    up.socket = context.wrap_socket(up.socket, server_side=True)
    with serving(up):
        yield up


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], bool]:
    """Whether a condition becomes true before the deadline."""
    pause = threading.Event()

    def _until(condition: Callable[[], bool]) -> bool:
        for _ in range(DEADLINE * 100):
            if condition():
                return True
            pause.wait(0.01)
        return False

    return _until
