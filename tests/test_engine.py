"""The scripted engine: its sampling is real arithmetic over the probabilities it states."""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from typing import Any

import jsonschema
import pytest

from helpers.practice.engines import Ask, Piece, tokens
from helpers.practice.engines.script import Script
from helpers.practice.options import complete

SCRIPT = Script()
FACT = "Tell me a fun fact"


def pieces(
    text: str, seed: Any = 1, system: str = "", history: tuple[tuple[str, str], ...] = (), **more: Any
) -> list[Piece]:
    options = {key: more.pop(key) for key in list(more) if key in complete()}
    messages = [{"role": role, "content": content} for role, content in (*history, ("user", text))]
    if system:
        messages.insert(0, {"role": "system", "content": system})
    ask = Ask(messages, complete({"top_p": 1.0, "top_k": 0, "temperature": 1.0}, options), str(seed), **more)

    async def collect() -> list[Piece]:
        return [piece async for piece in SCRIPT.reply(ask)]

    return asyncio.run(collect())


def said(text: str, **more: Any) -> str:
    return "".join(piece.text for piece in pieces(text, **more))


def first_words(runs: int, **options: Any) -> Counter[str]:
    return Counter(said(FACT, seed=seed, num_predict=1, **options) for seed in range(runs))


def stated() -> dict[str, float]:
    """The probabilities of the first token, as the engine's own logprobs state them."""
    (logprob,) = pieces(FACT, num_predict=1, logprobs=20)[0].logprobs
    return {token: math.exp(value) for token, value in logprob.top}


def test_frequencies_agree_with_the_stated_logprobs() -> None:
    runs = 3000
    counts = first_words(runs)
    for token, probability in stated().items():
        deviation = math.sqrt(runs * probability * (1 - probability))
        assert abs(counts[token.strip()] - runs * probability) <= 5 * deviation + 1, token


def test_temperature_zero_takes_the_likeliest_every_time() -> None:
    likeliest = max(stated().items(), key=lambda pair: pair[1])[0]
    assert first_words(20, temperature=0.0) == {likeliest: 20}


def test_a_higher_temperature_spreads_a_lower_one_narrows() -> None:
    cold, warm = (first_words(400, temperature=t).most_common(1)[0][1] for t in (0.3, 1.8))
    assert cold > warm + 100


def test_the_same_seed_repeats_and_another_does_not_always() -> None:
    assert said(FACT, seed=7) == said(FACT, seed=7)
    assert len({said(FACT, seed=seed) for seed in range(20)}) > 3


@pytest.mark.parametrize("options", [{"top_k": 2}, {"top_p": 0.7}, {"min_p": 0.5}], ids=str)
def test_top_k_top_p_and_min_p_keep_the_likeliest(options: dict[str, Any]) -> None:
    likeliest = [token for token, _ in sorted(stated().items(), key=lambda pair: -pair[1])[:2]]
    assert set(first_words(100, **options)) == set(likeliest)


def test_penalties_make_a_written_token_less_likely() -> None:
    text = "Count to 9"
    assert said(text) == "1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert said(text, temperature=0.0, frequency_penalty=100.0) != said(text)


def test_stop_and_limits_cut_and_say_which() -> None:
    cut = pieces("Count to 9", stop=[" 4"])
    assert ("".join(p.text for p in cut), cut[-1].done) == ("1, 2, 3,", "stop")
    short = pieces("Count to 9", num_predict=3)
    assert ("".join(p.text for p in short), short[-1].done) == ("1, 2", "length")
    assert sum(piece.tokens for piece in short) == 3


def test_a_stop_that_spans_tokens_never_leaks_its_beginning() -> None:
    assert said("Count to 9", stop=[", 3, 4"]) == "1, 2"


def test_system_message_and_history_are_heeded() -> None:
    assert said(FACT, system="You are a pirate.").startswith(("Arr!", "Ahoy!"))
    history = (("user", "My name is Ada"), ("assistant", "Hello, Ada!"))
    assert "Ada" in said("What is my name?", history=history)
    assert "not" in said("What is my name?")


def test_an_unscripted_question_is_answered_honestly() -> None:
    assert "scripted practice model" in said("Explain the offside rule")


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 3, "maximum": 9},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1, "maxItems": 3},
        "where": {"$ref": "#/$defs/place"},
        "maybe": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
    },
    "required": ["name", "age", "tags", "where", "maybe"],
    "$defs": {"place": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
}


@pytest.mark.parametrize("seed", range(10))
def test_a_schema_is_honoured(seed: int) -> None:
    jsonschema.validate(json.loads(said("A person.", seed=seed, format=SCHEMA)), SCHEMA)


@pytest.mark.parametrize(
    "schema", [{"$ref": "#"}, {"$ref": "#/nowhere"}, {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#"}}}]
)
def test_a_reference_that_leads_nowhere_ends(schema: dict[str, Any]) -> None:
    assert json.loads(said("x", format=schema)) in (None, "")


def test_json_format_is_an_object() -> None:
    assert isinstance(json.loads(said(FACT, format="json")), dict)


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather for a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def test_a_tool_is_called_from_its_description_and_only_when_it_fits() -> None:
    (call, *_) = pieces("What is the weather in Paris?", tools=[WEATHER])
    assert call.tool_call == {"name": "get_weather", "arguments": {"city": "Paris"}}
    assert all(piece.tool_call is None for piece in pieces("Say hi.", tools=[WEATHER]))
    assert pieces("Say hi.", tools=[WEATHER], tool_choice="required")[0].tool_call
    assert not any(p.tool_call for p in pieces("The weather?", tools=[WEATHER], tool_choice="none"))


def test_thinking_comes_before_the_reply_and_apart_from_it() -> None:
    made = pieces(FACT, think=True)
    kinds = ["thinking" if piece.thinking else "text" for piece in made if piece.thinking or piece.text]
    assert kinds == sorted(kinds, reverse=True) and set(kinds) == {"thinking", "text"}


@pytest.mark.parametrize(
    "text", ["Hello there! I'm 12345.\n\n  Donaudampfschiff 東京 x_y", "🐙 — “q”", " ", ""]
)
def test_tokens_join_to_the_text(text: str) -> None:
    assert "".join(tokens.split(text)) == text


def test_vectors_have_length_one_and_sensible_neighbours() -> None:
    def alike(left: str, right: str) -> float:
        a, b = SCRIPT.embed(left, 384), SCRIPT.embed(right, 384)
        assert math.isclose(sum(x * x for x in a), 1, rel_tol=1e-9)
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert (
        alike("a kitten sleeps", "the cat is in bed") > alike("a kitten sleeps", "the bank pays money") + 0.2
    )
    assert alike("the sky is blue", "the sky is blue") > 0.999
