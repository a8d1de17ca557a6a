"""Lesson 06: models made from a Modelfile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helpers.clean import OURS
from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short


def _created(line: seen.Line, wanted: str) -> Iterator[Point]:
    """That `ollama create` made the wanted model from the Modelfile."""
    made = line.command == "create" and bool(line.words) and seen.full(line.words[0]) == seen.full(wanted)
    typed = " ".join([line.command, *line.words])
    yield Point(
        made, f"`ollama create {wanted}`", f"The command is `ollama {typed}`; it is to make {wanted}."
    )
    if made:
        missing = f"The command failed: {line.failed}"
        yield Point(not line.result.returncode, "the Modelfile was understood", missing)


def _is(parameters: dict[str, list[str]], name: str, wanted: str) -> Point:
    values = parameters.get(name, [])
    missing = f"PARAMETER {name} is {', '.join(values)}; it is to be {wanted}."
    if not values:
        missing = f"The Modelfile sets no {name}: a line PARAMETER {name} {wanted} is missing."
    same = any(value == wanted or _number(value) == _number(wanted) is not None for value in values)
    return Point(same, f"{name} is {wanted}", missing)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


@exercise(
    "A model with a style",
    task="""
        Make `course-style` so that it is told how to answer (you choose the style), writes the same each
        time (temperature 0), and stops before it writes an exclamation mark.
    """,
    start='''
        recipe = f"""FROM {name}
        """    # ← add lines
        file.write_text(recipe, encoding="utf-8")
        answer = run(f'ollama create course-style -f "{file}"')
        here.check("style", answer)
    ''',
    hints=(
        "Three lines more: one SYSTEM, two PARAMETER.",
        "The parameter that ends a reply at a text is called stop.",
    ),
    solution='''
        recipe = f"""FROM {name}
        SYSTEM You answer like a calm news reader.
        PARAMETER temperature 0
        PARAMETER stop !
        """
        file.write_text(recipe, encoding="utf-8")
        answer = run(f'ollama create course-style -f "{file}"')
        here.check("style", answer)
    ''',
)
def style(value: Any) -> Iterator[Point]:
    line = seen.command(value)
    yield from _created(line, "course-style")
    if line.result.returncode:
        return
    shown = seen.model("course-style")
    told = shown.get("system", "").split()
    missing = "The model is told nothing: there is no SYSTEM line."
    if told:
        missing = f"SYSTEM is only {short(' '.join(told))}. Say in a sentence how to answer."
    yield Point(len(told) >= 3, "it is told how to answer", missing)
    parameters = seen.parameters(shown)
    yield _is(parameters, "temperature", "0")
    yield _is(parameters, "stop", "!")


@exercise(
    "Mend a Modelfile",
    task="""
        This Modelfile has three faults. Mend one, run the cell, read what the command says now, and go
        on with the next. What it is meant to do stays as it is; the temperature is to be 0.2.
    """,
    start='''
        recipe = f"""FORM {name}
        SYSTEM "You count in Roman numerals.
        PARAMETER temperature low
        """    # ← three faults
        file.write_text(recipe, encoding="utf-8")
        answer = run(f'ollama create course-mended -f "{file}"')
        here.check("mended", answer)
    ''',
    hints=(
        "The message names the line. Compare the first word of line 1 with the list that the message gives.",
        "A quote that is opened must be closed, at the end of a line.",
        "temperature is a number.",
    ),
    solution='''
        recipe = f"""FROM {name}
        SYSTEM "You count in Roman numerals."
        PARAMETER temperature 0.2
        """
        file.write_text(recipe, encoding="utf-8")
        answer = run(f'ollama create course-mended -f "{file}"')
        here.check("mended", answer)
    ''',
)
def mended(value: Any) -> Iterator[Point]:
    line = seen.command(value)
    yield from _created(line, "course-mended")
    if line.result.returncode:
        return
    shown = seen.model("course-mended")
    told = shown.get("system", "")
    missing = "The SYSTEM line has gone. Mend it rather than take it out."
    if told:
        missing = f"SYSTEM is now {short(told)}; it was to count in Roman numerals."
    yield Point("roman numerals" in told.lower(), "SYSTEM says what it said", missing)
    yield _is(seen.parameters(shown), "temperature", "0.2")


@exercise(
    "Taught by example",
    task="""
        Make `course-example` so that every conversation with it begins with one question and its answer,
        in your words: the model is to go on in the same manner.
    """,
    start='''
        recipe = f"""FROM {name}
        SYSTEM You answer with one emoji.
        """    # ← add lines
        file.write_text(recipe, encoding="utf-8")
        answer = run(f'ollama create course-example -f "{file}"')
        here.check("example", answer)
    ''',
    hints=(
        "The instruction is MESSAGE, then who speaks, then what is said.",
        "Two lines: MESSAGE user …, and MESSAGE assistant …",
    ),
    solution='''
        recipe = f"""FROM {name}
        SYSTEM You answer with one emoji.
        MESSAGE user How is the weather?
        MESSAGE assistant ☀️
        """
        file.write_text(recipe, encoding="utf-8")
        answer = run(f'ollama create course-example -f "{file}"')
        here.check("example", answer)
    ''',
)
def example(value: Any) -> Iterator[Point]:
    line = seen.command(value)
    yield from _created(line, "course-example")
    if line.result.returncode:
        return
    messages = seen.model("course-example").get("messages") or []
    roles = [message.get("role") for message in messages]
    missing = "No conversation is given: there is no MESSAGE line."
    if roles:
        missing = (
            f"The messages are of {', '.join(roles)}; after a question of user comes the answer of assistant."
        )
    yield Point(roles[:2] == ["user", "assistant"], "a question and its answer", missing)
    if roles[:2] == ["user", "assistant"]:
        yield Point(len(roles) % 2 == 0, "none is left open", "The last question has no answer.")


@exercise(
    "Made by HTTP",
    task="""
        Old instructions send a whole Modelfile to `/api/create`. The server knows that field no longer.
        Rewrite the payload in its fields of today: the same model, the same system message, the same
        temperature.
    """,
    start="""
        payload = {
            "model": "course-http",
            "modelfile": f"FROM {name}\\nSYSTEM You answer briefly.\\nPARAMETER temperature 0.5",
        }    # ← change this
        here.check("by_http", payload)
    """,
    hints=(
        "Each instruction is a field of its own: FROM is `from`, SYSTEM is `system`.",
        'All PARAMETER lines together are one object: "parameters": {"temperature": 0.5}.',
    ),
    solution="""
        payload = {
            "model": "course-http",
            "from": name,
            "system": "You answer briefly.",
            "parameters": {"temperature": 0.5},
        }
        here.check("by_http", payload)
    """,
)
def by_http(value: Any) -> Iterator[Point]:
    sent = seen.request(value, "/api/create")
    payload = sent.payload
    named = payload.get("model")
    ours = isinstance(named, str) and named.startswith(OURS)
    yield Point(ours, "the name begins with course-", f"The name is {short(named)}; begin it with {OURS}.")
    old = "The whole recipe is still in `modelfile`, which the server ignores: it sees no `from`."
    missing = old if "modelfile" in payload else "There is no `from`: the server does not know which weights."
    yield Point(bool(payload.get("from")), "`from` names the model to build on", missing)
    told = payload.get("system") == "You answer briefly."
    yield Point(told, "`system` is the same", f"`system` is {short(payload.get('system'))}.")
    parameters = payload.get("parameters")
    missing = f"`parameters` is {short(parameters)}; it is to hold the temperature 0.5."
    if "temperature" in payload:
        missing = (
            "`temperature` stands beside the others, where the server ignores it. It goes into `parameters`."
        )
    if isinstance((parameters or {}).get("temperature") if isinstance(parameters, dict) else None, str):
        missing = "The temperature is a text. Write the number without quotes."
    right = isinstance(parameters, dict) and parameters.get("temperature") == 0.5
    yield Point(right, "`parameters` holds the temperature", missing)
    if ours and payload.get("from") and right:
        said = sent.reply[-1] if isinstance(sent.reply, list) and sent.reply else sent.reply
        done = sent.status == 200 and isinstance(said, dict) and said.get("status") == "success"
        yield Point(done, "the server made it", f"The server refused: {sent.error or short(said)}")
