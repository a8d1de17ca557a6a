"""What the tests of the official clients share: a table's calls are made by the sync and the async client."""

from __future__ import annotations

import asyncio
import base64
import inspect
import struct
import zlib
from collections.abc import Callable
from typing import Any

Call = Callable[[Any], Any]  # given a client, makes one call; what it returns may be awaitable, or a stream
Check = Callable[[Any], Any]  # given the call's result, says whether it is right

HI = [{"role": "user", "content": "Say hi."}]
ASK = [{"role": "user", "content": "What is the weather in Paris?"}]
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def png(width: int = 8, height: int = 8) -> bytes:
    """A red picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\xff\0\0" * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


PNG = png()
PNG_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()


_LOOP = asyncio.new_event_loop()  # one for all calls, so that the async clients can be used again


def outcome(client: Any, call: Call) -> Any:
    """What `call` gives in the end: awaited, a stream as a list, a stream helper as its final object."""
    return _LOOP.run_until_complete(_settled(client, call))


async def _settled(client: Any, call: Call) -> Any:
    made = call(client)
    if inspect.isawaitable(made):
        made = await made
    if hasattr(made, "__aenter__") and hasattr(made, "__aexit__") and not hasattr(made, "__aiter__"):
        async with made as stream:
            events = [event async for event in stream]
            return await _final(stream), events
    if hasattr(made, "__enter__") and not hasattr(made, "__iter__"):
        with made as stream:
            events = list(stream)
            return await _final(stream), events
    if hasattr(made, "__aiter__"):
        return [one async for one in made]
    if hasattr(made, "__next__"):
        return list(made)
    return made


async def _final(stream: Any) -> Any:
    names = ("get_final_completion", "get_final_response", "get_final_message")
    final = next(getattr(stream, name) for name in names if hasattr(stream, name))()
    return await final if inspect.isawaitable(final) else final
