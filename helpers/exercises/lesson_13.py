"""Lesson 13: parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short

PATH = "/chat/completions"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@exercise(
    "Always the likeliest",
    task="""
        A test needs the same reply each time. Change one number, so that the likeliest token is taken at
        every step.
    """,
    start="""
        payload = {
            "model": here.models["sampling"],
            "messages": [{"role": "user", "content": "Tell me a fun fact about the sea"}],
            "temperature": 1,    # ← change this
        }
        here.check("likeliest", payload)
    """,
    hints=(
        "Which temperature leaves nothing to chance?",
        "0 takes the likeliest token every time. It is a number, not a text.",
    ),
    solution="""
        payload = {
            "model": here.models["sampling"],
            "messages": [{"role": "user", "content": "Tell me a fun fact about the sea"}],
            "temperature": 0,
        }
        here.check("likeliest", payload)
    """,
)
def likeliest(value: Any) -> Iterator[Point]:
    sent = seen.request(value, PATH)
    given = sent.fields.get("temperature")
    missing = f"`temperature` is {short(given)}: there is still something to draw."
    if given is None:
        missing = "`temperature` is gone, so the server's own holds, which is 1 or close to it."
    elif isinstance(given, str):
        missing = f"`temperature` is {short(given)}, a text. Write the number without quotes."
    right = _is_number(given) and given == 0
    yield Point(right, "nothing is left to chance", missing)
    if right:
        yield seen.accepted(sent)


@exercise(
    "A limit for a thinker",
    task="""
        This payload goes to a reasoning model, which refuses the field. Limit the reply, thoughts included,
        to 500 tokens in the way that it takes.
    """,
    start="""
        payload = {
            "model": here.models["chat"],
            "messages": [{"role": "user", "content": "Tell me a fun fact"}],
            "max_tokens": 500,    # ← change this
        }
        here.check("limit", payload)
    """,
    hints=(
        "Send it and read the refusal: it names the field to use instead.",
        "`max_completion_tokens` counts the thoughts as well.",
    ),
    solution="""
        payload = {
            "model": here.models["chat"],
            "messages": [{"role": "user", "content": "Tell me a fun fact"}],
            "max_completion_tokens": 500,
        }
        here.check("limit", payload)
    """,
)
def limit(value: Any) -> Iterator[Point]:
    sent = seen.request(value, PATH)
    yield Point(
        "max_tokens" not in sent.fields,
        "the old name is gone",
        "`max_tokens` is still there, and a reasoning model refuses it.",
    )
    given = sent.fields.get("max_completion_tokens")
    missing = f"`max_completion_tokens` is {short(given)}; it is to be the number 500."
    if given is None:
        missing = "Nothing limits the reply. The refusal named the field that does."
    right = _is_number(given) and given == 500
    yield Point(right, "at most 500 tokens, thoughts included", missing)
    if right and "max_tokens" not in sent.fields:
        yield seen.accepted(sent)


@exercise(
    "Three first sentences",
    task="""
        Ask for three replies at once, and let each end at its first full stop.
    """,
    start="""
        payload = {
            "model": here.models["sampling"],
            "messages": [{"role": "user", "content": "Tell me a fun fact about the sea"}],
            "temperature": 1,    # ← add two fields
        }
        here.check("three", payload)
    """,
    hints=(
        "How many replies there are to be is a field of one letter.",
        "`stop` is a text, or a list of up to four, at which a reply ends.",
    ),
    solution="""
        payload = {
            "model": here.models["sampling"],
            "messages": [{"role": "user", "content": "Tell me a fun fact about the sea"}],
            "temperature": 1,
            "n": 3,
            "stop": ["."],
        }
        here.check("three", payload)
    """,
)
def three(value: Any) -> Iterator[Point]:
    sent = seen.request(value, PATH)
    number = sent.fields.get("n")
    missing = f"`n` is {short(number)}; it is to be the number 3."
    if number is None:
        missing = "Nothing asks for more than one reply."
    three_asked = _is_number(number) and number == 3
    yield Point(three_asked, "three replies are asked for", missing)
    stop = sent.fields.get("stop")
    missing = f"`stop` is {short(stop)}; it is to hold a full stop and nothing around it."
    if stop is None:
        missing = "Nothing ends a reply at its first full stop."
    stops = stop == "." or stop == ["."]
    yield Point(stops, "each ends at its first full stop", missing)
    yield Point(
        sent.fields.get("temperature") != 0,
        "they may differ",
        "At temperature 0 all three would be the same.",
    )
    if three_asked and stops:
        yield seen.accepted(sent)
