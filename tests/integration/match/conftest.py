"""Lets these tests use what the unit tests of the engine share: `cases`, and the `double` of its process."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "unit" / "match" / "durable"))
