"""One reply of a model of api.openai.com, whichever endpoint asked for it: what the engine is asked, what it
costs, and what the reply's headers say."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from .clock import Meter
from .engines import Ask, Piece
from .engines.tokens import split, text_of
from .errors import OpenAIRefusal
from .gojson import BadBody, decode_base64
from .openai_http import EXPOSED, LETTERS, VERSION, limit_headers, request_id
from .openai_models import OpenAIModel
from .options import complete
from .replies import written
from .state import Practice, Stamp, run_together, run_whole

REASONING_STEP = 64  # recorded reasoning counts are multiples of it
EFFORT_STEPS = {"none": 0, "minimal": 0, "low": 1, "medium": 3, "high": 8, "xhigh": 16}

# What a model will not help with. Where a strict schema leaves no room to say so, it says it in `refusal`.
_HARM = re.compile(r"\b(?:bombs?|explosives?|nerve agents?|ransomware|malware|meth)\b", re.IGNORECASE)
REFUSAL = "I'm sorry, but I can't assist with that."


@dataclass
class Wanted:
    """What any of the endpoints asks of the model, in Chat Completions' terms.

    `messages` are the engine's; `limit` is the most tokens to write, reasoning included, -1 for no limit.
    """

    model: OpenAIModel
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] = field(default_factory=list)
    tool_choice: Any = "auto"
    parallel: bool = True  # whether several tools may be called at once
    format: Any = None
    strict: bool = False
    effort: str = "none"
    limit: int = -1
    choices: int = 1
    logprobs: int | None = None
    sampling: dict[str, Any] = field(default_factory=dict)
    ready: Ready | None = None


class Ready(NamedTuple):
    """What is the same whenever the same is wanted."""

    ask: Ask
    prompt_tokens: int
    reasoning_tokens: int
    custom: frozenset[str]
    refusal: str


@dataclass
class Turn:
    """One request that passed every check: as many asks of the engine as replies are wanted."""

    model: OpenAIModel
    stamp: Stamp
    meter: Meter
    asks: list[Ask]
    reasoning_tokens: int
    custom: frozenset[str]
    refusal: str = ""
    started: float = field(default_factory=time.perf_counter)

    @property
    def prompt_tokens(self) -> int:
        return self.meter.prompt_tokens

    def headers(self) -> list[bytes]:
        """The headers of a reply, written: ids, processing time, and how much of the limits is left."""
        frozen = self.meter.clock.frozen
        spent = sum(self.meter.durations()) / 1e6 if frozen else (time.perf_counter() - self.started) * 1000
        limits = self.model.requests, self.model.tokens, self.prompt_tokens
        number = b"x-request-id: %b\r\n" % request_id(self.stamp).encode()
        return [number, _standing(max(1, round(spent)), *limits)]


@lru_cache(maxsize=1024)
def _standing(milliseconds: int, requests: int, tokens: int, used: int) -> bytes:
    """The headers that many replies have in common."""
    took = {"openai-processing-ms": str(milliseconds)}
    return b"".join(written({**EXPOSED, **took, **VERSION, **limit_headers(requests, tokens, used)}))


def start(practice: Practice, wanted: Wanted, stamp: Stamp) -> Turn:
    """A turn that is ready to run. Raises OpenAIRefusal if the prompt is longer than the model reads."""
    wanted.ready = ready = wanted.ready or _ready(practice, wanted)
    meter = Meter(practice.clock, ready.prompt_tokens)
    seeds = [stamp.draws(ready.ask.options, n) for n in range(wanted.choices)]
    asks = [replace(ready.ask, seed=seed) if seed else ready.ask for seed in seeds]
    meter.loaded()
    return Turn(wanted.model, stamp, meter, asks, ready.reasoning_tokens, ready.custom, ready.refusal)


def _ready(practice: Practice, wanted: Wanted) -> Ready:
    options = complete()
    options |= {"top_k": 0, "top_p": 1, "temperature": 1, "seed": -1, "repeat_last_n": -1, "stop": []}
    options |= {
        "presence_penalty": 0,
        "frequency_penalty": 0,
        **wanted.sampling,
        "num_ctx": wanted.model.context,
    }
    tools, choice = _offered(wanted.tools, wanted.tool_choice)
    ask = Ask(
        wanted.messages,
        options,
        "",
        tools=[_function(tool) for tool in tools],
        tool_choice=choice,
        parallel=wanted.parallel,
        format=wanted.format,
        logprobs=wanted.logprobs,
    )
    prompt_tokens = practice.engine.count(ask)
    if prompt_tokens > wanted.model.context:
        key = "input limit" if wanted.model.reasoning else "context"
        raise OpenAIRefusal(key, "messages", limit=wanted.model.context, value=prompt_tokens)
    steps = EFFORT_STEPS[wanted.effort] if wanted.model.reasoning else 0
    reasoning = REASONING_STEP * steps * (1 + prompt_tokens // 200)
    if wanted.limit >= 0:
        reasoning = min(reasoning, wanted.limit)
        options["num_predict"] = wanted.limit - reasoning
    custom = frozenset(tool["custom"]["name"] for tool in tools if "custom" in tool)
    refused = wanted.strict and _HARM.search(_last_said(wanted.messages))
    return Ready(ask, prompt_tokens, reasoning, custom, REFUSAL if refused else "")


async def pieces(practice: Practice, turn: Turn) -> AsyncIterator[Piece]:
    """The pieces of the one reply; of a refusal its words, which are the turn's `refusal`."""
    async for part in parts(practice, turn):
        for piece in part[0]:
            yield piece


