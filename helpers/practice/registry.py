"""`/v2/`: an OCI registry, which is where models are pulled from and pushed to.

It has the practice library and what was pushed to it; that is kept in `<home>/registry`, laid out as a home's
models. Over HTTP a stand-in's manifest states the sizes its files really have. A whole blob is answered by a
redirect to this server's other host name, because Ollama's client refuses any other answer.

Sources: the OCI distribution specification 1.1, and Debian's docker-registry 2.8 for bodies and headers.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Awaitable, Callable
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from . import library, names, weights
from .errors import Refusal
from .gojson import encode
from .names import Name
from .replies import route
from .state import Practice, practice_of
from .store import DIGEST, MANIFEST_TYPE, Store, digest_of, digests_of, no_prune, trouble

MANIFEST_LIMIT = 4 * 1024 * 1024  # bytes
OTHER_NAME = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}
VERSION = {"docker-distribution-api-version": "registry/2.0"}

# Status and message by code.
WRONGS = {
    "BLOB_UNKNOWN": (404, "blob unknown to registry"),
    "BLOB_UPLOAD_INVALID": (416, "blob upload invalid"),
    "BLOB_UPLOAD_UNKNOWN": (404, "blob upload unknown to registry"),
    "DIGEST_INVALID": (400, "provided digest did not match uploaded content"),
    "MANIFEST_BLOB_UNKNOWN": (400, "blob unknown to registry"),
    "MANIFEST_INVALID": (400, "manifest invalid"),
    "MANIFEST_UNKNOWN": (404, "manifest unknown"),
    "NAME_INVALID": (400, "invalid repository name"),
    "NAME_UNKNOWN": (404, "repository name not known to registry"),
    "SIZE_INVALID": (413, "manifest too large"),
    "UNKNOWN": (500, "unknown error"),
}


class Wrong(Exception):
    """A request that is answered with an error of the registry's."""

    def __init__(self, code: str, detail: Any = None) -> None:
        self.code, self.detail = code, detail
        super().__init__(code)


def _wrong(error: Wrong) -> Response:
    status, message = WRONGS[error.code]
    body = {"errors": [{"code": error.code, "message": message, "detail": error.detail}]}
    return Response(encode(body) + b"\n", status, headers={"content-type": "application/json", **VERSION})


@lru_cache(maxsize=8)
def shelf(home: Path) -> Store:
    """What was pushed to the registry of a home."""
    folder = home / "registry"
    pushed = Store(folder, folder)
    if not no_prune():
        pushed.prune()
    return pushed


# --- what is asked for ------------------------------------------------------------------------------


def _name(request: Request, reference: str = names.TAG) -> Name:
    """The model that the path names; two parts and a tag. Raises Wrong."""
    name = names.parse(f"{names.HOST}/{request.path_params['repository']}:{reference}")
    if name is None:
        raise Wrong("NAME_INVALID")
    return name


def _tags(practice: Practice, repository: Name) -> list[Name]:
    known = {*library.offered(), *shelf(practice.home).names()}
    return sorted(name for name in known if name.folded()[:3] == repository.folded()[:3])


def _manifest(practice: Practice, name: Name) -> bytes | None:
    """The manifest under a name: one that was pushed, else the library's."""
    pushed = shelf(practice.home)
    if found := pushed.existing(name):
        return pushed.manifest_path(found).read_bytes()
    offer = library.offer(name)
    if offer is None:
        return None
    if "wheel" in offer.entry and not practice.store.blob(weights.layer(offer.entry)["digest"]).exists():
        return None  # until the model is pulled here, there is nothing to hand on
    return offer.true_manifest


def _blob(practice: Practice, digest: str) -> Path:
    """The file of a blob that the registry has. Raises Wrong."""
    if not DIGEST.fullmatch(digest):
        raise Wrong("DIGEST_INVALID", {"digest": digest})
    pushed = shelf(practice.home)
    path = pushed.blob(digest)
    if not path.exists() and weights.real(digest):
        path = practice.store.blob(digest)
    if not path.exists():
        for name in library.offered():
            offer = library.offer(name)
            if offer and digest in offer.blobs:
                pushed.add_blob(offer.blobs[digest])
                return pushed.blob(digest)
        raise Wrong("BLOB_UNKNOWN", {"digest": digest})
    return path


def _take(practice: Practice, digest: str) -> None:
    """Let what was pushed have a blob of its own that the registry has from elsewhere. Raises Wrong."""
    bring(_blob(practice, digest), shelf(practice.home).blob(digest))


def bring(path: Path, own: Path) -> None:
    """Let the blob at `path` be at `own` as well. Raises Refusal if it cannot be written."""
    if own.exists():
        return
    try:
        os.link(path, own)
    except OSError:
        part = own.with_name(f"upload-{uuid4().hex}")
        try:
            shutil.copyfile(path, part)
            os.replace(part, own)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise trouble("write", own, error) from error


