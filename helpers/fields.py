"""The fields a learner meets on the wire: what each means (fields.toml), and what the servers say of it.

A field is known by its place: `temperature`, `messages[].role`, `tools[].function.name`. Types, ranges and
choices are read from the practice server's own tables; this module adds the meaning and the source.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from helpers.practice import compat, shapes
from helpers.practice.errors import OpenAIRefusal
from helpers.practice.gojson import List, Map, Struct
from helpers.practice.openai_checks import check_chat
from helpers.practice.openai_fields import CHAT
from helpers.practice.openai_models import MODELS
from helpers.practice.openai_rules import Rule, plain
from helpers.practice.options import OPTIONS
from helpers.practice.toml import read

TABLE: dict[str, dict[str, Any]] = read(Path(__file__).with_name("fields.toml"))
PROVIDERS = {"openai": "OpenAI", "azure": "Azure", "ollama": "Ollama"}  # whose rules are known
REFUSED = (  # keys of errors.toml that mean: not with this model
    "unsupported", "max_tokens", "only default", "logprobs", "unknown", "unknown parameter", "web search",
    "tools and effort",
)  # fmt: skip
GO_TYPES = {"int": "integer", "bool": "boolean", "float64": "number", "float32": "number", "any": "any"}


class Shape(NamedTuple):
    """What may stand at a place: a type in words, a range, the words to choose from."""

    kind: str
    range: str = ""
    choices: tuple[str, ...] = ()


class Field(NamedTuple):
    """One field of a request; `instead` replaces a deprecated one; the last three may be empty."""

    place: str
    shape: Shape
    meaning: str
    source: str
    default: str = ""
    instead: str = ""
    example: str = ""

    @property
    def name(self) -> str:
        return self.place.rpartition(".")[2]


def surface(provider: str, path: str) -> str:
    """Whose fields a payload has: openai, ollama (its /v1), native (its /api); '' where none are known."""
    if path.startswith("/api/"):
        return "native"
    if provider not in PROVIDERS or not path.endswith("/chat/completions"):
        return ""
    return "ollama" if provider == "ollama" else "openai"


@cache
def request(kind: str, path: str = "/chat/completions") -> dict[str, Field]:
    """Every field of a request to a surface, by its place, in the server's own order."""
    found: Iterable[tuple[str, Shape]]
    if kind == "openai":
        found = chain.from_iterable(_of_rule(name, rule) for name, rule in CHAT.items())
    elif kind == "ollama":
        found = _of_go("", compat.CHAT)
    elif kind == "native" and path in ("/api/chat", "/api/generate"):
        found = _of_go("", shapes.GENERATE if path == "/api/generate" else shapes.CHAT)
    else:
        return {}
    made: dict[str, Field] = {}
    for place, shape in found:
        if place in made:
            made[place] = made[place]._replace(shape=_either(made[place].shape, shape))
        elif not place.endswith("[]"):
            made[place] = field(place, shape, kind)
    if kind == "native":
        made |= {f"options.{name}": field(f"options.{name}", _of_option(name), kind) for name in OPTIONS}
    return made


def field(place: str, shape: Shape, kind: str) -> Field:
    """The field at a place, with what the table says of it."""
    for alias, original in TABLE["same"].items():
        if place.startswith(alias):
            return field(original + place.removeprefix(alias), shape, kind)._replace(place=place)
    said = {**TABLE["request"].get(place, {})}
    if kind != "openai":
        said |= TABLE[kind].get(place, {})
    if place.startswith("options."):
        name = place.partition(".")[2]
        said = {"meaning": TABLE["options"][name], "default": _spelt(OPTIONS[name][1]), "source": "types"}
    source = said.get("source") or ("params" if kind == "openai" else "types" if kind == "native" else "go")
    return Field(
        place,
        Shape(said.get("kind", shape.kind), said.get("range", shape.range), shape.choices),
        said.get("meaning", ""),
        TABLE["sources"][source],
        said.get("default", ""),
        said.get("instead", ""),
        said.get("example", ""),
    )


@cache
def refused_by(name: str) -> list[str]:
    """Which of the course's OpenAI models refuse a top-level field, as the practice server says."""
    example = json.loads(request("openai")[name].example)
    asked = {"model": "", "messages": [{"role": "user", "content": "json"}], name: example}
    return [model for model, facts in MODELS.items() if facts.output and _refuses(asked, facts, name)]


