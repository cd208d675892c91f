"""One way to prove a parser: any number of cases, and only the refusals that it declares.

`make test` runs a short form of every proof, the same cases each time; HOLDFAST_PROOF=1 (`make proof`)
runs the long form, other cases each time, and a failure prints the seed to repeat it with.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import AnyStr, TypeVar

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

T = TypeVar("T")

_WORDS = r'"[^"]*"|[\w.+-]+|\s+|.'

LONG = os.environ.get("HOLDFAST_PROOF") == "1"
#: Of a thousand cases of the long form the short one runs so many.
SHORT_OF_THOUSAND = 5
#: Hypothesis remembers what it tried, to try something else: in batches, that stays small.
BATCH = 2000
#: Where the long form starts; `HOLDFAST_PROOF_SEED` repeats a run.
SEED = int(os.environ.get("HOLDFAST_PROOF_SEED") or (secrets.randbits(32) if LONG else 0))


@dataclass
class Tally:
    """What became of the cases of one parser."""

    parser: str
    cases: int = 0
    refused: int = 0
    #: Counts by the name of the refusal, for whoever wonders whether the cases say anything.
    why: dict[str, int] = field(default_factory=dict)

    def line(self) -> tuple[str, int, int, int]:
        return self.parser, self.cases, self.refused, self.cases - self.refused


def prove(
    tally: Tally,
    cases: st.SearchStrategy[T],
    parse: Callable[[T], object],
    *,
    refusals: tuple[type[Exception], ...] = (),
    thousands: int,
) -> None:
    """Parse that many cases. `parse` checks what comes out; None and False are refusals too.

    Any exception but the declared refusals fails, and Hypothesis shows the smallest case that raises it.
    """

    def case(value: T) -> None:
        tally.cases += 1
        try:
            accepted = parse(value) not in (None, False)
        except refusals as error:
            accepted = False
            name = type(error).__name__
            tally.why[name] = tally.why.get(name, 0) + 1
        tally.refused += not accepted

    left = thousands * (1000 if LONG else SHORT_OF_THOUSAND)
    for number in range(-(-left // BATCH)):
        quiet = settings(
            max_examples=min(left - number * BATCH, BATCH),
            database=None,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        )
        try:
            seed(SEED + number)(quiet(given(cases)(case)))()
        except BaseException as error:
            error.add_note(f"to repeat it: HOLDFAST_PROOF={int(LONG)} HOLDFAST_PROOF_SEED={SEED}")
            raise


def slips(
    good: Sequence[AnyStr], pieces: Sequence[AnyStr], *, most: int = 3, whole: bool = False
) -> st.SearchStrategy[AnyStr]:
    """Something good (a text, or bytes), a few words of it replaced, grown, cut or left out.

    `whole` only replaces them, and keeps the signs between them.
    """
    nothing = good[0][:0]
    words = re.compile(_WORDS if isinstance(nothing, str) else _WORDS.encode(), re.DOTALL)
    edit = st.tuples(st.integers(0, 9999), st.integers(0, 0 if whole else 4), st.sampled_from(pieces))

    def edited(start: tuple[list[AnyStr], list[int]], edits: list[tuple[int, int, AnyStr]]) -> AnyStr:
        found, places = [*start[0]], start[1]
        for where, how, piece in edits:
            at = places[where * (len(places) - 1) // 9999]
            old = found[at]
            found[at] = (piece, piece, old + piece, old[:1], nothing)[how]
        return nothing.join(found)

    split = [words.findall(one) or [nothing] for one in good]
    starts = [
        (parts, [at for at, part in enumerate(parts) if not whole or len(part) > 1 or part.isalnum()])
        for parts in split
    ]
    return st.builds(edited, st.sampled_from(starts), st.lists(edit, max_size=most))
