"""One request and all that came back: send() waits for the whole reply, stream() reads it lazily."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import math
import os
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from time import perf_counter
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import httpx

from helpers import redact, show, twins
from helpers.errors import CourseError
from helpers.frames import STREAMS, Events, Frame, Lines, Message, parsed

AnyClient = TypeVar("AnyClient", httpx.Client, httpx.AsyncClient)

PULSE = 0.2  # seconds
PATIENCE = 600.0  # seconds, as in the openai client: a model on a small machine takes its time

# An exception, words of its text, and what the learner is told; the first line that fits counts.
CAUSES: tuple[tuple[type[Exception], str, str], ...] = (
    (httpx.ConnectTimeout, "", "{host} accepted no connection in time. Check {variable} and your network."),
    (httpx.TimeoutException, "", "{host} sent nothing for {timeout:g} s. Wait longer: timeout={longer:g}."),
    (httpx.ProxyError, "", "The proxy before {host} refused. Check HTTP_PROXY, HTTPS_PROXY and NO_PROXY."),
    (httpx.ConnectError, "certificate", "The certificate of {host} is not trusted here. Check {variable}."),
    (httpx.ConnectError, "ssl", "{host} does not speak TLS. Write http:// for https:// in {variable}."),
    (httpx.ConnectError, "name|getaddrinfo|no address", "No machine is called {host}. Check {variable}."),
    (
        httpx.ConnectError,
        "",
        "Nothing answers at {host}. Run the lesson's first cell again: it finds or starts a server. "
        "If the server is your own, start it, or correct {variable}.",
    ),
    (httpx.UnsupportedProtocol, "", "{variable} must begin with http:// or https://. Correct it."),
    (httpx.InvalidURL, "", "{variable} is not a valid address. Correct it."),
    (Exception, "", "{host} hung up, or does not speak HTTP. Check the host and port in {variable}."),
)


@dataclass(frozen=True)
class Request:
    """What was sent, secrets hidden: `content` is the exact body, `payload` the same as Python objects."""

    method: str
    url: str
    path: str
    headers: httpx.Headers
    content: bytes
    payload: Any


@dataclass
class Reply:
    """What came back, secrets hidden: `body` so far, and `json`, the body parsed (None for a stream)."""

    status: int
    reason: str
    headers: httpx.Headers
    json: Any = None
    _received: list[bytes] = field(default_factory=list, repr=False)

    @property
    def body(self) -> bytes:
        if len(self._received) > 1:
            self._received[:] = [b"".join(self._received)]
        return self._received[0] if self._received else b""


class Timings(NamedTuple):
    """Seconds since the request was sent; None for what has not happened."""

    first_byte: float | None = None
    first_token: float | None = None
    total: float | None = None


class Exchange:
    """One request and its reply, usable at any moment: while a stream is read, after an interrupt or error.

    `async for frame in exchange` or `await exchange.read()` read a stream on; a stream that is left midway is
    closed by `await exchange.aclose()` or `async with exchange:`.

    Attributes:
        request, reply: what was sent and what came back.
        frames: the list of Frame read so far; empty if the reply is no stream.

    Reading only notes bytes and times; what they say is found out when it is looked at.
    """

    _source: _Source | None = None

    def __init__(self, request: Request, scrub: redact.Scrub) -> None:
        self.request = request
        self.reply = Reply(0, "", httpx.Headers())
        self.frames: list[Frame] = []
        self._scrub = scrub
        self._sent_at = perf_counter()
        self._first_byte: float | None = None
        self._first_token: float | None = None
        self._total: float | None = None
        self._cut: str | None = None
        self._kind: str | None = None
        self._lines = Lines()
        self._events = Events()
        self._said = Message()
        self._heard = 0  # how many frames are in it
        self._next = 0

    @property
    def timings(self) -> Timings:
        """When the first byte, the first token of a stream and the last byte came."""
        _ = self._message
        return Timings(self._first_byte, self._first_token, self._total)

    @property
    def complete(self) -> bool:
        """True when the reply was read to its proper end."""
        return self._total is not None and self.broken is None

    @property
    def broken(self) -> str | None:
        """Why it was not, else None."""
        if self._cut is None and self._total is not None and self._kind is not None:
            message = self._message
            if message.begun and not message.ended and not message.error:
                return "the stream ended before the model did: no finish_reason, no [DONE]"
        return self._cut

    @property
    def text(self) -> str:
        """The assistant's words so far (of the first choice)."""
        return self._message.said("text")

    @property
    def thinking(self) -> str:
        """What the model thought before it answered."""
        return self._message.said("thinking")

    @property
    def refusal(self) -> str:
        """The words with which the model refused."""
        return self._message.said("refusal")

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The calls as on the wire, streamed pieces put together."""
        return self._message.tool_calls()

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped: finish_reason, or Ollama's done_reason."""
        return self._message.finish_reason

    @property
    def usage(self) -> dict[str, Any] | None:
        """The token counts: usage, or Ollama's two counts."""
        return self._message.usage

    @property
    def model(self) -> str | None:
        """The model that answered, in the server's words."""
        return self._message.model

    @property
    def error(self) -> Any:
        """The server's own error, an object or a text, also from the middle of a stream; else None."""
        if self._message.error or self.reply.status < 400:
            return self._message.error
        data = self.reply.json
        if isinstance(data, list) and len(data) == 1:  # Gemini wraps its errors so
            data = data[0].get("error") if isinstance(data[0], dict) else data[0]
        return data or self.reply.body.decode(errors="replace").strip() or self.reply.reason

    @property
    def streaming(self) -> bool:
        """True while there may be more to read."""
        return self._source is not None

    def curl(self) -> str:
        """The request as a POSIX shell command, in terms of the course's three variables."""
        return twins.curl(self)

    def python(self) -> str:
        """The request as a Python program that needs httpx and the course's three variables."""
        return twins.python(self)

    def timeline(self) -> show.Drawing:
        """Draw when each frame came, in seconds since the request was sent."""
        return show.timeline(self)

    def __repr__(self) -> str:
        return show.exchange(self).text

    def _repr_html_(self) -> str:
        return show.exchange(self).html

    def __aiter__(self) -> Exchange:
        return self

    async def __anext__(self) -> Frame:
        if self._next == len(self.frames):
            await self._read_beyond(self._next)
        if self._next == len(self.frames):
            raise StopAsyncIteration
        self._next += 1
        return self.frames[self._next - 1]

    async def read(self) -> Exchange:
        """Read to the end and return the exchange itself."""
        await self._read_beyond(math.inf)
        self._next = len(self.frames)
        return self

    async def aclose(self) -> None:
        """Hang up; what has been read stays."""
        await self._close("closed before the end")

    async def __aenter__(self) -> Exchange:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if self._source is not None:
            self._source.close_soon()

    async def _read_beyond(self, count: float) -> None:
        """Read until there are more than `count` frames, or no more come."""
        if self._source is None:
            return
        try:
            async for chunk in self._source.chunks:
                self._take(chunk)
                if len(self.frames) > count or self._source is None:
                    return
        except (httpx.HTTPError, httpx.StreamError) as error:
            await self._close(_break(error))
        except BaseException:  # an interrupted or cancelled cell
            await self._close("interrupted")
            raise
        else:
            await self._close(None)

    async def _close(self, broken: str | None) -> None:
        source, self._source = self._source, None
        if source is not None:
            self._finish(broken)
            await source.close()

    def _now(self) -> float:
        return perf_counter() - self._sent_at

    @property
    def _message(self) -> Message:
        """The assistant's message so far."""
        for frame in self.frames[self._heard :]:
            data = frame.data
            if isinstance(data, dict) and self._said.add(data):
                self._first_token = frame.at
            if frame.event == "error":
                self._said.error = self._said.error or data
            if frame.raw.strip() == "[DONE]":
                self._said.ended = True
        self._heard = len(self.frames)
        return self._said

    def _open(self, response: httpx.Response) -> None:
        self._first_byte = self._now()
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        self._kind = STREAMS.get(media_type)
        headers = redact.headers(response.headers, self._scrub)
        self.reply = Reply(response.status_code, response.reason_phrase, headers)

    def _take(self, chunk: bytes) -> None:
        if self._kind is None:
            self.reply._received.append(chunk)
        else:
            self._record(self._lines.feed(chunk))

    def _record(self, lines: list[bytes]) -> None:
        at = self._now()
        for line in lines:
            line = self._scrub(line)
            self.reply._received.append(line)
            text = line.decode(errors="replace").rstrip("\r\n")
            if self._kind == "sse":
                event = self._events.feed(text)
            else:
                event = (text, "message") if text.strip() else None
            if event is not None:
                self.frames.append(Frame(at, *event))

    def _finish(self, broken: str | None) -> None:
        if self._kind is None:
            self.reply._received[:] = [self._scrub(self.reply.body)]
            data = parsed(self.reply.body.decode(errors="replace"))
            if isinstance(data, dict):
                self._said.add(data)
            self.reply.json = None if isinstance(data, str) else data
        else:
            self._record(self._lines.end())
            last = self._events.feed("")
            if last is not None:
                self.frames.append(Frame(self._now(), *last))
        self._total = self._now()
        self._cut = broken


