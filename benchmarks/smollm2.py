"""How fast the course's language model writes, next to xllamacpp's own server with the same weights.

    python benchmarks/smollm2.py [HOME] [RUNS]

HOME is where the practice server keeps its models, with smollm2:135m pulled; by default the course's own.
Prints tokens a second of both, measured by turns in one run from the request to the last token, with their
ratio; and what the server's process holds more in memory when the model has run. The fastest runs come
first: they are those that other programs disturbed least.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from helpers.practice import names, process, weights
from helpers.practice.engines.smollm2 import CHILD, threads
from helpers.practice.store import Store

MODEL, PROMPT, TOKENS, CONTEXT = "smollm2:135m", "Once upon a time there was a", 200, 4096
SAMPLING = {"temperature": 0, "repeat_penalty": 1.1, "seed": 1}


def own(url: str, client: httpx.Client) -> float:
    """Tokens a second of xllamacpp's server, streamed."""
    body = {"prompt": PROMPT, "stream": True, "cache_prompt": False, "n_predict": TOKENS, **SAMPLING}
    began, made = time.perf_counter(), 0
    with client.stream("POST", f"{url}/completion", json=body) as reply:
        for line in reply.iter_lines():
            if line.startswith("data: "):
                made = json.loads(line[6:])["tokens_predicted"]
    return made / (time.perf_counter() - began)


def ours(url: str, client: httpx.Client) -> float:
    """Tokens a second of the practice server, streamed."""
    options = {"num_predict": TOKENS, "num_ctx": CONTEXT, "top_p": 0.95, "min_p": 0.05, **SAMPLING}
    body = {"model": MODEL, "prompt": PROMPT, "raw": True, "options": options}
    began, made = time.perf_counter(), 0
    with client.stream("POST", f"{url}/api/generate", json=body) as reply:
        for line in reply.iter_lines():
            made = json.loads(line).get("eval_count", 0)
    return made / (time.perf_counter() - began)


def main() -> None:
    home = Path(sys.argv[1]) if len(sys.argv) > 1 else process.course_home()
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    model = Store(home).find(names.parse(MODEL))
    path = weights.runner_path(home)
    if model is None or path is None:
        sys.exit(f"{home} has no {MODEL}. Pull it there first: ollama pull {MODEL}")
    given = {
        "path": path,
        "model": str(model.layers("model")[0]),
        "key": "benchmark",
        "threads": threads(),
        "params": {"n_ctx": CONTEXT, "n_parallel": 1},
    }
    with tempfile.TemporaryDirectory() as folder:
        for part in ("models", "runner"):
            if (home / part).exists():
                (Path(folder) / part).symlink_to(home / part)
        command = [sys.executable, "-m", "helpers.practice.server", "--port", "0", "--home", folder]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        other = subprocess.Popen(
            [sys.executable, CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert server.stdout and other.stdin and other.stdout
        other.stdin.write(json.dumps(given).encode() + b"\n")
        other.stdin.flush()
        our_url, its_url = server.stdout.readline().strip(), other.stdout.readline().decode().strip()
        idle = psutil.Process(server.pid).memory_info().rss
        each_anew = httpx.Limits(max_keepalive_connections=0)
        key = {"authorization": "Bearer benchmark"}
        with (
            httpx.Client(timeout=300, trust_env=False, limits=each_anew) as asking,
            httpx.Client(timeout=300, trust_env=False, limits=each_anew, headers=key) as asking_it,
        ):
            ours(our_url, asking), own(its_url, asking_it)
            pairs = []
            for run in range(runs):  # who is first changes, so that a machine that slows down is fair to both
                if run % 2:
                    mine, its = ours(our_url, asking), own(its_url, asking_it)
                else:
                    its, mine = own(its_url, asking_it), ours(our_url, asking)
                pairs.append((mine, its))
        grown = psutil.Process(server.pid).memory_info().rss - idle
        server.terminate()
        server.wait()
        other.stdin.close()
        other.wait()
    print(f"{'tokens a second':16} {'fastest':>8} {'median':>8}")
    rows = {"practice server": [mine for mine, _ in pairs], "xllamacpp's own": [its for _, its in pairs]}
    for name, rates in rows.items():
        print(f"{name:16} {max(rates):8.1f} {statistics.median(rates):8.1f}")
    mine, its = rows.values()
    paired = statistics.median(one / other for one, other in pairs)
    print(f"{'ratio':16} {max(mine) / max(its):8.3f} {paired:8.3f}  ({runs} pairs)")
    print(f"server's memory   {grown / 1e6:+.0f} MB, {threads()} of {os.cpu_count()} cores used")


if __name__ == "__main__":
    main()
