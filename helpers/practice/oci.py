"""A client of OCI registries, as Ollama is one: requests, tokens, and what is said when something fails.

Source: server/images.go, server/download.go and server/auth.go, v0.32.15; the texts of failed connections are
those of Go's net and net/http.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import httpx

from .errors import Refusal
from .gojson import BadBody, parse
from .names import Name
from .store import MANIFEST_TYPE, trouble

BLOCK = 1 << 18  # bytes
CADENCE = 0.06  # seconds between two looks at how far an upload is
TRIES = 6  # of a download that makes no progress
AGENT = "ollama/0.32.15 (amd64 linux) Go/go1.26.0"


class NotThere(Exception):
    """The registry has no such thing."""


@dataclass
class Registry:
    """One registry, for as long as one pull or push goes on."""

    base: str
    client: httpx.AsyncClient
    token: str = field(default="", repr=False)

    def url(self, name: Name, *rest: str) -> str:
        return "/".join([self.base, "v2", name.namespace, name.model, *rest])


@asynccontextmanager
async def connected(name: Name, insecure: bool) -> AsyncIterator[Registry]:
    """The registry that a name's host stands for; `insecure` means plain HTTP."""
    host = urlsplit(f"//{name.host}").hostname or ""
    own = host == "localhost" or host.startswith("127.")
    timeout = httpx.Timeout(30, pool=None)
    async with httpx.AsyncClient(timeout=timeout, trust_env=not own, follow_redirects=True) as client:
        yield Registry(f"{'http' if insecure else 'https'}://{name.host}", client)


async def request(
    registry: Registry,
    method: str,
    url: str,
    headers: dict[str, str] | None = None,
    content: Callable[[], AsyncIterator[bytes]] | bytes | None = None,
) -> httpx.Response:
    """A reply below 400, its body read. Asked for a token, it gets one and asks again.

    `content` is a function where it may be sent twice. Raises NotThere on 404, and Refusal.
    """
    for _ in range(2):
        body = content() if callable(content) else content
        with said_as_go(method, url):
            reply = await registry.client.request(
                method, url, headers=_headers(registry, headers), content=body
            )
        if reply.status_code == HTTPStatus.UNAUTHORIZED:
            registry.token = await _token(registry, reply.headers.get("www-authenticate", ""), url)
        elif reply.status_code == HTTPStatus.NOT_FOUND:
            raise NotThere
        elif reply.status_code >= HTTPStatus.BAD_REQUEST:
            raise Refusal("file", text=f"{reply.status_code}: {reply.text}")
        else:
            return reply
    raise Refusal("denied")


def _headers(registry: Registry, headers: dict[str, str] | None) -> dict[str, str]:
    token = {"authorization": f"Bearer {registry.token}"} if registry.token else {}
    return {"user-agent": AGENT, "accept-encoding": "identity", **token, **(headers or {})}


async def _token(registry: Registry, challenge: str, asked: str) -> str:
    """The token that a registry's challenge sends us for; only the registry's own host is asked."""
    said = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = urlsplit(said.get("realm", ""))
    host = urlsplit(asked).netloc
    if realm.netloc != host:
        raise Refusal("file", text=f'realm host "{realm.netloc}" does not match original host "{host}"')
    query = [
        ("service", said.get("service", "")),
        *(("scope", one) for one in said.get("scope", "").split(" ")),
    ]
    query += [("ts", str(int(time.time()))), ("nonce", os.urandom(16).hex())]
    url = said["realm"] + ("&" if realm.query else "?") + urlencode(query)
    with said_as_go("GET", said["realm"]):
        reply = await registry.client.get(url, headers={"user-agent": AGENT})
    if reply.status_code >= HTTPStatus.BAD_REQUEST:
        raise Refusal("file", text=f"{reply.status_code}: {reply.text}".removesuffix(": "))
    try:
        return str(parse(reply.content)["token"])
    except (BadBody, KeyError, TypeError) as error:
        raise Refusal("file", text=error if isinstance(error, BadBody) else "no token") from error


# --- pulling ----------------------------------------------------------------------------------------


async def manifest(registry: Registry, name: Name) -> bytes:
    """The manifest of a model. Raises NotThere or Refusal."""
    url = registry.url(name, "manifests", name.tag)
    return (await request(registry, "GET", url, {"accept": MANIFEST_TYPE})).content


async def download(registry: Registry, name: Name, digest: str, part: Path) -> AsyncIterator[tuple[int, int]]:
    """Leave a blob's bytes at `part`, where its beginning may be already; yields (bytes there, bytes in all).

    The bytes are not verified. Raises NotThere or Refusal.
    """
    url = registry.url(name, "blobs", digest)
    total = int((await request(registry, "HEAD", url)).headers.get("content-length", 0))
    failed = 0
    while True:
        there = part.stat().st_size if part.exists() else 0
        try:
            async for completed in _range(registry, url, part, there, total):
                failed = 0
                yield completed, total
            return
        except Refusal as refusal:
            if not isinstance(refusal.__cause__, httpx.HTTPError):
                raise
            failed += 1
            if failed == TRIES:
                raise Refusal("file", text=f"max retries exceeded: {refusal.text}") from refusal
            await asyncio.sleep(2 ** (failed - 1))


