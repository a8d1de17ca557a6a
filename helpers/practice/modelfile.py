"""The grammar of a Modelfile as pure functions: text to commands and back, PARAMETER values to their types.

The same state machine as Ollama 0.32.15 (parser/parser.go), so that the same slips give the same complaints.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from typing import NamedTuple

from helpers.errors import CourseError

from . import gojson
from .options import OPTIONS


class Command(NamedTuple):
    """One instruction: `model` for FROM, a parameter's own name for PARAMETER, else its word in lower case.

    The args of a MESSAGE are `role: text`.
    """

    name: str
    args: str


INSTRUCTIONS = (
    "from",
    "license",
    "template",
    "system",
    "adapter",
    "draft",
    "renderer",
    "parser",
    "parameter",
    "message",
    "requires",
)
ROLES = ("system", "user", "assistant")

KINDS = {"integer": "int", "float32": "float", "boolean": "bool", "array": "list"}
PARAMETERS = {name: KINDS[kind] for name, (kind, _) in OPTIONS.items()}
DEPRECATED = (
    "penalize_newline",
    "low_vram",
    "f16_kv",
    "logits_all",
    "vocab_only",
    "use_mlock",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
)

ERRORS = {
    "from": "no FROM line",
    "command": "command must be one of "
    + ", ".join(f'"{name}"' for name in INSTRUCTIONS[:-1])
    + f', or "{INSTRUCTIONS[-1]}"',
    "role": 'message role must be one of "system", "user", or "assistant"',
    "end": "unexpected EOF",
    "parameter": "unknown parameter '{name}'",
    "value": "invalid {kind} value [{value}]",
    "requires": "requires must be a valid semver (e.g. 0.14.0)",
}

_NEWLINES = "\r\n"
_BLANKS = " \t"
_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_TRIM = re.compile(f"^[{_SPACES}]+|[{_SPACES}]+\\Z")


def decode(data: bytes) -> str:
    """The text of a Modelfile: UTF-8, or what its byte order mark says; bad bytes become U+FFFD."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    return data.decode("utf-8", "replace")


def parse(text: str) -> list[Command]:
    """The commands of a Modelfile in order. Raises CourseError in Ollama's words."""
    commands: list[Command] = []
    state = "start"
    name = role = ""
    buffer: list[str] = []
    line = 1

    for letter in text:
        line += letter in _NEWLINES
        word = "".join(buffer) if state != "value" else ""

        if state == "start":
            if letter == "#":
                state = "comment"
            elif letter not in _NEWLINES + _BLANKS:
                state, buffer = "name", [letter] if _printable(letter) else []
            continue
        if state == "comment":
            if letter in _NEWLINES:
                state, buffer = "start", []
            continue

        if state == "value":
            if letter in _NEWLINES:
                value, closed = _unquote("".join(buffer))
                if closed:
                    commands.append(Command(name, f"{role}: {value}" if role else value))
                    state, role, buffer = "start", "", []
                    continue
            if letter in _NEWLINES + _BLANKS or _printable(letter):
                buffer.append(letter)
            continue

        if _is_letter(letter) or (state == "parameter" and (letter == "_" or "0" <= letter <= "9")):
            buffer.append(letter)
            continue
        if letter not in _BLANKS:
            if state == "name":
                raise _at(line, "command")
            raise CourseError(f"{ERRORS['end']}: {word}")
        buffer = []
        if state == "name":
            name = word.lower()
            if name not in INSTRUCTIONS:
                raise _at(line, "command")
            state = {"parameter": "parameter", "message": "message"}.get(name, "value")
            name = "model" if name == "from" else name
        elif state == "parameter":
            name, state = word, "value"
        else:
            if word not in ROLES:
                raise _at(line, "role")
            role, state = word, "value"

    if state == "value":
        value, closed = _unquote("".join(buffer))
        if not closed:
            raise CourseError(ERRORS["end"])
        commands.append(Command(name, f"{role}: {value}" if role else value))
    elif state not in ("start", "comment"):
        raise CourseError(ERRORS["end"])

    if not any(command.name == "model" for command in commands):
        raise CourseError(ERRORS["from"])
    return commands


