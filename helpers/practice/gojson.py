"""JSON as Go's encoding/json reads and writes it, error texts included.

Ollama is written in Go, and its clients see Go's habits: which bytes are escaped, how a float is spelt, and
what is said about a body that does not fit. Source of the texts: encoding/json of Go 1.26 (scanner.go,
decode.go).
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import struct
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

from .cli_format import quote_letter

_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
_ESCAPED = re.compile("[<>&\u2028\u2029]")
_PYTHON_FLOAT = re.compile(r"\de[-+]\d|\.0(?!\d)")  # what Go spells in another way
_MARK = secrets.token_hex(8)  # of a float inside a text, which nobody else can have written
_MARKED_FLOAT = re.compile(rf'"{_MARK}([^"]*)"')
_SURROGATE = re.compile("[\ud800-\udfff]")


class BadBody(ValueError):
    """The body is not JSON, or not of the wanted shape; the text is Go's own."""


# --- writing --------------------------------------------------------------------------------------


def encode(value: Any) -> bytes:
    """`value` as compact JSON in UTF-8, `<`, `>` and `&` escaped, floats spelt as Go spells them."""
    text = _dumps(value)
    if _PYTHON_FLOAT.search(text):
        text = _MARKED_FLOAT.sub(r"\1", _dumps(_mark_floats(value)))
    if _ESCAPED.search(text):
        text = text.translate(_ESCAPES)
    return text.encode("utf-8", "replace")


