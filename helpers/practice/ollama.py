"""Ollama's own HTTP API, `/api/*`. Source of every rule and shape: server/routes.go and api/types.go,
v0.32.15.

An endpoint reads in the order of the real server's evaluation: decode, name, existence, capability, options,
run.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from . import modelfile, names
from .clock import Meter, rfc3339
from .engines import Ask, Logprob, Piece
from .engines.tokens import split, text_of, token_id
from .errors import Refusal, refuse_format
from .gojson import BadBody, List, Struct, decode, encode, float32
from .options import BadOption, complete
from .scheduler import keep_alive
from .state import Practice, Stamp, cut, practice_of, run
from .store import Model

VERSION = "0.32.15"
JSON = "application/json; charset=utf-8"
BARE_JSON = "application/json"
NDJSON = "application/x-ndjson"

THINK_LEVELS = ("high", "medium", "low", "max")
CALL_ID = "abcdefghijklmnopqrstuvwxyz0123456789"
SIGNIN_URL = "https://ollama.com/connect"


# --- what a request may hold ----------------------------------------------------------------------


def _think(value: Any) -> Any:
    if isinstance(value, bool) or value in THINK_LEVELS:
        return value
    kinds = '"high", "medium", "low", "max", true, or false)'
    if isinstance(value, str):
        raise BadBody(f'invalid think value: "{value}" (must be {kinds}')
    raise BadBody(f"think must be a boolean or string ({kinds}")


def _arguments(value: Any) -> Any:
    if not isinstance(value, dict):
        raise BadBody("Value looks like object, but can't find closing '}' symbol")
    return value


PARAMETERS = Struct(
    "api.ToolFunctionParameters",
    {
        "type": "string",
        "$defs": "any",
        "items": "any",
        "required": List("[]string", "string"),
        "properties": _arguments,
    },
    root="ToolFunctionParameters",
)
FUNCTION = Struct(
    "api.ToolFunction",
    {"name": "string", "description": "string", "parameters": PARAMETERS},
    root="ToolFunction",
)
TOOL = Struct("api.Tool", {"type": "string", "items": "any", "function": FUNCTION}, root="Tool")
CALL = Struct(
    "api.ToolCall",
    {
        "id": "string",
        "function": Struct(
            "api.ToolCallFunction", {"index": "int", "name": "string", "arguments": _arguments}
        ),
    },
)
IMAGES = List("[]api.ImageData", "api.ImageData")
MESSAGE = Struct(
    "api.Alias",
    {
        "role": "string",
        "content": "string",
        "thinking": "string",
        "images": IMAGES,
        "tool_calls": List("[]api.ToolCall", CALL),
        "tool_name": "string",
        "tool_call_id": "string",
    },
)
_SHARED = {
    "model": "string",
    "stream": "bool",
    "format": "any",
    "keep_alive": keep_alive,
    "options": "map[string]interface {}",
    "think": _think,
    "truncate": "bool",
    "shift": "bool",
    "_debug_render_only": "bool",
    "logprobs": "bool",
    "top_logprobs": "int",
}
GENERATE = Struct(
    "api.GenerateRequest",
    {
        **_SHARED,
        "prompt": "string",
        "suffix": "string",
        "system": "string",
        "template": "string",
        "context": List("[]int", "int"),
        "raw": "bool",
        "images": IMAGES,
    },
    root="GenerateRequest",
)
CHAT = Struct(
    "api.ChatRequest",
    {**_SHARED, "messages": List("[]api.Message", MESSAGE), "tools": List("api.Tools", TOOL)},
    root="ChatRequest",
)
EMBED = Struct(
    "api.EmbedRequest",
    {
        "model": "string",
        "input": "any",
        "keep_alive": keep_alive,
        "truncate": "bool",
        "dimensions": "int",
        "options": "map[string]interface {}",
    },
    root="EmbedRequest",
)
EMBEDDING = Struct(
    "api.EmbeddingRequest",
    {
        "model": "string",
        "prompt": "string",
        "keep_alive": keep_alive,
        "options": "map[string]interface {}",
    },
    root="EmbeddingRequest",
)
SHOW = Struct(
    "api.ShowRequest",
    {
        "model": "string",
        "system": "string",
        "template": "string",
        "verbose": "bool",
        "options": "map[string]interface {}",
        "name": "string",
    },
    root="ShowRequest",
)
COPY = Struct("api.CopyRequest", {"source": "string", "destination": "string"}, root="CopyRequest")
DELETE = Struct("api.DeleteRequest", {"model": "string", "name": "string"}, root="DeleteRequest")


def read(body: bytes, shape: Struct) -> dict[str, Any]:
    """The request in `body`. Raises Refusal."""
    try:
        return decode(body, shape, empty="missing request body")
    except BadBody as error:
        raise Refusal("body", text=error) from error


# --- small replies --------------------------------------------------------------------------------


def reply(value: Any, status: int = 200, kind: str = JSON) -> Response:
    return Response(encode(value), status, headers={"content-type": kind})


def refused(refusal: Refusal, kind: str = JSON) -> Response:
    return reply({"error": refusal.text}, refusal.status, kind)


async def root(request: Request) -> Response:
    return PlainTextResponse("Ollama is running")


async def version(request: Request) -> Response:
    return reply({"version": VERSION})


async def status(request: Request) -> Response:
    return reply({"cloud": {"disabled": False, "source": "none"}})


async def account(request: Request) -> Response:
    return refused(Refusal("no account"))


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


# --- replies of a model ---------------------------------------------------------------------------


@dataclass
class Started:
    """A request that passed every check: a reply to run, or only a load or unload, named by `done`."""

    model: Model
    meter: Meter
    stamp: Stamp
    ask: Ask | None = None
    done: str = ""


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


def _top_logprobs(asked: dict[str, Any]) -> int | None:
    top = asked.get("top_logprobs", 0)
    if not 0 <= top <= 20:
        raise Refusal("top_logprobs")
    return top if asked.get("logprobs") else None


def _thinking(asked: dict[str, Any], model: Model, typed: str) -> Any:
    think = asked.get("think")
    if "thinking" in model.capabilities:
        return True if think is None else think
    if think:
        raise Refusal("thinking", model=typed)
    return False


def _complete(model: Model, asked: dict[str, Any]) -> dict[str, Any]:
    context = os.environ.get("OLLAMA_CONTEXT_LENGTH", "")
    served = {"num_ctx": int(context)} if context.isdigit() else {}
    try:
        return complete(served, model.parameters, asked.get("options") or {})
    except BadOption as error:
        raise Refusal("option", text=error) from error


def _format(asked: dict[str, Any]) -> Any:
    wanted = asked.get("format")
    if wanted in (None, ""):
        return None
    if wanted == "json" or isinstance(wanted, dict):
        return wanted
    raise refuse_format(wanted)


def start_generate(practice: Practice, asked: dict[str, Any], stamp: Stamp) -> Started:
    """Check a generate request in the real server's order. Raises Refusal."""
    meter = Meter(practice.clock)
    logprobs = _top_logprobs(asked)
    typed = asked.get("model", "")
    model = find(practice, typed)
    prompt = asked.get("prompt", "")
    if not prompt and asked.get("keep_alive") == 0:
        practice.scheduler.unload(model)
        return Started(model, meter, stamp, done="unload")
    if asked.get("raw") and (asked.get("template") or asked.get("system") or asked.get("context")):
        raise Refusal("raw")
    think = _thinking(asked, model, typed)
    if "completion" not in model.capabilities:
        raise Refusal("generate", model=typed)
    if asked.get("suffix") and "insert" not in model.capabilities:
        raise Refusal("insert", full=model.name)
    options = _complete(model, asked)
    practice.scheduler.use(model, asked.get("keep_alive"), options)
    meter.loaded()
    if not prompt:
        return Started(model, meter, stamp, done="load")
    messages: list[dict[str, Any]] = []
    if system := asked.get("system") or model.system:
        messages.append({"role": "system", "content": system})
    if asked.get("context"):
        messages.append({"role": "user", "content": text_of(asked["context"])})
    else:
        messages += model.messages
    messages.append({"role": "user", "content": prompt, "images": asked.get("images", [])})
    ask = Ask(
        messages,
        options,
        stamp.draws(options),
        raw=prompt if asked.get("raw") else None,
        format=_format(asked),
        think=think,
        logprobs=logprobs,
    )
    return _ready(practice, model, meter, stamp, ask)


