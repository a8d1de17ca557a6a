"""The surface that behaves as api.openai.com does, `/openai/v1/*`: keys, parameter rules, shapes, headers,
errors.

Sources: openai/openai-openapi (fields and ranges), recorded replies of api.openai.com in
envoyproxy/ai-gateway (tests/internal/testopenai/cassettes), and error texts quoted in public issues.
"""

from __future__ import annotations

import json
import re
import string
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from .clock import SECOND, Meter
from .compat import packed
from .engines import Ask, Logprob, Piece
from .engines.tokens import split, text_of
from .errors import OpenAIRefusal
from .gojson import BadBody, decode_base64, float32, parse
from .options import complete
from .replies import route
from .state import Practice, Stamp, practice_of, run
from .transport import openai_error

PRACTICE_KEY = "sk-practice"
LETTERS = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
REASONING_STEP = 64  # recorded reasoning counts are multiples of it


@dataclass(frozen=True)
class OpenAIModel:
    """A model this surface offers: the snapshot its replies name, and what it can do."""

    snapshot: str
    created: int
    reasoning: bool = False
    dimensions: int = 0
    context: int = 128_000


MODELS = {
    "gpt-5-nano": OpenAIModel("gpt-5-nano-2025-08-07", 1754426384, reasoning=True, context=272_000),
    "gpt-4o-mini": OpenAIModel("gpt-4o-mini-2024-07-18", 1721172741),
    "text-embedding-3-small": OpenAIModel(
        "text-embedding-3-small", 1705948997, dimensions=1536, context=8192
    ),
}
BY_NAME = MODELS | {model.snapshot: model for model in MODELS.values()}

EFFORTS = ("minimal", "low", "medium", "high")
EFFORT_STEPS = {"minimal": 0, "low": 1, "medium": 3, "high": 8}
ROLES = ("system", "assistant", "user", "function", "tool", "developer")

NUMBER, INTEGER, TEXT, FLAG, LIST, OBJECT = (
    "a decimal",
    "an integer",
    "a string",
    "a boolean",
    "an array",
    "an object",
)
ANY = ""

# Every field of the request: its type and, for numbers, the least and the greatest value.
FIELDS: dict[str, tuple[Any, ...]] = {
    "model": (TEXT,),
    "messages": (LIST,),
    "max_completion_tokens": (INTEGER, 1, None),
    "max_tokens": (INTEGER, 1, None),
    "temperature": (NUMBER, 0, 2),
    "top_p": (NUMBER, 0, 1),
    "n": (INTEGER, 1, 128),
    "stop": (ANY,),
    "seed": (INTEGER, None, None),
    "frequency_penalty": (NUMBER, -2, 2),
    "presence_penalty": (NUMBER, -2, 2),
    "logit_bias": (OBJECT,),
    "logprobs": (FLAG,),
    "top_logprobs": (INTEGER, 0, 20),
    "stream": (FLAG,),
    "stream_options": (OBJECT,),
    "response_format": (OBJECT,),
    "tools": (LIST,),
    "tool_choice": (ANY,),
    "parallel_tool_calls": (FLAG,),
    "functions": (LIST,),
    "function_call": (ANY,),
    "reasoning_effort": (TEXT,),
    "verbosity": (TEXT,),
    "prediction": (OBJECT,),
    "modalities": (LIST,),
    "audio": (OBJECT,),
    "web_search_options": (OBJECT,),
    "store": (FLAG,),
    "metadata": (OBJECT,),
    "service_tier": (TEXT,),
    "safety_identifier": (TEXT,),
    "prompt_cache_key": (TEXT,),
    "prompt_cache_options": (OBJECT,),
    "prompt_cache_retention": (TEXT,),
    "moderation": (OBJECT,),
    "user": (TEXT,),
}
CHOICES = {
    "verbosity": ("low", "medium", "high"),
    "service_tier": ("auto", "default", "flex", "scale", "priority", "fast"),
}
NOT_FOR_REASONING = ("top_p", "stop", "presence_penalty", "frequency_penalty", "logit_bias", "top_logprobs")

PARAMS_OF_EMBEDDINGS = ("model", "input", "dimensions", "encoding_format", "user")


# --- checks ---------------------------------------------------------------------------------------


