"""Lesson 16: tools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short

PATH = "/chat/completions"


def _tools(sent: seen.Request) -> list[dict[str, Any]]:
    """The functions that a request describes."""
    tools = sent.fields.get("tools")
    found = [one.get("function") for one in tools if isinstance(one, dict)] if isinstance(tools, list) else []
    return [one for one in found if isinstance(one, dict)]


@exercise(
    "Describe a function",
    task="""
        `distance(start, end)` tells how far two cities are apart. Describe it, so that a model can ask for
        it: a name, a sentence, and two texts that are both required.
    """,
    start="""
        described = {
            "type": "function",
            "function": {"name": "distance"},    # ← add to this
        }
        payload = {
            "model": here.models["calling"],
            "messages": [{"role": "user", "content": "How far is it from Oslo to Lisbon?"}],
            "tools": [described],
        }
        here.check("describe", payload)
    """,
    hints=(
        "Look at the tool of this lesson: description and parameters are missing.",
        'parameters is a schema of an object: {"type": "object", "properties": {…}, "required": […]}.',
        'Each of the two is {"type": "string"}, and both stand in "required".',
    ),
    solution="""
        text = {"type": "string"}
        described = {
            "type": "function",
            "function": {
                "name": "distance",
                "description": "How far two cities are apart, in kilometres",
                "parameters": {
                    "type": "object",
                    "properties": {"start": text, "end": text},
                    "required": ["start", "end"],
                },
            },
        }
        payload = {
            "model": here.models["calling"],
            "messages": [{"role": "user", "content": "How far is it from Oslo to Lisbon?"}],
            "tools": [described],
        }
        here.check("describe", payload)
    """,
)
def describe(value: Any) -> Iterator[Point]:
    tools = _tools(seen.request(value, PATH))
    one = next((tool for tool in tools if tool.get("name") == "distance"), None)
    yield Point(one is not None, "it is called distance", "No tool is called distance.")
    if one is None:
        return
    sentence = str(one.get("description") or "")
    missing = "There is no description, and that is all a model knows of it."
    if sentence:
        missing = f"The description is {short(sentence)}. Say in a sentence what it does."
    yield Point(len(sentence.split()) > 2, "a sentence says what it does", missing)
    schema = seen.fields(one.get("parameters"))
    properties = seen.fields(schema.get("properties"))
    missing = "`parameters` is to be a schema whose type is object, with properties."
    yield Point(schema.get("type") == "object" and bool(properties), "its arguments have a schema", missing)
    for name in ("start", "end") if properties else ():
        kind = seen.fields(properties.get(name)).get("type")
        missing = f"`{name}` has the type {short(kind)}; a city is a string."
        if name not in properties:
            missing = f"There is no property `{name}`; the function wants it under this name."
        yield Point(kind == "string", f"`{name}` is a text", missing)
    if properties:
        left = [name for name in ("start", "end") if name not in (schema.get("required") or [])]
        yield Point(
            not left, "both are required", f"A model may leave out {', '.join(left)}: see `required`."
        )


@exercise(
    "Report the result",
    task="""
        The model has asked, and your function has answered 24. Write the message that tells the model so.
    """,
    start="""
        asked = made("temperature", '{"city": "Lisbon"}')
        result = {"celsius": 24}
        answer = {"role": "user", "content": "24"}    # ← change this
        payload = {
            "model": here.models["calling"],
            "messages": [
                {"role": "user", "content": "How warm is Lisbon?"},
                {"role": "assistant", "content": None, "tool_calls": [asked]},
                answer,
            ],
        }
        here.check("answer", payload)
    """,
    hints=(
        "A result has a role of its own.",
        'It says whose result it is: "tool_call_id" is the id of the call, asked["id"].',
        "Its content is a text. json.dumps makes one of the dict.",
    ),
    solution="""
        asked = made("temperature", '{"city": "Lisbon"}')
        result = {"celsius": 24}
        answer = {"role": "tool", "tool_call_id": asked["id"], "content": json.dumps(result)}
        payload = {
            "model": here.models["calling"],
            "messages": [
                {"role": "user", "content": "How warm is Lisbon?"},
                {"role": "assistant", "content": None, "tool_calls": [asked]},
                answer,
            ],
        }
        here.check("answer", payload)
    """,
)
def answer(value: Any) -> Iterator[Point]:
    sent = seen.request(value, PATH)
    messages = sent.fields.get("messages")
    last = seen.fields(messages[-1] if isinstance(messages, list) and messages else None)
    calls = [
        call.get("id")
        for message in messages or []
        if isinstance(message, dict)
        for call in message.get("tool_calls") or []
    ]
    role = last.get("role")
    yield Point(role == "tool", "the role is tool", f"The role is {short(role)}; a result has the role tool.")
    given = last.get("tool_call_id")
    missing = "Nothing says which call it answers: the id goes into `tool_call_id`."
    if given is not None:
        missing = f"`tool_call_id` is {short(given)}; the call is {short(calls[0] if calls else None)}."
    yield Point(given is not None and given in calls, "it names the call that it answers", missing)
    content = last.get("content")
    missing = f"The content is {short(content)}; a text in JSON with the 24 in it is wanted."
    if isinstance(content, dict):
        missing = "The content is a dict; it is to be text, which json.dumps makes of it."
    told = isinstance(content, str) and "24" in content
    yield Point(told, "the content is the result as text", missing)
    if role == "tool" and given in calls and told:
        yield seen.accepted(sent)


@exercise(
    "No calls this time",
    task="""
        The tool is described, but this reply is to be words, whatever the model would like. Keep the tool
        and forbid the call. (A server that ignores the field, as Ollama's does, is told all the same.)
    """,
    start="""
        payload = {
            "model": here.models["calling"],
            "messages": [{"role": "user", "content": "What is the temperature in Lisbon?"}],
            "tools": [tool],    # ← add a field
        }
        here.check("no_calls", payload)
    """,
    hints=(
        "Whether the model may call is a field beside `tools`.",
        '`tool_choice` is "auto", "none", "required" or a tool.',
    ),
    solution="""
        payload = {
            "model": here.models["calling"],
            "messages": [{"role": "user", "content": "What is the temperature in Lisbon?"}],
            "tools": [tool],
            "tool_choice": "none",
        }
        here.check("no_calls", payload)
    """,
)
def no_calls(value: Any) -> Iterator[Point]:
    sent = seen.request(value, PATH)
    yield Point(bool(_tools(sent)), "the tool is still described", "The tool is gone; it was to stay.")
    given = sent.fields.get("tool_choice")
    missing = f"`tool_choice` is {short(given)}; the word for never is another."
    if "tool_choice" not in sent.fields:
        missing = "Nothing forbids the call: `tool_choice` is missing."
    elif given is None:
        missing = '`tool_choice` is None, which is as if it were not there. The word "none" is a text.'
    yield Point(given == "none", "the call is forbidden", missing)
