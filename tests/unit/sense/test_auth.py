"""Who sent it."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from holdfast.errors import Unauthorized
from holdfast.model.snapshot import AuthScheme, Source, SourceKind
from holdfast.model.values import Secret
from holdfast.sense.auth import STRANGER, authenticate, is_local

SECRETS = {"token": "s3cret", "empty": "", "umlaut": "schlüssel€"}
OPEN = Source("open", SourceKind.WEBHOOK)
BEARER = Source("b", SourceKind.WEBHOOK, scheme=AuthScheme.BEARER, secret=Secret("token"))
HMAC = Source("h", SourceKind.WEBHOOK, scheme=AuthScheme.HMAC, secret=Secret("token"))
BODY = b'{"type":"x"}'


def secret(wanted: Secret) -> str:
    return SECRETS[wanted.name]


def signature(body: bytes, key: str = "s3cret") -> str:
    return "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def ask(
    source: Source, headers: dict[str, str] | None = None, *, body: bytes = BODY, local: bool = False
) -> str:
    return authenticate(source, headers or {}, body, local, secret)


def test_the_right_token_is_believed() -> None:
    assert ask(BEARER, {"authorization": "Bearer s3cret"}) == "bearer"
    assert ask(BEARER, {"authorization": "bearer  s3cret"}) == "bearer"


def test_a_token_may_have_any_characters() -> None:
    source = Source("u", SourceKind.WEBHOOK, scheme=AuthScheme.BEARER, secret=Secret("umlaut"))
    header = "Bearer " + "schlüssel€".encode().decode("latin-1")

    assert ask(source, {"authorization": header}) == "bearer"


def test_a_secret_without_a_scheme_is_a_token() -> None:
    source = Source("s", SourceKind.WEBHOOK, secret=Secret("token"))

    assert ask(source, {"authorization": "Bearer s3cret"}) == "bearer"


def test_the_right_signature_of_this_body_is_believed() -> None:
    assert ask(HMAC, {"x-holdfast-signature": signature(BODY)}) == "hmac"


@pytest.mark.parametrize(
    ("source", "headers"),
    [
        (BEARER, {}),
        (BEARER, {"authorization": "Bearer wrong"}),
        (BEARER, {"authorization": "Bearer "}),
        (BEARER, {"authorization": "Bearer"}),
        (BEARER, {"authorization": "s3cret"}),
        (BEARER, {"authorization": "Basic s3cret"}),
        (BEARER, {"authorization": "Bearer s3cret, Bearer s3cret"}),
        (BEARER, {"authorization": "Bearer s3crets"}),
        (BEARER, {"authorization": "Bearer s3cre"}),
        (BEARER, {"authorization": "Bearer \u20ac"}),
        (BEARER, {"x-holdfast-signature": signature(BODY)}),
        (HMAC, {}),
        (HMAC, {"authorization": "Bearer s3cret"}),
        (HMAC, {"x-holdfast-signature": ""}),
        (HMAC, {"x-holdfast-signature": "sha256="}),
        (HMAC, {"x-holdfast-signature": signature(BODY)[7:]}),
        (HMAC, {"x-holdfast-signature": signature(BODY + b" ")}),
        (HMAC, {"x-holdfast-signature": signature(BODY, "other")}),
        (HMAC, {"x-holdfast-signature": signature(BODY).replace("sha256", "sha1")}),
        (STRANGER, {"authorization": "Bearer s3cret"}),
        (OPEN, {"authorization": "Bearer s3cret"}),
    ],
)
def test_everything_else_gets_one_and_the_same_answer(source: Source, headers: dict[str, str]) -> None:
    with pytest.raises(Unauthorized) as refused:
        ask(source, headers)

    assert str(refused.value) == "The source is not known here, or its credential is wrong."


@pytest.mark.parametrize("scheme", AuthScheme)
def test_an_empty_secret_lets_nobody_in(scheme: AuthScheme) -> None:
    source = Source("e", SourceKind.WEBHOOK, scheme=scheme, secret=Secret("empty"))
    headers = {"authorization": "Bearer ", "x-holdfast-signature": signature(BODY, "")}

    with pytest.raises(Unauthorized):
        ask(source, headers)


def test_without_a_secret_this_machine_alone_is_heard() -> None:
    assert ask(OPEN, local=True) == "loopback"
    with pytest.raises(Unauthorized):
        ask(OPEN)


def test_a_secret_is_asked_of_this_machine_too() -> None:
    with pytest.raises(Unauthorized):
        ask(BEARER, local=True)


def test_a_scheme_without_a_secret_is_closed() -> None:
    with pytest.raises(Unauthorized):
        ask(Source("x", SourceKind.WEBHOOK, scheme=AuthScheme.BEARER), local=True)


def test_nobody_speaks_for_a_probe() -> None:
    with pytest.raises(Unauthorized):
        ask(Source("p", SourceKind.HTTP_PROBE), local=True)


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_a_program_of_this_machine_is_local(client: str) -> None:
    assert is_local(client, {"host": "localhost"})


@pytest.mark.parametrize(
    "client", [None, "10.0.0.1", "192.168.127.1", "::2", "1127.0.0.1", "", "::ffff:10.0.0.1"]
)
def test_others_are_not(client: str | None) -> None:
    assert not is_local(client, {})


@pytest.mark.parametrize("name", ["forwarded", "x-forwarded-for", "x-real-ip", "via", "origin"])
def test_what_a_proxy_or_a_browser_carried_is_not_local(name: str) -> None:
    assert not is_local("127.0.0.1", {name: "127.0.0.1"})
