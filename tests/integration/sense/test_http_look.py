"""One look at a real server: whatever it does, there is an answer in words."""

from __future__ import annotations

import asyncio
import socket

import pytest

from holdfast.model.snapshot import Source, SourceKind
from holdfast.sense.http_look import MAX_BODY, Look, client, look


def see(url: str | None, *, timeout: int = 10_000, expect: int | None = None) -> Look:
    async def main() -> Look:
        async with client() as asker:
            source = Source("p", SourceKind.HTTP_PROBE, url=url, timeout=timeout, expect_status=expect)
            return await look(asker, source)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "ok"),
    [
        (200, True),
        (204, True),
        (304, True),
        (399, True),
        (400, False),
        (404, False),
        (500, False),
        (503, False),
    ],
)
def test_a_status_below_400_is_well(site, status: int, ok: bool) -> None:
    site.status = status
    seen = see(f"{site.url}/status")

    assert (seen.ok, seen.status) == (ok, status)
    assert seen.error == (None if ok else f"answered {status}")
    assert seen.latency_ms > 0


def test_an_expected_status_is_the_only_good_one(site) -> None:
    site.status = 401

    assert see(f"{site.url}/status", expect=401).ok
    assert see(f"{site.url}/status", expect=200).error == "answered 401, expected 200"


def test_a_redirect_is_an_answer_and_is_not_followed(site) -> None:
    seen = see(f"{site.url}/moved")

    assert (seen.ok, seen.status) == (True, 302)
    assert site.hits["/target"] == 0
    assert not see(f"{site.url}/moved", expect=200).ok


def test_a_port_where_nobody_listens_is_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        seen = see(f"http://127.0.0.1:{free.getsockname()[1]}/")

    assert (seen.ok, seen.status, seen.error) == (False, None, "connection refused")


@pytest.mark.parametrize("path", ["/hang", "/drip"])
def test_a_server_that_takes_too_long_is_timed_out_wherever_it_hangs(site, path: str) -> None:
    seen = see(site.url + path, timeout=200)

    assert (seen.ok, seen.error) == (False, "timed out after 0.2 s")


def test_only_the_beginning_of_a_body_is_read(site) -> None:
    seen = see(f"{site.url}/endless")

    assert (seen.ok, seen.status) == (True, 200)
    assert MAX_BODY == 65_536


def test_a_body_is_never_unpacked(site) -> None:
    assert see(f"{site.url}/bomb").ok


@pytest.mark.parametrize("path", ["/garbage", "/silent"])
def test_what_is_no_answer_is_said_in_words(site, path: str) -> None:
    seen = see(site.url + path)

    assert (seen.ok, seen.status) == (False, None)
    assert seen.error


def test_a_certificate_that_nobody_vouches_for_is_refused(tls_site) -> None:
    seen = see(f"https://127.0.0.1:{tls_site.server_address[1]}/status")

    assert (seen.ok, seen.status) == (False, None)
    assert seen.error == "certificate not accepted: self-signed certificate"
    assert tls_site.hits["/status"] == 0


def test_a_certificate_that_the_system_trusts_is_accepted(
    tls_site, certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))

    assert see(f"https://127.0.0.1:{tls_site.server_address[1]}/status").ok


def test_a_server_without_tls_is_said_in_words(site) -> None:
    seen = see(site.url.replace("http:", "https:") + "/status")

    assert not seen.ok
    assert "TLS" in str(seen.error)


def test_proxies_of_the_environment_are_not_used(site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert see(f"{site.url}/status").ok


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "ftp://127.0.0.1/",
        "http://",
        "http://127.0.0.1:99999/",
        "http://nobody.invalid/",
        "http://\x00/",
    ],
)
def test_an_address_that_leads_nowhere_is_said_in_words(url: str | None) -> None:
    seen = see(url)

    assert (seen.ok, seen.status) == (False, None)
    assert seen.error
    assert len(seen.error) <= 200


def test_data_holds_only_what_there_is() -> None:
    assert Look(True, 1.5, 200).data() == {"ok": True, "latency_ms": 1.5, "status": 200}
    assert Look(False, 1.5, None, "connection refused").data() == {
        "ok": False,
        "latency_ms": 1.5,
        "error": "connection refused",
    }
