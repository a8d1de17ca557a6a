"""Ollama's side of OpenAI's Responses API, `/v1/responses`: stateless, turned into a chat and back.

Source of every rule and shape: openai/responses.go and middleware/openai.go, v0.32.15.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .cli_format import quote
from .clock import SECOND
from .compat import (
    EFFORTS,
    SSE,
    begun,
    call_arguments,
    native_picture,
    openai_refusals,
    reply_line,
    tool_call,
)
from .engines import Piece
from .errors import Refusal
from .gojson import BadBody, List, Struct, decode, encode
from .ollama import Started, pieces_of, start_chat
from .replies import Stream, route, written
from .shapes import PARAMETERS

ITEM_NUMBERS = 999_999


_TEXTS = {"type": "string", "text": "string"}
PARTS = {
    "input_text": Struct("openai.ResponsesTextContent", _TEXTS, root="ResponsesTextContent"),
    "output_text": Struct("openai.ResponsesOutputTextContent", _TEXTS, root="ResponsesOutputTextContent"),
    "input_image": Struct(
        "openai.ResponsesImageContent",
        {"type": "string", "detail": "string", "file_id": "string", "image_url": "string"},
        root="ResponsesImageContent",
    ),
    "input_file": Struct(
        "openai.ResponsesFileContent",
        dict.fromkeys(("type", "file_id", "filename", "file_data", "file_url"), "string"),
        root="ResponsesFileContent",
    ),
}
ITEMS = {
    "message": Struct("", {"type": "string", "role": "string", "content": "any"}),
    "function_call": Struct(
        "openai.ResponsesFunctionCall",
        {"id": "string", "type": "string", "call_id": "string", "name": "string", "arguments": "string"},
        root="ResponsesFunctionCall",
    ),
    "function_call_output": Struct("", {"type": "string", "call_id": "string", "output": "any"}),
    "reasoning": Struct(
        "openai.ResponsesReasoningInput",
        {
            "id": "string",
            "type": "string",
            "summary": List(
                "[]openai.ResponsesReasoningSummary",
                Struct("openai.ResponsesReasoningSummary", _TEXTS, root="ResponsesReasoningSummary"),
            ),
            "encrypted_content": "string",
        },
        root="ResponsesReasoningInput",
    ),
    "web_search_call": Struct(
        "openai.ResponsesWebSearchCall",
        {
            "id": "string",
            "type": "string",
            "status": "string",
            "action": Struct(
                "openai.ResponsesWebSearchAction",
                {"type": "string", "query": "string"},
                root="ResponsesWebSearchAction",
            ),
        },
        root="ResponsesWebSearchCall",
    ),
}
_ROLE = {"type": "string", "role": "string"}
HEAD = Struct('struct { Type string "json:\\"type\\""; Role string "json:\\"role\\"" }', _ROLE)
PART_HEAD = Struct('struct { Type string "json:\\"type\\"" }', {"type": "string"})


def _input(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": value}] if value else []
    return [_within(f"input[{i}]", _item, item) for i, item in enumerate(_array("input", value))]


def _array(name: str, value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    kinds = {bool: "bool", int: "number", float: "number", dict: "object"}
    raise BadBody(
        f"{name} must be a string or array: json: cannot unmarshal {kinds[type(value)]} into Go value of "
        "type []json.RawMessage"
    )


def _within(where: str, read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except BadBody as error:
        raise BadBody(f"{where}: {error}") from None


def _item(value: Any) -> dict[str, Any]:
    head = decode(encode(value), HEAD)
    kind = head.get("type") or ("message" if head.get("role") else "")
    if not kind:
        raise BadBody("input item missing required 'type' field")
    if kind not in ITEMS:
        raise BadBody(f"unknown input item type: {quote(kind)}")
    item = {**decode(encode(value), ITEMS[kind]), "type": kind}
    for key in ("content", "output"):
        given = item.get(key)
        if given is not None and not isinstance(given, str):
            parts = enumerate(_array(key, given))
            item[key] = [_within(f"{key}[{i}]", _part_of, part) for i, part in parts]
    return item


def _part_of(value: Any) -> dict[str, Any]:
    kind = decode(encode(value), PART_HEAD).get("type", "")
    if kind not in PARTS:
        raise BadBody(f"unknown content type: {kind}")
    return decode(encode(value), PARTS[kind])


FORMAT = Struct(
    "openai.ResponsesTextFormat",
    {"type": "string", "name": "string", "schema": "any", "strict": "bool"},
    root="ResponsesTextFormat",
)
_TOOL: dict[str, Any] = {
    "type": "string",
    "name": "string",
    "description": "string",
    "strict": "bool",
    "parameters": "map[string]interface {}",
}
TOOL = Struct("openai.ResponsesTool", _TOOL, root="ResponsesTool")
_TOOL["tools"] = List("[]openai.ResponsesTool", TOOL)
REQUEST = Struct(
    "openai.ResponsesRequest",
    {
        "model": "string",
        "input": _input,
        "instructions": "string",
        "max_output_tokens": "int",
        "reasoning": Struct(
            "openai.ResponsesReasoning", {"effort": "string", "summary": "string"}, root="ResponsesReasoning"
        ),
        "temperature": "float64",
        "top_p": "float64",
        "text": Struct("openai.ResponsesText", {"format": FORMAT}, root="ResponsesText"),
        "tools": List("[]openai.ResponsesTool", TOOL),
        "include": List("[]string", "string"),
        "stream": "bool",
        "truncation": "string",
        "background": "bool",
    },
    root="ResponsesRequest",
)


@openai_refusals
async def responses(request: Request) -> Response:
    asked, _, started = await begun(request, REQUEST, _native, start_chat)
    pieces = pieces_of(started)
    if asked.get("stream"):
        frames = _frames(_events(pieces, asked, started))
        return Stream(frames, written({"content-type": SSE, "cache-control": "no-cache"}))
    made = [piece async for piece in pieces]
    return reply_line(_whole(asked, started, "completed", _output(made, started)))


# --- the request as a chat ---------------------------------------------------------------------------------


def _native(asked: dict[str, Any]) -> dict[str, Any]:
    messages = _messages(asked.get("input", []))
    if asked.get("instructions"):
        messages.insert(0, {"role": "system", "content": asked["instructions"]})
    options = {
        "temperature": asked.get("temperature", 1.0),
        "top_p": asked.get("top_p"),
        "num_predict": asked.get("max_output_tokens"),
    }
    native: dict[str, Any] = {"model": asked.get("model", ""), "messages": messages, "options": options}
    if effort := (asked.get("reasoning") or {}).get("effort"):
        if effort not in EFFORTS:
            raise Refusal("effort", quoted=quote(effort))
        native["think"] = EFFORTS[effort]
    wanted = (asked.get("text") or {}).get("format") or {}
    if wanted.get("type") == "json_schema":
        native["format"] = wanted.get("schema")
    native["tools"] = _tools(asked.get("tools", []))
    return native


SEARCH = {
    "name": "web_search",
    "description": "Search the web for current information.",
    "parameters": {
        "type": "object",
        "required": ["query"],
        "properties": {"query": {"type": "string", "description": "The search query."}},
    },
}


def _tools(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tools as a chat has them; a search of the web is the server's own, the only one of its name."""
    searches = any(tool.get("type") == SEARCH["name"] for tool in given)
    made = []
    for tool in given:
        if tool.get("type") == SEARCH["name"]:
            made.append({"type": "function", "function": SEARCH})
            continue
        made += [
            {"type": kind, "function": function}
            for kind, function in _expanded(tool)
            if not (searches and function.get("name") == SEARCH["name"])
        ]
    return made


