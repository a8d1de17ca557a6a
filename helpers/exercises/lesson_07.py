"""Lesson 07: the server, and what it has in memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from helpers.errors import CourseError
from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short
from helpers.lanes import ollama_url

WANTED = "http://127.0.0.1:11436"


@exercise(
    "What is in memory?",
    task="""
        The first two lines make a copy, which nobody loads, and load your model. Make `loaded` the list
        of the names of all models that are in memory, by code.
    """,
    start="""
        httpx.post(server + "/api/copy", json={"source": name, "destination": "course-asleep"})
        httpx.post(server + "/api/generate", json={"model": name}, timeout=300)
        models = httpx.get(server + "/api/tags").json()["models"]    # ← change this
        loaded = [model["name"] for model in models]
        here.check("in_memory", loaded)
    """,
    hints=(
        "/api/tags tells what is on disk. Another path tells what is in memory.",
        "It has the name of the command, ps.",
    ),
    solution="""
        httpx.post(server + "/api/copy", json={"source": name, "destination": "course-asleep"})
        httpx.post(server + "/api/generate", json={"model": name}, timeout=300)
        models = httpx.get(server + "/api/ps").json()["models"]
        loaded = [model["name"] for model in models]
        here.check("in_memory", loaded)
    """,
)
def in_memory(value: Any) -> Iterator[Point]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise CourseError("Hand in a list of names, each a text.")
    there = seen.loaded()
    yield Point(bool(there), "a model is in memory", "Nothing is in memory. Keep the cell's first two lines.")
    missing = "Not all of these are in memory: a model that is installed need not be loaded."
    if not value:
        missing = "Your list is empty."
    yield Point(bool(value) and set(value) <= set(there), "what you name is in memory", missing)
    if set(value) <= set(there):
        yield Point(
            set(value) == set(there), "none is left out", "One that is in memory is not in your list."
        )


@exercise(
    "Make room",
    task="""
        Your model is in memory, and you need the room for something else. Free it by command. The model
        itself is to stay installed.
    """,
    start="""
        httpx.post(server + "/api/generate", json={"model": name}, timeout=300)
        answer = run(f"ollama ps {name}")    # ← change this
        here.check("room", answer)
    """,
    hints=("`ollama rm` would remove the model from disk. Look for a gentler word.", "It is `ollama stop`."),
    solution="""
        httpx.post(server + "/api/generate", json={"model": name}, timeout=300)
        answer = run(f"ollama stop {name}")
        here.check("room", answer)
    """,
)
def room(value: Any) -> Iterator[Point]:
    line = seen.command(value)
    missing = f"`ollama {line.command}` frees no memory."
    if line.command == "run":
        missing = "`ollama run` loads the model once more before it lets it go. One command only stops it."
    yield Point(line.command == "stop", "it is `ollama stop`", missing)
    if line.command == "stop":
        yield Point(not line.result.returncode, "the command ended well", f"It failed: {line.failed}")
        gone = not [word for word in line.words if seen.full(word) in seen.loaded()]
        yield Point(gone, "the memory is free", "The model is still in memory.")


@exercise(
    "For as long as the server runs",
    task="""
        A teacher wants the model in memory all day. Change the payload so that it loads the model and
        never lets it go by itself.
    """,
    start="""
        payload = {"model": name, "keep_alive": "5m"}    # ← change this
        here.check("for_ever", payload)
    """,
    hints=(
        "A time that has not come yet cannot run out. Which number of seconds never comes?",
        "A negative one: -1, a number and not a text.",
    ),
    solution="""
        payload = {"model": name, "keep_alive": -1}
        here.check("for_ever", payload)
    """,
)
def for_ever(value: Any) -> Iterator[Point]:
    sent = seen.request(value, "/api/generate")
    stay = sent.payload.get("keep_alive") if isinstance(sent.payload, dict) else None
    negative = isinstance(stay, (int, float)) and stay < 0
    missing = f"`keep_alive` is {short(stay)}: that time runs out."
    if stay is None:
        missing = "There is no `keep_alive`: the model goes after the server's own time."
    if isinstance(stay, str) and stay.lstrip("-").isdecimal():
        missing = f"`keep_alive` is {short(stay)}, a text without a unit. Write a number, without quotes."
    elif isinstance(stay, str) and stay.startswith("-"):
        negative = True
    elif stay == 0:
        missing = "`keep_alive` is 0: that lets the model go at once."
    elif isinstance(stay, str) and not any(letter.isdecimal() for letter in stay):
        missing = f"`keep_alive` is {short(stay)}: the server knows times, no words for them."
    yield Point(negative, "the time never comes", missing)
    if negative:
        there = seen.loaded().get(seen.full(str(sent.payload.get("model")))) if sent.status == 200 else None
        far = there is not None and _end(there["expires_at"]) > datetime(2026, 1, 1) + timedelta(days=36500)
        yield Point(far, "the model stays", f"The model does not stay: {sent.error or 'it is not loaded'}.")


@exercise(
    "Another server",
    task="""
        A second server listens at port 11436 of this machine. With which environment does `ollama ls`
        ask that one?
    """,
    start="""
        env = {"OLLAMA_PORT": "11436"}    # ← change this
        here.check("elsewhere", env)
    """,
    hints=(
        "There is one variable for the whole address, and it is used in this lesson.",
        "OLLAMA_HOST; and without a port it means 11434, or 80 behind http://.",
    ),
    solution="""
        env = {"OLLAMA_HOST": "127.0.0.1:11436"}
        here.check("elsewhere", env)
    """,
)
def elsewhere(value: Any) -> Iterator[Point]:
    if not isinstance(value, dict):
        raise CourseError("Hand in a dict with one entry: a variable's name and its value.")
    given = value.get("OLLAMA_HOST")
    other = next(iter(value), "nothing")
    missing = f"The command does not know {other}; the variable is called OLLAMA_HOST."
    yield Point(isinstance(given, str), "the variable is OLLAMA_HOST", missing)
    if isinstance(given, str):
        url = ollama_url(given).replace("localhost", "127.0.0.1").replace("[::1]", "127.0.0.1")
        yield Point(url == WANTED, "the address is right", f"{short(given)} means {ollama_url(given)}.")


def _end(text: str) -> datetime:
    return datetime.fromisoformat(text[:19])
