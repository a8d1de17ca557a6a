"""The JSON Schemas that strict structured outputs take, and what is said of one they do not.

Sources: the structured-outputs guide for what is supported and for the limits; error texts quoted in public
issues. `In context=(…)` is the way to the place, written as a Python tuple.
"""

from __future__ import annotations

from typing import Any

KEYWORDS = frozenset(
    [
        "type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "$ref",
        "$defs", "definitions", "description", "title", "$schema", "$id",
        "pattern", "format", "multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
        "minItems", "maxItems",
    ]
)  # fmt: skip
TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
LEVELS, PROPERTIES, LETTERS, ENUM_VALUES = 10, 5000, 120_000, 1000
LONG_ENUM, LONG_ENUM_LETTERS = 250, 15_000

Way = tuple[str, ...]

# What a keyword's value must be, whatever the mode.
SHAPES: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "properties": ("'object'", dict),
    "$defs": ("'object'", dict),
    "definitions": ("'object'", dict),
    "required": ("'array'", list),
    "enum": ("'array'", list),
    "anyOf": ("'array'", list),
    "oneOf": ("'array'", list),
    "allOf": ("'array'", list),
    "pattern": ("'string'", str),
    "format": ("'string'", str),
    "$ref": ("'string'", str),
    "minimum": ("'number'", (int, float)),
    "maximum": ("'number'", (int, float)),
    "exclusiveMinimum": ("'number'", (int, float)),
    "exclusiveMaximum": ("'number'", (int, float)),
    "multipleOf": ("'number'", (int, float)),
    "minItems": ("'integer'", int),
    "maxItems": ("'integer'", int),
    "minLength": ("'integer'", int),
    "maxLength": ("'integer'", int),
    "items": ("'object', 'boolean'", (dict, bool)),
    "additionalProperties": ("'object', 'boolean'", (dict, bool)),
}


class Unsupported(ValueError):
    """The schema is refused; the text says why."""


def check_root(schema: Any) -> None:
    """Raises Unsupported unless the schema describes an object; holds for every tool, strict or not."""
    kind = schema.get("type")
    if kind == "object":
        return
    got = f'"{kind}"' if isinstance(kind, str) else "None" if kind is None else str(kind)
    raise Unsupported(f"schema must be a JSON Schema of 'type: \"object\"', got 'type: {got}'.")


def check_arrays(schema: Any, way: Way = ()) -> None:
    """Raises Unsupported for what is no schema at all, or an array that does not say what its items are."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        raise Unsupported(f"{schema!r} is not of type 'object', 'boolean'.")
    for key, (wanted, types) in SHAPES.items():
        wrong_bool = isinstance(schema.get(key), bool) and "boolean" not in wanted
        if key in schema and (wrong_bool or not isinstance(schema[key], types)):
            raise Unsupported(f"{schema[key]!r} is not of type {wanted}.")
        if schema.get(key) == [] and key != "required":
            raise Unsupported("[] is too short.")
    for name in schema.get("required", []):
        if not isinstance(name, str):
            raise Unsupported(f"{name!r} is not of type 'string'.")
    kind = schema.get("type", "object")
    kinds = kind if isinstance(kind, list) else [kind]
    if not kinds or not all(isinstance(one, str) and one in TYPES for one in kinds):
        raise Unsupported(f"{kind!r} is not valid under any of the given schemas.")
    if schema.get("type") == "array" and "items" not in schema:
        raise _at(way, "array schema missing items.")
    for part, inner in _inside(schema):
        check_arrays(inner, way + part)


def check_strict(schema: dict[str, Any]) -> None:
    """Raises Unsupported, with the API's words, for the first thing strict mode does not take."""
    check_root(schema)
    check_arrays(schema)
    if "anyOf" in schema:
        raise _at((), "'anyOf' is not permitted.")
    _check(schema, schema, ())
    _check_limits(schema)


def _at(way: Way, text: str) -> Unsupported:
    return Unsupported(f"In context={way!r}, {text}")