def _expanded(tool: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """A tool's type and function; of a namespace all its members', under its name."""
    if tool.get("type") != "namespace":
        function: dict[str, Any] = {key: tool[key] for key in ("name", "description") if key in tool}
        try:
            function["parameters"] = decode(encode(tool.get("parameters") or {}), PARAMETERS)
        except BadBody as error:
            raise Refusal("tool parameters", text=error) from error
        return [(tool.get("type", ""), function)]
    made = [pair for member in tool.get("tools", []) for pair in _expanded(member)]
    prefix = tool["name"] + "." if tool.get("name") else ""
    for _, member in made:
        if not member.get("name", "").startswith(prefix):
            member["name"] = prefix + member.get("name", "")
    return made


def _messages(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    thinking = ""  # of a reasoning item, until the assistant's message it belongs to

    def add(message: dict[str, Any]) -> None:
        nonlocal thinking
        if thinking and message["role"] == "assistant":
            message["thinking"], thinking = thinking, ""
        messages.append(message)

    for index, item in enumerate(items):
        kind = item["type"]
        last: dict[str, Any] = messages[-1] if messages else {"role": ""}
        if kind == "message":
            message = {"role": item.get("role", ""), **_content(item.get("content"))}
            if not _joined(last, message, items[index + 1 : index + 2]):
                add(message)
        elif kind == "function_call":
            call = _call_of(item)
            if last["role"] == "assistant":
                last.setdefault("tool_calls", []).append(call)
                if thinking:
                    last["thinking"], thinking = thinking, ""
            else:
                add({"role": "assistant", "content": "", "tool_calls": [call]})
        elif kind == "function_call_output":
            own = {
                "tool_call_id": item.get("call_id", ""),
                "tool_name": _called(messages, item.get("call_id")),
            }
            add({"role": "tool", **_content(item.get("output")), **own})
        elif kind == "reasoning":
            thinking = item.get("encrypted_content") or ""
    if thinking:
        messages.append({"role": "assistant", "content": "", "thinking": thinking})
    return messages


def _call_of(item: dict[str, Any]) -> dict[str, Any]:
    try:
        arguments = call_arguments(item["arguments"]) if item.get("arguments") else {}
    except BadBody as error:
        raise Refusal("call arguments", text=error) from error
    return {"id": item.get("call_id", ""), "function": {"name": item.get("name", ""), "arguments": arguments}}


def _joined(last: dict[str, Any], message: dict[str, Any], following: list[dict[str, Any]]) -> bool:
    """Whether an assistant's words between a call and its output were put into the call's message."""
    if message["role"] != "assistant" or last["role"] != "assistant" or not following:
        return False
    output = following[0]
    calls = [call["id"] for call in last.get("tool_calls", [])]
    if output.get("type") != "function_call_output" or output.get("call_id") not in calls:
        return False
    last["content"] = "\n".join(filter(None, (last["content"], message["content"])))
    if message.get("images"):
        last["images"] = last.get("images", []) + message["images"]
    return True


def _content(value: Any) -> dict[str, Any]:
    """The text of an item's content, and its pictures if it has any."""
    if isinstance(value, str):
        return {"content": value}
    texts, pictures = "", []
    for part in value or []:
        if part["type"] == "input_file":
            raise Refusal("files")
        if part.get("image_url"):
            pictures.append(native_picture(part["image_url"]))
        texts += part.get("text", "")
    return {"content": texts} | ({"images": pictures} if pictures else {})


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
        "tools": [_shown_tool(tool) for tool in asked.get("tools", [])],
        "tool_choice": "auto",
        "truncation": asked.get("truncation", "disabled"),
        "parallel_tool_calls": True,
        "text": {"format": _shown_format((asked.get("text") or {}).get("format"))},
        "top_p": asked.get("top_p", 1),
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "top_logprobs": 0,
        "temperature": asked.get("temperature", 1),
        "reasoning": _shown_reasoning(asked.get("reasoning") or {}),
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


def _shown_tool(tool: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {key: tool.get(key) for key in ("type", "name", "description", "strict")}
    shown |= {key: shown[key] or "" for key in ("type", "name")}
    shown["parameters"] = _sorted(tool.get("parameters"))
    return shown | ({"tools": [_shown_tool(one) for one in tool["tools"]]} if tool.get("tools") else {})


def _shown_format(given: dict[str, Any] | None) -> dict[str, Any]:
    if given is None:
        return {"type": "text"}
    return {"type": given.get("type", "")} | {
        key: given[key] for key in ("name", "schema", "strict") if given.get(key) not in (None, "")
    }


def _shown_reasoning(given: dict[str, Any]) -> dict[str, Any] | None:
    return {key: given[key] for key in ("effort", "summary") if given.get(key)} or None


def _output(made: list[Piece], started: Started) -> list[dict[str, Any]]:
    output: list[dict[str, Any]] = []
    if thinking := "".join(piece.thinking for piece in made):
        output.append(_reasoning(f"rs_{_id(started)}", thinking))
    calls = [piece for piece in made if piece.tool_call]
    if calls:
        output += [
            _call(started, piece, i, f"fc_{_id(started)}_{i}", "completed") for i, piece in enumerate(calls)
        ]
    else:
        output.append(_message(started, "".join(piece.text for piece in made)))
    return output


def _reasoning(own_id: str, text: str) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": text}] if text else []
    item = {"id": own_id, "type": "reasoning", "summary": summary}
    return item | ({"encrypted_content": text} if text else {})


def _message(started: Started, text: str) -> dict[str, Any]:
    head = {"id": _item_id(started), "type": "message", "status": "completed", "role": "assistant"}
    return {**head, "content": [_part(text)]}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _call(started: Started, piece: Piece, index: int, own_id: str, status: str) -> dict[str, Any]:
    call = tool_call(started, piece, index)
    return {
        "id": own_id,
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
    done: list[dict[str, Any]] = []  # items, in the order they ended
    thought, wrote, calls, opened = "", "", 0, False
    reasoning_id = f"rs_{started.stamp.number(ITEM_NUMBERS, 'reasoning')}"
    async for piece in pieces:
        index = len(done)
        if piece.thinking:
            if not thought:
                item = _reasoning(reasoning_id, "")
                yield "response.output_item.added", {"output_index": index, "item": item}
            thought += piece.thinking
            yield "response.reasoning_summary_text.delta", _summary(reasoning_id, index, delta=piece.thinking)
        if thought and (piece.text or piece.tool_call or piece.done):
            item = _reasoning(reasoning_id, thought)
            yield "response.reasoning_summary_text.done", _summary(reasoning_id, index, text=thought)
            yield "response.output_item.done", {"output_index": index, "item": item}
            done.append(item)
            thought, index = "", index + 1
        if piece.tool_call:
            own_id = f"fc_{started.stamp.number(ITEM_NUMBERS, f'call {calls}')}_0"
            item = _call(started, piece, calls, own_id, "completed")
            about = {"item_id": own_id, "output_index": index}
            begun_item = _call(started, piece, calls, own_id, "in_progress")
            yield "response.output_item.added", {"output_index": index, "item": begun_item}
            yield "response.function_call_arguments.delta", {**about, "delta": item["arguments"]}
            yield "response.function_call_arguments.done", {**about, "arguments": item["arguments"]}
            yield "response.output_item.done", {"output_index": index, "item": item}
            done.append(item)
            calls += 1
        if not piece.text or calls:
            continue
        where = {"item_id": _item_id(started), "output_index": index, "content_index": 0}
        if not opened:
            opened = True
            empty = _message(started, "") | {"status": "in_progress", "content": []}
            yield "response.output_item.added", {"output_index": index, "item": empty}
            yield "response.content_part.added", {**where, "part": _part("")}
        wrote += piece.text
        yield "response.output_text.delta", {**where, "delta": piece.text, "logprobs": []}
    if opened and not calls:
        yield "response.output_text.done", {**where, "text": wrote, "logprobs": []}
        yield "response.content_part.done", {**where, "part": _part(wrote)}
        item = _message(started, wrote)
        yield "response.output_item.done", {"output_index": where["output_index"], "item": item}
    output = [*done, _message(started, wrote)] if opened else done
    yield "response.completed", {"response": _whole(asked, started, "completed", output)}


def _summary(own_id: str, index: int, **said: str) -> dict[str, Any]:
    return {"item_id": own_id, "output_index": index, "summary_index": 0, **said}


async def _frames(events: Events) -> AsyncIterator[bytes]:
    number = 0
    with suppress(Refusal):  # a model that fails ends the stream, and no event says so
        async for kind, data in events:
            data = _streamed(data)
            line = encode(_sorted({**data, "type": kind, "sequence_number": number}))
            yield f"event: {kind}\ndata: ".encode() + line + b"\n\n"
            number += 1


def _streamed(data: dict[str, Any]) -> dict[str, Any]:
    """A stream's own form of a response: its reasoning has both keys, its tools have no members."""
    if "response" not in data:
        return data
    made = dict(data["response"])
    if made["reasoning"]:
        made["reasoning"] = {"effort": None, "summary": None, **made["reasoning"]}
    made["tools"] = [{key: value for key, value in one.items() if key != "tools"} for one in made["tools"]]
    return {**data, "response": made}


def _sorted(value: Any, key: str = "") -> Any:
    """Keys in order, as Go writes a map; a JSON schema is passed on as it came."""
    if isinstance(value, dict) and key != "schema":
        return {name: _sorted(value[name], name) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


routes = [route("/v1/responses", responses, "POST")]
