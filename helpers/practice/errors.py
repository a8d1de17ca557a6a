"""Refusals, in the words of the servers this one stands for; the words are data (errors.toml)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .cli_format import quote
from .toml import read

_TABLE = read(Path(__file__).with_name("errors.toml"))


class Refusal(Exception):
    """A request that is answered with an error of Ollama's; `more` stands beside its text."""

    def __init__(self, key: str, **words: Any) -> None:
        self.key = key
        self.in_middleware = False  # refused before Ollama's own handler saw the request
        self.more: dict[str, Any] = {}
        self.status, text = _TABLE["ollama"][key]
        self.text = text.format(**words)
        super().__init__(self.text)


def refuse_format(raw: str) -> Refusal:
    """The refusal of a `format` that is neither json nor a schema; `raw` is its JSON as it was sent."""
    return Refusal("format", quoted=quote(raw))


class BrokenBody(ValueError):
    """A request's body that cannot be read to its end; the text is Go's."""


class OpenAIRefusal(Exception):
    """A request that is answered with an error of OpenAI's; `param` names the field at fault."""

    def __init__(self, key: str, /, param: str | None = None, **words: Any) -> None:
        self.key = key
        self.status, kind, code, text = _TABLE["openai"][key]
        message = text.format(param=param, **words)
        code = code.format(**words) or None
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
        super().__init__(message)
