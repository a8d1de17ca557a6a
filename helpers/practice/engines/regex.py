"""Texts that a regular expression matches, made from its own parse tree."""

from __future__ import annotations

import re
import sys
from random import Random
from typing import Any

if sys.version_info >= (3, 11):
    from re import _parser as parser  # type: ignore[attr-defined]
else:
    import sre_parse as parser

MORE = 3  # how often an open repetition goes round beyond its least
LONGEST = 400  # characters in one text
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ANY = _LETTERS + _LETTERS.upper() + "0123456789"
_CLASSES = {
    "CATEGORY_DIGIT": "0123456789",
    "CATEGORY_NOT_DIGIT": _LETTERS,
    "CATEGORY_WORD": _ANY + "_",
    "CATEGORY_NOT_WORD": "-. !",
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_SPACE": _ANY,
}


def matching(pattern: str, random: Random, more: int = MORE) -> str:
    """A text in which `pattern` is found; one of several by `random`, longer with more `more`.

    Look-arounds are passed over, so the text is to be checked. Raises ValueError for what is no pattern.
    """
    try:
        tree = parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(str(error)) from error
    return _Writer(random, more).text(tree)


class _Writer:
    def __init__(self, random: Random, more: int) -> None:
        self.random = random
        self.more = more
        self.groups: dict[int, str] = {}
        self.length = 0

    def text(self, tree: Any) -> str:
        return "".join(self.part(str(kind), value) for kind, value in tree)

    def part(self, kind: str, value: Any) -> str:
        if kind == "LITERAL":
            return self.write(chr(value))
        if kind == "NOT_LITERAL":
            return self.write(self.random.choice(_ANY.replace(chr(value), "")))
        if kind == "ANY":
            return self.write(self.random.choice(_LETTERS))
        if kind == "IN":
            return self.write(self.random.choice(_letters(value) or "a"))
        if kind == "BRANCH":
            return self.text(self.random.choice(value[1]))
        if kind == "SUBPATTERN":
            made = self.text(value[3])
            if value[0] is not None:
                self.groups[value[0]] = made
            return made
        if kind == "ATOMIC_GROUP":
            return self.text(value)
        if kind == "GROUPREF":
            return self.write(self.groups.get(value, ""))
        if kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            return self.repeated(*value)
        return ""  # an anchor or a look-around

    def repeated(self, least: int, most: int, tree: Any) -> str:
        most = max(least, min(most, least + self.more))
        parts: list[str] = []
        for _ in range(self.random.randint(least, most)):
            if self.length > LONGEST:
                break
            parts.append(self.text(tree))
        return "".join(parts)

    def write(self, text: str) -> str:
        self.length += len(text)
        return text


def _letters(choices: Any) -> str:
    """The letters a set allows, at most about a hundred, printable ones where there are any."""
    negated = bool(choices) and str(choices[0][0]) == "NEGATE"
    named: list[str] = []
    for kind, value in choices:
        if str(kind) == "LITERAL":
            named.append(chr(value))
        elif str(kind) == "RANGE":
            named += [chr(code) for code in range(value[0], min(value[1], value[0] + 100) + 1)]
        elif str(kind) == "CATEGORY":
            named += _CLASSES.get(str(value), "")
    if negated:
        return "".join(letter for letter in _ANY + " -_." if letter not in named)
    return "".join(letter for letter in named if letter.isprintable()) or "".join(named)
