"""course_notes.md says what the practice command and server know, and every link in it has a target."""

from __future__ import annotations

import re

from tests import tables


def test_the_tables_are_those_of_the_data() -> None:
    notes = tables.NOTES.read_text("utf-8")
    assert tables.filled(notes) == notes, "run: python -m tests.tables"


def test_every_table_has_a_place() -> None:
    places = re.findall(r"<!-- table: (\w+) -->", tables.NOTES.read_text("utf-8"))
    assert sorted(places) == sorted(tables.TABLES)


def test_every_link_within_the_notes_has_a_heading() -> None:
    notes = tables.NOTES.read_text("utf-8")
    headings = {anchor(line.lstrip("# ")) for line in notes.splitlines() if line.startswith("#")}
    targets = re.findall(r"\]\(#([^)]+)\)", notes)
    assert targets and set(targets) <= headings


def anchor(heading: str) -> str:
    """The name that a heading gets in a web page: lower case, hyphens for blanks, no other marks."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