def render(commands: Iterable[Command]) -> str:
    """The text of a Modelfile, one instruction after the other; values are quoted only where they must be."""
    return "".join(_render(command) + "\n" for command in commands)


def parameters(name: str, value: str) -> int | float | bool | list[str]:
    """The value of `PARAMETER name value` in its type. Raises CourseError for a bad name or value."""
    kind = PARAMETERS.get(name)
    if kind is None:
        raise CourseError(ERRORS["parameter"].format(name=name))
    if kind == "list":
        return [value]
    typed = {"int": _integer, "float": _float, "bool": _boolean}[kind](value)
    if typed is None:
        raise CourseError(ERRORS["value"].format(kind=kind, value=value))
    return typed


def requires(text: str) -> str:
    """The version of `REQUIRES text` without a leading v. Raises CourseError if it is no semantic version."""
    number = r"(0|[1-9]\d*)"
    word = r"[0-9A-Za-z-]+"
    exact = r"(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
    full = rf"{number}\.{number}\.{number}(-{exact}(\.{exact})*)?(\+{word}(\.{word})*)?"
    version = text.removeprefix("v")
    if not re.fullmatch(rf"{number}|{number}\.{number}|{full}", version, re.ASCII):
        raise CourseError(ERRORS["requires"])
    return version


def _at(line: int, error: str) -> CourseError:
    return CourseError(f"(line {line}): {ERRORS[error]}")


def _is_letter(letter: str) -> bool:
    return "a" <= letter <= "z" or "A" <= letter <= "Z"


def _printable(letter: str) -> bool:
    return letter.isprintable()


def _unquote(text: str) -> tuple[str, bool]:
    """The value without its quotes, and whether every quote that was opened has been closed."""
    text = _TRIM.sub("", text)
    for mark in ('"""', '"'):
        if text.startswith(mark):
            closed = len(text) >= 2 * len(mark) and text.endswith(mark)
            return text[len(mark) : -len(mark)] if closed else "", closed
    return text, True


def _quote(text: str) -> str:
    if "\n" in text or text.startswith(" ") or text.endswith(" "):
        return f'"""{text}"""' if '"' in text else f'"{text}"'
    return text


def _render(command: Command) -> str:
    name, args = command
    if name == "model":
        return f"FROM {args}"
    if name == "message":
        role, _, text = args.partition(": ")
        return f"MESSAGE {role} {_quote(text)}"
    if name in INSTRUCTIONS:
        return f"{name.upper()} {_quote(args)}"
    return f"PARAMETER {name} {_quote(args)}"


def _integer(text: str) -> int | None:
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None


def _float(text: str) -> float | None:
    """A 32-bit float, or None; underscores, hexadecimal and infinity as Go takes them."""
    digits, hexes = r"[0-9](_?[0-9])*", r"_?[0-9a-fA-F](_?[0-9a-fA-F])*"
    decimal = rf"[+-]?({digits}\.?({digits})?|\.{digits})([eE][+-]?{digits})?"
    hexadecimal = rf"[+-]?0[xX]({hexes}\.?({hexes})?|\.{hexes})[pP][+-]?{digits}"
    if re.fullmatch(r"[+-]?(inf|infinity)|nan", text, re.IGNORECASE):
        return float(text)
    plain = text.replace("_", "")
    try:
        if re.fullmatch(decimal, text):
            number = float(plain)
        elif re.fullmatch(hexadecimal, text):
            number = float.fromhex(plain)
        else:
            return None
        return None if number in (float("inf"), float("-inf")) else gojson.float32(number)
    except OverflowError:
        return None


def _boolean(text: str) -> bool | None:
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    return False if text in ("0", "f", "F", "FALSE", "false", "False") else None
