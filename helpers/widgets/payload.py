"""A payload as it is typed: read it, check it against a provider's rules, and say what could come next."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from helpers import fields
from helpers.practice.openai_models import MODELS

from . import refusals
from .json_text import DEEPEST, Fault, Lines, Path, Scan, scan

LONG = 1_000_000  # characters from which on a payload is called long
SHOWN = 100  # diagnostics at most
EFFORTS = ("reasoning_effort", "effort", "think")  # fields whose words are a range, as they differ by model
Diagnostic = dict[str, Any]


@dataclass
class Parsed:
    """A text and what is said of it.

    `payload` is None if the text is no JSON object that could be sent. Each of the diagnostics has `start`
    and `end` (offsets in code points), `severity` ("error", "warning" or "info") and `message`, which begins
    with the line and column.
    """

    payload: dict[str, Any] | None
    diagnostics: list[Diagnostic] = field(default_factory=list)

    @property
    def errors(self) -> list[Diagnostic]:
        return [one for one in self.diagnostics if one["severity"] == "error"]


def parse(text: str) -> Parsed:
    """Read JSON text; whatever is wrong is told at its place.

    Raises nothing, and takes time linear in the text.
    """
    value = _quick(text)
    found = scan(text) if value is None else Scan(value)
    return _parsed(text, found)


def lint(text: str, provider: str, model: str, path: str) -> Parsed:
    """parse(), and what the provider's server would refuse (errors) or ignore (warnings) in that payload.

    Args:
        provider: openai, azure or ollama; of any other only the JSON is checked.
        model: whose rules count, where the payload names none; "" for none.
        path: where the payload goes, as send() takes it: /chat/completions, /api/chat, …
    """
    parsed = parse(text)
    kind = fields.surface(provider, path)
    if parsed.payload is None or not (kind or provider == "ollama"):
        return parsed
    payload = parsed.payload
    if kind == "openai":
        troubles = [*refusals.openai(payload, model, provider == "azure"), *_deprecated(payload, kind)]
    else:
        troubles = [*refusals.ollama(payload, path)]
    if troubles:
        found = scan(text)
        found.faults = [_fault(trouble, found) for trouble in troubles[:SHOWN]]
        parsed.diagnostics += _diagnostics(text, found.faults)
        parsed.diagnostics.sort(key=lambda one: (one["start"], one["end"]))
    return parsed


def completions(provider: str, path: str) -> dict[str, list[dict[str, str]]]:
    """What may be typed, by place: "" for the names of the payload's own fields, "messages[]" for those of a
    message, "messages[].role=" for the values of one field, and so on.

    Each is {"label", "detail" (type and range), "info" (the meaning), "apply" (the JSON that is put there)}.
    """
    kind = fields.surface(provider, path)
    found: dict[str, list[dict[str, str]]] = {}
    for one in fields.request(kind, path if kind == "native" else "/chat/completions").values():
        outer = one.place.rpartition(".")[0]
        begin = f"{json.dumps(one.name)}: {one.example}"
        found.setdefault(outer, []).append(_offer(one.name, _detail(one), _info(one), begin))
        for word, meaning in values(one, kind):
            found.setdefault(f"{one.place}=", []).append(_offer(word, "", meaning, _spelt(word, one)))
    return found


def values(one: fields.Field, kind: str) -> Iterable[tuple[str, str]]:
    """The words a field is chosen from, each with its meaning."""
    if one.place == "model":
        return [(name, "") for name in known_models(kind)]
    words: Iterable[str] = one.shape.choices
    if one.name in EFFORTS:
        words = [word for word in one.shape.range.split(", ") if word]
    elif one.shape.kind == "boolean":
        words = ("true", "false")
    elif one.place == "messages[].role" and not words:
        words = ("system", "user", "assistant", "tool")
    elif one.place == "response_format.type" and not words:
        words = ("text", "json_object", "json_schema")
    elif one.place == "format":
        words = ("json",)
    said, efforts = fields.TABLE["values"], fields.TABLE["efforts"]
    thinks = one.name in ("reasoning_effort", "effort", "think")
    return [
        (word, efforts.get(word, "") if thinks else said.get(f"{one.place}={word}", "")) for word in words
    ]


def known_models(kind: str) -> list[str]:
    """The models that the course knows for a surface, OpenAI's or those of the practice library."""
    if kind == "openai":
        return [name for name, facts in MODELS.items() if facts.output]
    return refusals.library_names()


