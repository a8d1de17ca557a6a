"""What llama.cpp refuses to do, in its words (tools/server and common/json-schema-to-grammar.cpp, b10488)."""

from __future__ import annotations

import json
import re
from typing import Any

from .keywords import KINDS, as_dict

INT32 = 2**31
LIMITS = {"num_keep": ("n_keep", -1), "repeat_last_n": ("repeat_last_n", 0)}  # option: its name there, least
NO_GRAMMAR = "Failed to initialize samplers: failed to parse grammar"
NO_PENALTY = "Failed to initialize samplers: penalty_repeat must be finite and greater than 0"
BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")

# What of a regular expression its grammar cannot spell: an escape it does not know, a repeated repetition,
# a repetition whose most is below its least.
_ESCAPE = re.compile(r"\\(?![\^$.\[\]()|{}*+?nrt\"\\]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})")
_ESCAPE_IN_SET = re.compile(r"\\(?![nrt\"\\\[\]]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})")
_SET = re.compile(r"\[(?:\\.|[^\]\\])*\]")
_REPEATED = re.compile(r"(?<!\\)(?:\*\*|\?\+)")
_BRACES = re.compile(r"(?<!\\)\{([^{}]*)\}")


def refusal(schema: Any, options: dict[str, Any]) -> str:
    """Why llama-server refuses a request with this `format` and these options, or nothing."""
    for option, (name, least) in LIMITS.items():
        value = (options[option] + INT32) % (2 * INT32) - INT32
        if value < least:
            return f"Field '{name}': Value must be between {least} <= value <= {INT32 - 1}, but got {value}"
    try:
        text, unspeakable = (
            (problem(schema), _unspeakable(schema)) if isinstance(schema, dict) else ("", False)
        )
    except RecursionError:  # deeper than anybody looks
        text, unspeakable = "", False
    if text:
        return f"Field 'json_schema': \"json_schema\": {text}"
    if options["repeat_penalty"] <= 0:
        return NO_PENALTY
    return NO_GRAMMAR if unspeakable else ""


def no_token(number: int, vocabulary: int) -> str:
    """What llama-server says of a token number outside its vocabulary."""
    message = (
        f"vector::_M_range_check: __n (which is {number % 2**64}) >= this->size() (which is {vocabulary})"
    )
    body = {"error": {"code": 500, "message": message, "type": "server_error"}}
    return "detokenize error: " + json.dumps(body, separators=(",", ":"))


def problem(schema: Any) -> str:
    """Why no grammar is made of `schema`, or nothing."""
    refused = _refused(schema, schema, set())
    return refused if not refused or refused[0] == "[" else "JSON schema conversion failed:\n" + refused


def _refused(schema: Any, root: Any, seen: set[int]) -> str:
    if schema is None or schema == []:
        return ""
    if not isinstance(schema, dict):
        return _unrecognized(schema)
    if id(schema) in seen:
        return ""
    seen.add(id(schema))
    if "$ref" in schema:
        return _refused_reference(schema["$ref"], root, seen)
    for key in ("oneOf", "anyOf"):
        if key in schema:
            parts = schema[key]
            return _mistyped("array", parts, list) or _first(parts, root, seen)
    kind = schema.get("type")
    if isinstance(kind, list):
        return _first([{**schema, "type": one} for one in kind], root, seen)
    if "const" in schema or "enum" in schema:
        return ""
    if kind is not None and kind not in KINDS:
        return _unrecognized(schema)
    return _refused_text(schema, kind) or _first(_inner(schema, kind), root, seen)


def _refused_text(schema: dict[str, Any], kind: Any) -> str:
    """What is wrong with the limits of a text or number."""
    pattern = schema.get("pattern")
    if kind in (None, "string") and pattern is not None:
        return _mistyped("string", pattern, str) or _refused_pattern(pattern)
    if kind == "string":
        lengths = [schema[key] for key in ("minLength", "maxLength") if key in schema]
        wrong = next((text for one in lengths if (text := _mistyped("number", one, (int, float)))), "")
        return wrong or _mistyped("string", schema.get("format", ""), str)
    if kind == "integer":
        given = [schema[key] for key in BOUNDS if key in schema]
        return next((text for one in given if (text := _mistyped("number", one, (int, float)))), "")
    return ""


