"""Ollama's own HTTP API: replies and vectors. Source of every rule: server/routes.go, v0.32.15.

An endpoint reads in the order of the real server's evaluation: decode, name, existence, capability, options,
run.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from . import prompts
from .clock import Meter, rfc3339
from .engines import NOTHING, Ask, Logprob, Piece, llamacpp, vision
from .engines.tokens import split
from .errors import Refusal, refuse_format
from .gojson import encode, float32
from .models import find, place
from .options import BadOption, complete
from .replies import BARE_JSON, JSON, NDJSON, REAL, SCRIPTED, Stream, author, refused, reply, route, written
from .scheduler import Loaded
from .shapes import CHAT, EMBED, EMBEDDING, GENERATE, RawMessage, read
from .state import Practice, Stamp, cut, practice_of, run
from .store import Model

FROM_THE_MODEL = {
    "format",
    "pictures",
    "picture",
    "exceeds",
    "prompt too long",
    "runner",
    "runner refuses",
    "runner refused",
}
CALL_ID = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass
class Started:
    """A request that passed every check: a reply to run, or only a load or unload, named by `done`."""

    model: Model
    meter: Meter
    stamp: Stamp
    loaded: Loaded | None = None
    ask: Ask | None = None
    pieces: AsyncIterator[Piece] | None = None
    done: str = ""
    rendered: tuple[str, int] | None = None  # only the prompt was wanted: it and how many pictures it has


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
        options = complete(served, model.parameters, asked.get("options") or {})
    except BadOption as error:
        raise Refusal("option", text=error) from error
    return options if options["num_predict"] else {**options, "num_predict": -1}  # 0 is not sent on


def _format(asked: dict[str, Any]) -> Any:
    wanted = asked.get("format")
    if wanted in (None, ""):
        return None
    if wanted == "json" or isinstance(wanted, dict):
        return wanted
    raw = wanted if isinstance(wanted, RawMessage) else encode(wanted).decode()
    raise refuse_format(raw)


def _format_after_thinking(asked: dict[str, Any], options: dict[str, Any]) -> tuple[Any, Refusal | None]:
    """As `_format`, but what is wrong is said only when the thinking has ended: a chat tells the model of the
    format then.
    """
    try:
        wanted = _format(asked)
        _check(wanted, options)
    except Refusal as refusal:
        return None, refusal
    return wanted, None


def _check(wanted: Any, options: dict[str, Any]) -> None:
    """Raises Refusal for what the runner does not take."""
    if problem := llamacpp.refusal(wanted, options):
        raise Refusal("runner refuses", text=json.dumps(problem, ensure_ascii=False)[1:-1])


async def start_generate(practice: Practice, asked: dict[str, Any], stamp: Stamp) -> Started:
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
    loaded = await practice.scheduler.use(model, _kept(model, asked), options, asked.get("shift", True))
    meter.loaded()
    if not prompt:
        return Started(model, meter, stamp, done="load")
    messages: list[dict[str, Any]] = []
    if system := asked.get("system") or model.system:
        messages.append({"role": "system", "content": system})
    if asked.get("context"):
        messages.append(await loaded.engine.recall(asked["context"]))
    else:
        messages += model.messages
    messages.append({"role": "user", "content": prompt, "images": asked.get("images", [])})
    if asked.get("_debug_render_only") or asked.get("template"):
        rendered = prompts.of_generate(model, asked, messages, think)
        if asked.get("_debug_render_only"):
            return Started(model, meter, stamp, rendered=rendered)
    wanted = _format(asked)
    bound = (
        asked.get("raw") or wanted is not None
    )  # what goes on with a text, or is JSON, begins with no thought
    ask = Ask(
        messages,
        options,
        stamp.draws(options),
        raw=prompt if asked.get("raw") else None,
        format=wanted,
        think=think and not bound,
        logprobs=logprobs,
        truncate=asked.get("truncate", True),
    )
    return await _ready(practice, loaded, meter, stamp, ask, asked.get("shift", True))


async def start_chat(practice: Practice, asked: dict[str, Any], stamp: Stamp) -> Started:
    """Check a chat request in the real server's order. Raises Refusal."""
    meter = Meter(practice.clock)
    logprobs = _top_logprobs(asked)
    typed = asked.get("model", "")
    if not typed.strip():
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
    loaded = await practice.scheduler.use(model, _kept(model, asked), options, asked.get("shift", True))
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
    if asked.get("_debug_render_only"):
        return Started(model, meter, stamp, rendered=prompts.of_chat(model, asked, messages, tools, think))
    wanted, late = _format_after_thinking(asked, options) if think else (_format(asked), None)
    ask = Ask(
        messages,
        options,
        stamp.draws(options),
        tools=tools,
        format=wanted,
        think=think,
        logprobs=logprobs,
        truncate=asked.get("truncate", True),
    )
    return await _ready(practice, loaded, meter, stamp, ask, asked.get("shift", True), late)


