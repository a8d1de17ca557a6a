"""A JSON schema as a grammar: every text the grammar makes is JSON that fits the schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .grammar import Choice, Symbol, one_of

Values = Callable[[str], Symbol]  # a property's name to a grammar of plain words for it


def symbol(schema: Any, values: Values) -> Symbol:
    """The grammar of `schema`; `values` says what a string under a property's name may hold."""
    return _Schema(schema, values).any(schema, "anything")


def anything(values: Values) -> Symbol:
    """The grammar of `"format": "json"`: some small object."""
    return symbol(
        {"type": "object", "properties": {"reply": {"type": "string"}}, "required": ["reply"]}, values
    )


class _Schema:
    def __init__(self, root: Any, values: Values) -> None:
        self.root = root
        self.values = values

    def any(self, schema: Any, name: str) -> Symbol:
        if not isinstance(schema, dict):
            return '""' if schema is not False else "null"
        if "$ref" in schema:
            found = self.resolve(schema)
            return lambda: self.any(found, name)
        if "const" in schema:
            return _literal(schema["const"])
        if schema.get("enum"):
            return one_of(*(_literal(value) for value in schema["enum"]))
        for key in ("anyOf", "oneOf"):
            if schema.get(key):
                return one_of(*(self.any(option, name) for option in schema[key]))
        if schema.get("allOf"):
            return self.any(_merged(schema), name)
        kind = schema.get("type")
        if isinstance(kind, list):
            return one_of(*(self.any({**schema, "type": one}, name) for one in kind))
        if kind is None:
            kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
        build = getattr(self, str(kind), None)
        return build(schema, name) if build else "null"

    def resolve(self, schema: Any) -> Any:
        """What a reference leads to in the end; one that leads nowhere, or round in a circle, allows null."""
        followed: set[str] = set()
        while isinstance(schema, dict) and "$ref" in schema:
            reference = str(schema["$ref"])
            if reference in followed:
                return {"type": "null"}
            followed.add(reference)
            schema = self.root
            for part in filter(None, reference.lstrip("#").split("/")):
                part = part.replace("~1", "/").replace("~0", "~")
                schema = schema.get(part) if isinstance(schema, dict) else None
        return schema

    def object(self, schema: dict[str, Any], name: str) -> Symbol:
        properties = schema.get("properties") or {}
        wanted = [key for key in properties if key in schema.get("required", properties)]
        wanted += [key for key in schema.get("required", []) if key not in properties]
        parts: list[Symbol] = []
        for i, key in enumerate(wanted):
            parts.append(("," if i else "") + "\n  " + json.dumps(key, ensure_ascii=False) + ": ")
            parts.append(self.any(properties.get(key, True), key))
        return ("{", *parts, "\n}") if parts else "{}"

    def array(self, schema: dict[str, Any], name: str) -> Symbol:
        least = schema.get("minItems", 1)
        most = max(least, min(schema.get("maxItems", least + 2), least + 8))
        item = self.any(schema.get("items", True), name.removesuffix("s"))
        prefix = [self.any(one, name) for one in schema.get("prefixItems", [])]

        def items(made: int) -> Symbol:
            if made >= most:
                return "]"
            one = prefix[made] if made < len(prefix) else item
            more: Symbol = (", " if made else "", one, lambda: items(made + 1))
            return more if made < least else Choice(((1.0, more), (2.0, "]")))

        return ("[", lambda: items(0))

    def string(self, schema: dict[str, Any], name: str) -> Symbol:
        least, most = schema.get("minLength", 0), schema.get("maxLength")
        if least or most is not None:
            word = "octopus hearts and honey " * (least // 8 + 1)
            length = max(least, min(7, most if most is not None else 7))
            return json.dumps(word[:length])
        return ('"', self.values(_FORMATS.get(schema.get("format", ""), name)), '"')

    def integer(self, schema: dict[str, Any], name: str) -> Symbol:
        step = int(schema.get("multipleOf", 1)) or 1
        least = schema.get("minimum", schema.get("exclusiveMinimum", -step) + step)
        most = schema.get("maximum", schema.get("exclusiveMaximum", 0) - step)
        if "maximum" not in schema and "exclusiveMaximum" not in schema:
            most = least + 9 * step
        elif "minimum" not in schema and "exclusiveMinimum" not in schema:
            least = most - 9 * step
        first = -(-int(least // 1 if least == int(least) else least // 1 + 1) // step) * step
        return one_of(*(str(n) for n in range(first, int(most // 1) + 1, step)[:10])) or str(first)

    def number(self, schema: dict[str, Any], name: str) -> Symbol:
        return self.integer(schema, name)

    def boolean(self, schema: dict[str, Any], name: str) -> Symbol:
        return one_of("true", "false")

    def null(self, schema: dict[str, Any], name: str) -> Symbol:
        return "null"


_FORMATS = {"date": "date", "email": "email"}


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _merged(schema: dict[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        for key, value in part.items():
            if key == "properties":
                merged["properties"] = {**merged.get("properties", {}), **value}
            elif key == "required":
                merged["required"] = [*merged.get("required", []), *value]
            else:
                merged[key] = value
    return merged