def start_chat(practice: Practice, asked: dict[str, Any], stamp: Stamp) -> Started:
    """Check a chat request in the real server's order. Raises Refusal."""
    meter = Meter(practice.clock)
    logprobs = _top_logprobs(asked)
    typed = asked.get("model", "")
    if not typed:
        raise Refusal("model required")
    model = find(practice, typed)
    given = asked.get("messages", [])
    if not given and asked.get("keep_alive") == 0:
        practice.scheduler.unload(model)
        return Started(model, meter, stamp, done="unload")
    think = _thinking(asked, model, typed)
    if "completion" not in model.capabilities:
        raise Refusal("chat", model=typed)
    tools = asked.get("tools", [])
    if tools and "tools" not in model.capabilities:
        raise Refusal("tools", full=model.name)
    options = _complete(model, asked)
    practice.scheduler.use(model, asked.get("keep_alive"), options)
    meter.loaded()
    if not given:
        return Started(model, meter, stamp, done="load")
    given = [{**message, "role": message.get("role", "").lower()} for message in given]
    for message in given:
        message.setdefault("content", "")
    messages: list[dict[str, Any]] = []
    if model.system and given[0]["role"] != "system":
        messages.append({"role": "system", "content": model.system})
    messages += [*model.messages, *given]
    ask = Ask(
        messages,
        options,
        stamp.draws(options),
        tools=tools,
        format=_format(asked),
        think=think,
        logprobs=logprobs,
    )
    return _ready(practice, model, meter, stamp, ask)


