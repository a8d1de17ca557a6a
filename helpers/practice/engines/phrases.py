"""The phrase file, read and checked: topics, rules, styles, languages and small tables of what is known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...errors import CourseError
from ..toml import read
from .embedding import Groups

FILE = Path(__file__).with_name("phrases.toml")
FACTS = frozenset(
    "subject asked name city capital number result count tool answer persona memory memory_of said_before "  # noqa: SIM905
    "asked_before context letters word summary sentiment choice translation echo items code extracted "
    "picture picture_size picture_colours picture_colour picture_light picture_texture picture_places "
    "whole stated verdict claim pictures bad_picture long remarks words_wanted reply json language".split()
)
LANGUAGES = ("de", "fr", "es", "pt", "it", "ja")
_TABLES = {
    "strays": str,
    "rules": dict,
    "topic": list,
    "thinking": list,
    "continuing": list,
    "style": list,
    "language": dict,
    "capitals": dict,
    "country_names": dict,
    "values": dict,
    "lists": dict,
    "translations": list,
    "meanings": dict,
    "feelings": dict,
}

Way = tuple[float, str]  # how likely a way of saying is, and its text


@dataclass(frozen=True)
class Phrases:
    """The whole file. `groups` says which words mean much the same."""

    data: dict[str, Any]
    groups: Groups

    def ways(self, topic: dict[str, Any], language: str) -> list[Way]:
        return ways(topic.get(language) or topic["says"])

    def rule(self, name: str, language: str) -> list[Way]:
        rules = self.data["rules"]
        return ways(rules.get(language, {}).get(name) or rules[name])


def load(path: Path = FILE) -> Phrases:
    """Read and check `path`. Raises CourseError that says what to put right."""
    try:
        data = read(path)
    except OSError as error:
        raise CourseError(f"{path.name} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise CourseError(f"{path.name} is no TOML: {error}. Undo the last edit there.") from error
    for wrong in _wrong(data):
        raise CourseError(f"{path.name}: {wrong}")
    return Phrases(data, _groups(data))


def ways(lines: list[str]) -> list[Way]:
    """Lines of "weight | text" as weights and texts."""
    return list(_ways(tuple(lines)))


@lru_cache(maxsize=4096)
def _ways(lines: tuple[str, ...]) -> tuple[Way, ...]:
    made = []
    for line in lines:
        weight, bar, text = line.partition(" | ")
        made.append((float(weight), text) if bar and _is_weight(weight) else (1.0, line))
    return tuple(made)


def parts(text: str) -> list[str]:
    """`text` cut at its {words}: a literal, a word, a literal, a word ... a literal."""
    return re.split(r"\{(\w+)\}", text)


def _is_weight(text: str) -> bool:
    return bool(re.fullmatch(r"\d+(\.\d+)?", text))


def _groups(data: dict[str, Any]) -> Groups:
    rows = data["meanings"]["groups"] + data["translations"]
    found: dict[str, list[str]] = {}
    for row in rows:
        for word in row:
            found.setdefault(word.lower(), []).append(f"{row[0]} {row[-1]}")
    return {word: tuple(dict.fromkeys(groups)) for word, groups in found.items()}


# --- what a teacher may have got wrong ----------------------------------------------------------------------


def _wrong(data: dict[str, Any]) -> Iterator[str]:
    names = {dict: "a table", list: "a list", str: "a text"}
    for table, kind in _TABLES.items():
        if not isinstance(data.get(table), kind):
            yield f"`{table}` must be there and be {names[kind]}."
    rules = {name: lines for name, lines in data["rules"].items() if name not in LANGUAGES}
    places = [(f"rule {name}", lines) for name, lines in rules.items()]
    for language in LANGUAGES:
        own = data["rules"].get(language, {})
        for name in own:
            if name not in rules:
                yield f"rule {name} of rules.{language} is not in [rules]; add it there too."
        places += [(f"rule {name} of rules.{language}", lines) for name, lines in own.items()]
    for part in ("topic", "thinking", "continuing", "style"):
        for n, one in enumerate(data[part], 1):
            place = f'{part} "{one["name"]}"' if "name" in one else f"{part} {n}"
            needed = ("asks",) if part == "style" else ("says",)
            for key in needed:
                if key not in one:
                    yield f"{place} has no `{key}`; give it a list of texts."
            keys = ("says", "before", "after", "word", "asks", "asked", *LANGUAGES)
            places += [(f"`{key}` of {place}", one[key]) for key in keys if key in one]
    yield from _wrong_lines(places, set(rules))
    last = data["topic"][-2:]
    if len(last) < 2 or any("asks" in topic or "needs" in topic for topic in last):
        yield "the last two topics must have no `asks` and no `needs`, so that they fit everything else."
    yield from _wrong_circles(rules)


def _wrong_lines(places: list[tuple[str, Any]], rules: set[str]) -> Iterator[str]:
    for place, lines in places:
        if not isinstance(lines, list) or not lines or not all(isinstance(line, str) for line in lines):
            yield f"{place} must be a list of texts with at least one."
            continue
        for line in lines:
            weight, bar, _ = line.partition(" | ")
            if bar and re.fullmatch(r"[\d.,-]+", weight) and not (_is_weight(weight) and float(weight) > 0):
                yield f'{place}: the weight of "{line}" must be a number above 0.'
            for word in parts(line)[1::2]:
                if word not in rules and word not in FACTS:
                    yield f'{place}: "{line}" names {{{word}}}, which is no rule and no word listed above.'


def _wrong_circles(rules: dict[str, list[str]]) -> Iterator[str]:
    def leads(name: str) -> set[str]:
        return {word for line in rules[name] for word in parts(line)[1::2] if word in rules}

    for name in rules:
        reached, waiting = set[str](), leads(name)
        while waiting:
            one = waiting.pop()
            if one == name:
                yield f"rule {name} leads back to itself, so that its texts would never end."
                return
            if one not in reached:
                reached.add(one)
                waiting |= leads(one)