def send(
    payload: Any,
    path: str = "/chat/completions",
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float = PATIENCE,
) -> Exchange:
    """POST `payload` as JSON and wait for the whole reply, whatever its status.

    Args:
        payload: anything JSON can say, as a rule a dict.
        path: `/api/…` goes to OLLAMA_HOST, any other path is appended to OPENAI_BASE_URL.
        headers: sent as well; they win over those that are sent anyhow.
        timeout: seconds to wait for the next bytes.

    Raises:
        CourseError: the payload is not JSON, the address is wrong, nothing answers, no reply begins in time.
    """
    post = _Post(payload, path, headers, timeout)
    with post.client(httpx.Client) as client, _explained(post):
        request, exchange = post.prepare(client)
        response = client.send(request, stream=True)
        exchange._open(response)
        try:
            for chunk in response.iter_bytes():
                exchange._take(chunk)
        except httpx.HTTPError as error:
            exchange._finish(_break(error))
        else:
            exchange._finish(None)
        response.close()
    return exchange


async def stream(
    payload: Any,
    path: str = "/chat/completions",
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float = PATIENCE,
) -> Exchange:
    """POST `payload` as JSON and return as soon as the reply begins; see Exchange for reading on.

    A reply that is no stream (an error as a rule) is read at once. Arguments and errors are those of send().
    """
    post = _Post(payload, path, headers, timeout)
    client = post.client(httpx.AsyncClient)
    try:
        with _explained(post), _pulse():
            request, exchange = post.prepare(client)
            response = await client.send(request, stream=True)
    except BaseException:
        await client.aclose()
        raise
    exchange._open(response)
    exchange._source = _Source(client, response)
    if exchange._kind is None:
        await exchange.read()
    return exchange


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address means this very machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")


