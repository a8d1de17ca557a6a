"""What a surface asks of an engine, and what it gets back: the one interface of the scripted and the real
model.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol


@dataclass
class Ask:
    """One reply wanted.

    `messages` are Ollama's own: role, content, and where given images (bytes), thinking, tool_calls,
    tool_name. `raw` is a prompt to be continued as it stands, instead of messages. `options` are complete,
    under Ollama's names. `logprobs` is how many alternatives to name at each token, None for no logprobs at
    all. `seed` names the random stream: the same seed and the same ask give the same reply; "" is chance.
    """

    messages: list[dict[str, Any]]
    options: dict[str, Any]
    seed: str
    raw: str | None = None
    tools: list[dict[str, Any]] = field(default_factory=list)
    tool_choice: str = "auto"  # auto, none, required, or a tool's name
    parallel: bool = True  # whether several tools may be called at once
    format: Any = None  # None, "json" or a JSON schema
    think: Any = False
    truncate: bool = True  # whether a prompt too long for the context is cut
    logprobs: int | None = None
    plan: Any = None  # what the engine made of it, for the next time it is asked the same


class Logprob(NamedTuple):
    """A token, the logarithm of its probability, and the likeliest tokens there with theirs."""

    token: str
    logprob: float
    top: list[tuple[str, float]]


class Piece(NamedTuple):
    """A part of a reply; exactly the last one has `done`, which is stop or length.

    `tokens` is how many tokens the part took to make, which a held-back stop sequence can make more than one.
    """

    text: str = ""
    thinking: str = ""
    tool_call: dict[str, Any] | None = None  # {"name": str, "arguments": dict}
    logprobs: tuple[Logprob, ...] = ()
    tokens: int = 0
    done: str = ""


NOTHING = Piece()


class Engine(Protocol):
    """How a model makes its replies."""

    slots: int  # how many replies it can write at once, 0 for any number

    @property
    def alive(self) -> bool:
        """Whether it can still be asked; one that cannot is to be started again."""

    async def prompt_tokens(self, ask: Ask) -> int:
        """How many tokens the prompt of `ask` has."""

    def reply(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        """The reply, part by part. Raises Refusal."""

    async def context(self, ask: Ask, reply: str) -> list[int]:
        """The numbers of all tokens of an exchange, prompt and reply."""

    async def recall(self, context: list[int]) -> dict[str, Any]:
        """The message that brings a `context` of before into a conversation."""

    def close(self) -> None:
        """Give the memory back."""
