"""How fast the practice `ollama` command is: `ollama ls`, as a multiple of what `import httpx` takes.

    python benchmarks/command.py [RUNS]

Both are started in turns, in one run; the fastest of each counts, because whatever else the machine does only
ever adds. The command is to stay below 1.3.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

OURS = [sys.executable, "-m", "helpers.practice.command", "ls"]
BASE = [sys.executable, "-c", "import httpx"]
SERVER = [sys.executable, "-m", "helpers.practice.server", "--port", "0", "--home"]


def once(command: list[str], environ: dict[str, str]) -> float:
    """Seconds that a command takes."""
    began = time.perf_counter()
    subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as home:
        server = subprocess.Popen([*SERVER, home], stdout=subprocess.PIPE, text=True)
        assert server.stdout
        environ = {**os.environ, "OLLAMA_HOST": server.stdout.readline().strip()}
        taken: dict[str, list[float]] = {"import httpx": [], "ollama ls": []}
        try:
            for _ in range(runs):
                taken["import httpx"].append(once(BASE, environ))
                taken["ollama ls"].append(once(OURS, environ))
        finally:
            server.terminate()
            server.wait()
    base = min(taken["import httpx"])
    for name, seconds in taken.items():
        print(f"{name:13} {min(seconds) * 1000:4.0f} ms (x {min(seconds) / base:.2f})")


if __name__ == "__main__":
    main()
