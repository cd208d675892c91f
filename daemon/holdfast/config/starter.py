"""`holdfast init`: a small working config repository to begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from holdfast.config.papers import SITE
from holdfast.errors import HoldfastError

_SITE: Final = Path(__file__).with_name("starter.yaml")
_TESTS: Final = Path(__file__).with_name("starter_tests.yaml")
#: What is read beside the code; the tests cannot be: in a checkout that folder holds those of the code.
_FOLDERS: Final = ("rules", "policies")
_PACKAGED: Final = Path(__file__).parents[1] / "_starter"
_CHECKOUT: Final = Path(__file__).parents[3]


def init(target: Path) -> list[Path]:
    """Write the starter pack into a new or empty directory; the files that were written.

    Raises HoldfastError when something is there already, or cannot be written.
    """
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise HoldfastError(
                f"{target} is not an empty directory: name one that is empty or does not exist."
            )
        return [_write(target / name, content) for name, content in _files()]
    except OSError as error:
        raise HoldfastError(f"{target} cannot be written: {error.strerror}.") from error


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _files() -> Iterator[tuple[str, bytes]]:
    yield SITE, _SITE.read_bytes()
    root = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT
    for folder in _FOLDERS:
        for path in sorted((root / folder).rglob("*.yaml")):
            yield path.relative_to(root).as_posix(), path.read_bytes()
    yield "tests/shop.yaml", _TESTS.read_bytes()
