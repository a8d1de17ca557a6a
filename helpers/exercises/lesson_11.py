"""Lesson 11: the anatomy of a reply."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helpers.exercises.grading import Point, exercise
from helpers.exercises.trials import Trial, tried


def _reply(reason: str, content: str | None) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {"choices": [{"index": 0, "message": message, "finish_reason": reason}]}


@exercise(
    "The whole answer?",
    task="""
        Write a function that gets a reply and says `True` if it holds an answer that came to its own end:
        the model stopped because it was done, and there is text.
    """,
    start="""
        def is_whole(reply):
            return bool(reply["choices"][0]["message"]["content"])    # ← change this

        here.check("is_whole", is_whole)
    """,
    hints=(
        "Text alone is not enough: which field says why the model stopped?",
        '`finish_reason` is in the choice, beside the message, and "stop" is the good one.',
    ),
    solution="""
        def is_whole(reply):
            choice = reply["choices"][0]
            return choice["finish_reason"] == "stop" and bool(choice["message"]["content"])

        here.check("is_whole", is_whole)
    """,
)
def is_whole(value: Any) -> Iterator[Point]:
    yield from tried(
        value,
        Trial((_reply("stop", "High tide."),), True, "This one was done, and there is text."),
        Trial((_reply("length", "High ti"),), False, "This one ran into a limit, in mid-word."),
        Trial((_reply("length", ""),), False, "Its limit went into thoughts."),
        Trial((_reply("tool_calls", None),), False, "It wants a tool, and has no text."),
        Trial((_reply("stop", ""),), False, "It was done, but there is no text."),
    )


@exercise(
    "What you can read",
    task="""
        Write how many tokens of a completion you can read: all but the thoughts. `usage` may have no
        details, and the details may have no thoughts.
    """,
    start="""
        def readable(usage):
            return usage["completion_tokens"]    # ← change this

        here.check("readable", readable)
    """,
    hints=(
        "The thoughts are reasoning_tokens, inside completion_tokens_details.",
        'usage.get("completion_tokens_details") or {} is a dict in any case, and .get(…, 0) a number.',
    ),
    solution="""
        def readable(usage):
            details = usage.get("completion_tokens_details") or {}
            return usage["completion_tokens"] - details.get("reasoning_tokens", 0)

        here.check("readable", readable)
    """,
)
def readable(value: Any) -> Iterator[Point]:
    counts = {"prompt_tokens": 10, "completion_tokens": 90, "total_tokens": 100}
    thoughts = {"completion_tokens_details": {"reasoning_tokens": 64}}
    yield from tried(
        value,
        Trial((counts | thoughts,), 26, "64 of the 90 tokens are thoughts."),
        Trial((counts,), 90, "A server may give no details."),
        Trial((counts | {"completion_tokens_details": None},), 90, "The details may be null."),
        Trial((counts | {"completion_tokens_details": {}},), 90, "The details may have no thoughts."),
    )


@exercise(
    "How fast?",
    task="""
        Write the speed of a reply of Ollama's own API, in tokens a second. A reply to a request that only
        loads a model has no tokens to count and no time for them: its speed is `None`.
    """,
    start="""
        def speed(own):
            return own["eval_count"] / own["eval_duration"]    # ← change this

        here.check("speed", speed)
    """,
    hints=(
        "The duration is in nanoseconds, and a second has 1_000_000_000 of them.",
        'own.get("eval_duration") is None where the field is missing: then there is nothing to divide by.',
    ),
    solution="""
        def speed(own):
            if not own.get("eval_duration"):
                return None
            return own["eval_count"] / own["eval_duration"] * 1_000_000_000

        here.check("speed", speed)
    """,
)
def speed(value: Any) -> Iterator[Point]:
    def rounded(own: dict[str, Any]) -> Any:
        found = value(own)
        return round(found, 6) if isinstance(found, float) else found

    yield from tried(
        rounded if callable(value) else value,
        Trial(({"eval_count": 30, "eval_duration": 2_000_000_000},), 15.0, "30 tokens took two seconds."),
        Trial(({"done_reason": "load", "done": True},), None, "This one only loaded the model."),
        Trial(({"eval_count": 0, "eval_duration": 0},), None, "No time at all: nothing to divide by."),
    )
