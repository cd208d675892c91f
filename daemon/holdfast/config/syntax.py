"""PyYAML's words for a syntax error, put in words that say what to do."""

from __future__ import annotations

import re
from typing import Final

import yaml

#: `title: {service} is down`: YAML opens a mapping there, and then meets text.
_BRACES: Final = re.compile(r"(?:[:,\-{\[]\s+|[{\[])\{([A-Za-z_][\w.-]*)\}\s*[^\s,}\]#]")
_CANNOT_START: Final = re.compile(r"found character '(.+)' that cannot start any token")

#: The same where PyYAML names the start as its context: that is the place to look at.
_OPENED: Final = (
    ("while scanning a quoted scalar", "the quote that opens here is never closed"),
    ("while scanning a simple key", "a line without `: ` (is a colon or a quote missing?)"),
    (
        "while parsing a flow mapping",
        "a bracket that opens here is not closed, or a comma is missing after it",
    ),
    (
        "while parsing a flow sequence",
        "a bracket that opens here is not closed, or a comma is missing after it",
    ),
)
#: Part of PyYAML's problem or context, and what an operator reads instead.
_WORDS: Final = (
    (
        "mapping values are not allowed",
        "a second `: ` in one line, or wrong indentation (quote text with a colon)",
    ),
    ("sequence entries are not allowed", "a `- ` does not belong here (start it on a line of its own)"),
    ("while parsing a flow node", "a value is missing here, or a bracket before it is not closed"),
    ("while scanning an alias", "text cannot start with * (quote it)"),
    ("while scanning an anchor", "text cannot start with & (quote it)"),
    ("while scanning a double-quoted", "an escape that YAML does not know (write \\\\ for one backslash)"),
    ("expected <block end>", "wrong indentation, or text after a value (quote the whole text)"),
    ("expected '<document start>'", "a second document (begin it with a line `---`)"),
    ("while scanning a block scalar", "after | or > the text starts on the next line, indented with spaces"),
    ("ing a tag", "text cannot start with ! (quote it)"),
)


def explain(error: yaml.MarkedYAMLError, line: str) -> tuple[str, bool]:
    """One clear sentence for a syntax error, and whether it is about the place where something opens.

    `line` is the source line that PyYAML stopped in.
    """
    braces = _BRACES.search(line)
    if braces:
        return f"YAML reads {{{braces.group(1)}}} as a mapping (write ${braces.group(1)} or quote it)", False
    problem = f"{error.context or ''}; {error.problem or ''}"
    start = _CANNOT_START.search(problem)
    if start and start.group(1) == "\\t":
        return "a tab where spaces belong (indent with spaces)", False
    if start:
        return f"text cannot start with {start.group(1)} (quote it)", False
    for table, opened in ((_OPENED, True), (_WORDS, False)):
        for words, sentence in table:
            if words in problem:
                return sentence, opened
    return f"this is not YAML: {problem.strip('; ')}", False
