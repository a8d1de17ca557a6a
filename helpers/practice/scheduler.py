"""Which models are loaded, for whom, and until when. Source: server/sched.go and envconfig, v0.32.15.

A request for a loaded model goes straight to it; one that needs a load waits its turn in a queue of
OLLAMA_MAX_QUEUE places. At most OLLAMA_MAX_LOADED_MODELS stay loaded: the idle one with the shortest
keep_alive makes room. A model in use is never unloaded; keep_alive counts from the end of its last request.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .cli_format import parse_duration
from .clock import SECOND, Clock
from .engines import Engine
from .errors import Refusal
from .gojson import BadBody
from .store import Model

FOREVER = 2**63 - 1  # nanoseconds, about 292 years
MOST_LOADED = 3  # what the real server allows a machine without a GPU, or for each GPU
LEAST_CONTEXT, LEAST_VISION_CONTEXT = 4, 2048

# The options a running model cannot change: another value of one of them means to load it again.
LAUNCH = ("num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict")

Start = Callable[[Model, dict[str, Any], int], Awaitable[Engine]]  # model, launch options, parallel replies


@dataclass(eq=False)
class Loaded:
    """A model in memory.

    `keep` is its keep_alive in nanoseconds. `expires` is when that is over, in nanoseconds since 1970 by the
    server's clock, 0 before the model was idle for the first time; while it is in use, the time set before
    stands, as in the real server. `slots` lets as many replies be written at once as the engine can.
    """

    key: Path | str
    model: Model
    launch: dict[str, Any]
    engine: Engine
    keep: int
    slots: asyncio.Semaphore | nullcontext[None]
    users: int = 0
    expires: int = 0
    timer: asyncio.TimerHandle | None = None
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def context_length(self) -> int:
        return self.launch["num_ctx"]

    @property
    def size(self) -> int:
        """Bytes the published model would take: its weights and a 16-bit key-value cache for the context."""
        of = {key.partition(".")[2]: value for key, value in self.model.header.metadata.items()}
        heads = of.get("attention.head_count_kv", of.get("attention.head_count", 0))
        head = of.get(
            "attention.key_length", of.get("embedding_length", 0) // (of.get("attention.head_count") or 1)
        )
        return self.model.size + 4 * of.get("block_count", 0) * heads * head * self.context_length

    def serves(self, launch: dict[str, Any]) -> bool:
        """Whether a request with these launch options can use the model as it runs."""
        if launch["num_gpu"] < 0:
            launch = {**launch, "num_gpu": self.launch["num_gpu"]}
        return launch == self.launch and self.engine.alive


class Scheduler:
    """Loads on use, unloads when keep_alive has passed. `start` makes the engine of a loaded model."""

    def __init__(self, clock: Clock, start: Start) -> None:
        self._clock = clock
        self._start = start
        self._loaded: dict[Path | str, Loaded] = {}
        self._turn = asyncio.Lock()  # one request at a time loads and makes room
        self._waiting = 0
        self._places = whole_number("OLLAMA_MAX_QUEUE", 512)
        self._most = whole_number("OLLAMA_MAX_LOADED_MODELS", 0) or MOST_LOADED

    async def use(
        self, model: Model, keep_alive: int | None, options: dict[str, Any], shift: bool = True
    ) -> Loaded:
        """The loaded model, held until the task of the request ends.

        `keep_alive` is nanoseconds, FOREVER for ever, None for what the model has, or the default when it is
        loaded now. Raises Refusal if the queue is full or the model cannot be loaded.
        """
        key, launch = _key(model), _launch(model, options, shift)
        one = self._loaded.get(key)
        if one is None or not one.serves(launch):
            one = await self._in_turn(key, model, launch)
        if keep_alive is not None:
            one.keep = keep_alive
        one.users += 1
        _stop_timer(one)
        request = asyncio.current_task()
        assert request is not None
        request.add_done_callback(lambda _: self._let_go(one))
        return one

    def unload(self, model: Model) -> None:
        """Unload the model, at once or when its last request has ended."""
        one = self._loaded.get(_key(model))
        if one:
            one.expires = self._clock.now()
            self._expire(one)

    def loaded(self) -> list[Loaded]:
        """What is in memory, the longest to stay first."""
        return sorted(self._loaded.values(), key=lambda one: (-(self.expires(one) // SECOND), one.model.name))

    def expires(self, one: Loaded) -> int:
        """When the model is to be unloaded; of one that was not idle yet, if it were idle from now on."""
        return one.expires or self._clock.now() + one.keep

    async def _in_turn(self, key: Path | str, model: Model, launch: dict[str, Any]) -> Loaded:
        if self._turn.locked() and self._waiting >= self._places:
            raise Refusal("busy")
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        try:
            while True:
                one = self._loaded.get(key)
                if one is None and len(self._loaded) < self._most:
                    return await self._load(key, model, launch)
                if one is not None and one.serves(launch):
                    return one
                leaving = one or min(self._loaded.values(), key=_stays)
                self._expire(leaving)
                await leaving.gone.wait()
        finally:
            self._turn.release()

    async def _load(self, key: Path | str, model: Model, launch: dict[str, Any]) -> Loaded:
        wanted = whole_number("OLLAMA_NUM_PARALLEL", 0)
        parallel = wanted if "completion" in model.capabilities else min(wanted, 1)
        engine = await self._start(model, launch, max(parallel, 1))
        limit = parallel or engine.slots
        slots = asyncio.Semaphore(limit) if limit else nullcontext()
        self._loaded[key] = Loaded(key, model, launch, engine, default_keep_alive(), slots)
        return self._loaded[key]

    def _let_go(self, one: Loaded) -> None:
        one.users -= 1
        if one.users or one.gone.is_set():
            return
        if one.keep <= 0:
            self._expire(one)
            return
        one.expires = self._clock.now() + one.keep
        if one.keep < FOREVER // 2:
            one.timer = asyncio.get_running_loop().call_later(one.keep / SECOND, self._expire, one)

    def _expire(self, one: Loaded) -> None:
        _stop_timer(one)
        one.keep = 0
        if not one.users and not one.gone.is_set():
            del self._loaded[one.key]
            one.engine.close()
            one.gone.set()


def _key(model: Model) -> Path | str:
    """Models with the same weights are one model in memory."""
    weights = model.layers("model")
    return weights[0] if weights else model.digest


def _launch(model: Model, options: dict[str, Any], shift: bool) -> dict[str, Any]:
    context = max(options["num_ctx"], LEAST_CONTEXT)
    if "vision" in model.capabilities:
        context = max(context, LEAST_VISION_CONTEXT)
    trained = model.length("context")
    return {
        **{name: options[name] for name in LAUNCH},
        "num_ctx": min(context, trained) if trained else context,
        "shift": shift,
        "adapters": model.layers("adapter"),
        "projectors": model.layers("projector"),
    }


def _stays(one: Loaded) -> tuple[bool, int, str]:
    """What makes a model stay when another one needs room."""
    return one.users > 0, one.keep, str(one.key)


def _stop_timer(one: Loaded) -> None:
    if one.timer:
        one.timer.cancel()
        one.timer = None


# --- settings -------------------------------------------------------------------------------------


def setting(name: str) -> str:
    """An environment variable, without spaces and quotes around it."""
    return os.environ.get(name, "").strip().strip("\"'")


def whole_number(name: str, default: int) -> int:
    """An environment variable that is a count; `default` where it is not set or no whole number."""
    text = setting(name)
    return int(text) if re.fullmatch("[0-9]{1,20}", text) else default


def keep_alive(value: Any) -> int:
    """A request's keep_alive in nanoseconds: a number is seconds, a text a Go duration, below zero for ever.

    Raises BadBody with Go's text.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        kind = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}[type(value)]
        raise BadBody(f"Unsupported type: '{kind}'")
    if isinstance(value, str):
        try:
            length = parse_duration(value)
        except ValueError as error:
            raise BadBody(str(error)) from error
    else:
        length = int(min(value, FOREVER / SECOND) * SECOND) if value >= 0 else -1
    return FOREVER if length < 0 else length


def default_keep_alive() -> int:
    """OLLAMA_KEEP_ALIVE in nanoseconds, five minutes where it is not set or cannot be read."""
    text = setting("OLLAMA_KEEP_ALIVE")
    try:
        return keep_alive(int(text) if re.fullmatch("[+-]?[0-9]{1,19}", text) else text)
    except BadBody:
        return 300 * SECOND