def _authorised(request: Request) -> None:
    given = request.headers.get("authorization", "")
    scheme, _, key = given.partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key:
        raise OpenAIRefusal("no key")
    if not key.startswith(PRACTICE_KEY):
        shown = key[:8] + "*" * (len(key) - 12) + key[-4:] if len(key) > 12 else "*" * len(key)
        raise OpenAIRefusal("key", key=shown)


def _read(body: bytes) -> dict[str, Any]:
    try:
        asked = parse(body) if body.strip() else {}
    except BadBody as error:
        raise OpenAIRefusal("json") from error
    if not isinstance(asked, dict):
        raise OpenAIRefusal("json")
    if not asked.get("model"):
        raise OpenAIRefusal("no model")
    return {key: value for key, value in asked.items() if value is not None}


def _model(name: Any, wanted: Callable[[OpenAIModel], bool]) -> OpenAIModel:
    model = BY_NAME.get(name) if isinstance(name, str) else None
    if model is None or not wanted(model):
        raise OpenAIRefusal("model", model=name)
    return model


def _check_chat(asked: dict[str, Any], model: OpenAIModel) -> None:
    for param in asked:
        if param not in FIELDS:
            raise OpenAIRefusal("unknown", name=param)
    _check_for_model(asked, model)
    if "messages" not in asked:
        raise OpenAIRefusal("missing", "messages")
    for param, value in asked.items():
        _check_type(param, value, *FIELDS[param])
    for param, supported in CHOICES.items():
        if param in asked and asked[param] not in supported:
            raise OpenAIRefusal("value", param, value=asked[param], supported=_listing(supported))
    _check_messages(asked["messages"])
    if "tools" in asked and not asked["tools"]:
        raise OpenAIRefusal("empty", "tools")
    for i, tool in enumerate(asked.get("tools", [])):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise OpenAIRefusal("missing", f"tools[{i}].function.name")
    stops = asked.get("stop", [])
    if isinstance(stops, list) and len(stops) > 4:
        raise OpenAIRefusal("long", "stop", limit=4, value=len(stops))
    if "stream_options" in asked and not asked.get("stream"):
        raise OpenAIRefusal("stream_options", "stream_options")
    if asked.get("response_format", {}).get("type") == "json_object":
        said = json.dumps([message.get("content") for message in asked["messages"]])
        if "json" not in said.lower():
            raise OpenAIRefusal("no json word", "messages")


def _check_for_model(asked: dict[str, Any], model: OpenAIModel) -> None:
    if not model.reasoning:
        if "reasoning_effort" in asked:
            raise OpenAIRefusal("unknown", name="reasoning_effort")
        return
    if "max_tokens" in asked:
        raise OpenAIRefusal("max_tokens", "max_tokens")
    if asked.get("logprobs"):
        raise OpenAIRefusal("logprobs")
    for param in NOT_FOR_REASONING:
        if param in asked:
            raise OpenAIRefusal("unsupported", param)
    temperature = asked.get("temperature", 1)
    if temperature != 1 and isinstance(temperature, (int, float)) and 0 <= temperature <= 2:
        raise OpenAIRefusal("only default", "temperature", value=_plain(temperature))
    effort = asked.get("reasoning_effort", "medium")
    if effort not in EFFORTS:
        raise OpenAIRefusal("effort", "reasoning_effort", value=effort, supported=_listing(EFFORTS))


def _check_type(param: str, value: Any, expected: Any, least: Any = None, most: Any = None) -> None:
    if expected is ANY:
        return
    got = _kind(value)
    if got != expected and not (expected == NUMBER and got == INTEGER):
        raise OpenAIRefusal("type", param, expected=expected, got=got)
    kind = "integer" if expected == INTEGER else "decimal"
    if most is not None and value > most:
        raise OpenAIRefusal("above", param, kind=kind, limit=most, value=_plain(value))
    if least is not None and value < least:
        raise OpenAIRefusal("below", param, kind=kind, limit=least, value=_plain(value))


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {bool: FLAG, int: INTEGER, float: NUMBER, str: TEXT, list: LIST, dict: OBJECT}
    return kinds[type(value)]


def _plain(number: float) -> str:
    return f"{number:g}"


def _listing(names: tuple[str, ...]) -> str:
    quoted = [f"'{name}'" for name in names]
    return ", ".join(quoted[:-1]) + f", and {quoted[-1]}"