def _ready(practice: Practice, model: Model, meter: Meter, stamp: Stamp, ask: Ask) -> Started:
    pictured = any(message.get("images") for message in ask.messages)
    if pictured and "vision" not in model.capabilities:
        raise Refusal("pictures")
    meter.prompt_tokens = cut(practice, ask)
    return Started(model, meter, stamp, ask)


async def generate(request: Request) -> Response:
    body = await request.body()
    practice, stamp = practice_of(request), Stamp.of(request, body)
    try:
        asked = read(body, GENERATE)
        started = start_generate(practice, asked, stamp)
    except Refusal as refusal:
        return refused(refusal, _refusal_kind(refusal))
    head = {"model": asked["model"]}
    if started.ask is None:
        at = rfc3339(started.meter.at())
        return reply({**head, "created_at": at, "response": "", "done": True, "done_reason": started.done})
    chunks = _generate_chunks(practice, started, started.ask, head)
    return await _answer(chunks, asked, ("response", "thinking"), None)


def _refusal_kind(refusal: Refusal) -> str:
    return BARE_JSON if refusal.text.startswith("invalid format") else JSON


async def _generate_chunks(
    practice: Practice, started: Started, ask: Ask, head: dict[str, Any]
) -> AsyncIterator[dict[str, Any]]:
    written: list[str] = []
    async for piece in run(practice, ask, started.meter):
        written.append(piece.text)
        chunk = {**head, "created_at": rfc3339(started.meter.at()), "response": piece.text}
        if piece.thinking:
            chunk["thinking"] = piece.thinking
        if piece.text or piece.thinking:
            yield chunk | {"done": False} | _logprobs(piece)
        if piece.done:
            last = {**head, "created_at": rfc3339(started.meter.at()), "response": ""}
            last |= {"done": True, "done_reason": piece.done}
            if ask.raw is None:
                last["context"] = _context(ask, "".join(written))
            yield last | started.meter.metrics()


