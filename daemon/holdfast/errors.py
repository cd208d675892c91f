"""Everything that Holdfast raises on purpose.

    HoldfastError
    ├── ConfigError        the config repository is wrong; holds every problem that was found
    ├── InputError         what somebody sent cannot be read (HTTP 4xx, exit 2)
    ├── Unauthorized       who sent it did not prove who they are
    ├── Overloaded         a bound was reached; try again later
    ├── StoreError         the database cannot be opened, is locked by another daemon, or is too new
    ├── EngineError        the matching engine died, was late or answered nonsense
    ├── PlanError          a proposal cannot be turned into commands (a missing or hostile parameter)
    ├── ConnectorError     a target could not be reached *before* anything started there
    ├── DeliveryError      a message could not be handed over; `retryable` says whether to try again
    └── DaemonUnreachable  the command line found no daemon to talk to

The door (`cli`, `web`) alone turns them into exit codes and HTTP statuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class HoldfastError(Exception):
    """Something went wrong that Holdfast foresaw."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in one config file; lines and columns count from 1."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class ConfigError(HoldfastError):
    """The config repository is not valid."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class InputError(HoldfastError):
    """The input cannot be read."""


class Unauthorized(HoldfastError):
    """The sender did not prove who they are."""


class Overloaded(HoldfastError):
    """Too much is waiting; try again later."""


class StoreError(HoldfastError):
    """The database cannot be used."""


class EngineError(HoldfastError):
    """The matching engine failed."""


class PlanError(HoldfastError):
    """The proposal cannot be turned into commands."""


class ConnectorError(HoldfastError):
    """The target could not be reached, and nothing was started there."""


class DeliveryError(HoldfastError):
    """A message could not be handed over."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        self.retryable = retryable
        super().__init__(message)


class DaemonUnreachable(HoldfastError):
    """No daemon answers."""
