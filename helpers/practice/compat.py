"""Ollama's OpenAI-compatible surface, `/v1/*`: requests turned into native ones, replies turned back.

Source of every rule and shape: openai/openai.go and middleware/openai.go, v0.32.15. An error raised while the
request is read is written by the middleware (no line end); one raised by the native handler ends with a line
end.
"""

from __future__ import annotations

import json
import re
import struct
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .cli_format import quote
from .clock import SECOND
from .engines import NOTHING, Piece
from .errors import Refusal
from .gojson import BadBody, List, Struct, decode, decode_base64, encode, syntax_error
from .models import described
from .ollama import (
    CALL_ID,
    Started,
    input_texts,
    logprob_item,
    pieces_of,
    start_chat,
    start_embed,
    start_generate,
    vectors,
)
from .replies import BARE_JSON, JSON, Stream, refused, route, written
from .shapes import TOOL
from .state import Practice, Stamp, practice_of
from .store import Model

SSE = "text/event-stream"

Endpoint = Callable[[Request], Awaitable[Response]]
Start = Callable[[Practice, dict[str, Any], Stamp], Awaitable[Started]]

EFFORTS = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "max": "max",
    "xhigh": "max",
    "ultra": "max",
}
CLOUDS = (401, 403)  # statuses only the cloud gives; what it says is passed on as it is
ERROR_TYPES = {400: "invalid_request_error", 404: "not_found_error"}

MESSAGE = Struct(
    "openai.Message",
    {
        "role": "string",
        "content": "any",
        "reasoning": "string",
        "tool_calls": List(
            "[]openai.ToolCall",
            Struct(
                "openai.ToolCall",
                {
                    "id": "string",
                    "index": "int",
                    "type": "string",
                    "function": Struct(
                        'struct { Name string "json:\\"name\\""; Arguments string "json:\\"arguments\\"" }',
                        {"name": "string", "arguments": "string"},
                        root="",
                    ),
                },
                root="ToolCall",
            ),
        ),
        "name": "string",
        "tool_call_id": "string",
    },
    root="Message",
)
CHAT = Struct(
    "openai.ChatCompletionRequest",
    {
        "model": "string",
        "messages": List("[]openai.Message", MESSAGE),
        "stream": "bool",
        "stream_options": Struct("openai.StreamOptions", {"include_usage": "bool"}, root="StreamOptions"),
        "max_tokens": "int",
        "seed": "int",
        "stop": "any",
        "temperature": "float64",
        "frequency_penalty": "float64",
        "presence_penalty": "float64",
        "top_p": "float64",
        "response_format": Struct(
            "openai.ResponseFormat",
            {
                "type": "string",
                "json_schema": Struct("openai.JsonSchema", {"schema": "any"}, root="JsonSchema"),
            },
            root="ResponseFormat",
        ),
        "tools": List("[]api.Tool", TOOL),
        "reasoning": Struct("openai.Reasoning", {"effort": "string"}, root="Reasoning"),
        "reasoning_effort": "string",
        "logprobs": "bool",
        "top_logprobs": "int",
    },
    root="ChatCompletionRequest",
)
COMPLETION = Struct(
    "openai.CompletionRequest",
    {
        "model": "string",
        "prompt": "string",
        "suffix": "string",
        "stream": "bool",
        "stream_options": Struct("openai.StreamOptions", {"include_usage": "bool"}, root="StreamOptions"),
        "max_tokens": "int",
        "seed": "int",
        "stop": "any",
        "temperature": "float32",
        "frequency_penalty": "float32",
        "presence_penalty": "float32",
        "top_p": "float32",
        "logprobs": "int",
    },
    root="CompletionRequest",
)
EMBED = Struct(
    "openai.EmbedRequest",
    {"input": "any", "model": "string", "dimensions": "int", "encoding_format": "string"},
    root="EmbedRequest",
)