# Sending


class _Post:
    """A request that is not yet sent: its address, headers and body, all checked."""

    def __init__(self, payload: Any, path: str, headers: Mapping[str, str] | None, timeout: float) -> None:
        if not isinstance(path, str) or not path.startswith("/"):
            raise CourseError(f"The path must begin with a slash, as '/chat/completions' does, not {path!r}.")
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < math.inf:
            raise CourseError(f"timeout must be a number of seconds above 0, not {timeout!r}.")
        self.path = path
        self.timeout = timeout
        self.variable = twins.variable(path)
        base = os.environ.get(self.variable, "")
        if not base:
            raise CourseError(f"{self.variable} is not set. Run the lesson's first cell, which sets it.")
        self.url = base.rstrip("/") + path
        try:
            _ = urlsplit(self.url).port
        except ValueError:
            raise CourseError(f"{self.variable} is not a valid address. Correct it.") from None
        self.host = re.sub(r"^[^/]*://|[/?#].*$", "", base).rpartition("@")[2]
        self.headers = _checked_headers(self.variable, headers or {})
        self.content = _encoded(payload)

    def client(self, kind: type[AnyClient]) -> AnyClient:
        direct = is_loopback(re.sub(r":\d*$", "", self.host))  # no proxy on the way to this machine
        limit = httpx.Timeout(self.timeout, connect=min(self.timeout, 10.0))
        try:
            return kind(timeout=limit, trust_env=not direct, verify=_tls())
        except (ImportError, ValueError, httpx.InvalidURL):
            raise CourseError(
                "The proxy named in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used. "
                "Unset or correct it; a SOCKS proxy needs `python -m pip install socksio`."
            ) from None

    def prepare(self, client: httpx.Client | httpx.AsyncClient) -> tuple[httpx.Request, Exchange]:
        request = client.build_request("POST", self.url, content=self.content, headers=self.headers)
        scrub = redact.scrubber(request)
        content = scrub(self.content)
        record = Request(
            request.method,
            redact.url(self.url, scrub),
            redact.url(self.path, scrub),
            redact.headers(request.headers, scrub),
            content,
            json.loads(content),
        )
        return request, Exchange(record, scrub)


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _checked_headers(variable: str, extra: Mapping[str, str]) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    key = os.environ.get("OPENAI_API_KEY")
    if key and variable == "OPENAI_BASE_URL":
        headers["authorization"] = f"Bearer {key}"
    headers.update({str(name).lower(): value for name, value in extra.items()})
    for name, value in headers.items():
        if not re.fullmatch(r"[a-z0-9!#$%&'*+.^_`|~-]+", name):
            raise CourseError(f"A header cannot be called {name!r}: letters, digits and hyphens only.")
        if not isinstance(value, str) or not re.fullmatch(r"[!-~]?|[!-~][ -~]*[!-~]", value):
            given = {str(other).lower() for other in extra}
            what = f"The header {name!r}" if name in given else "OPENAI_API_KEY"
            raise CourseError(
                f"{what} cannot be sent: it is no text, or has a space or line break at an end, "
                "or a letter that is not ASCII. Copy the value again."
            )
    return headers


