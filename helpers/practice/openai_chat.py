"""api.openai.com's `/chat/completions`: one request turned into choices, whole or chunk by chunk.

Sources of the shapes: recorded replies of api.openai.com in envoyproxy/ai-gateway
(tests/internal/testopenai/cassettes) and the types of openai-python 3.54.0.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, zip_longest
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .clock import SECOND
from .engines import Logprob, Piece
from .engines.tokens import split
from .errors import OpenAIRefusal
from .openai_checks import check_chat
from .openai_http import (
    LETTERS,
    VERSION,
    authorised,
    body_of,
    compact,
    id_headers,
    indented,
    limit_headers,
    reply_text,
)
from .openai_kept import keep
from .openai_models import BY_NAME, OpenAIModel, named
from .openai_turn import Turn, Wanted, call_id, call_text, native, parts, replies, sampling, start
from .replies import Stream, route, written
from .state import Practice, Stamp, header, practice_of
from .transport import openai_error

TIERS = {"fast": "priority", "priority": "priority", "flex": "flex", "scale": "scale"}
KNOWN, LONGEST_KNOWN = 100, 16 * 1024  # how many requests are kept as they were understood, and their bytes
TEXTS, SHORT = 1024, 2_000  # how many texts of replies are kept as they were spelled, and their letters
PLAIN = {"model", "messages", "stream", "store", "metadata", "user", "safety_identifier"} | {
    "temperature",
    "top_p",
    "seed",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "max_tokens",
    "max_completion_tokens",
    "reasoning_effort",
}  # fields that say nothing of what a reply has besides its text and its counts
SSE = {"content-type": "text/event-stream; charset=utf-8"}

Chunks = AsyncIterator[dict[str, Any]]


async def chat_completions(request: Request) -> Response:
    body = await request.body()
    practice, stamp = practice_of(request), Stamp.of(request, body)
    asked: dict[str, Any] = {}
    try:
        authorised(request)
        known = _known.get((header(request, b"content-type"), body))
        asked = known[0] if known else read(request, body)
        wanted = known[1] if known else _understood(request, body, asked)
        turn = start(practice, wanted, stamp)
    except OpenAIRefusal as refusal:
        return openai_error(refusal, refusal_headers(refusal, asked, stamp))
    if asked.get("stream"):
        padded = asked.get("stream_options", {}).get("include_obfuscation", True)
        frames = _frames(practice, turn, asked, stamp if padded else None)
        return Stream(frames, [*written(SSE), *turn.headers()])
    made = await replies(practice, turn)
    head = _head(turn)
    if asked.get("store"):
        whole = {**head, **_members(turn, asked, made)}
        keep(request, "completions", head["id"], {"asked": asked, "made": whole})
    return reply_text(f"{indented(head)[:-2]},{_members_spelled(turn, asked, made)[1:]}", turn.headers())


_known: dict[tuple[str, bytes], tuple[dict[str, Any], Wanted]] = {}  # a class often sends the same


def _understood(request: Request, body: bytes, asked: dict[str, Any]) -> Wanted:
    """What `asked`, which stands in `body`, wants; remembered for the next time. Raises OpenAIRefusal."""
    wanted = _checked(asked)
    if len(body) <= LONGEST_KNOWN:
        if len(_known) >= KNOWN:
            _known.clear()
        _known[header(request, b"content-type"), body] = asked, wanted
    return wanted


async def completions(request: Request) -> Response:
    """The older endpoint, which none of the chat models serves."""
    body = await request.body()
    stamp = Stamp.of(request, body)
    try:
        authorised(request)
        asked = read(request, body)
        named(asked["model"], lambda one: bool(one.output))
        raise OpenAIRefusal("not a completion model", "model")
    except OpenAIRefusal as refusal:
        return openai_error(refusal, id_headers(stamp))


def read(request: Request, body: bytes) -> dict[str, Any]:
    """The request's fields, a model's name among them. Raises OpenAIRefusal."""
    asked = body_of(request, body)
    if not asked.get("model"):
        raise OpenAIRefusal("no model")
    if not isinstance(asked["model"], str):
        raise OpenAIRefusal("json")  # so says the API, though it is JSON
    return asked


def refusal_headers(refusal: OpenAIRefusal, asked: dict[str, Any], stamp: Stamp) -> dict[str, str]:
    """A 400 has the headers of a reply, where the model is known; a 404 or 401 has only the id."""
    model = BY_NAME.get(asked.get("model", ""))
    if refusal.status in (401, 404) or model is None:
        return id_headers(stamp)
    limits = limit_headers(model.requests, model.tokens, 0)
    return {**id_headers(stamp), "openai-processing-ms": "1", **VERSION, **limits}


def begin(practice: Practice, asked: dict[str, Any], stamp: Stamp) -> Turn:
    """Check the request and make it ready to run. Raises OpenAIRefusal."""
    return start(practice, _checked(asked), stamp)


def _checked(asked: dict[str, Any]) -> Wanted:
    model = named(asked["model"], lambda one: bool(one.output))
    check_chat(asked, model)
    return _wanted(asked, model)


def _wanted(asked: dict[str, Any], model: OpenAIModel) -> Wanted:
    tools, choice = asked.get("tools", []), asked.get("tool_choice", "auto")
    if "functions" in asked:
        tools = [{"type": "function", "function": function} for function in asked["functions"]]
        choice = asked.get("function_call", "auto")
        if isinstance(choice, dict):
            choice = {"type": "function", "function": choice}
    form = asked.get("response_format", {})
    own = form.get("json_schema", {})
    forms = {"json_object": "json", "json_schema": own.get("schema")}
    return Wanted(
        model,
        [native(message, asked["messages"]) for message in asked["messages"]],
        tools=tools,
        tool_choice=choice,
        parallel=asked.get("parallel_tool_calls", "functions" not in asked),
        format=forms.get(form.get("type", "text")),
        strict=bool(own.get("strict")),
        effort=model.effort(asked.get("reasoning_effort")),
        limit=asked.get("max_completion_tokens", asked.get("max_tokens", -1)),
        choices=asked.get("n", 1),
        logprobs=asked.get("top_logprobs", 0) if asked.get("logprobs") else None,
        sampling=sampling(asked),
    )


# --- the reply whole --------------------------------------------------------------------------------


def _head(turn: Turn) -> dict[str, Any]:
    return {
        "id": "chatcmpl-" + turn.stamp.letters(29, LETTERS, "id"),
        "object": "chat.completion",
        "created": turn.meter.clock.now() // SECOND,
        "model": turn.model.snapshot,
    }


def _tail(turn: Turn, asked: dict[str, Any]) -> dict[str, Any]:
    tier = TIERS.get(asked.get("service_tier", "auto"), "default")
    return {"service_tier": tier, "system_fingerprint": turn.model.fingerprint}


async def completion(practice: Practice, turn: Turn, asked: dict[str, Any]) -> dict[str, Any]:
    """The reply as one object."""
    made = await replies(practice, turn)
    return {**_head(turn), **_members(turn, asked, made)}


def _members(turn: Turn, asked: dict[str, Any], made: list[list[Piece]]) -> dict[str, Any]:
    """What a reply says after its head."""
    choices = [_choice(turn, asked, n, one) for n, one in enumerate(made)]
    usage = _usage(turn, asked, chain.from_iterable(made))
    members = {"choices": choices, "usage": usage, **_tail(turn, asked)}
    if "moderation" in asked:
        verdict = _verdict(asked["moderation"]["model"])
        members["moderation"] = {"input": verdict, "output": verdict}
    return members


def _members_spelled(turn: Turn, asked: dict[str, Any], made: list[list[Piece]]) -> str:
    """The members as JSON. Those of a plain text are remembered, because a class often gets the same."""
    if turn.refusal or not asked.keys() <= PLAIN:
        return indented(_members(turn, asked, made))
    text, done = "".join([piece.text for piece in made[0]]), made[0][-1].done
    counts = turn.prompt_tokens, turn.reasoning_tokens, turn.meter.reply_tokens
    key = turn.model.snapshot, text, done, *counts
    spelled = _texts.get(key)
    if spelled is None:
        spelled = indented(_members(turn, asked, made))
        if len(text) <= SHORT:
            if len(_texts) >= TEXTS:
                _texts.clear()
            _texts[key] = spelled
    return spelled


_texts: dict[tuple[Any, ...], str] = {}


def _choice(turn: Turn, asked: dict[str, Any], index: int, made: list[Piece]) -> dict[str, Any]:
    called = [piece for piece in made if piece.tool_call]
    text = "".join([piece.text for piece in made])
    message: dict[str, Any] = {"role": "assistant", "content": None if called or turn.refusal else text}
    if called and "functions" in asked:
        name, arguments = call_text(turn, called[0])
        message["function_call"] = {"name": name, "arguments": arguments}
    elif called:
        message["tool_calls"] = [_call(turn, piece, index, n) for n, piece in enumerate(called)]
    message |= {"refusal": turn.refusal or None, "annotations": []}
    choice: dict[str, Any] = {"index": index, "message": message}
    choice |= _logprobs_of(turn, made)
    choice["finish_reason"] = _finish(turn, asked, bool(called), made[-1].done)
    return choice


def _call(turn: Turn, piece: Piece, choice: int, index: int) -> dict[str, Any]:
    name, given = call_text(turn, piece)
    head = {"id": call_id(turn, choice, index)}
    if name in turn.custom:
        return {**head, "type": "custom", "custom": {"name": name, "input": given}}
    return {**head, "type": "function", "function": {"name": name, "arguments": given}}


def _logprobs_of(turn: Turn, made: list[Piece]) -> dict[str, Any]:
    if turn.asks[0].logprobs is None:
        return {} if turn.model.reasoning else {"logprobs": None}
    found = [logprob_item(one) for piece in made if not piece.tool_call for one in piece.logprobs]
    if turn.refusal:
        return {"logprobs": {"content": None, "refusal": found}}
    return {"logprobs": {"content": found, "refusal": None}}


def logprob_item(one: Logprob) -> dict[str, Any]:
    item = {"token": one.token, "logprob": one.logprob, "bytes": list(one.token.encode())}
    top = [{"token": t, "logprob": p, "bytes": list(t.encode())} for t, p in one.top]
    return {**item, "top_logprobs": top}


def _finish(turn: Turn, asked: dict[str, Any], called: bool, done: str) -> str:
    forced = turn.asks[0].tool_choice not in ("auto", "none", "required")
    if not called or done != "stop" or forced:
        return done
    return "function_call" if "functions" in asked else "tool_calls"


def _usage(turn: Turn, asked: dict[str, Any], made: Iterable[Piece]) -> dict[str, Any]:
    reasoning = turn.reasoning_tokens * len(turn.asks)
    accepted, rejected = _predicted(asked, made) if "prediction" in asked else (0, 0)
    wrote = turn.meter.reply_tokens + reasoning + rejected
    return {
        "prompt_tokens": turn.prompt_tokens,
        "completion_tokens": wrote,
        "total_tokens": turn.prompt_tokens + wrote,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": accepted,
            "rejected_prediction_tokens": rejected,
        },
    }


def _predicted(asked: dict[str, Any], made: Iterable[Piece]) -> tuple[int, int]:
    """How many tokens of a predicted output the reply begins with, and how many are left over."""
    content = asked["prediction"].get("content", "")
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    if not content:
        return 0, 0
    predicted, written = split(content), split("".join([piece.text for piece in made]))
    same = next(
        (n for n, (a, b) in enumerate(zip(predicted, written, strict=False)) if a != b),
        min(len(predicted), len(written)),
    )
    return same, len(predicted) - same


def _verdict(model: str) -> dict[str, Any]:
    """Nothing is found: a practice server judges no text."""
    kinds = ("harassment", "hate", "illicit", "self-harm", "sexual", "violence")
    result = {
        "type": "moderation_result",
        "model": model,
        "flagged": False,
        "categories": dict.fromkeys(kinds, False),
        "category_scores": dict.fromkeys(kinds, 0.0),
        "category_applied_input_types": {kind: ["text"] for kind in kinds},
    }
    return {"type": "moderation_results", "model": model, "results": [result]}


# --- the reply as a stream ----------------------------------------------------------------------------


@dataclass(eq=False)
class _Step:
    """What one chunk adds to one choice, as its delta; `piece` is there for its logprobs.

    A step that comes again and again is one object, which is spelled once, for each form of a chunk.
    """

    choice: int
    delta: dict[str, Any]
    finish: str | None = None
    piece: Piece | None = None
    usage: dict[str, Any] | None = None  # what the last chunk has instead of a choice
    spelled: dict[tuple[bool, bool], bytes] = field(default_factory=dict)


async def chunks(practice: Practice, turn: Turn, asked: dict[str, Any]) -> Chunks:
    """The reply's chunks, the one with the usage last where it was asked for."""
    head = _chunk_head(turn, asked)
    async for steps in _steps(practice, turn, asked):
        for step in steps:
            yield {**head, **_rest(turn, asked, step)}


