"""What all surfaces share: the store, the engine, the loaded models, the clock, and how a reply is run."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from starlette.requests import Request

from .clock import Clock, Meter
from .engines import Ask, Engine, Piece
from .scheduler import Scheduler
from .store import Store


@dataclass(frozen=True)
class Practice:
    """One practice server. `pace` is tokens a second a stream is slowed to; 0 is as fast as it goes."""

    home: Path
    store: Store
    engine: Engine
    scheduler: Scheduler
    clock: Clock
    pace: float = 0.0


def practice_of(request: Request) -> Practice:
    return request.app.state.practice


@dataclass(frozen=True)
class Stamp:
    """Where a reply's ids and draws come from: chance, or on a frozen clock the request itself."""

    seed: str

    @classmethod
    def of(cls, request: Request, body: bytes) -> Stamp:
        if not practice_of(request).clock.frozen:
            return cls(os.urandom(16).hex())
        asked = f"{request.method} {request.url.path}\n".encode() + body
        return cls(hashlib.sha256(asked).hexdigest())

    def number(self, below: int, what: str = "id") -> int:
        return Random(f"{what} {self.seed}").randrange(below)

    def letters(self, length: int, alphabet: str, what: str) -> str:
        return "".join(Random(f"{what} {self.seed}").choices(alphabet, k=length))

    def draws(self, options: dict[str, Any], choice: int = 0) -> str:
        """The name of the random stream: the request's own seed where it gives one."""
        own = options["seed"]
        return f"{own if own >= 0 else self.seed} {choice}"


async def run(practice: Practice, ask: Ask, meter: Meter) -> AsyncIterator[Piece]:
    """The pieces of one reply, timed by `meter` and slowed to the server's pace."""
    async for piece in practice.engine.reply(ask):
        if practice.pace and piece.tokens:
            await asyncio.sleep(piece.tokens / practice.pace)
        meter.wrote(piece.tokens)
        yield piece


def cut(practice: Practice, ask: Ask) -> int:
    """Drop the oldest messages until the prompt fits num_ctx, as the real server does without a word.

    System messages and the last one stay. Returns how many tokens the prompt then has.
    """
    count = practice.engine.count(ask)
    while count > ask.options["num_ctx"]:
        old = next((m for m in ask.messages[:-1] if m["role"] != "system"), None)
        if old is None:
            return ask.options["num_ctx"]
        ask.messages.remove(old)
        count = practice.engine.count(ask)
    return count
