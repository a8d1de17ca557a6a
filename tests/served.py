"""A practice server of a test's own, and raw bytes to it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Served:
    """A running server; `process` prints to `errors`."""

    url: str
    process: subprocess.Popen[str]
    errors: Path

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def rss(self) -> int:
        """Bytes of memory it holds."""
        return psutil.Process(self.process.pid).memory_info().rss


@contextmanager
def served(home: Path, *flags: str, **environ: str) -> Iterator[Served]:
    """The server over `home` on a free port, ended at the end."""
    errors = home.parent / f"{home.name}.err"
    command = [sys.executable, "-m", "helpers.practice.server", "--port", "0", "--home", str(home), *flags]
    with open(errors, "w") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **environ}
        )
    assert process.stdout
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://"), errors.read_text()
        yield Served(url, process, errors)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def raw(port: int, sent: bytes, seconds: float = 10, hang_up: bool = False) -> bytes:
    """Everything a server answers to `sent` until it ends; with `hang_up` it is told that this was all."""
    with socket.create_connection(("127.0.0.1", port), seconds) as connection:
        connection.sendall(sent)
        if hang_up:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65536):
            received += part
    return received
