"""How long `python -m helpers lab` takes to answer, beside JupyterLab started alone.

    python benchmarks/lab.py [RUNS]

Prints the median seconds until the page can be had of both, side by side in one run.
"""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ALONE = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.ip=127.0.0.1", "--allow-root"]
OURS = [sys.executable, "-m", "helpers", "lab", "--no-browser"]


def once(command: list[str]) -> float:
    """Seconds from the start to the first page."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        environ = {**os.environ, "COURSE_HOME": folder, "JUPYTER_RUNTIME_DIR": folder}
        began = time.perf_counter()
        lab = subprocess.Popen(
            command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert lab.stdout is not None
        found = None
        while not found:
            found = re.search(r"http://(?:localhost|127\.0\.0\.1):\d+/\S*", lab.stdout.readline())
        while not answers(found[0]):
            time.sleep(0.01)
        took = time.perf_counter() - began
        lab.send_signal(signal.SIGINT)
        time.sleep(0.2)
        if lab.poll() is None:
            lab.terminate()
        lab.communicate()
        return took


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url).read()
    except OSError:
        return False
    return True


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    times: dict[str, list[float]] = {"JupyterLab alone": [], "lab": []}
    for _ in range(runs):
        times["JupyterLab alone"].append(once(ALONE))
        times["lab"].append(once(OURS))
    alone, ours = (statistics.median(measured) for measured in times.values())
    print(f"JupyterLab alone {alone:.2f} s, lab {ours:.2f} s (x {ours / alone:.2f})")


if __name__ == "__main__":
    main()
