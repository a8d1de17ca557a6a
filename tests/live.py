"""Run the lessons, unchanged, against the Ollama that answers at OLLAMA_HOST; nothing is saved.

    python -m tests.live [NOTEBOOK ...]

A cell that fails and is not meant to is named, and makes the exit code 1.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat

from tests import refresh

CELL_TIMEOUT = 900  # seconds: a real model on a small machine takes its time


def main(arguments: list[str]) -> int:
    os.environ["COURSE_LANE"] = "ollama"
    paths = [Path(argument).resolve() for argument in arguments] or sorted(refresh.NOTEBOOKS.glob("*.ipynb"))
    results = [refresh.run(nbformat.read(path, as_version=4), path, CELL_TIMEOUT) for path in paths]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
