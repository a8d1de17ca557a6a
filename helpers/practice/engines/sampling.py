"""From a distribution over tokens to one token.

The steps and their order are llama.cpp's (src/llama-sampler.cpp, and `samplers` in common/common.h, b10488),
which Ollama 0.32.15 runs. With l the logarithm of a token's probability, H = -sum(p log p), and c how often
the token stands among the last repeat_last_n tokens of the reply (0: none counts, below 0: all do):

    logit_bias            l + bias
    repeat_penalty r      l * r, once, if c > 0   (llama.cpp divides a logit above 0; a log p never is)
    frequency, presence   l - c * frequency - [c > 0] * presence       (the OpenAI API reference has the same)
    top_k                 keep the k likeliest (0 or less: all)
    typical_p             by rising |-log p - H|, keep until their probabilities exceed typical_p
    top_p                 keep the likeliest until their probabilities reach top_p
    min_p                 drop what is less likely than min_p times the likeliest
    temperature t         draw with weights exp(l / t); t = 0 takes the likeliest

Each step takes the probabilities of what the step before it kept, as shares of 1. What is stated as a
logprob is the probability before the first step, as Ollama's and OpenAI's are.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, deque
from functools import lru_cache
from itertools import accumulate, count
from random import Random
from typing import Any, NamedTuple

Candidates = list[tuple[str, float]]  # (token, probability), likeliest first
_Logprobs = list[tuple[str, float]]  # (token, logarithm of its probability, or what a step made of it)


class Recent:
    """How often each token stands among the last `size` tokens; 0 counts none, a size below 0 all."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.counts: Counter[str] = Counter()
        self._tokens: deque[str] = deque()

    def add(self, token: str) -> None:
        if self.size == 0:
            return
        self.counts[token] += 1
        if self.size > 0:
            self._tokens.append(token)
            if len(self._tokens) > self.size:
                self.counts[self._tokens.popleft()] -= 1


def pick(candidates: Candidates, options: dict[str, Any], random: Random, recent: Recent) -> str:
    """One token of `candidates`, drawn by `options` (Ollama's names) after the tokens in `recent`."""
    return narrowed(candidates, options, recent).drawn(random)


class Narrowed(NamedTuple):
    """The tokens that every step keeps, the running sums of their weights without the last, and that one,
    which is the total; a total of 0 where there is no choice.
    """

    tokens: list[str]
    sums: list[float]
    total: float

    def drawn(self, random: Random) -> str:
        """One of the tokens."""
        tokens, sums, total = self
        drawn = random.random() * total if total else 0.0
        return tokens[bisect_right(sums, drawn) if sums and drawn >= sums[0] else 0]


def narrowed(candidates: Candidates, options: dict[str, Any], recent: Recent) -> Narrowed:
    """What is left to draw from."""
    if len(candidates) == 1:
        return Narrowed([candidates[0][0]], [], 0.0)
    weights = _weights(candidates, options, recent)
    tokens = [token for token, _ in weights]
    if len(tokens) == 1 and options["temperature"] <= 0:
        return Narrowed(tokens, [], 0.0)
    *sums, total = accumulate([weight for _, weight in weights])
    return Narrowed(tokens, sums, total)


_NARROWING = ("temperature", "top_k", "top_p", "min_p", "typical_p")


def narrowing(options: dict[str, Any]) -> int | None:
    """A number that stands for all that `narrowed` goes by besides the candidates; None where it also goes by
    what was written before.
    """
    return None if _looks_back(options) else _number(*[options[name] for name in _NARROWING])


@lru_cache(maxsize=1024)
def _number(*settings: float) -> int:
    return next(_numbers)


_numbers = count()


def _looks_back(options: dict[str, Any]) -> bool:
    """Whether what was written before, or a bias of the request's own, changes the probabilities."""
    penalties = options["frequency_penalty"] or options["presence_penalty"] or options.get("logit_bias")
    return bool(options["repeat_penalty"] != 1 or penalties)


def distribution(candidates: Candidates, options: dict[str, Any], recent: Recent) -> Candidates:
    """What `pick` draws from: the tokens that every step keeps, with shares that sum to 1."""
    weights = _weights(candidates, options, recent)
    total = sum(weight for _, weight in weights)
    return [(token, weight / total) for token, weight in weights]


def _weights(candidates: Candidates, options: dict[str, Any], recent: Recent) -> list[tuple[str, float]]:
    temperature = options["temperature"]
    kept = _penalised(candidates, options, recent)
    if temperature <= 0 and options["typical_p"] >= 1:
        return [(kept[0][0], 1.0)]
    if options["top_k"] > 0:
        kept = kept[: options["top_k"]]
    if options["typical_p"] < 1:
        kept = _typical(kept, options["typical_p"])
    if options["top_p"] < 1:
        kept = _likeliest(kept, options["top_p"])
    if options["min_p"] > 0:
        least = kept[0][1] + math.log(options["min_p"])
        kept = [pair for pair in kept if pair[1] >= least] or kept[:1]
    if temperature <= 0:
        return [(kept[0][0], 1.0)]
    return [(token, math.exp((logprob - kept[0][1]) / temperature)) for token, logprob in kept]


def _penalised(candidates: Candidates, options: dict[str, Any], recent: Recent) -> _Logprobs:
    kept = [(token, math.log(probability)) for token, probability in candidates]
    repeat, frequency = options["repeat_penalty"], options["frequency_penalty"]
    presence, bias = options["presence_penalty"], options.get("logit_bias")
    if not _looks_back(options):
        return kept
    for i, (token, logprob) in enumerate(kept):
        if bias:
            logprob += bias.get(token, 0.0)
        if times := recent.counts[token]:
            logprob = logprob * repeat if logprob <= 0 else logprob / (repeat or 1.0)
            logprob -= times * frequency + presence
        kept[i] = (token, logprob)
    return sorted(kept, key=lambda pair: -pair[1])


def _shares(kept: _Logprobs) -> list[float]:
    weights = [math.exp(logprob - kept[0][1]) for _, logprob in kept]
    total = sum(weights)
    return [weight / total for weight in weights]


def _likeliest(kept: _Logprobs, mass: float) -> _Logprobs:
    reached = 0.0
    for n, share in enumerate(_shares(kept), 1):
        reached += share
        if reached >= mass:
            return kept[:n]
    return kept


def _typical(kept: _Logprobs, mass: float) -> _Logprobs:
    shares = _shares(kept)
    entropy = -sum(share * math.log(share) for share in shares if share)
    order = sorted(
        range(len(kept)), key=lambda i: abs(-math.log(shares[i]) - entropy) if shares[i] else math.inf
    )
    reached, chosen = 0.0, []
    for i in order:
        chosen.append(i)
        reached += shares[i]
        if reached > mass:
            break
    return [kept[i] for i in sorted(chosen)]
