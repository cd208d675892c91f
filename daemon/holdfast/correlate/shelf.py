"""The states of one pattern by key: bounded, and aware of what has to be saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from typing import Final, Generic, TypeVar

import msgspec

from holdfast.correlate.states import State
from holdfast.model.values import MINUTE, Millis

S = TypeVar("S", bound=State)

#: A state that is used without changing is written again after this long, so that it stays young.
_REFRESH: Final = MINUTE
_SLACK: Final = 1_000


class Shelf(Generic[S]):
    """States by key. Beyond `max_keys` the one that moved longest ago goes, and is counted.

    Which one goes depends on nothing but the states, so that a restored shelf does the same.
    """

    def __init__(self, kind: Callable[[], S], max_keys: int) -> None:
        self.evicted = 0
        self._kind = kind
        self._max_keys = max_keys
        self._states: dict[str, S] = {}
        self._unsaved: dict[str, None] = {}
        self._by_age: list[tuple[Millis, str]] = []

    def __len__(self) -> int:
        return len(self._states)

    def get(self, key: str) -> S | None:
        """The state of a key, or None; not to be changed."""
        return self._states.get(key)

    def take(self, key: str) -> S:
        """The state of a key, an empty one if there is none, to be changed and put back."""
        return self._states.get(key) or self._kind()

    def put(self, key: str, state: S, now: Millis, *, changed: bool = True) -> None:
        """Keep a state; an empty one is dropped."""
        if not state:
            self.drop(key)
        elif changed or now - state.touched >= _REFRESH:
            state.touched = now
            self._states[key] = state
            self._unsaved[key] = None
            self._age(key, now)

    def drop(self, key: str) -> None:
        """Forget a key."""
        if self._states.pop(key, None) is not None:
            self._unsaved[key] = None

    def restore(self, key: str, saved: bytes) -> None:
        """Take a saved state back; one that cannot be read counts as evicted."""
        try:
            state = msgspec.msgpack.decode(saved, type=type(self._kind()))
        except msgspec.MsgspecError:
            self.evicted += 1
            self._unsaved[key] = None
            return
        self._states[key] = state
        self._age(key, state.touched)

    def unsaved(self) -> Iterator[tuple[str, bytes | None]]:
        """What changed since the last call, None for what is gone."""
        for key in self._unsaved:
            state = self._states.get(key)
            yield key, None if state is None else msgspec.msgpack.encode(state)
        self._unsaved.clear()

    def _age(self, key: str, touched: Millis) -> None:
        heappush(self._by_age, (touched, key))
        while len(self._states) > self._max_keys:
            touched, key = heappop(self._by_age)
            if self._is_current(touched, key):
                self.drop(key)
                self.evicted += 1
        if len(self._by_age) > 2 * len(self._states) + _SLACK:
            self._by_age = [(state.touched, key) for key, state in self._states.items()]
            heapify(self._by_age)

    def _is_current(self, touched: Millis, key: str) -> bool:
        state = self._states.get(key)
        return state is not None and state.touched == touched
