"""docs/reference/config.md, written from the schemas: `python -m holdfast.config.reference FILE`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from holdfast.config.schemas import KINDS, PARTS, schema
from holdfast.config.shape import flow, title_of

#: Parts that are explained once, in a section of their own: definition → (schema, heading, introduction).
_SECTIONS: Final[Mapping[str, tuple[str, str, str]]] = {
    "http-probe": (
        "holdfast",
        "Sources of kind `http-probe`",
        """Holdfast asks on a schedule and makes an `http.probe` event of each answer, with `data.ok`,
`data.status`, `data.latency_ms` and `data.error`.""",
    ),
    "webhook": (
        "holdfast",
        "Sources of kind `webhook`",
        "Somebody posts to `/events`: CloudEvents, plain JSON of that shape, or whatever `map` can read.",
    ),
    "mapped": (
        "holdfast",
        "Fields of `map`",
        "A constant (`billing`), a JSONPath (`$.data.id`), or a mapping of these keys:",
    ),
    "where": (
        PARTS,
        "Conditions",
        """`where`, `match` and `if` are mappings from a field to what it must be. All of them must hold.
A bare value means `eq`: `data.ok: false`. A field that is missing makes the condition unknown, and
unknown satisfies nothing, not even `not`. Three keys group conditions:""",
    ),
    "operators": (
        PARTS,
        "Operators",
        """Several operators of one field must all hold. Types are strict: the number 500 is not the text
"500".""",
    ),
    "param": (
        PARTS,
        "Parameters",
        "Every parameter has a type, and every type refuses control characters and a leading dash.",
    ),
}
#: Definitions that say no more than the section that they lead to.
_LEADING: Final = frozenset({"test", "elements", "params", "source"})
_PLACE: Final[Mapping[str, str]] = {
    "holdfast": "`holdfast.yaml`, one document.",
    "rule": "Under `rules/`, any number of documents in a file, with `---` between them.",
    "action": "Under `rules/`.",
    "playbook": "Under `rules/`.",
    "policy": "Under `policies/`.",
    "test": "Under `tests/`.",
}
_HEAD: Final = """# Config reference

Written from `schemas/` by `python -m holdfast.config.reference docs/reference/config.md`; a test says
when it is out of date. Editors complete and check a file with the first line
`# yaml-language-server: $schema=PATH/rule.schema.json`, where PATH leads to that folder.

A document declares one thing, and its first key says which. Only `holdfast.yaml`, `rules/**/*.yaml`,
`policies/**/*.yaml` and `tests/**/*.yaml` are read; deleting a file deletes what it declared.
`holdfast check` shows every mistake of every file at once, and `holdfast test` runs the tests.

- **YAML** is the strict 1.2 core: `22:00`, `2026-01-01`, `yes` and `1_000` are text; numbers with a
  leading zero, anchors, tags, merge keys and keys that stand twice are refused.
- **Durations** are `500ms`, `10s`, `5m`, `1h` or `2d`.
- **References** take a `$`: `$probe.data.status` is a value of the event that fired, and `$service.name`,
  `$service.unit`, `$service.url`, `$service.labels.x`, `$host.name`, `$host.address`, `$host.group`,
  `$incident.id`, `$incident.type`, `$incident.severity` and `$incident.title` are of what it is about. In
  titles and questions they become text; in `with` a reference is the whole value. `$$` is a dollar sign.
- **Secrets** are written `$secret.name`, and only in `holdfast.yaml`. The value is in a file of that name.
- **Names** are made of a-z, 0-9 and -.
"""


def render() -> str:
    """The whole page."""
    parts = [_HEAD]
    for kind in KINDS:
        top = schema(kind)
        name = top["title"] if kind == "holdfast" else f"{kind}:"
        parts.append(
            f"\n## `{name}`\n\n{top['description']}\n{_PLACE[kind]}\n\n{_table(_rows('', top, top))}"
        )
    for name, (kind, heading, introduction) in _SECTIONS.items():
        rows = _rows("", schema(kind)["$defs"][name], schema(kind))
        parts.append(f"\n## {heading}\n\n{introduction}\n\n{_table(rows)}")
    return "".join(parts)


def _table(rows: Iterator[tuple[str, ...]]) -> str:
    head = ("key", "what", "description", "example")
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _rows(path: str, node: Mapping[str, Any], top: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """One row for each key below a node, depth first."""
    required = set(node.get("required", ()))
    for name, item in node.get("properties", {}).items():
        inner = f"{path}.{name}" if path else name
        target, home = _target(item, top)
        merged = {**target, **{key: value for key, value in item.items() if key != "$ref"}}
        yield _row(inner, merged, required=name in required)
        if not _has_section(item):
            yield from _below(inner, merged, home)
    for branch in ("then", "else"):
        if branch in node:
            yield from _branch(path, node[branch], top)


def _branch(path: str, node: Mapping[str, Any], top: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    target, home = _target(node, top)
    if not _has_section(node):
        yield from _rows(path, target, home)


def _below(path: str, node: Mapping[str, Any], top: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    yield from _rows(path, node, top)
    for key, suffix in (("items", "[]"), ("additionalProperties", ".NAME")):
        item = node.get(key)
        if isinstance(item, dict):
            yield from _branch(path + suffix, item, top)


def _target(item: Mapping[str, Any], top: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What a `$ref` points at (or the item itself), and the schema that its own references belong to."""
    reference = item.get("$ref")
    if reference is None:
        return item, top
    file, _, name = reference.partition("#/$defs/")
    home = schema(PARTS) if file else top
    return home["$defs"][name], home


def _has_section(item: Mapping[str, Any]) -> bool:
    name = str(item.get("$ref", "")).rpartition("/")[2]
    return name in _SECTIONS or name in _LEADING


def _row(path: str, item: Mapping[str, Any], *, required: bool) -> tuple[str, ...]:
    examples = item.get("examples", [])
    example = f"`{flow(examples[0])}`" if examples else ""
    what = title_of(item)
    fixed = item.get("enum", [item["const"]] if "const" in item else [])
    if fixed:
        what = ", ".join(f"`{flow(value)}`" for value in fixed)
    need = "**required**, " if required else ""
    cells = (f"`{path}`", f"{need}{what}", item["description"], example)
    return tuple(cell.replace("|", "\\|").replace("\n", " ") for cell in cells)


def write(path: Path) -> None:
    """Write the page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
