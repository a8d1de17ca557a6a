"""Ollama's Anthropic-compatible surface, `/v1/messages`.

Source of every rule and shape: anthropic/anthropic.go and middleware/anthropic.go, v0.32.15.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from .compat import SSE
from .engines import Piece
from .errors import Refusal
from .gojson import BadBody, List, Struct, decode, decode_base64, encode
from .models import find
from .ollama import CALL_ID, Started, start_chat
from .replies import BARE_JSON, JSON, route
from .state import Stamp, practice_of, run

HEX = "0123456789abcdef"
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}
STOP_REASONS = {"stop": "end_turn", "length": "max_tokens"}

Events = AsyncIterator[tuple[str, dict[str, Any]]]


def _content(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    if isinstance(value, list) and all(isinstance(block, dict) for block in value):
        return value
    kind = "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else "object"
    raise BadBody(
        f"json: cannot unmarshal {kind} into Go struct field MessagesRequest.messages of type "
        "[]anthropic.ContentBlock"
    )


REQUEST = Struct(
    "anthropic.MessagesRequest",
    {
        "model": "string",
        "max_tokens": "int",
        "messages": List(
            "[]anthropic.MessageParam",
            Struct("anthropic.MessageParam", {"role": "string", "content": _content}),
        ),
        "system": "any",
        "stream": "bool",
        "temperature": "float64",
        "top_p": "float64",
        "top_k": "int",
        "stop_sequences": List("[]string", "string"),
        "tools": List(
            "[]anthropic.Tool",
            Struct("anthropic.Tool", {"name": "string", "description": "string", "input_schema": "any"}),
        ),
        "thinking": Struct("anthropic.ThinkingConfig", {"type": "string", "budget_tokens": "int"}),
    },
    root="MessagesRequest",
)


async def messages(request: Request) -> Response:
    body = await request.body()
    practice, stamp = practice_of(request), Stamp.of(request, body)
    try:
        asked = _read(body)
        native = _native(asked)
    except Refusal as refusal:
        return _refused(refusal, stamp, in_middleware=True)
    try:
        if "thinking" not in find(practice, native["model"]).capabilities:
            native.pop("think", None)  # refused elsewhere, here passed over
        started = start_chat(practice, native, stamp)
    except Refusal as refusal:
        return _refused(refusal, stamp, in_middleware=False)
    head = {
        "id": "msg_" + stamp.letters(24, HEX, "id"),
        "type": "message",
        "role": "assistant",
        "model": asked["model"],
    }
    if started.ask is None:
        usage = {"input_tokens": 0, "output_tokens": 0}
        return _reply({**head, "content": None, "stop_reason": "stop_sequence", "usage": usage})
    pieces = run(practice, started.ask, started.meter)
    if asked.get("stream"):
        frames = _frames(_events(pieces, started, head, _estimate(asked)))
        return StreamingResponse(frames, headers={"content-type": SSE, "cache-control": "no-cache"})
    made = [piece async for piece in pieces]
    content = _blocks(made, started)
    reason = _stop_reason(made[-1].done, any(piece.tool_call for piece in made))
    return _reply({**head, "content": content or None, "stop_reason": reason, "usage": _usage(started)})


def _read(body: bytes) -> dict[str, Any]:
    try:
        asked = decode(body, REQUEST)
    except BadBody as error:
        raise Refusal("body", text=error) from error
    if not asked.get("model"):
        raise Refusal("model required")
    if asked.get("max_tokens", 0) <= 0:
        raise Refusal("max_tokens")
    if not asked.get("messages"):
        raise Refusal("messages required")
    return asked


def _native(asked: dict[str, Any]) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    if system := _text(asked.get("system")):
        messages.append({"role": "system", "content": system})
    for message in asked["messages"]:
        messages += _native_messages(message)
    options: dict[str, Any] = {"num_predict": asked["max_tokens"], "stop": asked.get("stop_sequences")}
    options |= {key: asked.get(key) for key in ("temperature", "top_p", "top_k")}
    tools = [
        {
            "type": "function",
            "function": {
                "name": tool.get("name", ""),
                "description": tool.get("description", ""),
                "parameters": tool.get("input_schema") or {},
            },
        }
        for tool in asked.get("tools", [])
    ]
    native = {"model": asked["model"], "messages": messages, "options": options, "tools": tools}
    thinking = (asked.get("thinking") or {}).get("type")
    if thinking in ("enabled", "disabled"):
        native["think"] = thinking == "enabled"
    return native


def _native_messages(message: dict[str, Any]) -> list[dict[str, Any]]:
    role, blocks = message.get("role", "").lower(), message.get("content", [])
    calls, results, pictures = [], [], []
    for block in blocks:
        if block.get("type") == "image":
            pictures.append(_picture(block.get("source")))
        elif block.get("type") == "tool_use":
            for field in ("id", "name"):
                if not block.get(field):
                    raise Refusal("tool_use", field=field)
            function = {"name": block["name"], "arguments": block.get("input") or {}}
            calls.append({"id": block["id"], "function": function})
        elif block.get("type") == "tool_result":
            results.append({"role": "tool", "content": _text(block.get("content"))})
    one: dict[str, Any] = {"role": role, "content": _text(blocks)}
    one |= {"images": pictures} if pictures else {}
    one |= {"tool_calls": calls} if calls else {}
    own = [one] if one["content"] or pictures or calls else []
    return results + own if role == "user" else own + results


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    blocks = value if isinstance(value, list) else []
    texts = [block.get("text") for block in blocks if isinstance(block, dict) and block.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))


def _picture(source: Any) -> bytes:
    if not isinstance(source, dict) or source.get("type") != "base64":
        raise Refusal("image source")
    try:
        return decode_base64(str(source.get("data", "")))
    except BadBody as error:
        raise Refusal("image source") from error


def _estimate(asked: dict[str, Any]) -> int:
    """How many tokens a stream says at its start that the prompt has: a quarter of its letters."""
    length = len(_text(asked.get("system")))
    for message in asked["messages"]:
        length += len(message.get("role", "")) + len(_text(message.get("content")))
    return max(1, length // 4)


def _reply(value: Any, status: int = 200, kind: str = BARE_JSON, end: bytes = b"\n") -> Response:
    return Response(encode(value) + end, status, headers={"content-type": kind})


def _refused(refusal: Refusal, stamp: Stamp, in_middleware: bool) -> Response:
    error = {"type": ERROR_TYPES.get(refusal.status, "api_error"), "message": refusal.text}
    body = {"type": "error", "error": error, "request_id": "req_" + stamp.letters(24, HEX, "request")}
    return _reply(body, refusal.status, *((JSON, b"") if in_middleware else (BARE_JSON, b"\n")))


def _stop_reason(done: str, called: bool) -> str:
    return "tool_use" if called else STOP_REASONS.get(done, "stop_sequence")


def _usage(started: Started) -> dict[str, int]:
    return {"input_tokens": started.meter.prompt_tokens, "output_tokens": started.meter.reply_tokens}


def _blocks(made: list[Piece], started: Started) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if thinking := "".join(piece.thinking for piece in made):
        blocks.append({"type": "thinking", "thinking": thinking})
    if text := "".join(piece.text for piece in made):
        blocks.append({"type": "text", "text": text})
    calls = [piece.tool_call for piece in made if piece.tool_call]
    for index, call in enumerate(calls):
        blocks.append(_tool_use(started, index, call) | {"input": call["arguments"]})
    return blocks


def _tool_use(started: Started, index: int, call: dict[str, Any]) -> dict[str, Any]:
    call_id = "call_" + started.stamp.letters(8, CALL_ID, f"call {index}")
    return {"type": "tool_use", "id": call_id, "name": call["name"]}


async def _events(
    pieces: AsyncIterator[Piece], started: Started, head: dict[str, Any], estimate: int
) -> Events:
    usage = {"input_tokens": estimate, "output_tokens": 0}
    yield "message_start", {"message": {**head, "content": [], "usage": usage}}
    index, open_block, calls, done = 0, "", 0, "stop"
    async for piece in pieces:
        done = piece.done or done
        for kind, key, text in (("thinking", "thinking", piece.thinking), ("text", "text", piece.text)):
            if not text:
                continue
            if open_block != kind:
                if open_block:
                    yield "content_block_stop", {"index": index}
                    index += 1
                open_block = kind
                yield "content_block_start", {"index": index, "content_block": {"type": kind, key: ""}}
            yield "content_block_delta", {"index": index, "delta": {"type": f"{kind}_delta", key: text}}
        if piece.tool_call:
            if open_block:
                yield "content_block_stop", {"index": index}
                index, open_block = index + 1, ""
            block = _tool_use(started, calls, piece.tool_call) | {"input": {}}
            yield "content_block_start", {"index": index, "content_block": block}
            arguments = encode(piece.tool_call["arguments"]).decode()
            delta = {"type": "input_json_delta", "partial_json": arguments}
            yield "content_block_delta", {"index": index, "delta": delta}
            yield "content_block_stop", {"index": index}
            index, calls = index + 1, calls + 1
    if open_block:
        yield "content_block_stop", {"index": index}
    delta = {"stop_reason": _stop_reason(done, calls > 0)}
    yield "message_delta", {"delta": delta, "usage": _usage(started)}
    yield "message_stop", {}


async def _frames(events: Events) -> AsyncIterator[bytes]:
    async for kind, data in events:
        yield f"event: {kind}\ndata: ".encode() + encode({"type": kind, **data}) + b"\n\n"


routes = [route("/v1/messages", messages, "POST")]
