"""Alembic's entry: it is given a connection in a transaction, by `store.database` alone."""

from __future__ import annotations

from alembic import context

from holdfast.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
