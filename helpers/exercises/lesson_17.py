"""Lesson 17: errors and retries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short
from helpers.exercises.trials import Trial, tried

PATH = "/chat/completions"


@exercise(
    "Send it again?",
    task="""
        Write the decision. `status` is the reply's status, or `None` if there was no reply; `code` is the
        error's code, or `None`; `sent` is how often it has been sent. Send again what may work later, at
        most four times in all. The request may be done twice.
    """,
    start="""
        def again(status, code, sent):
            return status >= 400    # ← change this

        here.check("again", again)
    """,
    hints=(
        "The table of this lesson has all of it: which rows say yes?",
        "Begin with what ends it: if sent is 4, or the code is insufficient_quota, the answer is False.",
        "After that: return status is None or status in AGAIN",
    ),
    solution="""
        def again(status, code, sent):
            if sent >= 4 or code == "insufficient_quota":
                return False
            return status is None or status in {429, 500, 502, 503, 504}

        here.check("again", again)
    """,
)
def again(value: Any) -> Iterator[Point]:
    yield from tried(
        value,
        Trial((503, None, 1), True, "503 passes: it is worth another try."),
        Trial((400, "invalid_type", 1), False, "400 is for you to mend: sent again, it fails again."),
        Trial(
            (401, "invalid_api_key", 1), False, "401 is about the key, and that does not change by itself."
        ),
        Trial((429, "rate_limit_exceeded", 1), True, "Too fast: that passes."),
        Trial((429, "insufficient_quota", 1), False, "Waiting does not fill an account."),
        Trial((None, None, 1), True, "No reply at all can be bad luck."),
        Trial((200, None, 1), False, "200 is what you wanted."),
        Trial((500, None, 3), True, "Three times sent, so there is one more try."),
        Trial((503, None, 4), False, "Four times are enough."),
    )


@exercise(
    "How long to wait",
    task="""
        Write the wait in seconds. `attempt` counts from 0; `retry_after` is that header's text, or `None`.
        What the server says is what holds. If it says nothing: 1, 2, 4, 8 seconds and so on, but never more
        than 20. Leave the jitter out, so that it can be checked.
    """,
    start="""
        def wait(attempt, retry_after):
            return attempt    # ← change this

        here.check("wait", wait)
    """,
    hints=(
        "Twice as long each time is a power of two: 2**attempt.",
        "min(20, …) is never more than 20.",
        'A header is text: float(retry_after), if it is not None. Even "0" is an answer.',
    ),
    solution="""
        def wait(attempt, retry_after):
            if retry_after is not None:
                return float(retry_after)
            return min(20, 2**attempt)

        here.check("wait", wait)
    """,
)
def wait(value: Any) -> Iterator[Point]:
    yield from tried(
        value,
        Trial((0, None), 1, "The first wait is one second."),
        Trial((1, None), 2, "Each wait is twice the one before."),
        Trial((3, None), 8, "Each wait is twice the one before."),
        Trial((9, None), 20, "No wait of yours is longer than 20 seconds."),
        Trial((0, "7"), 7, "The server said how long, and a header is text."),
        Trial((0, "60"), 60, "The server's own word goes before your limit."),
        Trial((3, "0"), 0, "0 is an answer too: it says that you need not wait."),
    )


@exercise(
    "Refused three times",
    task="""
        Three things are wrong with this payload, and OpenAI's server names one at a time. Mend all three,
        and keep the question and the limit of 100 tokens.
    """,
    start="""
        payload = {
            "model": here.models["chat"],
            "messages": "Tell me a fun fact",
            "max_tokens": 100,
            "loudness": 11,
        }    # ← change this
        here.check("refused", payload)
    """,
    hints=(
        "Send it with post(**payload) and read the message; mend that, and send it again.",
        "`messages` is a list of dicts, each with a role and a content.",
        "A field that does not exist goes; a reasoning model's limit is max_completion_tokens.",
    ),
    solution="""
        payload = {
            "model": here.models["chat"],
            "messages": [{"role": "user", "content": "Tell me a fun fact"}],
            "max_completion_tokens": 100,
        }
        here.check("refused", payload)
    """,
)
def refused(value: Any) -> Iterator[Point]:
    sent = seen.request(value, PATH)
    messages = sent.fields.get("messages")
    missing = f"`messages` is {short(messages)}; it is to be a list of dicts."
    if isinstance(messages, list):
        missing = 'A message has a role and a content: {"role": "user", "content": "Tell me a fun fact"}.'
    whole = isinstance(messages, list) and {"role": "user", "content": "Tell me a fun fact"} in messages
    yield Point(whole, "the question is a message", missing)
    known = "loudness" not in sent.fields
    yield Point(known, "no field is made up", "`loudness` is still there, and no server knows it.")
    limit = sent.fields.get("max_completion_tokens")
    missing = "The limit is gone; it was to stay, under the name that this model takes."
    if "max_tokens" in sent.fields:
        missing = "`max_tokens` is still there: a reasoning model takes another name."
    elif limit is not None:
        missing = f"The limit is {short(limit)}; it was 100."
    limited = limit == 100 and "max_tokens" not in sent.fields
    yield Point(limited, "the limit has the name that a reasoning model takes", missing)
    if whole and known and limited:
        yield seen.accepted(sent)
