"""Wiring: build everything from a config snapshot; start, stop, reload. The only one with a clock."""
