"""Lesson 01: what Ollama is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short

FACES = {  # what somebody does: which of the four faces it is, and why
    "keeps a model in memory": (
        "server",
        "what stays in memory between two questions is with the one who stays",
    ),
    "draws a table in a terminal": ("command", "a server sends JSON; somebody makes a table of it"),
    "names the weights to build on": ("Modelfile", "that is what FROM does, in a recipe"),
    "lets a program of yours ask": ("HTTP API", "a program needs no terminal, it sends a request"),
}


@exercise(
    "Who does what?",
    task="""
        Write behind each line who or what it is: `"server"`, `"command"`, `"Modelfile"` or `"HTTP API"`.
    """,
    start="""
        who = {
            "keeps a model in memory": "",
            "draws a table in a terminal": "",
            "names the weights to build on": "",
            "lets a program of yours ask": "",
        }    # ← fill in
        here.check("faces", who)
    """,
    hints=(
        "Each of the four words stands once.",
        "`ollama ls` draws the table; FROM is a line of a recipe; httpx.get knocks at the third.",
    ),
    solution="""
        who = {
            "keeps a model in memory": "server",
            "draws a table in a terminal": "command",
            "names the weights to build on": "Modelfile",
            "lets a program of yours ask": "HTTP API",
        }
        here.check("faces", who)
    """,
)
def faces(value: Any) -> Iterator[Point]:
    given = seen.fields(value)
    for what, (right, why) in FACES.items():
        said = given.get(what)
        missing = (
            f"What {what} is not {short(said)}: {why}." if said else f"Nothing stands behind “{what}” yet."
        )
        yield Point(said == right, f"{right}: {what}", missing)


@exercise(
    "Which version?",
    task="""
        Somebody answers. Change the request so that it asks the server which version it is.
    """,
    start="""
        answer = httpx.get(server)    # ← change this
        here.check("version", answer)
    """,
    hints=(
        "The address of the server alone only knocks. What you ask for stands behind it, as a path.",
        "Look at the third request of this lesson: /api/ and a word.",
    ),
    solution="""
        answer = httpx.get(server + "/api/version")
        here.check("version", answer)
    """,
)
def version(value: Any) -> Iterator[Point]:
    sent = seen.request(value, "/api/version")
    path = sent.path.rstrip("/")
    missing = (
        f"The path is {short(path)}, which does not tell the version." if path else "There is no path yet."
    )
    yield Point(path == "/api/version", "the path is /api/version", missing)
    yield Point(
        sent.method == "GET", "it only reads: GET", f"The method is {sent.method}; to read it is GET."
    )
    if path == "/api/version" and sent.method == "GET":
        yield seen.accepted(sent)


@exercise(
    "The same by HTTP",
    task="""
        In a terminal somebody types `ollama run` with your model and `"Name a colour."` behind it. Write the
        payload that asks `/api/generate` for the same, with the reply in one piece.
    """,
    start="""
        payload = {
            "model": name,
            "messages": [{"role": "user", "content": "Name a colour."}],
        }    # ← change this
        here.check("by_http", payload)
    """,
    hints=(
        "/api/generate takes no messages. Which field held the question above?",
        "prompt holds the text, and stream: False asks for one piece.",
    ),
    solution="""
        payload = {"model": name, "prompt": "Name a colour.", "stream": False}
        here.check("by_http", payload)
    """,
)
def by_http(value: Any) -> Iterator[Point]:
    sent = seen.request(value, "/api/generate")
    fields = sent.fields
    missing = "There is no `prompt`, the field for the question." + (
        " `messages` belongs to another path." if "messages" in fields else ""
    )
    yield Point("prompt" in fields, "there is a prompt", missing)
    if "prompt" in fields:
        said = f"The prompt is {short(fields['prompt'])}, not the question."
        yield Point("colour" in str(fields["prompt"]), "it is the question", said)
    whole = fields.get("stream") is False
    yield Point(whole, "the reply comes in one piece", "Nothing says `stream: False`, so it comes in pieces.")
    if "prompt" in fields and whole:
        yield seen.accepted(sent)
