"""docs/reference/cli.md, made from the commands themselves; a test checks that it is current."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator
from typing import Any, TypeGuard

import msgspec
import typer

from holdfast.cli.door import EXIT_CODES, Command
from holdfast.cli.entry import COMMANDS, build

_HEAD = """# The command line

Made from the commands themselves by `python -m holdfast.cli.reference`: change them, not this page.

`--config DIR` and `--state DIR` may stand before or after the command. Without them the environment
decides (`HOLDFAST_CONFIG`; `HOLDFAST_STATE`, then `STATE_DIRECTORY`), then `/etc/holdfast/config` and
`/var/lib/holdfast`. `holdfast --install-completion` teaches your shell the commands and the ids of
incidents and questions.

Ids may be cut: the part before the dash (`i41`), or any beginning that fits only one.

With `--json`, stdout holds one JSON object and nothing else. Its keys stay; keys may be added, so ignore
those that you do not know. Times are milliseconds since the Unix epoch. Problems go to stderr, one line
each. Without `--json` the output is for people: coloured on a terminal unless `NO_COLOR` is set, and
times are UTC.
"""


def reference() -> str:
    """The whole page."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield _HEAD
    yield from ("## Exit codes", "", "| code | meaning |", "|---|---|")
    yield from (f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items())
    group: Any = typer.main.get_command(build())
    shown: dict[str, type] = {}
    for heading in dict.fromkeys(command.group for command in COMMANDS if not command.hidden):
        yield from ("", f"## {heading}")
        for command in COMMANDS:
            if command.group == heading and not command.hidden:
                yield from _command(command, group.commands[command.name])
                shown |= {name.rpartition(":")[2]: _type(name) for name in command.prints}
    yield from ("", "## JSON objects", "")
    for name, kind in sorted(_all_types(shown).items()):
        yield from _keys(name, kind)


def _command(command: Command, built: Any) -> Iterator[str]:
    yield from ("", f"### holdfast {command.name}", "", inspect.cleandoc(command.run.__doc__ or ""), "")
    parameters = [item for item in built.params if not item.hidden and item.name != "help"]
    yield from (_parameter(item) for item in parameters)
    if command.examples:
        yield from ("", "```sh", *command.examples, "```")
    codes = ", ".join(str(code) for code in command.exits)
    prints = " or ".join(
        f"[{name}](#{name.lower()})" for name in (item.rpartition(":")[2] for item in command.prints)
    )
    yield from ("", f"Exit codes: {codes}." + (f" JSON: {prints}." if prints else ""))


def _parameter(item: Any) -> str:
    if item.param_type_name == "argument":
        name = item.metavar or item.name.upper()
    else:
        name = " ".join(filter(None, (item.opts[-1], item.metavar)))
    return f"- `{name}`: {item.help}"


def _keys(name: str, kind: type) -> Iterator[str]:
    yield from (f"### {name}", "", inspect.cleandoc(kind.__doc__ or ""), "", "| key | value |", "|---|---|")
    hints = typing.get_type_hints(kind)
    yield from (f"| `{key}` | {_value(hint)} |" for key, hint in hints.items())
    yield ""


def _has_keys(hint: Any) -> TypeGuard[type]:
    return isinstance(hint, type) and (dataclasses.is_dataclass(hint) or issubclass(hint, msgspec.Struct))


def _value(hint: Any) -> str:
    """A type as JSON people call it."""
    if _has_keys(hint):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return f"array of {_value(inner[0])}"
    if origin is dict:
        return f"object: text to {_value(inner[1])}"
    if inner:
        kinds = [item for item in inner if item is not type(None)]
        nullable = ", or null" if len(kinds) < len(inner) else ""
        return "any JSON" if len(kinds) > 2 else " or ".join(map(_value, kinds)) + nullable
    names = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    return names.get(hint, "text" if isinstance(hint, type) and issubclass(hint, str) else "any JSON")


def _type(name: str) -> type:
    """The dataclass behind `module:name`; those modules are imported here, so that help need not."""
    from holdfast.cli import act, answer, client, doctor, reasons, rulebook, setup, standing, story, views
    from holdfast.ruletest import suite

    modules = {
        module.__name__: module
        for module in (act, answer, client, doctor, reasons, rulebook, setup, standing, story, suite, views)
    }
    module, _, kind = name.partition(":")
    found: type = getattr(modules[module], kind)
    return found


def _all_types(found: dict[str, type]) -> dict[str, type]:
    """These dataclasses and every one that is inside them."""
    waiting = list(found.values())
    known: dict[str, type] = {}
    while waiting:
        kind = waiting.pop()
        if kind.__name__ not in known:
            known[kind.__name__] = kind
            waiting += [inner for hint in typing.get_type_hints(kind).values() for inner in _inside(hint)]
    return known


def _inside(hint: Any) -> Iterator[type]:
    if _has_keys(hint):
        yield hint
    for inner in typing.get_args(hint):
        yield from _inside(inner)


if __name__ == "__main__":
    print(reference(), end="")
