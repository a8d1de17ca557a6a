"""Chat templates that Ollama knows by their Jinja text, and what goes with them: its folder template/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NEAR = 100  # edits by which a template may differ from a known one

_FILE = Path(__file__).with_name("known_templates.json")


def named(jinja: str) -> tuple[str, str, dict[str, Any] | None] | None:
    """Name, Go template and parameters of the known template nearest to `jinja`; None if none is near."""
    best, least = None, NEAR
    for name, known in json.loads(_FILE.read_text("utf-8"))["templates"].items():
        for text in known["jinja"]:
            distance = _edits(jinja, text, least)
            if distance < least:
                best, least = (name, known["go"], known["params"]), distance
    return best


def _edits(one: str, other: str, limit: int) -> int:
    """The Levenshtein distance of two texts, or `limit` if it is no less."""
    if one == other:
        return 0
    if abs(len(one) - len(other)) >= limit:
        return limit
    row = dict(enumerate(range(limit)))  # distances within `limit` of the diagonal
    for i, letter in enumerate(one, 1):
        before, row = row, {}
        for j in range(max(0, i - limit), min(len(other), i + limit) + 1):
            kept = before.get(j - 1, limit) + (j > 0 and letter != other[j - 1])
            row[j] = min(kept, before.get(j, limit) + 1, row.get(j - 1, limit) + 1)
        if min(row.values()) >= limit:
            return limit
    return min(row.get(len(other), limit), limit)
