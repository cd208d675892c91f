from __future__ import annotations

from pathlib import Path

from holdfast.config.reference import render, write
from holdfast.config.schemas import KINDS, schema


def test_every_key_of_every_document_has_a_row() -> None:
    page = render()

    for kind in KINDS:
        for name, item in schema(kind)["properties"].items():
            assert f"| `{name}` |" in page
            assert item["description"].replace("|", "\\|") in page


def test_keys_inside_are_there_with_their_whole_path() -> None:
    page = render()

    for path in (
        "estate.hosts.NAME.host_key",
        "channels.NAME.replies.imap.password",
        "when.NAME.streak",
        "unless.NAME.within",
        "clears.after",
        "contain[].hold",
        "then[].choices.NAME.do",
        "then[].silence",
        "retry.attempts",
        "steps[].at",
        "envelope.allow.risk",
        "blast-radius.percent",
        "verify.scheme",
        "expect_status",
        "regex",
        "fold",
        "never_in",
    ):
        assert f"| `{path}` |" in page


def test_a_row_has_four_cells() -> None:
    rows = [line for line in render().splitlines() if line.startswith("| `")]

    assert len(rows) > 130
    assert {row.replace("\\|", "").count(" | ") for row in rows} == {3}


def test_the_page_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "docs" / "config.md")

    assert (tmp_path / "docs" / "config.md").read_text() == render()
