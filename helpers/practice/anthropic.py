"""Ollama's Anthropic-compatible surface, `/v1/messages`.

Source of every rule and shape: anthropic/anthropic.go and middleware/anthropic.go, v0.32.15.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .cli_format import quote
from .compat import CLOUDS, SSE
from .engines import Piece
from .errors import Refusal
from .gojson import BadBody, List, Struct, decode, decode_base64, encode
from .models import find
from .ollama import CALL_ID, Started, pieces_of, start_chat
from .replies import BARE_JSON, JSON, Stream, refused, route, written
from .shapes import PARAMETERS
from .state import Stamp, practice_of

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
EFFORTS = {"high": "high", "medium": "medium", "low": "low", "max": "max", "xhigh": "high"}
SEARCH = {
    "name": "web_search",
    "description": "Search the web for current information. Use this to find up-to-date information about "
    "any topic.",
    "parameters": {
        "type": "object",
        "required": ["query"],
        "properties": {
            "query": {"type": "string", "description": "The search query to look up on the web"},
        },
    },
}
STOP_REASONS = {"stop": "end_turn", "length": "max_tokens"}

Events = AsyncIterator[tuple[str, dict[str, Any]]]


def _input(value: Any) -> Any:
    if not isinstance(value, dict):
        raise BadBody("Value looks like object, but can't find closing '}' symbol")
    return value


BLOCK = Struct(
    "anthropic.ContentBlock",
    {
        **dict.fromkeys(("type", "text", "id", "name", "tool_use_id", "thinking", "signature"), "string"),
        "source": Struct(
            "anthropic.ImageSource",
            dict.fromkeys(("type", "media_type", "data", "url"), "string"),
        ),
        "input": _input,
        "content": "any",
        "is_error": "bool",
    },
    root="MessagesRequest.messages",
)


def _message(value: Any) -> dict[str, Any]:
    value = {} if value is None else value
    if not isinstance(value, dict):
        raise _misfit(value, MESSAGE_TYPE)
    role = decode(encode({"role": value.get("role")}), ROLE).get("role", "")
    if "content" not in value:
        raise BadBody("unexpected end of JSON input")
    given = value["content"] if value["content"] is not None else ""
    if isinstance(given, str):
        return {"role": role, "content": [{"type": "text", "text": given}]}
    if not isinstance(given, list):
        raise _misfit(given, "[]anthropic.ContentBlock")
    return {"role": role, "content": [_block(block) for block in given]}


def _block(value: Any) -> dict[str, Any]:
    if isinstance(value, dict) or value is None:
        return decode(encode(value), BLOCK)
    raise _misfit(value, "anthropic.ContentBlock")


def _misfit(value: Any, wanted: str) -> BadBody:
    kinds = {str: "string", bool: "bool", list: "array", dict: "object", int: "number", float: "number"}
    got = kinds[type(value)]
    return BadBody(
        f"json: cannot unmarshal {got} into Go struct field MessagesRequest.messages of type {wanted}"
    )


MESSAGE_TYPE = 'struct { Role string "json:\\"role\\""; Content json.RawMessage "json:\\"content\\"" }'
ROLE = Struct("", {"role": "string"}, root="MessagesRequest.messages")
REQUEST = Struct(
    "anthropic.MessagesRequest",
    {
        "model": "string",
        "max_tokens": "int",
        "messages": List("[]anthropic.MessageParam", _message),
        "system": "any",
        "stream": "bool",
        "temperature": "float64",
        "top_p": "float64",
        "top_k": "int",
        "stop_sequences": List("[]string", "string"),
        "tools": List(
            "[]anthropic.Tool",
            Struct(
                "anthropic.Tool",
                {"type": "string", "name": "string", "description": "string", "input_schema": "any"},
                root="Tool",
            ),
        ),
        "tool_choice": Struct(
            "anthropic.ToolChoice", {"type": "string", "name": "string"}, root="ToolChoice"
        ),
        "thinking": Struct(
            "anthropic.ThinkingConfig", {"type": "string", "budget_tokens": "int"}, root="ThinkingConfig"
        ),
        "metadata": Struct("anthropic.Metadata", {"user_id": "string"}, root="Metadata"),
        "output_config": Struct("anthropic.OutputConfig", {"effort": "string"}, root="OutputConfig"),
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
        started = await start_chat(practice, native, stamp)
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
    pieces = pieces_of(started)
    if asked.get("stream"):
        frames = _frames(_events(pieces, started, head, _estimate(asked)))
        return Stream(frames, written({"content-type": SSE, "cache-control": "no-cache"}))
    try:
        made = [piece async for piece in pieces]
    except Refusal as refusal:
        return _refused(refusal, stamp, in_middleware=False)
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
    tools = [{"type": "function", "function": function} for function in _functions(asked.get("tools", []))]
    native = {"model": asked["model"], "messages": messages, "options": options, "tools": tools}
    thinking = asked.get("thinking", {}).get("type")
    effort = asked.get("output_config", {}).get("effort", "").strip().lower()
    if thinking in ("enabled", "disabled"):
        native["think"] = thinking == "enabled"
    elif effort in EFFORTS:
        native["think"] = EFFORTS[effort]
    return native


def _functions(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tools as functions; a search of the web is the server's own, and the only one of its name."""
    searches = any(tool.get("type", "").startswith(SEARCH["name"]) for tool in tools)
    made = []
    for tool in tools:
        if tool.get("type", "").startswith(SEARCH["name"]):
            made.append(SEARCH)
        elif not (searches and tool.get("name") == SEARCH["name"]):
            name = tool.get("name", "")
            try:
                takes = decode(encode(tool.get("input_schema")), PARAMETERS)
            except BadBody as error:
                raise Refusal("input schema", quoted=quote(name), text=error) from error
            about = tool.get("description", "")
            made.append({"name": name, "description": about, "parameters": takes})
    return made


