"""Models that are really language models: a process of its own for each, with llama.cpp's server in it.

The requests are those that Ollama makes of the same server (llm/llama_server.go, v0.32.15), but for
`cache_prompt`: without a cache, temperature 0 gives the same reply each time.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from .. import gorender, weights
from ..errors import Refusal
from . import Ask, Logprob, Piece, loopback

if TYPE_CHECKING:
    from ..store import Model

CHILD = Path(__file__).with_name("smollm2_child.py")
LOAD_LIMIT = 300  # seconds, OLLAMA_LOAD_TIMEOUT's default
LONGEST = 10  # contexts, the most an open-ended reply may take

# Ollama's option, under llama.cpp's name where that differs.
SAMPLING = {
    "num_keep": "n_keep",
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "typical_p": "typical_p",
    "stop": "stop",
    "repeat_penalty": "repeat_penalty",
    "repeat_last_n": "repeat_last_n",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}

# What `format: "json"` allows, in llama.cpp's grammar notation: an object.
JSON = r"""
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") space
object ::= "{" space (string ":" space value ("," space string ":" space value)*)? "}" space
array  ::= "[" space (value ("," space value)*)? "]" space
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* "\"" space
number ::= "-"? ([0-9] | [1-9] [0-9]{0,15}) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? space
space  ::= ([ \t\n]{0,20})?
"""


def runs(model: Model) -> bool:
    """Whether the model has a language model's weights, and not a stand-in's header."""
    files = model.layers("model")
    return bool(files) and weights.real(files[0].name.replace("-", ":", 1))


async def start(home: Path, model: Model, launch: dict[str, Any], parallel: int) -> RealModel:
    """Start the process of a model; returns when it can be asked. Raises Refusal."""
    path = weights.runner_path(home)
    if path is None:
        name = model.name.short
        raise Refusal("runner", text=f"what runs {name} is not there; get it with: ollama pull {name}")
    key = token_hex(16)
    given = {
        "path": path,
        "model": str(model.layers("model")[0]),
        "key": key,
        "threads": launch["num_thread"] or threads(),
        "params": {
            "n_ctx": launch["num_ctx"] * parallel,
            "n_parallel": parallel,
            "n_batch": launch["num_batch"],
            "n_ubatch": launch["num_batch"],
            "n_gpu_layers": launch["num_gpu"],
            "ctx_shift": launch["shift"],
        },
    }
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW
    process = subprocess.Popen(
        [sys.executable, str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, creationflags=flags
    )
    assert process.stdin and process.stdout
    try:
        process.stdin.write(json.dumps(given).encode() + b"\n")
        process.stdin.flush()
        address = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), LOAD_LIMIT)
    except BaseException as error:
        _end(process)
        if isinstance(error, (OSError, asyncio.TimeoutError)):
            raise Refusal("runner stopped") from error
        raise
    if not address.startswith(b"http"):
        _end(process)
        raise Refusal("runner stopped")
    return RealModel(
        model, process, address.decode().strip(), key, launch["num_ctx"], launch["shift"], parallel
    )


def threads() -> int:
    """How many threads a model gets where nobody set num_thread: one core is left to everybody else.

    llama.cpp's threads wait for each other at every step; where one has no core, all stand still, and a model
    on all cores of a busy machine writes ten times slower. More than four do little for a model this small.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(cores - 1, 1), 4)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process; its memory is given back at once, its remains are cleared away by a thread."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):
            if pipe:
                pipe.close()
    threading.Thread(target=process.wait, daemon=True).start()


