"""`/api/pull` and `/api/push`: models out of the practice library, which is part of the server.

Source of the statuses: server/images.go and server/download.go, v0.32.15, and a recorded pull.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from . import library, names
from .errors import Refusal
from .gojson import Struct, encode
from .names import Name
from .replies import BARE_JSON, NDJSON, refused, reply, route
from .shapes import read
from .state import Practice, practice_of
from .store import config_bytes, digest_of
from .toml import read as read_toml

SPEED = 250_000_000  # bytes a second, of the published size
CADENCE = 0.06  # seconds between two lines about one layer

REQUEST = Struct(
    "api.PullRequest",
    {"model": "string", "name": "string", "stream": "bool", "insecure": "bool"},
    root="PullRequest",
)

Lines = AsyncIterator[dict[str, Any]]


async def pull(request: Request) -> Response:
    try:
        asked = read(await request.body(), REQUEST)
        name = names.parse(asked.get("model") or asked.get("name") or "")
        if name is None:
            raise Refusal("name")
    except Refusal as refusal:
        return refused(refusal)
    return await _answer(_pulled(practice_of(request), name), asked)


async def _pulled(practice: Practice, name: Name) -> Lines:
    yield {"status": "pulling manifest"}
    shelf = read_toml(library.PATH)
    entry = next((one for one in shelf["model"] if _is(one["name"], name)), None)
    if entry is None:
        yield {"error": Refusal("no manifest").text}
        return
    config, layers, blobs = library.stand_in(shelf, entry)
    data = config_bytes(config)
    for layer in [*layers, {"digest": digest_of(data), "size": len(data)}]:
        async for line in _fetched(practice, layer["digest"], layer["size"]):
            yield line
    yield {"status": "verifying sha256 digest"}
    for blob in blobs:
        practice.store.add_blob(blob)
    yield {"status": "writing manifest"}
    practice.store.save(name, config, layers, practice.clock.now())
    yield {"status": "success"}


def _is(entry: str, name: Name) -> bool:
    known = names.parse(entry)
    return known is not None and known.folded() == name.folded()


async def _fetched(practice: Practice, digest: str, size: int) -> Lines:
    """The lines about one layer: one if it is there already, else some as it grows."""
    line = {"status": f"pulling {digest[7:19]}", "digest": digest, "total": size}
    step = size if practice.clock.frozen else int(SPEED * CADENCE)
    if not practice.store.blob(digest).exists():
        if size < step:
            yield line
            return
        for completed in range(step, size, step):
            yield {**line, "completed": completed}
            await asyncio.sleep(CADENCE)
    yield {**line, "completed": size}


async def push(request: Request) -> Response:
    try:
        asked = read(await request.body(), REQUEST)
        typed = asked.get("model") or asked.get("name") or ""
        if not typed:
            raise Refusal("model required")
    except Refusal as refusal:
        return refused(refusal)
    return await _answer(_pushed(practice_of(request), typed), asked)


async def _pushed(practice: Practice, typed: str) -> Lines:
    """Pushing needs an account of ollama.com, which nobody has here; so far as it goes without one."""
    yield {"status": "retrieving manifest"}
    name = names.parse(typed)
    if practice.store.find(name):
        yield {"error": Refusal("not yours").text}
        return
    yield {"status": "couldn't retrieve manifest"}
    path = practice.store.manifests.joinpath(*name) if name else practice.store.manifests
    yield {"error": f"open {path}: no such file or directory"}


async def _answer(lines: Lines, asked: dict[str, Any]) -> Response:
    if asked.get("stream") is not False:
        encoded = (encode(line) + b"\n" async for line in lines)
        return StreamingResponse(encoded, headers={"content-type": NDJSON})
    last: dict[str, Any] = {}
    async for line in lines:
        last = line
    return reply(last, 500 if "error" in last else 200, BARE_JSON)


routes = [route("/api/pull", pull, "POST"), route("/api/push", push, "POST")]
