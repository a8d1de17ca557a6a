"""Sampling is arithmetic over stated probabilities: what is drawn agrees with them, step by step."""

from __future__ import annotations

import math
from collections import Counter
from random import Random
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.practice.engines.sampling import Candidates, Recent, distribution, pick
from helpers.practice.options import complete

PLAIN: dict[str, Any] = {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
DRAWS = 10_000
FIVE: Candidates = [("a", 0.4), ("b", 0.3), ("c", 0.15), ("d", 0.1), ("e", 0.05)]


def shares(candidates: Candidates = FIVE, written: str = "", **options: Any) -> dict[str, float]:
    whole = complete(PLAIN) | options
    recent = Recent(whole["repeat_last_n"])
    for token in written:
        recent.add(token)
    return dict(distribution(candidates, whole, recent))


def drawn(candidates: Candidates = FIVE, seed: int = 1, times: int = DRAWS, **options: Any) -> Counter[str]:
    random, whole = Random(seed), complete(PLAIN) | options
    recent = Recent(0)
    return Counter(pick(candidates, whole, random, recent) for _ in range(times))


def fits(counts: Counter[str], expected: dict[str, float]) -> bool:
    """Pearson's chi-square test at about four standard deviations; what is rare is taken together."""
    times = sum(counts.values())
    often = {token for token, share in expected.items() if share * times >= 5}
    rest = sum(share for token, share in expected.items() if token not in often)
    bins = [(counts[token], expected[token] * times) for token in often]
    if rest * times >= 1:
        bins.append((times - sum(count for count, _ in bins), rest * times))
    square = sum((count - mean) ** 2 / mean for count, mean in bins)
    degrees = max(1, len(bins) - 1)
    return set(counts) <= set(expected) and square <= degrees + 4 * math.sqrt(2 * degrees)


@st.composite
def distributions(draw: st.DrawFn) -> Candidates:
    weights = draw(st.lists(st.floats(0.001, 1), min_size=2, max_size=30))
    ranked = sorted(weights, reverse=True)
    return [(f"t{i}", weight / sum(ranked)) for i, weight in enumerate(ranked)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.3},
        {"temperature": 1.8},
        {"top_k": 3},
        {"top_p": 0.75},
        {"min_p": 0.2},
        {"typical_p": 0.5},
        {"logit_bias": {"e": 2.0}},
        {"top_k": 4, "top_p": 0.9, "min_p": 0.1, "temperature": 0.8},
    ],
    ids=str,
)
def test_ten_thousand_draws_agree_with_the_distribution(options: dict[str, Any]) -> None:
    expected = shares(**options)
    assert fits(drawn(**options), expected)
    assert not fits(drawn(temperature=0.9, top_k=2), shares())  # the test can tell


@settings(max_examples=60, deadline=None, derandomize=True)
@given(distributions())
def test_with_nothing_set_the_shares_are_the_probabilities(candidates: Candidates) -> None:
    made = shares(candidates)
    assert all(math.isclose(made[token], share, rel_tol=1e-9) for token, share in candidates)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(distributions(), st.integers(1, 40))
def test_top_k_keeps_exactly_the_k_likeliest(candidates: Candidates, k: int) -> None:
    assert list(shares(candidates, top_k=k)) == [token for token, _ in candidates[:k]]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(distributions(), st.floats(0.01, 0.99))
def test_top_p_keeps_the_fewest_that_reach_the_mass(candidates: Candidates, mass: float) -> None:
    kept = len(shares(candidates, top_p=mass))
    before = [sum(share for _, share in candidates[:n]) for n in (kept - 1, kept)]
    assert before[0] < mass + 1e-9 and (before[1] >= mass - 1e-9 or kept == len(candidates))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(distributions(), st.floats(0.01, 1))
def test_min_p_drops_what_is_below_its_part_of_the_likeliest(candidates: Candidates, part: float) -> None:
    kept = shares(candidates, min_p=part)
    for token, share in candidates:
        edge = part * candidates[0][1]
        assert math.isclose(share, edge, rel_tol=1e-9) or (token in kept) == (share > edge)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(distributions(), st.floats(0.05, 0.95))
def test_typical_p_keeps_what_is_nearest_to_the_entropy(candidates: Candidates, mass: float) -> None:
    kept = shares(candidates, typical_p=mass)
    entropy = -sum(share * math.log(share) for _, share in candidates)
    far = {token: abs(-math.log(share) - entropy) for token, share in candidates}
    dropped = [far[token] for token in far if token not in kept]
    assert max(far[token] for token in kept) <= min(dropped, default=math.inf) + 1e-9
    assert sum(dict(candidates)[token] for token in kept) > mass - 1e-9


