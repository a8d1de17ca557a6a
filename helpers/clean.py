"""`python3 -m helpers clean`: delete the models that lessons made, those whose names begin with course-.

  clean               lists them, asks, and deletes them
  clean --yes         does not ask
  clean --dry-run     only lists them

It asks the server that the lessons use. No other model is touched.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

import httpx

from helpers import lanes
from helpers.environment import COMMAND
from helpers.errors import CourseError
from helpers.show import visible

OURS = "course-"
OPTIONS = ("--yes", "--dry-run")
PATIENCE = 30.0  # seconds for the server to list or delete a model


def main(argv: list[str]) -> int:
    """Return 0 when nothing is left to do, 1 for a no, 2 for a wrong option. Raises CourseError."""
    if wrong := [word for word in argv if word not in OPTIONS]:
        print(f"clean does not know {wrong[0]!r}. It takes {' or '.join(OPTIONS)}.", file=sys.stderr)
        return 2
    lane = lanes.choose()
    os.environ.update(lane.environ)
    names = made_here()
    if not names:
        print(f"No model's name begins with {OURS}: there is nothing to clean up.")
        return 0
    print("\n".join(names))
    if "--dry-run" in argv:
        print(f"Nothing was deleted. To delete {_count(names)}: {COMMAND} clean")
        return 0
    if "--yes" not in argv and not _agreed(names):
        print("Nothing was deleted.")
        return 1
    print(remove(names))
    return 0


def made_here() -> list[str]:
    """The names of the models at OLLAMA_HOST that lessons made, sorted. Raises CourseError."""
    models = _ask("GET", "/api/tags").json()["models"] or []
    return sorted(visible(model["name"]) for model in models if model["name"].startswith(OURS))


def remove(names: list[str]) -> str:
    """Unload and delete these models, and say so in a line. Raises CourseError."""
    for name in names:
        if not name.startswith(OURS):
            raise CourseError(f"{name} is not the course's: only names that begin with {OURS} are deleted.")
        with suppress(CourseError):  # a cloud model is not in this machine's memory
            _ask("POST", "/api/generate", {"model": name, "keep_alive": 0})
        _ask("DELETE", "/api/delete", {"model": name})
    return f"Deleted: {', '.join(names)}." if names else "There was nothing to delete."


def _agreed(names: list[str]) -> bool:
    try:
        return input(f"Delete {_count(names)}? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def _count(names: list[str]) -> str:
    return "this model" if len(names) == 1 else f"these {len(names)} models"


def _ask(method: str, path: str, payload: Any = None) -> httpx.Response:
    try:
        with httpx.Client(timeout=PATIENCE, trust_env=False) as client:
            reply = client.request(method, os.environ["OLLAMA_HOST"].rstrip("/") + path, json=payload)
    except (httpx.HTTPError, httpx.InvalidURL, KeyError):
        raise CourseError("No Ollama answers at OLLAMA_HOST. Start it, then run this again.") from None
    if reply.status_code not in (200, 400, 404):  # not every model can be unloaded so; it may be gone
        raise CourseError(f"The server refused {method} {path}: {visible(reply.text)[:200]}")
    return reply
