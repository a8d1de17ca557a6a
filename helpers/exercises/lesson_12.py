"""Lesson 12: roles, and a history that is kept by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helpers.errors import CourseError
from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short

PATH = "/chat/completions"


def _messages(value: Any) -> list[dict[str, Any]]:
    """The messages that were handed in, alone or inside a request. Raises CourseError."""
    if not isinstance(value, list):
        payload = seen.request(value, PATH).payload
        value = payload.get("messages") if isinstance(payload, dict) else None
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        return value
    raise CourseError(f"The check wants a list of messages, each a dict, not {short(value)}.")


def _roles(messages: list[dict[str, Any]]) -> list[str]:
    return [str(message.get("role")) for message in messages]


@exercise(
    "One word, please",
    task="""
        Put an instruction before the question, so that the model answers in a single word. The question
        stays as it is.
    """,
    start="""
        payload = {
            "model": here.models["chat"],
            "messages": [{"role": "user", "content": "What colour is the sky at noon?"}],    # ← change this
        }
        here.check("one_word", payload)
    """,
    hints=(
        "An instruction is a message of its own. Which role gives instructions?",
        'It goes before the question: {"role": "system", "content": "Answer in one word."}.',
    ),
    solution="""
        payload = {
            "model": here.models["chat"],
            "messages": [
                {"role": "system", "content": "Answer in one word."},
                {"role": "user", "content": "What colour is the sky at noon?"},
            ],
        }
        here.check("one_word", payload)
    """,
)
def one_word(value: Any) -> Iterator[Point]:
    sent = seen.request(value, PATH)
    roles = _roles(messages := _messages(sent.payload))
    told = [role for role in roles if role in ("system", "developer")]
    missing = "No message is an instruction. One with the role system or developer is."
    if not told and len(messages) > 1:
        missing = f"The roles are {', '.join(roles)}. What instructs has the role system or developer."
    yield Point(bool(told), "there is an instruction", missing)
    if not told:
        return
    yield Point(roles[0] in told, "it stands first", "Put the instruction before the question.")
    words = str(messages[roles.index(told[0])].get("content", "")).lower()
    yield Point(
        "word" in words, "it asks for a word", f"The instruction says {short(words)}: nothing about a word."
    )
    kept = {"role": "user", "content": "What colour is the sky at noon?"} in messages
    yield Point(kept, "the question is unchanged", "The question is to stay as it was, in a user message.")
    if kept and roles[0] in told:
        yield seen.accepted(sent)


@exercise(
    "Go on with the talk",
    task="""
        The list holds one turn. Make it ready for the next question, *And how many people live there?*, so
        that the model can know what *there* is.
    """,
    start="""
        talk = [
            {"role": "user", "content": "Which city is the capital of Norway?"},
            {"role": "assistant", "content": "Oslo."},
        ]
        talk = [{"role": "user", "content": "And how many people live there?"}]    # ← change this
        here.check("go_on", talk)
    """,
    hints=(
        "The server knows what is in the list, and nothing else. What is in it now?",
        "The question is to be added to the list, not to take its place: append.",
    ),
    solution="""
        talk = [
            {"role": "user", "content": "Which city is the capital of Norway?"},
            {"role": "assistant", "content": "Oslo."},
        ]
        talk.append({"role": "user", "content": "And how many people live there?"})
        here.check("go_on", talk)
    """,
)
def go_on(value: Any) -> Iterator[Point]:
    messages = _messages(value)
    texts = [str(message.get("content")) for message in messages]
    roles = _roles(messages)
    asked = "And how many people live there?" in texts
    yield Point(asked, "the new question is there", "The new question is not in the list.")
    if not asked:
        return
    missing = "The turn before is gone, so nobody can know what *there* is. Keep it in the list."
    if any("Oslo" in text for text in texts) or any("Norway" in text for text in texts):
        missing = "Only a part of the turn before is left. Keep the question and its answer."
    whole = any("Norway" in text for text in texts) and "Oslo." in texts
    yield Point(whole, "the turn before is whole", missing)
    if whole:
        right = roles == ["user", "assistant", "user"] and texts[-1].startswith("And how")
        order = ", ".join(roles)
        yield Point(
            right,
            "the order is user, assistant, user",
            f"The roles are {order}. A new question comes last, from the user.",
        )


@exercise(
    "Mend the history",
    task="""
        Somebody cut this list in the wrong place, and the server refuses it. Take out as little as
        possible, so that the last question can be asked.
    """,
    start="""
        history = [
            {"role": "system", "content": "Answer in one short sentence."},
            {"role": "tool", "tool_call_id": "call_7", "content": "11 °C"},
            {"role": "assistant", "content": "It is 11 °C in Oslo."},
            {"role": "user", "content": "Is that warm?"},
        ]    # ← change this
        here.check("mend", {"model": here.models["chat"], "messages": history})
    """,
    hints=(
        "One message answers something that is no longer there. Which?",
        "A tool message without its call is an orphan. The answer after it can stay.",
    ),
    solution="""
        history = [
            {"role": "system", "content": "Answer in one short sentence."},
            {"role": "assistant", "content": "It is 11 °C in Oslo."},
            {"role": "user", "content": "Is that warm?"},
        ]
        here.check("mend", {"model": here.models["chat"], "messages": history})
    """,
)
def mend(value: Any) -> Iterator[Point]:
    sent = seen.request(value, PATH)
    messages = _messages(sent.payload)
    roles = _roles(messages)
    yield Point(
        "tool" not in roles, "no orphan is left", "There is a tool message whose call is not in the list."
    )
    for role, what in (("system", "instruction"), ("assistant", "answer before"), ("user", "question")):
        yield Point(role in roles, f"the {what} is kept", f"The {what} has gone too; it did no harm.")
    if roles == ["system", "assistant", "user"]:
        yield seen.accepted(sent)
