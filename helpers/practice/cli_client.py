"""The `ollama` command's way to its server: where OLLAMA_HOST points, and two ways of asking.

`call` reads a whole reply and shows the server's `error` alone; `stream` reads line by line and puts the
status line before the error. Both are as in Ollama's own client, and so are their texts.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

from helpers.errors import CourseError

from .command_texts import ERRORS, VERSION

# httpx brings a command of its own if click is there, and importing that would take a seventh of `ollama ls`.
sys.modules.setdefault("click", None)  # type: ignore[arg-type]
import httpx  # noqa: E402

if sys.modules["click"] is None:
    del sys.modules["click"]

DEFAULT_PORT = "11434"
USER_AGENT = f"ollama/{VERSION} ({sys.platform}) practice"


class Refused(CourseError):
    """The server answered with an error status."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text or ERRORS["no text"])
        self.status = status


class SignInNeeded(Refused):
    """The server answered 401; `url` is where to sign in, "" if it did not say."""

    def __init__(self, text: str, url: str) -> None:
        super().__init__(text, 401)
        self.url = url


class Unreachable(CourseError):
    """No reply: the connection failed or broke."""


def variable(name: str) -> str:
    """An environment variable without spaces and quotes around it."""
    return os.environ.get(name, "").strip().strip("\"'")


def host() -> tuple[str, str, str, str]:
    """Scheme, host, port and path of OLLAMA_HOST; a port that is none is replaced, and stderr says so."""
    scheme, separator, rest = variable("OLLAMA_HOST").strip().partition("://")
    if not separator:
        scheme, rest = ("https", "ollama.com:443") if scheme == "ollama.com" else ("http", scheme)
        default = DEFAULT_PORT
    else:
        default = {"http": "80", "https": "443"}.get(scheme, DEFAULT_PORT)
    address, _, path = rest.partition("/")
    name, port = _split(address, default)
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        from time import strftime

        warning = ERRORS["port"].format(port=port, default=default)
        for _ in range(2):  # as often as the real command reads the variable before it asks the server
            print(f"{strftime('%Y/%m/%d %H:%M:%S')} config.go:51: WARN {warning}", file=sys.stderr)
        port = default
    return scheme, name, port, path.rstrip("/")


def _split(address: str, default: str) -> tuple[str, str]:
    """Host and port, as Go's net.SplitHostPort takes them apart."""
    match = re.fullmatch(r"\[([^\[\]]*)\]:([^:\[\]]*)|([^:\[\]]*):([^:\[\]]*)", address)
    if match:
        return (match[1] or match[3] or ""), (match[2] or match[4] or "")
    bare = address.strip("[]")
    try:
        socket.inet_pton(socket.AF_INET6, bare)
        return bare, default
    except OSError:
        return address or "127.0.0.1", default


def join(name: str, port: str) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


