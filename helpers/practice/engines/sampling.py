"""From a distribution over tokens to one token.

The steps and their order are llama.cpp's (common/sampling.cpp and the `--samplers` default in its server's
README): penalties, top_k, top_p, min_p, temperature, draw. With l the logarithm of a token's probability and
c how often the token stands in the last repeat_last_n tokens:

    repeat_penalty r      l < 0:  l * r,  once, if c > 0
    frequency, presence   l - c * frequency - [c > 0] * presence       (the OpenAI API reference has the same)
    logit_bias            l + bias
    top_k                 keep the k likeliest (0: all)
    top_p                 keep the likeliest until their probabilities reach p
    min_p                 drop what is less likely than min_p times the likeliest
    temperature t         draw with weights exp(l / t); t = 0 takes the likeliest
"""

from __future__ import annotations

import math
from collections import Counter
from random import Random
from typing import Any

Candidates = list[tuple[str, float]]  # (token, probability), likeliest first


def pick(candidates: Candidates, options: dict[str, Any], random: Random, written: list[str]) -> str:
    """One token of `candidates`, drawn by `options` (Ollama's names) after the tokens `written`."""
    kept = _penalised(candidates, options, written)
    temperature = options["temperature"]
    if temperature <= 0 or len(kept) == 1:
        return kept[0][0]
    kept = _narrowed(kept, options)
    weights = [math.exp((logprob - kept[0][1]) / temperature) for _, logprob in kept]
    mark = random.random() * sum(weights)
    for (token, _), weight in zip(kept, weights, strict=True):
        mark -= weight
        if mark < 0:
            return token
    return kept[-1][0]


def _penalised(candidates: Candidates, options: dict[str, Any], written: list[str]) -> Candidates:
    kept = [(token, math.log(probability)) for token, probability in candidates]
    repeat, frequency, presence = (
        options["repeat_penalty"],
        options["frequency_penalty"],
        options["presence_penalty"],
    )
    bias = options.get("logit_bias")
    if repeat == 1 and not frequency and not presence and not bias:
        return kept
    last = options["repeat_last_n"]
    counts = Counter(written if last < 0 else written[-last:] if last else ())
    for i, (token, logprob) in enumerate(kept):
        times = counts[token]
        if times:
            logprob = logprob * repeat - times * frequency - presence
        kept[i] = (token, logprob + bias.get(token, 0.0) if bias else logprob)
    return sorted(kept, key=lambda pair: -pair[1])


def _narrowed(kept: Candidates, options: dict[str, Any]) -> Candidates:
    if options["top_k"] > 0:
        kept = kept[: options["top_k"]]
    if options["top_p"] < 1:
        total = sum(math.exp(logprob) for _, logprob in kept)
        reached = 0.0
        for n, (_, logprob) in enumerate(kept, 1):
            reached += math.exp(logprob) / total
            if reached >= options["top_p"]:
                kept = kept[:n]
                break
    if options["min_p"] > 0:
        least = kept[0][1] + math.log(options["min_p"])
        kept = [pair for pair in kept if pair[1] >= least]
    return kept
