"""`/api/push`: models to the practice registry or any other. Source: server/images.go, v0.32.15."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from . import cloud, names, registry
from .errors import Refusal
from .pull import Lines, answer
from .replies import refused, route
from .shapes import PUSH, read
from .state import Practice, practice_of
from .store import Model, digests_of, entries, manifest_bytes


async def push(request: Request) -> Response:
    try:
        asked = read(await request.body(), PUSH)
        typed = asked.get("model") or asked.get("name") or ""
        if not typed:
            raise Refusal("model required")
    except Refusal as refusal:
        return refused(refusal)
    return await answer(_pushed(practice_of(request), typed, asked.get("insecure", False)), asked)


async def _pushed(practice: Practice, typed: str, insecure: bool) -> Lines:
    yield {"status": "retrieving manifest"}
    name = names.parse(typed)
    model = practice.store.find(name)
    if name is None or model is None:
        yield {"status": "couldn't retrieve manifest"}
        if name is None:
            raise Refusal("file", text=f"unqualified name: {names.unqualified(typed)}")
        path = practice.store.manifest_path(practice.store.spelled(name))
        raise Refusal("file", text=f"open {path}: no such file or directory")
    own = model.name.host == names.HOST
    if own and model.name.namespace.lower() != cloud.signed_in(practice.home).lower():
        raise Refusal("not yours")
    async with aclosing(_kept(practice, model) if own else _sent(practice, model, insecure)) as lines:
        async for line in lines:
            yield line
    yield {"status": "success"}


async def _kept(practice: Practice, model: Model) -> Lines:
    """To the namespace of who is signed in, in the registry that stands in for ollama.com's."""
    shelf = registry.shelf(practice.home)
    manifest = _true(practice, model)
    with shelf.hold(digests_of(manifest)):
        for one in entries(manifest):
            await asyncio.to_thread(
                registry.bring, practice.store.blob(one["digest"]), shelf.blob(one["digest"])
            )
            yield _line(one, one["size"])
        yield {"status": "pushing manifest"}
        data = manifest_bytes(manifest["config"], manifest["layers"])
        shelf.write(model.name, data, practice.clock.now())


async def _sent(practice: Practice, model: Model, insecure: bool) -> Lines:
    from . import oci  # only here: its HTTP client would make each start of the server slower

    name, manifest = model.name, _true(practice, model)
    found = entries(manifest)
    try:
        with practice.store.hold(one["digest"] for one in found):
            async with oci.connected(name, insecure) as there:
                for one in found:
                    if not await oci.has(there, name, one["digest"]):
                        path = practice.store.blob(one["digest"])
                        async with aclosing(oci.upload(there, name, one["digest"], path)) as sending:
                            async for sent in sending:
                                yield _line(one, sent)
                    yield _line(one, one["size"])
                yield {"status": "pushing manifest"}
                await oci.finish(there, name, manifest_bytes(manifest["config"], manifest["layers"]))
    except oci.NotThere:
        raise Refusal("file", text="file does not exist") from None


def _line(one: dict[str, Any], completed: int) -> dict[str, Any]:
    digest, total = one["digest"], one["size"]
    line = {"status": f"pushing {digest[7:19]}", "digest": digest, "total": total}
    return {**line, "completed": completed} if completed else line


def _true(practice: Practice, model: Model) -> dict[str, Any]:
    """The manifest with the sizes that the files have: a stand-in's weights state another one here."""

    def sized(one: dict[str, Any]) -> dict[str, Any]:
        return {**one, "size": practice.store.blob(one["digest"]).stat().st_size}

    manifest = model.manifest
    return {"config": sized(manifest["config"]), "layers": [sized(one) for one in manifest["layers"]]}


routes = [route("/api/push", push, "POST")]
