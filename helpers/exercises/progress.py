"""What the learner has tried and solved: a file in the course's own folder; nothing leaves the machine.

Names and numbers only: no answer, no text, no key is written down.
"""

from __future__ import annotations

import html
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from helpers.practice.process import course_home
from helpers.show import Drawing

PATIENCE = 5.0  # seconds to wait for another notebook that is writing

Record = dict[str, Any]  # solved: bool, tries: int, hints: int, solution: bool


def file() -> Path:
    return course_home() / "progress.json"


def record(lesson: str, name: str) -> Record:
    """What is known of one exercise; empty if it was never tried."""
    return _read().get(lesson, {}).get(name, {})


def tried(lesson: str, name: str, passed: bool) -> None:
    """Count a try; an exercise that was solved once stays solved."""
    before = record(lesson, name)
    note(lesson, name, tries=before.get("tries", 0) + 1, solved=before.get("solved", False) or passed)


def note(lesson: str, name: str, **facts: bool | int) -> None:
    """Write facts down beside what other notebooks write; where the file cannot be written, keep nothing."""
    path = file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=PATIENCE):
            known = _read()
            known.setdefault(lesson, {}).setdefault(name, {}).update(facts)
            _write(path, json.dumps(known, indent=1, sort_keys=True) + "\n")
    except (OSError, Timeout):
        return


def report(exercises: dict[str, list[str]]) -> Drawing:
    """A table: for each lesson its exercises, solved or not, with tries and hints."""
    known = _read()
    rows: list[tuple[str, ...]] = [("lesson", "exercise", "", "tries", "hints")]
    for lesson, names in exercises.items():
        for name in names:
            one = known.get(lesson, {}).get(name, {})
            mark = "✓" if one.get("solved") else "·"
            hints = "solution" if one.get("solution") else str(one.get("hints", 0))
            rows.append((lesson, name, mark, str(one.get("tries", 0)), hints))
    solved = sum(row[2] == "✓" for row in rows)
    head = f"{solved} of {len(rows) - 1} exercises solved"
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return Drawing("\n".join([head, *lines]), _as_html(head, rows))


def _as_html(head: str, rows: list[tuple[str, ...]]) -> str:
    first, *rest = [[html.escape(cell) for cell in row] for row in rows]
    left = ' style="text-align: left"'
    heads = "".join(f'<th scope="col"{left}>{cell}</th>' for cell in first)
    body = "".join(f"<tr>{''.join(f'<td{left}>{cell}</td>' for cell in row)}</tr>" for row in rest)
    return (
        f"<table><caption>{html.escape(head)}</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    )


def _read() -> dict[str, dict[str, Record]]:
    """All that is written down; nothing if the file is not there or is not ours."""
    try:
        known = json.loads(file().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    whole = isinstance(known, dict) and all(
        isinstance(lesson, dict) and all(isinstance(one, dict) for one in lesson.values())
        for lesson in known.values()
    )
    return known if whole else {}


def _write(path: Path, text: str) -> None:
    handle, part = tempfile.mkstemp(dir=path.parent, prefix="progress-")
    try:
        with open(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(part, path)
    except OSError:
        os.unlink(part)
        raise