class Ollama:
    """The server that OLLAMA_HOST points to."""

    def __init__(self) -> None:
        scheme, name, port, path = host()
        self.base = f"{scheme}://{join(name, port)}{'/' + path if path else ''}"
        self.address = join(name, port)
        reachable = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)
        self._url = f"{scheme}://{join(reachable, port)}{'/' + path if path else ''}"
        self._client = httpx.Client(
            headers={"User-Agent": USER_AGENT, "Content-Type": "application/json"},
            timeout=None,
            follow_redirects=True,
            trust_env=not _is_local(reachable),  # a proxy is never asked for this machine's own server
            verify=scheme == "https",
        )

    def heartbeat(self) -> None:
        """Raises CourseError unless the server answers."""
        try:
            self.call("HEAD", "/")
        except Unreachable as error:
            if " refused" in str(error):
                raise CourseError(ERRORS["server down"]) from error
            raise

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The JSON object of a whole reply, {} for an empty one; `body` is data or an iterator of bytes.

        Raises Refused with the server's `error`, SignInNeeded for a 401, Unreachable.
        """
        content = body if body is None or isinstance(body, Iterator) else _encode(body)
        try:
            reply = self._client.request(
                method, self._url + path, content=content, headers={"Accept": "application/json"}
            )
        except httpx.HTTPError as error:
            self._fail(method, path, error)
        if reply.status_code >= 400:
            _refuse(reply)
        return _decode(reply.content) if reply.content else {}

    def stream(self, path: str, body: Any) -> Iterator[dict[str, Any]]:
        """The JSON objects of a reply as they arrive.

        Raises Refused with status line and `error`, CourseError for an `error` amid the stream, Unreachable.
        """
        request = self._client.build_request(
            "POST", self._url + path, content=_encode(body), headers={"Accept": "application/x-ndjson"}
        )
        reply = None
        try:
            reply = self._client.send(request, stream=True)
            for line in _lines(reply.iter_bytes()):
                yield _item(line, reply)
        except httpx.HTTPError as error:
            if reply is not None:
                raise Unreachable("unexpected EOF") from error
            self._fail("POST", path, error)
        finally:
            if reply is not None:
                reply.close()

    def _fail(self, method: str, path: str, error: httpx.HTTPError) -> NoReturn:
        raise Unreachable(f'{method.title()} "{self.base}{path}": {_reason(error, self.address)}') from error


def _is_local(name: str) -> bool:
    return name in ("localhost", "::1") or re.fullmatch(r"127(\.\d+){3}", name) is not None


def _encode(body: Any) -> bytes:
    from . import gojson

    for number in _floats(body):
        if number != number or number in (float("inf"), float("-inf")):
            raise CourseError(f"json: unsupported value: {f'{number:+}'.title().replace('+Nan', 'NaN')}")
    return gojson.encode(body)


def _floats(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _floats(item)


def _decode(body: bytes) -> dict[str, Any]:
    try:
        return json.loads(body) or {}
    except ValueError:
        from . import gojson

        raise CourseError(gojson.syntax_error(body)) from None


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _item(line: bytes, reply: httpx.Response) -> dict[str, Any]:
    text = line.decode("utf-8", "replace").removesuffix("\r")
    status = f"{reply.status_code} {reply.reason_phrase}".rstrip()
    item = _object(text)
    if item is None:
        if reply.status_code >= 400:
            raise Refused(f"{status}: {text}", reply.status_code)
        raise CourseError(text)
    if reply.status_code == 401:
        raise SignInNeeded(status, item.get("signin_url", ""))
    error = item.get("error") or ""
    if reply.status_code >= 400:
        raise Refused(f"{status}: {error}" if error else status, reply.status_code)
    if error:
        raise CourseError(error)
    return item


def _refuse(reply: httpx.Response) -> NoReturn:
    text = reply.content.decode("utf-8", "replace")
    item = _object(text)
    if reply.status_code == 401:
        raise SignInNeeded("", (item or {}).get("signin_url", ""))
    raise Refused(text if item is None else item.get("error") or "", reply.status_code)


def _object(text: str) -> dict[str, Any] | None:
    """The JSON object of a line, None if it is none or its `error` is no text."""
    try:
        item = json.loads(text)
    except ValueError:
        return None
    if not isinstance(item, dict) or not isinstance(item.get("error") or "", str):
        return None
    return item


def _reason(error: Exception, address: str) -> str:
    """What went wrong, in the words of Go's net package where they are known."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return f"dial tcp: lookup {address.rpartition(':')[0]}: no such host"
        if isinstance(cause, ConnectionRefusedError):
            return f"dial tcp {address}: connect: connection refused"
        if isinstance(cause, OSError) and isinstance(error, httpx.ConnectError) and cause.strerror:
            return f"dial tcp {address}: connect: {cause.strerror.lower()}"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.UnsupportedProtocol):
        return f'unsupported protocol scheme "{error.request.url.scheme}"'
    if isinstance(error, (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)):
        return "EOF"
    return str(error) or type(error).__name__
