"""The course as a learner sees it: `lab` started by the front door, and a real Chromium looking at it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit
from uuid import uuid4

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SERVERS = ("OLLAMA_", "OPENAI_")
expect.set_options(timeout=30_000)  # on a busy machine

STARTED = 120_000  # milliseconds for a lab or a kernel to start on a busy machine

IDLE = """() => {
  const session = window.jupyterapp?.shell.currentWidget?.sessionContext;
  return session?.isReady && session.session?.kernel?.status === 'idle';
}"""
RUN_ALL = """() => {
  window.ranAll = false;
  window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.ranAll = true; });
}"""

TERMINAL = """async () => {
  window.terminal = (await window.jupyterapp.commands.execute('terminal:create-new')).content;
  await window.terminal.ready;
}"""
SCREEN = """() => {
  const buffer = window.terminal._term.buffer.active;
  const lines = Array.from({ length: buffer.length }, (_, n) => buffer.getLine(n).translateToString(true));
  return lines.join('\\n').trimEnd();
}"""


def executable() -> str | None:
    """The Chromium or Chrome of this machine."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


NEEDED = pytest.mark.skipif(
    executable() is None, reason=f"no browser on this machine ({', '.join(BROWSERS)})"
)


@contextmanager
def lab(folder: Path, *arguments: str) -> Iterator[str]:
    """`python -m helpers lab` with settings and servers of its own below `folder`; yields its address."""
    private = {
        name: str(folder / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    private |= {
        name: str(folder / name.lower()) for name in ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    }
    settings = folder / "jupyterlab_settings_dir" / "@jupyterlab" / "docmanager-extension"
    settings.mkdir(parents=True)
    (settings / "plugin.jupyterlab-settings").write_text('{"autosave": false}')  # a test changes no lesson
    ours = {name: value for name, value in os.environ.items() if not name.startswith(SERVERS)}
    environ = {
        **ours,
        **private,
        "COURSE_HOME": str(folder / "home"),
    }  # nothing of a lesson another test began
    with socket.create_server(("localhost", 0)) as free:  # two labs that begin at once would want one port
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "helpers", "lab", "--no-browser", f"--port={port}", *arguments]
    command.append("--LabApp.expose_app_in_browser=True")
    process = subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    )
    try:
        assert process.stdout
        url = _address(process.stdout)
        deadline = time.monotonic() + STARTED / 1000
        while not _answers(url):
            assert time.monotonic() < deadline and process.poll() is None, f"{url} does not answer"
            time.sleep(0.02)
        yield url
    finally:
        process.send_signal(signal.SIGINT if os.name != "nt" else signal.CTRL_C_EVENT)
        process.wait(30)


def _address(lines: IO[str]) -> str:
    said = ""
    for line in lines:
        said += line
        if found := re.search(r"http://(?:localhost|127\.0\.0\.1):\d+/\S*", line):
            return found[0]
    raise AssertionError(f"lab ended without an address:\n{said}")


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


def run_all(page: Page) -> None:
    """Run every cell of the notebook in front, and wait until the kernel rests."""
    page.wait_for_function(IDLE, timeout=STARTED)
    page.evaluate(RUN_ALL)
    page.wait_for_function("window.ranAll", timeout=STARTED)
    page.wait_for_function(IDLE, timeout=STARTED)


def scratch(page: Page, address: str, folder: Path, cells: list[str]) -> str:
    """Write a notebook into `folder`, the root of the lab at `address`, and open it; return its path."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = f"{uuid4().hex}.ipynb"
    nbformat.write(notebook, folder / path)
    open_notebook(page, address, path)
    return path


def open_notebook(page: Page, address: str, path: str) -> None:
    """Open a notebook of the lab at `address`, and nothing that an earlier visit left open."""
    first = urlsplit(address)
    page.goto(f"{first.scheme}://{first.netloc}/lab/tree/{path}?{first.query}&reset")
    page.wait_for_function(
        f"path => window.jupyterapp?.shell.currentWidget?.context?.path === path && ({IDLE})()",
        arg=path,
        timeout=STARTED,
    )


def accessibility(page: Page, context: str) -> list[str]:
    """What axe-core finds serious or critical below the CSS selector `context`, a line each."""
    found = Axe().run(page, context=context).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def outputs(page: Page) -> list[dict[str, Any]]:
    """All outputs of the notebook in front, but for those of cells that are meant to fail."""
    cells = page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON().cells"
    )
    whole = [cell for cell in cells if "raises-exception" not in cell["metadata"].get("tags", [])]
    return [{**output, "cell": cell["source"]} for cell in whole for output in cell.get("outputs", [])]


def open_terminal(page: Page) -> None:
    """Bring a new terminal to the front, and wait until its shell asks for a command."""
    page.wait_for_function("window.jupyterapp?.commands.hasCommand('terminal:create-new')", timeout=STARTED)
    page.evaluate(TERMINAL)
    page.wait_for_function(f"({SCREEN})().length > 0", timeout=STARTED)


def screen(page: Page, until: str) -> str:
    """What the terminal shows, as soon as `until` is on it."""
    page.wait_for_function(f"text => ({SCREEN})().includes(text)", arg=until, timeout=STARTED)
    return page.evaluate(SCREEN)


def type_line(page: Page, line: str) -> None:
    """Type a line and Enter into the terminal, wherever the focus went in the meantime."""
    page.evaluate("window.jupyterapp.shell.activateById(window.terminal.parent.id)")
    page.locator(".jp-Terminal").click()
    page.wait_for_function("document.activeElement?.classList.contains('xterm-helper-textarea')")
    page.keyboard.type(f"{line}\r")
