"""The first line that a person wrote, out of any mail: bounded, and never from quoted or attached text."""

from __future__ import annotations

import re
from email.message import Message as Mail
from html import unescape
from typing import Final

#: Bytes of one part that are looked at: an answer stands at the top.
PART_MAX: Final = 16 * 1024
#: A longer line is no answer. It counts as empty: cut short, it could become one.
LINE_MAX: Final = 500
PARTS_MAX: Final = 50

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_TAG: Final = re.compile(r"\s*(/?)\s*([a-zA-Z][a-zA-Z0-9]*)")
#: Elements whose text nobody typed as an answer.
_SILENT: Final = frozenset({"head", "style", "script", "title", "blockquote", "template", "noscript"})
_BREAKS: Final = frozenset(
    {"br", "p", "div", "li", "ul", "ol", "tr", "td", "table", "hr", "h1", "h2", "h3", "pre"}
)
_BLANKS: Final = re.compile(r"\s+")


def answer_line(mail: Mail) -> str:
    """Return the first non-empty line that is not quoted (`>`), or "" where there is none.

    It is looked for in the first text that has something in it, plain or HTML, and nowhere else.
    Attached files and attached mails are not entered.
    """
    stack, seen = [mail], 0
    while stack and seen < PARTS_MAX:
        part = stack.pop()
        seen += 1
        payload = part.get_payload()
        if isinstance(payload, list):
            if part.get_content_maintype() == "multipart":
                stack.extend(reversed([item for item in payload if isinstance(item, Mail)]))
            continue
        text = _readable(part)
        if text.strip():
            return first_line(text)
    return ""


def first_line(text: str) -> str:
    """Return the first line with something on it that does not begin with `>`; "" for a very long one."""
    for line in _LINE_END.split(text):
        shown = line.strip().removeprefix("\ufeff").strip()
        if shown and not shown.startswith(">"):
            return shown if len(shown) <= LINE_MAX else ""
    return ""


def stripped(html: str) -> str:
    """Return the text of HTML without its tags and without what is quoted; takes linear time."""
    out: list[str] = []
    silent: list[str] = []
    at = 0
    while (opening := html.find("<", at)) >= 0:
        if not silent:
            out.append(_shown(html[at:opening]))
        comment = html.startswith("<!--", opening)
        closing = html.find("-->" if comment else ">", opening)
        if closing < 0:
            return "".join(out)
        at = closing + (3 if comment else 1)
        if comment:
            continue
        tag = _TAG.match(html, opening + 1, closing)
        if tag is not None:
            _enter(tag[2].lower(), bool(tag[1]), silent, out)
    if not silent:
        out.append(_shown(html[at:]))
    return "".join(out)


def _enter(name: str, ends: bool, silent: list[str], out: list[str]) -> None:
    if name in _BREAKS or name in _SILENT:
        out.append("\n")
    if name not in _SILENT:
        return
    if not ends:
        silent.append(name)
    elif name in silent:
        while silent.pop() != name:  # what was left open inside ends with it
            pass


def _shown(chunk: str) -> str:
    """A line end in the source of HTML is a blank on the screen; only tags break lines."""
    return _BLANKS.sub(" ", unescape(chunk))


def _readable(part: Mail) -> str:
    if part.get_content_disposition() == "attachment" or part.get_filename():
        return ""
    kind = part.get_content_type()
    if kind == "text/plain":
        return _text(part)
    return stripped(_text(part)) if kind == "text/html" else ""


def _text(part: Mail) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    payload = payload[:PART_MAX]
    try:
        return payload.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):  # a charset that nobody knows, or a hostile one
        return payload.decode("utf-8", "replace")
