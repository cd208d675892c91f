"""Who really sent it: the word of the receiving mail server, and of nobody else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import authres
import authres.dmarc

VALUE_MAX: Final = 8192

_READER: Final = authres.FeatureContext(authres.dmarc)


def proven(results: Sequence[str], authserv_id: str | None, domain: str) -> bool:
    """Whether the sender's domain is proven.

    `results` are the values of all Authentication-Results headers, topmost first. Only the topmost one
    counts, and only under the configured name: a sender can write any number of them further down, and
    a server that adds none must not let the sender's stand in for it.
    """
    if authserv_id is None or not results or len(results[0]) > VALUE_MAX:
        return False
    try:
        header = _READER.parse_value(results[0])
        verdicts = [one for one in header.results if getattr(one, "method", "") == "dmarc"]
        named = header.authserv_id.lower() == authserv_id.lower()
        passed = len(verdicts) == 1 and verdicts[0].result == "pass"
        return named and passed and _same(verdicts[0].header_from, domain)
    except Exception:  # noqa: BLE001  a header that cannot be read proves nothing, whatever the parser raises
        return False


def _same(stated: object, domain: str) -> bool:
    return isinstance(stated, str) and stated.lower().rstrip(".") == domain.lower().rstrip(".") != ""
