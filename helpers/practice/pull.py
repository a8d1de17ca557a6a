"""`/api/pull`: models out of the practice library, which is part of the server, or of any other registry.

Source of the order, the statuses and the errors: server/images.go and server/download.go, v0.32.15, and a
recorded pull. What has come of a file stays beside the blobs as `sha256-…-partial` until all of it is there
and has the right digest; a pull that was broken off goes on from it. The manifest is written last.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from helpers.errors import CourseError

from . import library, names, registry, weights
from .errors import Refusal
from .gojson import BadBody, Struct, decode, encode
from .names import Name
from .replies import BARE_JSON, NDJSON, Stream, refused, reply, route, written
from .shapes import PULL, read
from .state import Practice, practice_of
from .store import digests_of, entries, no_prune, trouble

CADENCE = 0.06  # seconds between two lines about one file
SPEED = 250.0  # MB a second at which a stand-in's weights seem to come; COURSE_PULL_SPEED sets another

Lines = AsyncGenerator[dict[str, Any], None]
Coming = AsyncIterator[tuple[int, int]]  # bytes there, bytes in all


async def pull(request: Request) -> Response:
    try:
        asked = read(await request.body(), PULL)
        try:
            name = names.pull_name(asked.get("model") or asked.get("name") or "")
        except names.BothSources as error:
            raise Refusal("either", model=error) from error
        if name is None:
            raise Refusal("name")
    except Refusal as refusal:
        return refused(refusal)
    practice = practice_of(request)
    name = practice.store.spelled(name)
    return await answer(pulled(practice, name, asked.get("insecure", False)), asked)


async def pulled(practice: Practice, name: Name, insecure: bool = False) -> Lines:
    """Pull a model; the statuses as they come. Raises Refusal."""
    store, clock = practice.store, practice.clock
    old = store.exact(name)
    yield {"status": "pulling manifest"}
    async with AsyncExitStack() as stack:
        data, fetch = await _source(practice, name, insecure, stack)
        files = {one["digest"]: one["size"] for one in entries(decode(data, ANYTHING))}
        stack.enter_context(store.hold(files))
        come = []
        for digest, size in files.items():
            if store.blob(digest).exists():
                yield _line(digest, size, size)
                continue
            come.append(digest)
            async with aclosing(_fetched(practice, digest, size, fetch)) as lines:
                async for line in lines:
                    yield line
        if any(weights.real(digest) for digest in files):
            async with aclosing(_runner(practice)) as lines:
                async for line in lines:
                    yield line
        yield {"status": "verifying sha256 digest"}
        for digest in come:
            if not store.blob(digest).exists():
                await asyncio.to_thread(store.adopt, partial(store.blob(digest)), digest)
        yield {"status": "writing manifest"}
        store.write(name, data, clock.now())
    unused = digests_of(old.manifest) - set(files) if old else set()
    if unused and not no_prune():
        yield {"status": "removing unused layers"}
        store.drop(unused)
    yield {"status": "success"}


def partial(blob: Path) -> Path:
    """Where the bytes of a blob are while it comes."""
    return blob.with_name(blob.name + "-partial")


def _line(digest: str, total: int, completed: int) -> dict[str, Any]:
    line: dict[str, Any] = {"status": f"pulling {digest[7:19]}", "digest": digest, "total": total}
    return {**line, "completed": completed} if completed else line


# --- where models come from -----------------------------------------------------------------------

Fetch = Callable[[str, int], Coming]  # the digest and the stated size of a file that is to come as a partial
ANYTHING = Struct("manifest.Manifest", {"layers": "any", "config": "any"}, root="Manifest")


async def _source(
    practice: Practice, name: Name, insecure: bool, stack: AsyncExitStack
) -> tuple[bytes, Fetch]:
    """The manifest of a model, and what fetches its files. Raises Refusal."""
    try:
        if name.host != names.HOST:
            return await _remote(practice, name, insecure, stack)
        pushed = registry.shelf(practice.home)
        if found := pushed.find(name):
            return pushed.manifest_path(found.name).read_bytes(), _copier(practice, pushed.blob)
        if offer := library.offer(name):
            return offer.manifest, _maker(practice, offer)
    except Refusal as refusal:
        raise Refusal("file", text=f"pull model manifest: {refusal.text}") from refusal
    raise Refusal("no manifest")


async def _remote(
    practice: Practice, name: Name, insecure: bool, stack: AsyncExitStack
) -> tuple[bytes, Fetch]:
    from . import oci  # only here: its HTTP client would make each start of the server slower

    there = await stack.enter_async_context(oci.connected(name, insecure))

    async def fetch(digest: str, size: int) -> Coming:
        try:
            async for coming in oci.download(there, name, digest, partial(practice.store.blob(digest))):
                yield coming
        except oci.NotThere:
            raise Refusal("file", text="file does not exist") from None

    try:
        data = await oci.manifest(there, name)
        entries(decode(data, ANYTHING))
    except oci.NotThere:
        raise Refusal("file", text="file does not exist") from None
    except (BadBody, ValueError) as error:
        raise Refusal("file", text=error) from error
    return data, fetch


def _copier(practice: Practice, source: Callable[[str], Path]) -> Fetch:
    """Fetches files that are on this machine already."""

    async def fetch(digest: str, size: int) -> Coming:
        part = partial(practice.store.blob(digest))
        try:
            await asyncio.to_thread(shutil.copyfile, source(digest), part)
        except OSError as error:
            raise trouble("write", part, error) from error
        yield size, size

    return fetch


def _maker(practice: Practice, offer: library.Offer) -> Fetch:
    """Fetches what the library makes itself; the weights of a stand-in seem to come at a set speed.

    How far they seem to be is kept, as a number, in the partial file, which gets its real bytes at the end.
    """

    async def fetch(digest: str, size: int) -> Coming:
        part = partial(practice.store.blob(digest))
        data = offer.blobs.get(digest)
        if data is None:
            async for coming in weights.fetch(part, offer.entry):
                yield coming
            return
        step = size if practice.clock.frozen else max(1, int(_speed() * 1e6 * CADENCE))
        if size > len(data):
            for seen in range(_seen(part), size, step):
                _write(part, str(seen).encode())
                yield seen, size
                await asyncio.sleep(0 if practice.clock.frozen else CADENCE)
        _write(part, data)
        yield size, size

    return fetch


def _speed() -> float:
    text = os.environ.get("COURSE_PULL_SPEED") or str(SPEED)
    if re.fullmatch(r"\d{1,6}(\.\d+)?", text) and float(text):
        return float(text)
    raise Refusal("file", text="COURSE_PULL_SPEED is to be a number of MB a second, such as 250")


def _seen(part: Path) -> int:
    try:
        return int(part.read_text("ascii"))
    except (OSError, ValueError):
        return 0


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise trouble("write", path, error) from error


async def _runner(practice: Practice) -> Lines:
    """What runs real weights is fetched with them, once."""
    if weights.runner_path(practice.home) is not None:
        return
    async with aclosing(
        _fetched(practice, weights.runner()["digest"], 0, lambda *_: weights.fetch_runner(practice.home))
    ) as lines:
        async for line in lines:
            yield line


# --- one file, for whoever waits for it -----------------------------------------------------------


@dataclass
class _Download:
    """A file on its way. It ends when the last one who waits for it has gone."""

    total: int
    completed: int = 0
    waiting: int = 0
    task: asyncio.Future[None] = field(init=False)

    async def run(self, coming: Coming) -> None:
        async for self.completed, self.total in coming:
            pass


_downloads: dict[Path, _Download] = {}


async def _fetched(practice: Practice, digest: str, size: int, fetch: Fetch) -> Lines:
    """The lines about one file that is not there, which then lies whole in its partial file."""
    path = practice.store.blob(digest)
    download = _downloads.get(path)
    if download is None:
        download = _downloads[path] = _Download(size)
        download.task = asyncio.ensure_future(download.run(fetch(digest, size)))
    download.waiting += 1
    try:
        while not download.task.done():
            await asyncio.wait([download.task], timeout=None if practice.clock.frozen else CADENCE)
            if download.total and not download.task.done():
                yield _line(digest, download.total, download.completed)
        download.task.result()
    finally:
        download.waiting -= 1
        if not download.waiting:
            download.task.cancel()
            _downloads.pop(path, None)
    yield _line(digest, download.total, download.total)


# --- the reply ------------------------------------------------------------------------------------


async def answer(lines: Lines, asked: dict[str, Any]) -> Response:
    """The lines as a stream, or the last of them alone; a refusal is the last line."""
    told = _told(lines)
    if asked.get("stream") is not False:
        return Stream((encode(line) + b"\n" async for line in told), written({"content-type": NDJSON}))
    last: dict[str, Any] = {}
    async with aclosing(told):
        async for line in told:
            last = line
    return reply(last, 500 if "error" in last else 200, BARE_JSON)


async def _told(lines: Lines) -> Lines:
    try:
        async with aclosing(lines):
            async for line in lines:
                yield line
    except (Refusal, CourseError) as error:
        yield {"error": str(error)}
    except OSError as error:
        yield {"error": trouble("open", Path(error.filename or ""), error).text}


routes = [route("/api/pull", pull, "POST")]
