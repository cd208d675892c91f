"""The config of the road's own tests, with rule tests in it."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent

import pytest
from tests.integration.pipeline.conftest import CONFIG

from holdfast.config.load import load_files
from holdfast.model.snapshot import Snapshot


@pytest.fixture
def told() -> Callable[..., Snapshot]:
    """The config with these tests; other files of it by their path, in place of its own."""

    def load(tests: str, files: dict[str, str] | None = None) -> Snapshot:
        wanted = {**CONFIG, **(files or {}), "tests/told.yaml": dedent(tests)}
        return load_files({name: text.encode() for name, text in wanted.items()}, "c1")

    return load
