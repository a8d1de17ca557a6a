"""Lesson 08: signing in, signing out, and what leaves the machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from helpers.errors import CourseError
from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short

FALSE = ("", "0", "f", "F", "false", "False", "FALSE")  # what Go reads as no
NOTE = "My landlord has raised the rent by 300 euros."


@exercise(
    "Who is signed in?",
    task="""
        Change the request so that it asks the server who is signed in: the twin of what `ollama signin` asks
        first.
    """,
    start="""
        answer = httpx.get(server + "/api/me")    # ← change this
        here.check("who", answer)
    """,
    hints=(
        "The path is right. What does the status say about the rest?",
        "405: wrong method. The header `allow` of the reply names the right one.",
    ),
    solution="""
        answer = httpx.post(server + "/api/me")
        here.check("who", answer)
    """,
)
def who(value: Any) -> Iterator[Point]:
    sent = _answered(value, "/api/me")
    yield Point(
        sent.path == "/api/me", "the path is /api/me", f"{short(sent.path)} does not tell who is signed in."
    )
    yield Point(
        sent.method == "POST", "the method is POST", f"The method is {sent.method}; the server wants another."
    )
    if sent.path == "/api/me" and sent.method == "POST":
        yield Point(
            sent.status in (200, 401),
            "the server told: 200 with a name, or 401 for nobody",
            f"The server could not tell: {sent.error}",
        )


@exercise(
    "What may be handed out",
    task="""
        A colleague wants to know under which key your machine is known. Hand in that key as one line, as it
        stands in its file: the method, a space, the letters.
    """,
    start="""
        shared = link.params["key"]    # ← change this
        here.check("public_part", shared)
    """,
    hints=(
        "What is in the link is the right key in another packing. The file has it plain.",
        "The name of the public key's file ends in .pub, and read_text() reads it.",
    ),
    solution="""
        shared = (home / "id_ed25519.pub").read_text().strip()
        here.check("public_part", shared)
    """,
)
def public_part(value: Any) -> Iterator[Point]:
    if not isinstance(value, str):
        raise CourseError(f"Hand in the key as a text, not as {type(value).__name__}.")
    private = "PRIVATE KEY" in value
    yield Point(
        not private,
        "it is not the private key",
        "That is the PRIVATE key. With it others can ask in your name: it stays where it is. "
        "Hand in the other one.",
    )
    if private:
        return
    missing = f"{short(value[:24])} is no public key: it is to begin with ssh-ed25519."
    if value.startswith("c3NoLWVk"):  # base64 of the line's first letters, ssh-ed
        missing = "That is packed for a web address. Hand it in as it stands in the file."
    if value.endswith(".pub"):
        missing = "That is the name of the file. Hand in what it holds."
    begins = value.startswith("ssh-ed25519 ")
    yield Point(begins, "it names its method", missing)
    if begins:
        whole = re.fullmatch(r"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[\w+/]{43}\s*", value)
        yield Point(whole is not None, "the key is whole", "A piece of the key is missing. Do not cut it.")


@exercise(
    "A private note",
    task="""
        The note is nobody's business. Change the payload so that a model sums it up and no word of it leaves
        the machine.
    """,
    start=f"""
        note = "{NOTE}"
        payload = {{
            "model": cloud,    # ← change this
            "messages": [{{"role": "user", "content": "Sum up: " + note}}],
            "stream": False,
        }}
        reply = httpx.post(server + "/api/chat", json=payload, timeout=60)
        here.check("private", reply)
    """,
    hints=(
        "The payload is fine but for one field: who is asked?",
        "`ollama ls` on this server lists two models with a size. One of them chats.",
        'names["ollama"] is the name of a model that runs on this machine.',
    ),
    solution=f"""
        note = "{NOTE}"
        payload = {{
            "model": names["ollama"],
            "messages": [{{"role": "user", "content": "Sum up: " + note}}],
            "stream": False,
        }}
        reply = httpx.post(server + "/api/chat", json=payload, timeout=60)
        here.check("private", reply)
    """,
)
def private(value: Any) -> Iterator[Point]:
    sent = _answered(value, "/api/chat")
    payload = sent.payload if isinstance(sent.payload, dict) else {}
    yield Point(
        NOTE in str(payload.get("messages")), "the note is in the request", "The note is not in the request."
    )
    model = str(payload.get("model", ""))
    by_name = re.search(r"[:-]cloud$", model.lower()) is not None
    yield Point(
        not by_name,
        "the name is not that of a cloud model",
        f"{short(model)} is run by ollama.com, and the note goes there.",
    )
    if by_name:
        return
    reply = sent.reply if isinstance(sent.reply, dict) else {}
    away = bool({"remote_host", "signin_url"} & set(reply))
    yield Point(
        not away,
        "it runs on this machine",
        f"{short(model)} is a cloud model under another name: look for the dash in `ollama ls`.",
    )
    if not away:
        yield Point(
            bool((reply.get("message") or {}).get("content")),
            "and it has answered",
            f"No answer came: {sent.error or short(reply)}",
        )


@exercise(
    "A server without a cloud",
    task="""
        These variables are to start a server without a cloud. One of them does not do what it seems to do.
        Mend it.
    """,
    start="""
        settings = {"OLLAMA_HOST": "127.0.0.1:0", "OLLAMA_CLOUD": "off"}    # ← change this
        here.check("no_cloud", settings)
    """,
    hints=(
        "A server ignores a variable it does not know, without a word. `ollama serve --help` lists them.",
        "The variable says NO: OLLAMA_NO_CLOUD. So it is to be *on*.",
    ),
    solution="""
        settings = {"OLLAMA_HOST": "127.0.0.1:0", "OLLAMA_NO_CLOUD": "1"}
        here.check("no_cloud", settings)
    """,
)
def no_cloud(value: Any) -> Iterator[Point]:
    if not isinstance(value, dict):
        raise CourseError(f"The check wants the variables as a dict, not {short(value)}.")
    there = "OLLAMA_NO_CLOUD" in value
    strange = [key for key in value if "CLOUD" in str(key) and key != "OLLAMA_NO_CLOUD"]
    missing = "No variable speaks of the cloud, so it is there."
    if strange:
        missing = f"No server knows {strange[0]}, and so the cloud is there."
    yield Point(there, "the variable is the right one", missing)
    if not there:
        return
    text = value["OLLAMA_NO_CLOUD"]
    yield Point(
        isinstance(text, str),
        "its value is a text",
        f"OLLAMA_NO_CLOUD is {short(text)}. Variables of a program hold texts: put it in quotes.",
    )
    if isinstance(text, str):
        yield Point(
            text.strip() not in FALSE,
            "its value switches the cloud off",
            f"OLLAMA_NO_CLOUD is {short(text)}, and *no* to *no cloud* leaves it on.",
        )


def _answered(value: Any, path: str) -> seen.Request:
    """A request that was sent. A bare payload is not sent: the learner's own account might get it."""
    if isinstance(value, dict):
        raise CourseError("Hand in the reply itself, as httpx gives it: not a payload, and without json().")
    return seen.request(value, path)
