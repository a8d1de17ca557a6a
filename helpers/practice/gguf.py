"""The header of a GGUF file: metadata and the list of tensors. Weights are not read.

Source of the layout: the GGUF specification, version 3 (ggml, docs/gguf.md).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

MAGIC = b"GGUF"

TENSOR_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 10: "Q2_K", 11: "Q3_K",
    12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 24: "I8", 25: "I16", 26: "I32", 27: "I64",
    28: "F64", 30: "BF16", 39: "MXFP4",
}  # fmt: skip
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 32: "BF16", 38: "MXFP4",
}  # fmt: skip

_UINT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 6, 7, 8, 9
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", _UINT32: "<I", 5: "<i", _FLOAT32: "<f", _BOOL: "<?",
    10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_TOO_LONG = 1 << 30


class NotGGUF(ValueError):
    """The file is not a GGUF file this project can read; the text is the server's own."""


class Tensor(NamedTuple):
    name: str
    type: str
    shape: list[int]


class Header(NamedTuple):
    metadata: dict[str, Any]
    tensors: list[Tensor]

    @property
    def parameter_count(self) -> int:
        """How many numbers all tensors hold together."""
        total = 0
        for tensor in self.tensors:
            size = 1
            for side in tensor.shape:
                size *= side
            total += size
        return total


def read(path: Path) -> Header:
    """The header of the GGUF file at `path`. Raises NotGGUF."""
    with open(path, "rb") as file:
        if file.read(4) != MAGIC:
            raise NotGGUF("supplied file was not in GGUF format")
        try:
            (version,) = struct.unpack("<I", file.read(4))
            if version not in (2, 3):
                raise NotGGUF(f"unsupported GGUF version {version}")
            tensor_count, pair_count = struct.unpack("<QQ", file.read(16))
            metadata = {_string(file): _value(file) for _ in range(pair_count)}
            tensors = [_tensor(file) for _ in range(tensor_count)]
        except (struct.error, KeyError, UnicodeDecodeError, MemoryError, OverflowError) as error:
            raise NotGGUF("supplied file was not in GGUF format") from error
    return Header(metadata, tensors)


def _string(file: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    if length > _TOO_LONG:
        raise OverflowError(length)
    return file.read(length).decode()


def _value(file: BinaryIO) -> Any:
    (kind,) = struct.unpack("<I", file.read(4))
    return _value_of(file, kind)


def _value_of(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind == _ARRAY:
        item_kind, length = struct.unpack("<IQ", file.read(12))
        if length > _TOO_LONG:
            raise OverflowError(length)
        return [_value_of(file, item_kind) for _ in range(length)]
    layout = _SCALARS[kind]
    (value,) = struct.unpack(layout, file.read(struct.calcsize(layout)))
    return value


def _tensor(file: BinaryIO) -> Tensor:
    name = _string(file)
    (dimensions,) = struct.unpack("<I", file.read(4))
    shape = list(struct.unpack(f"<{dimensions}Q", file.read(8 * dimensions)))
    kind, _offset = struct.unpack("<IQ", file.read(12))
    return Tensor(name, TENSOR_TYPES.get(kind, "unknown"), shape)


def write(metadata: dict[str, Any], tensors: list[Tensor]) -> bytes:
    """A GGUF file with this header and no weights."""
    type_numbers = {name: number for number, name in TENSOR_TYPES.items()}
    parts = [MAGIC, struct.pack("<IQQ", 3, len(tensors), len(metadata))]
    for key, value in metadata.items():
        parts += [_packed_string(key), _packed(value)]
    for tensor in tensors:
        sides = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
        parts += [_packed_string(tensor.name), sides, struct.pack("<IQ", type_numbers[tensor.type], 0)]
    return b"".join(parts)


def _packed_string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _packed(value: Any) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", _BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", _UINT32, value)
    if isinstance(value, float):
        return struct.pack("<If", _FLOAT32, value)
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _packed_string(value)
    items = [_packed(item) for item in value]
    kind = items[0][:4] if items else struct.pack("<I", _STRING)
    return (
        struct.pack("<I", _ARRAY)
        + kind
        + struct.pack("<Q", len(items))
        + b"".join(item[4:] for item in items)
    )
