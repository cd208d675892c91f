"""One message to one target through Apprise, and an honest word about what became of it.

Apprise answers FAILURE both for "nobody was there" and for "the connection broke after the message
was out". The two need different handling, so the reason is read from its log entries; none of their
text leaves this module, because it holds URLs and tokens.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType
from apprise.logger import logger as apprise_log

from holdfast.model.records import DeliveryState
from holdfast.model.values import Severity
from holdfast.notify.wire import Order

TITLE_MAX: Final = 200
#: Marks our own mail, so that a mailbox that hears it again can tell.
OWN_HEADER: Final = "X-Holdfast"

_MAIL: Final = frozenset({"mailto", "mailtos"})
_HEADERS: Final = {
    "Auto-Submitted": "auto-generated",
    "X-Auto-Response-Suppress": "All",  # Exchange then sends no out-of-office to the reply address
    OWN_HEADER: "1",
}
_HEADER_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_KIND: Final = {
    Severity.INFO: NotifyType.INFO,
    Severity.WARNING: NotifyType.WARNING,
    Severity.ERROR: NotifyType.FAILURE,
    Severity.CRITICAL: NotifyType.FAILURE,
}

_HTTP_CODE: Final = re.compile(r"error=(\d{3})\b")
_SMTP_CODE: Final = re.compile(r"\(([45]\d\d), b['\"]")
#: Before anything was said: nothing can have arrived.
_NO_CONNECTION: Final = re.compile(
    r"connect timeout|ConnectTimeout|NewConnectionError|NameResolutionError|Failed to establish"
    r"|Connection refused|Name or service not known|No route to host|Network is unreachable"
    r"|CERTIFICATE_VERIFY_FAILED|SSLError|ProxyError",
    re.IGNORECASE,
)
#: After something was said: nobody can tell.
_BROKEN: Final = re.compile(
    r"timed out|Connection aborted|RemoteDisconnected|Connection reset|unexpectedly closed"
    r"|Broken pipe|IncompleteRead|Server not connected|EOF occurred",
    re.IGNORECASE,
)
#: Codes by which a service refuses the message itself, so that a plainer one may pass.
_FORM_REFUSED: Final = frozenset({400, 406, 413, 415, 422})
_LOGIN_REFUSED: Final = frozenset({401, 403, 530, 534, 535})

_ASSET: Final = AppriseAsset(
    app_id="Holdfast",
    app_desc="Holdfast",
    app_url="",
    async_mode=False,  # with service_timeout=0: sent in the calling thread, not in Apprise's
    service_timeout=0,  # small shared pool, where six hung targets would block all others
    image_url_mask="",  # no icon that the phone fetches from a third party
    image_url_logo="",
    allow_templates=False,
    storage_mode="memory",
)


@dataclass(frozen=True, slots=True)
class Result:
    """What is known about one try; `code` is the HTTP or SMTP status that refused it."""

    state: DeliveryState
    detail: str = ""
    code: int | None = None


def preload() -> None:
    """Let Apprise load its plugins, so that the first message does not wait for it, and keep its log,
    which holds URLs, inside: `judge` reads it and nothing else does."""
    apprise_log.setLevel(logging.DEBUG)
    apprise_log.addHandler(logging.NullHandler())
    apprise_log.propagate = False
    Apprise(asset=_ASSET).add("json://localhost")


def deliver(order: Order) -> Result:
    """Send one order and say what became of it; blocks for as long as the service does.

    A formatted message that the service refuses is tried once more as plain text.
    """
    url = addressed(order)
    apprise = _loaded(url)
    if apprise is None:
        return Result(
            DeliveryState.FAILED,
            "Apprise does not take the channel's URL: it must name exactly one service; check the secret",
        )
    wanted = order.reply_to if _scheme(order.url) in _MAIL else None
    if wanted is not None and wanted not in getattr(apprise[0], "reply_to", ()):
        return Result(
            DeliveryState.FAILED, "the reply address is no valid mail address: check `replies.address`"
        )
    result = _send(apprise, order)
    if result.code not in _FORM_REFUSED or not _formatted(apprise[0]):
        return result
    plain = _loaded(_with_query(url, [("format", "text")]))
    again = result if plain is None else _send(plain, order)
    if again.state is not DeliveryState.SENT:
        return again
    return Result(
        DeliveryState.SENT, f"sent as plain text: formatted, it was refused with code {result.code}"
    )


def addressed(order: Order) -> str:
    """Return the URL with the Reply-To and the headers that mark automatic mail; others unchanged.

    Apprise takes the last of equal keys, so ours win over those of the operator's URL.
    """
    if _scheme(order.url) not in _MAIL:
        return order.url
    pairs = [] if order.reply_to is None else [("reply", order.reply_to)]
    for name, value in {**order.headers, **_HEADERS}.items():
        if _HEADER_NAME.fullmatch(name):
            pairs.append((f"+{name}", one_line(value)))
    return _with_query(order.url, pairs)


def one_line(text: str, limit: int = TITLE_MAX) -> str:
    """Return text as one bounded line: no line ends, no control characters, no invisible ones."""
    shown = "".join(" " if _unseen(sign) else sign for sign in text)
    line = " ".join(shown.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}\u2026"


def plain(text: str) -> str:
    """Return text with its line ends and tabs, and without other control characters."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        sign for sign in unified if sign in "\n\t" or unicodedata.category(sign) not in ("Cc", "Cs")
    )


