"""What is typed in a playground, kept while it is typed: a file for each text, the oldest go."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path
from typing import NamedTuple

from helpers.practice.process import course_home

MOST = 20  # drafts that stay


class Draft(NamedTuple):
    """A text by its file, where it was to be sent (`path`), the notebook it was typed in, and when (UTC)."""

    file: Path
    when: str
    notebook: str
    path: str
    text: str


def folder() -> Path:
    return course_home() / "drafts"


def new() -> Path:
    """A file for a text that is about to be typed; it is not made before the first write()."""
    return folder() / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}.json"


def write(file: Path, text: str, path: str) -> None:
    """Keep the text in its file, in one step. Raises OSError."""
    notebook = Path(os.environ.get("JPY_SESSION_NAME", "")).name
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    made = {"when": when, "notebook": notebook, "path": path, "text": text}
    part = file.with_suffix(".part")
    first = not file.exists()
    file.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(json.dumps(made), "utf-8")
    part.replace(file)
    if first:
        for old in sorted(file.parent.glob("*.json"))[:-MOST]:
            old.unlink(missing_ok=True)


def load() -> list[Draft]:
    """All drafts, the newest first; a file that cannot be read is passed over."""
    found = []
    for file in sorted(folder().glob("*.json"), reverse=True):
        try:
            made = json.loads(file.read_text("utf-8"))
            found.append(Draft(file, *(str(made[name]) for name in Draft._fields[1:])))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found
