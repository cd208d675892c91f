"""Why an input is refused, in two sentences: what is wrong, and what would be right.

    InputError
    └── Refused             it cannot be read at all
        ├── TooLarge        it is larger than anything that is taken
        ├── Unsupported     it is of a kind that nobody here reads
        └── Unprocessable   it can be read, and is not an event that its source may send

What a sender wrote is never repeated in a message, except for short names that were checked.
"""

from __future__ import annotations

from holdfast.errors import InputError


class Refused(InputError):
    """The input cannot be read."""

    def __init__(self, what: str, fix: str) -> None:
        self.what = what
        self.fix = fix
        super().__init__(f"{what} {fix}")


class TooLarge(Refused):
    """The input is larger than anything that is taken."""


class Unsupported(Refused):
    """The input is of a kind that nobody here reads."""


class Unprocessable(Refused):
    """The input can be read, and is not an event that its source may send."""
