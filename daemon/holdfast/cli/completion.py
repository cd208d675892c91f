"""What the shell offers for an id while it is being typed. Never a word of complaint."""

from __future__ import annotations

from pathlib import Path

import typer

from holdfast.cli.door import Place, default_state, reading
from holdfast.errors import HoldfastError


def an_incident(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Incidents that begin like this, with their titles."""
    from holdfast.cli.words import line, short
    from holdfast.store import incidents

    try:
        with reading(_place(ctx)) as tx:
            found = incidents.beginning_with(tx, incomplete)
    except HoldfastError:
        return []
    return [(short(item.id), line(item.title, 60)) for item in found]


def a_question(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Questions that wait and begin like this, with what they ask."""
    from holdfast.cli.words import line, short
    from holdfast.store import gates

    try:
        with reading(_place(ctx)) as tx:
            found = [gate for gate in gates.pending(tx) if gate.id.startswith(incomplete)]
    except HoldfastError:
        return []
    return [(short(gate.id), line(gate.question, 60)) for gate in found]


def _place(ctx: typer.Context) -> Place:
    """While completing, no command runs: the options are read from the words that are there."""
    for known in (ctx, ctx.find_root()):
        named = known.params.get("state")
        if isinstance(named, str | Path):
            return Place(state=Path(named))
    return Place(state=default_state())