def _check_messages(messages: list[Any]) -> None:
    if not messages:
        raise OpenAIRefusal("empty", "messages")
    waiting: list[str] = []
    for i, message in enumerate(messages):
        where = f"messages[{i}]"
        if not isinstance(message, dict):
            raise OpenAIRefusal("type", where, expected=OBJECT, got=_kind(message))
        role = message.get("role")
        if role is None:
            raise OpenAIRefusal("missing", f"{where}.role")
        if role not in ROLES:
            raise OpenAIRefusal("value", f"{where}.role", value=role, supported=_listing(ROLES))
        if role == "tool":
            if message.get("tool_call_id") not in waiting:
                raise OpenAIRefusal("orphan", f"messages.[{i}].role")
            waiting.remove(message["tool_call_id"])
        elif waiting:
            break
        _check_content(message, where, role)
        if "tool_calls" in message:
            calls = message["tool_calls"]
            if calls == []:
                raise OpenAIRefusal("empty", f"{where}.tool_calls")
            waiting = [call.get("id", "") for call in calls or [] if isinstance(call, dict)]
    if waiting:
        at = next(i for i, m in enumerate(messages) if m.get("tool_calls"))
        raise OpenAIRefusal("unanswered", f"messages.[{at}].role", ids=", ".join(waiting))


def _check_content(message: dict[str, Any], where: str, role: str) -> None:
    content = message.get("content")
    if content is None:
        if role == "assistant" and (message.get("tool_calls") or message.get("refusal")):
            return
        if "content" not in message:
            raise OpenAIRefusal("missing", f"{where}.content")
    if not isinstance(content, (str, list)):
        wanted = "one of a string or array of objects"
        raise OpenAIRefusal("type", f"{where}.content", expected=wanted, got=_kind(content))


# --- chat completions -----------------------------------------------------------------------------


@dataclass
class Chat:
    """One chat request that passed every check."""

    asked: dict[str, Any]
    model: OpenAIModel
    stamp: Stamp
    meter: Meter
    prompt_tokens: int
    reasoning_tokens: int
    asks: list[Ask]
    started: float = field(default_factory=time.perf_counter)

    @property
    def head(self) -> dict[str, Any]:
        return {
            "id": "chatcmpl-" + self.stamp.letters(29, LETTERS, "id"),
            "object": "chat.completion",
            "created": self.meter.clock.now() // SECOND,
            "model": self.model.snapshot,
        }

    @property
    def tail(self) -> dict[str, Any]:
        fingerprint = None if self.model.reasoning else "fp_" + self.stamp.letters(10, HEX, "fp")
        return {"service_tier": "default", "system_fingerprint": fingerprint}

    def usage(self) -> dict[str, Any]:
        wrote = self.meter.reply_tokens + self.reasoning_tokens * len(self.asks)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": wrote,
            "total_tokens": self.prompt_tokens + wrote,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning_tokens * len(self.asks),
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def headers(self) -> dict[str, str]:
        """The headers of every reply but a 404: ids, processing time, and how much of the limits is left."""
        frozen = self.meter.clock.frozen
        spent = sum(self.meter.durations()) / 1e6 if frozen else (time.perf_counter() - self.started) * 1000
        return {
            **request_id(self.stamp),
            "openai-processing-ms": str(max(1, round(spent))),
            "openai-version": "2020-10-01",
            "openai-organization": "org-practice",
            "openai-project": "proj_practice",
            "x-ratelimit-limit-requests": "500",
            "x-ratelimit-limit-tokens": "200000",
            "x-ratelimit-remaining-requests": "499",
            "x-ratelimit-remaining-tokens": str(max(0, 200_000 - self.prompt_tokens)),
            "x-ratelimit-reset-requests": "120ms",
            "x-ratelimit-reset-tokens": f"{max(1, self.prompt_tokens * 3 // 10)}ms",
        }


def request_id(stamp: Stamp) -> dict[str, str]:
    return {
        "x-request-id": "req_" + stamp.letters(32, HEX, "request"),
        "access-control-expose-headers": "X-Request-ID",
    }


