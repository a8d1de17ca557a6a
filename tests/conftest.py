"""A practice server with the whole library, frozen, for the tests that speak HTTP to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import browser


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def url(home: Path) -> Iterator[str]:
    """The server started as the README says, on a free port."""
    command = [sys.executable, "-m", "helpers", "practice", "--port", "0", "--home", str(home)]
    server = subprocess.Popen(
        [*command, "--models", "all", "--frozen"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert server.stdout
    first = server.stdout.readline().strip()
    assert first.startswith("http://127.0.0.1:"), first + server.stdout.read()
    yield first
    server.terminate()
    server.wait(10)


@pytest.fixture(scope="session")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as one:
        yield one


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 3 MB; `mount -o remount,…` changes it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    try:
        if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("no disk can be mounted here")
    except OSError:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_type_launch_args, "executable_path": browser.executable(), "args": browser.ARGUMENTS}


@pytest.fixture(scope="session")
def scratch_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="session")
def scratch_lab(scratch_folder: Path) -> Iterator[str]:
    """The address of a lab whose root is `scratch_folder`, for browser.scratch()."""
    with browser.lab(scratch_folder / "settings", f"--ServerApp.root_dir={scratch_folder}") as address:
        yield address
