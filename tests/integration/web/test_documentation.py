"""The examples of the page on sending events, sent to the door that they are about."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

import httpx
import pytest

from holdfast.config.load import load_files

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "send-events.md").read_text()
CONFIGS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
EVENTS = re.findall(r"```(json|cloudevent) ?(\w*)\n(.*?)```", PAGE, re.DOTALL)
SHOP = "estate:\n  services:\n    shop: {}\n"


def loaded(config: str):
    text = config if "estate:" in config else config + SHOP
    return load_files({"holdfast.yaml": text.encode()}, "c0")


def test_the_page_has_examples() -> None:
    assert len(CONFIGS) >= 4
    assert len(EVENTS) >= 4


@pytest.mark.parametrize("config", CONFIGS)
def test_every_config_on_the_page_is_one(config: str) -> None:
    assert loaded(config).sources


@pytest.mark.parametrize(("form", "source", "body"), EVENTS)
def test_every_event_on_the_page_is_taken(door, form: str, source: str, body: str) -> None:
    name = source or "backups"
    door.snapshot = next(snapshot for snapshot in map(loaded, CONFIGS) if name in snapshot.sources)
    media = "application/json" if form == "json" else "application/cloudevents+json"
    with httpx.Client(base_url=door.url, trust_env=False) as client:
        response = client.post(
            f"/in/generic/{name}", content=body.encode(), headers={"content-type": media} | proof(body)
        )

    assert (response.status_code, response.json()) == (202, {"accepted": 1, "duplicates": 0})


def proof(body: str) -> dict[str, str]:
    digest = hmac.new(b"s3cret-token", body.encode(), hashlib.sha256).hexdigest()
    return {"x-holdfast-signature": f"sha256={digest}"}
