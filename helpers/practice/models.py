"""The models as Ollama's API lists, shows, copies and deletes them. Source: server/routes.go, v0.32.15."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from . import capabilities, cloud, gguf, modelfile, names
from .cli_format import general, quote
from .clock import rfc3339
from .errors import Refusal
from .gojson import encode
from .replies import refused, reply, route
from .shapes import COPY, DELETE, SHOW, read
from .state import Practice, practice_of
from .store import Model

VERSION = "0.32.15"
COPILOT = "GitHubCopilotChat/"  # this client is told the name it asked for


def find(practice: Practice, typed: str, missing: str = "not found") -> Model:
    """The model a request names, on this machine or in the cloud. Raises Refusal."""
    base, where = place(typed)
    name = names.parse(base)
    if typed.strip() and name is None:
        raise Refusal("name")
    if where == "cloud":
        return cloud.passed_on(practice, base)
    model = practice.store.find(name)
    if model is None or (model.remote and where == "local"):
        raise Refusal(missing, model=typed)
    return cloud.stub(practice, model) if model.remote else model


def place(typed: str) -> tuple[str, str]:
    """A name without the suffix that says where it is to run, and that place. Raises Refusal."""
    try:
        return names.source(typed)
    except names.BothSources as error:
        raise Refusal("both sources", quoted=quote(str(error))) from error


def described(practice: Practice, typed: str) -> Model:
    """The model whose details a request wants. Raises Refusal."""
    base, where = place(typed)
    name = names.parse(base)
    if name is None:
        raise Refusal("name")
    model = cloud.passed_on(practice, base, "details") if where == "cloud" else practice.store.find(name)
    if model is None:
        raise Refusal("not found", model=practice.store.spelled(name).short)
    if model.remote:
        cloud.admitted(practice, "details")
        if where == "local":
            raise Refusal("not found", model=typed)
    return model


async def root(request: Request) -> Response:
    return PlainTextResponse("Ollama is running")


async def version(request: Request) -> Response:
    return reply({"version": VERSION})


async def tags(request: Request) -> Response:
    models = practice_of(request).store.all()
    return reply({"models": [_listed(model) for model in models]})


def _listed(model: Model) -> dict[str, Any]:
    item: dict[str, Any] = {"name": model.name.short, "model": model.name.short}
    if model.remote:
        item |= {key: model.config[key] for key in ("remote_model", "remote_host")}
    item |= {
        "modified_at": rfc3339(model.modified_ns, local=True),
        "size": model.size,
        "digest": model.digest,
    }
    return item | model.listed


async def ps(request: Request) -> Response:
    scheduler = practice_of(request).scheduler
    loaded = [
        {
            "name": one.model.name.short,
            "model": one.model.name.short,
            "size": one.size,
            "digest": one.model.digest,
            "details": {**one.model.details, "parent_model": ""},
            "expires_at": rfc3339(scheduler.expires(one), local=True),
            "size_vram": 0,
            "context_length": one.context_length,
        }
        for one in scheduler.loaded()
        if not one.model.remote
    ]
    return reply({"models": loaded})


async def show(request: Request) -> Response:
    practice = practice_of(request)
    try:
        asked = read(await request.body(), SHOW)
        typed = asked.get("model") or asked.get("name") or ""
        if not typed.strip():
            raise Refusal("model required")
        model = described(practice, typed)
    except Refusal as refusal:
        return refused(refusal)
    shown = await asyncio.to_thread(_shown, model, asked)
    if request.headers.get("user-agent", "").startswith(COPILOT):
        shown["model_info"]["general.basename"] = typed
    return reply(shown)


def _shown(model: Model, asked: dict[str, Any]) -> dict[str, Any]:
    system = asked.get("system") or model.system
    header = model.header
    template = model.template
    if capabilities.native(model.config, header, model.own_template):
        template = header.text("tokenizer.chat_template")
    parts: dict[str, Any] = {
        "license": "\n".join(model.licenses),
        "modelfile": _modelfile(model, system, model.parameters | (asked.get("options") or {})),
        "parameters": "\n".join(
            f"{name:<30} {_go_value(value)}" for name, value in _each_parameter(model.parameters)
        ),
        "template": template,
        "system": system,
    }
    shown = {key: text for key, text in parts.items() if text}
    details = dict(model.details)
    if details["quantization_level"] in ("", "unknown") and header.metadata:
        details["quantization_level"] = header.file_type
    shown["details"] = details
    if model.messages:
        shown["messages"] = [{key: one[key] for key in ("role", "content")} for one in model.messages]
    verbose = asked.get("verbose", False)
    if model.remote:
        shown |= {key: model.config[key] for key in ("remote_model", "remote_host")}
        shown["model_info"] = _remote_info(model.config)
    else:
        shown["model_info"] = _info(header, verbose, hidden=("general.name", "tokenizer.chat_template"))
    if projectors := model.layers("projector"):
        shown["projector_info"] = _info(gguf.read(projectors[0]), verbose)
    if header.tensors:
        shown["tensors"] = [tensor._asdict() for tensor in header.tensors]
    if model.capabilities:
        shown["capabilities"] = model.capabilities
    shown["modified_at"] = rfc3339(model.modified_ns, local=True)
    if model.config.get("requires"):
        shown["requires"] = model.config["requires"]
    return shown


def _info(header: gguf.Header, verbose: bool, hidden: tuple[str, ...] = ()) -> dict[str, Any]:
    """A header's metadata as it is shown: sorted, and lists only where all is wanted."""
    info = {**header.metadata, "general.parameter_count": header.parameter_count}
    return {
        key: value if isinstance(value, (str, int, float)) else _list(value, verbose)
        for key, value in sorted(info.items())
        if key not in hidden
    }