# --- reading ----------------------------------------------------------------------------------------


async def base(request: Request) -> Response:
    return Response(b"{}", headers={"content-type": "application/json", **VERSION})


async def catalog(request: Request) -> Response:
    practice = practice_of(request)
    known = [*library.offered(), *shelf(practice.home).names()]
    return _json({"repositories": sorted({f"{name.namespace}/{name.model}" for name in known})})


async def tags(request: Request) -> Response:
    found = _tags(practice_of(request), _name(request))
    if not found:
        raise Wrong("NAME_UNKNOWN", {"name": request.path_params["repository"]})
    return _json({"name": request.path_params["repository"], "tags": [name.tag for name in found]})


async def manifest(request: Request) -> Response:
    practice, reference = practice_of(request), request.path_params["reference"]
    if DIGEST.fullmatch(reference):
        every = [_manifest(practice, name) for name in _tags(practice, _name(request))]
        data = next((one for one in every if one and digest_of(one) == reference), None)
    else:
        data = _manifest(practice, _name(request, reference))
    if data is None:
        raise Wrong("MANIFEST_UNKNOWN", {"Tag": reference})
    digest = digest_of(data)
    headers = {"docker-content-digest": digest, "etag": f'"{digest}"', **VERSION}
    headers["content-type"] = json.loads(data).get("mediaType", MANIFEST_TYPE)
    if request.method == "HEAD":
        return Response(headers={**headers, "content-length": str(len(data))})
    return Response(data, headers=headers)


async def blob(request: Request) -> Response:
    _name(request)
    digest = request.path_params["digest"]
    path = _blob(practice_of(request), digest)
    other = OTHER_NAME.get(request.url.hostname or "")
    if request.method == "HEAD" or other is None:
        return _file(path, digest)
    place = request.url.replace(hostname=other, path=f"/practice/blobs/{digest}", query="")
    return Response(status_code=307, headers={"location": str(place), **VERSION})


async def content(request: Request) -> Response:
    """Where a blob's redirect leads: the file, or the range of it that is asked for."""
    digest = request.path_params["digest"]
    return _file(_blob(practice_of(request), digest), digest)


def _file(path: Path, digest: str) -> Response:
    headers = {"docker-content-digest": digest, "etag": f'"{digest}"', **VERSION}
    return FileResponse(path, headers=headers, media_type="application/octet-stream")


def _json(value: Any) -> Response:
    return Response(encode(value) + b"\n", headers={"content-type": "application/json", **VERSION})


# --- writing ----------------------------------------------------------------------------------------


