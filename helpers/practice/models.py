"""The models as Ollama's API lists, shows, copies and deletes them. Source: server/routes.go, v0.32.15."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from . import modelfile, names
from .clock import rfc3339
from .errors import Refusal
from .replies import refused, reply, route
from .shapes import COPY, DELETE, SHOW, read
from .state import Practice, practice_of
from .store import Model

VERSION = "0.32.15"


def find(practice: Practice, typed: str, missing: str = "not found") -> Model:
    """The model a request names, whose reply is made here. Raises Refusal."""
    name = names.parse(_local(typed)) if typed else None
    if typed and name is None:
        raise Refusal("name")
    cloud = typed.endswith((":cloud", "-cloud"))
    model = practice.store.find(name)
    if cloud or (model and model.remote):
        raise Refusal("unauthorized")
    if model is None:
        raise Refusal(missing, model=typed)
    return model


def _local(typed: str) -> str:
    """A name without the suffix that says where it is to run. Raises Refusal for both suffixes at once."""
    if typed.endswith(":local"):
        rest = typed.removesuffix(":local")
        if rest.endswith((":cloud", "-cloud")):
            raise Refusal("either", model=typed)
        return rest
    return typed


async def root(request: Request) -> Response:
    return PlainTextResponse("Ollama is running")


async def version(request: Request) -> Response:
    return reply({"version": VERSION})


async def status(request: Request) -> Response:
    return reply({"cloud": {"disabled": False, "source": "none"}})


async def account(request: Request) -> Response:
    return refused(Refusal("no account"))


async def signout(request: Request) -> Response:
    return refused(Refusal("no signout"))


async def tags(request: Request) -> Response:
    models = practice_of(request).store.all()
    return reply({"models": [_listed(model) for model in models]})


def _listed(model: Model) -> dict[str, Any]:
    item: dict[str, Any] = {"name": model.name.short, "model": model.name.short}
    if model.remote:
        item |= {key: model.config[key] for key in ("remote_model", "remote_host")}
    details = dict(model.details)
    for kind in ("context", "embedding"):
        if length := model.length(kind):
            details[f"{kind}_length"] = length
    item |= {
        "modified_at": rfc3339(model.modified_ns, local=True),
        "size": model.size,
        "digest": model.digest,
        "details": details,
    }
    return item | ({"capabilities": model.capabilities} if model.capabilities else {})


async def ps(request: Request) -> Response:
    loaded = [
        {
            "name": one.model.name.short,
            "model": one.model.name.short,
            "size": one.size,
            "digest": one.model.digest,
            "details": one.model.details,
            "expires_at": rfc3339(one.expires, local=True),
            "size_vram": 0,
            "context_length": one.context_length,
        }
        for one in practice_of(request).scheduler.loaded()
    ]
    return reply({"models": loaded})


async def show(request: Request) -> Response:
    try:
        asked = read(await request.body(), SHOW)
        typed = asked.get("model") or asked.get("name") or ""
        if not typed:
            raise Refusal("model required")
        name = names.parse(_local(typed))
        if name is None:
            raise Refusal("name")
        model = practice_of(request).store.find(name)
        if model is None:
            raise Refusal("not found", model=name.short)
    except Refusal as refusal:
        return refused(refusal)
    return reply(_shown(model, asked))


def _shown(model: Model, asked: dict[str, Any]) -> dict[str, Any]:
    system = asked.get("system") or model.system
    parts: dict[str, Any] = {
        "license": "\n".join(model.licenses),
        "modelfile": _modelfile(model, system),
        "parameters": "\n".join(
            f"{name:<30} {_go_value(value)}" for name, value in _each_parameter(model.parameters)
        ),
        "template": model.template,
        "system": system,
    }
    shown = {key: text for key, text in parts.items() if text}
    shown["details"] = model.details
    if model.messages:
        shown["messages"] = model.messages
    if model.remote:
        shown |= {key: model.config[key] for key in ("remote_model", "remote_host")}
    header = model.header
    info = dict(sorted(header.metadata.items()))
    if header.tensors:
        info["general.parameter_count"] = header.parameter_count
    hidden = ("general.name", "tokenizer.chat_template")
    shown["model_info"] = {
        key: value if asked.get("verbose") or not isinstance(value, list) or not value else None
        for key, value in sorted(info.items())
        if key not in hidden
    }
    if header.tensors:
        shown["tensors"] = [tensor._asdict() for tensor in header.tensors]
    shown["capabilities"] = model.capabilities
    shown["modified_at"] = rfc3339(model.modified_ns, local=True)
    return shown


def _modelfile(model: Model, system: str) -> str:
    commands = [modelfile.Command("model", str(path)) for path in model.layers("model")]
    commands += [modelfile.Command("adapter", str(path)) for path in model.layers("adapter")]
    commands += [modelfile.Command("model", str(path)) for path in model.layers("projector")]
    commands.append(modelfile.Command("template", model.template))
    if system:
        commands.append(modelfile.Command("system", system))
    for name, value in _each_parameter(model.parameters):
        text = value if isinstance(value, str) else _go_value(value)
        commands.append(modelfile.Command(name, text))
    commands += [modelfile.Command("license", text) for text in model.licenses]
    commands += [modelfile.Command("message", f"{m['role']}: {m['content']}") for m in model.messages]
    head = (
        '# Modelfile generated by "ollama show"\n'
        "# To build a new Modelfile based on this, replace FROM with:\n"
        f"# FROM {model.name.short}\n\n"
    )
    return head + modelfile.render(commands)


def _each_parameter(parameters: dict[str, Any]) -> list[tuple[str, Any]]:
    pairs = []
    for name, value in sorted(parameters.items()):
        pairs += [(name, one) for one in value] if isinstance(value, list) else [(name, value)]
    return pairs


def _go_value(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


async def copy(request: Request) -> Response:
    practice = practice_of(request)
    try:
        asked = read(await request.body(), COPY)
        source, target = (names.parse(asked.get(key) or "") for key in ("source", "destination"))
        if source is None:
            raise Refusal("source", model=asked.get("source") or "")
        if target is None:
            raise Refusal("destination", model=asked.get("destination") or "")
        model = practice.store.find(source)
        if model is None:
            raise Refusal("source not found", model=asked["source"])
    except Refusal as refusal:
        return refused(refusal)
    practice.store.copy(model, target, practice.clock.now())
    return Response(status_code=200)


async def delete(request: Request) -> Response:
    practice = practice_of(request)
    try:
        asked = read(await request.body(), DELETE)
        typed = asked.get("model") or asked.get("name") or ""
        if not typed:
            raise Refusal("model required")
        name = names.parse(_local(typed))
        if name is None:
            raise Refusal("delete name", model=typed)
        model = practice.store.find(name)
        if model is None:
            raise Refusal("not found", model=typed)
    except Refusal as refusal:
        return refused(refusal)
    practice.scheduler.unload(model)
    practice.store.remove(model)
    return Response(status_code=200)


routes = [
    route("/", root, "HEAD", "GET"),
    route("/api/version", version, "HEAD", "GET"),
    route("/api/status", status, "GET"),
    route("/api/me", account, "POST"),
    route("/api/signout", signout, "POST"),
    route("/api/tags", tags, "HEAD", "GET"),
    route("/api/ps", ps, "GET"),
    route("/api/show", show, "POST"),
    route("/api/copy", copy, "POST"),
    route("/api/delete", delete, "DELETE"),
]