def _refused_pattern(pattern: str) -> str:
    if not (pattern.startswith("^") and pattern.endswith("$")):
        return "Pattern must start with '^' and end with '$'"
    plain = _SET.sub("", pattern)
    if re.search(r"(?<!\\)\[", plain):
        return "Unbalanced square brackets"
    for braces in _BRACES.findall(plain):
        limits = braces.split(",")
        if len(limits) > 2:
            return "Wrong number of values in curly brackets"
        if not all(re.match(r"\d", one) or (one == "" and len(limits) == 2) for one in limits):
            return "Invalid number in curly brackets"
    return ""


def _inner(schema: dict[str, Any], kind: Any) -> list[Any]:
    """The schemas of what is inside a list or an object."""
    if kind in (None, "object") and "properties" in schema:
        inner = schema["properties"]
        others = schema.get("additionalProperties")
        inner = (
            list(inner.values()) if isinstance(inner, dict) else inner if isinstance(inner, list) else [inner]
        )
        return inner + ([others] if isinstance(others, dict) else [])
    if kind in (None, "object") and "allOf" in schema and isinstance(schema["allOf"], list):
        return [one for part in schema["allOf"] for one in as_dict(as_dict(part).get("properties")).values()]
    if kind in (None, "array") and ("items" in schema or "prefixItems" in schema):
        items = schema.get("items", schema.get("prefixItems"))
        return items if isinstance(items, list) else [items]
    return []


def _first(parts: list[Any], root: Any, seen: set[int]) -> str:
    return next((text for part in parts if (text := _refused(part, root, seen))), "")


def _unrecognized(schema: Any) -> str:
    return "Unrecognized schema: " + json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def _mistyped(wanted: str, value: Any, kind: Any) -> str:
    if isinstance(value, kind) and not isinstance(value, bool):
        return ""
    names = {bool: "boolean", str: "string", list: "array", dict: "object", type(None): "null"}
    found = names.get(type(value), "number")
    return f"[json.exception.type_error.302] type must be {wanted}, but is {found}"


def _refused_reference(reference: Any, root: Any, seen: set[int]) -> str:
    if wrong := _mistyped("string", reference, str):
        return wrong
    if not reference.startswith("#/"):
        return f"Unsupported ref: {reference}"
    found: Any = root
    for part in reference[2:].split("/"):
        if not isinstance(found, dict) or part not in found:
            shown = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
            return f"Error resolving ref {reference}: {part} not in {shown}"
        found = found[part]
    return _refused(found, root, seen)


def _unspeakable(schema: Any) -> bool:
    """Whether a grammar is made of the schema that llama.cpp then cannot read itself."""
    if isinstance(schema, list):
        return any(map(_unspeakable, schema))
    if not isinstance(schema, dict):
        return False
    kinds = schema.get("type")
    if [] in (schema.get("anyOf"), schema.get("oneOf"), kinds):
        return True
    if isinstance(kinds, list) and any(_unspeakable({**schema, "type": kind}) for kind in kinds):
        return True
    if "pattern" not in schema and _crossed(schema, "minLength", "maxLength"):
        return True
    if "items" in schema and _crossed(schema, "minItems", "maxItems"):
        return True
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and _unreadable(pattern):
        return True
    inside = [
        value for key, value in schema.items() if key in ("items", "prefixItems", "anyOf", "oneOf", "allOf")
    ]
    return any(map(_unspeakable, [*inside, *as_dict(schema.get("properties")).values()]))


def _crossed(schema: dict[str, Any], least: str, most: str) -> bool:
    low, high = schema.get(least), schema.get(most)
    return isinstance(low, int) and isinstance(high, int) and low > high


def _unreadable(pattern: str) -> bool:
    sets, plain = "".join(_SET.findall(pattern)), _SET.sub("", pattern)
    limits = [braces.split(",") for braces in _BRACES.findall(plain)]
    crossed = any(
        len(two) == 2 and all(map(str.isdigit, two)) and int(two[0]) > int(two[1]) for two in limits
    )
    return bool(crossed or _ESCAPE.search(plain) or _REPEATED.search(plain) or _ESCAPE_IN_SET.search(sets))
