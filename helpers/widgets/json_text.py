"""JSON text with its places: what a value is, where it stands, what is wrong there; and small changes to it.

Python's json says one thing about the first mistake and nothing about where values stand. json-source-map
does the second by recursion, for correct text only; dirtyjson and json5 silently mend what should be told;
tree-sitter-json marks a mistake without saying what it is. Hence this one pass over the text, which neither
recurses nor looks at a character twice.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NamedTuple, NoReturn

DEEPEST = 200  # objects and lists within each other; Python's own json gives up at some hundreds

Path = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_WORD = re.compile(r"[-+.\w$]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_HALF = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_LITERALS = {"true": True, "false": False, "null": None}
_PYTHON = {"True": "true", "False": "false", "None": "null", "undefined": "null", "nil": "null"}
_NO_NUMBERS = ("NaN", "Infinity", "-Infinity", "+Infinity", "inf", "-inf", "nan")
_QUOTES = "'\u2018\u2019\u201c\u201d\u00ab\u00bb`"


class Place(NamedTuple):
    """Where a value stands: `start` to `end`; `name` is where its member's name stands, quotes included."""

    start: int
    end: int
    name: tuple[int, int] | None = None


class Fault(NamedTuple):
    """Something wrong at a place of the text; offsets count code points."""

    start: int
    end: int
    message: str
    severity: str = "error"


@dataclass
class Scan:
    """A text that was read: its value, the place of every value in it, and what is wrong.

    `value` means nothing where a fault is an error.
    """

    value: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    @property
    def broken(self) -> bool:
        return any(fault.severity == "error" for fault in self.faults)


def scan(text: str) -> Scan:
    """Read the whole text in one pass. Raises nothing: what is no JSON is a fault."""
    reader = _Reader(text)
    try:
        reader.run()
    except _Broken as broken:
        reader.found.faults.append(broken.fault)
    return reader.found


