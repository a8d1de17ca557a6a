"""The header of a GGUF file: metadata and the list of tensors. Weights are measured, not read.

Sources: the GGUF specification (ggml, docs/gguf.md); what is said of a broken file, and every limit, is
ollama's fs/ggml/gguf.go, v0.32.15. No more is read or kept than the file really holds, whatever it announces.
"""

from __future__ import annotations

import math
import mmap
import struct
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from .gojson import float32

MAGIC = b"GGUF"
MAGICS = {MAGIC: "<", b"FUGG": ">"}

# number: name, how many weights make a block, bytes of a block (0: a type that Ollama cannot measure)
TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36), 10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8),
    28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 0),
    35: ("TQ2_0", 256, 0), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip
NUMBERS = {name: number for number, (name, _, _) in TYPES.items()}
FILE_TYPES = {
    1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S",
    27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0",
    38: "MXFP4_MOE", 39: "NVFP4", 40: "Q1_0",
}  # fmt: skip

_FLOAT32, _BOOL, _STRING, _ARRAY = 6, 7, 8, 9
_SCALARS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", _FLOAT32: "f", _BOOL: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
_LONGEST_INT, _LONGEST_TEXT, _LONGEST_ARRAY, _MOST_SIDES = 2**63 - 1, 16 << 20, 64 << 20, 4
_MOST = 2**64 - 1


class NotGGUF(ValueError):
    """The file is not a GGUF file this project can read; the text is the server's own."""


class Tensor(NamedTuple):
    name: str
    type: str
    shape: list[int]

    @property
    def size(self) -> int:
        """Bytes of its weights."""
        _, block, size = TYPES[NUMBERS[self.type]]
        return math.prod(self.shape) // block * size


class Header(NamedTuple):
    """`size` is where the header ends in its file; `weightless`: nothing follows it, as with a stand-in."""

    metadata: dict[str, Any]
    tensors: list[Tensor]
    size: int = 0
    weightless: bool = False

    @property
    def parameter_count(self) -> int:
        """How many numbers all tensors hold together."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors)

    @property
    def architecture(self) -> str:
        return self.text("general.architecture", "unknown")

    @property
    def file_type(self) -> str:
        """The quantization the metadata names; 0, which is F32, counts as not named, as it does in Ollama."""
        number = self.metadata.get("general.file_type")
        return FILE_TYPES.get(number, "unknown") if isinstance(number, int) else "unknown"

    def text(self, key: str, default: str = "") -> str:
        value = self.metadata.get(key)
        return value if isinstance(value, str) else default

    def of(self, key: str) -> Any:
        """The value of `<architecture>.<key>`; None where there is none."""
        return self.metadata.get(f"{self.architecture}.{key}")


# --- reading --------------------------------------------------------------------------------------


def read(path: Path) -> Header:
    """The header of the GGUF file at `path`. Raises NotGGUF; OSError where there is no file."""
    with open(path, "rb") as file:
        if not file.read(1):
            raise NotGGUF("EOF")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return parse(data)


def parse(data: Any) -> Header:
    """The header of a GGUF file's bytes. Raises NotGGUF."""
    source = _Source(data)
    magic = source.take(4)
    if magic not in MAGICS:
        raise NotGGUF("invalid file magic")
    source.order = MAGICS[magic]
    source.version = source.number("I")
    count = "I" if source.version == 1 else "Q"
    tensors_announced, pairs_announced = source.number(count), source.number(count)
    metadata = {}
    for _ in range(pairs_announced):
        key = source.text()
        metadata[key] = source.value()
    found = [source.tensor() for _ in range(tensors_announced)]
    tensors = [tensor for tensor, _, _ in found]
    header = Header(metadata, tensors, source.at, bool(tensors) and source.at == len(data))
    if sum(math.prod(tensor.shape) for tensor in tensors) > _MOST:
        raise NotGGUF("parameter count overflow")
    _measure(header, found, len(data))
    return header


def _measure(header: Header, found: list[tuple[Tensor, int, int]], length: int) -> None:
    """Check that the file holds the weights its header lists, or none at all."""
    alignment = header.metadata.get("general.alignment", 32)
    alignment = alignment if isinstance(alignment, int) and not isinstance(alignment, bool) else 32
    if alignment == 0:
        raise NotGGUF("invalid GGUF alignment: 0")
    start = header.size + (alignment - header.size % alignment) % alignment
    only_header = header.weightless and not any(offset for _, _, offset in found)
    for tensor, kind, offset in found:
        _, block, size = TYPES.get(kind, ("", 256, 0))
        if only_header and size:
            continue
        if not size or (tensor.shape or [1])[0] % block:
            raise NotGGUF(f'tensor "{tensor.name}" size overflow')
        end = start + offset + math.prod(tensor.shape) // block * size
        if end > _MOST:
            raise NotGGUF(f'tensor "{tensor.name}" offset+size overflows')
        if end > length:
            raise NotGGUF(f'tensor "{tensor.name}" offset+size ({end}) exceeds file size ({length})')


