"""Secrets: files named after them, read at the last moment, never part of a snapshot."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from holdfast.errors import HoldfastError
from holdfast.model.values import Secret

_LARGEST: Final = 65_536


class Secrets:
    """Looks secrets up in directories, the first one first.

    `home` is searched last, and is the place where a message says to put what is missing.
    """

    def __init__(self, directories: Sequence[Path], home: Path | None = None) -> None:
        self._directories = (*directories, *((home,) if home else ()))

    def get(self, secret: Secret) -> str:
        """The secret, without one line break at its end.

        Raises HoldfastError when it is missing, empty, not text, or readable by everybody.
        """
        for directory in self._directories:
            path = directory / secret.name
            if path.is_file():
                return _read(path)
        if not self._directories:
            raise HoldfastError(f"The secret {secret.name!r} is missing: no directory for secrets is set.")
        path = self._directories[-1] / secret.name
        how = f"put it into {path}, readable by Holdfast only (mode 0600)"
        raise HoldfastError(f"The secret {secret.name!r} is missing: {how}.")

    def all_known(self) -> list[str]:
        """Every secret that can be read, for the redactor; what cannot be read cannot leak."""
        return list(dict.fromkeys(self._known()))

    def _known(self) -> Iterator[str]:
        for directory in self._directories:
            for path in sorted(directory.iterdir()) if directory.is_dir() else ():
                try:
                    yield _read(path)
                except HoldfastError:
                    continue


def _read(path: Path) -> str:
    try:
        # without waiting, so that a pipe among the secrets stops nobody
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            _check(path, os.fstat(descriptor))
            content = file.read(_LARGEST + 1)
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise HoldfastError(f"The secret {path} cannot be read: {reason}.") from error
    if not text or len(content) > _LARGEST:
        raise HoldfastError(
            f"The secret {path} is {'too large' if text else 'empty'}: write the secret into it."
        )
    return text


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise HoldfastError(f"The secret {path} is no plain file.")
    if status.st_mode & stat.S_IROTH:
        raise HoldfastError(
            f"Everybody can read the secret {path}: run `chmod 600 {path}`, and change the secret."
        )
