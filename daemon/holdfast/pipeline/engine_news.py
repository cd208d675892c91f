"""The matching engine failed, came back, or was given up: its own incident, with the way out."""

from __future__ import annotations

from typing import Final

from holdfast.gate import notice
from holdfast.memory import incident as memory
from holdfast.memory.incident import How, Sighting
from holdfast.model.events import EngineMode, EngineNews
from holdfast.model.snapshot import EngineKind
from holdfast.model.values import Severity
from holdfast.pipeline import faults, messages
from holdfast.pipeline.work import Work
from holdfast.store import incidents

#: The name under which the incident is held open; no rule of a config can have it.
HOLDER: Final = "builtin:engine"
_KEY: Final = "[]"
_TYPE: Final = "engine-trouble"


def on_news(work: Work, news: EngineNews) -> None:
    """Open the incident, add to it, or clear it."""
    if work.snapshot.engine is EngineKind.NATIVE:
        return  # the last word of an engine that the config has done away with meanwhile
    if news.mode is EngineMode.DURABLE and news.trouble is None:
        faults.release(work, HOLDER, _KEY, news.why)
        return
    given_up = news.mode is EngineMode.NATIVE
    standing_in = "native matching took over" if given_up else "native matching stands in"
    sighting = Sighting(
        key=memory.key_of(_TYPE, ()),
        type=_TYPE,
        severity=Severity.ERROR if given_up else Severity.WARNING,
        title=f"The matching engine failed ({news.trouble or news.mode}); {standing_in}",
        service=None,
        subject="holdfast",
    )
    incident, how = memory.see(work.tx, sighting, work.new_id("i"), work.now)
    if how is not How.JOINED:
        work.note(incident.id, how.value, incident.title)
    count = incidents.fired(work.tx, incident.id, HOLDER, _KEY, work.now)
    if count <= faults.EVIDENCE_KEPT:
        work.note(incident.id, "engine", f"{news.mode}: {news.why}", {"trouble": str(news.trouble or "")})
    if how is not How.JOINED or given_up:
        messages.tell(work, incident, notice.engine(incident, news))


def adopt(work: Work) -> None:
    """A config that does not use the engine has no trouble with it."""
    if work.snapshot.engine is EngineKind.NATIVE:
        faults.release(work, HOLDER, _KEY, "the config asks for native matching")