_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _mark_floats(value: Any) -> Any:
    if isinstance(value, float):
        return _MARK + spell(value)
    if isinstance(value, dict):
        return {k: _mark_floats(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mark_floats(v) for v in value]
    return value


def spell(number: float) -> str:
    """A float as encoding/json spells it: shortest digits, exponent only below 1e-6 or from 1e21."""
    if number == 0:
        return "-0" if str(number)[0] == "-" else "0"
    if 1e-6 <= abs(number) < 1e21:
        return format(Decimal(repr(number)), "f").removesuffix(".0")
    return re.sub(r"e([-+])0*(\d)", r"e\1\2", repr(number).replace(".0e", "e"))


def float32(number: float) -> float:
    """The float whose repr is the shortest spelling of `number` in 32 bits, as Go writes a float32."""
    packed = struct.pack("<f", number)
    (number,) = struct.unpack("<f", packed)
    for digits in (6, 7, 8):
        short = float(f"{number:.{digits}g}")
        if struct.pack("<f", short) == packed:
            return short
    return float(f"{number:.9g}")


# --- reading --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Struct:
    """A Go struct: its type as error texts spell it, its fields, and the name its fields are reported under.

    A field's type is Go's own spelling of a plain type, another Struct, a List, or a function that makes the
    value and may raise BadBody. Without `root` the fields are reported under the enclosing struct's. One with
    a decoder of its `own` ends the reading with its first error; others are read on to the end.
    """

    go: str
    fields: dict[str, Any]
    root: str | None = None
    own: bool = False


@dataclass(frozen=True)
class List:
    """A Go slice of `item`s and its type as error texts spell it."""

    go: str
    item: Any


@dataclass(frozen=True)
class Map:
    """A Go map from strings to `item`s and its type as error texts spell it.

    `refusal` is what its own decoder says of anything but an object, where it has one.
    """

    go: str
    item: Any
    refusal: str = ""

    @property
    def own(self) -> bool:
        return bool(self.refusal)


def decode(body: bytes, shape: Struct, *, empty: str = "EOF") -> dict[str, Any]:
    """The first JSON value of `body`, fitted to `shape`; unknown keys are dropped, null counts as absent.

    Raises BadBody with Go's text; an empty body gives the text `empty`.
    """
    if not body.strip(b" \t\r\n"):
        raise BadBody(empty)
    value = parse(body)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadBody(f"json: cannot unmarshal {_kind(value)} into Go value of type {shape.go}")
    first_misfit: list[str] = []
    fitted = _fit_struct(value, shape, "", "", first_misfit)
    if first_misfit:
        raise BadBody(first_misfit[0])
    return fitted


def parse(body: bytes) -> Any:
    """The first JSON value of `body`, whatever follows it. Raises BadBody with Go's text."""
    text = body.decode("utf-8", "replace").lstrip(" \t\r\n")
    try:
        value, _ = _DECODER.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise BadBody(syntax_error(body)) from error
    return _without_surrogates(value) if "\\u" in text else value


def raw_member(body: bytes, name: str) -> str:
    """How the value of a member is spelled in the object that `body` is; of several the last."""
    text = body.decode("utf-8", "replace")
    found, at = "", _member(text, 0) + 1
    while text[at := _member(text, at)] != "}":
        key, at = _DECODER.raw_decode(text, at)
        start = _member(text, at)
        _, at = _DECODER.raw_decode(text, start)
        if key.lower() == name:
            found = text[start:at]
    return found


_BETWEEN = " \t\r\n,:"  # what stands between keys and values


def _member(text: str, at: int) -> int:
    """Where the next key or value begins."""
    while text[at] in _BETWEEN:
        at += 1
    return at


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_without_surrogates(k): _without_surrogates(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(v) for v in value]
    return value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _fit_struct(
    value: dict[str, Any], shape: Struct, root: str, path: str, misfits: list[str]
) -> dict[str, Any]:
    fitted: dict[str, Any] = {}
    root = root if shape.root is None else shape.root
    for key, item in value.items():
        name = key if key in shape.fields else key.lower()
        wanted = shape.fields.get(name)
        if wanted is not None and item is not None:
            fitted[name] = _fit(item, wanted, root, f"{path}.{name}" if path else name, misfits)
    return fitted


def _fit(value: Any, wanted: Any, root: str, path: str, misfits: list[str]) -> Any:
    if not (isinstance(wanted, (Struct, Map)) and wanted.own):
        return _fitted(value, wanted, root, path, misfits)
    inside: list[str] = []
    fitted = _fitted(value, wanted, root, path, inside)
    if inside:
        raise BadBody(inside[0])
    return fitted


def _fitted(value: Any, wanted: Any, root: str, path: str, misfits: list[str]) -> Any:
    if callable(wanted):
        return wanted(value)
    kind = _kind(value)
    if isinstance(wanted, Struct):
        if kind == "object":
            return _fit_struct(value, wanted, root, path, misfits)
        wanted = wanted.go
    elif isinstance(wanted, List):
        if kind == "array":
            return [_fit_item(item, wanted.item, root, path, misfits) for item in value]
        wanted = wanted.go
    elif isinstance(wanted, Map):
        if kind == "object":
            return {key: _fit_item(item, wanted.item, root, path, misfits) for key, item in value.items()}
        if wanted.refusal:
            misfits.append(wanted.refusal)
            return None
        wanted = wanted.go
    elif wanted == "any" or _FITS.get(wanted) == kind:
        return value
    elif wanted in _RANGES and kind == "number":
        if isinstance(value, int) and value in _RANGES[wanted]:
            return value
        kind = f"number {spell(value) if isinstance(value, float) else value}"
    elif wanted == "api.PropertyType":
        if kind == "string":
            return value
        return _fit(value, List("[]string", "string"), root, path, misfits)
    elif wanted == "api.ImageData" and kind == "array":
        return bytes(_fit_item(item, "uint8", root, path, misfits) or 0 for item in value)
    elif wanted == "api.ImageData" and kind == "string":
        try:
            return decode_base64(value)
        except BadBody as error:
            misfits.append(str(error))
            return b""
    misfits.append(f"json: cannot unmarshal {kind} into Go struct field {root}.{path} of type {wanted}")
    return None


def _fit_item(item: Any, wanted: Any, root: str, path: str, misfits: list[str]) -> Any:
    """One item of a list or map; null leaves it at its type's zero, unless that has a decoder of its own."""
    if item is not None or callable(wanted):
        return _fit(item, wanted, root, path, misfits)
    return {} if isinstance(wanted, Struct) else _ZEROS.get(wanted) if isinstance(wanted, str) else None


_RANGES = {"int": range(-(2**63), 2**63), "uint8": range(256)}
_ZEROS: dict[str, Any] = {
    "string": "",
    "int": 0,
    "uint8": 0,
    "bool": False,
    "float64": 0.0,
    "api.ImageData": b"",
}
_FITS = {
    "string": "string",
    "bool": "bool",
    "float64": "number",
    "float32": "number",
    "map[string]interface {}": "object",
}


def decode_base64(text: str) -> bytes:
    """Standard base64, line ends allowed. Raises BadBody naming the first bad byte, as Go does."""
    clean = text.replace("\r", "").replace("\n", "")
    if not _BASE64(clean):
        raise BadBody(f"illegal base64 data at input byte {_bad_byte(text)}")
    return base64.b64decode(clean)


_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?").fullmatch
_LETTER = re.compile(r"[A-Za-z0-9+/]").match


def _bad_byte(text: str) -> int:
    """Where base64 that cannot be read goes wrong: encoding/base64's decodeQuantum, step by step."""
    letters = 0  # of the four that belong together
    for at, letter in enumerate(text):
        if letter in "\r\n":
            continue
        if _LETTER(letter):
            letters = (letters + 1) % 4
            continue
        rest = text[at + 1 :].lstrip("\r\n")
        if letter != "=" or letters < 2 or (letters == 2 and rest[:1] not in ("", "=")):
            return at
        if letters == 2 and not rest:
            return len(text)
        return len(text) - len(rest[1:].lstrip("\r\n") if letters == 2 else rest)
    return len(text) - letters


# --- what Go says of a body that is not JSON ------------------------------------------------------


def syntax_error(body: bytes) -> str:
    """Go's text for the first thing wrong in `body`, which Python's json has already refused."""
    scan = _Scanner(body)
    try:
        scan.value()
        if body[scan.at :].strip(b" \t\r\n"):
            scan.next()
            scan.fail("after top-level value")
    except BadBody as error:
        return str(error)
    except IndexError:
        return "unexpected EOF"
    except RecursionError:
        return "exceeded max depth"
    return "number too long"


class _Scanner:
    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 0

    def fail(self, where: str) -> NoReturn:
        raise BadBody(f"invalid character {quote_letter(chr(self.body[self.at]))} {where}")

    def next(self) -> int:
        while self.body[self.at] in b" \t\r\n":
            self.at += 1
        return self.body[self.at]

    def value(self) -> None:
        byte = self.next()
        if byte in b"{[":
            self.at += 1
            (self.object if byte == 0x7B else self.array)()
        elif byte == 0x22:
            self.string()
        elif byte in b"-0123456789":
            self.number()
        elif byte in b"tfn":
            self.literal({0x74: b"true", 0x66: b"false", 0x6E: b"null"}[byte])
        else:
            self.fail("looking for beginning of value")

    def object(self) -> None:
        if self.next() == 0x7D:
            self.at += 1
            return
        while True:
            if self.next() != 0x22:
                self.fail("looking for beginning of object key string")
            self.string()
            if self.next() != 0x3A:
                self.fail("after object key")
            self.at += 1
            self.value()
            byte = self.next()
            if byte not in b",}":
                self.fail("after object key:value pair")
            self.at += 1
            if byte == 0x7D:
                return

    def array(self) -> None:
        if self.next() == 0x5D:
            self.at += 1
            return
        while True:
            self.value()
            byte = self.next()
            if byte not in b",]":
                self.fail("after array element")
            self.at += 1
            if byte == 0x5D:
                return

    def string(self) -> None:
        self.at += 1
        while (byte := self.body[self.at]) != 0x22:
            if byte < 0x20:
                self.fail("in string literal")
            self.at += 1
            if byte == 0x5C:
                escape = self.body[self.at]
                if escape not in b'bfnrt\\/"u':
                    self.fail("in string escape code")
                self.at += 1
                for _ in range(4 if escape == 0x75 else 0):
                    if self.body[self.at] not in b"0123456789abcdefABCDEF":
                        self.fail("in \\u hexadecimal character escape")
                    self.at += 1
        self.at += 1

    def literal(self, word: bytes) -> None:
        for letter in word:
            if self.body[self.at] != letter:
                self.fail(f"in literal {word.decode()} (expecting '{chr(letter)}')")
            self.at += 1

    def number(self) -> None:
        if self.body[self.at] == 0x2D:
            self.at += 1
            if self.body[self.at] not in b"0123456789":
                self.fail("in numeric literal")
        if self.body[self.at] == 0x30:
            self.at += 1
        else:
            self.digits()
        if self.body[self.at : self.at + 1] == b".":
            self.at += 1
            self.need_digit("after decimal point in numeric literal")
        if self.body[self.at : self.at + 1] in (b"e", b"E"):
            self.at += 1
            if self.body[self.at] in b"+-":
                self.at += 1
            self.need_digit("in exponent of numeric literal")

    def need_digit(self, where: str) -> None:
        if self.body[self.at] not in b"0123456789":
            self.fail(where)
        self.digits()

    def digits(self) -> None:
        while self.body[self.at : self.at + 1].isdigit():
            self.at += 1
