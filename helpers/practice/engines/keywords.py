"""What the keywords of a JSON schema mean: which values they allow, and how two schemas become one."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

ALTERNATIVES = 12  # how many ways of fitting a schema are looked at

SCALARS = {"string", "integer", "number", "boolean", "null"}
KINDS = ("object", "array", *sorted(SCALARS))
_BY_KEYWORD = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "patternProperties": "object",
    "minProperties": "object",
    "propertyNames": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "contains": "array",
    "uniqueItems": "array",
    "pattern": "string",
    "minLength": "string",
    "maxLength": "string",
    "format": "string",
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
    "multipleOf": "number",
}
FORMATS = {
    "date": ["2026-01-01", "2026-07-14", "1999-12-31"],
    "time": ["09:30:00Z", "18:45:00Z"],
    "date-time": ["2026-01-01T12:00:00Z", "2026-07-14T09:30:00Z"],
    "duration": ["P3D", "PT1H30M"],
    "email": ["ada@example.org", "grace@example.com", "a@b.io"],
    "idn-email": ["ada@example.org"],
    "hostname": ["example.org", "practice.example.com", "b.io"],
    "idn-hostname": ["example.org"],
    "ipv4": ["192.0.2.1", "198.51.100.7", "1.1.1.1"],
    "ipv6": ["2001:db8::1", "2001:db8::7", "::1"],
    "uri": ["https://example.org/", "https://example.com/lesson", "urn:a:b", "a:b"],
    "uri-reference": ["/lesson", "https://example.org/"],
    "uri-template": ["https://example.org/{name}"],
    "iri": ["https://example.org/"],
    "iri-reference": ["/lesson"],
    "uuid": ["0b7e6f3a-58c1-4d2e-9a47-1f2d3c4b5a69", "7c9e6679-7425-40de-944b-e07fc1f90ae7"],
    "json-pointer": ["/name", "/items/0"],
    "relative-json-pointer": ["0/name", "1"],
    "regex": ["^[a-z]+$"],
    "color": ["#1e90ff"],
}
_IN_PLACE = {"$ref", "allOf", "anyOf", "oneOf", "if", "then", "else", "$defs", "definitions", "not"}
_SHAPES = {
    "date": r"\d{4}-\d\d-\d\d",
    "time": r"\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?",
    "date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
    "email": r"[^@\s]+@[^@\s]+\.[^@\s]+",
    "uri": r"[a-z][a-z0-9+.-]*:\S+",
    "ipv4": r"(\d{1,3}\.){3}\d{1,3}",
    "uuid": r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
}


def resolve(reference: Any, root: Any) -> Any:
    """What a reference leads to in the end; one that leads nowhere, or round in a circle, allows null."""
    followed: set[str] = set()
    while isinstance(reference, str) and reference not in followed:
        followed.add(reference)
        schema = root
        for part in filter(None, reference.lstrip("#").split("/")):
            part = part.replace("~1", "/").replace("~0", "~")
            if isinstance(schema, list) and part.isdigit() and int(part) < len(schema):
                schema = schema[int(part)]
            else:
                schema = schema.get(part) if isinstance(schema, dict) else None
        if not isinstance(schema, dict) or set(schema) - {"$defs", "definitions", "title"} != {"$ref"}:
            return schema if isinstance(schema, (dict, bool)) else {"type": "null"}
        reference = schema["$ref"]
    return {"type": "null"}


def _product(left: list[dict[str, Any]], right: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pairs = [merged(one, other) for one in left for other in right]
    return [pair for pair in pairs if pair is not None][:ALTERNATIVES]


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any] | None:
    """A schema that allows what both do, as far as it can be said in one; None where their types differ."""
    made = dict(one)
    for key, value in other.items():
        if key not in made or made[key] == value:
            made[key] = value
        elif key == "type":
            both = _types(made[key], value)
            if not both:
                return None
            made[key] = both[0] if len(both) == 1 else both
        elif key in ("properties", "patternProperties"):
            made[key] = {
                name: {"allOf": [rules[name] for rules in (made[key], value) if name in rules]}
                if name in made[key] and name in value
                else (made[key] | value)[name]
                for name in made[key] | value
            }
        elif key == "required":
            made[key] = list(dict.fromkeys([*made[key], *value]))
        elif key == "enum":
            made[key] = [item for item in made[key] if item in value]
        elif key in ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"):
            made[key] = max(made[key], value)
        elif key in ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains"):
            made[key] = min(made[key], value)
        elif key in ("items", "contains", "propertyNames", "additionalProperties"):
            if False in (made[key], value):
                made[key] = False
            else:
                made[key] = {"allOf": [made[key], value]}
        elif key == "multipleOf":
            both_steps = Fraction(str(made[key])), Fraction(str(value))
            common = Fraction(
                math.lcm(both_steps[0].numerator, both_steps[1].numerator),
                math.gcd(both_steps[0].denominator, both_steps[1].denominator),
            )
            made[key] = int(common) if common.denominator == 1 else float(common)
        elif key == "const":
            return None
    return made


def _types(one: Any, other: Any) -> list[str]:
    left = one if isinstance(one, list) else [one]
    right = other if isinstance(other, list) else [other]
    both = [kind for kind in left if kind in right]
    if "integer" in left + right and "number" in left + right and "integer" not in both:
        both.append("integer")
    return both


def kind_of(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, str):
        return kind if kind in KINDS else "null"
    return next((kind for key, kind in _BY_KEYWORD.items() if key in schema), "string")


def is_kind(value: Any, kind: Any) -> bool:
    if isinstance(kind, list):
        return any(is_kind(value, one) for one in kind)
    if kind in ("integer", "number"):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and (kind == "number" or value == value // 1)
    types = {"string": str, "boolean": bool, "null": type(None), "object": dict, "array": list}
    return kind not in types or isinstance(value, types[kind])


def bounds(schema: dict[str, Any]) -> tuple[tuple[Any, bool] | None, tuple[Any, bool] | None]:
    """The lower and the upper limit, each with whether it is itself outside."""
    low: list[tuple[Any, bool]] = []
    high: list[tuple[Any, bool]] = []
    for limits, plain, beyond in (
        (low, "minimum", "exclusiveMinimum"),
        (high, "maximum", "exclusiveMaximum"),
    ):
        if is_kind(schema.get(plain), "number"):
            limits.append((schema[plain], schema.get(beyond) is True))
        if is_kind(schema.get(beyond), "number"):
            limits.append((schema[beyond], True))
    return max(low, default=None), min(high, key=lambda limit: (limit[0], not limit[1]), default=None)


def numbers_between(low: Any, high: Any, step: Any, kind: str) -> list[Any]:
    """A few numbers between the limits, in steps of `step`, the plainest first."""
    pace = Fraction(str(step)) if is_kind(step, "number") and step else Fraction(1)
    if kind == "integer":
        pace = Fraction(math.lcm(pace.numerator, 1))
    least = Fraction(low[0]) if low else None
    most = Fraction(high[0]) if high else None
    if least is None:
        least = most - 9 * pace if most is not None and most <= 0 else Fraction(0)
        if most is None:
            least = pace
    first = math.ceil(least / pace)
    last = math.floor(most / pace) if most is not None else first + 9
    steps = [n * pace for n in range(first, min(last, first + 9) + 1)]
    values: list[Any] = [int(n) if n.denominator == 1 else float(n) for n in steps]
    if kind == "number" and step is None and least is not None and most is not None:
        middle = [least + (most - least) * Fraction(part, 8) for part in (4, 2, 6, 1, 7)]
        values += [value for exact in middle for value in (round(float(exact), 2), float(exact))]
        values += [limit[0] for limit in (low, high) if limit]
    elif kind == "number" and step is None:
        values += [float(value) + part for value in values[:3] for part in (-0.5, 0.5)]
    return values


def _is_multiple(value: Any, step: Any) -> bool:
    if not is_kind(step, "number") or not step:
        return True
    if isinstance(step, float):
        quotient = value / step
        return math.isfinite(quotient) and int(quotient) == quotient
    return not value % step


def _searches(pattern: Any, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except (re.error, TypeError, RecursionError):
        return False


def as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def expand(schema: Any, root: Any, fuel: int = 12) -> list[dict[str, Any]]:
    """Schemas without $ref, allOf, anyOf, oneOf, if and lists of types that allow what `schema` does."""
    if not isinstance(schema, dict):
        return [] if schema is False else [{}]
    if fuel == 0:
        return [{"type": "null"}]
    base = {key: value for key, value in schema.items() if key not in _IN_PLACE}
    ways: list[dict[str, Any]] = [base]
    if "$ref" in schema:
        ways = _product(ways, expand(resolve(schema["$ref"], root), root, fuel - 1))
    for part in as_list(schema.get("allOf")):
        ways = _product(ways, expand(part, root, fuel - 1))
    for key in ("anyOf", "oneOf"):
        if key in schema:
            options = [way for part in as_list(schema[key]) for way in expand(part, root, fuel - 1)]
            ways = _product(ways, options)
    if "if" in schema:
        met = _product(expand(schema["if"], root, fuel - 1), expand(schema.get("then", True), root, fuel - 1))
        ways = _product(ways, met + expand(schema.get("else", True), root, fuel - 1))
    flat = []
    for way in ways:
        kinds = way.get("type")
        flat += [{**way, "type": kind} for kind in kinds] if isinstance(kinds, list) else [way]
        if way.get("nullable") is True and "enum" not in way:
            flat.append({"type": "null"})
    return flat[:ALTERNATIVES]


def allows(schema: dict[str, Any], value: Any) -> bool:
    """Whether a text, number or truth value fits a schema without in-place parts."""
    if not is_kind(value, schema.get("type", kind_of(schema))):
        return False
    if isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf):
            return False
        if "pattern" in schema and not _searches(schema["pattern"], value):
            return False
        shaped = _SHAPES.get(schema.get("format", ""))
        return not shaped or bool(re.fullmatch(shaped, value))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = bounds(schema)
        if low is not None and (value < low[0] or value == low[0] and low[1]):
            return False
        if high is not None and (value > high[0] or value == high[0] and high[1]):
            return False
        return _is_multiple(value, schema.get("multipleOf"))
    return True