def _chunk_head(turn: Turn, asked: dict[str, Any]) -> dict[str, Any]:
    return {**_head(turn), "object": "chat.completion.chunk", **_tail(turn, asked)}


async def _steps(practice: Practice, turn: Turn, asked: dict[str, Any]) -> AsyncIterator[list[_Step]]:
    """The reply's steps, those that are ready together; the usage, where it was asked for, is the last."""
    called: list[int] = [0] * len(turn.asks)
    said: list[Piece] = []
    yield [_opening(index) for index in range(len(turn.asks))]
    key = "refusal" if turn.refusal else "content"
    async for made in parts(practice, turn):
        steps: list[_Step] = []
        for index, piece in _in_turn(made):
            if piece.text and piece.logprobs:
                steps.append(_Step(index, {key: piece.text}, None, piece))
            elif piece.text:
                steps.append(_said(index, key, piece.text))
            elif piece.tool_call:
                deltas = _call_deltas(turn, asked, piece, index, called[index])
                steps += [_Step(index, delta) for delta in deltas]
                called[index] += 1
            if piece.done:
                steps.append(_ending(index, _finish(turn, asked, bool(called[index]), piece.done)))
        if "prediction" in asked:
            said += chain.from_iterable(made)
        if steps:
            yield steps
    if _counted(asked):
        yield [_Step(0, {}, usage=_usage(turn, asked, said))]