def _refuses(asked: dict[str, Any], facts: Any, name: str) -> bool:
    try:
        check_chat(asked, facts)
    except OpenAIRefusal as refusal:
        named = refusal.body["error"]["param"] == name or name in refusal.args[0]
        return refusal.key in REFUSED and named
    return False


def instead_of(name: str, kind: str, at: tuple[str | int, ...]) -> str:
    """What somebody who wrote `name` at a path may have meant, as a sentence; '' if nothing comes to mind."""
    outer = spelt(at[:-1])
    paths = ("/api/chat", "/api/generate") if kind == "native" else ("/chat/completions",)
    known = {place for path in paths for place in request(kind, path)}
    inside = [place.rpartition(".")[2] for place in known if place.rpartition(".")[0] == outer]
    if kind == "native" and not outer and name in OPTIONS:
        return f'It belongs into options: "options": {{"{name}": …}}.'
    other = "" if outer else TABLE["called"][kind].get(name, "")
    if other.partition(".")[0] in inside:
        return f"Did you mean {other}?"
    close = get_close_matches(name, sorted(inside), 1, 0.82)
    return f"Did you mean {close[0]}?" if close else ""


def spelt(path: tuple[str | int, ...]) -> str:
    """A path as a place: messages[].content."""
    text = "".join("[]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


# --- from the servers' own tables -----------------------------------------------------------------------


def _of_rule(place: str, rule: Rule) -> Iterator[tuple[str, Shape]]:
    yield place, _shape(rule)
    for one in (rule, *rule.either):
        if one.item:
            yield from _of_rule(f"{place}[]", one.item)
        if one.tag:
            yield f"{place}.{one.tag}", Shape("string", choices=tuple(one.variants))
        for variant in one.variants.values():
            yield from (
                pair for pair in _of_rule(place, variant) if pair[0] not in (place, f"{place}.{one.tag}")
            )
        for name, member in (one.members or {}).items():
            yield from _of_rule(f"{place}.{name}", member)


def _shape(rule: Rule) -> Shape:
    if rule.either:
        shapes_of = [_shape(one) for one in rule.either]
        choices = tuple(choice for one in shapes_of for choice in one.choices)
        return Shape(" or ".join(dict.fromkeys(one.kind for one in shapes_of)), "", choices)
    kind = {"decimal": "number", "": "any"}.get(rule.kind, rule.kind)
    unit = {"array": " items", "string": " characters"}.get(rule.kind, "")
    return Shape(kind, _range(rule.least, rule.longest or rule.most, unit), rule.choices)


def _range(least: float | None, most: float | None, unit: str) -> str:
    if most is not None and most > 2**53:
        return ""
    if least is not None and most is not None:
        return f"{plain(least)} to {plain(most)}{unit}"
    if most is not None:
        return f"at most {plain(most)}{unit}"
    return f"at least {plain(least)}{unit}" if least is not None else ""


def _of_go(place: str, wanted: Any) -> Iterator[tuple[str, Shape]]:
    if place:
        yield place, _go_shape(wanted)
    if isinstance(wanted, List):
        yield from _of_go(f"{place}[]", wanted.item)
    elif isinstance(wanted, Struct) and "parameters" not in place:
        for name, inner in wanted.fields.items():
            yield from _of_go(f"{place}.{name}" if place else name, inner)


def _go_shape(wanted: Any) -> Shape:
    if callable(wanted):
        return Shape("any")
    if isinstance(wanted, (Struct, Map)):
        return Shape("object")
    if isinstance(wanted, List):
        return Shape("array")
    return Shape("object" if wanted.startswith("map[") else GO_TYPES.get(wanted, "string"))


def _of_option(name: str) -> Shape:
    return Shape(GO_TYPES.get(OPTIONS[name][0], OPTIONS[name][0]))


def _either(one: Shape, other: Shape) -> Shape:
    kinds = dict.fromkeys([*one.kind.split(" or "), *other.kind.split(" or ")])
    return Shape(
        " or ".join(kinds), one.range or other.range, tuple(dict.fromkeys((*one.choices, *other.choices)))
    )


def _spelt(value: Any) -> str:
    return "by machine" if value is None else str(value).lower()
