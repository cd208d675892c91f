"""Holdfast: emergency response for people who run a company alone."""

__version__ = "0.1.0"
