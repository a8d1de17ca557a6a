"""How a reply is read: bytes to lines, lines to frames, frames to the assistant's message.

The decoders of both stream formats (server-sent events, JSON lines) are our own. They share the splitting
into lines, which httpx's `iter_lines` does at too many characters: a raw U+2028 inside a JSON string ends its
line. Beyond that an event is fifteen lines of code, the very lines that a lesson takes apart.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

STREAMS = {  # media type: how its lines are read
    "text/event-stream": "sse",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
}

# Which keys of a message hold what; the first one that is filled counts.
CHANNELS = {
    "text": ("content", "response", "text"),
    "thinking": ("reasoning_content", "reasoning", "thinking"),
    "refusal": ("refusal",),
}
COUNTS = ("prompt_eval_count", "eval_count")  # Ollama's own form of `usage`

_scan = json.JSONDecoder().raw_decode  # the heart of json.loads: reads one value and says where it ended


@dataclass
class Frame:
    """One event or line of a stream, its secrets hidden.

    `at` is in seconds since the request was sent, `raw` what the event says, `event` its name.
    """

    at: float
    raw: str
    event: str = "message"

    @cached_property
    def data(self) -> Any:
        """The parsed JSON, or `raw` where that is none."""
        return parsed(self.raw)

    @property
    def delta(self) -> dict[str, Any]:
        """What this frame adds to the assistant's message, with `finish_reason`."""
        return delta_of(self.data)


class Lines:
    """Cuts bytes into lines, wherever the chunks were cut; a line keeps its ending: LF, CR LF or CR."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        if self._rest and (self._rest[-1].endswith(b"\r") or b"\n" in chunk or b"\r" in chunk):
            chunk = b"".join([*self._rest, chunk])
            self._rest.clear()
        lines = chunk.splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):  # a CR at the end may yet become CR LF
            self._rest.append(lines.pop())
        return lines

    def end(self) -> list[bytes]:
        lines = b"".join(self._rest).splitlines(keepends=True)
        self._rest.clear()
        return lines


class Events:
    """Gathers the lines of a server-sent event; an empty line ends it."""

    def __init__(self) -> None:
        self._data: list[str] = []
        self._event = ""

    def feed(self, line: str) -> tuple[str, str] | None:
        """Take one line; return (data, event name) when it completes an event."""
        line = line.removeprefix("\ufeff")
        if not line:
            data, event = self._data, self._event
            self._data, self._event = [], ""
            return ("\n".join(data), event or "message") if data else None
        name, _, value = line.partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))
        elif name == "event":
            self._event = value.removeprefix(" ")
        elif line.startswith("{"):  # no event at all, but how some servers put an error
            return line, "message"
        return None


class Message:
    """The assistant's message as it grows, from a whole reply or from the frames of a stream."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.finish_reason: str | None = None
        self.usage: dict[str, Any] | None = None
        self.error: Any = None
        self.ended = False
        self.begun = False  # something was said or called
        self._said: dict[str, list[str]] = {channel: [] for channel in CHANNELS}
        self._calls: list[_Call] = []

    def add(self, data: dict[str, Any]) -> bool:
        """Take over what `data` says, and tell whether the assistant said or called something in it."""
        delta = delta_of(data)
        before = self.begun
        for channel, keys in CHANNELS.items():
            for key in keys:
                if content := delta.get(key):
                    if piece := _words(content):
                        self._said[channel].append(piece)
                        self.begun = True
                    break
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                self._add_call(call)
        if isinstance(data.get("model"), str) and data["model"]:
            self.model = data["model"]
        self.error = data.get("error") or self.error
        self.finish_reason = delta.get("finish_reason") or self.finish_reason
        self.usage = _usage(data) or self.usage
        if self.finish_reason or data.get("done") is True:
            self.ended = True
        return self.begun and not before

    def said(self, channel: str) -> str:
        pieces = self._said[channel]
        if len(pieces) > 1:
            pieces[:] = ["".join(pieces)]
        return pieces[0] if pieces else ""

    def tool_calls(self) -> list[dict[str, Any]]:
        return [call.whole() for call in self._calls]

    def _add_call(self, piece: dict[str, Any]) -> None:
        for call in self._calls:
            if call.goes_on(piece):
                call.add(piece)
                return
        self._calls.append(_Call(piece))
        self.begun = True


class _Call:
    """A tool call that may come in pieces: the first has the name, the others add to the arguments."""

    def __init__(self, first: dict[str, Any]) -> None:
        self._first = first
        self._pieces: list[str] = []
        self.add(first)

    def goes_on(self, piece: dict[str, Any]) -> bool:
        same = piece.get("index") is not None and piece["index"] == self._first.get("index")
        return same and piece.get("id") in (None, "", self._first.get("id"))

    def add(self, piece: dict[str, Any]) -> None:
        function = piece.get("function")
        arguments = function.get("arguments") if isinstance(function, dict) else None
        if isinstance(arguments, str):
            self._pieces.append(arguments)

    def whole(self) -> dict[str, Any]:
        function = self._first.get("function")
        if not self._pieces or not isinstance(function, dict):
            return self._first
        return {**self._first, "function": {**function, "arguments": "".join(self._pieces)}}


def parsed(raw: str) -> Any:
    """The JSON of a text, or the text itself where it is none."""
    try:
        data, end = _scan(raw)
    except (ValueError, RecursionError):
        end = -1
    if end == len(raw):
        return data
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return raw


def delta_of(data: Any) -> dict[str, Any]:
    """What a reply or a frame says for the assistant, in any of the known shapes, with `finish_reason`."""
    if not isinstance(data, dict):
        return {}
    choices = data.get("choices")
    if isinstance(choices, list):  # Chat Completions; in /v1/completions the choice itself has the text
        choice = {}
        for one in choices:
            if isinstance(one, dict) and one.get("index") in (0, None):
                choice = one
                break
        for key in ("delta", "message"):
            if isinstance(choice.get(key), dict):
                return {**choice[key], "finish_reason": choice.get("finish_reason")}
        return choice
    message = data.get("message")
    if not isinstance(message, dict):  # /api/generate
        message = {key: data[key] for key in ("response", "thinking", "tool_calls") if key in data}
    return {**message, "finish_reason": data.get("done_reason")}


def _words(content: Any) -> str:
    if isinstance(content, list):  # content parts
        return "".join(_words(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _usage(data: dict[str, Any]) -> dict[str, Any] | None:
    if isinstance(data.get("usage"), dict):
        return data["usage"]
    if "done" not in data:
        return None
    return {name: data[name] for name in COUNTS if isinstance(data.get(name), int)} or None
