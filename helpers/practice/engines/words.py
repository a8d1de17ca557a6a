"""Plain questions to a text: its words, sentences, numbers, sums and feelings."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from . import embedding

ASKED = 4000  # characters of a question that are looked at

_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905
_NUMBER_WORDS = {word: n for n, word in enumerate(_NUMBERS)} | {
    "twenty": 20, "fifty": 50, "hundred": 100, "thousand": 1000,
    "zwei": 2, "drei": 3, "vier": 4, "fünf": 5, "zehn": 10, "deux": 2, "trois": 3, "quatre": 4, "cinq": 5,
    "dos": 2, "tres": 3, "cuatro": 4, "cinco": 5, "dois": 2, "três": 3, "quattro": 4, "due": 2, "tre": 3,
}  # fmt: skip
_SUM = re.compile(
    r"(?<![\w.])[-(]{0,4}\s*\d[\d_,]*(?:\.\d+)?\s*\)?"
    r"(?:\s*(?:\+|-|\*\*|\*|x|×|·|/|÷|\^|plus|minus|times|mal|multiplied by|divided by|geteilt durch|"
    r"fois|por)"
    r"\s*[-(]*\s*\d[\d_,]*(?:\.\d+)?\s*\)*)+",
    re.IGNORECASE,
)
_SIGNS = {
    "plus": "+", "minus": "-", "times": "*", "mal": "*", "multiplied by": "*", "fois": "*", "por": "*",
    "divided by": "/", "geteilt durch": "/", "x": "*", "×": "*", "·": "*", "÷": "/", "^": "**",
}  # fmt: skip
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def words(text: str) -> list[str]:
    """The words of `text`, in small letters."""
    return re.findall(r"\w+(?:'\w+)*", text.lower())


def holds(text: str, phrase: str) -> bool:
    """Whether `phrase` stands in `text`, whole words, any case; in scripts without spaces anywhere."""
    if not phrase.isascii() and re.search(r"[\u3040-\u9fff]", phrase):
        return phrase in text
    return _spaced_phrase(phrase) in _spaced_text(text)


def _spaced(text: str) -> str:
    return f" {' '.join(words(text))} "


_spaced_phrase = lru_cache(maxsize=4096)(_spaced)
_spaced_text = lru_cache(maxsize=8)(_spaced)


def content(text: str, groups: embedding.Groups) -> set[str]:
    """What a text is about: its words but the little ones, and the groups of meaning they stand for."""
    kept = [word.removesuffix("'s") for word in words(text) if word not in embedding.LITTLE]
    stems = {re.sub(r"(ies|es|s|ing|ed|e|y)$", "", word) if len(word) > 4 else word for word in kept}
    return stems | {group for word in kept for group in embedding.meanings(word, groups)}


def sentences(text: str) -> list[str]:
    """The sentences of `text`."""
    found = re.split(r"(?<=[.!?。！？])[\"')\]]?\s+|(?<=[。！？])|\n+", text)
    return [one.strip() for one in found if one and one.strip()]


def numbers(text: str) -> list[int]:
    """Whole numbers in `text`, as figures or words."""
    found = [int(digits[:15]) for digits in re.findall(r"\d+", text)]
    return found or [_NUMBER_WORDS[word] for word in words(text) if word in _NUMBER_WORDS and word != "one"]


def expression(text: str) -> str:
    """The first sum in `text`, in Python's signs, or nothing."""
    for found in _SUM.finditer(text[:ASKED]):
        made = found[0].lower()
        if re.fullmatch(r"\d{4}\s*-\s*\d\d(\s*-\s*\d\d)?", made):
            continue
        for word in sorted(_SIGNS, key=len, reverse=True):
            made = made.replace(word, _SIGNS[word])
        made = re.sub(r"(?<=\d),(?=\d{3})", "", made).replace("_", "").strip()
        while made.count(")") < made.count("("):
            made = made.replace("(", "", 1)
        while made.count(")") > made.count("("):
            made = made[::-1].replace(")", "", 1)[::-1]
        return made
    return ""


def calculated(text: str) -> str:
    """The value of a sum as text, or nothing for what cannot be worked out."""

    def value(node: Any) -> Any:
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -value(node.operand)
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            left, right = value(node.left), value(node.right)
            if isinstance(node.op, ast.Pow) and (abs(right) > 64 or abs(left) > 10**6):
                raise ValueError("too large")
            return _OPERATORS[type(node.op)](left, right)
        raise ValueError("no sum")

    if not text or len(text) > 200:
        return ""
    try:
        made = value(ast.parse(text.lstrip("0") if re.fullmatch(r"0\d+", text) else text, mode="eval").body)
    except (ValueError, SyntaxError, ArithmeticError, RecursionError, MemoryError):
        return ""
    if isinstance(made, complex) or len(str(made)) > 60:
        return ""
    return str(int(made)) if made == made // 1 else f"{made:.6g}"


def feeling(text: str, feelings: dict[str, str]) -> str:
    """positive, negative or neutral, by counting words of feeling; a "not" before one turns it round."""
    score, turned = 0, False
    good, bad = set(feelings["good"].split()), set(feelings["bad"].split())
    for word in words(text):
        value = (word in good) - (word in bad)
        score += -value if turned else value
        turned = word in ("not", "no", "never", "nicht", "kein", "pas", "isn't", "wasn't", "don't", "didn't")
    return "positive" if score > 0 else "negative" if score < 0 else "neutral"
