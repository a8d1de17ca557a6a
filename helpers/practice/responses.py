"""Ollama's side of OpenAI's Responses API, `/v1/responses`: stateless, turned into a chat and back.

Source of every rule and shape: openai/responses.go and middleware/openai.go, v0.32.15.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from .clock import SECOND
from .compat import EFFORTS, SSE, native_picture, read_body, refused_openai, reply_line, tool_call
from .engines import Piece
from .errors import Refusal
from .gojson import BadBody, List, Struct, encode
from .ollama import Started, pieces_of, start_chat
from .replies import route
from .state import Stamp, practice_of

ITEM_NUMBERS = 999_999


def _input(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": value}] if value else []
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value
    kind = "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else "object"
    raise BadBody(
        f"input must be a string or array: json: cannot unmarshal {kind} into Go value of type "
        "[]json.RawMessage"
    )


FORMAT = Struct(
    "openai.ResponsesTextFormat", {"type": "string", "name": "string", "schema": "any", "strict": "any"}
)
REQUEST = Struct(
    "openai.ResponsesRequest",
    {
        "model": "string",
        "input": _input,
        "instructions": "string",
        "max_output_tokens": "int",
        "reasoning": Struct("openai.ResponsesReasoning", {"effort": "string", "summary": "string"}),
        "temperature": "float64",
        "top_p": "float64",
        "text": Struct("openai.ResponsesText", {"format": FORMAT}),
        "tools": List("[]openai.ResponsesTool", "any"),
        "stream": "bool",
        "truncation": "string",
        "background": "bool",
    },
    root="ResponsesRequest",
)


async def responses(request: Request) -> Response:
    body = await request.body()
    practice, stamp = practice_of(request), Stamp.of(request, body)
    try:
        asked = read_body(body, REQUEST)
        native = _native(asked)
    except Refusal as refusal:
        return refused_openai(refusal, in_middleware=True)
    try:
        started = start_chat(practice, native, stamp)
    except Refusal as refusal:
        return refused_openai(refusal, in_middleware=False)
    pieces = pieces_of(practice, started)
    if asked.get("stream"):
        frames = _frames(_events(pieces, asked, started))
        return StreamingResponse(frames, headers={"content-type": SSE, "cache-control": "no-cache"})
    made = [piece async for piece in pieces]
    return reply_line(_whole(asked, started, "completed", _output(made, started)))


# --- the request as a chat ---------------------------------------------------------------------------------


def _native(asked: dict[str, Any]) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    if asked.get("instructions"):
        messages.append({"role": "system", "content": asked["instructions"]})
    for index, item in enumerate(asked.get("input", [])):
        _add(messages, item, index)
    options = {
        "temperature": asked.get("temperature", 1.0),
        "top_p": asked.get("top_p"),
        "num_predict": asked.get("max_output_tokens"),
    }
    native: dict[str, Any] = {"model": asked.get("model", ""), "messages": messages, "options": options}
    if effort := (asked.get("reasoning") or {}).get("effort"):
        if effort not in EFFORTS:
            raise Refusal("effort", value=effort)
        native["think"] = EFFORTS[effort]
    wanted = (asked.get("text") or {}).get("format") or {}
    if wanted.get("type") == "json_schema":
        native["format"] = wanted.get("schema")
    functions = [tool for tool in asked.get("tools", []) if isinstance(tool, dict)]
    native["tools"] = [
        {"type": "function", "function": {key: tool[key] for key in tool if key in _FUNCTION}}
        for tool in functions
        if tool.get("type") == "function"
    ]
    return native


_FUNCTION = ("name", "description", "parameters")


def _add(messages: list[dict[str, Any]], item: dict[str, Any], index: int) -> None:
    kind = item.get("type") or ("message" if item.get("role") else "")
    if kind == "message":
        text, pictures = _content(item.get("content"), index)
        message = {"role": item.get("role", ""), "content": text}
        messages.append(message | ({"images": pictures} if pictures else {}))
    elif kind == "function_call":
        try:
            arguments = json.loads(item.get("arguments") or "{}")
        except (ValueError, TypeError):
            raise Refusal("arguments") from None
        call = {
            "id": item.get("call_id", ""),
            "function": {"name": item.get("name", ""), "arguments": arguments},
        }
        if messages and messages[-1]["role"] == "assistant":
            messages[-1].setdefault("tool_calls", []).append(call)
        else:
            messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
    elif kind == "function_call_output":
        text, pictures = _content(item.get("output"), index)
        messages.append(
            {"role": "tool", "content": text, "tool_name": _called(messages, item.get("call_id"))}
        )
    elif kind not in ("reasoning", "web_search_call"):
        key = "item type" if kind else "no item type"
        raise Refusal(key, index=index, kind=kind)


def _content(value: Any, index: int) -> tuple[str, list[bytes]]:
    if isinstance(value, str):
        return value, []
    texts, pictures = [], []
    for number, part in enumerate(value if isinstance(value, list) else []):
        kind = part.get("type") if isinstance(part, dict) else ""
        if kind in ("input_text", "output_text"):
            texts.append(str(part.get("text", "")))
        elif kind == "input_image":
            pictures.append(native_picture(part.get("image_url")))
        elif kind == "input_file":
            raise Refusal("files")
        else:
            raise Refusal("part type", index=index, number=number, kind=kind)
    return "".join(texts), pictures


def _called(messages: list[dict[str, Any]], call_id: Any) -> str:
    calls = [call for message in messages for call in message.get("tool_calls", [])]
    return next((call["function"]["name"] for call in calls if call["id"] == call_id), "")


# --- the reply ---------------------------------------------------------------------------------------------


def _id(started: Started) -> str:
    return f"resp_{started.stamp.number(ITEM_NUMBERS)}"


def _item_id(started: Started) -> str:
    return f"msg_{started.stamp.number(ITEM_NUMBERS, 'item')}"


def _whole(
    asked: dict[str, Any], started: Started, status: str, output: list[dict[str, Any]]
) -> dict[str, Any]:
    done = status == "completed"
    now = started.meter.clock.now() // SECOND
    read, wrote = started.meter.prompt_tokens, started.meter.reply_tokens
    usage = {
        "input_tokens": read,
        "output_tokens": wrote,
        "total_tokens": read + wrote,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    return {
        "id": _id(started),
        "object": "response",
        "created_at": now,
        "completed_at": now if done else None,
        "status": status,
        "incomplete_details": None,
        "model": asked.get("model", ""),
        "previous_response_id": None,
        "instructions": asked.get("instructions") or None,
        "output": output,
        "error": None,
        "tools": asked.get("tools", []),
        "tool_choice": "auto",
        "truncation": asked.get("truncation", "disabled"),
        "parallel_tool_calls": True,
        "text": asked.get("text") or {"format": {"type": "text"}},
        "top_p": asked.get("top_p", 1),
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "top_logprobs": 0,
        "temperature": asked.get("temperature", 1),
        "reasoning": asked.get("reasoning") or None,
        "usage": usage if done else None,
        "max_output_tokens": asked.get("max_output_tokens"),
        "max_tool_calls": None,
        "store": False,
        "background": asked.get("background", False),
        "service_tier": "default",
        "metadata": {},
        "safety_identifier": None,
        "prompt_cache_key": None,
    }


def _output(made: list[Piece], started: Started) -> list[dict[str, Any]]:
    output: list[dict[str, Any]] = []
    if thinking := "".join(piece.thinking for piece in made):
        output.append(_reasoning(started, thinking))
    calls = [piece for piece in made if piece.tool_call]
    if calls:
        output += [_call(started, piece, i, "completed") for i, piece in enumerate(calls)]
    else:
        output.append(_message(started, "".join(piece.text for piece in made)))
    return output


def _reasoning(started: Started, text: str) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": text}] if text else []
    item = {"id": f"rs_{_id(started)}", "type": "reasoning", "summary": summary}
    return item | ({"encrypted_content": text} if text else {})


def _message(started: Started, text: str) -> dict[str, Any]:
    head = {"id": _item_id(started), "type": "message", "status": "completed", "role": "assistant"}
    return {**head, "content": [_part(text)]}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _call(started: Started, piece: Piece, index: int, status: str) -> dict[str, Any]:
    call = tool_call(started, piece, index)
    return {
        "id": f"fc_{_id(started)}_{index}",
        "type": "function_call",
        "status": status,
        "call_id": call["id"],
        "name": call["function"]["name"],
        "arguments": call["function"]["arguments"] if status == "completed" else "",
    }


# --- the reply as a stream ---------------------------------------------------------------------------------

Events = AsyncIterator[tuple[str, dict[str, Any]]]


async def _events(pieces: AsyncIterator[Piece], asked: dict[str, Any], started: Started) -> Events:
    begun = _whole(asked, started, "in_progress", [])
    yield "response.created", {"response": begun}
    yield "response.in_progress", {"response": begun}
    made: list[Piece] = []
    index, thought, wrote, calls = 0, "", "", 0
    part = {"item_id": _item_id(started), "content_index": 0}
    async for piece in pieces:
        made.append(piece)
        if piece.thinking:
            summary = {"item_id": f"rs_{_id(started)}", "output_index": index, "summary_index": 0}
            if not thought:
                yield "response.output_item.added", {"output_index": index, "item": _reasoning(started, "")}
            thought += piece.thinking
            yield "response.reasoning_summary_text.delta", {**summary, "delta": piece.thinking}
        if thought and (piece.text or piece.tool_call or piece.done) and index == 0:
            summary = {"item_id": f"rs_{_id(started)}", "output_index": index, "summary_index": 0}
            yield "response.reasoning_summary_text.done", {**summary, "text": thought}
            yield "response.output_item.done", {"output_index": index, "item": _reasoning(started, thought)}
            index = 1
        if piece.tool_call:
            item = _call(started, piece, calls, "completed")
            about = {"item_id": item["id"], "output_index": index}
            begun_item = _call(started, piece, calls, "in_progress")
            yield "response.output_item.added", {"output_index": index, "item": begun_item}
            yield "response.function_call_arguments.delta", {**about, "delta": item["arguments"]}
            yield "response.function_call_arguments.done", {**about, "arguments": item["arguments"]}
            yield "response.output_item.done", {"output_index": index, "item": item}
            index, calls = index + 1, calls + 1
        if piece.text:
            if not wrote:
                empty = _message(started, "") | {"status": "in_progress", "content": []}
                yield "response.output_item.added", {"output_index": index, "item": empty}
                yield "response.content_part.added", {**part, "output_index": index, "part": _part("")}
            wrote += piece.text
            delta = {**part, "output_index": index, "delta": piece.text, "logprobs": []}
            yield "response.output_text.delta", delta
    if wrote:
        where = {**part, "output_index": index}
        yield "response.output_text.done", {**where, "text": wrote, "logprobs": []}
        yield "response.content_part.done", {**where, "part": _part(wrote)}
        yield "response.output_item.done", {"output_index": index, "item": _message(started, wrote)}
    yield "response.completed", {"response": _whole(asked, started, "completed", _output(made, started))}


async def _frames(events: Events) -> AsyncIterator[bytes]:
    number = 0
    async for kind, data in events:
        line = encode(_sorted({**data, "type": kind, "sequence_number": number}))
        yield f"event: {kind}\ndata: ".encode() + line + b"\n\n"
        number += 1


def _sorted(value: Any, key: str = "") -> Any:
    """Keys in order, as Go writes a map; a JSON schema is passed on as it came."""
    if isinstance(value, dict) and key != "schema":
        return {name: _sorted(value[name], name) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


routes = [route("/v1/responses", responses, "POST")]
