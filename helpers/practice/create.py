"""`/api/create` and `/api/blobs`: models made from other models or from uploaded files.

Source of the order, the statuses and the errors: server/create.go and server/routes.go, v0.32.15.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from . import gguf, names
from .cli_format import human_number
from .errors import Refusal
from .gojson import BadBody, List, Map, Struct, encode
from .replies import BARE_JSON, NDJSON, refused, reply, route
from .shapes import MESSAGE, read
from .state import Practice, practice_of
from .store import LAYER_TYPE, digest_of


def _licenses(value: Any) -> list[str]:
    given = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in given):
        raise BadBody("json: cannot unmarshal license into Go value of type []string")
    return given


FILES = Map("map[string]string", "string")
CREATE = Struct(
    "api.CreateRequest",
    {
        "model": "string",
        "name": "string",
        "stream": "bool",
        "from": "string",
        "files": FILES,
        "adapters": FILES,
        "quantize": "string",
        "quantization": "string",
        "template": "string",
        "license": _licenses,
        "system": "string",
        "parameters": "map[string]interface {}",
        "messages": List("[]api.Message", MESSAGE),
        "renderer": "string",
        "parser": "string",
        "requires": "string",
    },
    root="CreateRequest",
)
ONE_OF_A_KIND = ("template", "system", "params", "messages")

Layer = dict[str, Any]


async def create(request: Request) -> Response:
    practice = practice_of(request)
    try:
        asked = read(await request.body(), CREATE)
        for path, digest in [*asked.get("files", {}).items(), *asked.get("adapters", {}).items()]:
            if os.path.isabs(path) or ".." in path.replace("\\", "/").split("/"):
                raise Refusal("file path")
            if not digest:
                raise Refusal("digest")
        name = names.parse(asked.get("model") or asked.get("name") or "")
        if name is None:
            raise Refusal("name")
    except Refusal as refusal:
        return refused(refusal)
    try:
        layers, config = _base(practice, asked)
    except Refusal as refusal:
        return refused(refusal, BARE_JSON)
    statuses = list(_changed(practice, asked, layers))
    practice.store.save(name, config, layers, practice.clock.now())
    if asked.get("stream") is False:
        return reply({"status": "success"}, kind=BARE_JSON)
    lines = [encode({"status": status}) + b"\n" for status in [*statuses, "writing manifest", "success"]]
    return StreamingResponse(iter(lines), headers={"content-type": NDJSON})


def _base(practice: Practice, asked: dict[str, Any]) -> tuple[list[Layer], dict[str, Any]]:
    """The layers and the config that the new model begins with. Raises Refusal."""
    if asked.get("from"):
        name = names.parse(asked["from"])
        if name is None:
            raise Refusal("name")
        model = practice.store.find(name)
        if model is None:
            raise Refusal("no manifest")
        return [dict(layer) for layer in model.manifest["layers"]], dict(model.config)
    if "files" not in asked:
        raise Refusal("neither")
    layers = []
    config: dict[str, Any] = {"architecture": "amd64", "os": "linux", "model_format": "gguf"}
    for digest in asked["files"].values():
        try:
            path = practice.store.blob(digest)
            header = gguf.read(path)
        except FileNotFoundError:
            raise Refusal("no blob", digest=digest) from None
        except ValueError as error:  # no digest, or no GGUF
            raise Refusal("body", text=error) from error
        layers.append(_layer(practice, "model", digest, path.stat().st_size))
        architecture = header.metadata.get("general.architecture", "unknown")
        config |= {
            "model_family": architecture,
            "model_families": [architecture],
            "model_type": human_number(header.parameter_count),
            "file_type": gguf.FILE_TYPES.get(header.metadata.get("general.file_type", -1), "unknown"),
        }
    if not layers:
        raise Refusal("no files")
    return layers, config


def _changed(practice: Practice, asked: dict[str, Any], layers: list[Layer]) -> Iterator[str]:
    """Put what was asked for in place of, or behind, the layers that are there; yields a status for each
    layer.
    """
    known = {layer["digest"] for layer in layers}
    old = {layer["mediaType"]: layer for layer in layers}
    parameters = dict(asked.get("parameters", {}))
    if params := old.get(LAYER_TYPE + "params"):
        parameters = json.loads(practice.store.blob(params["digest"]).read_bytes()) | parameters
    new = [
        ("template", asked.get("template", "")),
        ("system", asked.get("system", "")),
        *(("license", text) for text in asked.get("license", [])),
        ("params", encode(parameters).decode() + "\n" if parameters else ""),
        ("messages", encode(asked["messages"]).decode() + "\n" if asked.get("messages") else ""),
    ]
    made = set()
    for kind, text in new:
        if not text:
            continue
        data = text.encode()
        digest = digest_of(data)
        if not practice.store.blob(digest).exists():
            made.add(digest)
        layer = _layer(practice, kind, practice.store.add_blob(data), len(data))
        if kind in ONE_OF_A_KIND:
            layers[:] = [one for one in layers if one["mediaType"] != layer["mediaType"]]
        layers.append(layer)
    for layer in layers:
        verb = "creating new" if layer["digest"] in made - known else "using existing"
        yield f"{verb} layer {layer['digest']}"


def _layer(practice: Practice, kind: str, digest: str, size: int) -> Layer:
    return {"mediaType": LAYER_TYPE + kind, "digest": digest, "size": size}


# --- blobs ----------------------------------------------------------------------------------------


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
    handle, part = tempfile.mkstemp(dir=store.blobs, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            async for chunk in request.stream():
                own.update(chunk)
                file.write(chunk)
        got = f"sha256:{own.hexdigest()}"
        os.replace(part, store.blob(got))
    except BaseException:
        os.unlink(part)
        raise
    if got != digest:
        return refused(Refusal("digest mismatch", expected=digest, got=got))
    return Response(status_code=201)


routes = [
    route("/api/create", create, "POST"),
    route("/api/blobs/{digest}", head_blob, "HEAD"),
    route("/api/blobs/{digest}", add_blob, "POST"),
]
