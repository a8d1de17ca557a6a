"""A real kernel, for what only a kernel shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_client import BlockingKernelClient, KernelManager


class Kernel:
    """A kernel with just this environment, in this folder."""

    def __init__(self, environ: dict[str, str], folder: Path) -> None:
        self.manager = KernelManager()
        self.manager.start_kernel(cwd=str(folder), env=environ)
        self.client: BlockingKernelClient = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, code: str, during: Callable[[], None] | None = None) -> str:
        """Run a cell and return all that it showed."""
        shown: list[str] = []

        def take(message: dict[str, Any]) -> None:
            content = message["content"]
            shown.append(content.get("text") or content.get("data", {}).get("text/plain", ""))
            shown.extend(content.get("traceback", []))
            if during and "ready" in content.get("text", ""):
                during()

        self.client.execute_interactive(code, output_hook=take, timeout=60, allow_stdin=False)
        return "".join(shown)

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
