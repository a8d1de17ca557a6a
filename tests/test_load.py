"""Many clients, large bodies, clients that go away: the server stays small and answers.

COURSE_LOAD_STREAMS and COURSE_LOAD_ROUNDS make the run longer.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from tests.served import Served, served

MB = 1024 * 1024
STREAMS = int(os.environ.get("COURSE_LOAD_STREAMS", "2000"))
CHAT = b'{"model": "llama3.2", "messages": [{"role": "user", "content": "Count to 100"}]}'


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that writes two tokens a second."""
    with served(tmp_path_factory.mktemp("slow") / "home", "--pace", "2") as one:
        yield one


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "home") as one:
        yield one


def until(true: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def start_stream(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A chat whose head has arrived."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(CHAT)
    writer.write(head + CHAT)
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
    return reader, writer


def test_thousands_of_slow_streams_leave_room_for_a_fresh_request(slow: Served) -> None:
    before = slow.rss()

    async def run() -> tuple[list[float], int]:
        allowed = _allow_files(STREAMS + 200)
        open_ones = []
        for start in range(0, allowed, 200):
            batch = [start_stream(slow.port) for _ in range(min(200, allowed - start))]
            open_ones += await asyncio.gather(*batch)
        waits = []
        async with httpx.AsyncClient(trust_env=False) as client:
            for _ in range(10):
                began = time.monotonic()
                assert (await client.get(f"{slow.url}/api/version")).status_code == 200
                waits.append(time.monotonic() - began)
        grown = slow.rss() - before
        lines = await asyncio.gather(*(reader.readuntil(b"\n") for reader, _ in open_ones[:50]))
        assert all(lines)
        for _, writer in open_ones:
            writer.transport.abort()
        return waits, grown // len(open_ones)

    waits, each = asyncio.run(run())
    assert sorted(waits)[5] < 0.5, waits
    assert each < 64 * 1024, each
    until(lambda: _open_connections(slow) < 10)


def _allow_files(wanted: int) -> int:
    """How many connections this test can open."""
    try:
        import resource
    except ImportError:
        return 400
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit, 1024), hard))
    return limit - 200


def _open_connections(one: Served) -> int:
    import psutil

    return sum(
        conn.status == psutil.CONN_ESTABLISHED for conn in psutil.Process(one.process.pid).net_connections()
    )


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_ends_its_request(slow: Served, stream: bool) -> None:
    asked = CHAT[:-1] + b', "keep_alive": 0, "stream": %b}' % (b"true" if stream else b"false")
    head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(asked)

    def loaded() -> list[str]:
        return httpx.get(f"{slow.url}/api/ps", trust_env=False).json()["models"]

    with socket.create_connection(("127.0.0.1", slow.port), 10) as connection:
        connection.sendall(head + asked)
        until(lambda: bool(loaded()))
        if stream:
            assert connection.recv(1000)
    until(lambda: not loaded())  # with keep_alive 0 a model is unloaded as soon as nobody uses it


@pytest.mark.parametrize(
    "path", ["/api/chat", "/v1/chat/completions", "/openai/v1/chat/completions", "/v1/messages"]
)
def test_a_huge_body_is_refused_without_being_held(quick: Served, path: str) -> None:
    before, peak = quick.rss(), 0

    def body() -> Iterator[bytes]:
        nonlocal peak
        yield b'{"model": "llama3.2", "prompt": "'
        for _ in range(100):
            yield b"x" * MB
            peak = max(peak, quick.rss())
        yield b'"}'

    reply = httpx.post(f"{quick.url}{path}", content=body(), timeout=30, trust_env=False)
    assert reply.status_code == 413 and "error" in reply.json()
    assert peak - before < 100 * MB
    length = {"content-length": str(100 * MB)}
    with httpx.Client(trust_env=False, timeout=30) as client:
        request = client.build_request("POST", f"{quick.url}{path}", content=b"", headers=length)
        request.stream = httpx.ByteStream(b"x" * (100 * MB))
        assert client.send(request).status_code == 413
    assert quick.rss() - before < 100 * MB


def test_a_huge_blob_goes_to_disk_as_it_comes(quick: Served) -> None:
    import hashlib

    part, parts = os.urandom(MB), 100
    digest = hashlib.sha256(part * parts).hexdigest()
    before, peak = quick.rss(), 0

    def body() -> Iterator[bytes]:
        nonlocal peak
        for _ in range(parts):
            yield part
            peak = max(peak, quick.rss())

    reply = httpx.post(f"{quick.url}/api/blobs/sha256:{digest}", content=body(), timeout=60, trust_env=False)
    assert reply.status_code == 201
    assert peak - before < 20 * MB


def test_long_paths_are_not_kept(quick: Served) -> None:
    before, client = 0, HTTPConnection("127.0.0.1", quick.port)
    for number in range(900):
        client.request("GET", f"//{number}{'x' * 60_000}")
        assert client.getresponse().read() and client.sock  # a redirect, on the same connection
        if number == 300:  # the journal has its last requests by now
            before = quick.rss()
    client.close()
    assert quick.rss() - before < 15 * MB


def test_memory_does_not_grow_with_requests(quick: Served) -> None:
    rounds = int(os.environ.get("COURSE_LOAD_ROUNDS", "2"))

    async def storm(client: httpx.AsyncClient) -> None:
        async def one(number: int) -> None:
            content = CHAT.replace(b"100", b"%d" % (number % 40))
            await client.post(f"{quick.url}/api/chat", content=content)
            await client.get(
                f"{quick.url}/nowhere/{number}", headers={"x-practice-fault": f"429; id={number}"}
            )

        for start in range(0, 160, 20):
            await asyncio.gather(*(one(start + i) for i in range(20)))

    async def run() -> list[int]:
        sizes = []
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            for _ in range(1 + rounds):
                await storm(client)
                sizes.append(quick.rss())
        return sizes

    sizes = asyncio.run(run())
    assert sizes[-1] - sizes[0] < 4 * MB, sizes


def test_it_is_there_at_once_and_small(tmp_path: Path) -> None:
    began = time.monotonic()
    with served(tmp_path / "home") as one:
        took = time.monotonic() - began
        httpx.get(f"{one.url}/api/tags", trust_env=False)
        assert one.rss() < 60 * MB
    assert took < 3, "benchmarks/serve.py measures it; this is a guard for a busy machine"


def test_ctrl_c_ends_it_in_the_middle_of_streams(tmp_path: Path) -> None:
    import signal

    async def held(port: int) -> AsyncIterator[None]:
        _, writer = await start_stream(port)
        yield
        writer.transport.abort()

    with served(tmp_path / "home", "--pace", "1") as one:

        async def run() -> None:
            async for _ in held(one.port):
                began = time.monotonic()
                one.process.send_signal(signal.SIGINT)
                while one.process.poll() is None and time.monotonic() - began < 8:
                    await asyncio.sleep(0.02)

        asyncio.run(run())
        assert one.process.poll() == 0
    assert "Traceback" not in one.errors.read_text()