def read_body(body: bytes, shape: Struct) -> dict[str, Any]:
    try:
        return decode(body, shape)
    except BadBody as error:
        raise Refusal("body", text=error) from error


def reply_line(value: Any, status: int = 200, kind: str = BARE_JSON, end: bytes = b"\n") -> Response:
    return Response(encode(value) + end, status, headers={"content-type": kind})


@contextmanager
def middleware() -> Iterator[None]:
    """What is refused in here never reaches Ollama's own handler, and is told in another form."""
    try:
        yield
    except Refusal as refusal:
        refusal.in_middleware = True
        raise


def refused_openai(refusal: Refusal) -> Response:
    if refusal.status in CLOUDS:
        return refused(refusal)
    kind = ERROR_TYPES.get(refusal.status, "api_error")
    body = {"error": {"message": refusal.text, "type": kind, "param": None, "code": None}}
    if refusal.in_middleware:
        return reply_line(body, refusal.status, JSON, b"")
    return reply_line(body, refusal.status)


def openai_refusals(endpoint: Endpoint) -> Endpoint:
    """The endpoint, with its refusals told as OpenAI tells them."""

    @wraps(endpoint)
    async def told(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Refusal as refusal:
            return refused_openai(refusal)

    return told


async def begun(
    request: Request, shape: Struct, native: Callable[[dict[str, Any]], dict[str, Any]], start: Start
) -> tuple[dict[str, Any], Stamp, Started]:
    """What was asked, and the native request it stands for, begun. Raises Refusal."""
    body = await request.body()
    stamp = Stamp.of(request, body)
    with middleware():
        asked = read_body(body, shape)
        wanted = native(asked)
    return asked, stamp, await start(practice_of(request), wanted, stamp)


# --- chat completions -----------------------------------------------------------------------------


@openai_refusals
async def chat_completions(request: Request) -> Response:
    asked, stamp, started = await begun(request, CHAT, native_chat, start_chat)
    head = {
        "id": f"chatcmpl-{stamp.number(999)}",
        "object": "chat.completion",
        "created": started.meter.at() // SECOND,
        "model": asked.get("model", ""),
        "system_fingerprint": "fp_ollama",
    }
    if started.ask is None:
        return reply_line(
            {**head, "choices": [_choice(_message([]), started.done)], "usage": _usage(started)}
        )
    pieces = pieces_of(started)
    if asked.get("stream"):
        head["object"] = "chat.completion.chunk"
        usage = (asked.get("stream_options") or {}).get("include_usage", False)
        return Stream(_frames(pieces, started, head, usage), written({"content-type": SSE}))
    made = [piece async for piece in pieces]
    choice = _choice(_message(made, started), _finish(made))
    if started.ask.logprobs is not None:
        choice["logprobs"] = {"content": [logprob_item(one) for piece in made for one in piece.logprobs]}
    return reply_line({**head, "choices": [choice], "usage": _usage(started)})


def native_chat(asked: dict[str, Any]) -> dict[str, Any]:
    messages = asked.get("messages", [])
    if not messages:
        raise Refusal("no messages")
    native: dict[str, Any] = {"model": asked.get("model", ""), "messages": _native_messages(messages)}
    options: dict[str, Any] = {
        key: asked[key] for key in ("seed", "frequency_penalty", "presence_penalty") if key in asked
    }
    options |= {"temperature": asked.get("temperature", 1.0), "top_p": asked.get("top_p", 1.0)}
    if "max_tokens" in asked:
        options["num_predict"] = asked["max_tokens"]
    if isinstance(stop := asked.get("stop"), str):
        options["stop"] = [stop]
    elif isinstance(stop, list):
        options["stop"] = [text for text in stop if isinstance(text, str)]
    wanted = asked.get("response_format") or {}
    kind = wanted.get("type", "").strip().lower()
    if kind == "json_object":
        native["format"] = "json"
    elif kind == "json_schema":
        native["format"] = (wanted.get("json_schema") or {}).get("schema")
    effort = asked["reasoning"].get("effort") if "reasoning" in asked else asked.get("reasoning_effort")
    if effort:
        if effort not in EFFORTS:
            raise Refusal("effort", quoted=quote(effort))
        native["think"] = EFFORTS[effort]
    for key in ("tools", "logprobs", "top_logprobs"):
        if key in asked:
            native[key] = asked[key]
    return {**native, "options": options}


def _native_messages(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    native: list[dict[str, Any]] = []
    for message in messages:
        role, content = message.get("role", ""), message.get("content")
        more = {"tool_call_id": message.get("tool_call_id"), "thinking": message.get("reasoning")}
        if role.lower() == "tool":
            more["tool_name"] = message.get("name") or _called(messages, message.get("tool_call_id", ""))
        if isinstance(content, list):
            native += [{"role": role, **_native_part(part)} for part in content]
            if native and message.get("tool_calls"):
                more["tool_calls"] = [_native_call(call) for call in message["tool_calls"]]
                native[-1] |= {key: value for key, value in more.items() if value}
            continue
        if not isinstance(content, str) and "tool_calls" not in message:
            raise Refusal("content type", kind=_go_kind(content))
        more["tool_calls"] = [_native_call(call) for call in message.get("tool_calls", [])]
        one = {"role": role, "content": content if isinstance(content, str) else ""}
        native.append(one | {key: value for key, value in more.items() if value})
    return native


def _native_part(part: Any) -> dict[str, Any]:
    if not isinstance(part, dict):
        raise Refusal("message")
    if part.get("type") == "text" and isinstance(part.get("text"), str):
        return {"content": part["text"]}
    if part.get("type") == "image_url":
        return {"content": "", "images": [native_picture(part.get("image_url"))]}
    if part.get("type") != "input_audio":
        raise Refusal("message")
    return {"content": "", "images": [_native_sound(part.get("input_audio"))]}


def _native_sound(sound: Any) -> bytes:
    if not isinstance(sound, dict):
        raise Refusal("sound")
    if not isinstance(sound.get("data"), str):
        raise Refusal("no sound")
    try:
        return decode_base64(sound["data"])
    except BadBody as error:
        raise Refusal("sound base64", text=error) from error


def native_picture(url: Any) -> bytes:
    """The picture in a data URL, given as a text or as {"url": …}. Raises Refusal."""
    url = url.get("url") if isinstance(url, dict) else url
    if not isinstance(url, str):
        raise Refusal("message")
    if url.startswith(("http://", "https://")):
        raise Refusal("image url")
    picture = re.fullmatch(r"data:(?:image/(?:jpeg|jpg|png|webp))?;base64,(.*)", url, re.DOTALL)
    if not picture:
        raise Refusal("image")
    try:
        return decode_base64(picture[1])
    except BadBody as error:
        raise Refusal("image") from error


def _native_call(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    try:
        arguments = call_arguments(function.get("arguments", ""))
    except BadBody:
        raise Refusal("arguments") from None
    return {"id": call.get("id", ""), "function": {"name": function.get("name", ""), "arguments": arguments}}


def call_arguments(text: str) -> dict[str, Any]:
    """What a tool is called with, out of its JSON text. Raises BadBody with Go's text."""
    try:
        arguments = json.loads(text)
    except ValueError:
        wrong = syntax_error(text.encode("utf-8", "replace"))
        raise BadBody(wrong.replace("unexpected EOF", "unexpected end of JSON input")) from None
    if not isinstance(arguments, dict):
        raise BadBody("Value looks like object, but can't find closing '}' symbol")
    return arguments


def _called(messages: list[dict[str, Any]], call_id: str) -> str:
    calls = [call for message in messages for call in message.get("tool_calls", []) if call_id]
    found = (c.get("function", {}).get("name", "") for c in reversed(calls) if c.get("id") == call_id)
    return next(found, "")


def _go_kind(value: Any) -> str:
    if value is None:
        return "<nil>"
    kinds = {bool: "bool", int: "float64", float: "float64", str: "string", list: "[]interface {}"}
    return kinds.get(type(value), "map[string]interface {}")


def tool_call(started: Started, piece: Piece, index: int) -> dict[str, Any]:
    call = piece.tool_call or {}
    return {
        "id": "call_" + started.stamp.letters(8, CALL_ID, f"call {index}"),
        "index": index,
        "type": "function",
        "function": {"name": call["name"], "arguments": encode(call["arguments"]).decode()},
    }


def _message(made: list[Piece], started: Started | None = None) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(piece.text for piece in made)}
    if thinking := "".join(piece.thinking for piece in made):
        message["reasoning"] = thinking
    calls = [piece for piece in made if piece.tool_call]
    if calls and started:
        message["tool_calls"] = [tool_call(started, piece, i) for i, piece in enumerate(calls)]
    return message


def _choice(message: dict[str, Any], finish: str) -> dict[str, Any]:
    return {"index": 0, "message": message, "finish_reason": finish}


def _finish(made: list[Piece]) -> str:
    called = any(piece.tool_call for piece in made)
    done = made[-1].done if made else "stop"
    return "tool_calls" if called and done == "stop" else done


def _usage(started: Started) -> dict[str, int]:
    read, wrote = started.meter.prompt_tokens, started.meter.reply_tokens
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


async def _frames(
    pieces: AsyncIterator[Piece], started: Started, head: dict[str, Any], usage: bool
) -> AsyncIterator[bytes]:
    role: dict[str, Any] = {"role": "assistant"}
    calls, done = 0, "stop"
    try:
        async for piece in pieces:
            done = piece.done or done
            told = piece.text or piece.thinking or piece.tool_call
            if not (told or (piece.logprobs and not piece.done) or piece == NOTHING):
                continue
            delta = {**role, "content": piece.text}
            if piece.thinking:
                delta["reasoning"] = piece.thinking
            if piece.tool_call:
                delta["tool_calls"] = [tool_call(started, piece, calls)]
                calls += 1
            choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": None}
            if piece.logprobs:
                choice["logprobs"] = {"content": [logprob_item(one) for one in piece.logprobs]}
            yield frame({**head, "choices": [choice]})
            role = {}
    except Refusal:  # what went wrong is lost on the way: a chunk of no model ends the stream
        empty = {"index": 0, "delta": {**role, "content": ""}, "finish_reason": None}
        yield frame({**head, "model": "", "choices": [empty]})
        return
    if role:
        empty = {"index": 0, "delta": {**role, "content": ""}, "finish_reason": None}
        yield frame({**head, "choices": [empty]})
    finish = "tool_calls" if calls and done == "stop" else done
    yield frame({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if usage:
        yield frame({**head, "choices": [], "usage": _usage(started)})
    yield b"data: [DONE]\n\n"


def frame(value: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + encode(value) + b"\n\n"


# --- completions -----------------------------------------------------------------------------------------


@openai_refusals
async def completions(request: Request) -> Response:
    asked, stamp, started = await begun(request, COMPLETION, _native_completion, start_generate)
    head = {
        "id": f"cmpl-{stamp.number(999)}",
        "object": "text_completion",
        "created": started.meter.at() // SECOND,
    }
    named = {"model": asked.get("model", ""), "system_fingerprint": "fp_ollama"}
    pieces = pieces_of(started)
    if asked.get("stream"):
        usage = (asked.get("stream_options") or {}).get("include_usage", False)
        frames = _completion_frames(pieces, started, head, named, usage)
        return Stream(frames, written({"content-type": SSE}))
    made = [piece async for piece in pieces]
    choice = {"text": "".join(piece.text for piece in made), "index": 0, "finish_reason": made[-1].done}
    return reply_line({**head, **named, "choices": [choice], "usage": _usage(started)})


def _native_completion(asked: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {
        "temperature": asked.get("temperature", 1.0),
        "top_p": asked.get("top_p") or 1.0,
        "frequency_penalty": asked.get("frequency_penalty", 0.0),
        "presence_penalty": asked.get("presence_penalty", 0.0),
        "seed": asked.get("seed"),
        "num_predict": asked.get("max_tokens"),
    }
    stop = asked.get("stop")
    if isinstance(stop, str):
        options["stop"] = [stop]
    elif isinstance(stop, list):
        if strange := [one for one in stop if not isinstance(one, str)]:
            raise Refusal("stop", kind=_go_kind(strange[0]))
        options["stop"] = stop
    native = {key: asked.get(key, "") for key in ("model", "prompt", "suffix")}
    top = asked.get("logprobs", 0)
    return {**native, "options": options, "logprobs": top > 0, "top_logprobs": max(0, top)}


async def _completion_frames(
    pieces: AsyncIterator[Piece],
    started: Started,
    head: dict[str, Any],
    named: dict[str, Any],
    usage: bool,
) -> AsyncIterator[bytes]:
    empty = {"usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}} if usage else {}
    try:
        async for piece in pieces:
            if piece.text or piece.thinking:
                choice = {"text": piece.text, "index": 0, "finish_reason": None}
                yield frame({**head, "choices": [choice], **named, **empty})
            if piece.done:
                choice = {"text": "", "index": 0, "finish_reason": piece.done}
                yield frame({**head, "choices": [choice], **named, **empty})
    except Refusal:  # as in a chat
        choice = {"text": "", "index": 0, "finish_reason": None}
        yield frame({**head, "choices": [choice], **named, "model": "", **empty})
        return
    if usage:
        yield frame({**head, "choices": [], **named, "usage": _usage(started)})
    yield b"data: [DONE]\n\n"


# --- models and vectors ---------------------------------------------------------------------------


async def models(request: Request) -> Response:
    found = [_listed(model, model.name.short) for model in practice_of(request).store.all()]
    return reply_line({"object": "list", "data": found or None})


@openai_refusals
async def model(request: Request) -> Response:
    typed = request.path_params["model"]
    return reply_line(_listed(described(practice_of(request), typed), typed))


def _listed(model: Model, shown: str) -> dict[str, Any]:
    return {
        "id": shown,
        "object": "model",
        "created": model.modified_ns // SECOND,
        "owned_by": model.name.namespace,
    }


@openai_refusals
async def embeddings(request: Request) -> Response:
    practice = practice_of(request)
    with middleware():
        asked = read_body(await request.body(), EMBED)
        encoding = asked.get("encoding_format", "")
        if encoding.lower() not in ("", "float", "base64"):
            raise Refusal("encoding", value=encoding)
        if asked.get("input") in (None, []):
            raise Refusal("input")
    texts = input_texts(asked) or [""]
    loaded, meter, most = await start_embed(practice, asked, "not found, pull")
    made = vectors(practice, loaded, meter, most, asked, texts)
    shown = [packed(vector) for vector in made] if encoding.lower() == "base64" else made
    data = [{"object": "embedding", "embedding": one, "index": i} for i, one in enumerate(shown)]
    usage = {"prompt_tokens": meter.prompt_tokens, "total_tokens": meter.prompt_tokens}
    return reply_line({"object": "list", "data": data, "model": asked.get("model", ""), "usage": usage})


def packed(vector: list[float]) -> str:
    """A vector as base64 of little-endian 32-bit floats."""
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


routes = [
    route("/v1/chat/completions", chat_completions, "POST"),
    route("/v1/completions", completions, "POST"),
    route("/v1/embeddings", embeddings, "POST"),
    route("/v1/models", models, "GET"),
    route("/v1/models/{model}", model, "GET"),
]
