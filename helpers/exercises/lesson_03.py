"""Lesson 03: one question on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short
from helpers.terminal import clean


def _run(line: seen.Line) -> Point:
    return Point(
        line.command == "run",
        "it is `ollama run`",
        f"The command is `{line.command}`; a question needs `run`.",
    )


@exercise(
    "An answer for a program",
    task="""
        A program is to read the reply, so it has to be JSON. Change the command so that the server
        allows nothing but JSON, and nothing breaks a long line in two.
    """,
    start="""
        line = f'ollama run {name} "Name three fruits. Reply as JSON."'    # ← change this
        answer = run(line, timeout=300)
        here.check("json_answer", answer)
    """,
    hints=(
        "Asking for JSON in words is a wish. The flag that makes it a rule is in the section on JSON above.",
        "--format json is one half. The other half keeps the command from wrapping long lines: --nowordwrap.",
    ),
    solution="""
        line = f'ollama run {name} "Name three fruits. Reply as JSON." --format json --nowordwrap'
        answer = run(line, timeout=300)
        here.check("json_answer", answer)
    """,
)
def json_answer(value: Any) -> Iterator[Point]:
    line = seen.command(value)
    yield _run(line)
    form = line.flags.get("format", "")
    missing = "Nothing in the command asks for JSON: words in a prompt bind nobody. There is a flag for it."
    if form:
        missing = f"--format got {short(form)}; it takes json or a schema. The server said: {line.failed}"
    yield Point(form == "json" or _parsed(form) is not None, "the flag makes JSON a rule", missing)
    yield Point(
        bool(line.flags.get("nowordwrap")),
        "long lines stay whole",
        "A long line would be broken in two, perhaps inside a text. Switch the wrapping off.",
    )
    if form:
        yield Point(
            _parsed(clean(line.result.stdout)) is not None,
            "what came back is JSON",
            f"What came back is no JSON: {line.failed or short(line.result.stdout)}",
        )


@exercise(
    "A form with two fields",
    task="""
        The payload asks `/api/generate` about a city. Give it a `format`, a JSON schema of an object
        with two required properties: `population`, an integer, and `capital`, a boolean. The check sends
        it once it is right.
    """,
    start="""
        payload = {
            "model": name,
            "prompt": "How many people live in Paris, and is it a capital?",
            "stream": False,
            "format": "json",    # ← change this
        }
        here.check("form", payload)
    """,
    hints=(
        'The schema goes where "json" stands now, as a dict and not as a text.',
        'A schema of an object: {"type": "object", "properties": {…}, "required": [...]}.',
        'Each property has a type: "population": {"type": "integer"}. Yes or no is a "boolean".',
    ),
    solution="""
        payload = {
            "model": name,
            "prompt": "How many people live in Paris, and is it a capital?",
            "stream": False,
            "format": {
                "type": "object",
                "properties": {"population": {"type": "integer"}, "capital": {"type": "boolean"}},
                "required": ["population", "capital"],
            },
        }
        here.check("form", payload)
    """,
)
def form(value: Any) -> Iterator[Point]:
    sent = seen.request(value, "/api/generate")
    schema = sent.payload.get("format")
    is_schema = isinstance(schema, dict) and schema.get("type") == "object"
    missing = f"`format` is {short(schema)}. Put a schema there, a dict whose type is object."
    if isinstance(schema, str) and _parsed(schema) is not None:
        missing = "`format` is a text. The schema goes in as a dict; httpx makes JSON of it."
    yield Point(is_schema, "`format` is the schema of an object", missing)
    if not is_schema:
        return
    properties = schema.get("properties") or {}
    wanted = {"population": "integer", "capital": "boolean"}
    for key, kind in wanted.items():
        given = (properties.get(key) or {}).get("type") if isinstance(properties, dict) else None
        missing = f"`{key}` has the type {short(given)}; it is to be {kind}."
        if given is None:
            missing = f"There is no property `{key}` with a type. Add it: {kind}."
        yield Point(given == kind, f"`{key}` is of type {kind}", missing)
    required = schema.get("required") or []
    left = [key for key in wanted if key not in required]
    yield Point(
        not left, "both are required", f"A model may leave out {', '.join(left)}: name it under `required`."
    )
    yield Point(sent.payload.get("stream") is False, "the reply comes whole", 'Keep "stream": False.')
    if not left and sent.payload.get("stream") is False:
        reply = _parsed((sent.reply or {}).get("response", ""))
        fits = isinstance(reply, dict) and set(wanted) <= set(reply)
        yield Point(
            fits, "the reply has both fields", f"The reply has not both fields: {sent.error or short(reply)}"
        )


@exercise(
    "No thoughts, please",
    task="""
        Thinking takes time and tokens. Change the command so that the model does not think at all; to
        hide the thoughts is not enough.
    """,
    start="""
        line = f'ollama run {thinker} "What is 17 times 3?" --hidethinking'    # ← change this
        answer = run(line, timeout=300)
        here.check("no_thoughts", answer)
    """,
    hints=(
        "The flag is the one that switches thinking on, with another value.",
        "`--think` may stand alone, so its value must be tied to it with =.",
    ),
    solution="""
        line = f'ollama run {thinker} "What is 17 times 3?" --think=false'
        answer = run(line, timeout=300)
        here.check("no_thoughts", answer)
    """,
)
def no_thoughts(value: Any) -> Iterator[Point]:
    line = seen.command(value)
    yield _run(line)
    think = line.flags.get("think")
    missing = "No flag speaks of thinking, so a model that can think does."
    if line.flags.get("hidethinking"):
        missing = "--hidethinking shows less, but the model still thinks, and you still wait."
    if think is not None:
        missing = f"--think is {short(think)}; switching it off takes another value."
    if think == "true" and "false" in line.words:
        missing = "`--think false` is --think and the word false of the prompt. Tie them together with =."
    yield Point(think == "false", "thinking is off", missing)
    if think == "false":
        yield Point(not line.result.returncode, "the command ended well", f"It failed: {line.failed}")


@exercise(
    "Half an hour",
    task="""
        You will ask this model again after lunch. Change the payload so that it stays in memory for 30
        minutes after this reply.
    """,
    start="""
        payload = {"model": name, "prompt": "Say hello.", "stream": False}    # ← change this
        here.check("half_an_hour", payload)
    """,
    hints=(
        "The field has the name of the flag, with an underscore: keep_alive.",
        'A duration is a text with a unit, "30m", or a number of seconds.',
    ),
    solution="""
        payload = {"model": name, "prompt": "Say hello.", "stream": False, "keep_alive": "30m"}
        here.check("half_an_hour", payload)
    """,
)
def half_an_hour(value: Any) -> Iterator[Point]:
    sent = seen.request(value, "/api/generate")
    payload = sent.payload
    stay = payload.get("keep_alive")
    missing = f"`keep_alive` is {short(stay)}, which is not half an hour."
    if "keep_alive" not in payload:
        misspelt = [key for key in payload if key.replace("_", "").lower() == "keepalive"]
        misspelt += ["options"] if "keep_alive" in (payload.get("options") or {}) else []
        missing = (
            "There is no `keep_alive`, so the model goes after the server's own time, 5 minutes as a rule."
        )
        if misspelt:
            missing = f"`{misspelt[0]}` is not where the server looks, and it ignores what it does not know."
    elif isinstance(stay, str) and stay.isdecimal():
        missing = f"`keep_alive` is {short(stay)}, a text without a unit. Write the unit."
    elif stay == 30:
        missing = "`keep_alive` is 30, and a bare number counts seconds."
    right = stay in ("30m", "30m0s", "0.5h", "1800s", 1800)
    yield Point(right, "the model stays for 30 minutes", missing)
    if right:
        there = seen.full(str(payload.get("model"))) in seen.loaded() if sent.status == 200 else False
        yield Point(there, "and it is in memory now", f"It was not loaded: {sent.error}")


def _parsed(text: Any) -> Any:
    """The JSON object or list in a text; None if there is none."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        return None
    return found if isinstance(found, (dict, list)) else None