@settings(max_examples=40, deadline=None, derandomize=True)
@given(distributions(), st.floats(0.1, 3))
def test_temperature_raises_each_probability_to_its_inverse(candidates: Candidates, heat: float) -> None:
    made = shares(candidates, temperature=heat)
    weights = {token: share ** (1 / heat) for token, share in candidates}
    total = sum(weights.values())
    assert all(math.isclose(made[token], weight / total, rel_tol=1e-6) for token, weight in weights.items())


def test_temperature_zero_takes_the_likeliest_after_penalties() -> None:
    assert set(drawn(temperature=0.0, times=50)) == {"a"}
    assert shares(temperature=0.0) == {"a": 1.0}
    assert shares(written="aa", temperature=0.0, frequency_penalty=1.0) == {"b": 1.0}


def test_penalties_follow_their_formulas() -> None:
    plain = dict(FIVE)

    def odds(made: dict[str, float]) -> float:
        return made["a"] / made["b"] / (plain["a"] / plain["b"])

    assert math.isclose(odds(shares(written="aab", presence_penalty=0.5)), 1.0)
    assert math.isclose(odds(shares(written="aa", presence_penalty=0.5)), math.exp(-0.5))
    assert math.isclose(odds(shares(written="aa", frequency_penalty=0.5)), math.exp(-1.0))
    repeated = shares(written="a", repeat_penalty=1.3)
    assert math.isclose(repeated["a"] / repeated["b"], plain["a"] ** 1.3 / plain["b"])
    assert math.isclose(odds(shares(logit_bias={"a": -2.0})), math.exp(-2.0))
    assert shares(logit_bias={"a": -100.0})["a"] < 1e-40


@pytest.mark.parametrize(("last", "counted"), [(0, 0), (1, 0), (2, 1), (3, 2), (-1, 3)])
def test_penalties_look_at_the_last_n_tokens(last: int, counted: int) -> None:
    recent = Recent(last)
    for token in "aaaxaab"[2:] if last > 0 else "aaab":
        recent.add(token)
    assert recent.counts["a"] == counted


def test_the_steps_come_in_llama_cpps_order() -> None:
    # top_k first: of the two left, a has 4/7, which top_p = 0.5 is content with; of all five it would not be
    assert list(shares(top_k=2, top_p=0.5)) == ["a"]
    assert list(shares(top_p=0.5)) == ["a", "b"]
    # temperature last: however hot, what top_p dropped stays away
    assert list(shares(top_p=0.5, temperature=5.0)) == ["a", "b"]
    # a bias comes before everything
    assert list(shares(top_k=1, logit_bias={"e": 5.0})) == ["e"]


def test_a_seed_repeats_and_another_does_not() -> None:
    def sequence(seed: int) -> list[str]:
        random = Random(seed)
        return [pick(FIVE, complete(PLAIN), random, Recent(0)) for _ in range(50)]

    assert sequence(3) == sequence(3) != sequence(4)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 1e-30},
        {"temperature": 1e30},
        {"top_p": 0.0},
        {"min_p": 7.0},
        {"typical_p": 0.0},
        {"top_k": -5},
        {"repeat_penalty": 0.0},
        {"frequency_penalty": -1e9},
        {"logit_bias": {"a": 1e308, "b": -1e308}},
    ],
    ids=str,
)
def test_no_setting_makes_sampling_fail(options: dict[str, Any]) -> None:
    made = shares(written="abab", **options)
    assert made and math.isclose(sum(made.values()), 1)
    assert set(drawn(times=20, **options)) <= set("abcde")


def test_what_comes_over_http_agrees_with_its_own_logprobs(client: httpx.Client) -> None:
    def ask(seed: int, **more: Any) -> dict[str, Any]:
        options = {"seed": seed, "num_predict": 1, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
        body = {"model": "gemma3:1b", "prompt": "Tell me a fun fact", "stream": False, "options": options}
        return client.post("/api/generate", json=body | more).json()  # type: ignore[no-any-return]

    (stated,) = ask(0, logprobs=True, top_logprobs=20)["logprobs"]
    expected = {one["token"].strip(): math.exp(one["logprob"]) for one in stated["top_logprobs"]}
    counts = Counter(ask(seed)["response"] for seed in range(400))
    rare = 1 - sum(expected.values())
    assert fits(counts, expected | {token: rare for token in set(counts) - set(expected)})
