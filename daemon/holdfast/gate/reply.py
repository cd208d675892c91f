"""The grammar of a reply: `CHOICE` or `CHOICE CODE`, and not one word more."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.gate.token import normalise

#: Understood at every gate, whatever its choices are called: run nothing.
DENY: Final = "deny"
TEXT_MAX: Final = 120

_DASH: Final = re.compile("[\u2010-\u2015\u2212]")
_SPACES: Final = re.compile(" +")
_CODE: Final = re.compile(r"[0-9a-z]{4}[- ]?[0-9a-z]{2}")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A choice by its declared name (or `deny`), and the code that came with it, normalised."""

    choice: str
    code: str | None = None


def parse(text: str, choices: Sequence[str]) -> Parsed | None:
    """Read one line as `CHOICE` or `CHOICE CODE`; anything before, between or after makes it None.

    Whether the code is right, and whether the choice may go without one, is for the judge.
    """
    line = _folded(text)
    if line is None:
        return None
    for name, word in _words(choices):
        if line == word:
            return Parsed(name)
        rest = line.removeprefix(f"{word} ")
        if rest != line and _CODE.fullmatch(rest):
            code = normalise(rest)
            return Parsed(name, code) if code else None
    return None


def _folded(text: str) -> str | None:
    """One spelling for every way to type the same line; None for a line that is too long.

    Nothing but the number of spaces is dropped, so a control character stays and spoils the reply.
    """
    if len(text) > TEXT_MAX:
        return None
    line = _DASH.sub("-", unicodedata.normalize("NFKC", text))
    return _SPACES.sub(" ", line).strip(" ").lower()


def _words(choices: Sequence[str]) -> list[tuple[str, str]]:
    """Each name with its folded spelling; a spelling that two choices share names neither."""
    folded = [(name, _folded(name)) for name in choices]
    spellings = [word for _, word in folded]
    known = [(name, word) for name, word in folded if word and spellings.count(word) == 1]
    return known if DENY in spellings else [*known, (DENY, DENY)]
