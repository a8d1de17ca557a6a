"""What a check looks at: a request, a command line or a model, out of whatever the learner hands in.

Each function raises CourseError with one sentence if it was handed something else.
"""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import dataclass, field
from typing import Any

import httpx

from helpers.clean import OURS
from helpers.errors import CourseError
from helpers.exercises.grading import Point, short
from helpers.practice import cli_parse
from helpers.terminal import Result
from helpers.wire import Exchange, send

PATIENCE = 30.0  # seconds for a server to say what it has


@dataclass
class Request:
    """A request and its reply; a bare payload is sent only when its reply is asked for."""

    method: str
    path: str  # as the lessons write it: /api/chat, /chat/completions
    payload: Any
    _reply: tuple[int, Any] | None = field(default=None, repr=False)

    @property
    def fields(self) -> dict[str, Any]:
        """The payload; empty if it is no dict."""
        return fields(self.payload)

    @property
    def status(self) -> int:
        return self._answered()[0]

    @property
    def reply(self) -> Any:
        """The reply's JSON; of a stream the list of its objects; None if it is no JSON."""
        return self._answered()[1]

    @property
    def error(self) -> str:
        """What the server says is wrong; empty if nothing is."""
        reply = self.reply
        if self.status < 400:
            return ""
        error = reply.get("error", reply) if isinstance(reply, dict) else reply
        return str(error.get("message", error) if isinstance(error, dict) else error)

    def _answered(self) -> tuple[int, Any]:
        if self._reply is None:
            exchange = send(self.payload, self.path, timeout=600)
            self._reply = (exchange.reply.status, _of_exchange(exchange))
        return self._reply


def request(value: Any, path: str) -> Request:
    """The request in an Exchange, an httpx.Response, or a payload that is still to be sent to `path`."""
    if isinstance(value, dict):
        return Request("POST", path, value)
    if isinstance(value, Exchange):
        sent = value.request
        return Request(sent.method, sent.path, sent.payload, (value.reply.status, _of_exchange(value)))
    if isinstance(value, httpx.Response):
        sent_by_hand = value.request
        answered = (value.status_code, _parsed(value.text))
        return Request(
            sent_by_hand.method, _path(sent_by_hand.url), _parsed(sent_by_hand.content.decode()), answered
        )
    raise CourseError(
        f"The check wants a payload (a dict) or the reply to a request, not {short(value)}. "
        "Hand in what the cell above it makes."
    )


@dataclass(frozen=True)
class Line:
    """A command line of `ollama` that was run: its command, flags and other words, and how it ended."""

    command: str
    flags: dict[str, Any]
    words: list[str]
    result: Result

    @property
    def failed(self) -> str:
        """What the command said when it failed; empty if it did not."""
        said = self.result.stderr.strip().splitlines() if self.result.returncode else []
        return said[-1] if said else ""


def accepted(sent: Request) -> Point:
    """Whether the server answers the request with 200; it is sent for this if it was not yet."""
    return Point(sent.status == 200, "the server takes it", f"The server said: {sent.error}")


def command(value: Any) -> Line:
    """The command line of what run("ollama …") returned, read as the command itself reads it."""
    if not isinstance(value, Result):
        raise CourseError(f'The check wants what run("ollama …") returns, not {short(value)}.')
    program, *words = shlex.split(value.command) or [""]
    if os.path.basename(program).removesuffix(".exe") != "ollama":
        raise CourseError(f"The command line must begin with `ollama`, not `{program}`.")
    try:
        found, rest = cli_parse.find(words)
        given = cli_parse.parse(found, rest)
    except CourseError as error:
        raise CourseError(f"The command does not understand this line: {error}") from None
    return Line(found.name, given.flags, given.words, value)


def models() -> dict[str, dict[str, Any]]:
    """What /api/tags says of each installed model, by its full name."""
    return {model["name"]: model for model in _ask("GET", "/api/tags")["models"]}


def loaded() -> dict[str, dict[str, Any]]:
    """What /api/ps says of each model in memory, by its full name."""
    return {model["name"]: model for model in _ask("GET", "/api/ps")["models"]}


def fields(value: Any) -> dict[str, Any]:
    """A part of a payload that is to be a dict; empty if it is none."""
    return value if isinstance(value, dict) else {}


def full(name: str) -> str:
    """A model's name with its tag."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def model(value: Any) -> dict[str, Any]:
    """What /api/show says of the model of this name, which must be one that the lesson made."""
    if not isinstance(value, str) or not value.startswith(OURS):
        raise CourseError(f"The check wants a model's name that begins with {OURS}, not {short(value)}.")
    if full(value) not in models():
        raise CourseError(f"There is no model {value!r} yet. Make it, then run the check again.")
    return _ask("POST", "/api/show", {"model": value})


def parameters(shown: dict[str, Any]) -> dict[str, list[str]]:
    """The parameters of a model as texts: {"temperature": ["0"], "stop": ["!", "."]}."""
    found: dict[str, list[str]] = {}
    for line in shown.get("parameters", "").splitlines():
        name, _, value = line.partition(" ")
        found.setdefault(name, []).append(value.strip().strip('"'))
    return found


def _ask(method: str, path: str, payload: Any = None) -> dict[str, Any]:
    try:
        url = os.environ["OLLAMA_HOST"].rstrip("/") + path
        with httpx.Client(timeout=PATIENCE, trust_env=False) as client:
            return client.request(method, url, json=payload).raise_for_status().json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError):
        raise CourseError(
            "The check cannot ask the server what it has. Run the lesson's first cell again."
        ) from None


def _of_exchange(exchange: Exchange) -> Any:
    return [frame.data for frame in exchange.frames] if exchange.frames else exchange.reply.json


def _path(url: httpx.URL) -> str:
    """The path as the lessons write it, without what the base URLs add."""
    whole = str(url)
    for name in ("OPENAI_BASE_URL", "OLLAMA_HOST"):
        base = os.environ.get(name, "").rstrip("/")
        if base and whole.startswith(base):
            return whole.removeprefix(base)
    return url.path


def _parsed(text: str) -> Any:
    """JSON, or the list of a stream's lines; None if it is neither."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()] or None
    except ValueError:
        return None
