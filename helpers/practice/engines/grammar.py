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
from random import Random
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
_Way = tuple[float, _Stack, str]  # weight, what is still to come, a space that waits for its word


def one_of(*symbols: Symbol) -> Choice:
    """A choice between symbols of equal weight."""
    return Choice(tuple((1.0, symbol) for symbol in symbols))


def mapped(symbol: Symbol, change: Callable[[str], str]) -> Symbol:
    """`symbol` with every text in it changed."""
    if isinstance(symbol, str):
        return change(symbol)
    if isinstance(symbol, tuple):
        return tuple(mapped(part, change) for part in symbol)
    if isinstance(symbol, Choice):
        return Choice(tuple((weight, mapped(option, change)) for weight, option in symbol.options))
    return lambda: mapped(symbol(), change)


def drawn(symbol: Symbol, random: Random | None = None, longest: int = 100_000) -> str:
    """A whole text of `symbol`: drawn by `random`, or without one the likeliest option each time.

    Raises ValueError for a text of more than `longest` characters or derivation steps.
    """
    parts: list[str] = []
    waiting: list[Symbol] = [symbol]
    spent = 0
    while waiting:
        one = waiting.pop()
        spent += 1 + (len(one) if isinstance(one, str) else 0)
        if spent > longest:
            raise ValueError(f"a text of more than {longest} characters")
        if isinstance(one, str):
            parts.append(one)
        elif isinstance(one, tuple):
            waiting += reversed(one)
        elif isinstance(one, Choice):
            if random:
                weights = [weight for weight, _ in one.options]
                waiting.append(random.choices(one.options, weights)[0][1])
            else:
                waiting.append(max(one.options, key=lambda option: option[0])[1])
        else:
            waiting.append(one())
    return "".join(parts)


class Place:
    """A point in a text. `probabilities` are those of the next token, likeliest first; END is there where the
    text may end.

    The places that follow are kept in `after` for the next text that comes by, as long as there is `room`: a
    list with the number of places that may still be kept. `kept` is for what others work out of the
    probabilities, `steps` for what they do at each token that leads to one of those places.
    """

    def __init__(self, ways: list[_Way], room: list[int]) -> None:
        self._heads = _heads(ways)
        self._room = room
        self.after: dict[str, Place] = {}
        self.kept: dict[Any, Any] = {}
        self.steps: dict[str, Any] = {}
        weights = [(token, sum([w for w, _, _ in ways])) for token, ways in self._heads.items()]
        total = sum([weight for _, weight in weights])
        self.probabilities = sorted(
            [(t, w / total) for t, w in weights], key=lambda pair: (-pair[1], pair[0])
        )

    def may(self, token: str) -> bool:
        """Whether the text may go on with `token`."""
        return token in self._heads

    def follow(self, token: str) -> Place:
        """The place after `token`; one that does not belong here stands for the likeliest."""
        place = self.after.get(token)
        if place is None:
            if token not in self._heads:
                return self.follow(self.probabilities[0][0])
            ways = self._heads[token]
            total = sum([weight for weight, _, _ in ways])
            place = Place([(weight / total, stack, space) for weight, stack, space in ways], self._room)
            if self._room[0] > 0:
                self._room[0] -= 1
                self.after[token] = place
        return place


def start(symbol: Symbol, room: list[int]) -> Place:
    """The beginning of a text of `symbol`."""
    return Place([(1.0, (symbol, None), "")], room)


def _heads(ways: list[_Way]) -> dict[str, list[_Way]]:
    heads: dict[str, list[_Way]] = {}
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
