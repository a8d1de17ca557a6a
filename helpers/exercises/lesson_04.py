"""Lesson 04: pictures for a model, and texts as vectors."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator
from typing import Any

from helpers.errors import CourseError
from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short

SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF")  # how PNG, JPEG and WebP begin


@exercise(
    "With the picture, please",
    task="""
        By HTTP nobody looks for paths in a prompt. Change the payload so that the picture is in it.
    """,
    start="""
        payload = {"model": eyes, "prompt": "Which colours? ./dot.png", "stream": False}    # ← change this
        here.check("with_picture", payload)
    """,
    hints=(
        "The field is `images`. The variable `packed` holds the picture's letters.",
        "`images` is a list, even for one picture, and the letters stand in it as they are.",
    ),
    solution="""
        payload = {"model": eyes, "prompt": "Which colours?", "images": [packed], "stream": False}
        here.check("with_picture", payload)
    """,
)
def with_picture(value: Any) -> Iterator[Point]:
    payload = seen.request(value, "/api/generate").payload
    payload = payload if isinstance(payload, dict) else {}
    images = payload.get("images")
    missing = f"`images` is {short(images)}; it has to be a list."
    if "image" in payload:
        missing = "A server ignores fields it does not know, and `image` is one. There is an s missing."
    elif images is None:
        missing = "There is no `images`. A path in the prompt is only a word here."
    yield Point(isinstance(images, list) and bool(images), "`images` is a list", missing)
    if isinstance(images, list) and images:
        missing = _unpackable(images[0])
        yield Point(not missing, "it holds a picture in base64", missing)
        words = str(payload.get("prompt", ""))
        yield Point(
            ".png" not in words, "the prompt is only words", "The path in the prompt is of no use now."
        )


def _unpackable(letters: Any) -> str:
    """What is wrong with a picture's letters; empty if nothing is."""
    if isinstance(letters, bytes):
        return "These are bytes, and JSON has no place for them. Pack them with base64, then decode()."
    if not isinstance(letters, str):
        return f"In the list is {short(letters)}, and not the picture's letters."
    if letters.startswith("data:"):
        return (
            "That is a data URI, as Chat Completions wants it. Here only the letters behind the comma go in."
        )
    if letters.endswith((".png", ".jpg", ".jpeg", ".webp")):
        return f"{short(letters)} is a path. The server sees no files of yours: send what is in it."
    try:
        data = base64.b64decode(letters, validate=True)
    except (binascii.Error, ValueError):
        return f"{short(letters)} is not base64."
    return "" if data.startswith(SIGNATURES) else "Unpacked, these letters are no PNG, JPEG or WebP."


@exercise(
    "Three at once",
    task="""
        Change the payload so that *one* request makes three vectors, one for each text.
    """,
    start="""
        three = ["red", "scarlet", "Tuesday"]
        payload = {"model": small, "input": "red, scarlet, Tuesday"}    # ← change this
        here.check("three_at_once", payload)
    """,
    hints=(
        "One text makes one vector, however many commas are in it.",
        "`input` takes a text, or a list of texts. The list is there already.",
    ),
    solution="""
        three = ["red", "scarlet", "Tuesday"]
        payload = {"model": small, "input": three}
        here.check("three_at_once", payload)
    """,
)
def three_at_once(value: Any) -> Iterator[Point]:
    sent = seen.request(value, "/api/embed")
    payload = sent.payload if isinstance(sent.payload, dict) else {}
    given = payload.get("input")
    missing = f"`input` is {short(given)}: one text, and so one vector."
    if given is None:
        strange = [key for key in ("inputs", "prompt", "texts") if key in payload]
        missing = f"`{strange[0]}` is not a field of /api/embed." if strange else "There is no `input`."
    yield Point(isinstance(given, (list, tuple)), "`input` is a list", missing)
    if isinstance(given, (list, tuple)):
        right = list(given) == ["red", "scarlet", "Tuesday"]
        yield Point(right, "with the three texts", f"The list is {short(given)}, not the three texts.")
        if right:
            vectors = (sent.reply or {}).get("embeddings") or []
            yield Point(len(vectors) == 3, "three vectors came", f"No three vectors came: {sent.error}")


@exercise(
    "Sixty-four numbers",
    task="""
        Your collection has room for 64 numbers a text. Change the command so that it writes no more.
    """,
    start="""
        answer = run(f'ollama run {small} "a cat sleeps"', timeout=300)    # ← change this
        here.check("sixty_four", answer)
    """,
    hints=(
        "The flag is in the section on cutting; `ollama run --help` has it as well.",
        "`--dimensions`, and how many.",
    ),
    solution="""
        answer = run(f'ollama run {small} "a cat sleeps" --dimensions 64', timeout=300)
        here.check("sixty_four", answer)
    """,
)
def sixty_four(value: Any) -> Iterator[Point]:
    line = seen.command(value)
    run = line.command == "run"
    yield Point(run, "it is `ollama run`", f"`ollama {line.command}` makes no vector.")
    if not run:
        return
    size = line.flags.get("dimensions")
    missing = f"--dimensions is {short(size)}; there is room for 64."
    if not size:
        missing = "No flag speaks of the number of dimensions, so all come."
    yield Point(str(size) == "64", "it asks for 64 dimensions", missing)
    if str(size) == "64":
        count = line.result.stdout.count(",") + 1
        yield Point(
            count == 64, "64 numbers came", f"They did not come: {line.failed or short(line.result.stdout)}"
        )


@exercise(
    "For vectors of any length",
    task="""
        Not every source of vectors brings them to length 1 (Ollama's older `/api/embeddings` does not).
        Change `cosine` so that it is right for vectors of any length: divide by both lengths.
    """,
    start="""
        def cosine(one, other):
            return sum(x * y for x, y in zip(one, other))    # ← change this

        here.check("cosine", cosine)
    """,
    hints=(
        "The length of a vector is math.hypot(*vector).",
        "Both lengths: the sum, divided by the length of the one times the length of the other.",
    ),
    solution="""
        def cosine(one, other):
            return sum(x * y for x, y in zip(one, other)) / (math.hypot(*one) * math.hypot(*other))

        here.check("cosine", cosine)
    """,
)
def cosine(value: Any) -> Iterator[Point]:
    if not callable(value):
        raise CourseError(
            f"The check wants the function itself, `cosine` without brackets, not {short(value)}."
        )
    for one, other, wanted in (
        ([0.6, 0.8], [0.8, 0.6], 0.96),
        ([3, 4], [4, 3], 0.96),
        ([3, 4], [0.8, 0.6], 0.96),
        ([1, 0], [0, 2], 0),
        ([1, 2], [-2, -4], -1),
    ):
        try:
            got = value(one, other)
        except Exception as error:  # the learner's own function
            raise CourseError(f"For {one} and {other} it raised {type(error).__name__}: {error}") from None
        fits = isinstance(got, (int, float)) and math.isclose(got, wanted, abs_tol=1e-6)
        yield Point(
            fits, f"right for {one} and {other}", f"For {one} and {other} it is {short(got)}, not {wanted}."
        )
        if not fits:
            return
