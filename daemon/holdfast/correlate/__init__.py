"""From single findings to signals: streaks, counts within windows, guards that look back."""

from __future__ import annotations

from holdfast.correlate.correlator import Correlator
from holdfast.correlate.signals import Cleared, Firing, GuardFound, Key, Signals

__all__ = ["Cleared", "Correlator", "Firing", "GuardFound", "Key", "Signals"]
