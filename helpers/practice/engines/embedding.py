"""Vectors by subword hashing: texts that share words, parts of words or meanings point the same way.

Each word, each of its three-letter parts and each group of meaning it belongs to is hashed to a few signed
dimensions (the hashing trick, Weinberger et al. 2009); common little words weigh little. The sum has length
1.
A group of meaning is a list of words in phrases.toml; a word may stand in several, so that king and queen
share "royal", king and man share "male", and king - man + woman comes out nearest to queen.

Only hashes, additions and a square root are used, each of which is the same on every machine.
"""

from __future__ import annotations

import hashlib
import math
import re
from functools import lru_cache

Groups = dict[str, tuple[str, ...]]  # a word to the groups of meaning it belongs to

LITTLE = frozenset(
    "a an the of to in is are was be it and or for on at by with as that this i you we do does did "  # noqa: SIM905
    "what which who how my me your its his her our their there der die das und ist ein eine le la les un une "
    "et est el los las y es o e il".split()
)
WORD, LITTLE_WORD, PARTS, MEANING = 1.0, 0.15, 0.6, 1.5
COMMON = 0.02  # what every text has in each dimension, so that none is empty
_SPREAD = 8  # dimensions each feature touches
_ENDINGS = ("", "s", "es", "ed", "d", "ing", "ly", "n", "en", "er")


def embed(text: str, dimensions: int, groups: Groups) -> list[float]:
    """A vector of `dimensions` floats of length 1; `groups` says which words mean much the same."""
    vector = list(_common(dimensions))
    for word in re.findall(r"\w+", text.lower()):
        weight = LITTLE_WORD if word in LITTLE else WORD
        for place, share in _of_word(word):
            vector[place % dimensions] += weight * share
        for group in meanings(word, groups):
            for place, sign in _places("group " + group):
                vector[place % dimensions] += weight * MEANING * sign
    length = math.sqrt(math.fsum(x * x for x in vector))
    return [x / length for x in vector]


def alike(left: str, right: str, groups: Groups, dimensions: int = 256) -> float:
    """The cosine of two texts' vectors, from -1 to 1."""
    return math.fsum(
        a * b for a, b in zip(embed(left, dimensions, groups), embed(right, dimensions, groups), strict=True)
    )


def meanings(word: str, groups: Groups) -> tuple[str, ...]:
    """The groups of `word`, or of what is left of it without an ending."""
    for ending in _ENDINGS:
        if word.endswith(ending) and (found := groups.get(word.removesuffix(ending))):
            return found
    return ()


@lru_cache(maxsize=4)
def _common(dimensions: int) -> tuple[float, ...]:
    digest = hashlib.shake_128(b"common").digest(dimensions)
    return tuple(COMMON * (byte - 127.5) / 74 for byte in digest)


@lru_cache(maxsize=8192)
def _of_word(word: str) -> tuple[tuple[int, float], ...]:
    marked = f"^{word[:100]}$"
    parts = [marked[i : i + 3] for i in range(len(marked) - 2)]
    shares = [(place, float(sign)) for place, sign in _places("word " + word)]
    for part in parts:
        shares += [(place, PARTS / len(parts) * sign) for place, sign in _places("part " + part)]
    return tuple(shares)


@lru_cache(maxsize=8192)
def _places(feature: str) -> tuple[tuple[int, int], ...]:
    digest = hashlib.blake2b(feature.encode("utf-8", "replace"), digest_size=4 * _SPREAD).digest()
    numbers = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, len(digest), 4)]
    return tuple((number >> 1, 1 if number & 1 else -1) for number in numbers)
