"""How fast the practice server is there, and how much memory it holds.

    python benchmarks/start.py [RUNS]

Prints the median time from start to the first reply, as a multiple of what a bare Starlette application on
the same uvicorn takes, side by side in one run; and the memory (RSS) of both.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import psutil

BARE = """
import socket, uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
async def root(request): return PlainTextResponse("Ollama is running")
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen()
print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
app = Starlette(routes=[Route("/", root)])
config = uvicorn.Config(app, log_level="warning", ws="none", lifespan="off")
uvicorn.Server(config).run([listener])
"""

OURS = [sys.executable, "-m", "helpers.practice.server", "--port", "0"]


def once(command: list[str]) -> tuple[float, float]:
    """Seconds to the first reply, and RSS in MB."""
    began = time.perf_counter()
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    urllib.request.urlopen(url).read()
    took = time.perf_counter() - began
    memory = psutil.Process(server.pid).memory_info().rss / 1e6
    server.terminate()
    server.wait()
    return took, memory


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as home:
        commands = {
            "bare Starlette": [sys.executable, "-c", BARE],
            "practice server": [*OURS, "--home", home],
        }
        results: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(runs):
            for name, command in commands.items():
                results[name].append(once(command))
    base = statistics.median(took for took, _ in results["bare Starlette"])
    for name, measured in results.items():
        took = statistics.median(took for took, _ in measured)
        memory = statistics.median(memory for _, memory in measured)
        print(f"{name:16} first reply after {took:.2f} s (x {took / base:.2f}), {memory:.0f} MB")


if __name__ == "__main__":
    main()
