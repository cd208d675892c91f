"""What this daemon is known by: a random id of its database, and the key behind its reply codes."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path
from typing import Final

from holdfast.effects import crash_point
from holdfast.errors import StoreError
from holdfast.pipeline.work import Identity
from holdfast.store import facts
from holdfast.store.database import Database

_NAME: Final = "install"
_IDENTIFY: Final = crash_point("app.identify")
_KEY_BYTES: Final = 32


def identity(database: Database, state: Path) -> Identity:
    """Read who we are, or become somebody on the first start."""
    with database.read() as tx:
        install = facts.get(tx, _NAME)
    if install is None:
        install = base64.b32encode(secrets.token_bytes(5)).decode().lower()
        with database.begin(_IDENTIFY) as tx:
            facts.put(tx, _NAME, install)
    return Identity(install, _key(state / "reply.key"))


def _key(path: Path) -> bytes:
    if not path.exists():
        temporary = path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise StoreError(
            f"{path} is damaged: remove it, then the codes of questions that are open now stop working"
        )
    return key
