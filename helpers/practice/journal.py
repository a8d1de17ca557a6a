"""What was asked of this server, readable at /practice/journal, without any secret.

What is kept is bounded in entries and in bytes. It is redacted when it is shown, because most of it never is.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .clock import Clock, rfc3339

ENTRIES = 200
BODY_BYTES = 64 * 1024  # of each body, what is kept
ALL_BYTES = 4 * 1024 * 1024  # of all bodies together
HIDDEN = "[hidden]"
SHORTEST = 8  # letters of a header's secret that is looked for in the body; shorter ones are words
HARMLESS = {"sk-practice", "ollama"}  # the course's own keys

_SECRET_NAME = re.compile(
    r"authorization|cookie|secret|passw|credential|signature|^sig$|api[-_]?key|(^|[-_])(key|token)$",
    re.IGNORECASE,
)
_SECRET_FIELD = re.compile(
    r"(\"[^\"]*(?:authorization|cookie|secret|passw|credential|api[-_]?key)[^\"]*\"\s*:\s*)\"(?:[^\"\\]|\\.)*\"?",
    re.IGNORECASE,
)
_KEY = re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf|ghp|ollama)[-_](?!practice\b)[A-Za-z0-9_-]{16,}")
_BEARER = re.compile(r"\b(Bearer|Basic)\s+(?!sk-practice\b|ollama\b)[\w.~+/=-]{8,}", re.IGNORECASE)
_QUERY = re.compile(r"([^=&]*)=([^&]*)")


@dataclass(slots=True)
class Entry:
    """One request. `took` is in nanoseconds, None until its reply has ended."""

    number: int
    at: int  # nanoseconds since 1970
    method: str
    path: str
    query: bytes = field(repr=False)
    headers: Iterable[tuple[bytes, bytes]] = field(repr=False)
    status: int = 0
    fault: str = ""
    took: int | None = None
    length: int = 0  # bytes of the whole body
    heard: bytes = field(default=b"", repr=False)
    began: int = field(default_factory=time.monotonic_ns, repr=False)

    def shown(self) -> dict[str, Any]:
        """The entry as JSON. `body` is the request's JSON, else its text; `cut` says how much was kept."""
        named = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers]
        secrets = [value for name, value in named if _SECRET_NAME.search(name)]
        text = _scrub(self.heard.decode("utf-8", "replace"), secrets)
        query = _QUERY.sub(_hide_in_query, self.query.decode("latin-1"))
        entry = {
            "number": self.number,
            "time": rfc3339(self.at),
            "method": self.method,
            "path": self.path,
            "query": _scrub(query, secrets),
            "headers": {n: HIDDEN if _SECRET_NAME.search(n) else _scrub(v, secrets) for n, v in named},
            "body": _body(text) if text else None,
            "status": self.status,
            "milliseconds": None if self.took is None else round(self.took / 1e6, 3),
            "fault": self.fault or None,
        }
        if self.length > len(self.heard):
            entry["cut"] = f"the first {len(self.heard)} of {self.length} bytes of the body"
        return entry


class Journal:
    """The last requests: at most ENTRIES, with at most ALL_BYTES of bodies."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._number = 0

    def open(
        self, method: str, path: str, query: bytes, headers: Iterable[tuple[bytes, bytes]]
    ) -> Entry | None:
        """Write down that a request has come; the server's own pages are not written down."""
        if path.startswith("/practice/"):
            return None
        self._number += 1
        entry = Entry(self._number, self._clock.now(), method, path, query, headers)
        self._entries.append(entry)
        if len(self._entries) > ENTRIES:
            self._bytes -= len(self._entries.popleft().heard)
        return entry

    def hear(self, entry: Entry, body: bytes) -> None:
        """Write down a part of an entry's body."""
        entry.length += len(body)
        kept = body[: BODY_BYTES - len(entry.heard)]
        entry.heard += kept
        self._bytes += len(kept)
        while self._bytes > ALL_BYTES and len(self._entries) > 1:
            self._bytes -= len(self._entries.popleft().heard)

    def close(self, entry: Entry, status: int) -> None:
        """Write down how a request was answered."""
        entry.status = status
        entry.took = 0 if self._clock.frozen else time.monotonic_ns() - entry.began

    def clear(self) -> None:
        self._entries.clear()
        self._bytes = 0

    def shown(self, after: int = 0) -> dict[str, Any]:
        """The entries that came after the one with the number `after`, and the last number there is."""
        return {
            "entries": [entry.shown() for entry in list(self._entries) if entry.number > after],
            "last": self._number,
        }


def _body(text: str) -> Any:
    try:
        return _hide(json.loads(text))
    except (ValueError, RecursionError):
        return _SECRET_FIELD.sub(rf'\1"{HIDDEN}"', text)


def _hide(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: HIDDEN if isinstance(item, str) and _SECRET_NAME.search(key) else _hide(item)
            for key, item in value.items()
        }
    return [_hide(item) for item in value] if isinstance(value, list) else value


def _hide_in_query(found: re.Match[str]) -> str:
    return f"{found[1]}={HIDDEN}" if _SECRET_NAME.search(found[1]) else found[0]


def _scrub(text: str, secrets: list[str]) -> str:
    """`text` without the values of secret headers, and without what looks like a key."""
    for secret in secrets:
        for part in {secret, secret.rpartition(" ")[2]}:
            if len(part) >= SHORTEST and part not in HARMLESS:
                text = text.replace(part, HIDDEN)
    return _KEY.sub(HIDDEN, _BEARER.sub(rf"\1 {HIDDEN}", text))
