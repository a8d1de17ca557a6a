"""A model in several GGUF files, as llama.cpp splits it. Source of the errors: server/create.go, v0.32.15."""

from __future__ import annotations

import re
from typing import NamedTuple

from . import gguf
from .cli_format import quote

_NAME = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")
KEYS = ("split.no", "split.count", "split.tensors.count")


class Shard(NamedTuple):
    """One of the files: its name and header."""

    source: str
    header: gguf.Header


def group(source: str, header: gguf.Header) -> str:
    """Which files belong together; empty for a file that is whole. Raises ValueError."""
    count = _number(header, "split.count") or 0
    if count <= 1:
        return ""
    shown = f"split GGUF {quote(source)}"
    name = _NAME.fullmatch(source.rpartition("/")[2])
    if name is None or not int(name[2]) or not int(name[3]):
        raise ValueError(f"{shown} must use llama.cpp split filename pattern")
    if int(name[3]) != count:
        raise ValueError(f"{shown} filename count {int(name[3])} does not match metadata count {count}")
    number = _number(header, "split.no")
    if number is None:
        raise ValueError(f"{shown} is missing split.no metadata")
    if number != int(name[2]) - 1:
        raise ValueError(f"{shown} filename index {int(name[2]) - 1} does not match metadata index {number}")
    return f"{name[1]}:{count}"


def merged(shards: list[Shard]) -> gguf.Header:
    """The header of the whole: the first file's metadata, every file's tensors. Raises ValueError."""
    shown = f"split GGUF {quote(shards[0].source)}"
    count = _number(shards[0].header, "split.count")
    if count != len(shards):
        raise ValueError(f"{shown} has {len(shards)} shards, expected {count}")
    by_number: dict[int | None, gguf.Header] = {}
    for shard in shards:
        number = _number(shard.header, "split.no")
        if number in by_number:
            raise ValueError(f"split GGUF has duplicate shard index {number}")
        by_number[number] = shard.header
    first = by_number[0]
    dropped = {*KEYS, *(f"{first.architecture}.{key}" for key in KEYS)}
    metadata = {key: value for key, value in first.metadata.items() if key not in dropped}
    return gguf.Header(metadata, [tensor for n in range(len(shards)) for tensor in by_number[n].tensors])


def _number(header: gguf.Header, key: str) -> int | None:
    value = header.metadata.get(key, header.of(key))
    return value if isinstance(value, int) and 0 <= value < 2**16 else None
