"""Lesson 09: Ollama's HTTP API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx

from helpers.errors import CourseError
from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short


@exercise(
    "From prompt to messages",
    task="""
        This payload was written for another server. Rewrite it for `/api/chat`: the same question,
        temperature 0, at most 5 tokens of answer, and the reply in one piece. Mind where Ollama looks
        for its options.
    """,
    start="""
        payload = {
            "model": name,
            "prompt": "Name a colour.",
            "temperature": 0,
            "max_tokens": 5,
        }    # ← change this
        here.check("as_chat", payload)
    """,
    hints=(
        "/api/chat takes a list, `messages`, of dicts with a `role` and a `content`.",
        "How the model writes stands in `options`, a dict inside the payload.",
        "The most tokens to write are called num_predict here, and a whole reply is `stream: False`.",
    ),
    solution="""
        payload = {
            "model": name,
            "messages": [{"role": "user", "content": "Name a colour."}],
            "stream": False,
            "options": {"temperature": 0, "num_predict": 5},
        }
        here.check("as_chat", payload)
    """,
)
def as_chat(value: Any) -> Iterator[Point]:
    sent = seen.request(value, "/api/chat")
    payload = sent.payload
    messages = payload.get("messages")
    missing = f"`messages` is {short(messages)}; it is to be a list with one message of the role user."
    if messages is None:
        missing = "There are no `messages`; without them /api/chat only loads the model."
    last = messages[-1] if isinstance(messages, list) and messages else None
    asks = isinstance(last, dict) and last.get("role") == "user" and "colour" in str(last.get("content"))
    yield Point(asks, "the question is a message of the user", missing)
    yield Point(
        payload.get("stream") is False,
        "the reply comes whole",
        "Nothing says `stream: False`: it will stream.",
    )
    options = payload.get("options") if isinstance(payload.get("options"), dict) else {}
    for name, wanted, others in (
        ("temperature", 0, ()),
        ("num_predict", 5, ("max_tokens", "max_completion_tokens")),
    ):
        missing = f"`options` has no {name}."
        if name in options:
            missing = f"{name} is {short(options[name])}; it is to be {wanted}."
        elif name in payload:
            missing = f"`{name}` stands outside `options`, where Ollama does not look: it is ignored."
        elif wrong := [other for other in others if other in payload or other in options]:
            missing = f"`{wrong[0]}` is another server's word and ignored here; Ollama's is {name}."
        yield Point(options.get(name) == wanted and name in options, f"{name} is {wanted}", missing)
    if asks and payload.get("stream") is False and options.get("num_predict") == 5:
        count = sent.reply.get("eval_count", 0) if sent.status == 200 else 0
        missing = (
            f"The server did not answer: {sent.error}" if sent.error else f"The reply has {count} tokens."
        )
        yield Point(0 < count <= 5, f"the reply has {count} tokens", missing)


@exercise(
    "The twin of stop",
    task="""
        `ollama stop` has no path of its own. Change the request so that it frees the model's memory at
        once.
    """,
    start="""
        answer = httpx.post(server + "/api/stop", json={"model": name})    # ← change this
        here.check("freed", answer)
    """,
    hints=(
        "How long a model stays is a field of the requests that load it.",
        "/api/generate with keep_alive 0, and nothing to answer.",
    ),
    solution="""
        answer = httpx.post(server + "/api/generate", json={"model": name, "keep_alive": 0})
        here.check("freed", answer)
    """,
)
def freed(value: Any) -> Iterator[Point]:
    sent = seen.request(value, "/api/generate")
    known = sent.path in ("/api/generate", "/api/chat")
    yield Point(
        known, f"{sent.path} can do it", f"{short(sent.path)} is no path of Ollama's that frees memory."
    )
    payload = sent.payload if isinstance(sent.payload, dict) else {}
    stay = payload.get("keep_alive")
    missing = f"`keep_alive` is {short(stay)}, so the model stays."
    if "keep_alive" not in payload:
        missing = "The request does not say how long the model is to stay: there is no `keep_alive`."
    yield Point(stay in (0, "0", "0s") and stay is not False, "`keep_alive` is 0", missing)
    asks = [field for field in ("prompt", "messages") if payload.get(field)]
    missing = f"`{''.join(asks[:1])}` makes the model answer first. Leave it out."
    yield Point(not asks, "nothing is to be answered", missing)
    if known and sent.status == 200 and not asks:
        gone = seen.full(str(payload.get("model"))) not in seen.loaded()
        yield Point(gone, "the model is out of memory", "The model is still in memory.")


@exercise(
    "Put the pieces together",
    task="""
        `lines` holds the lines of a stream. Make `text` the whole reply.
    """,
    start="""
        asked = {"model": name, "prompt": "Tell me a fun fact"}
        with httpx.stream("POST", server + "/api/generate", json=asked, timeout=300) as reply:
            lines = list(reply.iter_lines())
        text = json.loads(lines[-1])["response"]    # ← change this
        here.check("joined", (lines, text))
    """,
    hints=(
        "The last line has no text of its own; it tells how it went. Every line before it has a piece.",
        'json.loads for each line, its "response", and "".join over all of them.',
    ),
    solution="""
        asked = {"model": name, "prompt": "Tell me a fun fact"}
        with httpx.stream("POST", server + "/api/generate", json=asked, timeout=300) as reply:
            lines = list(reply.iter_lines())
        text = "".join(json.loads(line)["response"] for line in lines)
        here.check("joined", (lines, text))
    """,
)
def joined(value: Any) -> Iterator[Point]:
    try:
        lines, text = value
        pieces = [json.loads(line)["response"] for line in lines]
    except (TypeError, ValueError, KeyError):
        raise CourseError("Hand in (lines, text): the lines as they came, and your text.") from None
    whole = "".join(pieces)
    yield Point(isinstance(text, str), "it is a text", f"It is a {type(text).__name__}, not a text.")
    missing = f"The text has {len(text)} letters; the pieces together have {len(whole)}."
    if not text:
        missing = "The text is empty: the last line tells how it went, and has no piece of the reply."
    elif text == " ".join(pieces) or text == "\n".join(pieces):
        missing = "Something stands between the pieces. They carry their own spaces: join them with nothing."
    yield Point(text == whole, "every piece is there once, in its place", missing)


@exercise(
    "Did it fail?",
    task="""
        A refusal has a status of 400 or more. A stream that fails midway has the status 200, and a line
        with `error`. Complete the function: it gets a reply of either kind and returns the error's text,
        or `""` if there is none.
    """,
    start="""
        def failed(reply):
            return "" if reply.status_code == 200 else reply.json()["error"]    # ← change this

        here.check("failed", failed)
    """,
    hints=(
        "A refusal is one JSON object, and one line as well. So every reply can be read line by line.",
        'Go through reply.text.splitlines(); a line whose JSON has "error" is what you look for.',
    ),
    solution="""
        def failed(reply):
            for line in reply.text.splitlines():
                if error := json.loads(line).get("error"):
                    return error
            return ""

        here.check("failed", failed)
    """,
)
def failed(value: Any) -> Iterator[Point]:
    if not callable(value):
        raise CourseError(f"Hand in the function itself, failed without brackets, not {short(value)}.")
    refused, midway = "model 'x' not found", "pull model manifest: file does not exist"
    cases = (
        ("a refusal", 404, [{"error": refused}], refused),
        ("a whole reply", 200, [{"response": "Hi.", "done": True}], ""),
        ("a good stream", 200, [{"response": "Hi"}, {"response": "", "done": True}], ""),
        ("a stream that fails", 200, [{"status": "pulling manifest"}, {"error": midway}], midway),
    )
    for what, status, objects, right in cases:
        reply = httpx.Response(status, text="\n".join(json.dumps(one) for one in objects))
        try:
            got = value(reply)
        except Exception as error:  # whatever the learner's function raises
            yield Point(False, "", f"For {what} the function raised {type(error).__name__}: {error}")
        else:
            yield Point(got == right, what, f"For {what} it returned {short(got)}; right is {short(right)}.")
