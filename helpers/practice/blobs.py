"""`/api/blobs`: the files models are made of, each under its SHA-256. Source: server/routes.go, v0.32.15."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile

from starlette.requests import Request
from starlette.responses import Response

from .errors import BrokenBody, Refusal
from .replies import refused, route
from .state import practice_of
from .store import trouble


async def head_blob(request: Request) -> Response:
    digest = request.path_params["digest"]
    try:
        there = practice_of(request).store.blob(digest).exists()
    except ValueError:
        return refused(Refusal("digest"))
    return Response(status_code=200) if there else refused(Refusal("blob not found", digest=digest))


async def add_blob(request: Request) -> Response:
    """Keep an upload under its own digest, as it streams in; a wrong name is refused, the upload kept all the
    same.
    """
    store, digest = practice_of(request).store, request.path_params["digest"]
    try:
        path = store.blob(digest)
    except ValueError:
        return refused(Refusal("digest"))
    if path.exists():
        return Response(status_code=200)
    own = hashlib.sha256()
    try:
        handle, part = tempfile.mkstemp(dir=store.blobs, suffix=".part")
    except OSError as error:
        return refused(trouble("open", path, error))
    try:
        with os.fdopen(handle, "wb") as file:
            async for chunk in request.stream():
                own.update(chunk)
                file.write(chunk)
            file.flush()
            await asyncio.to_thread(os.fsync, handle)
        got = f"sha256:{own.hexdigest()}"
        os.replace(part, store.blob(got))
    except BaseException as error:
        os.unlink(part)
        if isinstance(error, OSError):
            return refused(trouble("write", path, error))
        if isinstance(error, BrokenBody):
            return refused(Refusal("file", text=str(error)))
        raise
    if got != digest:
        return refused(Refusal("digest mismatch", expected=digest, got=got))
    return Response(status_code=201)


routes = [
    route("/api/blobs/{digest}", head_blob, "HEAD"),
    route("/api/blobs/{digest}", add_blob, "POST"),
]