async def _range(registry: Registry, url: str, part: Path, there: int, total: int) -> AsyncIterator[int]:
    if there > total:
        there = 0
    with _opened(part, "r+b" if there else "wb") as file:
        yield there
        if there == total:
            return
        headers = _headers(registry, {"range": f"bytes={there}-{total - 1}"})
        with said_as_go("GET", url):
            async with registry.client.stream("GET", url, headers=headers) as reply:
                if reply.status_code >= HTTPStatus.BAD_REQUEST:
                    raise Refusal("file", text=f"unexpected status code {reply.status_code}")
                there = there if reply.status_code == HTTPStatus.PARTIAL_CONTENT else 0
                file.seek(there)
                file.truncate()
                async for block in reply.aiter_raw():
                    try:
                        file.write(block)
                    except OSError as error:
                        raise trouble("write", part, error) from error
                    there += len(block)
                    yield there
                if there < total:
                    raise httpx.RemoteProtocolError("the reply ended early")


def _opened(path: Path, mode: str) -> Any:
    try:
        return open(path, mode, buffering=0)
    except OSError as error:
        raise trouble("open", path, error) from error


# --- pushing ----------------------------------------------------------------------------------------


async def has(registry: Registry, name: Name, digest: str) -> bool:
    """Whether the registry has a blob already. Raises Refusal."""
    try:
        await request(registry, "HEAD", registry.url(name, "blobs", digest))
    except NotThere:
        return False
    return True


async def upload(registry: Registry, name: Name, digest: str, path: Path) -> AsyncGenerator[int, None]:
    """Send a blob; yields how many of its bytes are sent. Raises NotThere or Refusal."""
    start = registry.url(name, "blobs", "uploads") + "/"
    place = _place(start, await request(registry, "POST", start))
    size = path.stat().st_size
    headers = {"content-type": "application/octet-stream", "content-length": str(size)}
    headers["content-range"] = f"0-{size - 1}"
    sent = 0

    async def blocks() -> AsyncIterator[bytes]:
        nonlocal sent
        sent = 0
        with open(path, "rb") as file:
            while block := file.read(BLOCK):
                yield block
                sent += len(block)

    if size:
        sending = asyncio.create_task(request(registry, "PATCH", place, headers, blocks))
        try:
            while not sending.done():
                await asyncio.wait([sending], timeout=CADENCE)
                if not sending.done():
                    yield sent
            place = _place(place, sending.result())
        finally:
            sending.cancel()
    done = place + ("&" if urlsplit(place).query else "?") + urlencode({"digest": digest})
    await request(registry, "PUT", done, {"content-type": "application/octet-stream", "content-length": "0"})


def _place(asked: str, reply: httpx.Response) -> str:
    return urljoin(asked, reply.headers.get("docker-upload-location") or reply.headers.get("location", ""))


async def finish(registry: Registry, name: Name, data: bytes) -> None:
    """Send a manifest, after all its blobs. Raises NotThere or Refusal."""
    await request(
        registry, "PUT", registry.url(name, "manifests", name.tag), {"content-type": MANIFEST_TYPE}, data
    )


# --- in Go's words ----------------------------------------------------------------------------------


@contextmanager
def said_as_go(method: str, url: str) -> Iterator[None]:
    """Turn what httpx raises into a Refusal in the words of Go's net/http."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Refusal("file", text=f'{method.capitalize()} "{url}": {_reason(error, url)}') from error


def _reason(error: Exception, url: str) -> str:
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or (443 if url.startswith("https") else 80)
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return f"dial tcp: lookup {host}: no such host"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"tls: failed to verify certificate: x509: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "http: server gave HTTP response to HTTPS client"
        if isinstance(cause, ConnectionRefusedError) or (
            isinstance(cause, OSError) and cause.errno == errno.ECONNREFUSED
        ):
            return (
                f"dial tcp {'127.0.0.1' if host == 'localhost' else host}:{port}: connect: connection refused"
            )
    if isinstance(error, httpx.ConnectTimeout):
        return f"dial tcp {host}:{port}: i/o timeout"
    if isinstance(error, httpx.TimeoutException):
        return "context deadline exceeded"
    if isinstance(error, (httpx.RemoteProtocolError, httpx.ReadError)):
        return "unexpected EOF"
    return str(error) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        for inner in getattr(error, "exceptions", ()):
            yield from _causes(inner)
        error = error.__cause__ or error.__context__
