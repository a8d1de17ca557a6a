"""How fast a stream is read, and how soon a lesson can begin, beside httpx and the official client.

    python benchmarks/wire.py [RUNS]

A process of its own sends chunks that were made beforehand, each in a write and an HTTP chunk of its own. By
turns the same stream is read by `wire.stream` to its frames, whose JSON is parsed when it is looked at; by
`wire.stream` with all of it looked at; by httpx's iter_lines, which only splits it into lines; and by the
`openai` client, which makes objects of it. The medians are compared. Then the CPU time of a lesson's first
cell is put beside that of `import openai`.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import openai

from helpers import stream
from helpers.practice import process

CHUNKS = 5000
SOURCE = """
import socket, sys
events = sys.stdin.buffer.read().split(b"|")
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen()
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
print(listener.getsockname()[1], flush=True)
head = b"HTTP/1.1 200 OK\\r\\ncontent-type: text/event-stream\\r\\n"
head += b"transfer-encoding: chunked\\r\\nconnection: close\\r\\n\\r\\n"
while True:
    peer, _ = listener.accept()
    with peer:
        got = b""
        while b"\\r\\n\\r\\n" not in got or not got.endswith(b"}"):
            got += peer.recv(65536)
        for event in [head, *events]:
            peer.sendall(event)
"""
FIRST_CELL = 'from helpers import lesson\nhere = lesson("10_raw_chat_request")'
PAYLOAD = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}


def chunk(content: str | None, finish_reason: str | None = None) -> bytes:
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    whole = {
        "id": "chatcmpl-123",
        "object": "chat.completion.chunk",
        "created": 1767268800,
        "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "default",
        "system_fingerprint": "fp_1",
        "choices": [choice],
        "obfuscation": "nX3kd0",
    }
    return framed(b"data: " + json.dumps(whole, separators=(",", ":")).encode() + b"\n\n")


def framed(event: bytes) -> bytes:
    """The event as a chunk of HTTP of its own, as servers send it."""
    return b"%x\r\n%b\r\n" % (len(event), event)


def by_wire(url: str) -> int:
    async def read() -> int:
        return len((await (await stream(PAYLOAD)).read()).frames)

    return asyncio.run(read()) - 2


def by_wire_to_the_end(url: str) -> int:
    async def read() -> int:
        exchange = await (await stream(PAYLOAD)).read()
        assert exchange.complete and exchange.text
        return sum(isinstance(frame.data, dict) for frame in exchange.frames)

    return asyncio.run(read()) - 1


def by_httpx(url: str) -> int:
    with httpx.Client(timeout=60) as client, client.stream("POST", url, json=PAYLOAD) as reply:
        return sum(line.startswith("data: {") for line in reply.iter_lines()) - 1


def by_async_httpx(url: str) -> int:
    async def read() -> int:
        async with httpx.AsyncClient(timeout=60) as client, client.stream("POST", url, json=PAYLOAD) as reply:
            return sum([line.startswith("data: {") async for line in reply.aiter_lines()]) - 1

    return asyncio.run(read())


def by_hand(url: str) -> int:
    """What a reader writes who wants the chunks: lines, then JSON."""

    async def read() -> int:
        async with httpx.AsyncClient(timeout=60) as client, client.stream("POST", url, json=PAYLOAD) as reply:
            lines = [line async for line in reply.aiter_lines() if line.startswith("data: {")]
            return len([json.loads(line.removeprefix("data: ")) for line in lines]) - 1

    return asyncio.run(read())


def by_openai(url: str) -> int:
    with openai.OpenAI(base_url=url.removesuffix("/chat/completions"), api_key="none") as client:
        return sum(1 for _ in client.chat.completions.create(**PAYLOAD)) - 1


READERS: dict[str, Callable[[str], int]] = {
    "wire.stream": by_wire,
    "… and all of it": by_wire_to_the_end,
    "httpx iter_lines": by_httpx,
    "httpx aiter_lines": by_async_httpx,
    "… and json.loads": by_hand,
    "openai": by_openai,
}
PROGRAMS = {"nothing": "", "first cell": FIRST_CELL, "import openai": "import openai"}


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    read_streams(runs)
    begin(runs)


def read_streams(runs: int) -> None:
    events = [*(chunk(f" word{i}") for i in range(CHUNKS)), chunk(None, "stop"), framed(b"data: [DONE]\n\n")]
    source = subprocess.Popen([sys.executable, "-c", SOURCE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert source.stdin and source.stdout
    source.stdin.write(b"|".join([*events, framed(b"")]))
    source.stdin.close()
    base = f"http://127.0.0.1:{int(source.stdout.readline())}/v1"
    os.environ.update(OPENAI_BASE_URL=base, OPENAI_API_KEY="none")
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in READERS}
    for _ in range(runs + 1):  # the first one only warms up
        for name, read in READERS.items():
            began, cpu = time.perf_counter(), time.process_time()
            assert read(f"{base}/chat/completions") == CHUNKS
            measured[name].append((time.perf_counter() - began, time.process_time() - cpu))
    source.terminate()
    source.wait()
    walls, cpus = (
        {name: statistics.median(one[at] for one in pairs[1:]) for name, pairs in measured.items()}
        for at in (0, 1)
    )
    print(f"{'':18} {'chunks/s':>9}  {'µs of CPU':>9}   wire.stream does so many times as much, by CPU")
    for name in READERS:
        speed, cost = CHUNKS / walls[name], cpus[name] / CHUNKS * 1e6
        times, by_cpu = walls[name] / walls["wire.stream"], cpus[name] / cpus["wire.stream"]
        print(f"{name:18} {speed:9,.0f}  {cost:9.1f}   x {times:.2f}, x {by_cpu:.2f}")


def begin(runs: int) -> None:
    """A lesson's first cell, with the practice server already there."""
    with tempfile.TemporaryDirectory() as home:
        process.ensure(Path(home), os.getpid())
        environ = {
            **os.environ,
            "COURSE_HOME": home,
            "COURSE_LANE": "practice",
            "PYTHON_DOTENV_DISABLED": "1",
        }
        used: dict[str, list[float]] = {name: [] for name in PROGRAMS}
        for _ in range(runs):
            for name, program in PROGRAMS.items():
                used[name].append(cpu_of(program, environ))
        process.leave(Path(home), os.getpid())
    medians = {name: statistics.median(times) for name, times in used.items()}
    net = {name: medians[name] - medians["nothing"] for name in PROGRAMS}
    for name in ("first cell", "import openai"):
        print(f"{name:18} {net[name] * 1000:6.0f} ms of CPU (x {net[name] / net['import openai']:.2f})")


def cpu_of(program: str, environ: dict[str, str]) -> float:
    """CPU seconds of a Python that runs this program."""
    child = subprocess.Popen([sys.executable, "-c", program], env=environ)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert not child.returncode
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