def _context(ask: Ask, reply_text: str) -> list[int]:
    texts = [message["content"] for message in ask.messages] + [reply_text]
    return [token_id(token) for text in texts for token in split(text)]


def _logprobs(piece: Piece) -> dict[str, Any]:
    return {"logprobs": [logprob_item(one) for one in piece.logprobs]} if piece.logprobs else {}


def logprob_item(one: Logprob) -> dict[str, Any]:
    """A token's logprob as both of Ollama's surfaces write it."""
    item = _token(one.token, one.logprob)
    if one.top:
        item["top_logprobs"] = [_token(token, logprob) for token, logprob in one.top]
    return item


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


async def chat(request: Request) -> Response:
    body = await request.body()
    practice, stamp = practice_of(request), Stamp.of(request, body)
    try:
        asked = read(body, CHAT)
        started = start_chat(practice, asked, stamp)
    except Refusal as refusal:
        return refused(refusal, _refusal_kind(refusal))
    head = {"model": asked["model"]}
    if started.ask is None:
        empty = {"role": "assistant", "content": ""}
        at = rfc3339(started.meter.at())
        return reply({**head, "created_at": at, "message": empty, "done": True, "done_reason": started.done})
    chunks = _chat_chunks(practice, started, started.ask, head)
    return await _answer(chunks, asked, ("content", "thinking"), "message")


async def _chat_chunks(
    practice: Practice, started: Started, ask: Ask, head: dict[str, Any]
) -> AsyncIterator[dict[str, Any]]:
    calls = 0
    async for piece in run(practice, ask, started.meter):
        message: dict[str, Any] = {"role": "assistant", "content": piece.text}
        if piece.thinking:
            message["thinking"] = piece.thinking
        if piece.tool_call:
            message["tool_calls"] = [
                {
                    "id": "call_" + started.stamp.letters(8, CALL_ID, f"call {calls}"),
                    "function": {"index": calls, **piece.tool_call},
                }
            ]
            calls += 1
        if len(message) > 2 or piece.text:
            yield {
                **head,
                "created_at": rfc3339(started.meter.at()),
                "message": message,
                "done": False,
                **_logprobs(piece),
            }
        if piece.done:
            yield {
                **head,
                "created_at": rfc3339(started.meter.at()),
                "message": {"role": "assistant", "content": ""},
                "done": True,
                "done_reason": piece.done,
                **started.meter.metrics(),
            }


async def _answer(
    chunks: AsyncIterator[dict[str, Any]],
    asked: dict[str, Any],
    texts: tuple[str, ...],
    inside: str | None,
) -> Response:
    """The chunks as a stream, or put together; `texts` are the keys that grow, in the object `inside`."""
    if asked.get("stream") is not False:
        lines = (encode(chunk) + b"\n" async for chunk in chunks)
        return StreamingResponse(lines, headers={"content-type": NDJSON})
    grown: dict[str, list[str]] = {key: [] for key in texts}
    logprobs: list[Any] = []
    calls: list[Any] = []
    last: dict[str, Any] = {}
    async for chunk in chunks:
        part = chunk[inside] if inside else chunk
        for key in texts:
            grown[key].append(part.get(key, ""))
        calls += part.get("tool_calls", [])
        logprobs += chunk.get("logprobs", [])
        last = chunk
    whole: dict[str, Any] = {}
    for key, value in last.items():
        if inside and key == inside:
            message = {"role": "assistant"} | {k: "".join(parts) for k, parts in grown.items()}
            message = {k: v for k, v in message.items() if v or k != "thinking"}
            whole[key] = message | ({"tool_calls": calls} if calls else {})
        elif key in grown:
            whole[key] = "".join(grown[key])
            if thinking := "".join(grown["thinking"]):
                whole["thinking"] = thinking
        else:
            if key == "total_duration" and inside and logprobs:
                whole["logprobs"] = logprobs
            whole[key] = value
    if logprobs and not inside:
        whole["logprobs"] = logprobs
    return reply(whole)


