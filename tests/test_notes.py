"""course_notes.md says what the practice command and server know, and every link in it has a target."""

from __future__ import annotations

import ast
import os
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests import tables

CELL = re.compile(r"```python\n(.*?)```", re.DOTALL)
SECTION = tables.NOTES.read_text("utf-8").partition("## 10. ")[2].partition("\n## 11. ")[0]
FIRST, *SYMPTOMS = SECTION.split("\n### ")


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


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the cells of section 10 begin with."""
    found: dict[str, Any] = {}
    with environment(dict(os.environ)):
        exec(CELL.findall(FIRST)[0], found)
        return {**found, "lane": dict(os.environ)}


@pytest.mark.parametrize("symptom", SYMPTOMS, ids=[one.partition("\n")[0][:40] for one in SYMPTOMS])
def test_each_cell_shows_its_symptom(symptom: str, names: dict[str, Any]) -> None:
    heading, _, text = symptom.partition("\n")
    (cell,) = CELL.findall(text)
    assert len(cell.splitlines()) <= 6
    assert "**Cause.**" in text and "**Fix.**" in text and "Reported: [" in text
    with environment(names["lane"]):
        shown = shows(cell, dict(names))
    assert heading.strip("`").replace(": through a proxy", "") in shown


@contextmanager
def environment(these: dict[str, str]) -> Iterator[None]:
    """The environment as it was for these, and afterwards as it is now."""
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(these)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def shows(cell: str, names: dict[str, Any]) -> str:
    """What a notebook shows under a cell: the last expression's value, or the error's last line."""
    *before, last = ast.parse(textwrap.dedent(cell)).body
    assert isinstance(last, ast.Expr)
    try:
        exec(compile(ast.Module(before, []), "cell", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return value if isinstance(value, str) else repr(value)


def anchor(heading: str) -> str:
    """The name that a heading gets in a web page: lower case, hyphens for blanks, no other marks."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
