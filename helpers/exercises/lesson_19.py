"""Lesson 19: tokens, context, cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short
from helpers.exercises.trials import Trial, tried

USED = {"prompt_tokens": 2000, "completion_tokens": 500, "total_tokens": 2500}
CACHED = USED | {"prompt_tokens_details": {"cached_tokens": 1000}}

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "one two three"},
    {"role": "assistant", "content": "four five"},
    {"role": "user", "content": "six seven"},
    {"role": "assistant", "content": "eight"},
    {"role": "user", "content": "nine ten"},
]


def _length(message: dict[str, Any]) -> int:
    return len(message["content"].split())


@exercise(
    "The bill",
    task="""
        Write what a reply costs, in dollars, from its `usage` and a table of prices per million tokens.
        Tokens that were found in the cache cost `cached` and not `read`; the details can be missing.
    """,
    start="""
        prices = {"read": 0.50, "cached": 0.25, "written": 2.00}

        def bill(usage, prices):
            return usage["total_tokens"] * prices["read"]    # ← change this

        here.check("bill", bill)
    """,
    hints=(
        "The prices are for a million tokens, so there is a division.",
        "prompt_tokens are read, completion_tokens are written.",
        '(usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0) are in prompt_tokens already.',
    ),
    solution="""
        prices = {"read": 0.50, "cached": 0.25, "written": 2.00}

        def bill(usage, prices):
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
            read = (usage["prompt_tokens"] - cached) * prices["read"] + cached * prices["cached"]
            return (read + usage["completion_tokens"] * prices["written"]) / 1_000_000

        here.check("bill", bill)
    """,
)
def bill(value: Any) -> Iterator[Point]:
    prices = {"read": 0.50, "cached": 0.25, "written": 2.00}
    rounded = (lambda usage: round(float(value(usage, prices)), 8)) if callable(value) else value
    whole = "2,000 tokens read and 500 written cost 0.002 dollars."
    yield from tried(
        rounded,
        Trial((USED,), 0.002, whole),
        Trial((CACHED,), 0.00175, "1,000 of the 2,000 tokens read were cached, at half the price."),
        Trial((USED | {"prompt_tokens_details": None},), 0.002, "The details can be null."),
    )


@exercise(
    "Fit it in",
    task="""
        Write a cut by length. Keep the first message, the instruction, and of the rest as many of the last
        as fit: all that is kept has at most `budget` tokens together. `length(message)` tells the tokens of
        one.
    """,
    start="""
        def fit(messages, budget, length):
            return messages    # ← change this

        here.check("fit", fit)
    """,
    hints=(
        "Take the oldest after the instruction away, again and again, as long as it is too much.",
        "sum(length(message) for message in messages) is how much it is.",
        "while rest and length(first) + sum(map(length, rest)) > budget: rest = rest[1:]",
    ),
    solution="""
        def fit(messages, budget, length):
            first, rest = messages[0], messages[1:]
            while rest and length(first) + sum(map(length, rest)) > budget:
                rest = rest[1:]
            return [first] + rest

        here.check("fit", fit)
    """,
)
def fit(value: Any) -> Iterator[Point]:
    def kept(budget: int) -> str:
        """What is left of the talk, as texts: shorter to read than messages."""
        return " | ".join(message["content"] for message in value(list(TALK), budget, _length))

    yield from tried(
        kept if callable(value) else value,
        Trial(
            (100,), "Be brief. | one two three | four five | six seven | eight | nine ten", "All of it fits."
        ),
        Trial((7,), "Be brief. | six seven | eight | nine ten", "Seven words have room for these."),
        Trial((6,), "Be brief. | eight | nine ten", "The oldest go first, each of them whole."),
        Trial((1,), "Be brief.", "The instruction stays, whatever the budget."),
    )


@exercise(
    "A roomier context",
    task="""
        A long text goes to Ollama's own `/api/chat`, and it is to be read to its end: give this request a
        context of 4096 tokens.
    """,
    start="""
        payload = {
            "model": here.models["ollama"],
            "messages": [{"role": "user", "content": "Tell me a fun fact"}],
            "stream": False,
            "options": {"num_predict": 30},    # ← change this
        }
        here.check("roomier", payload)
    """,
    hints=(
        "The context is an option of Ollama's own API, beside the one that is there.",
        '"options": {"num_predict": 30, "num_ctx": …}, a number.',
    ),
    solution="""
        payload = {
            "model": here.models["ollama"],
            "messages": [{"role": "user", "content": "Tell me a fun fact"}],
            "stream": False,
            "options": {"num_predict": 30, "num_ctx": 4096},
        }
        here.check("roomier", payload)
    """,
)
def roomier(value: Any) -> Iterator[Point]:
    sent = seen.request(value, "/api/chat")
    given = sent.fields.get("options")
    options = given if isinstance(given, dict) else {}
    context = options.get("num_ctx")
    missing = f"`num_ctx` is {short(context)}; it is to be the number 4096."
    if context is None:
        missing = "Nothing sets the context: the option is `num_ctx`."
        if "num_ctx" in sent.fields:
            missing = "`num_ctx` stands beside `options`, where the server ignores it. It goes inside."
    right = context == 4096 and not isinstance(context, bool)
    yield Point(right, "the context has 4096 tokens", missing)
    kept = options.get("num_predict") == 30
    yield Point(kept, "the other option is kept", "`num_predict` was 30 and is to stay.")
    if right and kept:
        yield seen.accepted(sent)
