"""Lesson 21: the assistant."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short
from helpers.exercises.trials import Trial, tried

PATH = "/chat/completions"


@exercise(
    "A third tool",
    task="""
        The assistant can keep notes, but not drop one. Describe a third tool to it, `forget`, with one
        required argument `number`, an integer: the note to drop.
    """,
    start="""
        tools = described + []    # ← change this
        question = {"role": "user", "content": "Please forget note 1"}
        here.check("third_tool", {"model": here.models["calling"], "messages": [question], "tools": tools})
    """,
    hints=(
        "The function `describe` of step 2 makes such a description: name, sentence, arguments.",
        'describe("forget", "Drop a note by its number", number=…)',
        'The argument\'s schema is {"type": "integer"}.',
    ),
    solution="""
        tools = described + [describe("forget", "Drop a note by its number", number={"type": "integer"})]
        question = {"role": "user", "content": "Please forget note 1"}
        here.check("third_tool", {"model": here.models["calling"], "messages": [question], "tools": tools})
    """,
)
def third_tool(value: Any) -> Iterator[Point]:
    sent = seen.request(value, PATH)
    tools = sent.fields.get("tools")
    functions = [
        tool.get("function") for tool in (tools if isinstance(tools, list) else []) if isinstance(tool, dict)
    ]
    named = {one.get("name"): one for one in functions if isinstance(one, dict)}
    kept = {"calculate", "remember"} <= set(named)
    yield Point(kept, "the two tools are still there", "One of the two tools is gone; add to the list.")
    missing = f"No tool is called forget; there are {', '.join(map(str, named)) or 'none'}."
    yield Point("forget" in named, "there is a tool forget", missing)
    if "forget" not in named:
        return
    sentence = str(named["forget"].get("description") or "")
    missing = (
        f"Its description is {short(sentence)}. Say in a sentence what it does: the model knows no more."
    )
    yield Point(len(sentence.split()) > 2, "a sentence says what it does", missing)
    schema = seen.fields(named["forget"].get("parameters"))
    properties = seen.fields(schema.get("properties"))
    number = properties.get("number")
    kind = seen.fields(number).get("type")
    missing = f"`number` has the type {short(kind)}; it is to be an integer."
    if number is None:
        missing = f"Its arguments are {short(list(properties))}; it takes one, called number."
    yield Point(kind == "integer", "`number` is an integer", missing)
    needed = "number" in (schema.get("required") or [])
    yield Point(needed, "and it is required", "A model may leave `number` out: see `required`.")
    if kept and kind == "integer" and needed:
        yield seen.accepted(sent)


@exercise(
    "Notes that are never cut",
    task="""
        `cut` may drop the turn in which a note was taken. Write a function that gets the list of messages
        and the notes, and returns a list whose first message says the notes too, each of them, after its
        own text. The list that it got stays as it is. Without notes nothing changes.
    """,
    start="""
        def with_notes(messages, notes):
            return messages    # ← change this

        here.check("with_notes", with_notes)
    """,
    hints=(
        "Make a new first message with a new content, and put the rest of the list after it.",
        'messages[0]["content"] + " Notes: " + "; ".join(notes)',
        "If there are no notes, return messages.",
    ),
    solution="""
        def with_notes(messages, notes):
            if not notes:
                return messages
            content = messages[0]["content"] + " Notes: " + "; ".join(notes)
            return [{"role": "system", "content": content}] + messages[1:]

        here.check("with_notes", with_notes)
    """,
)
def with_notes(value: Any) -> Iterator[Point]:
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    notes = ["buy milk", "the ferry leaves at nine"]

    def told(notes: list[str]) -> list[Any]:
        """What the result says: its roles, its own text and the notes that its first message holds."""
        made = value(deepcopy(talk), notes)
        first = made[0]["content"]
        own = first.startswith("Be brief.") if notes else first == "Be brief."
        return [[one["role"] for one in made], own, [note for note in notes if note in first]]

    roles = ["system", "user"]
    points = list(
        tried(
            told if callable(value) else value,
            Trial((notes,), [roles, True, notes], "The instruction comes first, and the notes stand in it."),
            Trial(([],), [roles, True, []], "Without notes it is the list as it was."),
        )
    )
    yield from points
    if all(point.ok for point in points):
        given = deepcopy(talk)
        value(given, notes)
        missing = (
            "The list that it got has changed, so the notes would come twice the next time. Make a new one."
        )
        yield Point(given == talk, "the list that it got is unchanged", missing)


@exercise(
    "A bound for the last reply",
    task="""
        `spend` notices that the budget is used up when it is too late: the reply has been made. Write a
        function that gets a payload and the tokens left, and returns a new payload with the field that
        limits a reasoning model's reply: 500 tokens, or what is left if that is less. With nothing left it
        returns `None`.
    """,
    start="""
        def bounded(payload, left):
            return payload    # ← change this

        here.check("bounded", bounded)
    """,
    hints=(
        "A reasoning model's limit is called max_completion_tokens (lesson 13).",
        'payload | {"max_completion_tokens": …} is a new dict, and min(500, left) the smaller of two.',
    ),
    solution="""
        def bounded(payload, left):
            if left <= 0:
                return None
            return payload | {"max_completion_tokens": min(500, left)}

        here.check("bounded", bounded)
    """,
)
def bounded(value: Any) -> Iterator[Point]:
    payload = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    points = list(
        tried(
            value,
            Trial((payload, 20_000), payload | {"max_completion_tokens": 500}, "There is plenty left."),
            Trial((payload, 120), payload | {"max_completion_tokens": 120}, "120 tokens are left."),
            Trial((payload, 0), None, "Nothing is left."),
            Trial((payload, -40), None, "More than everything is spent."),
        )
    )
    yield from points
    if all(point.ok for point in points):
        given = deepcopy(payload)
        value(given, 120)
        missing = "The payload that it got has changed: each turn would inherit the bound. Make a new one."
        yield Point(given == payload, "the payload that it got is unchanged", missing)
