"""api.openai.com's Responses API: create whole or as events, and what is kept of a response.

Sources of the shapes: the API reference's examples and the types of openai-python 3.54.0.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .clock import SECOND
from .engines import Piece
from .engines.tokens import split
from .errors import OpenAIRefusal
from .openai_chat import SSE, TIERS, logprob_item, padding, read, refusal_headers
from .openai_http import HEX, LETTERS, answer, authorised, body_of, compact, reply
from .openai_items import check_calls, check_responses, items, messages
from .openai_kept import keep, kept, page, shelf
from .openai_models import OpenAIModel, named
from .openai_turn import Turn, Wanted, call_id, call_text, pieces, sampling, start
from .replies import Stream, route, written
from .state import Stamp, practice_of
from .transport import openai_error

Item = dict[str, Any]
Events = AsyncIterator[dict[str, Any]]
LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"


async def responses(request: Request) -> Response:
    body = await request.body()
    stamp = Stamp.of(request, body)
    asked: dict[str, Any] = {}
    try:
        authorised(request)
        asked = read(request, body)
        own, conversation, turn = _begin(request, asked, stamp)
    except OpenAIRefusal as refusal:
        return openai_error(refusal, refusal_headers(refusal, asked, stamp))
    made = pieces(practice_of(request), turn)
    if asked.get("stream"):
        padded = asked.get("stream_options", {}).get("include_obfuscation", True)
        events = _kept(request, asked, own, conversation, _events(turn, asked, made))
        return Stream(_frames(events, stamp if padded else None), [*written(SSE), *turn.headers()])
    whole = _whole(turn, asked, _output(turn, asked, said := [piece async for piece in made]), said)
    _keep(request, asked, own, conversation, whole)
    if asked.get("background"):
        whole = {**_whole(turn, asked, [], None), "status": "queued"}
    return reply(whole, turn.headers())


def _begin(request: Request, asked: dict[str, Any], stamp: Stamp) -> tuple[list[Item], list[Item], Turn]:
    """The input's own items, the conversation they end, and the turn. Raises OpenAIRefusal."""
    model = named(asked["model"], lambda one: bool(one.output))
    check_responses(asked, model)
    own, conversation = _conversation(request, asked, stamp)
    return own, conversation, start(practice_of(request), _wanted(asked, model, conversation), stamp)


def _conversation(request: Request, asked: dict[str, Any], stamp: Stamp) -> tuple[list[Item], list[Item]]:
    before: list[Item] = []
    if "conversation" in asked:
        given = asked["conversation"]
        raise OpenAIRefusal("no conversation", id=given if isinstance(given, str) else given["id"])
    if previous := asked.get("previous_response_id"):
        found = shelf(request, "responses").get(previous)
        if found is None:
            raise OpenAIRefusal("no previous response", "previous_response_id", id=previous)
        before = found["conversation"]
    if "input" not in asked and not before:
        raise OpenAIRefusal("missing", "input")
    known = {one["id"]: one for one in before if "id" in one}
    for entry in shelf(request, "responses").values():
        known |= {one["id"]: one for one in entry["conversation"] if "id" in one}
    own = []
    for item in items(asked.get("input")):
        if item["type"] == "item_reference":
            if item["id"] not in known:
                raise OpenAIRefusal("no item", "input", id=item["id"])
            item = known[item["id"]]
        own.append(item)
    conversation = before + own
    check_calls(conversation)
    return own, conversation


def _wanted(asked: dict[str, Any], model: OpenAIModel, conversation: list[Item]) -> Wanted:
    form = asked.get("text", {}).get("format") or {}
    forms = {"json_object": "json", "json_schema": form.get("schema")}
    choice = asked.get("tool_choice", "auto")
    if isinstance(choice, dict) and choice["type"] == "allowed_tools":
        choice = {"type": "allowed_tools", "allowed_tools": choice}
    logprobs = LOGPROBS in asked.get("include", []) or asked.get("top_logprobs")
    return Wanted(
        model,
        messages(conversation, asked.get("instructions", "")),
        tools=[{"type": tool["type"], tool["type"]: tool} for tool in asked.get("tools", [])],
        tool_choice=choice,
        parallel=asked.get("parallel_tool_calls", True),
        format=forms.get(form.get("type", "text")),
        strict=form.get("type") == "json_schema" and form.get("strict", True),
        effort=model.effort(asked.get("reasoning", {}).get("effort")),
        limit=asked.get("max_output_tokens", -1),
        logprobs=asked.get("top_logprobs", 0) if logprobs else None,
        sampling=sampling(asked),
    )


