"""A mail becomes a reply, or is dropped with a reason. Pure; any bytes are read without an exception."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email import policy
from email.message import Message as Mail
from email.parser import BytesParser
from typing import Final

from holdfast.model.records import AuthLevel, InboundReply
from holdfast.model.snapshot import MailReplies, Operator
from holdfast.notify.address import is_ours, ref_in
from holdfast.notify.mime import answer_line
from holdfast.notify.proof import proven

#: How many bytes of a mail are looked at. A reply is at the top; what is beyond is never fetched.
RAW_MAX: Final = 128 * 1024
_MULTIPARTS_MAX: Final = 20
_ID_MAX: Final = 300
_FROM_MAX: Final = 1000

_PARSER: Final = BytesParser(policy=policy.compat32)
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_ADDRESS: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
_BARE: Final = re.compile(rf"\s*({_ADDRESS})\s*")
_NAMED: Final = re.compile(rf"[^<>@,;:()\"\\]*<\s*({_ADDRESS})\s*>\s*")
_FOUND: Final = re.compile(_ADDRESS)
#: Where the address stands that this mail was delivered to, the most trustworthy first.
_DELIVERED: Final = ("delivered-to", "x-original-to", "to", "cc")
_BULK: Final = frozenset({"bulk", "junk", "list", "auto_reply"})
_MACHINE: Final = ("x-auto-response-suppress", "x-autoreply", "x-autorespond", "x-autoreply-from")


@dataclass(frozen=True, slots=True)
class Dropped:
    """A mail that is no reply; the reason comes from a closed vocabulary."""

    reason: str


Headers = dict[str, list[str]]


def read(
    raw: bytes, *, channel: str, replies: MailReplies, operators: Mapping[str, Operator]
) -> InboundReply | Dropped:
    """Read a mail, or its first RAW_MAX bytes.

    PROVEN and KNOWN both mean that the address is on exactly one operator's list; PROVEN also that the
    receiving server vouches for it. A stranger is NONE, however well proven.
    """
    raw = raw[:RAW_MAX]
    if raw.lower().count(b"boundary") > _MULTIPARTS_MAX:
        return Dropped("it has too many parts")
    try:
        mail = _PARSER.parsebytes(raw)
        return _read(mail, raw, channel, replies, operators)
    except Exception:  # noqa: BLE001  the parser of the standard library raises anything on hostile bytes
        return Dropped("it cannot be parsed")


def entry_id(raw: bytes) -> str:
    """Return the id under which this mail is journalled once, however often it is fetched."""
    return hashlib.sha256(raw[:RAW_MAX]).hexdigest()


def sender_of(values: list[str]) -> str | None:
    """Return the one address of the one From header in lower case, or None where it is not plain.

    Whatever a mail client might read differently (two addresses, an address in the shown name, comments,
    groups) is refused, so that nobody can show one sender and prove another.
    """
    if len(values) != 1 or len(values[0]) > _FROM_MAX:
        return None
    value = re.sub(r"\r?\n(?=[ \t])", "", values[0])
    found = _BARE.fullmatch(value) or _NAMED.fullmatch(_QUOTED.sub("", value))
    return None if found is None else found[1].lower()


def thread_ref(headers: Headers, base: str) -> str:
    """Return the plus-part of the reply address that this mail went to; "" where none or several fit."""
    for name in _DELIVERED:
        values = headers.get(name, [])
        if name == "delivered-to":
            values = values[:1]  # ours is the topmost; what is below came with the mail
        found = {ref_in(one, base) for value in values for one in _FOUND.findall(value)} - {None}
        if found:
            return found.pop() or "" if len(found) == 1 else ""
    return ""


def _read(
    mail: Mail, raw: bytes, channel: str, replies: MailReplies, operators: Mapping[str, Operator]
) -> InboundReply | Dropped:
    headers: Headers = {}
    for name, value in mail.raw_items():
        headers.setdefault(name.lower(), []).append(str(value))
    reason = _automatic(headers, mail)
    if reason is not None:
        return Dropped(reason)
    sender = sender_of(headers.get("from", []))
    if sender is None:
        return Dropped("it does not have exactly one plain sender")
    if is_ours(sender, replies.address):
        return Dropped("it comes from the reply address itself")
    operator = _owner(sender, operators)
    return InboundReply(
        channel=channel,
        sender=sender,
        message_id=_message_id(headers, raw),
        text=answer_line(mail),
        thread_ref=thread_ref(headers, replies.address),
        auth=_level(headers, replies, sender, operator),
        operator=operator,
    )


def _level(headers: Headers, replies: MailReplies, sender: str, operator: str | None) -> AuthLevel:
    if operator is None:
        return AuthLevel.NONE
    results = headers.get("authentication-results", [])
    domain = sender.rpartition("@")[2]
    return AuthLevel.PROVEN if proven(results, replies.authserv_id, domain) else AuthLevel.KNOWN


def _owner(sender: str, operators: Mapping[str, Operator]) -> str | None:
    """Whose list has the address; nobody's when it is on two."""
    owners = {one.name for one in operators.values() if sender in {item.lower() for item in one.addresses}}
    return owners.pop() if len(owners) == 1 else None


def _automatic(headers: Headers, mail: Mail) -> str | None:
    """Why no person wrote this mail as an answer, or None (RFC 3834 and the customs around it)."""
    if "x-holdfast" in headers:
        return "it is our own"
    if any(_word(value) != "no" for value in headers.get("auto-submitted", [])):
        return "it is automatic (Auto-Submitted)"
    if any(_word(value) in _BULK for value in headers.get("precedence", [])):
        return "it is bulk mail (Precedence)"
    if any(name in headers for name in _MACHINE):
        return "it is an automatic answer (X-Autoreply and the like)"
    if any(value.strip() == "<>" for value in headers.get("return-path", [])):
        return "it is a bounce (empty Return-Path)"
    if mail.get_content_type() in {"multipart/report", "message/delivery-status"}:
        return "it is a report"
    return "it comes from a mailing list (List-Id)" if "list-id" in headers else None


def _word(value: str) -> str:
    return value.partition(";")[0].partition("(")[0].strip().lower()


def _message_id(headers: Headers, raw: bytes) -> str:
    values = [value.strip() for value in headers.get("message-id", [])]
    stated = "".join(sign for sign in values[0] if sign.isprintable() and sign.isascii()) if values else ""
    return stated[:_ID_MAX] or f"sha256:{entry_id(raw)}"
