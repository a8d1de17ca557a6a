"""What llama.cpp refuses to make a grammar of, in its words (common/json-schema-to-grammar.cpp, b10488)."""

from __future__ import annotations

import json
from typing import Any

from .keywords import KINDS, as_dict, as_list


def problem(schema: Any) -> str:
    """Why Ollama refuses `schema`, in llama.cpp's words (json-schema-to-grammar.cpp), or nothing."""
    refused = _refused(schema, schema, set()) if isinstance(schema, dict) else ""
    return "JSON schema conversion failed:\n" + refused if refused else ""


def _refused(schema: Any, root: Any, seen: set[int]) -> str:
    if not isinstance(schema, dict):
        return "Unrecognized schema: " + json.dumps(schema)
    if id(schema) in seen:
        return ""
    seen.add(id(schema))
    if "$ref" in schema:
        return _refused_reference(schema["$ref"], root, seen)
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return next(filter(None, (_refused(part, root, seen) for part in as_list(schema[key]))), "")
    if "const" in schema or "enum" in schema:
        return ""
    kind = schema.get("type")
    if kind is not None and not isinstance(kind, list) and kind not in KINDS:
        return "Unrecognized schema: " + json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    pattern = schema.get("pattern")
    anchored = isinstance(pattern, str) and pattern.startswith("^") and pattern.endswith("$")
    if kind in (None, "string") and isinstance(pattern, str) and not anchored:
        return "Pattern must start with '^' and end with '$'"
    inner = list(as_dict(schema.get("properties")).values())
    others = schema.get("additionalProperties")
    inner += [others] if isinstance(others, dict) else []
    items = schema.get("items", schema.get("prefixItems", []))
    inner += items if isinstance(items, list) else [items]
    return next(filter(None, (_refused(part, root, seen) for part in inner)), "")


def _refused_reference(reference: Any, root: Any, seen: set[int]) -> str:
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return f"Unsupported ref: {reference}"
    found: Any = root
    for part in reference[2:].split("/"):
        if not isinstance(found, dict) or part not in found:
            shown = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
            return f"Error resolving ref {reference}: {part} not in {shown}"
        found = found[part]
    return _refused(found, root, seen)
