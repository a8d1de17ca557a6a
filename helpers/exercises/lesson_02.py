"""Lesson 02: a conversation in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short


def _said(shown: dict[str, Any], role: str) -> list[str]:
    """What one side said in the conversation that was saved with the model."""
    messages = shown.get("messages") or []
    return [str(message.get("content", "")) for message in messages if message.get("role") == role]


@exercise(
    "Save a character",
    task="""
        Give the model a character with `/set system`, let it write the same each time with the
        temperature 0, and save it as `course-mate`.
    """,
    start="""
        talk(
            "Tell me a fun fact",    # ← put lines before and after this one
        )
        here.check("character", "course-mate")
    """,
    hints=(
        "Three lines that begin with a slash: two /set before the question, one /save after it.",
        "/set parameter takes the parameter's name and its value.",
    ),
    solution="""
        talk(
            "/set system You are a sailor of few words.",
            "/set parameter temperature 0",
            "Tell me a fun fact",
            "/save course-mate",
        )
        here.check("character", "course-mate")
    """,
)
def character(value: Any) -> Iterator[Point]:
    shown = seen.model(value)
    told = shown.get("system", "").strip()
    yield Point(bool(told), "it has a character", "Nothing says who it is: no /set system came before /save.")
    heat = seen.parameters(shown).get("temperature", [])
    missing = f"The temperature is {', '.join(heat)}; it is to be 0."
    if not heat:
        missing = "No temperature was set before /save."
    yield Point(heat == ["0"], "the temperature is 0", missing)


@exercise(
    "Three lines at once",
    task="""
        Send a poem of three lines as **one** message, not as three, and save the session as
        `course-poem`.
    """,
    start="""
        talk(
            "Roses are red,",
            "violets are blue,",
            "what shall I do?",
            "/save course-poem",
        )    # ← change this
        here.check("three_lines", "course-poem")
    """,
    hints=(
        "Something before the first line says that more is to come; the same after the last ends it.",
        'Three quotes: """ before the first word and after the last.',
    ),
    solution='''
        talk(
            '"""Roses are red,',
            "violets are blue,",
            'what shall I do?"""',
            "/save course-poem",
        )
        here.check("three_lines", "course-poem")
    ''',
)
def three_lines(value: Any) -> Iterator[Point]:
    sent = _said(seen.model(value), "user")
    missing = "No message of yours is in the saved session: /save came before you said anything."
    if sent:
        missing = f"You sent {len(sent)} messages. Between triple quotes the lines become one."
    yield Point(len(sent) == 1, "it is one message", missing)
    if len(sent) == 1:
        lines = sent[0].strip().splitlines()
        yield Point(len(lines) == 3, "of three lines", f"It has {len(lines)} lines: {short(sent[0])}.")


@exercise(
    "Begin afresh",
    task="""
        Ask for a fun fact, let the model forget all of it without leaving the session, ask why the sky
        is blue, and save as `course-fresh`. Only the second question may be in what is saved.
    """,
    start="""
        talk(
            "Tell me a fun fact",
            "Why is the sky blue?",
            "/save course-fresh",
        )    # ← change this
        here.check("afresh", "course-fresh")
    """,
    hints=("One command between the two questions. `/?` lists them all.", "It is /clear."),
    solution="""
        talk(
            "Tell me a fun fact",
            "/clear",
            "Why is the sky blue?",
            "/save course-fresh",
        )
        here.check("afresh", "course-fresh")
    """,
)
def afresh(value: Any) -> Iterator[Point]:
    sent = " ".join(_said(seen.model(value), "user")).lower()
    yield Point("fun fact" not in sent, "the first question is forgotten", "It still remembers the fun fact.")
    missing = "The question about the sky is not in it: it came before the forgetting, or after /save."
    yield Point("sky" in sent, "the second question is there", missing)
