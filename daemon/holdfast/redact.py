"""Known secrets never reach the journal, a log or a message: they are replaced wherever text leaves."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

import msgspec

MARK: Final = "[redacted]"
#: A shorter value is no secret, and replacing it would tear ordinary text apart.
SHORTEST: Final = 4
#: The same for a piece of base64, which has fewer distinct characters.
_SHORTEST_BASE64: Final = 6
#: A line of a longer secret is looked for by itself when it has at least this many characters.
_SHORTEST_LINE: Final = 12


class Redactor:
    """Replaces each known secret, and its JSON, URL, base64 and hex forms, by `[redacted]`.

    It only ever learns: a secret that was rotated stays out of the records too.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: tuple[str, ...] = ()
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Know these secrets from now on, in every thread; values under 4 characters are ignored."""
        forms = {form for secret in secrets for value in _values(secret) for form in _forms(value)}
        self._forms = tuple(sorted(forms.union(self._forms), key=len, reverse=True))

    @property
    def longest(self) -> int:
        """The length of the longest form, for callers that cut a text before it comes here."""
        return len(self._forms[0]) if self._forms else 0

    def text(self, text: str) -> str:
        """The text without the secrets; secrets that overlap become one mark."""
        spans = sorted(span for form in self._forms for span in _found(text, form))
        kept: list[str] = []
        end = -1
        for start, stop in spans:
            if start > end:
                kept += (text[max(end, 0) : start], MARK)
            end = max(end, stop)
        return text if end < 0 else "".join((*kept, text[end:]))


def _found(text: str, form: str) -> Iterator[tuple[int, int]]:
    at = text.find(form)
    while at >= 0:
        yield at, at + len(form)
        at = text.find(form, at + 1)


def _values(secret: str) -> Iterator[str]:
    """The secret, and the lines of one that has several: a key is often printed with other line ends."""
    for value in (secret, secret.strip()):
        if len(value) >= SHORTEST:
            yield value
    lines = secret.strip().splitlines()
    if len(lines) > 1:
        for line in lines:
            if len(line.strip()) >= _SHORTEST_LINE and not line.startswith("-----"):
                yield line.strip()


def _forms(value: str) -> Iterator[str]:
    data = value.encode("utf-8", "surrogateescape")
    yield value
    yield msgspec.json.encode(data.decode("utf-8", "replace")).decode()[1:-1]
    for quoted in (quote(data, safe=""), quote(data), quote_plus(data)):
        yield quoted
        yield _lower_escapes(quoted)
    yield data.hex()
    yield data.hex().upper()
    yield from _base64(data)


def _lower_escapes(quoted: str) -> str:
    """`%2F` as `%2f`: both are written."""
    head, *escapes = quoted.split("%")
    return "%".join((head, *(escape[:2].lower() + escape[2:] for escape in escapes)))


def _base64(data: bytes) -> Iterator[str]:
    """What stays the same of its base64 wherever it stands inside a longer encoded text."""
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + data).decode().rstrip("=")
        # the first and the last character also carry bits of the neighbours
        core = whole[(0, 2, 3)[before] : -1 if (before + len(data)) % 3 else None]
        if len(core) >= _SHORTEST_BASE64:
            yield core
            yield core.replace("+", "-").replace("/", "_")
