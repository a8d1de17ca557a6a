"""A light HTTP load: many clients, each asking again as soon as it has its reply. Part of serve.py.

    python benchmarks/load.py URL CLIENTS SECONDS < BODY

POSTs BODY and prints JSON: replies, events and bytes received, the seconds it took, and the median
milliseconds to a reply's first byte.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from urllib.parse import urlsplit

EVENT = b"data: "
HEAD_END, LAST_CHUNK = b"\r\n\r\n", b"\r\n0\r\n\r\n"


class Client(asyncio.Protocol):
    """One connection that sends `question` until `until`. It parses no more than where a reply ends."""

    def __init__(self, question: bytes, until: float) -> None:
        self.question, self.until = question, until
        self.done = asyncio.get_running_loop().create_future()
        self.replies = self.events = self.bytes = 0
        self.firsts: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.head, self.missing, self.tail = b"", -1, b""
        self.asked = time.perf_counter()
        self.transport.write(self.question)

    def data_received(self, data: bytes) -> None:
        if not self.bytes or not self.head:
            self.firsts.append(time.perf_counter() - self.asked)
        self.bytes += len(data)
        self.events += data.count(EVENT)
        if not self.head.endswith(HEAD_END):
            self.head += data
            at = self.head.find(HEAD_END)
            if at < 0:
                return
            data, self.head = self.head[at + 4 :], self.head[: at + 4]
            if not self.head.startswith(b"HTTP/1.1 200"):
                self.done.set_exception(RuntimeError((self.head + data).decode()))
                return
            lowered = self.head.lower()
            at = lowered.find(b"content-length:")
            self.missing = int(lowered[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else -1
        if self.missing >= 0:
            self.missing -= len(data)
            ended = self.missing == 0
        else:
            self.tail = (self.tail + data)[-len(LAST_CHUNK) :]
            ended = self.tail == LAST_CHUNK
        if ended:
            self.replies += 1
            if time.perf_counter() < self.until:
                self.ask()
            else:
                self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or RuntimeError("the server hung up"))


async def load(url: str, body: bytes, clients: int, seconds: float) -> dict[str, float]:
    where = urlsplit(url)
    question = (
        f"POST {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer sk-practice\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    made = [
        (await loop.create_connection(lambda: Client(question, began + seconds), where.hostname, where.port))[
            1
        ]
        for _ in range(clients)
    ]
    await asyncio.gather(*(one.done for one in made))
    took = time.perf_counter() - began
    for one in made:
        one.transport.close()
    return {
        "replies": sum(one.replies for one in made),
        "events": sum(one.events for one in made),
        "bytes": sum(one.bytes for one in made),
        "seconds": took,
        "first": statistics.median(first for one in made for first in one.firsts) * 1000,
    }


if __name__ == "__main__":
    url, clients, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    try:
        from uvloop import run
    except ImportError:
        run = asyncio.run
    print(json.dumps(run(load(url, sys.stdin.buffer.read(), clients, seconds))))
