"""How things stand: what the daemon says of itself, and what the store shows without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.cli.views import IncidentLine, QuestionLine, incident_line, question_line
from holdfast.model.records import IncidentState, RunState
from holdfast.model.values import Json, Millis
from holdfast.store import facts, gates, holds, incidents, journal, outbox, runs
from holdfast.store.database import Tx
from holdfast.store.outbox import MessageState

#: What the pipeline keeps in the store for us, by name.
STOPPED, COMMIT = "stopped", "commit"
_AT_MOST = 20


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store shows. `behind` counts journal entries that are not decided on yet."""

    commit: str | None
    stopped: bool
    journal: int
    cursor: int
    behind: int
    last_received: Millis
    quarantined: int
    incidents: dict[str, int]
    open_incidents: tuple[IncidentLine, ...]
    questions: tuple[QuestionLine, ...]
    holds: int
    runs: dict[str, int]
    messages: dict[str, int]


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything that `status` shows. `daemon` is null, and `why` says why, when none answers;
    `stored` is null, and `store_problem` says why, when there is no store to look into."""

    up: bool
    why: str | None
    version: str
    daemon: dict[str, Json] | None
    stored: Stored | None
    store_problem: str | None


def stored(tx: Tx) -> Stored:
    """Read what the store shows of one moment."""
    head, cursor = journal.head(tx), journal.cursor(tx)
    active = [state for state in RunState if not state.over]
    running: dict[str, int] = {}
    for run in runs.in_states(tx, active):
        running[str(run.state)] = running.get(str(run.state), 0) + 1
    undelivered = {
        str(state): number for state, number in outbox.count(tx).items() if state is not MessageState.SENT
    }
    return Stored(
        commit=facts.get(tx, COMMIT),
        stopped=facts.get(tx, STOPPED) == "1",
        journal=head,
        cursor=cursor,
        behind=head - cursor,
        last_received=journal.last_received(tx),
        quarantined=journal.quarantined_count(tx),
        incidents={str(state): number for state, number in incidents.count(tx).items()},
        open_incidents=tuple(
            incident_line(item) for item in incidents.listed(tx, [IncidentState.OPEN], _AT_MOST)
        ),
        questions=tuple(question_line(gate) for gate in gates.pending(tx)[:_AT_MOST]),
        holds=len(holds.lasting(tx)),
        runs=running,
        messages=undelivered,
    )


def text_of(daemon: Mapping[str, Json] | None, name: str) -> str | None:
    """A text that the daemon said of itself, or None."""
    value = None if daemon is None else daemon.get(name)
    return value if isinstance(value, str) and value else None
