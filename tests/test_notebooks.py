"""What nbval lets through: cells that never ran, and outputs or sources that do not belong in a lesson."""

from __future__ import annotations

import re
import statistics
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest

from helpers.exercises import of_lesson
from helpers.practice.toml import read
from tests import refresh

ROOT = Path(__file__).resolve().parents[1]
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def cells(path: Path, kind: str) -> list[nbformat.NotebookNode]:
    found = nbformat.read(path, as_version=4).cells
    return [cell for cell in found if cell.cell_type == kind and cell.source.strip()]


def outputs(path: Path) -> str:
    return "\n".join(str(output) for cell in cells(path, "code") for output in cell.outputs)


each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def test_there_are_lessons() -> None:
    assert LESSONS


@each_lesson
def test_every_cell_ran_in_order(path: Path) -> None:
    code = cells(path, "code")
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


@each_lesson
def test_nothing_of_a_machine_or_a_key_is_in_an_output(path: Path) -> None:
    found = re.findall(
        r"127\.0\.0\.1:(?!1143[45]\b)\d+|sk-\w+|/home/\w+|/tmp/\w+|/Users/\w+|[A-Z]:\\\\", outputs(path)
    )
    assert not found


class Shape(NamedTuple):
    """A lesson in figures: code cells, text cells for each, and how many lines the code cells have."""

    code: int
    ratio: float
    set_up: int
    median: float
    ninety: float  # nine of ten code cells have at most so many lines
    longest: int


def shape(path: Path) -> Shape:
    lines = [len([line for line in cell.source.splitlines() if line.strip()]) for cell in cells(path, "code")]
    ninety = statistics.quantiles(lines, n=10, method="inclusive")[-1]
    ratio = len(cells(path, "markdown")) / len(lines)
    return Shape(len(lines), ratio, lines[0], statistics.median(lines), ninety, max(lines))


@each_lesson
def test_code_cells_are_short_and_there_is_more_to_read_than_to_run(path: Path) -> None:
    found = shape(path)
    assert found.code <= 25 and found.set_up <= 3
    assert found.median <= 4 and found.ninety <= 12 and found.longest <= 15
    assert 1.2 <= round(found.ratio, 1) <= 1.9


def test_the_figures_of_all_lessons_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\nlesson                         code  text:code  set-up  median  90 %  longest")
        for path in LESSONS:
            one = shape(path)
            print(
                f"{path.stem:30} {one.code:4}  {one.ratio:9.2f}  {one.set_up:6}"
                f"  {one.median:6g}  {one.ninety:4.1f}  {one.longest:7}"
            )


@each_lesson
def test_exercises_stand_in_the_lesson_as_they_are_kept(path: Path) -> None:
    tasks = [cell.source for cell in cells(path, "markdown") if cell.source.startswith("### Exercise")]
    kept = [
        f"### Exercise {number} · {one.title}\n{one.task}"
        for number, one in enumerate(of_lesson(path.stem).values(), 1)
    ]
    assert tasks == kept
    code = [cell.source for cell in cells(path, "code")]
    assert [source for source in code if "here.check(" in source] == [
        one.start for one in of_lesson(path.stem).values()
    ]


@each_lesson
def test_what_a_lesson_makes_it_removes(path: Path) -> None:
    code = [cell.source for cell in cells(path, "code")]
    if any(re.search(r"course-(?!no-such)", source) for source in code):
        assert code[-1] == "here.clean()"


@each_lesson
def test_models_are_named_by_their_role(path: Path) -> None:
    named = {name for roles in read(ROOT / "helpers" / "models.toml").values() for name in roles.values()}
    for cell in cells(path, "code"):
        assert not [name for name in named if name in cell.source], cell.source


@each_lesson
def test_goals_and_recap_frame_the_lesson(path: Path) -> None:
    first, *_, recap, links = [cell.source for cell in cells(path, "markdown")]
    assert re.match(rf"# {path.name[:2]} · ", first) and "Teaching" in first and first.count("\n- ") == 3
    assert recap.startswith("## What you can say now") and recap.count("\n- ") >= 3
    assert "contents" in links


@each_lesson
def test_links_lead_to_files(path: Path) -> None:
    for cell in cells(path, "markdown"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", cell.source):
            assert (path.parent / target).exists(), target


@each_lesson
def test_navigation_and_slides_are_up_to_date(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    before = nbformat.writes(notebook)
    refresh.set_navigation(notebook, path)
    refresh.set_slides(notebook)
    assert nbformat.writes(notebook) == before
