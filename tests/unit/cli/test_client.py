"""How long the command line waits for the daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from holdfast.app.ruletests import PATIENCE
from holdfast.cli import client


class Waiting:
    """Answers at once, and remembers how long it might have taken."""

    timeouts: list[float | None]

    def __init__(self, *, timeout: httpx.Timeout, **_: Any) -> None:
        self.timeouts.append(timeout.read)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def request(self, *_: Any, **__: Any) -> httpx.Response:
        return httpx.Response(200, json={"result": {"commit": "c2"}})


def test_a_reload_is_waited_for_as_long_as_its_rule_tests_and_those_before_it_may_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Waiting.timeouts = []
    monkeypatch.setattr(client, "_knock", lambda _: None)
    monkeypatch.setattr(httpx, "Client", Waiting)

    assert client.Daemon(Path("control.sock")).reload() == {"commit": "c2"}

    (waited,) = Waiting.timeouts
    assert waited is not None
    assert waited > 2 * PATIENCE
