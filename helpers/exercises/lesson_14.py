"""Lesson 14: streams, taken apart by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short

PATH = "/chat/completions"

CHUNKS = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"content": "High"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"content": None}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"content": " tide"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}},
]
LINES = [
    {"message": {"role": "assistant", "content": "Low"}, "done": False},
    {"message": {"role": "assistant", "content": " tide"}, "done": False},
    {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", "eval_count": 2},
]


def _tried(function: Any, given: Any, wanted: Any, said: dict[str, str]) -> Iterator[Point]:
    """Call what the learner wrote; `said` explains an exception by its class."""
    yield Point(callable(function), "it is a function", "Hand in the function itself, by its name.")
    if not callable(function):
        return
    try:
        got = function(given)
    except Exception as error:  # whatever a learner's code can raise is a sentence, not a traceback
        kind = type(error).__name__
        yield Point(False, "", f"{kind}: {error}. {said.get(kind, 'Try it on the stream above.')}")
        return
    if isinstance(got, Iterator):
        got = "".join(got)
    missing = f"It makes {short(got)} of a stream that says {short(wanted)}."
    yield Point(got == wanted, f"it makes {short(wanted)}", missing)


@exercise(
    "Add up the deltas",
    task="""
        This function works on most streams, but not on all: a delta can have no content, its content can be
        `null`, and the chunk with the bill has no choice. Mend it.
    """,
    start="""
        def text_of(chunks):
            text = ""
            for chunk in chunks:
                text += chunk["choices"][0]["delta"]["content"]    # ← change this
            return text

        here.check("deltas", text_of)
    """,
    hints=(
        'A loop over `chunk["choices"]` does nothing where the list is empty.',
        '`delta.get("content") or ""` is a text, whatever the delta holds.',
    ),
    solution="""
        def text_of(chunks):
            text = ""
            for chunk in chunks:
                for choice in chunk["choices"]:
                    text += choice["delta"].get("content") or ""
            return text

        here.check("deltas", text_of)
    """,
)
def deltas(value: Any) -> Iterator[Point]:
    yield from _tried(
        value,
        json.loads(json.dumps(CHUNKS)),
        "High tide",
        {
            "IndexError": "A chunk can have an empty list of choices.",
            "KeyError": "A delta can be without content.",
            "TypeError": "A content can be null, which is None in Python.",
        },
    )


@exercise(
    "Ask for the bill",
    task="""
        Change the payload so that the reply comes as a stream, and ends with a chunk that holds the usage.
    """,
    start="""
        payload = {
            "model": here.models["chat"],
            "messages": [{"role": "user", "content": "Tell me a fun fact"}],    # ← add two fields
        }
        here.check("bill", payload)
    """,
    hints=(
        "One field switches the stream on; Python writes its value True.",
        "The usage is an option of the stream: `stream_options` is a dict.",
    ),
    solution="""
        payload = {
            "model": here.models["chat"],
            "messages": [{"role": "user", "content": "Tell me a fun fact"}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        here.check("bill", payload)
    """,
)
def bill(value: Any) -> Iterator[Point]:
    sent = seen.request(value, PATH)
    flag = sent.fields.get("stream")
    missing = "Nothing asks for a stream." if flag is None else f"`stream` is {short(flag)}, not True."
    yield Point(flag is True, "it is a stream", missing)
    options = sent.fields.get("stream_options")
    missing = "Nothing asks for the usage: that is one of the `stream_options`."
    if "include_usage" in sent.fields:
        missing = "`include_usage` stands beside the others; it goes into `stream_options`."
    elif options is not None:
        missing = f"`stream_options` is {short(options)}; it is to hold include_usage, True."
    asked = isinstance(options, dict) and options.get("include_usage") is True
    yield Point(asked, "the last chunk holds the usage", missing)
    if asked and flag is True:
        yield seen.accepted(sent)


@exercise(
    "The same from Ollama",
    task="""
        Write the function for a stream of Ollama's own: it gets the lines as dicts, and returns the text
        and the number of tokens, a pair.
    """,
    start="""
        def text_and_count(lines):
            return "", 0    # ← change this

        here.check("own_stream", text_and_count)
    """,
    hints=(
        "The text is at `message.content` of each line.",
        "The number of tokens is `eval_count`, and only the last line has it: lines[-1].",
    ),
    solution="""
        def text_and_count(lines):
            text = "".join(line["message"]["content"] for line in lines)
            return text, lines[-1]["eval_count"]

        here.check("own_stream", text_and_count)
    """,
)
def own_stream(value: Any) -> Iterator[Point]:
    yield from _tried(
        value,
        json.loads(json.dumps(LINES)),
        ("Low tide", 2),
        {"KeyError": "Only the last line has the counts, and no line has choices."},
    )