def _kept(
    request: Request, asked: dict[str, Any], own: list[Item], conversation: list[Item], events: Events
) -> Events:
    """The events, the response at their end put away on the way."""

    async def passed() -> Events:
        async for event in events:
            if event["type"] in ("response.completed", "response.incomplete"):
                _keep(request, asked, own, conversation, event["response"])
            yield event

    return passed()


def _keep(
    request: Request, asked: dict[str, Any], own: list[Item], conversation: list[Item], whole: dict[str, Any]
) -> None:
    if asked.get("store", True):
        entry = {"made": whole, "input": own, "conversation": conversation + whole["output"]}
        keep(request, "responses", whole["id"], entry)


# --- the reply whole --------------------------------------------------------------------------------


def _id(turn: Turn, kind: str, what: str = "") -> str:
    return f"{kind}_{turn.stamp.letters(50, HEX, f'{kind} {what}')}"


def _whole(turn: Turn, asked: dict[str, Any], output: list[Item], made: list[Piece] | None) -> dict[str, Any]:
    """The response; one that is still being made has no pieces yet (None)."""
    now = turn.meter.clock.now() // SECOND
    cut = bool(made) and made is not None and made[-1].done == "length"
    text = asked.get("text", {})
    reasoning = asked.get("reasoning", {})
    effort = turn.model.effort(reasoning.get("effort")) if turn.model.reasoning else None
    return {
        "id": _id(turn, "resp"),
        "object": "response",
        "created_at": now,
        "status": "in_progress" if made is None else "incomplete" if cut else "completed",
        "background": asked.get("background", False),
        "billing": {"payer": "developer"},
        "completed_at": now if made is not None and not cut else None,
        "error": None,
        "frequency_penalty": 0.0,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "max_tool_calls": asked.get("max_tool_calls"),
        "model": turn.model.snapshot,
        "moderation": None,
        "output": output,
        "parallel_tool_calls": asked.get("parallel_tool_calls", True),
        "presence_penalty": 0.0,
        "previous_response_id": asked.get("previous_response_id"),
        "prompt_cache_key": asked.get("prompt_cache_key"),
        "prompt_cache_retention": asked.get("prompt_cache_retention"),
        "reasoning": {"effort": effort, "summary": reasoning.get("summary")},
        "safety_identifier": asked.get("safety_identifier"),
        "service_tier": TIERS.get(asked.get("service_tier", "auto"), "default")
        if made is not None
        else asked.get("service_tier", "auto"),
        "store": asked.get("store", True),
        "temperature": float(asked.get("temperature", 1)),
        "text": {
            "format": _format(text.get("format") or {"type": "text"}),
            "verbosity": text.get("verbosity", "medium"),
        },
        "tool_choice": asked.get("tool_choice", "auto"),
        "tools": [_tool(tool) for tool in asked.get("tools", [])],
        "top_logprobs": asked.get("top_logprobs", 0),
        "top_p": float(asked.get("top_p", 1)),
        "truncation": asked.get("truncation", "disabled"),
        "usage": None if made is None else _usage(turn),
        "user": asked.get("user"),
        "metadata": asked.get("metadata", {}),
    }


def _format(form: dict[str, Any]) -> dict[str, Any]:
    if form["type"] != "json_schema":
        return form
    about = {"type": "json_schema", "description": form.get("description"), "name": form["name"]}
    return {**about, "schema": form["schema"], "strict": form.get("strict", True)}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if tool["type"] != "function":
        return tool
    defaults = {"type": "function", "description": None, "name": "", "parameters": None, "strict": True}
    return {**defaults, **tool}


