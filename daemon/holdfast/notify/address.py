"""Plus-addresses: the part after `+` says which question a reply belongs to. It is routing, no right."""

from __future__ import annotations

import re
from typing import Final

_REF: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LOCAL_MAX: Final = 64  # RFC 5321: servers may refuse more


def with_ref(address: str, ref: str) -> str:
    """Return `address` with `ref` in its plus-part: `holdfast@x` becomes `holdfast+REF@x`.

    Raises ValueError for a reference that a mail system might change on its way (upper case, blanks).
    """
    local, at, domain = address.rpartition("@")
    if not at or not local or not domain or "+" in local:
        raise ValueError(f"{address!r} is no plain mail address: write it as name@domain, without a plus")
    if not _REF.fullmatch(ref):
        raise ValueError(f"{ref!r} cannot stand in a mail address: use lower-case letters, digits, - . _")
    if len(local) + 1 + len(ref) > _LOCAL_MAX:
        raise ValueError(
            f"{address!r} is too long for a reference: what is before the @ may have 64 characters"
        )
    return f"{local}+{ref}@{domain}"


def ref_in(address: str, base: str) -> str | None:
    """Return the reference in `address` when it is `base` with a plus-part, else None.

    Mail systems may change the case on the way, so the reference comes back in lower case.
    """
    local, _, domain = address.strip().lower().rpartition("@")
    name, plus, ref = local.partition("+")
    ours = f"{name}@{domain}" == base.strip().lower()
    return ref if ours and plus and _REF.fullmatch(ref) else None


def is_ours(address: str, base: str) -> bool:
    """Whether `address` is the reply address itself, with or without a plus-part."""
    local, _, domain = address.strip().lower().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}" == base.strip().lower()