class RealModel:
    """A model in its process, which answers at `url` to who knows the key."""

    def __init__(
        self,
        model: Model,
        process: subprocess.Popen[bytes],
        url: str,
        key: str,
        num_ctx: int,
        shift: bool,
        slots: int,
    ) -> None:
        self.slots = slots
        self._model = model
        self._process = process
        self._url = url
        self._key = key
        self._num_ctx = num_ctx
        self._shift = shift

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        _end(self._process)

    async def prompt_tokens(self, ask: Ask) -> int:
        return len(await self._tokens(self._prompt(ask)))

    async def context(self, ask: Ask, reply: str) -> list[int]:
        return await self._tokens(self._prompt(ask) + reply)

    async def recall(self, context: list[int]) -> dict[str, Any]:
        answer = await self._ask("/detokenize", {"tokens": context})
        return {"role": RECALLED, "content": answer["content"]}

    async def reply(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        body = await self._request(ask)
        made = 0
        try:
            async with loopback.post(self._url + "/completion", self._key, body) as answer:
                if answer.status >= 400:
                    raise await _refused(answer)
                async for line in loopback.lines(answer):
                    if not line.startswith(b"data: "):
                        continue
                    part = json.loads(line[6:])
                    if "error" in part:
                        raise Refusal("runner", text=json.dumps(part["error"]))
                    fresh, made = part["tokens_predicted"] - made, part["tokens_predicted"]
                    yield Piece(
                        text=part["content"],
                        logprobs=_logprobs(part, ask.logprobs),
                        tokens=fresh,
                        done=("length" if part["stop_type"] == "limit" else "stop") if part["stop"] else "",
                    )
                    if part["stop"]:
                        return
        except loopback.Broken:
            pass
        raise Refusal("runner cut" if made else "runner stopped")

    async def _request(self, ask: Ask) -> dict[str, Any]:
        options = ask.options
        longest = LONGEST * self._num_ctx
        predict = options["num_predict"]
        body: dict[str, Any] = {
            "prompt": await self._fitted(ask),
            "stream": True,
            "cache_prompt": False,
            "n_predict": min(predict, longest) if predict > 0 else longest,
            "seed": options["seed"] if options["seed"] >= 0 else _number(ask.seed or os.urandom(8).hex()),
            **{name: options[ours] for ours, name in SAMPLING.items()},
        }
        if ask.logprobs is not None:
            body["n_probs"] = max(ask.logprobs, 1)
        if ask.format == "json":
            body["grammar"] = JSON
        elif ask.format is not None:
            body["json_schema"] = _closed(ask.format)
        return body

    async def _fitted(self, ask: Ask) -> str | list[int]:
        """The prompt; of one too long for the context, the tokens num_keep keeps and the last ones."""
        prompt = self._prompt(ask)
        if not ask.truncate or len(prompt) < self._num_ctx:
            return prompt
        tokens = await self._tokens(prompt)
        most = self._num_ctx - 1
        if len(tokens) <= most:
            return prompt
        if not self._shift:
            raise Refusal("prompt too long")
        keep = ask.options["num_keep"]
        keep = min(keep if keep >= 0 else len(tokens), most)
        room = self._num_ctx - max((self._num_ctx - keep) // 2, 1)
        return tokens[:keep] + tokens[len(tokens) - (room - keep) :]

    def _prompt(self, ask: Ask) -> str:
        if ask.raw is not None:
            return ask.raw
        recalled = "".join(message["content"] for message in ask.messages if message["role"] == RECALLED)
        messages = [message for message in ask.messages if message["role"] != RECALLED]
        return recalled + gorender.prompt(self._model.template, messages, ask.tools)

    async def _tokens(self, text: str) -> list[int]:
        answer = await self._ask("/tokenize", {"content": text, "add_special": True, "parse_special": True})
        return answer["tokens"]

    async def _ask(self, path: str, body: dict[str, Any]) -> Any:
        try:
            async with loopback.post(self._url + path, self._key, body) as answer:
                if answer.status >= 400:
                    raise await _refused(answer)
                return json.loads(await loopback.whole(answer))
        except loopback.Broken as error:
            raise Refusal("runner stopped") from error


async def _refused(answer: loopback.Answer) -> Refusal:
    return Refusal("runner refused", text=(await loopback.whole(answer)).decode("utf-8", "replace").strip())


RECALLED = "context"  # the role of the text that a `context` of before stands for


TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")


def _closed(schema: Any) -> Any:
    """The schema as llama.cpp's own converter reads it: an object has the named properties and no others.

    Raises Refusal for a schema that the converter refuses.
    """
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kinds = schema.get("type", "object")
    if any(kind not in TYPES for kind in (kinds if isinstance(kinds, list) else [kinds])):
        raise Refusal(
            "schema", schema=json.dumps(json.dumps(schema, separators=(",", ":"), ensure_ascii=False))[1:-1]
        )
    closed = {
        key: {name: _closed(one) for name, one in value.items()}
        if key in ("properties", "$defs", "definitions") and isinstance(value, dict)
        else value
        if key in ("enum", "const", "default", "examples")
        else _closed(value)
        for key, value in schema.items()
    }
    return {"additionalProperties": False, **closed} if "properties" in schema else closed


def _logprobs(part: dict[str, Any], top: int | None) -> tuple[Logprob, ...]:
    if top is None:
        return ()
    return tuple(
        Logprob(one["token"], one["logprob"], [(t["token"], t["logprob"]) for t in one["top_logprobs"][:top]])
        for one in part.get("completion_probabilities", ())
    )


def _number(seed: str) -> int:
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") >> 1