def _kept(model: Model, asked: dict[str, Any]) -> Any:
    """The keep_alive of a request; what runs in the cloud is not kept here at all."""
    return 0 if model.remote else asked.get("keep_alive")


def _head(model: Model, asked: dict[str, Any]) -> dict[str, Any]:
    """What a reply begins with: the model as it was asked for, and where it ran if that was elsewhere."""
    base, where = place(asked["model"])
    if model.remote and where != "cloud":
        return {"model": asked["model"]} | {key: model.config[key] for key in ("remote_model", "remote_host")}
    return {"model": base if where == "cloud" else asked["model"]}


def _only_rendered(started: Started, head: dict[str, Any], empty: dict[str, Any]) -> Response:
    text, pictures = started.rendered or ("", 0)
    shown: dict[str, Any] = {"rendered_template": text}
    if pictures:
        shown["image_count"] = pictures
    at = {"created_at": rfc3339(started.meter.at())}
    return reply({**head, **at, **empty, "done": False, "_debug_info": shown})


async def _ready(
    practice: Practice,
    loaded: Loaded,
    meter: Meter,
    stamp: Stamp,
    ask: Ask,
    shift: bool,
    late: Refusal | None = None,
) -> Started:
    """The reply with its first piece made, so that what fails before it is a refusal. Raises Refusal.

    A model that has thought is told of a format when it begins to answer, and begins anew: there stands an
    empty piece, and there `late` is raised.
    """
    model = loaded.model
    pictured = any(message.get("images") for message in ask.messages)
    if pictured and "vision" not in model.capabilities:
        raise Refusal("pictures")
    if not ask.truncate:
        count = await loaded.engine.prompt_tokens(ask)
        if count > loaded.context_length:
            raise Refusal("exceeds", count=count, limit=loaded.context_length)
    _check(ask.format, ask.options)
    if pictured and not await vision.all_readable(ask.messages):
        raise Refusal("picture")
    meter.prompt_tokens = await cut(loaded, ask)
    if not shift and await loaded.engine.prompt_tokens(ask) > loaded.context_length:
        raise Refusal("prompt too long")
    author.set(SCRIPTED if loaded.engine is practice.engine else REAL)
    pieces = run(practice, ask, meter, loaded)
    first = await anext(pieces)

    async def all_pieces() -> AsyncIterator[Piece]:
        async with aclosing(pieces):
            piece, thought = first, False
            while True:
                if thought and not piece.thinking and not piece.done:
                    thought = False
                    if late or ask.format is not None:
                        yield Piece(logprobs=piece.logprobs[:1])
                        meter.again(piece.tokens)
                    if late:
                        raise late
                thought = thought or bool(piece.thinking)
                yield piece
                if piece.done:
                    break
                piece = await anext(pieces)

    return Started(model, meter, stamp, loaded, ask, all_pieces())


async def pieces_of(started: Started) -> AsyncIterator[Piece]:
    """The reply's pieces; of a mere load or unload one empty piece that says which it was.

    A call whose logprobs are told comes token by token, as while Ollama waits for its end.
    """
    if started.pieces is None:
        yield Piece(done=started.done)
        return
    async for piece in started.pieces:
        if piece.tool_call and piece.logprobs:
            for one in piece.logprobs[:-1]:
                yield Piece(logprobs=(one,))
            piece = piece._replace(logprobs=piece.logprobs[-1:])
        yield piece


async def generate(request: Request) -> Response:
    body = await request.body()
    practice, stamp = practice_of(request), Stamp.of(request, body)
    asked: dict[str, Any] = {}
    try:
        asked = read(body, GENERATE)
        started = await start_generate(practice, asked, stamp)
    except Refusal as refusal:
        return refused(refusal, _refusal_kind(refusal, asked))
    head = _head(started.model, asked)
    if started.rendered:
        return _only_rendered(started, head, {"response": ""})
    if started.ask is None:
        at = rfc3339(started.meter.at())
        return reply({**head, "created_at": at, "response": "", "done": True, "done_reason": started.done})
    chunks = _generate_chunks(started, started.ask, head)
    return await _answer(chunks, asked, ("response", "thinking"), None)


def _refusal_kind(refusal: Refusal, asked: dict[str, Any]) -> str:
    """What the model itself refuses is the first item of a stream, where one was asked for."""
    return BARE_JSON if refusal.key in FROM_THE_MODEL and asked.get("stream") is not False else JSON