class Lines:
    """The lines of a text: turns an offset into words. Counts from 1, as editors do."""

    def __init__(self, text: str) -> None:
        self.starts = [0, *(match.end() for match in re.finditer("\r\n|\r|\n", text))]

    def of(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1

    def words(self, offset: int) -> str:
        line, column = self.of(offset)
        return f"Line {line}, column {column}"


class _Broken(Exception):
    def __init__(self, fault: Fault) -> None:
        self.fault = fault


@dataclass
class _Open:
    """An object or list that is not yet closed; `key` is the name whose value comes next."""

    box: Any
    path: Path
    start: int
    name: tuple[int, int] | None
    key: str = ""
    key_place: tuple[int, int] | None = None

    @property
    def end(self) -> str:
        return "}" if isinstance(self.box, dict) else "]"


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.open: list[_Open] = []
        self.found = Scan()
        self.wanted = True  # a value comes next

    def run(self) -> None:
        if self.text.startswith("\ufeff"):
            self.fail("The text begins with an invisible byte order mark. Delete it.", 0, 1)
        if not self.text.strip(" \t\r\n"):
            self.fail(
                'There is nothing here. A payload begins with { and names a "model".', 0, len(self.text)
            )
        while self.wanted or self.open:
            (self.value if self.wanted else self.separator)()
        if (rest := self.blank()) and self.at < len(self.text):
            self.fail(
                f"The JSON ended before this {rest!r}. Delete what follows it.", self.at, len(self.text)
            )

    def fail(self, message: str, start: int | None = None, end: int | None = None) -> NoReturn:
        start = self.at if start is None else start
        raise _Broken(Fault(start, min(len(self.text), start + 1) if end is None else end, message))

    def note(self, message: str, start: int, end: int, severity: str = "error") -> None:
        self.found.faults.append(Fault(start, end, message, severity))

    def blank(self) -> str:
        """Pass over blanks; return the character that comes then, '' at the end."""
        match = _BLANK.match(self.text, self.at)
        assert match
        self.at = match.end()
        return self.text[self.at : self.at + 1]

    # --- values

    def value(self) -> None:
        char, start = self.blank(), self.at
        if char in ("{", "["):
            self.begin({} if char == "{" else [])
        elif char == '"':
            self.keep(self.string(), start)
        else:
            match = _WORD.match(self.text, start)
            word = match[0] if match else char
            if word in _LITERALS:
                self.at += len(word)
                self.keep(_LITERALS[word], start)
            elif (number := _NUMBER.match(self.text, start)) and number[0] == word:
                self.at += len(word)
                self.keep(self.number(word, start), start)
            else:
                self.no_value(word)

    def begin(self, box: Any) -> None:
        if len(self.open) >= DEEPEST:
            self.fail(f"More than {DEEPEST} objects and lists lie within each other. Make it flatter.")
        start, inside = self.at, self.open[-1] if self.open else None
        path = self.keep(box, start)
        self.open.append(_Open(box, path, start, inside.key_place if inside else None))
        self.at += 1
        if self.blank() == self.open[-1].end:
            self.close()
        elif isinstance(box, dict):
            self.member()
        else:
            self.wanted = True

    def close(self) -> None:
        self.at += 1
        closed = self.open.pop()
        self.found.places[closed.path] = Place(closed.start, self.at, closed.name)
        self.wanted = False

    def member(self, comma: int | None = None) -> None:
        """A name and its colon; `comma` is where the comma before it stands."""
        char, start = self.blank(), self.at
        if char != '"':
            self.no_name(char, comma)
        inside = self.open[-1]
        inside.key, inside.key_place = self.string(), (start, self.at)
        if inside.key in inside.box:
            self.repeated(inside)
        char = self.blank()
        if char != ":":
            hint = " JSON writes : and not =." if char == "=" else ""
            self.fail(f"A colon is missing after the name {inside.key!r}.{hint}", start, inside.key_place[1])
        self.at += 1
        self.wanted = True

    def repeated(self, inside: _Open) -> None:
        first = self.found.places[inside.path + (inside.key,)].name
        assert first and inside.key_place
        self.note(
            f"{_shown(inside.key)} comes twice: servers take only the last one. Delete one of them.",
            *inside.key_place,
            "warning",
        )

    def separator(self) -> None:
        char, inside, end = self.blank(), self.open[-1], self.at
        if char == inside.end:
            self.close()
        elif char == ",":
            self.at += 1
            if isinstance(inside.box, dict):
                self.member(comma=end)
            elif self.blank() == "]":
                self.fail("JSON has no comma before ]. Delete the comma.", end, end + 1)
            else:
                self.wanted = True
        elif char in ("}", "]"):
            opened = "{" if inside.end == "}" else "["
            self.fail(f"This {char} closes a {opened}: write {inside.end} instead.")
        elif not char:
            self.ends()
        elif char in "/#":
            self.fail("JSON has no comments. Delete it.", self.at, self.line_end())
        else:
            before = len(self.text[:end].rstrip())
            self.fail(f"A comma or {inside.end} is missing before this.", before, end + 1)

    def keep(self, value: Any, start: int) -> Path:
        self.wanted = False
        if not self.open:
            self.found.value = value
            path: Path = ()
            self.found.places[path] = Place(start, self.at)
            return path
        inside = self.open[-1]
        if isinstance(inside.box, dict):
            inside.box[inside.key] = value
            path = (*inside.path, inside.key)
        else:
            inside.box.append(value)
            path = (*inside.path, len(inside.box) - 1)
        self.found.places[path] = Place(start, self.at, inside.key_place)
        return path

    def string(self) -> str:
        start = self.at
        try:
            value, self.at = scanstring(self.text, start + 1, True)
        except json.JSONDecodeError as error:
            self.bad_string(start, error)
        if not value.isascii() and (half := _SURROGATE.search(value)):
            self.half(start, half[0])
        return value

    def half(self, start: int, half: str) -> None:
        raw = _SURROGATE.search(self.text, start, self.at)
        at = raw.start() if raw else _half_escape(self.text, start, self.at)
        length = 1 if raw else 6
        self.note(
            f"Half of a character (U+{ord(half):04X}) cannot be sent. Write the whole, or delete it.",
            at,
            at + length,
        )

    def number(self, word: str, start: int) -> Any:
        whole = word.lstrip("-").isdigit()
        if float(word) in (float("inf"), float("-inf")):
            digits = f"A number of {len(word.lstrip('-')):,} digits" if whole else word
            self.note(f"{digits} is larger than any number a program reads, about 1.8e308.", start, self.at)
            return 0
        return int(word) if whole else float(word)

    # --- what is wrong

    def no_value(self, word: str) -> NoReturn:
        end = self.at + max(1, len(word))
        inside = self.open[-1] if self.open else None
        if not word:
            self.ends()
        if word in _PYTHON:
            self.fail(f"JSON writes {_PYTHON[word]}, not {word}.", end=end)
        if word in _NO_NUMBERS:
            self.fail(f"{word} is no number in JSON. Write null, or leave the field out.", end=end)
        if word in _QUOTES:
            self.fail(f'A text stands in straight double quotes in JSON: "…", not {word}.', end=end)
        if word in "/#":
            self.fail("JSON has no comments. Delete it.", end=self.line_end())
        if word in "}],:" and inside and isinstance(inside.box, dict):
            self.fail(f"The value of {_shown(inside.key)} is missing.", end=end)
        if word in "}],:":
            self.fail("A value is missing before this.", end=end)
        if word[0] in "+-.0123456789":
            self.fail(f"{_short(word)} is no number in JSON, which writes 0.5, -1 or 1e6.", end=end)
        if word[0].isalpha() or word[0] in "_$":
            self.fail(
                f'A text stands in double quotes in JSON: "{_short(word)}".',
                end=end,
            )
        self.stray(word[0])

    def no_name(self, char: str, comma: int | None) -> NoReturn:
        if not char:
            self.ends()
        if char == "}" and comma is not None:
            self.fail("JSON has no comma before }. Delete the comma.", comma, comma + 1)
        if char in "/#":
            self.fail("JSON has no comments. Delete it.", end=self.line_end())
        match = _WORD.match(self.text, self.at)
        if match:
            word = _short(match[0])
            self.fail(f'A name stands in double quotes in JSON: "{word}", not {word}.', end=match.end())
        if char in _QUOTES:
            self.fail(f'A name stands in straight double quotes in JSON: "…", not {char}.')
        if char in ",:":
            self.fail("A name is missing before this.")
        self.stray(char)

    def stray(self, char: str) -> NoReturn:
        if not char.isprintable() or char.isspace():
            self.fail(f"An invisible character (U+{ord(char):04X}) stands here. Delete it.")
        self.fail(f"JSON has no place for {char} here. Delete it.")

    def bad_string(self, start: int, error: json.JSONDecodeError) -> NoReturn:
        at = min(error.pos, len(self.text))
        if error.msg.startswith("Unterminated"):
            self.fail('The text that begins here has no closing ".', start, self.line_end())
        if error.msg.startswith("Invalid control"):
            if self.text[at] in "\r\n":
                self.fail(
                    'The text has no closing " on its line. A line break in a text is written \\n.', start, at
                )
            self.fail(
                f"The invisible character U+{ord(self.text[at]):04X} may not stand in a text. A tab is \\t.",
                at,
                at + 1,
            )
        slash = self.text.rfind("\\", start, at + 1)
        shown = self.text[slash : slash + 2]
        if shown == "\\u":
            self.fail("After \\u come four digits of 0-9 and a-f.", slash, min(len(self.text), slash + 6))
        self.fail(
            f"{_shown(shown)} means nothing in JSON. Write \\\\ for a backslash.", slash, slash + len(shown)
        )

    def ends(self) -> NoReturn:
        if not self.open:
            self.fail("The text ends where a value is expected.", len(self.text), len(self.text))
        inside = self.open[-1]
        opened = self.text[inside.start]
        where = Lines(self.text).words(inside.start).lower()
        self.fail(
            f"The text ends, but the {opened} of {where} is still open. Close it with {inside.end}.",
            inside.start,
            inside.start + 1,
        )

    def line_end(self) -> int:
        match = re.compile("[\r\n]").search(self.text, self.at)
        return match.start() if match else len(self.text)


def _half_escape(text: str, start: int, end: int) -> int:
    """Where the first \\u escape of half a character stands, whole ones passed over."""
    at = start
    while match := _HALF.search(text, at, end):
        after = _HALF.match(text, match.end(), end)
        if match[0][3] in "89abAB" and after and after[0][3] in "cdefCDEF":
            at = after.end()
        else:
            return match.start()
    return start


def _short(word: str) -> str:
    return word if len(word) <= 24 else word[:24] + "…"


def _shown(text: str) -> str:
    return json.dumps(_short(text), ensure_ascii=False) if text.isprintable() else json.dumps(_short(text))


# --- small changes that leave the rest of the text as it was typed ----------------------------------------


def dumped(value: Any, lines: bool = False) -> str:
    """`value` as JSON, on one line or on as many as it needs."""
    return json.dumps(value, ensure_ascii=False, indent=2 if lines else None)


def put(text: str, found: Scan, path: Path, value: Any) -> str:
    """The text with `value` at `path`: put over what stands there, or as a new last member.

    `found` is the text's own scan, without an error; all of the path but its last step must be there.
    """
    place = found.places.get(path)
    if place:
        return text[: place.start] + _laid(text, place.start, value) + text[place.end :]
    outer = found.places[path[:-1]]
    inside = _at(found.value, path[:-1])
    margin = _margin(text, found, path[:-1], inside)
    own = f"{dumped(path[-1])}: " if isinstance(path[-1], str) else ""
    made = margin + own + dumped(value, "\n" in margin).replace("\n", margin)
    if not inside:
        closing = "\n" + _indent(text, outer.start) if "\n" in margin else ""
        return text[: outer.start + 1] + made + closing + text[outer.end - 1 :]
    end = max(found.places[path[:-1] + (key,)].end for key in _keys(inside))
    return text[:end] + "," + made + text[end:]


def drop(text: str, found: Scan, path: Path) -> str:
    """The text without the member or item at `path`, its comma included; as it is if there is none."""
    place = found.places.get(path)
    if place is None or not path:
        return text
    inside = _at(found.value, path[:-1])
    start = _begin(place, inside)
    others = [found.places[path[:-1] + (key,)] for key in _keys(inside) if key != path[-1]]
    before = max((one.end for one in others if one.end <= start), default=None)
    if before is not None:
        return text[:before] + text[place.end :]
    after = min((_begin(one, inside) for one in others), default=None)
    if after is not None:
        return text[:start] + text[after:]
    outer = found.places[path[:-1]]
    return text[: outer.start + 1] + text[outer.end - 1 :]


def _begin(place: Place, inside: Any) -> int:
    """Where a member of `inside` begins: an object's with its name."""
    return place.name[0] if place.name and isinstance(inside, dict) else place.start


def _keys(inside: Any) -> list[Any]:
    return list(inside) if isinstance(inside, dict) else list(range(len(inside)))


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def _indent(text: str, offset: int) -> str:
    line = text[max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1 : offset]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _margin(text: str, found: Scan, outer: Path, inside: Any) -> str:
    """What stands between a comma and the next member here: a blank, or a line break with its indent."""
    if not inside:
        return "\n" + _indent(text, found.places[outer].start) + "  " if "\n" in text else ""
    begins = [_begin(found.places[outer + (key,)], inside) for key in _keys(inside)]
    last = max(begins)
    before = max((begin for begin in begins if begin < last), default=found.places[outer].start)
    return "\n" + _indent(text, last) if "\n" in text[before:last] else " "


def _laid(text: str, offset: int, value: Any) -> str:
    """`value` as JSON, its further lines indented as the line at `offset` is."""
    return dumped(value, "\n" in text).replace("\n", "\n" + _indent(text, offset))
