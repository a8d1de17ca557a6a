"""Ollama's own HTTP API: replies and vectors. Source of every rule: server/routes.go, v0.32.15.

An endpoint reads in the order of the real server's evaluation: decode, name, existence, capability, options,
run.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from .clock import Meter, rfc3339
from .engines import Ask, Logprob, Piece
from .engines.tokens import split, text_of, token_id
from .errors import Refusal, refuse_format
from .gojson import encode, float32
from .models import find
from .options import BadOption, complete
from .replies import BARE_JSON, JSON, NDJSON, refused, reply, route
from .shapes import CHAT, EMBED, EMBEDDING, GENERATE, read
from .state import Practice, Stamp, cut, practice_of, run
from .store import Model

CALL_ID = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass
class Started:
    """A request that passed every check: a reply to run, or only a load or unload, named by `done`."""

    model: Model
    meter: Meter
    stamp: Stamp
    ask: Ask | None = None
    done: str = ""


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


async def pieces_of(practice: Practice, started: Started) -> AsyncIterator[Piece]:
    """The reply's pieces; of a mere load or unload one empty piece that says which it was."""
    if started.ask is None:
        yield Piece(done=started.done)
        return
    async for piece in run(practice, started.ask, started.meter):
        yield piece


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


def start_embed(practice: Practice, asked: dict[str, Any], missing: str) -> tuple[Model, Meter]:
    """Check a request for vectors and load its model. Raises Refusal."""
    meter = Meter(practice.clock)
    typed = asked.get("model", "")
    if not typed:
        raise Refusal("not found", model="")
    model = find(practice, typed, missing)
    options = _complete(model, asked)
    practice.scheduler.use(model, asked.get("keep_alive"), options)
    meter.loaded()
    return model, meter


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
        model, meter = start_embed(practice, asked, "not found, pull")
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
        model, meter = start_embed(practice, asked, "not found, pull")
        if not asked.get("prompt"):
            return reply({"embedding": []})
        made = vectors(practice, model, meter, asked, [asked["prompt"]])
    except Refusal as refusal:
        return refused(refusal)
    return reply({"embedding": made[0]})


routes = [
    route("/api/generate", generate, "POST"),
    route("/api/chat", chat, "POST"),
    route("/api/embed", embed, "POST"),
    route("/api/embeddings", embeddings, "POST"),
]
