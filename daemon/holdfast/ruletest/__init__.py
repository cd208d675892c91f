"""Rule tests: the road of the daemon itself, with an empty store, a clock of its own and no world."""

from __future__ import annotations

from holdfast.ruletest.suite import Report, Result, run, sent

__all__ = ["Report", "Result", "run", "sent"]