def _encoded(payload: Any) -> bytes:
    try:
        return _dumped(payload).encode()
    except RecursionError:
        raise CourseError("The payload is nested too deeply for JSON. Make it flatter.") from None
    except (TypeError, ValueError):
        raise CourseError(_fault(payload)) from None


def _dumped(value: Any) -> str:
    """The same text as httpx makes of `json=`."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _fault(payload: Any) -> str:
    """Name the place in the payload that JSON cannot say, and why."""
    place, value, above = "payload", payload, [id(payload)]
    while isinstance(value, (dict, list, tuple)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if not isinstance(key, (str, int, float, type(None))):
                return f"{place} has a {type(key).__name__} as a key: in JSON every key is a text."
            try:
                _dumped({key: inner}).encode()
            except (TypeError, ValueError):
                place, value = f"{place}[{key!r}]", inner
                break
        if id(value) in above:
            return f"{place} contains itself: JSON has no end for that. Put a copy there."
        above.append(id(value))
    if isinstance(value, float):
        return f"{place} is {value}: JSON has no such number. Use None, or leave the field out."
    if isinstance(value, str):
        return f"{place} holds half of a character (a lone surrogate), which cannot be sent. Repair the text."
    return (
        f"{place} is a {type(value).__name__}: JSON knows dict, list, str, int, float, bool and None. "
        "Turn it into one of these."
    )


@contextmanager
def _explained(post: _Post) -> Iterator[None]:
    """Say in one sentence why no reply came. The exception itself is not passed on: it may quote a header."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        words = str(error).lower()
        sentence = next(s for kind, part, s in CAUSES if isinstance(error, kind) and re.search(part, words))
        raise CourseError(
            sentence.format(
                host=post.host, variable=post.variable, timeout=post.timeout, longer=post.timeout * 5
            )
        ) from None


def _break(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "nothing more came in time"
    if isinstance(error, httpx.DecodingError):
        return "the reply's compression is damaged"
    return "the connection broke"


@contextmanager
def _pulse() -> Iterator[None]:
    """Wake the loop now and then while it waits: a loop asleep does not see a kernel's interrupt."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def beat() -> None:
        nonlocal timer
        timer = loop.call_later(PULSE, beat)

    beat()
    try:
        yield
    finally:
        timer.cancel()


class _Source:
    """The open connection that a stream is read from."""

    def __init__(self, client: httpx.AsyncClient, response: httpx.Response) -> None:
        self.chunks = response.aiter_bytes()
        self._client = client
        self._response = response
        self._loop = asyncio.get_running_loop()
        self._beat()

    def _beat(self) -> None:
        """Wake the loop now and then while a reply may be waited for, as _pulse() does."""
        self._timer = self._loop.call_later(PULSE, self._beat)

    async def close(self) -> None:
        self._timer.cancel()
        await self._response.aclose()
        await self._client.aclose()

    def close_soon(self) -> None:
        """Close from a place that cannot wait, such as the garbage collector."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._begin_close)

    def _begin_close(self) -> None:
        task = self._loop.create_task(self.close())
        _closing.add(task)
        task.add_done_callback(_closing.discard)


_closing: set[asyncio.Task[None]] = set()  # a loop keeps no task alive by itself