def judge(logs: list[tuple[str, str]]) -> Result:
    """Say what a failed send means, from Apprise's (level, message) log entries.

    Entries that quote the message itself are not looked at: an incident may well say "timed out".
    """
    errors = " ".join(
        text for level, text in logs if text.startswith(("Socket Exception", "Notification Exc"))
    )
    warnings = " ".join(text for level, text in logs if level != "DEBUG" and not text.startswith("Response"))
    code = _SMTP_CODE.search(errors) or _HTTP_CODE.search(warnings)
    if code is not None:
        return _refused(int(code[1]))
    if "Connection error while submitting email" in warnings or _NO_CONNECTION.search(errors):
        return Result(DeliveryState.FAILED, "no connection to the service: nothing was sent")
    if _BROKEN.search(errors):
        return Result(
            DeliveryState.UNCONFIRMED, "the connection broke before the service answered: it may have arrived"
        )
    return Result(DeliveryState.FAILED, "the service did not take the message and gave no code")


def _refused(code: int) -> Result:
    hint = ": check user, password or token in the channel's URL" if code in _LOGIN_REFUSED else ""
    return Result(DeliveryState.FAILED, f"the service refused the message with code {code}{hint}", code)


def _send(apprise: Apprise, order: Order) -> Result:
    answer = apprise.notify(
        title=one_line(order.title),
        body=plain(order.body),
        body_format=NotifyFormat.TEXT,
        notify_type=_KIND[order.severity],
        interpret_escapes=False,
        log_level=logging.DEBUG,
    )
    if answer:
        return Result(DeliveryState.SENT)
    return judge([(entry.level, entry.message) for entry in answer.logs()])


def _loaded(url: str) -> Apprise | None:
    apprise = Apprise(asset=_ASSET)
    if not apprise.add(url) or len(apprise) != 1:
        return None
    apprise[0].retry = 0  # a repeat is the pipeline's decision: `?retry=` could deliver twice
    return apprise


def _formatted(service: Any) -> bool:
    return bool(service.resolve_format(NotifyFormat.TEXT) != NotifyFormat.TEXT)


def _scheme(url: str) -> str:
    return url.strip().partition("://")[0].lower()


def _with_query(url: str, pairs: list[tuple[str, str]]) -> str:
    query = "&".join(f"{key}={quote(value, safe='')}" for key, value in pairs)
    url = url.strip()
    return f"{url}{'&' if '?' in url else '?'}{query}" if query else url


def _unseen(sign: str) -> bool:
    return unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp")
