"""The one order of the world: what is in the journal happened, in this sequence, and nothing else did."""

from __future__ import annotations

from holdfast.journal.commit import Ack
from holdfast.journal.pace import Pace
from holdfast.journal.queue import SourceFull
from holdfast.journal.writer import Journal

__all__ = ["Ack", "Journal", "Pace", "SourceFull"]