# --- vectors --------------------------------------------------------------------------------------


def start_embed(
    practice: Practice, asked: dict[str, Any], missing: str
) -> tuple[Model, Meter, dict[str, Any]]:
    """Check a request for vectors and load its model. Raises Refusal."""
    meter = Meter(practice.clock)
    typed = asked.get("model", "")
    if not typed:
        raise Refusal("not found", model="")
    model = find(practice, typed, missing)
    options = _complete(model, asked)
    practice.scheduler.use(model, asked.get("keep_alive"), options)
    meter.loaded()
    return model, meter, options


def vectors(
    practice: Practice, model: Model, meter: Meter, asked: dict[str, Any], texts: list[str]
) -> list[list[float]]:
    """One vector of length 1 for each text. Raises Refusal."""
    if "embedding" not in model.capabilities:
        raise Refusal("no embeddings")
    length = model.length("embedding")
    limit = model.length("context")
    made = []
    for text in texts:
        pieces = split(text)
        if len(pieces) + 2 > limit:
            if asked.get("truncate") is False:
                raise Refusal("too long")
            pieces = pieces[: limit - 2]
            text = "".join(pieces)
        meter.prompt_tokens += len(pieces) + 2
        vector = practice.engine.embed(text, length)
        wanted = asked.get("dimensions", 0)
        if 0 < wanted < length:
            norm = sum(x * x for x in vector[:wanted]) ** 0.5 or 1.0
            vector = [x / norm for x in vector[:wanted]]
        made.append([float32(x) for x in vector])
    return made


def input_texts(value: Any) -> list[str]:
    """The texts of an `input`: a text or a list of texts; nothing gives no text. Raises Refusal."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise Refusal("input type")


async def embed(request: Request) -> Response:
    practice = practice_of(request)
    try:
        asked = read(await request.body(), EMBED)
        texts = input_texts(asked.get("input"))
        model, meter, _ = start_embed(practice, asked, "not found, pull")
        if not texts:
            return reply({"model": asked["model"], "embeddings": []})
        made = vectors(practice, model, meter, asked, texts)
    except Refusal as refusal:
        return refused(refusal)
    metrics = meter.metrics()
    kept = ("total_duration", "load_duration", "prompt_eval_count")
    return reply({"model": asked["model"], "embeddings": made} | {key: metrics[key] for key in kept})


async def embeddings(request: Request) -> Response:
    practice = practice_of(request)
    try:
        asked = read(await request.body(), EMBEDDING)
        if not asked.get("model"):
            raise Refusal("model required")
        model, meter, _ = start_embed(practice, asked, "not found, pull")
        if not asked.get("prompt"):
            return reply({"embedding": []})
        made = vectors(practice, model, meter, asked, [asked["prompt"]])
    except Refusal as refusal:
        return refused(refusal)
    return reply({"embedding": made[0]})


def route(path: str, endpoint: Any, *methods: str) -> Route:
    """A route that takes exactly `methods`; Starlette alone would add HEAD to every GET."""
    one = Route(path, endpoint, methods=list(methods))
    one.methods = set(methods)
    return one


routes = [
    route("/", root, "HEAD", "GET"),
    route("/api/version", version, "HEAD", "GET"),
    route("/api/status", status, "GET"),
    route("/api/me", account, "POST"),
    route("/api/tags", tags, "HEAD", "GET"),
    route("/api/ps", ps, "GET"),
    route("/api/show", show, "POST"),
    route("/api/copy", copy, "POST"),
    route("/api/delete", delete, "DELETE"),
    route("/api/generate", generate, "POST"),
    route("/api/chat", chat, "POST"),
    route("/api/embed", embed, "POST"),
    route("/api/embeddings", embeddings, "POST"),
]