async def put_manifest(request: Request) -> Response:
    practice, reference = practice_of(request), request.path_params["reference"]
    pushed, name = shelf(practice.home), _name(request, reference)
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MANIFEST_LIMIT:
            raise Wrong("SIZE_INVALID")
    try:
        needed = digests_of(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise Wrong("MANIFEST_INVALID", str(error)) from error
    with pushed.hold(needed):
        for digest in needed:
            try:
                _take(practice, digest)
            except Wrong as error:
                raise Wrong("MANIFEST_BLOB_UNKNOWN", {"digest": digest}) from error
        old = pushed.named_by(pushed.spelled(name))
        pushed.write(name, data, practice.clock.now())
    pushed.drop(old)
    return _created(request, f"manifests/{reference}", digest_of(data))


async def delete_manifest(request: Request) -> Response:
    pushed, reference = shelf(practice_of(request).home), request.path_params["reference"]
    name = _name(request)
    found = [
        one
        for one in pushed.names()
        if one.folded()[:3] == name.folded()[:3]
        and reference in (one.tag, digest_of(pushed.manifest_path(one).read_bytes()))
    ]
    if not found:
        raise Wrong("MANIFEST_UNKNOWN", {"Tag": reference})
    for one in found:
        pushed.forget(one)
    return Response(status_code=202, headers=VERSION)


async def delete_blob(request: Request) -> Response:
    pushed, digest = shelf(practice_of(request).home), request.path_params["digest"]
    _name(request)
    if not DIGEST.fullmatch(digest):
        raise Wrong("DIGEST_INVALID", {"digest": digest})
    if not pushed.blob(digest).exists():
        raise Wrong("BLOB_UNKNOWN", {"digest": digest})
    pushed.drop([digest])
    return Response(status_code=202, headers=VERSION)


async def start_upload(request: Request) -> Response:
    practice, query = practice_of(request), request.query_params
    _name(request)
    if mounted := query.get("mount"):
        try:
            _take(practice, mounted)
            return _created(request, f"blobs/{mounted}", mounted)
        except Wrong:
            pass  # it is to be uploaded then
    upload = uuid4().hex
    path = _upload(practice, upload)
    path.touch()
    if "digest" in query:
        await _append(request, path)
        return await _finished(request, path)
    return _accepted(request, upload, path)


async def add_to_upload(request: Request) -> Response:
    upload, path = _open_upload(request)
    size = path.stat().st_size
    start = re.match(r"(?:bytes )?(\d+)-", request.headers.get("content-range", f"{size}-"))
    if not start or int(start[1]) != size:
        raise Wrong("BLOB_UPLOAD_INVALID")
    await _append(request, path)
    return _accepted(request, upload, path)


async def finish_upload(request: Request) -> Response:
    _, path = _open_upload(request)
    await _append(request, path)
    return await _finished(request, path)


async def upload_status(request: Request) -> Response:
    upload, path = _open_upload(request)
    return _accepted(request, upload, path, 204)


async def cancel_upload(request: Request) -> Response:
    _open_upload(request)[1].unlink(missing_ok=True)
    return Response(status_code=204, headers=VERSION)


def _upload(practice: Practice, upload: str) -> Path:
    """Where an upload is while it comes: beside the blobs, so that it goes with them when nobody ends it."""
    return shelf(practice.home).blobs / f"upload-{upload}"


def _open_upload(request: Request) -> tuple[str, Path]:
    _name(request)
    upload = request.path_params["upload"]
    path = _upload(practice_of(request), upload)
    if not re.fullmatch(r"[0-9a-f]{32}", upload) or not path.exists():
        raise Wrong("BLOB_UPLOAD_UNKNOWN")
    return upload, path


async def _append(request: Request, path: Path) -> None:
    """Add the request's body to an upload: all of it, or nothing."""
    with open(path, "ab") as file:
        before = file.tell()
        try:
            async for chunk in request.stream():
                file.write(chunk)
            file.flush()
        except BaseException as error:
            file.truncate(before)
            if isinstance(error, OSError):
                raise trouble("write", path, error) from error
            raise


async def _finished(request: Request, path: Path) -> Response:
    digest = request.query_params.get("digest", "")
    if not DIGEST.fullmatch(digest):
        raise Wrong("DIGEST_INVALID", {"digest": digest})
    pushed = shelf(practice_of(request).home)
    try:
        await asyncio.to_thread(pushed.adopt, path, digest)
    except Refusal as refusal:
        if not path.exists():
            raise Wrong("DIGEST_INVALID", {"digest": digest}) from refusal
        raise
    return _created(request, f"blobs/{digest}", digest)


def _accepted(request: Request, upload: str, path: Path, status: int = 202) -> Response:
    size = path.stat().st_size
    headers = {
        "range": f"0-{max(size - 1, 0)}",
        "docker-upload-uuid": upload,
        "content-length": "0",
        **VERSION,
    }
    return Response(
        status_code=status, headers={**headers, "location": _place(request, f"blobs/uploads/{upload}")}
    )


def _created(request: Request, where: str, digest: str) -> Response:
    headers = {"location": _place(request, where), "docker-content-digest": digest, **VERSION}
    return Response(status_code=201, headers=headers)


def _place(request: Request, where: str) -> str:
    return str(request.url.replace(path=f"/v2/{request.path_params['repository']}/{where}", query=""))


# --- routes -----------------------------------------------------------------------------------------


def _route(path: str, endpoint: Callable[[Request], Awaitable[Response]], *methods: str) -> Route:
    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Wrong as error:
            return _wrong(error)
        except Refusal as refusal:
            return _wrong(Wrong("UNKNOWN", refusal.text))
        except OSError as error:
            return _wrong(Wrong("UNKNOWN", error.strerror))

    return route(path, answered, *methods)


_IN = "/v2/{repository:path}"
routes = [
    _route("/v2/", base, "HEAD", "GET"),
    _route("/v2/_catalog", catalog, "GET"),
    _route(_IN + "/tags/list", tags, "GET"),
    _route(_IN + "/manifests/{reference}", manifest, "HEAD", "GET"),
    _route(_IN + "/manifests/{reference}", put_manifest, "PUT"),
    _route(_IN + "/manifests/{reference}", delete_manifest, "DELETE"),
    _route(_IN + "/blobs/uploads/", start_upload, "POST"),
    _route(_IN + "/blobs/uploads/{upload}", upload_status, "GET"),
    _route(_IN + "/blobs/uploads/{upload}", add_to_upload, "PATCH"),
    _route(_IN + "/blobs/uploads/{upload}", finish_upload, "PUT"),
    _route(_IN + "/blobs/uploads/{upload}", cancel_upload, "DELETE"),
    _route(_IN + "/blobs/{digest}", blob, "HEAD", "GET"),
    _route(_IN + "/blobs/{digest}", delete_blob, "DELETE"),
    _route("/practice/blobs/{digest}", content, "HEAD", "GET"),
]