def _native_messages(message: dict[str, Any]) -> list[dict[str, Any]]:
    role, blocks = message.get("role", "").lower(), message.get("content", [])
    one: dict[str, Any] = {"role": role, "content": _text(blocks)}
    results = []
    for block in blocks:
        kind = block.get("type")
        if kind == "image":
            one.setdefault("images", []).append(_picture(block.get("source")))
        elif kind == "thinking":
            one["thinking"] = str(block.get("thinking") or "")
        elif kind in ("tool_use", "server_tool_use"):
            for field in ("id", "name") if kind == "tool_use" else ():
                if not block.get(field):
                    raise Refusal("tool_use", field=field)
            function = {"name": block.get("name", ""), "arguments": block.get("input") or {}}
            one.setdefault("tool_calls", []).append({"id": block.get("id", ""), "function": function})
        elif kind == "tool_result":
            results.append({"role": "tool", **_result(block.get("content")), **_answers(block)})
        elif kind == "web_search_tool_result":
            results.append({"role": "tool", "content": _found(block.get("content")), **_answers(block)})
    own = [one] if any(one.get(key) for key in ("content", "images", "tool_calls", "thinking")) else []
    return results + own if role == "user" else own + results


def _answers(block: dict[str, Any]) -> dict[str, str]:
    return {"tool_call_id": str(block.get("tool_use_id", ""))}


def _result(content: Any) -> dict[str, Any]:
    """A tool's result: its text, and its pictures if it has any. Raises Refusal."""
    pictures = []
    for part in content if isinstance(content, list) else []:
        if isinstance(part, dict) and part.get("type") == "image":
            if not isinstance(part.get("source"), dict):
                raise Refusal("result image")
            pictures.append(_picture(part["source"]))
    return {"content": _text(content)} | ({"images": pictures} if pictures else {})


def _found(content: Any) -> str:
    """What a search of the web found, line by line."""
    if isinstance(content, dict) and content.get("type") == "web_search_tool_result_error":
        content = [content]
    if not isinstance(content, list):
        return content if isinstance(content, str) else encode(content).decode()
    lines = ""
    for one in (part for part in content if isinstance(part, dict)):
        if one.get("type") == "web_search_result":
            lines += f"- {one.get('title', '')}: {one.get('url', '')}\n"
        elif one.get("type") == "web_search_tool_result_error":
            code = one.get("error_code")
            return "web_search_tool_result_error" + (f": {code}" if code else "")
    return lines


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    blocks = value if isinstance(value, list) else []
    texts = [block.get("text") for block in blocks if isinstance(block, dict) and block.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))


def _picture(source: Any) -> bytes:
    if not isinstance(source, dict):
        raise Refusal("image source")
    if source.get("type") != "base64":
        raise Refusal("image source type", kind=source.get("type", ""))
    try:
        return decode_base64(str(source.get("data", "")))
    except BadBody as error:
        raise Refusal("image data", text=error) from error


def _estimate(asked: dict[str, Any]) -> int:
    """How many tokens a stream says at its start that the prompt has: a quarter of its bytes."""
    said = [_text(asked.get("system"))]
    for message in asked["messages"]:
        said.append(message.get("role", ""))
        for block in message.get("content", []):
            said += [str(block.get(key) or "") for key in ("text", "thinking")]
            if block.get("type") in ("tool_use", "tool_result"):
                said.append(encode(block).decode())
    for tool in asked.get("tools", []):
        said += [tool.get("name", ""), tool.get("description", "")]
        said += [encode(tool["input_schema"]).decode()] if "input_schema" in tool else []
    return max(1, sum(len(text.encode("utf-8", "replace")) for text in said) // 4)


def _reply(value: Any, status: int = 200, kind: str = BARE_JSON, end: bytes = b"\n") -> Response:
    return Response(encode(value) + end, status, headers={"content-type": kind})


def _refused(refusal: Refusal, stamp: Stamp, in_middleware: bool) -> Response:
    if refusal.status in CLOUDS:
        return refused(refusal)
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
    with suppress(Refusal):  # a model that fails ends the stream, and no event says so
        async for kind, data in events:
            yield f"event: {kind}\ndata: ".encode() + encode({"type": kind, **data}) + b"\n\n"


routes = [route("/v1/messages", messages, "POST")]