def _offer(label: str, detail: str, info: str, apply: str) -> dict[str, str]:
    return {"label": label, "detail": detail, "info": info, "apply": apply}


def _spelt(word: str, one: fields.Field) -> str:
    plain = one.shape.kind == "boolean" or (one.name == "think" and word in ("true", "false"))
    return word if plain else json.dumps(word)


def _detail(one: fields.Field) -> str:
    return ", ".join(part for part in (one.shape.kind, one.shape.range) if part)


def _info(one: fields.Field) -> str:
    left_out = one.default if one.default == "required" else f"default: {one.default}"
    parts = [one.meaning, left_out if one.default else ""]
    parts.append(f"deprecated, instead: {one.instead}" if one.instead else "")
    return "; ".join(part for part in parts if part)


# --- reading ---------------------------------------------------------------------------------------------


_BRACKET = re.compile(r"[][{}]")


class _Unusual(ValueError):
    """Something in the text that scan() has a word about."""


def _quick(text: str) -> dict[str, Any] | None:
    """The text's object by Python's own fast reader, where there is nothing at all to say about it."""
    if text.count("{") + text.count("[") > DEEPEST and _depth(text) > DEEPEST:
        return None
    try:
        text.encode()
        value = _READER.decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _depth(text: str) -> int:
    """How deep brackets lie within each other, those in texts counted as well."""
    deepest = depth = 0
    for bracket in _BRACKET.findall(text):
        depth += 1 if bracket in "{[" else -1
        deepest = max(deepest, depth)
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _Unusual
    return made


def _float(word: str) -> float:
    value = float(word)
    if value in (float("inf"), float("-inf")):
        raise _Unusual
    return value


def _int(word: str) -> int:
    if len(word) > 300:
        raise _Unusual
    return int(word)


def _constant(word: str) -> Any:
    raise _Unusual


_READER = json.JSONDecoder(
    object_pairs_hook=_once, parse_float=_float, parse_int=_int, parse_constant=_constant
)


def _parsed(text: str, found: Scan) -> Parsed:
    faults = list(found.faults)
    if not found.broken and not isinstance(found.value, dict):
        what = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
        shown = what.get(type(found.value), "a number")
        start = len(text) - len(text.lstrip())
        faults.append(Fault(start, start + 1, f"A payload is an object in braces, {{…}}, not {shown}."))
    if len(text) > LONG:
        told = f"The payload has {len(text):,} characters; every server refuses bodies above some size."
        faults.append(Fault(0, 1, told, "info"))
    broken = any(fault.severity == "error" for fault in faults)
    return Parsed(None if broken else found.value, _diagnostics(text, faults))


def _diagnostics(text: str, faults: list[Fault]) -> list[Diagnostic]:
    if not faults:
        return []
    lines = Lines(text)
    return [
        {
            "start": one.start,
            "end": one.end,
            "severity": one.severity,
            "message": f"{lines.words(one.start)}: {one.message}",
        }
        for one in sorted(faults[:SHOWN])
    ]


# --- checking --------------------------------------------------------------------------------------------


def _fault(trouble: refusals.Trouble, found: Scan) -> Fault:
    """The trouble at its place in the text; what is missing is marked where its object or list begins."""
    path = trouble.path
    while path not in found.places:
        path = path[:-1]
    place = found.places[path]
    start, end = place.start, place.end
    if len(path) < len(trouble.path):
        end = start + 1
    elif trouble.of_name and place.name:
        start, end = place.name
    elif end - start > 200:  # a long value: its beginning says which
        end = start + 1
    return Fault(start, end, trouble.message, trouble.severity)


def _deprecated(payload: dict[str, Any], kind: str) -> Iterable[refusals.Trouble]:
    known = fields.request(kind)
    for name in payload:
        if name in known and known[name].instead:
            yield _old((name,), name, known[name].instead)
    messages = payload.get("messages")
    for index, message in enumerate(messages if isinstance(messages, list) else []):
        for name in message if isinstance(message, dict) else ():
            one = known.get(f"messages[].{name}")
            if one and one.instead:
                yield _old(("messages", index, name), name, one.instead)


def _old(path: Path, name: str, instead: str) -> refusals.Trouble:
    return refusals.Trouble(path, f"{name} is deprecated. Instead: {instead}.", "warning", True)
