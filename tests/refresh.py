"""Run every lesson and save what it shows: the one writer of outputs, navigation links and slide marks.

    python -m tests.refresh [NOTEBOOK ...]

Runs against a frozen practice server of its own, in the environment that the tests use, and writes the same
bytes each time. Nothing is written if a cell fails that is not meant to.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode

import conftest

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
KEPT_METADATA = ("kernelspec",)
VIEW = "application/vnd.jupyter.widget-view+json"
CURSOR = re.compile(r"\x1b\[\??[0-9;]*[hlKGJABCD]")  # what moves or hides a terminal's cursor
CELL_TIMEOUT = 60  # seconds


def main(arguments: list[str]) -> int:
    paths = [Path(argument).resolve() for argument in arguments] or sorted(NOTEBOOKS.glob("*.ipynb"))
    with tempfile.TemporaryDirectory(prefix="course-", ignore_cleanup_errors=True) as home:
        conftest.pin_environment(home)
        try:
            return sum(not refresh(path) for path in paths) and 1
        finally:
            conftest.leave(home)


def refresh(path: Path) -> bool:
    """Run one lesson and save it; False if a cell failed."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    set_navigation(notebook, path)
    set_slides(notebook)
    if not run(notebook, path):
        return False
    normalise(notebook)
    part = path.with_suffix(".part")
    part.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")
    os.replace(part, path)
    return True


def run(notebook: NotebookNode, path: Path, timeout: int = CELL_TIMEOUT) -> bool:
    """Run the cells in a kernel of their own; say how it went."""
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError) as error:
        print(f"{path.name}: {error}", file=sys.stderr)
        return False
    print(f"{path.name}: {sum(cell.cell_type == 'code' for cell in notebook.cells)} cells ran")
    return True


def normalise(notebook: NotebookNode) -> None:
    """Keep of the outputs what is the same in every run and every front end."""
    for name in set(notebook.metadata) - set(KEPT_METADATA):
        del notebook.metadata[name]
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(VIEW, None)
            if output.output_type == "stream":
                output.text = re.sub(r"\r+\n", "\n", CURSOR.sub("", output.text))
            elif output.output_type == "error":
                output.traceback = [f"{output.ename}: {output.evalue}"]


def set_navigation(notebook: NotebookNode, path: Path) -> None:
    """Make the last cell the links to the lesson before, the contents and the lesson after."""
    names = [other.name for other in sorted(NOTEBOOKS.glob("*.ipynb"))]
    at = names.index(path.name)
    links = ["[contents](../README.md#lessons)"]
    if at > 0:
        links.insert(0, f"← [{spoken(names[at - 1])}]({names[at - 1]})")
    if at + 1 < len(names):
        links.append(f"[{spoken(names[at + 1])}]({names[at + 1]}) →")
    text = "---\n" + " · ".join(links)
    last = notebook.cells[-1]
    if "navigation" not in last.metadata.get("tags", []):
        last = nbformat.v4.new_markdown_cell(metadata={"tags": ["navigation"]}, id="navigation")
        notebook.cells.append(last)
    last.source = text


def spoken(name: str) -> str:
    number, _, words = name.removesuffix(".ipynb").partition("_")
    return f"{number} {words.replace('_', ' ')}"


def set_slides(notebook: NotebookNode) -> None:
    """A heading begins a slide, what follows is revealed on it, links are left out."""
    for cell in notebook.cells:
        if "navigation" in cell.metadata.get("tags", []):
            kind = "skip"
        elif cell.cell_type == "markdown" and cell.source.startswith("#"):
            kind = "slide"
        else:
            kind = "fragment"
        cell.metadata["slideshow"] = {"slide_type": kind}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
