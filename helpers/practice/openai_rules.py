"""What a JSON value may be, as data, and what api.openai.com says of one that is not.

A rule names the JSON kinds it takes and, where it has them, limits, choices, members. The texts are those the
API gave to requests recorded or quoted in public repositories; a path reads as there: messages[0].content.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from .errors import OpenAIRefusal

GOT = {
    "null": "null",
    "boolean": "a boolean",
    "integer": "an integer",
    "decimal": "a decimal number",
    "string": "a string",
    "array": "an array",
    "object": "an object",
}


@dataclass(frozen=True)
class Rule:
    """One value: `says` is how an error names what was expected; a limit that is None does not hold."""

    kind: str
    says: str
    least: float | None = None
    most: float | None = None
    longest: int | None = None
    pattern: str = ""
    choices: tuple[str, ...] = ()
    item: Rule | None = None
    members: dict[str, Rule] | None = None
    needed: tuple[str, ...] = ()
    tag: str = ""
    variants: dict[str, Rule] = field(default_factory=dict)
    either: tuple[Rule, ...] = ()


ANYTHING = Rule("", "")
FLAG = Rule("boolean", "a boolean")
MAP = Rule("object", "an object")


def integer(least: int | None = None, most: int | None = None) -> Rule:
    return Rule("integer", "an integer", least, most)


def decimal(least: float | None = None, most: float | None = None) -> Rule:
    return Rule("decimal", "a decimal", least, most)


def text(longest: int | None = None, pattern: str = "") -> Rule:
    return Rule("string", "a string", longest=longest, pattern=pattern)


@lru_cache(maxsize=256)
def choice(*names: str) -> Rule:
    return Rule("string", "one of " + listing(names, "or"), choices=names)


def array(item: Rule, least: int | None = None, most: int | None = None) -> Rule:
    says = {"string": "an array of strings", "object": "an array of objects"}.get(item.kind, "an array")
    return Rule("array", says, least, most, item=item)


def record(members: dict[str, Rule], *needed: str) -> Rule:
    """An object with these members and no other; `needed` are the ones that may not be missing."""
    return Rule("object", "an object", members=members, needed=needed)


def tagged(tag: str, variants: dict[str, Rule]) -> Rule:
    """An object whose member `tag` says which of the variants it is."""
    return Rule("object", "an object", tag=tag, variants=variants)


def either(*rules: Rule) -> Rule:
    names = [rules[0].says, *(rule.says.removeprefix("an ").removeprefix("a ") for rule in rules[1:])]
    return Rule("", "one of " + " or ".join(names), either=rules)


def limited(rule: Rule, most: float | None) -> Rule:
    """The rule with another greatest value."""
    return replace(rule, most=most)


def kind_of(value: Any) -> str:
    if value is None:
        return "null"
    return _KINDS[type(value)]


_KINDS = {bool: "boolean", int: "integer", float: "decimal", str: "string", list: "array", dict: "object"}


def listing(names: tuple[str, ...], word: str = "and") -> str:
    """'a' and 'b'; 'a', 'b', and 'c'."""
    quoted = [f"'{name}'" for name in names]
    if len(quoted) < 3:
        return f" {word} ".join(quoted)
    return ", ".join(quoted[:-1]) + f", {word} {quoted[-1]}"


def plain(number: float) -> str:
    """A number as the API repeats it: 2, 0.5."""
    return str(int(number)) if number == int(number) else f"{number:g}"


def check(value: Any, rule: Rule, path: str) -> None:
    """Raises OpenAIRefusal, in the API's words, for the first thing in `value` that breaks `rule`."""
    got = kind_of(value)
    if rule.either:
        fits = [one for one in rule.either if one.kind == got]
        rule = fits[0] if fits else replace(rule, kind="none of them")
    if rule.kind and rule.kind != got and (rule.kind, got) != ("decimal", "integer"):
        raise OpenAIRefusal("type", path, expected=rule.says, got=GOT[got])
    if rule.kind in ("integer", "decimal"):
        _check_number(value, rule, path)
    elif rule.kind == "string":
        _check_text(value, rule, path)
    elif rule.kind == "array":
        _check_array(value, rule, path)
    elif rule.kind == "object":
        _check_object(value, rule, path)


def _check_number(value: float, rule: Rule, path: str) -> None:
    words = {"kind": rule.kind, "value": plain(value) if abs(value) < 1e300 else value}
    if rule.most is not None and value > rule.most:
        raise OpenAIRefusal("above", path, limit=plain(rule.most), **words)
    if rule.least is not None and value < rule.least:
        raise OpenAIRefusal("below", path, limit=plain(rule.least), **words)


def _check_text(value: str, rule: Rule, path: str) -> None:
    if rule.choices and value not in rule.choices:
        raise OpenAIRefusal("value", path, value=value, supported=listing(rule.choices))
    if rule.longest is not None and len(value) > rule.longest:
        raise OpenAIRefusal("long text", path, limit=rule.longest, value=len(value))
    if rule.pattern and not re.search(rule.pattern, value):
        raise OpenAIRefusal("pattern", path, pattern=rule.pattern)


def _check_array(value: list[Any], rule: Rule, path: str) -> None:
    if rule.least and not value:
        raise OpenAIRefusal("empty", path)
    if rule.most is not None and len(value) > rule.most:
        raise OpenAIRefusal("long", path, limit=plain(rule.most), value=len(value))
    for index, item in enumerate(value):
        check(item, rule.item or ANYTHING, f"{path}[{index}]")


def _check_object(value: dict[str, Any], rule: Rule, path: str) -> None:
    if rule.tag:
        where = f"{path}.{rule.tag}"
        named = value.get(rule.tag)
        if named is None:
            raise OpenAIRefusal("missing", where)
        check(named, choice(*rule.variants), where)
        rule = rule.variants[named]
    if rule.members is None:
        return
    for name in rule.needed:
        if value.get(name) is None:
            raise OpenAIRefusal("missing", f"{path}.{name}")
    for name in value:
        if name not in rule.members:
            raise OpenAIRefusal("unknown member", f"{path}.{name}")
    for name, member in rule.members.items():
        if value.get(name) is not None:
            check(value[name], member, f"{path}.{name}")
