"""JSON by construction: whatever the schema, what the scripted models write fits it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from random import Random
from typing import Any

import httpx
import jsonschema
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample, Unsatisfiable
from hypothesis_jsonschema import from_schema

from helpers.practice.engines import Ask, llamacpp, schema
from helpers.practice.engines.grammar import Symbol, drawn
from helpers.practice.engines.regex import matching
from helpers.practice.engines.script import Script
from helpers.practice.options import complete

SCRIPT = Script()
BOUNDED = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
CHECKER = jsonschema.Draft202012Validator.FORMAT_CHECKER


def written(wanted: Any, text: str = "Tell me a fun fact", seed: int = 1, **options: Any) -> str:
    ask = Ask([{"role": "user", "content": text}], complete(options), str(seed), format=wanted)

    async def collect() -> str:
        return "".join([piece.text async for piece in SCRIPT.reply(ask)])

    return asyncio.run(collect())


def made(wanted: Any, text: str = "Tell me a fun fact", **more: Any) -> Any:
    return json.loads(written(wanted, text, **more))


def is_valid(wanted: Any, value: Any) -> bool:
    return jsonschema.Draft202012Validator(wanted, format_checker=CHECKER).is_valid(value)


def unconstrained(wanted: Any, random: Random | None) -> str:
    def found(name: str, rule: dict[str, Any]) -> list[Any]:
        return []

    def words(name: str) -> Symbol:
        return "octopus"

    return drawn(schema.symbol(wanted, found, words), random)


# --- schemas made by hypothesis-jsonschema, from a schema o ----------------------------------------


def number(least: int, most: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most}


def only(needed: str | list[str], **properties: Any) -> dict[str, Any]:
    names = [needed] if isinstance(needed, str) else needed
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}


def shape(kind: str, **more: Any) -> dict[str, Any]:
    return only("type", type={"const": kind}, **more)


def listed(items: Any, least: int = 1, most: int = 3) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


PATTERNS = [
    "^[a-c]{2,4}$",
    r"^\d{3}-\d{4}$",
    "[A-Z]",
    "^(red|green)$",
    r"^\S+@\S+\.org$",
    "^x?y*z+$",
    "^[^aeiou]+$",
]
MORE_PATTERNS = ["a{0,3}b+?c*", r"\bword\b", "[^a]", r"(x|y){2}", r"[\w.]+@[a-z]+\.(com|org)", "", "^$"]
FORMATS = ["date", "time", "date-time", "email", "uri", "uuid", "ipv4", "ipv6", "hostname"]
VALUES = {"enum": [None, True, 0, 1, -2.5, "", "red", [], [1], {}, {"a": 1}]}
KINDS = {"enum": ["string", "integer", "null", "boolean", "array", "object"]}
NAMES = {"enum": ["name", "age", "city"]}


def schemas(depth: int) -> dict[str, Any]:
    flat = [
        shape("string", minLength=number(0, 5), maxLength=number(5, 20), format={"enum": FORMATS}),
        shape("string", pattern={"enum": PATTERNS}),
        shape("integer", minimum=number(-9, 9), maximum=number(9, 40), multipleOf={"enum": [1, 2, 3, 5]}),
        shape(
            "number",
            exclusiveMinimum=number(-9, 8),
            exclusiveMaximum=number(9, 40),
            multipleOf={"enum": [0.5, 2]},
        ),
        shape("number", minimum={"type": "number", "minimum": -1, "maximum": 1}, maximum=number(1, 2)),
        shape("boolean"),
        shape("null"),
        only("const", const=VALUES),
        only("enum", enum={**listed(VALUES, 1, 4), "uniqueItems": True}),
        only("type", type={**listed(KINDS, 2, 3), "uniqueItems": True}),
    ]
    if not depth:
        return {"anyOf": flat}
    inner = schemas(depth - 1)
    properties = {"type": "object", "properties": dict.fromkeys(("name", "age", "x1"), inner)}
    nested = [
        shape(
            "object",
            properties={**properties, "additionalProperties": False},
            required={**listed(NAMES, 0, 3), "uniqueItems": True},
            additionalProperties={"anyOf": [{"type": "boolean"}, inner]},
            patternProperties=only([], **{"^x": inner, "e$": inner}),
            minProperties=number(0, 3),
            maxProperties=number(3, 5),
        ),
        shape(
            "array",
            items=inner,
            minItems=number(0, 3),
            maxItems=number(3, 5),
            uniqueItems={"type": "boolean"},
            contains=inner,
        ),
        shape(
            "array",
            prefixItems=listed(inner),
            items={"anyOf": [{"const": False}, inner]},
            minItems=number(0, 2),
        ),
        *(only(key, **{key: listed(inner)}) for key in ("anyOf", "oneOf", "allOf")),
        only("not", **{"not": inner}),
        only(["if", "then"], **{"if": inner, "then": inner, "else": inner}),
    ]
    return {"anyOf": [*nested, *flat[:2]]}


def witness(wanted: Any) -> Any:
    """A value that fits after all, as hypothesis-jsonschema finds one, or "none"."""
    looked = settings(BOUNDED, max_examples=20)
    try:
        return find(from_schema(wanted), lambda value: is_valid(wanted, value), settings=looked)
    except (NoSuchExample, Unsatisfiable):
        return "none"


@pytest.mark.parametrize("depth", [0, 1])
def test_what_is_written_fits_the_schema(depth: int) -> None:
    odd: list[Any] = []
    seen: list[Any] = []

    @BOUNDED
    @given(from_schema(schemas(depth)))
    def write(wanted: dict[str, Any]) -> None:
        texts = [unconstrained(wanted, random) for random in (None, Random(1), Random(2))]
        seen.append(wanted)
        if not all(text and is_valid(wanted, json.loads(text)) for text in texts):
            odd.append((wanted, texts))

    write()
    assert [(wanted, texts) for wanted, texts in odd if witness(wanted) != "none"] == []
    assert len(odd) < len(seen) / 2


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(
                    [
                        "type",
                        "properties",
                        "items",
                        "enum",
                        "required",
                        "anyOf",
                        "allOf",
                        "$ref",
                        "pattern",
                        "minimum",
                        "maximum",
                        "minItems",
                        "maxLength",
                        "minLength",
                        "multipleOf",
                        "if",
                        "not",
                        "const",
                        "format",
                        "string",
                    ]
                ),
                inner,
                max_size=4,
            ),
        ),
        max_leaves=12,
    )
)
def test_no_schema_however_odd_makes_it_fail(wanted: Any) -> None:
    if isinstance(wanted, dict):
        written(wanted, num_predict=200)
        assert isinstance(llamacpp.problem(wanted), str)


# --- keyword by keyword ------------------------------------------------------------

TREE: dict[str, Any] = {
    "type": "object",
    "properties": {"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["value", "children"],
}
LINKED: dict[str, Any] = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "number"},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["value", "next"],
            "additionalProperties": False,
        }
    },
}
SUMS: dict[str, Any] = {
    "$ref": "#/$defs/sum",
    "$defs": {
        "sum": {"oneOf": [{"type": "number"}, {"$ref": "#/$defs/pair"}]},
        "pair": {
            "type": "object",
            "properties": {"left": {"$ref": "#/$defs/sum"}, "right": {"$ref": "#/$defs/sum"}},
            "required": ["left", "right"],
        },
    },
}
PET = {
    "oneOf": [
        {
            "type": "object",
            "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer", "maximum": 9}},
            "required": ["kind", "lives"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"kind": {"const": "dog"}, "bark": {"type": "boolean"}},
            "required": ["kind", "bark"],
            "additionalProperties": False,
        },
    ]
}


@pytest.mark.parametrize(
    "wanted",
    [
        TREE,
        LINKED,
        SUMS,
        PET,
        {"type": "string", "minLength": 50},
        {"type": "string", "maxLength": 0},
        {"type": "string", "pattern": r"^\(\d{3}\) \d{3}-\d{4}$"},
        {"type": "string", "pattern": "^(a|b)(?=c)c$"},
        {"type": "string", "pattern": r"^(\w)\1$", "minLength": 2},
        {"type": ["integer", "null"]},
        {"type": "string", "nullable": True},
        {"type": "number", "multipleOf": 0.1, "minimum": 0.3, "maximum": 0.6},
        {"type": "integer", "exclusiveMinimum": 10, "exclusiveMaximum": 12},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
        {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 3},
        {"type": "array", "contains": {"const": 7}, "items": {"type": "integer"}, "maxItems": 4},
        {
            "type": "array",
            "prefixItems": [{"const": "a"}, {"type": "integer"}],
            "items": False,
            "minItems": 2,
        },
        {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2},
        {
            "type": "object",
            "patternProperties": {"^S_": {"type": "string"}},
            "additionalProperties": False,
            "minProperties": 1,
        },
        {"type": "object", "propertyNames": {"pattern": "^[A-Z]{3}$"}, "minProperties": 1},
        {
            "type": "object",
            "properties": {"a": True, "b": {"type": "null"}},
            "dependentRequired": {"a": ["b"]},
            "required": ["a"],
        },
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
                {"properties": {"a": {"minimum": 5}, "b": {"const": 1}}, "required": ["b"]},
            ]
        },
        {
            "type": "object",
            "properties": {"paid": {"type": "boolean"}},
            "required": ["paid"],
            "if": {"properties": {"paid": {"const": True}}},
            "then": {"required": ["sum"]},
            "else": {"required": ["reason"]},
        },
        {"not": {"type": "string"}},
        {"type": "integer", "not": {"enum": [1, 2, 3]}},
        {"type": "string", "default": "tea", "enum": ["tea", "coffee"]},
    ],
    ids=lambda wanted: json.dumps(wanted)[:60],
)
def test_each_keyword_is_honoured(wanted: dict[str, Any]) -> None:
    texts = {written(wanted, seed=seed, temperature=1.5, top_k=0, top_p=1.0) for seed in range(12)}
    for text in texts:
        value = json.loads(text)
        assert is_valid(wanted, value) or value is None and wanted.get("nullable"), text


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_written(name: str) -> None:
    wanted = {"type": "string", "format": name}
    assert is_valid(wanted, made(wanted)), name


@pytest.mark.parametrize(
    "pattern",
    [*PATTERNS, *MORE_PATTERNS],
)
def test_patterns_are_matched_by_the_texts_made_for_them(pattern: str) -> None:
    assert all(re.search(pattern, matching(pattern, Random(n))) for n in range(20))


def test_what_can_never_end_ends_by_the_token_limit() -> None:
    endless = {
        "$ref": "#/$defs/n",
        "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]}},
    }
    assert written(endless, num_predict=40).startswith('{\n  "n": {')


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "integer", "minimum": 5, "maximum": 3},
        {"enum": []},
        {"type": "string", "minLength": 5, "maxLength": 2},
        {"type": "string", "minLength": 10**9},
        {"type": "array", "items": {"type": "null"}, "minItems": 10**8},
    ],
    ids=str,
)
def test_what_cannot_be_made_never_hangs(wanted: dict[str, Any]) -> None:
    start = time.monotonic()
    written(wanted, num_predict=50)
    assert time.monotonic() - start < 5


def test_json_is_cut_where_the_limit_cuts_it() -> None:
    wanted = {"type": "object", "properties": {"fact": {"type": "string"}}, "required": ["fact"]}
    whole, cut = written(wanted, temperature=0.0), written(wanted, temperature=0.0, num_predict=6)
    assert whole.startswith(cut) and cut != whole
    with pytest.raises(ValueError):
        json.loads(cut)


# --- values out of the conversation ------------------------------------------------------------

TEXT, WHOLE, REAL, FLAG = ({"type": kind} for kind in ("string", "integer", "number", "boolean"))
TEXTS = {"type": "array", "items": TEXT}


def fields(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


@pytest.mark.parametrize(
    ("text", "wanted", "value"),
    [
        (
            "Ada Lovelace is 36 years old and lives in London.",
            fields(name=TEXT, age=WHOLE, city=TEXT),
            {"name": "Ada Lovelace", "age": 36, "city": "London"},
        ),
        ("Tell me about Canada.", fields(name=TEXT, capital=TEXT), {"name": "Canada", "capital": "Ottawa"}),
        (
            "Alice and Bob are going to a science fair on Friday.",
            fields(date=TEXT, participants=TEXTS),
            {"date": "Friday", "participants": ["Alice", "Bob"]},
        ),
        (
            "The food was terrible.",
            fields(sentiment={"enum": ["positive", "negative"]}),
            {"sentiment": "negative"},
        ),
        (
            "Order: 3 pizzas for 12.50 euros, on 14 July 2026. Write to bob@x.org",
            fields(quantity=WHOLE, price=REAL, date={"type": "string", "format": "date"}, email=TEXT),
            {"quantity": 3, "price": 12.5, "date": "2026-07-14", "email": "bob@x.org"},
        ),
        ("She is not a student.", fields(is_student=FLAG), {"is_student": False}),
        (
            "Pancakes with eggs, milk and flour",
            fields(ingredients=TEXTS),
            {"ingredients": ["eggs", "milk", "flour"]},
        ),
        ("Colour: blue\nSize: 7", fields(colour=TEXT, size=WHOLE), {"colour": "blue", "size": 7}),
        ("Buy the blue one", fields(colour={"enum": ["red", "blue"]}), {"colour": "blue"}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_values_come_out_of_the_conversation(text: str, wanted: Any, value: Any) -> None:
    assert made(wanted, text) == value


def test_the_pets_of_ollamas_own_page_are_found() -> None:
    pet = fields(name=TEXT, animal=TEXT, age=WHOLE, color={"anyOf": [TEXT, {"type": "null"}]})
    text = (
        "I have two pets. A cat named Luna who is 5 years old and loves playing with yarn. She has grey fur. "
        "I also have a 2 year old black cat named Loki who loves tennis balls."
    )
    luna, loki = made(fields(pets={"type": "array", "items": pet}), text)["pets"]
    assert luna == {"name": "Luna", "animal": "cat", "age": 5, "color": "grey"}
    assert loki == {"name": "Loki", "animal": "cat", "age": 2, "color": "black"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Ada is 37. Return JSON with keys name and age", {"name": "Ada", "age": 37}),
        ("List three colours as JSON with a key colours", {"colours": ["blue", "green", "red"]}),
        ('Grace lives in Rome. Answer as {"name": "...", "city": "..."}', {"name": "Grace", "city": "Rome"}),
    ],
)
def test_json_mode_writes_the_fields_that_are_named(text: str, value: Any) -> None:
    assert made("json", text) == value


def test_json_mode_puts_a_plain_reply_into_an_object() -> None:
    assert "blue" in made("json", "Why is the sky blue? Respond in JSON.")["reply"]


# --- over HTTP ------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"type": "foo"}, 'Unrecognized schema: {"type":"foo"}'),
        ({"$ref": "#/nowhere"}, 'Error resolving ref #/nowhere: nowhere not in {"$ref":"#/nowhere"}'),
        ({"$ref": "#"}, "Unsupported ref: #"),
        ({"type": "string", "pattern": "abc"}, "Pattern must start with '^' and end with '$'"),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "Unrecognized schema: false"),
    ],
    ids=str,
)
def test_ollama_refuses_what_llama_cpp_refuses(client: httpx.Client, wanted: Any, message: str) -> None:
    body = {"model": "gemma3:1b", "prompt": "x", "format": wanted, "stream": False}
    reply = client.post("/api/generate", json=body)
    error = json.loads(reply.json()["error"])["error"]
    start = "Field 'json_schema': \"json_schema\": JSON schema conversion failed:\n"
    assert (reply.status_code, error["code"], error["message"]) == (400, 400, start + message)


def test_json_streams_token_by_token(client: httpx.Client) -> None:
    wanted = fields(fact=TEXT)
    body = {
        "model": "gemma3:1b",
        "messages": [{"role": "user", "content": "Tell me a fun fact"}],
        "format": wanted,
    }
    with client.stream("POST", "/api/chat", json=body) as reply:
        parts = [json.loads(line)["message"]["content"] for line in reply.iter_lines()]
    assert len(parts) > 8 and is_valid(wanted, json.loads("".join(parts)))
