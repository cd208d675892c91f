"""The JSON Schemas and the OpenAPI document: where they lie, and validators built from them.

They travel with the code (`holdfast/_schemas` in a wheel, `schemas/` beside it in a checkout), never
with the config repository: a commit cannot loosen its own rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from holdfast.errors import HoldfastError

#: The kinds of documents and where they stand, in the order in which people meet them.
KINDS: Final = ("holdfast", "rule", "action", "playbook", "policy", "test")
PARTS: Final = "parts"
_PACKAGED: Final = Path(__file__).parents[1] / "_schemas"
_CHECKOUT: Final = Path(__file__).parents[3] / "schemas"


def directory() -> Path:
    """Where the schemas lie. Raises HoldfastError when this installation has none."""
    for place in (_PACKAGED, _CHECKOUT):
        if (place / f"{PARTS}.schema.json").is_file():
            return place
    raise HoldfastError(
        f"This installation has no schemas in {_PACKAGED}: install the holdfast package again."
    )


@cache
def schema(kind: str) -> dict[str, Any]:
    """One schema as it stands in its file."""
    content = (directory() / f"{kind}.schema.json").read_bytes()
    return msgspec.json.decode(content, type=dict[str, Any])


def openapi() -> bytes:
    """The description of the door for events, as its file has it."""
    return (directory() / "openapi.json").read_bytes()


@cache
def validator(kind: str) -> Validator:
    """The validator of one kind of document."""
    parts: Resource[Any] = Resource.from_contents(schema(PARTS), default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource(f"{PARTS}.schema.json", parts)
    strict: Validator = _STRICT(schema(kind), registry=registry)
    return strict


def _whole_pattern(
    _validator: Validator, pattern: str, instance: object, _schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    """`pattern`, where `$` is the end and not the place before a last line break."""
    anchored = pattern.removeprefix("^").removesuffix("$")
    if isinstance(instance, str) and not re.fullmatch(anchored, instance):
        yield ValidationError("the pattern does not match")


_STRICT: Final = extend(Draft202012Validator, {"pattern": _whole_pattern})  # type: ignore[no-untyped-call]
