"""Lesson 10: a chat request by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx

from helpers.errors import CourseError
from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short
from helpers.exercises.trials import Trial, tried

PATH = "/chat/completions"


@exercise(
    "A message before the question",
    task="""
        Put a `system` message before the question that tells the model to answer like a pirate, and send
        the whole.
    """,
    start="""
        payload = {
            "model": here.models["chat"],
            "messages": [{"role": "user", "content": "Tell me a fun fact"}],    # ← change this
        }
        response = httpx.post(url, headers=headers, json=payload, timeout=600)
        here.check("pirate", response)
    """,
    hints=(
        "`messages` is a list, and a second dict goes into it, before the first.",
        '{"role": "system", "content": "Answer like a pirate."}, and a comma after it.',
    ),
    solution="""
        payload = {
            "model": here.models["chat"],
            "messages": [
                {"role": "system", "content": "Answer like a pirate."},
                {"role": "user", "content": "Tell me a fun fact"},
            ],
        }
        response = httpx.post(url, headers=headers, json=payload, timeout=600)
        here.check("pirate", response)
    """,
)
def pirate(value: Any) -> Iterator[Point]:
    sent = seen.request(value, PATH)
    given = sent.fields.get("messages")
    messages = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    roles = [one.get("role") for one in messages]
    missing = f"The roles are {short(roles)}; there is no system message among them."
    yield Point("system" in roles, "there is a system message", missing)
    if "system" not in roles:
        return
    yield Point(roles[0] == "system", "it stands first", "The instruction goes before the question.")
    text = str(messages[roles.index("system")].get("content") or "")
    missing = f"Its content is {short(text)}: nothing about a pirate."
    yield Point("pirate" in text.lower(), "it speaks of a pirate", missing)
    kept = {"role": "user", "content": "Tell me a fun fact"} in messages
    yield Point(kept, "the question is kept", "The question is to stay, in a message of the role user.")
    if kept:
        yield seen.accepted(sent)


@exercise(
    "Text, or what is wrong",
    task="""
        Write a function that gets a response and returns the text of the message if the status is 200, and
        the server's own error message if it is not.
    """,
    start="""
        def text_of(response):
            return response.json()["choices"][0]["message"]["content"]    # ← change this

        here.check("text_of", text_of)
    """,
    hints=(
        "Look at response.status_code before you look for choices.",
        'The message of a refusal is at response.json()["error"]["message"].',
    ),
    solution="""
        def text_of(response):
            reply = response.json()
            if response.status_code == 200:
                return reply["choices"][0]["message"]["content"]
            return reply["error"]["message"]

        here.check("text_of", text_of)
    """,
)
def text_of(value: Any) -> Iterator[Point]:
    good = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Ahoy!"}}]}
    yield from tried(
        value,
        Trial((httpx.Response(200, json=good),), "Ahoy!", "200 has choices, and the text is in the first."),
        Trial((_refusal(404, "no such model"),), "no such model", "A refusal has an error and no choices."),
        Trial((_refusal(429, "too fast"),), "too fast", "404 is not the only refusal."),
    )


def _refusal(status: int, message: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": message, "code": None}})


@exercise(
    "Three slips",
    task="""
        This request has the wrong address, a header that is not quite right, and a payload that the server
        does not understand. Mend all three; the status is to be 200.
    """,
    start="""
        response = httpx.post(
            base_url,
            headers={"Authorization": os.environ["OPENAI_API_KEY"]},
            json={"model": here.models["chat"], "prompt": "Tell me a fun fact"},
            timeout=600,
        )    # ← three slips
        here.check("slips", response)
    """,
    hints=(
        "Compare with the four steps above: the path, the word before the key, the name of the list.",
        'url, f"Bearer {…}", and "messages" with a list of one dict.',
    ),
    solution="""
        response = httpx.post(
            url,
            headers={"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"},
            json={
                "model": here.models["chat"],
                "messages": [{"role": "user", "content": "Tell me a fun fact"}],
            },
            timeout=600,
        )
        here.check("slips", response)
    """,
)
def slips(value: Any) -> Iterator[Point]:
    if not isinstance(value, httpx.Response):
        raise CourseError("Hand in the response, what httpx.post returns.")
    sent = seen.request(value, PATH)
    missing = f"It went to the base URL{' and ' + sent.path if sent.path else ' alone'}; a path is missing."
    yield Point(sent.path == PATH, f"the path is {PATH}", missing)
    scheme, _, key = value.request.headers.get("authorization", "").partition(" ")
    missing = "The header Authorization is the word Bearer, a space, and then the key."
    yield Point(scheme == "Bearer" and bool(key), "the key comes as Bearer", missing)
    listed = isinstance(sent.fields.get("messages"), list)
    missing = "There is no list `messages`, one of the two fields that every request has."
    yield Point(listed, "there are messages", missing)
    if sent.path == PATH and listed:
        yield seen.accepted(sent)
