"""From the type of an event to the patterns about it, without a look at the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class TypeIndex(Generic[T]):
    """What is kept for each type that a pattern wants: `http.probe`, or `http.*` for all below `http`."""

    def __init__(self, wanted: Mapping[str, Iterable[T]]) -> None:
        self._exact: dict[str, tuple[T, ...]] = {}
        self._below: dict[str, tuple[T, ...]] = {}
        for name, items in wanted.items():
            if name.endswith(".*"):
                self._below[name[:-1]] = tuple(items)
            else:
                self._exact[name] = tuple(items)
        # A sender may write a type of a thousand dots; nobody looks further than the config does.
        self._depth = max((prefix.count(".") for prefix in self._below), default=0)

    def of(self, event_type: str) -> tuple[T, ...]:
        """Everything about that type; nothing for most types."""
        found = self._exact.get(event_type, ())
        return found + self._of_prefixes(event_type) if self._depth else found

    def _of_prefixes(self, event_type: str) -> tuple[T, ...]:
        found: tuple[T, ...] = ()
        prefix = ""
        for part in event_type.split(".", self._depth)[: self._depth]:
            prefix += part + "."
            if len(prefix) <= len(event_type):
                found += self._below.get(prefix, ())
        return found
