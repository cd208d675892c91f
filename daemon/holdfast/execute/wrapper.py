"""The words that start the host wrapper (`wrapper.sh`): one command line, one round trip."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Final

from holdfast.errors import ConnectorError
from holdfast.model.records import AttemptOrder
from holdfast.model.values import SECOND

#: Linux takes no single argument over 128 KiB, and the whole line is one argument of the login shell.
MAX_LINE: Final = 120 * 1024


@cache
def text() -> str:
    """The wrapper without its comments."""
    lines = resources.files("holdfast.execute").joinpath("wrapper.sh").read_text("utf-8").splitlines()
    return "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#"))


def new_nonce() -> str:
    """A word that nothing but the wrapper's answer to this very call can contain."""
    return secrets.token_hex(8)


def claim_name(attempt: str) -> str:
    """An attempt id as the one file name that stands for it: different ids, different names."""
    name = re.sub(
        r"[^A-Za-z0-9_/-]",
        lambda found: "+" + found.group().encode("utf-8", "surrogatepass").hex() + "+",
        attempt,
    )
    name = name.replace("/", ".")
    if not re.fullmatch(r"[A-Za-z0-9_+][A-Za-z0-9_+.-]{0,199}", name):
        raise ConnectorError(f"the attempt id {attempt[:80]!r} cannot name a receipt: nothing was started")
    return name


def deadline_s(order: AttemptOrder) -> int:
    """The deadline in the whole seconds that a shell can count, at least one."""
    return max(1, -(-order.deadline // SECOND))


def boot_words(state: str, nonce: str) -> list[str]:
    """The words for reading the boot id."""
    return ["boot", nonce, state]


def run_words(order: AttemptOrder, state: str, nonce: str) -> list[str]:
    """The words for making an attempt."""
    step = order.step
    skip = step.skip_if or ()
    idempotent = "1" if step.idempotent else "0"
    start = ["run", nonce, state, claim_name(order.id), str(deadline_s(order)), idempotent, str(len(skip))]
    return [*start, *skip, *step.argv]


def status_words(order: AttemptOrder, state: str, nonce: str) -> list[str]:
    """The words for asking what became of an attempt."""
    return ["status", nonce, state, claim_name(order.id)]


def local_argv(shell: str, words: Sequence[str]) -> list[str]:
    """The wrapper as an argument list. Raises ConnectorError when a word cannot be one."""
    argv = [shell, "-c", text(), "holdfast", *words]
    check(argv)
    return argv


def command_line(words: Sequence[str]) -> bytes:
    """The wrapper as one line for a login shell: each word quoted once, whatever is in it.

    The login shell has to be a POSIX one (sh, dash, bash, zsh, ksh, busybox), not csh or fish.
    Raises ConnectorError when a word cannot be an argument or the line is too long.
    """
    argv = ["sh", "-c", text(), "holdfast", *words]
    check(argv)
    return ("exec " + shlex.join(argv)).encode()


def check(argv: Sequence[str]) -> None:
    """Raise ConnectorError when a word cannot be an argument or all are too long together."""
    if any("\0" in word for word in argv):
        raise ConnectorError("a word of the command holds a NUL character: nothing was started")
    try:
        size = len(shlex.join(argv).encode())
    except UnicodeEncodeError as error:
        raise ConnectorError("a word of the command is not valid text: nothing was started") from error
    if size > MAX_LINE:
        raise ConnectorError(
            f"the command is {size} bytes long, {MAX_LINE} fit: nothing was started; shorten its parameters"
        )