def _in_turn(made: list[list[Piece]]) -> Iterable[tuple[int, Piece]]:
    """A piece of each reply in turn, with the reply's number."""
    if len(made) == 1:
        return [(0, piece) for piece in made[0]]
    return [(n, piece) for turn in zip_longest(*made) for n, piece in enumerate(turn) if piece]


@lru_cache
def _opening(choice: int) -> _Step:
    return _Step(choice, {"role": "assistant", "content": "", "refusal": None})


@lru_cache(maxsize=4096)
def _said(choice: int, key: str, text: str) -> _Step:
    return _Step(choice, {key: text})


@lru_cache
def _ending(choice: int, finish_reason: str) -> _Step:
    return _Step(choice, {}, finish_reason)


def _counted(asked: dict[str, Any]) -> bool:
    return asked.get("stream_options", {}).get("include_usage", False)


def _rest(turn: Turn, asked: dict[str, Any], step: _Step) -> dict[str, Any]:
    """What a chunk says after its head."""
    if step.usage:
        return {"choices": [], "usage": step.usage}
    choice: dict[str, Any] = {"index": step.choice, "delta": step.delta}
    if step.piece:
        choice |= _logprobs_of(turn, [step.piece])
    elif not turn.model.reasoning:
        choice["logprobs"] = None
    choice["finish_reason"] = step.finish
    return {"choices": [choice], **({"usage": None} if _counted(asked) else {})}


