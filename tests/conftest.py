"""A practice server with the whole library, frozen, for the tests that speak HTTP to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest


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
