"""All documents of a repository, sorted by what they declare, each of the right shape or set aside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from holdfast.config.reader import ReadFile
from holdfast.config.shape import check, did_you_mean
from holdfast.config.tree import Document, Path, Sheet, quoted
from holdfast.errors import Problem
from holdfast.model.values import Json

SITE: Final = "holdfast.yaml"
ALL: Final = "*"
#: Folder → the kinds of documents that belong there.
FOLDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "rules": ("rule", "playbook", "action"),
    "policies": ("policy",),
    "tests": ("test",),
}
_KINDS: Final = tuple(kind for kinds in FOLDERS.values() for kind in kinds)
#: Keys that nothing else in a document depends on: without a wrong one, the rest can be checked all the same.
_SPARE: Final = frozenset(
    {"mode", "per", "unless", "contain", "deadline", "retry", "verify", "fresh", "skip_if", "idempotent"}
)
#: Entries of holdfast.yaml stand so deep: a wrong one is set aside alone.
_ENTRY_DEPTH: Final = {"estate": 3}


@dataclass(slots=True)
class Papers:
    """Sheets of the right shape by kind and name, and the names that are declared at all.

    `complete` is false where a document could not be read: then nothing can be called unknown.
    """

    problems: list[Problem] = field(default_factory=list)
    site: Sheet | None = None
    #: Names in holdfast.yaml whose entry is wrong, as (section, name).
    broken: set[tuple[str, str]] = field(default_factory=set)
    sheets: dict[str, dict[str, Sheet]] = field(default_factory=lambda: {kind: {} for kind in _KINDS})
    declared: dict[str, set[str]] = field(default_factory=lambda: {kind: set() for kind in _KINDS})
    complete: bool = True

    def of(self, kind: str) -> Mapping[str, Sheet]:
        """The well-shaped documents of a kind by name."""
        return self.sheets[kind]


def sort(files: Mapping[str, ReadFile], problems: Sequence[Problem]) -> Papers:
    """Sort the documents of all files, by path, and write down what is wrong with their shape.

    `problems` are those of files that could not be read at all.
    """
    papers = Papers(list(problems), complete=not problems)
    for name, file in sorted(files.items()):
        papers.problems.extend(file.problems)
        papers.complete = papers.complete and file.complete
        if name == SITE:
            _take_site(papers, file.documents)
        else:
            for document in file.documents:
                _take(papers, document, FOLDERS[name.split("/", 1)[0]])
    if SITE not in files and not any(problem.file == SITE for problem in problems):
        message = "the file is missing (`holdfast init` writes one to begin with)"
        papers.problems.append(Problem(SITE, 1, 1, "", message))
    return papers


def _take_site(papers: Papers, documents: Sequence[Document]) -> None:
    for extra in documents[1:]:
        papers.problems.append(extra.problem((), "a second document (this file holds exactly one)"))
    if not documents:
        if papers.complete:
            papers.problems.append(Problem(SITE, 1, 1, "", "the file is empty (begin with `format: 1`)"))
        return
    document = documents[0]
    flaws = check(document, "holdfast")
    papers.problems.extend(flaw.problem for flaw in flaws if flaw.problem)
    data: Json = document.data
    for flaw in flaws:
        entry = _entry(flaw.path)
        data = _cut(data, flaw.path if flaw.extra else entry)
        if not flaw.extra:
            papers.broken.update(_lost(entry))
    if isinstance(data, dict):
        papers.site = Sheet(document.with_data(data), papers.problems)


def _entry(path: Path) -> Path:
    """The path of the entry that a wrong part belongs to."""
    return path[: _ENTRY_DEPTH.get(str(path[0]), 2)] if path else path


def _lost(entry: Path) -> Iterable[tuple[str, str]]:
    """What is set aside with an entry, as (section, name); `ALL` for a whole section."""
    estate = entry[:1] == ("estate",)
    rest = entry[1:] if estate else entry
    if not rest:
        return [("hosts", ALL), ("services", ALL)] if estate else []
    return [(str(rest[0]), str(rest[1]) if len(rest) > 1 else ALL)]


def _cut(data: Json, path: Path) -> Json:
    if not path:
        return data
    head, *rest = path
    if isinstance(data, dict) and head in data:
        if rest:
            return {key: _cut(item, tuple(rest)) if key == head else item for key, item in data.items()}
        return {key: item for key, item in data.items() if key != head}
    if isinstance(data, list) and isinstance(head, int) and rest:
        return [_cut(item, tuple(rest)) if place == head else item for place, item in enumerate(data)]
    return data


def _take(papers: Papers, document: Document, kinds: Sequence[str]) -> None:
    kind = document.kind
    if kind not in _KINDS:
        papers.problems.append(_unknown_kind(document))
        papers.complete = False
        return
    if kind not in kinds:
        home = next(folder for folder, own in FOLDERS.items() if kind in own)
        papers.problems.append(document.problem((kind,), f"a {kind} belongs under {home}/", key=True))
    flaws = check(document, kind)
    papers.problems.extend(flaw.problem for flaw in flaws if flaw.problem)
    name = document.data[kind]
    if not isinstance(name, str):
        return
    if not _is_new(papers, document, kind, name):
        return
    papers.declared[kind].add(name)
    data: Json = document.data
    for flaw in flaws:
        spare = bool(flaw.path) and flaw.path[0] in _SPARE
        if not flaw.extra and not spare:
            return
        data = _cut(data, flaw.path if flaw.extra else flaw.path[:1])
    if isinstance(data, dict):
        papers.sheets[kind][name] = Sheet(document.with_data(data), papers.problems)


def _unknown_kind(document: Document) -> Problem:
    kind = document.kind
    inside = [key for key in document.data if key in _KINDS]
    if not kind:
        return document.problem((), f"the mapping is empty (begin with {' or '.join(_KINDS)})")
    if inside:
        message = f"the first key says what a document is (move `{inside[0]}:` to the top)"
    else:
        message = f"unknown kind of document {quoted(kind)}{did_you_mean(kind, _KINDS)}"
    return document.problem((kind,), message, key=True)


def _is_new(papers: Papers, document: Document, kind: str, name: str) -> bool:
    """Names are unique; actions and playbooks share theirs."""
    shared = ("action", "playbook") if kind in {"action", "playbook"} else (kind,)
    for other in shared:
        if name in papers.declared[other]:
            first = papers.sheets[other].get(name)
            where = f" (first in {first.document.where})" if first else ""
            papers.problems.append(
                document.problem((kind,), f"the {other} {quoted(name)} exists already{where}")
            )
            return False
    return True
