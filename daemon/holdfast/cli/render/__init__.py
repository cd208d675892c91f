"""Text output: from plain dataclasses to what a terminal shows. Pure; nothing here prints."""
