"""The proofs: long runs that show what no single example can. The table at the end says what was run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.proof.prove import LONG, SEED, Tally

ROW = "parser"


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Callable[[str], Tally]:
    """A tally of the named parser, which appears in the table at the end."""

    def begun(parser: str) -> Tally:
        started.append(Tally(parser))
        return started[-1]

    started: list[Tally] = []
    yield begun
    for one in started:
        record_property(ROW, [*one.line(), one.why])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """parser, cases, refused, accepted."""
    reports = [report for kind in ("passed", "failed", "") for report in terminalreporter.stats.get(kind, [])]
    rows = sorted(
        value
        for report in reports
        if getattr(report, "when", "") == "teardown"
        for name, value in report.user_properties
        if name == ROW
    )
    if not rows:
        return
    terminalreporter.write_sep("=", f"proofs, the {'long' if LONG else 'short'} form, seed {SEED}")
    total = ["all", *(sum(row[column] for row in rows) for column in (1, 2, 3)), {}]
    for parser, cases, refused, accepted, why in [
        ["parser", "cases", "refused", "accepted", {}],
        *rows,
        total,
    ]:
        reasons = ", ".join(f"{name} {count:,}" for name, count in sorted(why.items()))
        shown = [f"{item:,}" if isinstance(item, int) else item for item in (cases, refused, accepted)]
        terminalreporter.write_line(
            f"{parser:44}{shown[0]:>11}{shown[1]:>11}{shown[2]:>11}  {reasons}".rstrip()
        )
