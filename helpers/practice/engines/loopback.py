"""As much of HTTP as a question to llama.cpp's server needs: a connection for each, JSON there, blocks back.

The general clients take half a millisecond for each token, on the core that the model could use.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Broken(Exception):
    """The server was not there, or left in the middle of its answer."""


class Answer(NamedTuple):
    """`blocks` is the body, as it comes."""

    status: int
    blocks: AsyncIterator[bytes]


@asynccontextmanager
async def post(url: str, key: str, body: Any) -> AsyncIterator[Answer]:
    """Ask; at the end of the block the connection is closed, which ends what the server still does for it.

    Raises Broken, and so do the blocks.
    """
    parts = urlsplit(url)
    data = json.dumps(body).encode()
    head = (
        f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(data)}\r\nconnection: close\r\n\r\n"
    )
    writer = None
    try:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(head.encode() + data)
        status = int((await reader.readuntil(b"\r\n")).split()[1])
        chunked = False
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            chunked = chunked or line.lower().startswith(b"transfer-encoding: chunked")
        yield Answer(status, _chunks(reader) if chunked else _rest(reader))
    except (OSError, EOFError, ValueError) as error:
        raise Broken from error
    finally:
        if writer:
            writer.close()


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]


async def _rest(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while block := await reader.read(65536):
        yield block


async def lines(answer: Answer) -> AsyncIterator[bytes]:
    """The body's lines, without their ends."""
    rest = b""
    async for block in answer.blocks:
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            yield line


async def whole(answer: Answer) -> bytes:
    return b"".join([block async for block in answer.blocks])
