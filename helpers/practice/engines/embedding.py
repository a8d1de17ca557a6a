"""Vectors by subword hashing: texts that share words, parts of words or meanings point the same way.

Each word, each of its three-letter parts and its group of meaning is hashed to a few signed dimensions (the
hashing trick, Weinberger et al. 2009); common little words weigh little. The sum has length 1.
"""

from __future__ import annotations

import hashlib
import math
import re
from functools import lru_cache
from random import Random

LITTLE = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "to",
        "in",
        "is",
        "are",
        "was",
        "be",
        "it",
        "and",
        "or",
        "for",
        "on",
        "at",
        "by",
        "with",
        "as",
        "that",
        "this",
        "i",
        "you",
        "we",
    ]
)
_SPREAD = 8  # dimensions each feature touches


def embed(text: str, dimensions: int, group_of: dict[str, str]) -> list[float]:
    """A vector of `dimensions` floats of length 1; `group_of` maps a word to the name of its group of
    meaning.
    """
    vector = list(_common(dimensions))
    for word in re.findall(r"\w+", text.lower()):
        weight = 0.15 if word in LITTLE else 1.0
        _add(vector, "word " + word, weight)
        marked = f"^{word}$"
        parts = [marked[i : i + 3] for i in range(len(marked) - 2)]
        for part in parts:
            _add(vector, "part " + part, 0.6 * weight / len(parts))
        if word in group_of:
            _add(vector, "group " + group_of[word], 1.5 * weight)
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


@lru_cache(maxsize=4)
def _common(dimensions: int) -> tuple[float, ...]:
    """What all texts share, so that no vector is empty, however short it is cut."""
    random = Random("common")
    return tuple(random.gauss(0, 0.02) for _ in range(dimensions))


def _add(vector: list[float], feature: str, weight: float) -> None:
    digest = hashlib.blake2b(feature.encode("utf-8", "replace"), digest_size=4 * _SPREAD).digest()
    for i in range(0, len(digest), 4):
        number = int.from_bytes(digest[i : i + 4], "little")
        vector[(number >> 1) % len(vector)] += weight if number & 1 else -weight
