"""Text into tokens, by one documented rule that is the same everywhere.

The rule is the usual pre-tokenizer's (a word keeps the space before it, digits go in threes, punctuation and
line ends stand apart), then words longer than ten letters are cut into parts of at most six, and scripts
written without spaces go letter by letter. It is an approximation: a real model's own tokenizer counts a
little more or less.
"""

from __future__ import annotations

import re
import zlib
from functools import lru_cache

VOCABULARY = 128_000

_PIECE = re.compile(
    r" ?[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"  # one letter of Japanese, Chinese or Korean
    r"|'(?:s|t|re|ve|m|ll|d)\b"
    r"| ?[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
    r"| ?\d{1,3}"
    r"| ?(?:[^\s\w]|_)+\n*"
    r"|\s*\n+|\s+(?!\S)|\s+"
)

_texts_by_id: dict[int, str] = {}


def split(text: str) -> tuple[str, ...]:
    """The tokens of `text`; joined they are `text` again."""
    return _split_short(text) if len(text) < 1000 else _split(text)


def _split(text: str) -> tuple[str, ...]:
    pieces: list[str] = []
    for piece in _PIECE.findall(text):
        letters = len(piece.strip())
        if letters > 10 and piece.strip().isalpha():
            pieces += [piece[i : i + 6] for i in range(0, len(piece), 6)]
        else:
            pieces.append(piece)
    return tuple(pieces)


_split_short = lru_cache(maxsize=16_384)(_split)


def count(text: str) -> int:
    """How many tokens `text` has."""
    return len(split(text))


def token_id(token: str) -> int:
    """A token's number below VOCABULARY; the same token has the same number on every machine."""
    number = zlib.crc32(token.encode("utf-8", "replace")) % VOCABULARY
    if len(_texts_by_id) < VOCABULARY:
        _texts_by_id.setdefault(number, token)
    return number


def text_of(ids: list[int]) -> str:
    """The text behind token numbers this server gave out before; numbers it never gave out are left out."""
    return "".join(_texts_by_id.get(number, "") for number in ids)
