"""The bench is no package: its folder goes on the path, as its scripts have it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3] / "bench"))