def _check(schema: Any, root: dict[str, Any], way: Way) -> None:
    if not isinstance(schema, dict):
        raise _at(way, f"{schema!r} is not of type 'object', 'boolean'.")
    if "$ref" in schema:
        _check_reference(schema, root, way)
    elif not {"type", "anyOf", "enum", "const"} & set(schema):
        raise _at(way, "schema must have a 'type' key.")
    for key in schema:
        if key not in KEYWORDS:
            raise _at(way, f"'{key}' is not permitted.")
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if "object" in kinds:
        _check_object(schema, way)
    if "array" in kinds and "items" not in schema:
        raise _at(way, "array schema missing items.")
    for part, inner in _inside(schema):
        _check(inner, root, way + part)


def _check_object(schema: dict[str, Any], way: Way) -> None:
    if schema.get("additionalProperties") is not False:
        raise _at(way, "'additionalProperties' is required to be supplied and to be false.")
    wanted = "'required' is required to be supplied and to be an array including every key in properties."
    required, properties = schema.get("required"), schema.get("properties") or {}
    if not isinstance(required, list):
        required = []
    for name in properties:
        if name not in required:
            raise _at(way, f"{wanted} Missing '{name}'.")
    for name in required:
        if name not in properties:
            raise _at(way, f"{wanted} Extra required key '{name}' supplied.")


def _check_reference(schema: dict[str, Any], root: dict[str, Any], way: Way) -> None:
    beside = [key for key in schema if key not in ("$ref", "$defs", "definitions")]
    if beside:
        raise _at(way, f"$ref cannot have keywords {set(beside)!r}." if len(beside) == 1 else
                  "$ref cannot have keywords {" + ", ".join(repr(key) for key in beside) + "}.")  # fmt: skip
    if resolve(schema["$ref"], root) is None:
        raise _at(way, f"reference to component '{schema['$ref']}' which was not found in the schema.")


def resolve(reference: Any, root: dict[str, Any]) -> Any:
    """What a reference within the schema points at, or None."""
    if reference == "#":
        return root
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return None
    found: Any = root
    for step in reference[2:].split("/"):
        step = step.replace("~1", "/").replace("~0", "~")
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _inside(schema: dict[str, Any]) -> list[tuple[Way, Any]]:
    """The schemas within a schema, each with the way to it."""
    inner: list[tuple[Way, Any]] = []
    for key in ("properties", "$defs", "definitions"):
        if isinstance(schema.get(key), dict):
            inner += [((key, name), one) for name, one in schema[key].items()]
    if isinstance(schema.get("items"), dict):
        inner.append((("items",), schema["items"]))
    for key in ("anyOf", "oneOf", "allOf"):
        inner += [((key, str(n)), one) for n, one in enumerate(schema.get(key, []))]
    return inner


def _check_limits(schema: dict[str, Any]) -> None:
    depth = _depth(schema, schema, ())
    if depth > LEVELS:
        raise Unsupported(f"{depth} levels of nesting exceeds limit of {LEVELS}.")
    properties, letters, values = 0, 0, 0
    todo = [schema]
    while todo:
        one = todo.pop()
        names = [*one.get("properties", {}), *one.get("$defs", {}), *one.get("definitions", {})]
        enum = one.get("enum", []) + ([one["const"]] if "const" in one else [])
        properties += len(one.get("properties", {}))
        values += len(enum)
        spelt = sum(len(value) for value in enum if isinstance(value, str))
        letters += sum(map(len, names)) + spelt
        if len(enum) > LONG_ENUM and spelt > LONG_ENUM_LETTERS:
            raise Unsupported(
                f"enum values have {spelt} characters, which exceeds limit of {LONG_ENUM_LETTERS}."
            )
        todo += [inner for _, inner in _inside(one)]
    for count, limit, what in (
        (properties, PROPERTIES, "parameters"),
        (values, ENUM_VALUES, "enum values"),
        (letters, LETTERS, "characters"),
    ):
        if count > limit:
            raise Unsupported(f"{count} {what} exceeds limit of {limit}.")


def _depth(schema: Any, root: dict[str, Any], seen: Way) -> int:
    """How many objects and arrays lie within each other at most; a schema within itself counts once."""
    if not isinstance(schema, dict):
        return 0
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return 0 if reference in seen else _depth(resolve(reference, root), root, (*seen, reference))
    own = 1 if isinstance(schema.get("properties"), dict) or "items" in schema else 0
    parts = [inner for part, inner in _inside(schema) if part[0] not in ("$defs", "definitions")]
    return own + max((_depth(inner, root, seen) for inner in parts), default=0)