def _usage(turn: Turn) -> dict[str, Any]:
    wrote = turn.meter.reply_tokens + turn.reasoning_tokens
    return {
        "input_tokens": turn.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": wrote,
        "output_tokens_details": {"reasoning_tokens": turn.reasoning_tokens},
        "total_tokens": turn.prompt_tokens + wrote,
    }


def _reasoning(turn: Turn, asked: dict[str, Any]) -> Item:
    item: Item = {"id": _id(turn, "rs"), "type": "reasoning", "summary": []}
    if ENCRYPTED in asked.get("include", []):
        item["encrypted_content"] = turn.stamp.letters(120, LETTERS, "encrypted")
    return item


def _output(turn: Turn, asked: dict[str, Any], made: list[Piece]) -> list[Item]:
    output = [_reasoning(turn, asked)] if turn.model.reasoning else []
    called = [piece for piece in made if piece.tool_call]
    output += [_call(turn, piece, n, "completed") for n, piece in enumerate(called)]
    if text := "".join(piece.text for piece in made):
        status = "incomplete" if made[-1].done == "length" else "completed"
        output.append(_message(turn, [_part(turn, text, made)], status))
    return output


def _message(turn: Turn, content: list[Item], status: str) -> Item:
    head = {"id": _id(turn, "msg"), "type": "message", "status": status}
    return {**head, "content": content, "role": "assistant"}


def _part(turn: Turn, text: str, made: list[Piece]) -> Item:
    if turn.refusal:
        return {"type": "refusal", "refusal": text}
    logprobs = [logprob_item(one) for piece in made for one in piece.logprobs]
    return {"type": "output_text", "annotations": [], "logprobs": logprobs, "text": text}


def _call(turn: Turn, piece: Piece, index: int, status: str) -> Item:
    name, given = call_text(turn, piece)
    given = given if status == "completed" else ""
    head = {"status": status}
    tail = {"call_id": call_id(turn, 0, index), "name": name}
    if name in turn.custom:
        return {
            "id": _id(turn, "ctc", str(index)),
            "type": "custom_tool_call",
            **head,
            "input": given,
            **tail,
        }
    return {"id": _id(turn, "fc", str(index)), "type": "function_call", **head, "arguments": given, **tail}


# --- the reply as events ----------------------------------------------------------------------------


async def _events(turn: Turn, asked: dict[str, Any], pieces: AsyncIterator[Piece]) -> Events:
    begun = _whole(turn, asked, [], None)
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    index, calls, made, opened = 0, 0, [], False
    if turn.model.reasoning:
        thought = _reasoning(turn, asked)
        yield {"type": "response.output_item.added", "output_index": 0, "item": thought}
        yield {"type": "response.output_item.done", "output_index": 0, "item": thought}
        index = 1
    kind, key = ("refusal", "refusal") if turn.refusal else ("output_text", "text")
    async for piece in pieces:
        made.append(piece)
        if piece.tool_call:
            for event in _call_events(turn, piece, index, calls):
                yield event
            index, calls = index + 1, calls + 1
        if not piece.text:
            continue
        place = {"item_id": _id(turn, "msg"), "output_index": index, "content_index": 0}
        if not opened:
            opened = True
            empty = _message(turn, [], "in_progress")
            yield {"type": "response.output_item.added", "output_index": index, "item": empty}
            yield {"type": "response.content_part.added", **place, "part": _part(turn, "", [])}
        logprobs = {} if turn.refusal else {"logprobs": [logprob_item(one) for one in piece.logprobs]}
        yield {"type": f"response.{kind}.delta", **place, "delta": piece.text, **logprobs}
    output = _output(turn, asked, made)
    if opened:
        (part,) = output[-1]["content"]
        logprobs = {} if turn.refusal else {"logprobs": part["logprobs"]}
        yield {"type": f"response.{kind}.done", **place, key: part[key], **logprobs}
        yield {"type": "response.content_part.done", **place, "part": part}
        yield {"type": "response.output_item.done", "output_index": index, "item": output[-1]}
    whole = _whole(turn, asked, output, made)
    yield {"type": f"response.{whole['status']}", "response": whole}


