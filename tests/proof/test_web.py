"""Schemathesis asks a real daemon whatever its OpenAPI document allows, and whatever it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.acceptance.conftest import Process
from tests.proof.prove import Tally, prove

from holdfast.config.schemas import openapi

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SITE = """
format: 1
listen: {host: 127.0.0.1, port: 0}
sources:
  open: {kind: webhook}
  typed: {kind: webhook, type: shop.alert, trust: high, max_severity: critical}
  token: {kind: webhook, verify: {scheme: bearer, secret: $secret.token}}
  signed: {kind: webhook, verify: {scheme: hmac, secret: $secret.token}}
  mapped:
    kind: webhook
    map: {type: x.y, id: $.id, time: {from: $.time, as: epoch}, data.n: {from: $.data, as: int}}
events:
  backup.failed: {data.bytes: "int?"}
"""
NAMES = ("open", "typed", "token", "signed", "mapped", "nobody", None)
TOKENS = ("Bearer a-token", "Bearer wrong", None)
DOCUMENT = schemathesis.openapi.from_dict(msgspec.json.decode(openapi()))
OPERATIONS = [found.ok() for found in DOCUMENT.get_all_operations()]
#: What takes nothing cannot be asked wrongly.
ASKED = [
    (operation, mode)
    for operation in OPERATIONS
    for mode in schemathesis.GenerationMode
    if operation.body or mode is schemathesis.GenerationMode.POSITIVE
]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(tmp_path_factory.mktemp("web") / "d")
    process.write("holdfast.yaml", SITE)
    process.secret("token", "a-token")
    try:
        assert process.start()
        yield process
    finally:
        process.kill()


def asked(
    operation: schemathesis.APIOperation, mode: schemathesis.GenerationMode
) -> st.SearchStrategy[schemathesis.Case]:
    """What Schemathesis makes up, mostly for sources that exist and with a credential now and then."""

    def known(case: schemathesis.Case, name: str | None, token: str | None) -> schemathesis.Case:
        if name is not None:
            for place in (case.query, case.path_parameters):
                if place and "source" in place:
                    place["source"] = name
        if token is not None:
            case.headers["Authorization"] = token
        return case

    made = operation.as_strategy(generation_mode=mode)
    return st.builds(known, made, st.sampled_from(NAMES), st.sampled_from(TOKENS))


@pytest.mark.parametrize(("operation", "mode"), ASKED, ids=[f"{one.label} {mode}" for one, mode in ASKED])
def test_every_answer_conforms(
    daemon: Process,
    tally: Callable[[str], Tally],
    operation: schemathesis.APIOperation,
    mode: schemathesis.GenerationMode,
) -> None:
    url = f"http://127.0.0.1:{daemon.port}"
    posts = operation.method == "post"
    with requests.Session() as session:
        session.trust_env = False

        def ask(case: schemathesis.Case) -> bool:
            response = case.call(base_url=url, session=session, timeout=30)
            case.validate_response(response, checks=CHECKS)
            return response.status_code < 300

        prove(
            tally(f"web: {operation.label}, {mode.value}"),
            asked(operation, mode),
            ask,
            thousands=8 if posts else 1,
        )
