"""Every test and every notebook runs against a frozen practice server of this test run, and nothing else."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from helpers.practice import process

# What a terminal, a time zone or a learner's settings would change in an output.
PINNED = {
    "COURSE_LANE": "practice",
    "COURSE_FROZEN": "1",
    "PYTHON_DOTENV_DISABLED": "1",
    "COLUMNS": "80",
    "LINES": "24",
    "TERM": "xterm-color",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
}
UNSET = ("OPENAI_", "OLLAMA_", "AZURE_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
CELL_QUIET = 30  # seconds nbval waits for a cell's last output; its own 5 are too few on a busy machine


def pytest_configure(config: pytest.Config) -> None:
    """nbval's cells use no fixtures and inherit this process's environment, so all of it is set here."""
    for name in list(os.environ):
        if name.upper().startswith(UNSET):
            del os.environ[name]
    home = tempfile.TemporaryDirectory(prefix="course-", ignore_cleanup_errors=True)
    os.environ.update(PINNED, COURSE_HOME=home.name)
    config.stash[HOME] = home


HOME = pytest.StashKey[tempfile.TemporaryDirectory]()


def pytest_unconfigure(config: pytest.Config) -> None:
    home = config.stash.get(HOME, None)
    if home:
        process.leave(Path(home.name), os.getpid())
        home.cleanup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if hasattr(item, "output_timeout"):
            item.output_timeout = CELL_QUIET