def parts(practice: Practice, turn: Turn) -> AsyncIterator[list[list[Piece]]]:
    """The pieces of each reply; in one part what is ready together."""
    return _refusals(turn) if turn.refusal else run_together(practice, turn.asks, turn.meter)


async def replies(practice: Practice, turn: Turn) -> list[list[Piece]]:
    """The pieces of each reply, when all are there."""
    if turn.refusal:
        return [_refused(turn)] * len(turn.asks)
    made = []
    for ask in turn.asks:
        made.append(await run_whole(practice, ask, turn.meter))
    return made


async def _refusals(turn: Turn) -> AsyncIterator[list[list[Piece]]]:
    yield [_refused(turn)] * len(turn.asks)


def _refused(turn: Turn) -> list[Piece]:
    words = split(turn.refusal)
    turn.meter.wrote(len(words) * len(turn.asks))
    return [*(Piece(text=word, tokens=1) for word in words), Piece(done="stop")]


def _last_said(messages: list[dict[str, Any]]) -> str:
    return next((one["content"] for one in reversed(messages) if one["role"] == "user"), "")


# --- tools ------------------------------------------------------------------------------------------


def _offered(tools: list[dict[str, Any]], choice: Any) -> tuple[list[dict[str, Any]], str]:
    """The tools that may be called, and the engine's word for the choice: auto, none, required or a name."""
    if not isinstance(choice, dict):
        return tools, str(choice)
    if choice["type"] != "allowed_tools":
        return tools, str((choice.get("function") or choice.get("custom") or choice)["name"])
    allowed = choice["allowed_tools"]
    names = [(tool.get("function") or tool.get("custom") or tool).get("name") for tool in allowed["tools"]]
    kept = [tool for tool in tools if (tool.get("function") or tool.get("custom") or {}).get("name") in names]
    return kept, str(allowed["mode"])


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool as the engine knows it: a custom one is a function of one text."""
    if "custom" not in tool:
        return tool
    custom = tool["custom"]
    takes = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    own = {"name": custom["name"], "description": custom.get("description", ""), "parameters": takes}
    return {"type": "function", "function": own}


def call_id(turn: Turn, choice: int, index: int) -> str:
    return "call_" + turn.stamp.letters(24, LETTERS, f"call {choice} {index}")


def call_text(turn: Turn, piece: Piece) -> tuple[str, str]:
    """The name of the tool a piece calls, and what it is given: JSON, or a custom tool's plain text."""
    call = piece.tool_call or {}
    if call["name"] in turn.custom:
        return call["name"], str(call["arguments"].get("input", ""))
    return call["name"], json.dumps(call["arguments"], ensure_ascii=False)


# --- what the request says, as the engine takes it ------------------------------------------------------


def sampling(asked: dict[str, Any]) -> dict[str, Any]:
    """The engine's options that a request sets."""
    keys = ("top_p", "temperature", "presence_penalty", "frequency_penalty", "seed")
    options = {key: asked[key] for key in keys if key in asked}
    if "stop" in asked:
        options["stop"] = [asked["stop"]] if isinstance(asked["stop"], str) else asked["stop"]
    if "logit_bias" in asked:
        known = {text_of([int(number)]): bias for number, bias in asked["logit_bias"].items()}
        options["logit_bias"] = {token: float(bias) for token, bias in known.items() if token}
    return options


def native(message: dict[str, Any], messages: list[dict[str, Any]]) -> dict[str, Any]:
    """A message of Chat Completions as the engine takes it."""
    content = message.get("content") or message.get("refusal") or ""
    one: dict[str, Any] = {"role": message["role"]}
    if isinstance(content, list):
        one["content"] = "\n".join(part.get("text") or part.get("refusal") or "" for part in content)
        if pictures := [picture(p["image_url"]["url"]) for p in content if p["type"] == "image_url"]:
            one["images"] = pictures
    else:
        one["content"] = content
    if calls := message.get("tool_calls"):
        one["tool_calls"] = [{"function": call.get("function") or call["custom"]} for call in calls]
    elif message.get("function_call"):
        one["tool_calls"] = [{"function": message["function_call"]}]
    if message["role"] == "tool":
        made = [call for other in messages for call in other.get("tool_calls") or []]
        own: dict[str, Any] = next((call for call in made if call["id"] == message["tool_call_id"]), {})
        one["tool_name"] = (own.get("function") or own.get("custom") or {}).get("name", "")
    elif message["role"] == "function":
        one |= {"role": "tool", "tool_name": message["name"]}
    return one


def picture(url: str) -> bytes:
    """The bytes of a data URL that was checked before."""
    try:
        return decode_base64(url.partition(",")[2])
    except BadBody:
        return b""
