"""Lesson 00: start here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short

PATH = "/chat/completions"


@exercise(
    "A question of your own",
    task="""
        Ask something else: put a question of your own in the place of the fun fact, and run the cell.
    """,
    start="""
        payload = {
            "model": here.models["chat"],
            "messages": [{"role": "user", "content": "Tell me a fun fact"}],    # ← change this
        }
        exchange = send(payload)
        here.check("your_own", exchange)
    """,
    hints=(
        "Only the words between the last two quotes are to change; the quotes stay.",
        '"content": "Why is the sky blue?"',
    ),
    solution="""
        payload = {
            "model": here.models["chat"],
            "messages": [{"role": "user", "content": "Why is the sky blue?"}],
        }
        exchange = send(payload)
        here.check("your_own", exchange)
    """,
)
def your_own(value: Any) -> Iterator[Point]:
    sent = seen.request(value, PATH)
    given = sent.fields.get("messages")
    messages = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    asked = [one.get("content") for one in messages if one.get("role") == "user"]
    missing = "No message has the role user, and that is who asks."
    yield Point(bool(asked), "somebody asks", missing)
    if not asked:
        return
    text = str(asked[-1] or "").strip()
    missing = (
        "The question is still the one that was there."
        if text
        else "Between the quotes there is no question."
    )
    yield Point(text not in ("", "Tell me a fun fact"), "it is a question of your own", missing)
    missing = f"The model is {short(sent.fields.get('model'))}; leave that line as it was."
    yield Point(bool(sent.fields.get("model")), "a model is named", missing)
    if text and text != "Tell me a fun fact":
        yield seen.accepted(sent)
