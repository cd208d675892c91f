"""The door: commands, exit codes, and what a person or a script reads of them."""

from __future__ import annotations

from holdfast.cli.entry import main

__all__ = ["main"]