async def chat_completions(request: Request) -> Response:
    body = await request.body()
    stamp = Stamp.of(request, body)
    try:
        _authorised(request)
        asked = _read(body)
        model = _model(asked["model"], lambda one: not one.dimensions)
        _check_chat(asked, model)
    except OpenAIRefusal as refusal:
        return openai_error(refusal, request_id(stamp))
    practice = practice_of(request)
    chat = _start(practice, asked, model, stamp)
    if asked.get("stream"):
        frames = _frames(practice, chat)
        kind = {"content-type": "text/event-stream; charset=utf-8"}
        return StreamingResponse(frames, headers={**kind, **chat.headers()})
    choices = [await _choice(practice, chat, i) for i in range(len(chat.asks))]
    whole = {**chat.head, "choices": choices, "usage": chat.usage(), **chat.tail}
    return _reply(whole, chat.headers())


def _reply(value: Any, headers: dict[str, str]) -> Response:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return Response(text.encode("utf-8", "replace"), headers={"content-type": "application/json", **headers})


def _start(practice: Practice, asked: dict[str, Any], model: OpenAIModel, stamp: Stamp) -> Chat:
    options = complete()
    options |= {"top_k": 0, "top_p": asked.get("top_p", 1), "temperature": asked.get("temperature", 1)}
    options |= {key: asked.get(key, 0) for key in ("presence_penalty", "frequency_penalty")}
    options |= {"seed": asked.get("seed", -1), "num_ctx": model.context, "repeat_last_n": -1}
    options["logit_bias"] = _bias(asked.get("logit_bias", {}))
    stop = asked.get("stop", [])
    options["stop"] = [text for text in ([stop] if isinstance(stop, str) else stop) if isinstance(text, str)]
    messages = [_native(message, asked["messages"]) for message in asked["messages"]]
    ask = Ask(messages, options, "", tools=asked.get("tools", []), tool_choice=_tool_choice(asked))
    wanted = asked.get("response_format", {})
    if wanted.get("type") == "json_object":
        ask.format = "json"
    elif wanted.get("type") == "json_schema":
        ask.format = (wanted.get("json_schema") or {}).get("schema")
    if asked.get("logprobs"):
        ask.logprobs = asked.get("top_logprobs", 0)
    prompt_tokens = practice.engine.count(ask)
    limit = asked.get("max_completion_tokens", asked.get("max_tokens", -1))
    reasoning = _reasoning_tokens(asked, model, prompt_tokens)
    if limit >= 0:
        reasoning = min(reasoning, limit)
        limit -= reasoning
    options["num_predict"] = limit
    asks = [
        Ask(**{**vars(ask), "messages": list(messages), "seed": stamp.draws(options, choice)})
        for choice in range(asked.get("n", 1))
    ]
    meter = Meter(practice.clock, prompt_tokens)
    meter.loaded()
    return Chat(asked, model, stamp, meter, prompt_tokens, reasoning, asks)


