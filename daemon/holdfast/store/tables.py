"""Every table. A change here comes with a migration; a test compares the two."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata: Final = MetaData()

journal: Final = Table(
    "journal",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("received", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("commit", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("source", "id", name="journal_once"),
)

quarantine: Final = Table(
    "quarantine",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("at", Integer, nullable=False),
)

meta: Final = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

correlation: Final = Table(
    "correlation",
    metadata,
    Column("pattern", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("state", LargeBinary, nullable=False),
)

incidents: Final = Table(
    "incidents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("key", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("service", Text),
    Column("subject", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("opened", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    Column("cleared", Integer),
    Column("reopened", Integer, nullable=False),
)
# one fault, one incident: the database itself refuses a second that is not closed
Index(
    "incidents_live",
    incidents.c.key,
    unique=True,
    sqlite_where=text("state != 'closed'"),
    postgresql_where=text("state != 'closed'"),
)
Index("incidents_opened", incidents.c.opened)

timeline: Final = Table(
    "timeline",
    metadata,
    Column("item", Integer, primary_key=True),
    Column("incident", Text, nullable=False),
    Column("at", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("commit", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
Index("timeline_incident", timeline.c.incident, timeline.c.item)

# which rules hold an incident open: it clears when each of them is clear for its key
firings: Final = Table(
    "firings",
    metadata,
    Column("incident", Text, primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("clear", Boolean, nullable=False),
    Column("last", Integer, nullable=False),
    Column("count", Integer, nullable=False),
)
Index("firings_rule", firings.c.rule, firings.c.key, firings.c.clear)

# how far a rule has come with an incident: contain first, then one item of `then` after another
responses: Final = Table(
    "responses",
    metadata,
    Column("incident", Text, primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("firing_event", LargeBinary, nullable=False),
)

holds: Final = Table(
    "holds",
    metadata,
    Column("run", Text, primary_key=True),
    Column("incident", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("since", Integer, nullable=False),
    Column("released", Integer),
    Column("why", Text, nullable=False),
)
Index("holds_incident", holds.c.incident)

runs: Final = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("incident", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("plan_hash", Text, nullable=False),
    Column("plan", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("step", Integer, nullable=False),
    Column("created", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    Column("evidence_seq", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("approved_by", Text),
)
Index("runs_incident", runs.c.incident, runs.c.created, runs.c.id)
Index("runs_plan", runs.c.incident, runs.c.plan_hash, runs.c.created, runs.c.id)
Index("runs_state", runs.c.state, runs.c.incident)

attempts: Final = Table(
    "attempts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("run", Text, nullable=False),
    Column("step", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("order", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("boot", Text, nullable=False),
    Column("created", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    Column("outcome", LargeBinary),
    # what limits count by
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("service", Text),
    Column("group", Text),
    Column("incident_type", Text, nullable=False),
    Column("rule", Text, nullable=False),
)
Index("attempts_run", attempts.c.run, attempts.c.state)
Index("attempts_state", attempts.c.state)
Index("attempts_limit", attempts.c.action, attempts.c.target, attempts.c.created)
Index("attempts_created", attempts.c.created)

gates: Final = Table(
    "gates",
    metadata,
    Column("id", Text, primary_key=True),
    Column("incident", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("run", Text),
    Column("question", Text, nullable=False),
    Column("choices", LargeBinary, nullable=False),
    Column("silence", Text, nullable=False),
    Column("basis", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created", Integer, nullable=False),
    Column("expires", Integer, nullable=False),
    Column("answer", Text),
    Column("answered_by", Text),
    Column("tries", Integer, nullable=False),
)
Index("gates_incident", gates.c.incident, gates.c.created, gates.c.id)
Index("gates_state", gates.c.state, gates.c.incident, gates.c.created, gates.c.id)

messages: Final = Table(
    "messages",
    metadata,
    Column("id", Text, primary_key=True),
    Column("incident", Text),
    Column("gate", Text),
    Column("operator", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("due", Integer, nullable=False),
    Column("created", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    Column("detail", Text, nullable=False),
)
Index("messages_due", messages.c.state, messages.c.due, messages.c.id)

timers: Final = Table(
    "timers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("due", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
)
Index("timers_due", timers.c.due, timers.c.id)

mailboxes: Final = Table(
    "mailboxes",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("uidvalidity", Integer, nullable=False),
    Column("uid", Integer, nullable=False),
)

# every reply that arrived and what it was taken for; also what the command line waits for
answers: Final = Table(
    "answers",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("at", Integer, nullable=False),
    Column("gate", Text),
    Column("incident", Text),
    Column("channel", Text, nullable=False),
    Column("operator", Text),
    Column("kind", Text, nullable=False),
    Column("choice", Text),
    Column("receipt", Text, nullable=False),
)

# what learning needs later is recorded from the first day on
outcomes: Final = Table(
    "outcomes",
    metadata,
    Column("run", Text, primary_key=True),
    Column("incident", Text, nullable=False),
    Column("incident_type", Text, nullable=False),
    Column("service", Text),
    Column("rule", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("at", Integer, nullable=False),
)
labels: Final = Table(
    "labels",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("incident", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Integer, nullable=False),
)
model_calls: Final = Table(
    "model_calls",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("incident", Text),
    Column("purpose", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("tokens_in", Integer, nullable=False),
    Column("tokens_out", Integer, nullable=False),
    Column("cost", Float, nullable=False),
    Column("at", Integer, nullable=False),
)
archive_segments: Final = Table(
    "archive_segments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("first_at", Integer, nullable=False),
    Column("last_at", Integer, nullable=False),
)
