"""Lesson 15: structured outputs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short

PATH = "/chat/completions"


def _parsed(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return None


def _schema(sent: seen.Request) -> tuple[dict[str, Any], str]:
    """The schema of a request and what is wrong with its surroundings, if anything."""
    wrapped = sent.fields.get("response_format")
    if not isinstance(wrapped, dict):
        return {}, f"`response_format` is {short(wrapped)}; a schema goes in there."
    if wrapped.get("type") != "json_schema":
        return {}, f"The type of `response_format` is {short(wrapped.get('type'))}; a schema has json_schema."
    inner = wrapped.get("json_schema")
    schema = inner.get("schema") if isinstance(inner, dict) else None
    if not isinstance(schema, dict):
        return {}, "The schema is not at `json_schema.schema`."
    return schema, ""


@exercise(
    "Strict enough",
    task="""
        The server refuses this schema. Mend it, and keep its two fields; the rating may be missing, and
        what may be missing is null.
    """,
    start="""
        schema = {
            "type": "object",
            "properties": {"title": {"type": "string"}, "rating": {"type": "integer"}},
            "required": ["title"],
        }    # ← change this
        payload = {
            "model": here.models["chat"],
            "messages": [{"role": "user", "content": "Name a film."}],
            "response_format": form(schema, "film"),
        }
        here.check("strict_enough", payload)
    """,
    hints=(
        "The refusal names one thing at a time: read it, mend it, run the cell again.",
        'Every property stands in "required", and the object has "additionalProperties": False.',
        'What may be missing has two types: ["integer", "null"].',
    ),
    solution="""
        schema = {
            "type": "object",
            "properties": {"title": {"type": "string"}, "rating": {"type": ["integer", "null"]}},
            "required": ["title", "rating"],
            "additionalProperties": False,
        }
        payload = {
            "model": here.models["chat"],
            "messages": [{"role": "user", "content": "Name a film."}],
            "response_format": form(schema, "film"),
        }
        here.check("strict_enough", payload)
    """,
)
def strict_enough(value: Any) -> Iterator[Point]:
    sent = seen.request(value, PATH)
    schema, wrong = _schema(sent)
    yield Point(not wrong, "the schema is where it belongs", wrong)
    if wrong:
        return
    properties = seen.fields(schema.get("properties"))
    lost = [name for name in ("title", "rating") if name not in properties]
    yield Point(not lost, "both fields are there", f"The field {', '.join(lost)} is gone; keep it.")
    required = schema.get("required") or []
    left = [name for name in properties if name not in required]
    yield Point(
        not left, "each is required", f"Strict wants every property required: {', '.join(left)} is not."
    )
    closed = schema.get("additionalProperties") is False
    yield Point(
        closed, "no other fields", "Nothing forbids other fields: additionalProperties is to be False."
    )
    kind = seen.fields(properties.get("rating")).get("type")
    nullable = isinstance(kind, list) and set(kind) == {"integer", "null"}
    missing = f"The type of `rating` is {short(kind)}; what may be missing has null as a type too."
    yield Point(nullable, "a rating may be null", missing)
    if not left and closed and nullable:
        yield seen.accepted(sent)


@exercise(
    "One of three",
    task="""
        A program sorts letters into *bill*, *advert* and *other*. Give `kind` a form that leaves the model
        no other words.
    """,
    start="""
        kind = {"type": "string"}    # ← change this
        schema = {
            "type": "object",
            "properties": {"kind": kind},
            "required": ["kind"],
            "additionalProperties": False,
        }
        payload = {
            "model": here.models["chat"],
            "messages": [{"role": "user", "content": "Dear customer, please pay 20 euros."}],
            "response_format": form(schema, "letter"),
        }
        here.check("one_of_three", payload)
    """,
    hints=(
        "A list of the words that are allowed: which keyword of a schema holds it?",
        'enum: {"type": "string", "enum": ["bill", …]}.',
    ),
    solution="""
        kind = {"type": "string", "enum": ["bill", "advert", "other"]}
        schema = {
            "type": "object",
            "properties": {"kind": kind},
            "required": ["kind"],
            "additionalProperties": False,
        }
        payload = {
            "model": here.models["chat"],
            "messages": [{"role": "user", "content": "Dear customer, please pay 20 euros."}],
            "response_format": form(schema, "letter"),
        }
        here.check("one_of_three", payload)
    """,
)
def one_of_three(value: Any) -> Iterator[Point]:
    sent = seen.request(value, PATH)
    schema, wrong = _schema(sent)
    yield Point(not wrong, "the schema is where it belongs", wrong)
    if wrong:
        return
    properties = seen.fields(schema.get("properties"))
    kind = seen.fields(properties.get("kind"))
    words = kind.get("enum")
    missing = "`kind` may still be any text. The words go into a list under enum."
    wanted = {"bill", "advert", "other"}
    if isinstance(words, list) and set(map(str, words)) != wanted:
        missing = f"The words are {short(words)}; they are to be bill, advert and other."
    fixed = isinstance(words, list) and set(map(str, words)) == wanted
    yield Point(fixed, "only the three words are left", missing)
    if fixed:
        answer = _parsed(sent.reply["choices"][0]["message"]["content"]) if sent.status == 200 else None
        chosen = answer.get("kind") if isinstance(answer, dict) else None
        missing = f"The server said: {sent.error}" if sent.error else f"The reply is {short(answer)}."
        yield Point(chosen in wanted, f"the model chose {short(chosen)}", missing)


@exercise(
    "Ollama's way",
    task="""
        Move this request to Ollama's own `/api/chat`: the same schema, without what OpenAI wraps around it,
        and the reply in one piece.
    """,
    start="""
        payload = {
            "model": here.models["ollama"],
            "messages": [{"role": "user", "content": line}],
            "response_format": form(person),
        }    # ← change this
        here.check("own_form", payload)
    """,
    hints=(
        "The field is called `format`, and the schema is its value.",
        'Ollama streams unless told otherwise: "stream": False.',
    ),
    solution="""
        payload = {
            "model": here.models["ollama"],
            "messages": [{"role": "user", "content": line}],
            "format": person,
            "stream": False,
        }
        here.check("own_form", payload)
    """,
)
def own_form(value: Any) -> Iterator[Point]:
    sent = seen.request(value, "/api/chat")
    gone = "response_format" not in sent.fields
    yield Point(
        gone, "OpenAI's field is gone", "`response_format` is still there, and Ollama's API ignores it."
    )
    schema = sent.fields.get("format")
    missing = f"`format` is {short(schema)}; it is to be the schema itself."
    if schema is None:
        missing = "Nothing gives the form: Ollama's field is `format`."
    elif isinstance(schema, dict) and "json_schema" in schema:
        missing = "The schema is still wrapped up. `format` takes it bare."
    bare = isinstance(schema, dict) and schema.get("type") == "object"
    yield Point(bare, "`format` is the schema", missing)
    whole = sent.fields.get("stream") is False
    yield Point(whole, "the reply comes whole", "Nothing says `stream: False`, so it will stream.")
    if gone and bare and whole:
        text = (sent.reply.get("message") or {}).get("content") if sent.status == 200 else None
        missing = f"The server said: {sent.error}" if sent.error else f"The reply is {short(text)}."
        fits = isinstance(_parsed(text), dict)
        yield Point(fits, "the reply is an object", missing)
