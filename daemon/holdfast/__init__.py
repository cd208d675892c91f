"""Holdfast: emergency response for people who run a company alone."""

from __future__ import annotations

__version__ = "0.1.0"
