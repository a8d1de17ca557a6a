"""Which tools a message asks for, and with which arguments: from the tools' own schemas and descriptions."""

from __future__ import annotations

import json
import re
from typing import Any

from . import schema, values
from .grammar import Symbol, drawn
from .phrases import Phrases, ways
from .talk import Talk
from .words import content, expression, holds

MOST = 8  # calls in one reply

_EVERYDAY = frozenset(
    "get use current tool given returns return specific information find list a an the function for of "  # noqa: SIM905
    "by name "
    "data value string number want what use user this that please tell give show make like".split()
)
_SEPARATE = re.compile(r"\b(?:and|und|et|y|e)\b|,|;", re.I)


def wanted(talk: Talk, tools: list[dict[str, Any]], choice: str) -> list[dict[str, Any]]:
    """The calls to make, {"name": str, "arguments": dict} each; none where no tool fits.

    `choice` is auto, none, required, or a tool's name.
    """
    functions = [tool["function"] for tool in tools if isinstance(tool.get("function"), dict)]
    functions = [one for one in functions if isinstance(one.get("name"), str)]
    forced = choice not in ("auto", "none")
    if not functions or choice == "none" or talk.results and not forced:
        return []
    named = [one for one in functions if one["name"] == choice]
    if named:
        return _calls(talk, named[0])
    scores = {i: score(talk, one) for i, one in enumerate(functions)}
    best = max(scores.values())
    if best <= 0:
        return _calls(talk, functions[0])[:1] if choice == "required" else []
    chosen = [i for i in scores if scores[i] >= best]
    chosen = chosen[:1] + [
        i for i in scores if i not in chosen[:1] and _own_part(talk, functions, i, chosen[0])
    ]
    return [call for i in sorted(chosen) for call in _calls(talk, functions[i])][:MOST]


def score(talk: Talk, function: dict[str, Any]) -> float:
    """How well a tool fits what is asked: words they share, by themselves or in meaning."""
    return _score(talk.asked, function, talk.phrases)


def _score(text: str, function: dict[str, Any], phrases: Phrases) -> float:
    name = function["name"].replace("_", " ").replace("-", " ")
    name = " ".join(values.name_words(name)) if " " not in name else name
    about = content(text, phrases.groups) - _EVERYDAY
    named = content(name, phrases.groups) - _EVERYDAY
    described = content(str(function.get("description") or ""), phrases.groups) - _EVERYDAY
    made = 2.0 * len(about & named) + 1.0 * len(about & described - named)
    if holds(text, function["name"]) or function["name"] in text:
        made += 5
    properties = _properties(function)
    if expression(text) and ("expression" in properties or _numeric(properties) >= 2):
        made += 1.5 if _sign_fits(text, function) else 0
    return made


_OPERATIONS = {
    "+": "add plus sum addition total",
    "*": "multiply times product multiplication",
    "-": "subtract minus difference subtraction",
    "/": "divide quotient division",
}


def _sign_fits(text: str, function: dict[str, Any]) -> bool:
    said = f"{function['name']} {function.get('description') or ''}".replace("_", " ").lower()
    own = [sign for sign, names in _OPERATIONS.items() if any(name in said for name in names.split())]
    return not own or any(sign in expression(text) for sign in own) or "calculat" in said or "math" in said


def _numeric(properties: dict[str, Any]) -> int:
    return sum(
        isinstance(one, dict) and one.get("type") in ("number", "integer") for one in properties.values()
    )


def _own_part(talk: Talk, functions: list[dict[str, Any]], i: int, first: int) -> bool:
    """Whether a further tool fits a part of the message, between "and"s, that the first does not."""
    for part in _SEPARATE.split(talk.asked):
        scores = [_score(part, one, talk.phrases) for one in functions]
        if scores[i] == max(scores) > scores[first]:
            return True
    return False


def _calls(talk: Talk, function: dict[str, Any]) -> list[dict[str, Any]]:
    properties = _properties(function)
    placed = [
        key
        for key, one in properties.items()
        if isinstance(one, dict)
        and one.get("type", "string") == "string"
        and values.role_of(values.name_words(key), one) in ("place", "country")
    ]
    found = values.places(talk, talk.asked) if len(placed) == 1 else []
    if len(found) > 1:
        return [_call(talk, function, {placed[0]: place}) for place in found[:MOST]]
    return [_call(talk, function, {})]


def _call(talk: Talk, function: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    earlier = [talk.asked, *talk.users[-2::-1]]

    def found(name: str, rule: dict[str, Any]) -> list[Any]:
        if name in given:
            return [given[name]]
        for text in earlier:
            if made := values.found(talk, name, rule, [text]):
                return made
        return []

    def words(name: str) -> Symbol:
        known = talk.phrases.data["values"]
        lines = known.get(name.lower()) or known.get(values.name_words(name)[-1]) or ["{subject}"]
        text = ways(lines)[0][1]
        return talk.facts["subject"] if "{" in text else text

    parameters = function.get("parameters") or {"type": "object"}
    parameters = _without_unsaid(parameters, found)
    text = drawn(schema.symbol(parameters, found, words))
    try:
        arguments = json.loads(text)
    except ValueError:
        arguments = {}
    if not isinstance(arguments, dict):
        arguments = {}
    if set(arguments) - set(_properties(function)) == {"reply"}:
        arguments = {}
    return {"name": function["name"], "arguments": arguments}


def _without_unsaid(parameters: Any, found: schema.Found) -> Any:
    """The parameters without the optional ones that the conversation says nothing about."""
    if not isinstance(parameters, dict) or not isinstance(parameters.get("properties"), dict):
        return parameters
    required = parameters.get("required")
    required = required if isinstance(required, list) else []
    said = {
        key: one
        for key, one in parameters["properties"].items()
        if key in required or isinstance(one, dict) and found(key, one)
    }
    return {**parameters, "properties": said, "required": [*said]}


def _properties(function: dict[str, Any]) -> dict[str, Any]:
    parameters = function.get("parameters")
    found = parameters.get("properties") if isinstance(parameters, dict) else None
    return found if isinstance(found, dict) else {}
