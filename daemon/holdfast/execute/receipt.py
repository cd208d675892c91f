"""Reading the wrapper's answers: pure functions from bytes to an Ending."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from holdfast.errors import ConnectorError
from holdfast.execute.connector import Ending
from holdfast.model.records import OutcomeKind
from holdfast.model.values import Millis

#: What the host keeps of an output: its start and its end.
HEAD_BYTES: Final = 48 * 1024
TAIL_BYTES: Final = 16 * 1024
#: An answer is never longer than this; more is not the wrapper talking.
MAX_ANSWER: Final = HEAD_BYTES + TAIL_BYTES + 64 * 1024
_GAP: Final = "\n[... output left out here ...]\n"
#: Left out on both sides of a gap: half a secret may stand there, and half of one is not recognised.
_EDGE: Final = 4096
_EXIT: Final = re.compile(r"[0-9]{1,9}")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


class State(StrEnum):
    """What the wrapper says about an attempt, or about itself."""

    HERE = "here"
    ENDED = "ended"
    RUNNING = "running"
    CLAIMING = "claiming"
    NONE = "none"
    LOST = "lost"
    NO_STATE = "no-state"
    NO_SETSID = "no-setsid"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class Report:
    """One answer of the wrapper: its state, its name=value lines, and the raw output."""

    state: State
    fields: Mapping[str, str]
    body: bytes

    @property
    def boot(self) -> str:
        """The boot and the memory that answered."""
        return f"{self.fields.get('here', '')}/{self.fields.get('id', '')}"


def is_whole(data: bytes | bytearray, nonce: str) -> bool:
    """Whether the answer has arrived to its last line."""
    return data.endswith(_last_line(nonce))


def parse(data: bytes, nonce: str) -> Report | None:
    """The answer in what a shell printed, whatever it said before; None when there is no whole one."""
    first = f"holdfast {nonce}\n".encode()
    start = data.find(first)
    end = data.rfind(_last_line(nonce))
    if start < 0 or end < start:
        return None
    header, blank, body = data[start + len(first) : end].partition(b"\n\n")
    fields = dict(
        line.split("=", 1) for line in header.decode("ascii", "replace").splitlines() if "=" in line
    )
    state = fields.get("state", "")
    if not blank or state not in State.__members__.values():
        return None
    return Report(State(state), fields, body)


def started_nothing(report: Report) -> str | None:
    """Why the answer to `run` proves that nothing was started; None when it does not."""
    if report.state is State.NO_STATE:
        return "its state directory cannot be written (a full or read-only disk?), so nothing was started"
    if report.state is State.NO_SETSID:
        return "it has no setsid command (package util-linux), so nothing was started"
    return None


def ending(report: Report, boot: str) -> Ending | None:
    """What an answer proves about an attempt that was begun on that boot; None while it still runs."""
    if report.state is State.ENDED:
        return _ended(report)
    if report.state in {State.RUNNING, State.CLAIMING}:
        return None
    if report.state is State.NONE and report.boot == boot:
        return Ending(OutcomeKind.NOT_STARTED, detail="it never reached the host")
    return Ending(OutcomeKind.UNKNOWN, detail=_why_unknown(report, boot))


def boot_of(report: Report | None) -> str:
    """The boot that a `boot` call read. Raises ConnectorError when the answer cannot be read."""
    if report is None or report.state is not State.HERE:
        raise ConnectorError(
            "its login shell does not run the wrapper: give the user a POSIX one (sh, bash, zsh)"
        )
    return report.boot


def readable(body: bytes) -> str:
    """An output as text, not yet redacted: control characters made visible, a gap in it said."""
    if len(body) < HEAD_BYTES + TAIL_BYTES:
        return _clean(body)
    return _clean(body[: HEAD_BYTES - _EDGE]) + _GAP + _clean(body[HEAD_BYTES + _EDGE :])


def _last_line(nonce: str) -> bytes:
    return f"\nholdfast {nonce} end\n".encode()


def _ended(report: Report) -> Ending:
    fields = report.fields
    kind, detail = OutcomeKind.ENDED, ""
    if fields.get("left") == "1":
        kind = OutcomeKind.UNKNOWN
        detail = "it passed its deadline, and some of its processes, of another user, could not be killed"
    elif fields.get("killed") == "1":
        kind, detail = OutcomeKind.KILLED, "it passed its deadline and was killed with its process group"
    elif fields.get("skipped") == "1":
        kind, detail = OutcomeKind.SKIPPED, "skip_if said that there is nothing to do"
    elif fields.get("held") == "1":
        detail = "its output was still open two seconds after it ended (did it leave a process behind?)"
    digest = fields.get("sha256", "")
    if digest and hashlib.sha256(report.body).hexdigest() != digest:
        detail = "; ".join(filter(None, (detail, "its output did not arrive as the host kept it")))
    exit_code = fields.get("exit", "")
    return Ending(
        kind,
        exit_code=int(exit_code) if _EXIT.fullmatch(exit_code) else None,
        output=readable(report.body),
        digest=digest,
        started_ago=_ago(fields, "begun"),
        ended_ago=_ago(fields, "ended"),
        detail=detail,
    )


def _why_unknown(report: Report, boot: str) -> str:
    was, _, memory = boot.partition("/")
    if report.fields.get("here") != was:
        return "the host was rebooted meanwhile, and there is no receipt"
    if report.state is State.NO_STATE or report.fields.get("id", memory) != memory:
        return "the host lost its state directory, so it cannot say"
    return "it was begun, it is gone, and there is no receipt (was its supervisor killed?)"


def _ago(fields: Mapping[str, str], name: str) -> Millis | None:
    """How long ago by the host's uptime; None when the host was rebooted since."""
    try:
        span = round((float(fields["now"]) - float(fields[name])) * 1000)
    except (KeyError, ValueError, OverflowError):  # a host may say nan or inf
        return None
    return span if fields.get("boot") == fields.get("here") else None


def _clean(body: bytes) -> str:
    text = body.decode("utf-8", "replace").replace("\r\n", "\n")
    return _CONTROLS.sub(lambda found: found.group().encode("unicode_escape").decode(), text)
