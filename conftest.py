"""Every test and every notebook runs against a frozen practice server of this test run, and nothing else."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from helpers.practice import launcher, process

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
UNSET = ("COURSE_OWNER", "OPENAI_", "OLLAMA_", "AZURE_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
CELL_QUIET = 30  # seconds nbval waits for a cell's last output; its own 5 are too few on a busy machine
HOME = pytest.StashKey[tempfile.TemporaryDirectory]()


def pin_environment(home: str) -> None:
    """Make this process's environment, which kernels inherit, the same everywhere."""
    for name in list(os.environ):
        if name.upper().startswith(UNSET):
            del os.environ[name]
    os.environ.update(PINNED, COURSE_HOME=home)
    os.environ["PATH"] = os.pathsep.join([str(launcher.folder()), os.environ["PATH"]])


def leave(home: str) -> None:
    process.leave(Path(home), os.getpid())


def pytest_configure(config: pytest.Config) -> None:
    """nbval's cells use no fixtures, so all is set here."""
    home = tempfile.TemporaryDirectory(prefix="course-", ignore_cleanup_errors=True)
    pin_environment(home.name)
    config.stash[HOME] = home


def pytest_unconfigure(config: pytest.Config) -> None:
    home = config.stash.get(HOME, None)
    if home:
        leave(home.name)
        home.cleanup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The lessons come first, in their order and in a fresh home, which the exercises' tests fill with models.
    # The browser comes last: Playwright leaves its event loop running in its thread.
    items.sort(key=lambda item: (item.path.name.startswith("test_browser"), item.path.suffix != ".ipynb"))
    for item in items:
        if hasattr(item, "output_timeout"):
            item.output_timeout = CELL_QUIET


class ByFile(LoadScopeScheduling):
    """A file of tests stays in one process, and so do all the lessons together."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "lessons" if file.endswith(".ipynb") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)