def _call_events(turn: Turn, piece: Piece, index: int, call: int) -> list[dict[str, Any]]:
    done = _call(turn, piece, call, "completed")
    custom = done["type"] == "custom_tool_call"
    kind, key = ("custom_tool_call_input", "input") if custom else ("function_call_arguments", "arguments")
    place = {"item_id": done["id"], "output_index": index}
    begun = _call(turn, piece, call, "in_progress")
    return [
        {"type": "response.output_item.added", "output_index": index, "item": begun},
        *({"type": f"response.{kind}.delta", **place, "delta": token} for token in split(done[key])),
        {"type": f"response.{kind}.done", **place, key: done[key]},
        {"type": "response.output_item.done", "output_index": index, "item": done},
    ]


async def _frames(events: Events, padded: Stamp | None) -> AsyncIterator[bytes]:
    number = 0
    async for event in events:
        kind = event.pop("type")
        numbered = {"type": kind, "sequence_number": number, **event}
        data = compact(numbered)
        if padded and kind.endswith(".delta"):
            data = padding(data, padded, number)
        yield f"event: {kind}\ndata: ".encode() + data + b"\n\n"
        number += 1


# --- what is kept -----------------------------------------------------------------------------------


async def one(request: Request) -> Response:
    return await answer(request, {"GET": _retrieve, "DELETE": _delete}[request.method])


async def input_items(request: Request) -> Response:
    return await answer(request, _input_items)


async def cancel(request: Request) -> Response:
    return await answer(request, _cancel)


async def input_tokens(request: Request) -> Response:
    return await answer(request, _input_tokens)


def _entry(request: Request) -> dict[str, Any]:
    authorised(request)
    return kept(request, "responses")


def _retrieve(request: Request, body: bytes, stamp: Stamp) -> dict[str, Any]:
    return _entry(request)["made"]


def _delete(request: Request, body: bytes, stamp: Stamp) -> dict[str, Any]:
    key = _entry(request)["made"]["id"]
    del shelf(request, "responses")[key]
    return {"id": key, "object": "response", "deleted": True}


def _cancel(request: Request, body: bytes, stamp: Stamp) -> dict[str, Any]:
    made = _entry(request)["made"]
    if not made["background"]:
        raise OpenAIRefusal("not in the background")
    return made


def _input_items(request: Request, body: bytes, stamp: Stamp) -> dict[str, Any]:
    entry = _entry(request)
    key = entry["made"]["id"].removeprefix("resp_")
    shown = [_item(one, f"msg_{key[:40]}{n:010x}") for n, one in enumerate(entry["input"])]
    return page(shown if request.query_params.get("order") else shown[::-1], request)


def _item(item: Item, own_id: str) -> Item:
    if item["type"] != "message":
        return {"id": own_id, "status": "completed", **item}
    content = item["content"]
    if isinstance(content, str):
        kind = "output_text" if item["role"] == "assistant" else "input_text"
        content = [{"type": kind, "text": content}]
    return {
        "id": item.get("id", own_id),
        "type": "message",
        "status": "completed",
        "content": content,
        "role": item["role"],
    }


def _input_tokens(request: Request, body: bytes, stamp: Stamp) -> dict[str, Any]:
    authorised(request)
    asked = body_of(request, body)
    _, _, turn = _begin(request, {"model": "gpt-5-nano", **asked}, stamp)
    return {"object": "response.input_tokens", "input_tokens": turn.prompt_tokens}


routes = [
    route("/openai/v1/responses", responses, "POST"),
    route("/openai/v1/responses/input_tokens", input_tokens, "POST"),
    route("/openai/v1/responses/{id}", one, "GET", "DELETE"),
    route("/openai/v1/responses/{id}/input_items", input_items, "GET"),
    route("/openai/v1/responses/{id}/cancel", cancel, "POST"),
]