def _reasoning_tokens(asked: dict[str, Any], model: OpenAIModel, prompt_tokens: int) -> int:
    if not model.reasoning:
        return 0
    steps = EFFORT_STEPS[asked.get("reasoning_effort", "medium")]
    return REASONING_STEP * steps * (1 + prompt_tokens // 200)


def _bias(given: dict[str, Any]) -> dict[str, float]:
    known = {text_of([int(number)]): value for number, value in given.items() if number.isdigit()}
    return {
        token: float(value) for token, value in known.items() if token and isinstance(value, (int, float))
    }


def _tool_choice(asked: dict[str, Any]) -> str:
    choice = asked.get("tool_choice", "auto")
    if isinstance(choice, dict):
        return str((choice.get("function") or {}).get("name", "auto"))
    return str(choice)


def _native(message: dict[str, Any], messages: list[dict[str, Any]]) -> dict[str, Any]:
    content = message.get("content") or ""
    native: dict[str, Any] = {"role": message["role"]}
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        native["content"] = "\n".join(
            str(part.get("text", "")) for part in parts if part.get("type") == "text"
        )
        pictures = [_picture(part) for part in parts if part.get("type") == "image_url"]
        if pictures:
            native["images"] = pictures
    else:
        native["content"] = content
    calls = [call for call in message.get("tool_calls") or [] if isinstance(call, dict)]
    if calls:
        native["tool_calls"] = [{"function": call.get("function", {})} for call in calls]
    if message["role"] == "tool":
        made = [call for one in messages for call in one.get("tool_calls") or [] if isinstance(call, dict)]
        own = next((call for call in made if call.get("id") == message.get("tool_call_id")), {})
        native["tool_name"] = (own.get("function") or {}).get("name", "")
    return native


def _picture(part: dict[str, Any]) -> bytes:
    url = part.get("image_url")
    url = url.get("url", "") if isinstance(url, dict) else ""
    found = re.fullmatch(r"data:[\w/+.-]*;base64,(.*)", url, re.DOTALL)
    try:
        return decode_base64(found[1]) if found else b""
    except BadBody:
        return b""


def _call(chat: Chat, piece: Piece, choice: int, index: int) -> dict[str, Any]:
    call = piece.tool_call or {}
    return {
        "id": "call_" + chat.stamp.letters(24, LETTERS, f"call {choice} {index}"),
        "type": "function",
        "function": {"name": call["name"], "arguments": json.dumps(call["arguments"], ensure_ascii=False)},
    }


async def _choice(practice: Practice, chat: Chat, index: int) -> dict[str, Any]:
    ask = chat.asks[index]
    made = [piece async for piece in run(practice, ask, chat.meter)]
    calls = [_call(chat, piece, index, i) for i, piece in enumerate(p for p in made if p.tool_call)]
    text = "".join(piece.text for piece in made)
    message: dict[str, Any] = {"role": "assistant", "content": None if calls else text}
    if calls:
        message["tool_calls"] = calls
    message |= {"refusal": None, "annotations": []}
    choice: dict[str, Any] = {"index": index, "message": message}
    if not chat.model.reasoning:
        choice["logprobs"] = None
        if ask.logprobs is not None:
            content = [_logprob(one) for piece in made for one in piece.logprobs]
            choice["logprobs"] = {"content": content, "refusal": None}
    choice["finish_reason"] = _finish(chat, bool(calls), made[-1].done)
    return choice


def _finish(chat: Chat, called: bool, done: str) -> str:
    forced = chat.asks[0].tool_choice not in ("auto", "none", "required")
    return "tool_calls" if called and done == "stop" and not forced else done


def _logprob(one: Logprob) -> dict[str, Any]:
    item = {"token": one.token, "logprob": one.logprob, "bytes": list(one.token.encode())}
    top = [{"token": t, "logprob": p, "bytes": list(t.encode())} for t, p in one.top]
    return {**item, "top_logprobs": top}


# --- the same as a stream -------------------------------------------------------------------------


async def _frames(practice: Practice, chat: Chat) -> AsyncIterator[bytes]:
    settings = chat.asked.get("stream_options", {})
    usage = bool(settings.get("include_usage"))
    padded = settings.get("include_obfuscation", True)
    head = {**chat.head, "object": "chat.completion.chunk", **chat.tail}
    sent = 0

    def frame(choices: list[dict[str, Any]], counted: dict[str, Any] | None = None) -> bytes:
        nonlocal sent
        sent += 1
        chunk: dict[str, Any] = {**head, "choices": choices}
        if usage:
            chunk["usage"] = counted
        if padded:
            chunk["obfuscation"] = _padding(chunk, chat.stamp, sent)
        text = json.dumps(chunk, ensure_ascii=False, separators=(",", ":"))
        return b"data: " + text.encode("utf-8", "replace") + b"\n\n"

    def choice(
        index: int, delta: dict[str, Any], piece: Piece | None = None, finish: Any = None
    ) -> dict[str, Any]:
        one: dict[str, Any] = {"index": index, "delta": delta}
        if not chat.model.reasoning:
            logprobs = [_logprob(p) for p in piece.logprobs] if piece else []
            one["logprobs"] = {"content": logprobs, "refusal": None} if logprobs else None
        return {**one, "finish_reason": finish}

    called = [0] * len(chat.asks)
    for index in range(len(chat.asks)):
        yield frame([choice(index, {"role": "assistant", "content": "", "refusal": None})])
    async for index, piece in _in_turns([run(practice, ask, chat.meter) for ask in chat.asks]):
        if piece.tool_call:
            call = _call(chat, piece, index, called[index])
            arguments = call["function"]["arguments"]
            first = {"index": called[index], **call, "function": {**call["function"], "arguments": ""}}
            yield frame([choice(index, {"tool_calls": [first]})])
            for token in split(arguments):
                part = {"index": called[index], "function": {"arguments": token}}
                yield frame([choice(index, {"tool_calls": [part]})])
            called[index] += 1
        if piece.text:
            yield frame([choice(index, {"content": piece.text}, piece)])
        if piece.done:
            yield frame([choice(index, {}, finish=_finish(chat, bool(called[index]), piece.done))])
    if usage:
        yield frame([], chat.usage())
    yield b"data: [DONE]\n\n"


async def _in_turns(replies: list[AsyncIterator[Piece]]) -> AsyncIterator[tuple[int, Piece]]:
    open_ones = dict(enumerate(replies))
    while open_ones:
        for index, pieces in list(open_ones.items()):
            piece = await anext(pieces, None)
            if piece is None:
                del open_ones[index]
            else:
                yield index, piece


def _padding(chunk: dict[str, Any], stamp: Stamp, number: int) -> str:
    """Letters that bring a chunk to a length of 1 more than a multiple of 16, as recorded ones have."""
    bare = len(json.dumps({**chunk, "obfuscation": ""}, ensure_ascii=False, separators=(",", ":")))
    return stamp.letters((1 - bare) % 16 or 16, LETTERS, f"padding {number}")


# --- models and vectors ---------------------------------------------------------------------------


async def models(request: Request) -> Response:
    stamp = Stamp.of(request, b"")
    try:
        _authorised(request)
    except OpenAIRefusal as refusal:
        return openai_error(refusal, request_id(stamp))
    data = [_listed(name, model) for name, model in MODELS.items()]
    return _reply({"object": "list", "data": data}, request_id(stamp))


async def model(request: Request) -> Response:
    stamp = Stamp.of(request, b"")
    name = request.path_params["model"]
    try:
        _authorised(request)
        found = _model(name, lambda one: True)
    except OpenAIRefusal as refusal:
        return openai_error(refusal, request_id(stamp))
    return _reply(_listed(name, found), request_id(stamp))


def _listed(name: str, model: OpenAIModel) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": model.created, "owned_by": "system"}


async def embeddings(request: Request) -> Response:
    body = await request.body()
    stamp = Stamp.of(request, body)
    try:
        _authorised(request)
        asked = _read(body)
        model = _model(asked["model"], lambda one: bool(one.dimensions))
        texts, dimensions = _check_embeddings(asked, model)
    except OpenAIRefusal as refusal:
        return openai_error(refusal, request_id(stamp))
    engine = practice_of(request).engine
    made = [[float32(x) for x in engine.embed(text, dimensions)] for text in texts]
    shown = [packed(vector) for vector in made] if asked.get("encoding_format") == "base64" else made
    data = [{"object": "embedding", "index": i, "embedding": one} for i, one in enumerate(shown)]
    tokens = sum(len(split(text)) for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    whole = {"object": "list", "data": data, "model": model.snapshot, "usage": usage}
    return _reply(whole, {**request_id(stamp), "openai-version": "2020-10-01"})


def _check_embeddings(asked: dict[str, Any], model: OpenAIModel) -> tuple[list[str], int]:
    for param in asked:
        if param not in PARAMS_OF_EMBEDDINGS:
            raise OpenAIRefusal("unknown", name=param)
    if "input" not in asked:
        raise OpenAIRefusal("missing", "input")
    given = asked["input"]
    if given == []:
        raise OpenAIRefusal("empty", "input")
    if isinstance(given, str):
        texts = [given]
    elif isinstance(given, list) and all(isinstance(one, str) for one in given):
        texts = given
    else:
        raise OpenAIRefusal("type", "input", expected="one of a string or array of strings", got=_kind(given))
    encoding = asked.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        supported = _listing(("float", "base64"))
        raise OpenAIRefusal("value", "encoding_format", value=encoding, supported=supported)
    _check_type("dimensions", asked.get("dimensions", 1), INTEGER, 1, model.dimensions)
    return texts, asked.get("dimensions", model.dimensions)


routes = [
    route("/openai/v1/chat/completions", chat_completions, "POST"),
    route("/openai/v1/embeddings", embeddings, "POST"),
    route("/openai/v1/models", models, "GET"),
    route("/openai/v1/models/{model}", model, "GET"),
]
