"""Reply codes and thread references. Both are derived from the key, so neither is ever stored."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import unicodedata
from typing import Final

#: Crockford base32: no I, L, O or U, so that a code survives being read aloud or typed by hand.
ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_LENGTH: Final = 6  # 30 bits: five tries hit one pending gate with a chance of 5e-9
KEY_MIN: Final = 16

_TAG_LENGTH: Final = 10
_INPUT_MAX: Final = 32
_REF_MAX: Final = 256
_LOOKS_LIKE: Final = str.maketrans({"O": "0", "I": "1", "L": "1"})
_DASHES: Final = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_DROPPED: Final = str.maketrans(dict.fromkeys(_DASHES + " ", ""))
#: Ids that may stand in a mail address as they are; `x.` begins the encoded form of all others.
_PLAIN_ID: Final = re.compile(r"(?!x\.)(?=.{1,40}\Z)[a-z0-9]+([.-][a-z0-9]+)*")


def code_for(key: bytes, gate_id: str, operator: str) -> str:
    """Return the six symbols that let this operator answer this gate, and nobody else or any other."""
    return _symbols(_mac(key, "code", gate_id, operator), CODE_LENGTH)


def display(code: str) -> str:
    """Return a code as people read it: `7KQ4MX` becomes `7KQ4-MX`."""
    return f"{code[:4]}-{code[4:]}"


def normalise(text: str) -> str | None:
    """Return the code that somebody meant to type, or None where it cannot be one."""
    if len(text) > _INPUT_MAX:
        return None
    folded = unicodedata.normalize("NFKC", text).translate(_DROPPED)
    if not folded.isascii():
        return None
    code = folded.upper().translate(_LOOKS_LIKE)
    well_formed = len(code) == CODE_LENGTH and all(symbol in ALPHABET for symbol in code)
    return code if well_formed else None


def verify(key: bytes, gate_id: str, operator: str, given: str) -> bool:
    """Say whether `given`, as typed, is the code of this operator for this gate; takes equal time."""
    code = normalise(given)
    expected = code_for(key, gate_id, operator)
    return hmac.compare_digest((code or "").encode(), expected.encode())


def thread_ref(key: bytes, gate_id: str) -> str:
    """Return a public reference to a gate for the `+` part of a mail address.

    It survives being lower-cased on its way. It carries no right: it only says which question a reply
    belongs to, and its tag makes a guessed reference worthless.
    """
    encoded = base64.b32encode(gate_id.encode()).decode().rstrip("=").lower()
    name = gate_id if _PLAIN_ID.fullmatch(gate_id) else f"x.{encoded}"
    return f"{name}-{_tag(key, gate_id)}"


def gate_of(key: bytes, ref: str) -> str | None:
    """Return the gate that a thread reference names, or None where it is forged or damaged."""
    if len(ref) > _REF_MAX:
        return None
    name, _, tag = ref.strip().lower().rpartition("-")
    gate_id = _decoded(name[2:]) if name.startswith("x.") else name
    if not gate_id or not tag.isascii():
        return None
    return gate_id if hmac.compare_digest(tag, _tag(key, gate_id)) else None


def _decoded(text: str) -> str | None:
    try:
        return base64.b32decode(text.upper() + "=" * (-len(text) % 8)).decode()
    except (binascii.Error, ValueError):  # not base32, or not UTF-8 beneath it
        return None


def _tag(key: bytes, gate_id: str) -> str:
    return _symbols(_mac(key, "thread", gate_id), _TAG_LENGTH).lower()


def _symbols(mac: bytes, length: int) -> str:
    number = int.from_bytes(mac, "big")
    return "".join(ALPHABET[(number >> (5 * place)) & 31] for place in range(length))


def _mac(key: bytes, *parts: str) -> bytes:
    """HMAC over the parts, each with its length in front, so that no two lists of parts are the same."""
    if len(key) < KEY_MIN:
        raise ValueError(f"the reply key has {len(key)} bytes; it needs at least {KEY_MIN}")
    message = b"".join(f"{len(part.encode())}:".encode() + part.encode() for part in parts)
    return hmac.digest(key, message, hashlib.sha256)
