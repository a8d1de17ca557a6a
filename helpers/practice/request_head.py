"""The head of an HTTP/1 request, read as Go's server reads it: what it says, or why it is refused.

Sources: net/http (request.go, server.go, transfer.go) and net/textproto (reader.go) of Go 1.26, and
golang.org/x/net/http/httpguts.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

Pair = tuple[bytes, bytes]  # a header: its name in lower case, its value

SHORT, SHORT_HEAD = 256, 1024  # bytes of a first line, and of a head, that are likely to come again
CHUNKED = -1  # the length of a body that comes in chunks

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z ]+").fullmatch  # a space is refused later, in other words
_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*").fullmatch
_VERSION = re.compile(rb"HTTP/(\d)\.(\d)").fullmatch
_URL = re.compile(rb"(?:[^\x00-\x20\x7f%]|%[0-9a-fA-F]{2})+").fullmatch
_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*://([^/?#]*)([^?#]*)").match
_HOST = re.compile(rb"[\w!$%&'()*+,\-.:;=\[\]~]*").fullmatch
_CONTINUE = re.compile(rb"(?:.*[ ,\t])?100-continue(?:[ ,\t].*)?", re.IGNORECASE).fullmatch
_FOLDED = re.compile(rb"\r?\n[ \t]+")


class Refused(Exception):
    """A request that no handler sees. `text` is the status, and the body where no other `body` is given."""

    def __init__(self, text: str = "400 Bad Request", body: str | None = None) -> None:
        self.text, self.body = text, text if body is None else body
        super().__init__(text)


class Head(NamedTuple):
    """What a request says before its body.

    `first` has the headers by name, of several the first. `length` is that of the body in bytes, or CHUNKED.
    `minor` is the number after "HTTP/1."; `expects`: the client waits for a word before it sends the body.
    """

    method: str
    target: bytes
    path: str
    query: bytes
    minor: int
    headers: list[Pair]
    first: dict[bytes, bytes]
    length: int
    keeps_alive: bool
    expects: bool


class Line(NamedTuple):
    """A request's first line. `host` is that of an absolute target; `major` and `minor` are the version's."""

    method: str
    target: bytes
    path: str
    query: bytes
    host: bytes | None
    major: int
    minor: int


def first_line(line: bytes) -> Line:
    """Raises Refused."""
    return _short_line(line) if len(line) < SHORT else _first_line(line)


def _first_line(line: bytes) -> Line:
    method, _, rest = line.partition(b" ")
    target, _, proto = rest.partition(b" ")
    version = _VERSION(proto)
    if not version or not _TOKEN(method):
        raise Refused
    path, host = target, None
    if method == b"CONNECT" and not target.startswith(b"/"):
        path, host = b"", target
    elif not _URL(target):
        raise Refused
    elif target != b"*" and not target.startswith(b"/"):
        absolute = _ABSOLUTE(target)
        if not absolute:
            raise Refused
        host, path = absolute[1].rpartition(b"@")[2], absolute[2] or b"/"
    whole, _, query = path.partition(b"?") if host is None else (path, b"", target.partition(b"?")[2])
    decoded = unquote(whole.decode("utf-8", "replace"))
    return Line(method.decode(), target, decoded, query, host, int(version[1]), int(version[2]))


_short_line = lru_cache(maxsize=256)(_first_line)


def read(block: bytes) -> Head:
    """The head in `block`, all up to the empty line; it is not to be changed. Raises Refused."""
    return _short_read(block) if len(block) < SHORT_HEAD else _read(block)


def _read(block: bytes) -> Head:
    start, _, rest = block.partition(b"\n")
    line = first_line(start.removesuffix(b"\r"))
    headers = _headers(rest)
    first = dict(reversed(headers))
    several = len(first) != len(headers)
    if several and sum(name == b"host" for name, _ in headers) > 1:
        raise Refused
    length = _length(line, headers, first)
    preface = line[:3] == ("PRI", b"*", "*") and (line.major, line.minor) == (2, 0)
    if line.major != 1 and not preface:
        raise _bad("505 HTTP Version Not Supported", "unsupported protocol version")
    if b"host" not in first and line.minor and line.method != "CONNECT":
        raise _bad("400 Bad Request", "missing required Host header")
    if not _HOST(first.get(b"host", b"")):
        raise _bad("400 Bad Request", "malformed Host header")
    if any(b" " in name for name in first):
        raise _bad("400 Bad Request", "invalid header name")
    if line.host is not None:
        headers = [(b"host", line.host), *(one for one in headers if one[0] != b"host")]
        first[b"host"] = line.host
    minor = 1 if preface else line.minor
    asked = {word.strip().lower() for word in first.get(b"connection", b"").split(b",")}
    keeps = b"close" not in asked if minor else b"keep-alive" in asked
    expected = first.get(b"expect", b"")
    expects = bool(expected and _CONTINUE(expected))
    if expected and not expects:
        raise Refused("417 Expectation Failed", "")
    expects = expects and minor > 0 and length != 0
    return Head(
        line.method, line.target, line.path, line.query, minor, headers, first, length, keeps, expects
    )


_short_read = lru_cache(maxsize=256)(_read)


def _bad(status: str, why: str) -> Refused:
    return Refused(f"{status}: {why}")


def _headers(block: bytes) -> list[Pair]:
    if block[:1] in (b" ", b"\t"):
        raise Refused
    if b"\n " in block or b"\n\t" in block:
        block = _FOLDED.sub(b" ", block)
    headers = []
    for line in block.split(b"\n"):
        line = line.removesuffix(b"\r")
        if line:
            name, colon, value = line.partition(b":")
            if not colon or not _NAME(name) or not _VALUE(value):
                raise Refused
            headers.append((name.lower(), value.strip(b" \t")))
    return headers


def _length(line: Line, headers: list[Pair], first: dict[bytes, bytes]) -> int:
    if line.minor and b"transfer-encoding" in first:
        given = [value for name, value in headers if name == b"transfer-encoding"]
        if len(given) > 1 or given[0].lower() != b"chunked":
            raise Refused("501 Not Implemented", "Unsupported transfer encoding")
        return CHUNKED
    if b"content-length" not in first:
        return 0
    lengths = {value for name, value in headers if name == b"content-length"}
    length = lengths.pop()
    if lengths or not length.isdigit() or len(length) > 19:
        raise Refused
    return int(length)