class _Source:
    def __init__(self, data: Any) -> None:
        self.data = data
        self.at = 0
        self.order = "<"
        self.version = 3

    def end(self) -> NoReturn:
        raise NotGGUF("EOF" if self.at >= len(self.data) else "unexpected EOF")

    def take(self, length: int) -> bytes:
        if length > len(self.data) - self.at:
            self.end()
        self.at += length
        return bytes(self.data[self.at - length : self.at])

    def number(self, layout: str) -> Any:
        (number,) = struct.unpack(self.order + layout, self.take(struct.calcsize("=" + layout)))
        if isinstance(number, float) and not math.isfinite(number):
            return None
        return float32(number) if layout == "f" else number

    def text(self) -> str:
        length = self.number("Q")
        if self.version == 1 and length == 0:
            raise NotGGUF("invalid GGUF v1 string length: 0")
        for most in (_LONGEST_INT, _LONGEST_TEXT):
            if length > most:
                raise NotGGUF(f"GGUF string length {length} exceeds maximum {most}")
        data = self.take(length)
        if self.version == 1:
            if data[-1]:
                raise NotGGUF("invalid GGUF v1 string terminator")
            data = data[:-1]
        return data.decode("utf-8", "replace")

    def value(self) -> Any:
        kind = self.number("I")
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self.array()
        if kind not in _SCALARS:
            raise NotGGUF(f"invalid type: {kind}")
        return self.number(_SCALARS[kind])

    def array(self) -> Any:
        kind, length = self.number("I"), self.number("Q")
        if kind != _STRING and kind not in _SCALARS:
            raise NotGGUF(f"invalid array type: {kind}")
        for most in (_LONGEST_INT, _LONGEST_ARRAY):
            if length > most:
                raise NotGGUF(f"GGUF array size {length} exceeds maximum {most}")
        if kind == _STRING:
            return [self.text() for _ in range(length)]
        layout = _SCALARS[kind]
        width = struct.calcsize("=" + layout)
        if length * width > len(self.data) - self.at:
            self.at += (len(self.data) - self.at) // width * width
            self.end()
        data = self.take(length * width)
        if layout == "?":
            return [bool(one) for one in data]
        numbers = array(
            layout if layout not in "Ii" or array("I").itemsize == 4 else {"I": "L", "i": "l"}[layout]
        )
        numbers.frombytes(data)
        if self.order == ">":
            numbers.byteswap()
        if layout not in "fd":
            return numbers
        spelt = float32 if layout == "f" else float
        return [spelt(one) if math.isfinite(one) else None for one in numbers]

    def tensor(self) -> tuple[Tensor, int, int]:
        """A tensor, its type's number and where its weights begin."""
        name = self._field("name", self.text)
        sides = self._field("dimensions", lambda: self.number("I"))
        if sides > _MOST_SIDES:
            raise NotGGUF(f'tensor "{name}" dimensions {sides} exceeds maximum {_MOST_SIDES}')
        shape = [self._field("shape", lambda: self.number("Q")) for _ in range(sides)]
        kind = self._field("kind", lambda: self.number("I"))
        offset = self._field("offset", lambda: self.number("Q"))
        count = 1
        for side in shape:
            if side and count > _MOST // side:
                raise NotGGUF(f'tensor "{name}" elements overflow')
            count *= side
        return Tensor(name, TYPES.get(kind, ("unknown", 0, 0))[0], shape), kind, offset

    def _field(self, what: str, read_it: Any) -> Any:
        try:
            return read_it()
        except NotGGUF as error:
            raise NotGGUF(f"failed to read tensor {what}: {error}") from None


# --- writing --------------------------------------------------------------------------------------


def write(metadata: dict[str, Any], tensors: list[Tensor]) -> bytes:
    """A GGUF file with this header and no weights."""
    parts = [MAGIC, struct.pack("<IQQ", 3, len(tensors), len(metadata))]
    for key, value in metadata.items():
        parts += [_packed_string(key), _packed(value)]
    for tensor in tensors:
        sides = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
        parts += [_packed_string(tensor.name), sides, struct.pack("<IQ", NUMBERS[tensor.type], 0)]
    return b"".join(parts)


def _packed_string(text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return struct.pack("<Q", len(data)) + data


def _packed(value: Any) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", _BOOL, value)
    if isinstance(value, int):
        kind = 4 if 0 <= value < 2**32 else 5 if -(2**31) <= value < 0 else 10 if value > 0 else 11
        return struct.pack("<I" + _SCALARS[kind], kind, value)
    if isinstance(value, float) or value is None:
        return struct.pack("<If", _FLOAT32, math.nan if value is None else value)
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _packed_string(value)
    return _packed_array(value)


def _packed_array(values: Iterable[Any]) -> bytes:
    items = [_packed(item) for item in values]
    kinds = {item[:4] for item in items}
    if len(kinds) > 1:  # numbers of different kinds: the widest that holds them all
        items = [struct.pack("<Id", 12, float(item)) for item in values]
    kind = items[0][:4] if items else struct.pack("<I", _STRING)
    head = struct.pack("<I", _ARRAY) + kind + struct.pack("<Q", len(items))
    return head + b"".join(item[4:] for item in items)
