from __future__ import annotations

import re
from pathlib import Path

from holdfast.app import metrics
from holdfast.match.engine import Figures
from holdfast.model.events import EngineMode

PAGES = Path(__file__).parents[3] / "docs"


def test_the_mode_is_one_of_all_modes() -> None:
    found = [r for r in metrics.engine(Figures(EngineMode.RECOVERING)) if r.name == "holdfast_engine_mode"]

    assert {r.labels["mode"]: r.value for r in found} == {
        "starting": 0,
        "durable": 0,
        "recovering": 1,
        "native": 0,
    }


def test_an_answer_that_differed_is_not_counted_as_the_same() -> None:
    found = [
        r
        for r in metrics.engine(Figures(EngineMode.NATIVE, compared=7, differences=2))
        if r.name == "holdfast_engine_compared"
    ]

    assert {r.labels["result"]: r.value for r in found} == {"same": 5, "different": 2}


def test_every_metric_is_on_its_page_and_none_else() -> None:
    source = Path(metrics.__file__).read_text()
    shown = set(re.findall(r'"(holdfast_[a-z_]+)"', source))
    counted = set(re.findall(r'(?:"(holdfast_[a-z_]+)",[^)]*counts=True)', source))
    counted |= set(re.findall(r'_counted\(\s*"(holdfast_[a-z_]+)"', source))
    page = set(
        re.findall(r"^\| `(holdfast_[a-z_]+)`", (PAGES / "reference/metrics.md").read_text(), re.MULTILINE)
    )

    assert page == {f"{name}_total" if name in counted else name for name in shown}
    engine = {name for name in page if "_engine_" in name}
    for name in engine:
        assert f"`{name}" in (PAGES / "engine.md").read_text()
