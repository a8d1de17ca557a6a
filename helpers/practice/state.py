"""What all surfaces share: the store, the engine, the loaded models, the clock, and how a reply is run."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from random import randbytes
from typing import Any, NamedTuple

from starlette.requests import Request

from .clock import Clock, Meter
from .engines import Ask, Piece
from .engines.script import TURN, Script
from .scheduler import Loaded, Scheduler
from .store import Store


@dataclass(frozen=True)
class Practice:
    """One practice server. `pace` is tokens a second a scripted reply is slowed to; 0 is full speed."""

    home: Path
    store: Store
    engine: Script
    scheduler: Scheduler
    clock: Clock
    pace: float = 0.0


def practice_of(request: Request) -> Practice:
    return request.scope["app"].state.practice


def header(request: Request, name: bytes) -> str:
    """A header of the request, the first of several; "" if it has none."""
    return request.scope["practice.headers"].get(name, b"").decode("latin-1")


@lru_cache
def _letters(alphabet: str) -> bytes:
    """A letter of `alphabet` for each byte there is."""
    return (alphabet * 256)[:256].encode()


class Stamp(NamedTuple):
    """Where a reply's ids and draws come from: chance, or on a frozen clock the request itself."""

    seed: str
    frozen: bool

    @classmethod
    def of(cls, request: Request, body: bytes) -> Stamp:
        if not practice_of(request).clock.frozen:
            return cls(randbytes(16).hex(), False)
        asked = f"{request.method} {request.url.path}\n".encode() + body
        return cls(hashlib.sha256(asked).hexdigest(), True)

    def number(self, below: int, what: str = "id") -> int:
        return int.from_bytes(self._bytes(8, what), "big") % below

    def letters(self, length: int, alphabet: str, what: str) -> str:
        return self._bytes(length, what).translate(_letters(alphabet)).decode()

    def _bytes(self, length: int, what: str) -> bytes:
        return hashlib.shake_128(f"{what} {self.seed}".encode()).digest(length)

    def draws(self, options: dict[str, Any], choice: int = 0) -> str:
        """The name of the random stream: the request's own seed where it gives one; "" for chance."""
        own = options["seed"]
        return f"{own} {choice}" if own >= 0 else f"{self.seed} {choice}" if self.frozen else ""


async def run(
    practice: Practice, ask: Ask, meter: Meter, loaded: Loaded | None = None
) -> AsyncGenerator[Piece, None]:
    """The pieces of one reply, timed by `meter`; a scripted one is slowed to the server's pace.

    The reply waits for a free slot of the `loaded` model. Raises Refusal if the model fails.
    """
    engine = loaded.engine if loaded else practice.engine
    pace = practice.pace if engine is practice.engine else 0
    async with loaded.slots if loaded else nullcontext(), aclosing(engine.reply(ask)) as pieces:
        meter.began()
        async for piece in pieces:
            if pace and piece.tokens:
                await asyncio.sleep(piece.tokens / pace)
            meter.wrote(piece.tokens)
            yield piece


async def run_whole(practice: Practice, ask: Ask, meter: Meter) -> list[Piece]:
    """All pieces of a scripted reply."""
    pieces = await practice.engine.pieces(ask)
    meter.began()
    made: list[Piece] = []
    while True:
        made += islice(pieces, TURN)
        if made[-1].done:
            break
        await asyncio.sleep(0)
    tokens = sum([piece.tokens for piece in made])
    if practice.pace:
        await asyncio.sleep(tokens / practice.pace)
    meter.wrote(tokens)
    return made


async def run_together(
    practice: Practice, asks: list[Ask], meter: Meter
) -> AsyncGenerator[list[list[Piece]], None]:
    """The pieces of scripted replies: of each reply those that are ready together, which at a pace is one."""
    pace, most = practice.pace, 1 if practice.pace else TURN
    replies = []
    for ask in asks:
        replies.append(await practice.engine.pieces(ask))
    meter.began()
    going = True
    while going:
        part = [list(islice(pieces, most)) for pieces in replies]
        going = any([made and not made[-1].done for made in part])
        tokens = sum([piece.tokens for made in part for piece in made])
        if pace and tokens:
            await asyncio.sleep(tokens / pace)
        meter.wrote(tokens)
        yield part
        if going:
            await asyncio.sleep(0)


async def cut(loaded: Loaded, ask: Ask) -> int:
    """Drop the oldest messages until the prompt fits num_ctx, as the real server does without a word.

    System messages and the last one stay. Returns how many tokens the prompt then has.
    """
    limit, whole = loaded.context_length, ask.messages
    count = await loaded.engine.prompt_tokens(ask)
    if count <= limit:
        return count
    old = [i for i, message in enumerate(whole[:-1]) if message["role"] != "system"]

    async def without(dropped: int) -> int:
        gone = set(old[:dropped])
        ask.messages = [message for i, message in enumerate(whole) if i not in gone]
        return await loaded.engine.prompt_tokens(ask)

    least, most = 1, len(old)
    while least < most:  # the fewest that are enough
        middle = (least + most) // 2
        if await without(middle) <= limit:
            most = middle
        else:
            least = middle + 1
    return min(await without(least), limit)
