"""Weighted phrase grammars, walked token by token.

A symbol is a text, a sequence of symbols (a tuple), a Choice between weighted symbols, or a function that
makes a symbol when it is reached. A walk keeps every derivation that fits the tokens so far, with its weight;
the weights of the derivations that go on with a token, over all weights, are that token's probability. This
is the forward algorithm of a probabilistic grammar (Jurafsky and Martin, Speech and Language Processing,
appendix on PCFGs).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Union

from .tokens import split

END = ""  # the token that ends a text

Symbol = Union[str, tuple, "Choice", Callable[[], Any]]


@dataclass(frozen=True)
class Choice:
    """One of several symbols, each with a weight above zero."""

    options: tuple[tuple[float, Symbol], ...]


@dataclass(frozen=True)
class _Rest:
    tokens: tuple[str, ...]
    at: int


_Stack = Any  # (symbol, stack) or None


def one_of(*symbols: Symbol) -> Choice:
    """A choice between symbols of equal weight."""
    return Choice(tuple((1.0, symbol) for symbol in symbols))


class Walk:
    """A text in the making."""

    def __init__(self, symbol: Symbol) -> None:
        self._heads = _heads([(1.0, (symbol, None), "")])

    def probabilities(self) -> list[tuple[str, float]]:
        """The possible next tokens with their probabilities, likeliest first; END where the text may end."""
        weights = [(token, sum(w for w, _, _ in ways)) for token, ways in self._heads.items()]
        total = sum(weight for _, weight in weights)
        return sorted(((t, w / total) for t, w in weights), key=lambda pair: (-pair[1], pair[0]))

    def follow(self, token: str) -> None:
        """Go on with `token`, one of the possible ones."""
        ways = self._heads[token]
        total = sum(weight for weight, _, _ in ways)
        self._heads = _heads([(weight / total, stack, space) for weight, stack, space in ways])


def _heads(ways: list[tuple[float, _Stack, str]]) -> dict[str, list[tuple[float, _Stack, str]]]:
    heads: dict[str, list[tuple[float, _Stack, str]]] = {}
    while ways:
        weight, stack, space = ways.pop()
        if stack is None:
            heads.setdefault(END, []).append((weight, None, ""))
            continue
        symbol, rest = stack
        if isinstance(symbol, str):
            symbol = _Rest(split(symbol), 0)
        if isinstance(symbol, _Rest):
            at, tokens = symbol.at, symbol.tokens
            if at == len(tokens):
                ways.append((weight, rest, space))
            elif at == len(tokens) - 1 and tokens[at] == " ":
                ways.append((weight, rest, " "))
            else:
                after = (_Rest(tokens, at + 1), rest) if at + 1 < len(tokens) else rest
                heads.setdefault(space + tokens[at], []).append((weight, after, ""))
        elif isinstance(symbol, Choice):
            total = sum(share for share, _ in symbol.options)
            ways += [(weight * share / total, (option, rest), space) for share, option in symbol.options]
        elif isinstance(symbol, tuple):
            for part in reversed(symbol):
                rest = (part, rest)
            ways.append((weight, rest, space))
        else:
            ways.append((weight, (symbol(), rest), space))
    return heads
