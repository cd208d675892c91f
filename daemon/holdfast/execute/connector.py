"""What a way into the world has to offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from holdfast.model.records import AttemptOrder, OutcomeKind
from holdfast.model.values import Millis


@dataclass(frozen=True, slots=True)
class Ending:
    """What a connector learned about an attempt.

    `output` is bounded but as the command said it: only `Hands` makes an Outcome of it, without the
    secrets and with times of our own clock. The two spans count back from now; None means unknown.
    """

    kind: OutcomeKind
    exit_code: int | None = None
    output: str = ""
    digest: str = ""
    started_ago: Millis | None = None
    ended_ago: Millis | None = None
    detail: str = ""


class Connector(Protocol):
    """Makes attempts on targets and can say later what became of them.

    `boot` texts are opaque: they name one boot of the target together with the memory (the state
    directory) that its receipts are kept in. Everything may be called from several threads.
    """

    def boot(self, target: str) -> str:
        """Reach the target and read its boot; raises ConnectorError when it cannot be reached."""
        ...

    def run(self, order: AttemptOrder, boot: str) -> Ending:
        """Make the attempt and wait for its end, never longer than its deadline and a grace.

        Raises ConnectorError only when provably nothing was started. A kind of UNKNOWN means that
        the connection did not live to see the end: ask `status`.
        """
        ...

    def status(self, order: AttemptOrder, boot: str) -> Ending | None:
        """What became of an attempt that was begun on that boot; None while it still runs.

        An attempt that was not begun by then never will be. Raises ConnectorError when the target
        cannot be asked now.
        """
        ...

    def close(self) -> None:
        """Let go of every connection; calls that wait come back. Commands on targets go on."""
        ...
