"""Signals become events: one file per source; nothing here judges."""