async def _generate_chunks(started: Started, ask: Ask, head: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    written: list[str] = []
    async for piece in pieces_of(started):
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
                assert started.loaded is not None
                last["context"] = await started.loaded.engine.context(ask, "".join(written))
            yield last | started.meter.metrics()


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
    asked: dict[str, Any] = {}
    try:
        asked = read(body, CHAT)
        started = await start_chat(practice, asked, stamp)
    except Refusal as refusal:
        return refused(refusal, _refusal_kind(refusal, asked))
    head = _head(started.model, asked)
    if started.rendered:
        return _only_rendered(started, head, {"message": {"role": "", "content": ""}})
    if started.ask is None:
        empty = {"role": "assistant", "content": ""}
        at = rfc3339(started.meter.at())
        return reply({**head, "created_at": at, "message": empty, "done": True, "done_reason": started.done})
    chunks = _chat_chunks(started, head)
    return await _answer(chunks, asked, ("content", "thinking"), "message")


async def _chat_chunks(started: Started, head: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    calls = 0
    async for piece in pieces_of(started):
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
        if piece.text or len(message) > 2 or (piece.logprobs and not piece.done) or piece == NOTHING:
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
        return Stream(_lines(chunks), written({"content-type": NDJSON}))
    grown: dict[str, list[str]] = {key: [] for key in texts}
    logprobs: list[Any] = []
    calls: list[Any] = []
    last: dict[str, Any] = {}
    try:
        async for chunk in chunks:
            part = chunk[inside] if inside else chunk
            for key in texts:
                grown[key].append(part.get(key, ""))
            calls += part.get("tool_calls", [])
            logprobs += chunk.get("logprobs", [])
            last = chunk
    except Refusal as refusal:
        return refused(refusal)
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


async def _lines(chunks: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            yield encode(chunk) + b"\n"
    except Refusal as refusal:
        yield encode({"error": refusal.text}) + b"\n"


# --- vectors --------------------------------------------------------------------------------------


async def start_embed(practice: Practice, asked: dict[str, Any], missing: str) -> tuple[Loaded, Meter, int]:
    """Check a request for vectors and load its model; the number is how many tokens a text is cut to. Raises
    Refusal.
    """
    meter = Meter(practice.clock)
    model = find(practice, asked["model"], missing)
    options = _complete(model, asked)
    loaded = await practice.scheduler.use(model, asked.get("keep_alive"), options)
    meter.loaded()
    trained, wanted = model.length("context"), options["num_ctx"]
    return loaded, meter, min(wanted, trained) if wanted > 0 else trained


def vectors(
    practice: Practice, loaded: Loaded, meter: Meter, most: int, asked: dict[str, Any], texts: list[str]
) -> list[list[float]]:
    """One vector of length 1 for each text, of `most` tokens at most. Raises Refusal."""
    if "embedding" not in loaded.model.capabilities:
        raise Refusal("no embeddings")
    length = loaded.model.length("embedding")
    made = []
    for text in texts:
        pieces = split(text)
        if len(pieces) + 2 > min(most, loaded.context_length) and asked.get("truncate") is False:
            raise Refusal("too long")
        if len(pieces) + 2 > most:
            pieces = pieces[: max(0, most - 2)]
            if not pieces:
                raise Refusal("nothing left")
            text = "".join(pieces)
        if len(pieces) + 2 > loaded.context_length:
            raise Refusal("not shorter")
        meter.prompt_tokens += len(pieces) + 2
        vector = practice.engine.embed(text, length)
        wanted = asked.get("dimensions", 0)
        if 0 < wanted < length:
            norm = sum(x * x for x in vector[:wanted]) ** 0.5 or 1.0
            vector = [x / norm for x in vector[:wanted]]
        made.append([float32(x) for x in vector])
    return made


def input_texts(asked: dict[str, Any]) -> list[str]:
    """The texts of a request's `input`: a text or a list of texts; nothing gives no text. Raises Refusal."""
    value = asked.get("input")
    if not asked.get("model", "").strip():
        raise Refusal("not found", model=asked.get("model", ""))
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
        texts = input_texts(asked)
        loaded, meter, most = await start_embed(practice, asked, "not found, pull")
        if not texts:
            return reply({"model": asked["model"], "embeddings": []})
        made = vectors(practice, loaded, meter, most, asked, texts)
    except Refusal as refusal:
        return refused(refusal)
    metrics = meter.metrics()
    kept = ("total_duration", "load_duration", "prompt_eval_count")
    return reply({"model": asked["model"], "embeddings": made} | {key: metrics[key] for key in kept})


async def embeddings(request: Request) -> Response:
    practice = practice_of(request)
    try:
        asked = read(await request.body(), EMBEDDING)
        if not asked.get("model", "").strip():
            raise Refusal("model required")
        loaded, meter, most = await start_embed(practice, asked, "not found, pull")
        if not asked.get("prompt"):
            return reply({"embedding": []})
        made = vectors(practice, loaded, meter, most, {"truncate": False}, [asked["prompt"]])
    except Refusal as refusal:
        if refusal.key in ("no embeddings", "too long"):
            refusal.status = 500  # this older endpoint passes on no other
        return refused(refusal)
    return reply({"embedding": made[0]})


routes = [
    route("/api/generate", generate, "POST"),
    route("/api/chat", chat, "POST"),
    route("/api/embed", embed, "POST"),
    route("/api/embeddings", embeddings, "POST"),
]
