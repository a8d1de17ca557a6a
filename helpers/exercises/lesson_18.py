"""Lesson 18: one payload, many providers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helpers.errors import CourseError
from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short
from helpers.exercises.trials import Trial, tried
from helpers.providers import PROVIDERS


def _headers(key_header: str, key: str) -> dict[str, str]:
    if not key_header:
        return {}
    name, _, scheme = key_header.partition(": ")
    return {name: f"{scheme} {key}".strip()}


@exercise(
    "Any provider's address",
    task="""
        Write a function that gets a row of `PROVIDERS` and a key, and returns the URL of a chat completion
        there and its headers, as a pair. It is to be right for every row.
    """,
    start="""
        def address(provider, key):
            url = provider.base_url
            return url, {"Authorization": f"Bearer {key}"}    # ← change this

        here.check("address", address)
    """,
    hints=(
        "The base URL is not yet the address: which path comes after it?",
        'provider.key_header is "Authorization: Bearer", "api-key" or empty. No key, no header.',
        'With "api-key" it is {"api-key": key}; with the other it is the one that stands there now.',
    ),
    solution="""
        def address(provider, key):
            url = provider.base_url + "/chat/completions"
            if not provider.key_header:
                return url, {}
            if provider.key_header == "api-key":
                return url, {"api-key": key}
            return url, {"Authorization": f"Bearer {key}"}

        here.check("address", address)
    """,
)
def address(value: Any) -> Iterator[Point]:
    """Two points for each provider: its URL and its headers."""
    key = "the-key"
    yield Point(callable(value), "it is a function", "Hand in the function itself, by its name, without ().")
    if not callable(value):
        return
    for name, provider in PROVIDERS.items():
        try:
            url, headers = value(provider, key)
        except Exception as error:  # whatever a learner's code can raise is a sentence, not a traceback
            yield Point(False, "", f"For {name} it gave no pair: {type(error).__name__}: {error}.")
            return
        wanted_url, wanted = provider.base_url + "/chat/completions", _headers(provider.key_header, key)
        if url != wanted_url:
            yield Point(False, "", f"For {name} the URL is {short(url)}; it is to be {short(wanted_url)}.")
            return
        if headers != wanted:
            yield Point(
                False, "", f"For {name} the headers are {short(headers)}; they are to be {short(wanted)}."
            )
            return
    yield Point(True, f"it is right for all {len(PROVIDERS)}", "")


@exercise(
    "Move to Ollama",
    task="""
        This request was written for OpenAI. Change the payload so that Ollama answers it, and so that its
        limit holds there. What Ollama would only ignore goes.
    """,
    start="""
        payload = {
            "model": names["sampling"],
            "messages": [{"role": "user", "content": "Tell me a fun fact"}],
            "max_completion_tokens": 5,
            "n": 1,
        }    # ← change this
        reply = httpx.post(f"{server}/v1/chat/completions", json=payload, timeout=600)
        here.check("move", reply)
    """,
    hints=(
        'Which model is installed there? names["ollama"].',
        'PROVIDERS["Ollama"].differs names two of these fields.',
        "Ollama's limit still has its old name: max_tokens.",
    ),
    solution="""
        payload = {
            "model": names["ollama"],
            "messages": [{"role": "user", "content": "Tell me a fun fact"}],
            "max_tokens": 5,
        }
        reply = httpx.post(f"{server}/v1/chat/completions", json=payload, timeout=600)
        here.check("move", reply)
    """,
)
def move(value: Any) -> Iterator[Point]:
    if isinstance(value, dict):
        raise CourseError("Hand in the reply that httpx.post returned: it tells where the payload went.")
    sent = seen.request(value, "/v1/chat/completions")
    payload = sent.fields
    there = sent.path.endswith("/v1/chat/completions") and not sent.path.startswith("/openai")
    yield Point(there, "it goes to Ollama", f"It went to {sent.path}, which is another's address.")
    limit = payload.get("max_tokens")
    missing = "Nothing limits the reply there."
    if "max_completion_tokens" in payload:
        missing = "Ollama ignores `max_completion_tokens`, so nothing limits the reply."
    elif limit is not None:
        missing = f"The limit is {short(limit)}; it was 5."
    yield Point(limit == 5, "the limit has the name that Ollama knows", missing)
    ignored = [name for name in ("max_completion_tokens", "n") if name in payload]
    missing = f"Ollama ignores {' and '.join(ignored)}: take it out."
    yield Point(not ignored, "nothing is left that it ignores", missing)
    if there:
        yield Point(sent.status == 200, "Ollama takes it", f"Ollama said: {sent.error}")


@exercise(
    "One message from all",
    task="""
        Errors have three shapes: OpenAI's `{"error": {"message": …}}`, Ollama's own `{"error": …}` with a
        text, and Gemini's, which can be a list with OpenAI's inside. Write a function that gets the parsed
        JSON and returns the message.
    """,
    start="""
        def message_of(reply):
            return reply["error"]["message"]    # ← change this

        here.check("message_of", message_of)
    """,
    hints=(
        "isinstance(reply, list) tells a list from a dict.",
        'Take the list off first, then reply["error"], and look whether that is a text.',
    ),
    solution="""
        def message_of(reply):
            if isinstance(reply, list):
                reply = reply[0]
            error = reply["error"]
            return error if isinstance(error, str) else error["message"]

        here.check("message_of", message_of)
    """,
)
def message_of(value: Any) -> Iterator[Point]:
    yield from tried(
        value,
        Trial(
            ({"error": {"message": "no such model", "code": 404}},), "no such model", "OpenAI's is two deep."
        ),
        Trial(({"error": "model 'x' not found"},), "model 'x' not found", "Ollama's is a text."),
        Trial(([{"error": {"message": "bad key", "status": "X"}}],), "bad key", "Gemini's can be in a list."),
    )