def _list(value: Any, verbose: bool) -> list[Any] | None:
    return list(value) if value is not None and (verbose or not len(value)) else None


def _remote_info(config: dict[str, Any]) -> dict[str, Any]:
    family = config.get("model_family")
    if not family:
        return {}
    info = {"general.architecture": family, "general.basename": config.get("base_name")}
    info |= {f"{family}.{kind}_length": config.get(f"{kind}_length") for kind in ("context", "embedding")}
    return {key: value for key, value in sorted(info.items()) if value}


def _modelfile(model: Model, system: str, parameters: dict[str, Any]) -> str:
    weights = model.layers("model")
    commands = [modelfile.Command("model", str(weights[-1]) if weights else "")]
    for kind, name in (("adapter", "adapter"), ("draft", "draft"), ("projector", "model")):
        commands += [modelfile.Command(name, str(path)) for path in model.layers(kind)]
    commands.append(modelfile.Command("template", model.template))
    if system:
        commands.append(modelfile.Command("system", system))
    for key in ("renderer", "parser"):
        if model.config.get(key):
            commands.append(modelfile.Command(key, model.config[key]))
    for name, value in _each_parameter(parameters):
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
    """A value as Go's %#v writes it."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<nil>"
    return general(float(value)) if isinstance(value, (int, float)) else encode(value).decode()


async def copy(request: Request) -> Response:
    practice = practice_of(request)
    try:
        asked = read(await request.body(), COPY)
        source, target = (names.parse(asked.get(key) or "") for key in ("source", "destination"))
        if source is None:
            raise Refusal("source", quoted=quote(asked.get("source") or ""))
        if target is None:
            raise Refusal("destination", quoted=quote(asked.get("destination") or ""))
        if practice.store.spelled(source) != practice.store.spelled(target):  # else there is nothing to do
            model = practice.store.find(source)
            if model is None:
                raise Refusal("source not found", quoted=quote(asked["source"]))
            practice.store.copy(model, target, practice.clock.now())
    except Refusal as refusal:
        return refused(refusal)
    return Response(status_code=200)


async def delete(request: Request) -> Response:
    practice = practice_of(request)
    try:
        asked = read(await request.body(), DELETE)
        typed = asked.get("model") or asked.get("name") or ""
        if not typed.strip():
            raise Refusal("model required")
        place(typed)
        name = names.pull_name(typed)
        if name is None:
            raise Refusal("delete name", quoted=quote(typed))
        model = practice.store.find(name)
        if model is None:
            raise Refusal("not found", model=typed)
        practice.store.remove(model)
    except Refusal as refusal:
        return refused(refusal)
    return Response(status_code=200)


routes = [
    route("/", root, "HEAD", "GET"),
    route("/api/version", version, "HEAD", "GET"),
    route("/api/tags", tags, "HEAD", "GET"),
    route("/api/ps", ps, "GET"),
    route("/api/show", show, "POST"),
    route("/api/copy", copy, "POST"),
    route("/api/delete", delete, "DELETE"),
]