def _call_deltas(
    turn: Turn, asked: dict[str, Any], piece: Piece, choice: int, index: int
) -> list[dict[str, Any]]:
    """A tool call in parts: its name first, then what it is given, token by token."""
    name, given = call_text(turn, piece)
    if "functions" in asked:
        first = {"function_call": {"name": name, "arguments": ""}}
        return [first, *({"function_call": {"arguments": token}} for token in split(given))]
    kind, key = ("custom", "input") if name in turn.custom else ("function", "arguments")
    opening = {
        "index": index,
        "id": call_id(turn, choice, index),
        "type": kind,
        kind: {"name": name, key: ""},
    }
    parts = [{"index": index, kind: {key: token}} for token in split(given)]
    return [{"tool_calls": [one]} for one in (opening, *parts)]


def _spelled(turn: Turn, asked: dict[str, Any], step: _Step, form: tuple[bool, bool]) -> bytes:
    spelled = step.spelled[form] = compact(_rest(turn, asked, step))[1:]
    return spelled


async def _frames(
    practice: Practice, turn: Turn, asked: dict[str, Any], padded: Stamp | None
) -> AsyncIterator[bytes]:
    """The chunks as events; what is the same in many of them is spelled once."""
    number, head = 0, compact(_chunk_head(turn, asked))[:-1] + b","
    form = turn.model.reasoning, _counted(asked)
    async for steps in _steps(practice, turn, asked):
        rests = [step.spelled.get(form) or _spelled(turn, asked, step, form) for step in steps]
        if padded:
            chunks = [padding(head + rest, padded, number + n) for n, rest in enumerate(rests, 1)]
            number += len(rests)
            yield b"data: " + b"\n\ndata: ".join(chunks) + b"\n\n"
        else:
            yield b"data: " + head + (b"\n\ndata: " + head).join(rests) + b"\n\n"
    yield b"data: [DONE]\n\n"


def padding(chunk: bytes, stamp: Stamp, number: int) -> bytes:
    """The chunk's JSON with letters at its end that bring it to a length of 1 more than a multiple of 16, as
    recorded ones have.
    """
    bare = (len(chunk) if chunk.isascii() else len(chunk.decode())) + len(',"obfuscation":""')
    letters = stamp.letters((1 - bare) % 16 or 16, LETTERS, f"padding {number}")
    return b'%b,"obfuscation":"%b"}' % (chunk[:-1], letters.encode())


routes = [
    route("/openai/v1/chat/completions", chat_completions, "POST"),
    route("/openai/v1/completions", completions, "POST"),
]
