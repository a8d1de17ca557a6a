"""The scripted engine: its sampling is real arithmetic over the probabilities it states."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.errors import CourseError
from helpers.practice.engines import Ask, Piece, phrases, tokens
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


def tool(name: str, about: str, needed: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": needed or list(properties)}
    function = {"name": name, "description": about, "parameters": parameters}
    return {"type": "function", "function": function}


TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
TOOLS = [
    tool("get_current_weather", "Get the current weather for a city", city=TEXT),
    tool(
        "get_forecast",
        "Forecast for tomorrow",
        ["location"],
        location={"type": "string", "description": "The city and state"},
        unit={"type": "string", "enum": ["celsius", "fahrenheit"]},
    ),
    tool("add_two_numbers", "Add two numbers", a=WHOLE, b=WHOLE),
    tool("multiply", "Multiply two numbers", a=WHOLE, b=WHOLE),
    tool("send_email", "Send an email to a recipient", to=TEXT, subject=TEXT),
    tool("book_flight", "Book a flight", origin=TEXT, destination=TEXT, date=TEXT),
    tool("search_web", "Search the web", query=TEXT),
    tool("get_stock_price", "Stock price of a company", symbol=TEXT),
]


def called(text: str, tools: list[dict[str, Any]] = TOOLS, **more: Any) -> list[tuple[str, dict[str, Any]]]:
    made = [piece.tool_call for piece in pieces(text, tools=tools, **more) if piece.tool_call]
    return [(call["name"], call["arguments"]) for call in made]


def test_a_tool_is_called_from_its_description_and_only_when_it_fits() -> None:
    (call, *_) = pieces("What is the weather in Paris?", tools=[WEATHER])
    assert call.tool_call == {"name": "get_weather", "arguments": {"city": "Paris"}}
    assert all(piece.tool_call is None for piece in pieces("Say hi.", tools=[WEATHER]))
    assert pieces("Say hi.", tools=[WEATHER], tool_choice="required")[0].tool_call
    assert not any(p.tool_call for p in pieces("The weather?", tools=[WEATHER], tool_choice="none"))


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("What is the weather in Paris?", [("get_current_weather", {"city": "Paris"})]),
        (
            "What's the weather like in Paris and Tokyo?",
            [("get_current_weather", {"city": "Paris"}), ("get_current_weather", {"city": "Tokyo"})],
        ),
        (
            "The forecast for Boston in Fahrenheit, please",
            [("get_forecast", {"location": "Boston", "unit": "fahrenheit"})],
        ),
        ("What is three plus one?", [("add_two_numbers", {"a": 3, "b": 1})]),
        ("What is 12 times 5?", [("multiply", {"a": 12, "b": 5})]),
        (
            "Email ada@example.org about lunch",
            [("send_email", {"to": "ada@example.org", "subject": "lunch"})],
        ),
        (
            "Book a flight from Berlin to Oslo on 2026-03-01",
            [("book_flight", {"origin": "Berlin", "destination": "Oslo", "date": "2026-03-01"})],
        ),
        ("Search the web for octopus facts", [("search_web", {"query": "octopus facts"})]),
        ("What's Apple's stock price?", [("get_stock_price", {"symbol": "Apple"})]),
        (
            "What's the weather in Rome, and what is 2 + 2?",
            [("get_current_weather", {"city": "Rome"}), ("add_two_numbers", {"a": 2, "b": 2})],
        ),
        ("Tell me a joke", []),
        ("Who are you?", []),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_right_tool_gets_its_arguments_from_the_words(text: str, calls: list[Any]) -> None:
    assert called(text) == calls


def test_a_forced_tool_is_called_whatever_is_said() -> None:
    assert called("Say hi.", tool_choice="multiply")[0][0] == "multiply"
    assert len(called("Say hi.", tool_choice="required")) == 1


def answered(*results: str, **more: Any) -> str:
    turns = [("user", "The weather in Paris?"), ("assistant", ""), *(("tool", text) for text in results)]
    messages = [{"role": role, "content": text, "tool_name": "get_weather"} for role, text in turns]
    ask = Ask(messages, complete({"temperature": 0.0}), "1", tools=TOOLS, **more)

    async def collect() -> list[Piece]:
        return [piece async for piece in SCRIPT.reply(ask)]

    made = asyncio.run(collect())
    assert not any(piece.tool_call for piece in made)
    return "".join(piece.text for piece in made)


def test_after_a_tools_result_comes_the_answer() -> None:
    assert answered("22 degrees") == "According to get_weather: 22 degrees"
    both = answered('{"city": "Paris", "temperature": 22}', '{"city": "Rome", "temperature": 28}')
    assert both.endswith("city Paris, temperature 22; city Rome, temperature 28")


def test_arguments_fit_the_tools_schema_however_odd() -> None:
    odd: list[Any] = [{}, {"function": {}}, {"function": {"name": "x", "parameters": {"properties": []}}}]
    assert called("Use x", odd, tool_choice="required") == [("x", {})]


def test_thinking_comes_before_the_reply_and_apart_from_it() -> None:
    made = pieces(FACT, think=True)
    kinds = ["thinking" if piece.thinking else "text" for piece in made if piece.thinking or piece.text]
    assert kinds == sorted(kinds, reverse=True) and set(kinds) == {"thinking", "text"}


@pytest.mark.parametrize(
    "text", ["Hello there! I'm 12345.\n\n  Donaudampfschiff 東京 x_y", "🐙 — “q”", " ", ""]
)
def test_tokens_join_to_the_text(text: str) -> None:
    assert "".join(tokens.split(text)) == text


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(max_size=300))
def test_any_text_is_its_tokens(text: str) -> None:
    assert "".join(tokens.split(text)) == text and tokens.count(text) == len(tokens.split(text))


def test_vectors_have_length_one_and_sensible_neighbours() -> None:
    def alike(left: str, right: str) -> float:
        a, b = SCRIPT.embed(left, 384), SCRIPT.embed(right, 384)
        assert math.isclose(sum(x * x for x in a), 1, rel_tol=1e-9)
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert (
        alike("a kitten sleeps", "the cat is in bed") > alike("a kitten sleeps", "the bank pays money") + 0.2
    )
    assert alike("the sky is blue", "the sky is blue") > 0.999


def near(text: str, *others: str) -> str:
    vector = SCRIPT.embed(text, 384)
    return max(
        others, key=lambda one: sum(a * b for a, b in zip(vector, SCRIPT.embed(one, 384), strict=True))
    )


@pytest.mark.parametrize(
    ("text", "nearest", "others"),
    [
        ("king", "queen", ["carrot", "airport"]),
        ("The queen lives in a palace", "A king sat on the throne", ["I peel a carrot", "The train is late"]),
        (
            "How do I reset my password?",
            "I cannot log in to my account",
            ["Where is my parcel?", "I love soup"],
        ),
        ("a puppy", "my dogs", ["a bank loan", "heavy rain"]),
        ("Katze", "cat", ["Hund", "car"]),
        ("It rained all day", "stormy weather", ["a good book", "football"]),
        ("kangaroo", "kangaroos", ["piano", "Tuesday"]),
    ],
)
def test_what_means_the_same_is_nearer(text: str, nearest: str, others: list[str]) -> None:
    assert near(text, nearest, *others) == nearest


def test_king_minus_man_plus_woman_is_nearest_to_queen() -> None:
    king, man, woman = (SCRIPT.embed(word, 384) for word in ("king", "man", "woman"))
    made = [a - b + c for a, b, c in zip(king, man, woman, strict=True)]
    others = ["queen", "prince", "carrot", "girl", "palace", "dog"]
    scores = {one: sum(a * b for a, b in zip(made, SCRIPT.embed(one, 384), strict=True)) for one in others}
    assert max(scores, key=lambda one: scores[one]) == "queen"


def test_a_vector_is_the_same_on_every_machine() -> None:
    digest = hashlib.sha256(json.dumps([round(x, 9) for x in SCRIPT.embed("The sky is blue", 64)]).encode())
    assert digest.hexdigest()[:16] == "12126671af1809a4"


# --- what is said ------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Why is the sky blue?", "scatter"),
        ("What is the capital of France?", "Paris"),
        ("What is 17 * 23?", "391"),
        ("What is (2 + 3) * 4?", "20"),
        ("What is 12.5% of 80?", "10"),
        ("What is the square root of 144?", "12"),
        ("Is 7 a prime number?", "Yes"),
        ("Is 9 prime?", "No"),
        ("How many r's are in strawberry?", "3"),
        ("How many words are in: one two three", "3"),
        ("Translate 'good night' to German", "gute Nacht"),
        ("Translate to French: The sky is blue", "le ciel est bleu"),
        ("How do you say cat in Japanese?", "猫"),
        ("List three fruits", "1. apple\n2. banana\n3. pear"),
        ("Name 4 colours, comma separated", "blue, green, red, yellow"),
        ("Repeat after me: one two three", "one two three"),
        ("Say 'hello' 3 times", "hello hello hello"),
        ("Reverse the word stressed", "desserts"),
        ("Count down from 5", "5, 4, 3, 2, 1"),
        ("Write a Python function that reverses a string", "def reverse"),
        ("What is the sentiment of: I love this wonderful course", "Positive"),
        ("Classify as positive, negative or neutral: The soup was not good", "negative"),
        ("Is this spam or ham? Classify: You won a prize, click to claim", "spam"),
        ("Extract the names from: Ada met Grace in London.", "Ada, Grace"),
        ("Extract the email addresses from: write to ada@x.org or bob@y.com", "ada@x.org, bob@y.com"),
        ("What did I ask you?", "script"),
        (
            "Context: It opens at 9. It closes at 17 on Fridays.\nQuestion: When does it close on Fridays?",
            "17",
        ),
        ("Warum ist der Himmel blau?", "gestreut|streut"),
        ("Was ist die Hauptstadt von Frankreich?", "Paris"),
        ("Pourquoi le ciel est-il bleu ?", "diffuse"),
        ("¿Cuál es la capital de España?", "Madrid"),
        ("Por que o céu é azul?", "espalha"),
        ("Perché il cielo è blu?", "diffonde"),
        ("空はなぜ青いのですか", "散乱"),
        ("Why is the sky blue? Answer in German.", "Himmel"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_known_tasks_are_done_truthfully(text: str, wanted: str) -> None:
    assert re.search(wanted, said(text, temperature=0.0)), said(text, temperature=0.0)


def test_a_summary_is_the_texts_own_sentence() -> None:
    text = (
        "The council met on Monday. It voted to close the old bridge because the bridge is unsafe. "
        "Repairs to the bridge will cost two million euros. Lunch was served."
    )
    made = said(f"Summarise this in one sentence: {text}", temperature=0.0)
    assert made in text and "bridge" in made


@pytest.mark.parametrize(
    ("system", "pattern"),
    [
        ("You are a pirate.", r"^(Arr!|Ahoy!) "),
        ("Answer in one word.", r"^\w+\.?$"),
        ("Answer only in uppercase.", r"^[^a-z]+$"),
        ("Reply as a haiku.", r"^[^\n]+\n[^\n]+\n[^\n]+$"),
        ("Use bullet points.", r"^- "),
        ("Reply in JSON.", r'^\{\n  "reply": ".*"\n\}$'),
        ("Always answer in German.", "Himmel"),
        ("Antworte auf Französisch / en français.", "ciel"),
        ("You are Mario from Super Mario Bros.", "Mario"),
        ("You are a botanist.", "botanist"),
        ("End every reply with 'Meow!'", r"Meow!$"),
        ('Start each answer with "Well then."', r"^Well then\. "),
        ("You are a helpful assistant.", r"^(The sky|Because)"),
    ],
)
def test_the_system_message_gives_the_manner(system: str, pattern: str) -> None:
    for seed in range(5):
        assert re.search(pattern, said("Why is the sky blue?", system=system, seed=seed)), system


def test_a_part_to_play_has_a_name() -> None:
    assert "a botanist" in said("Who are you?", system="You are a botanist.")
    assert "Mario" in said(
        "Who are you?", system="You are Mario from super mario bros, acting as an assistant."
    )


def test_the_system_message_is_a_source_of_answers() -> None:
    system = "You are the assistant of a shop. The shop is open from 9 to 17 on weekdays. It sells tea."
    assert "9 to 17" in said("When is the shop open?", system=system)


HISTORY = (
    ("user", "My name is Ada. I am 36 years old."),
    ("assistant", "Nice to meet you!"),
    ("user", "My favourite colour is green and my dog is called Rex. I live in London."),
    ("assistant", "I see."),
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("What is my name?", "Ada"),
        ("Wie heiße ich?", "Ada"),
        ("Comment je m'appelle ?", "Ada"),
        ("What is my favourite colour?", "green"),
        ("What's my dog's name?", "Rex"),
        ("How old am I?", "36"),
        ("Where do I live?", "London"),
        ("What did I ask first?", "My name is Ada"),
        ("What did you say?", "I see."),
        ("What is my shoe size?", "do not know|not told"),
    ],
)
def test_what_was_said_is_remembered(text: str, wanted: str) -> None:
    assert re.search(wanted, said(text, history=HISTORY))


def test_examples_teach_a_label() -> None:
    shots = (
        ("user", "The parcel came late"),
        ("assistant", "delivery"),
        ("user", "I was charged twice"),
        ("assistant", "billing"),
        ("user", "Shipping took three weeks"),
        ("assistant", "delivery"),
    )
    assert said("There is a wrong payment on my invoice", history=shots) == "billing"


def test_an_unknown_subject_is_taken_up_and_owned_up_to() -> None:
    for text, subject, honest in [
        ("Explain the offside rule", "the offside rule", "practice"),
        ("Erkläre mir bitte die Abseitsregel", "Abseitsregel", "Übungsmodell"),
        ("Explique la règle du hors-jeu", "hors-jeu", "exercice"),
    ]:
        made = said(text)
        assert subject in made and honest in made


def test_length_follows_what_is_wanted() -> None:
    three = said("Describe the water cycle in 3 sentences")
    assert len(re.findall(r"[.!?](?= |$)", three)) >= 3 and len(set(three.split(". "))) == 3
    assert len(said("Write a very long story", num_predict=5000).split()) > 500
    assert len(said("Write a story that never ends", num_predict=3000).split()) > 2000


def test_the_cost_of_a_token_is_flat() -> None:
    def seconds(count: int, told: int, **options: Any) -> float:
        start = time.perf_counter()  # each time another text, so that nothing is known from before
        made = pieces(f"Write story {told} that never ends", num_predict=count, **options)
        assert sum(piece.tokens for piece in made) == count
        return (time.perf_counter() - start) / count

    for options in ({}, {"repeat_last_n": -1, "frequency_penalty": 0.001}):
        short = min(seconds(1000, told, **options) for told in range(4))
        assert seconds(20_000, 9, **options) < 3 * short, options


@pytest.mark.parametrize(
    "text",
    [
        "a," * 20_000,
        "(" * 40_000,
        "aaaa@" * 8000,
        "1" * 40_000,
        '"' * 10_000,
        "my " * 10_000,
        "in Aa " * 7000,
        "how many letters in " + " " * 9000,
        '{"a":' * 8000,
        "Extract names from: " + "Ab cd " * 6000,
    ],
    ids=lambda text: text[:12],
)
def test_no_text_however_odd_takes_long(text: str) -> None:
    wanted = {
        "type": "object",
        "properties": {"city": TEXT, "names": {"type": "array", "items": TEXT}, "n": WHOLE},
    }
    start = time.perf_counter()
    pieces(text, tools=TOOLS, num_predict=50)
    pieces(text, format=wanted, num_predict=50)
    assert time.perf_counter() - start < 3


# --- the phrase file ------------------------------------------------------------


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = phrases.FILE.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "phrases.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_a_teacher_can_change_what_is_said(tmp_path: Path) -> None:
    path = edited(tmp_path, "Octopuses have three hearts", "Squids have three hearts")
    assert any("Squids" in text for _, text in phrases.load(path).rule("fact", "en"))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('says = ["{fact}"]', 'says = ["{fact}]', "no TOML"),
        ('says = ["{fact}"]', 'says = ["{facts}"]', "{facts}"),
        ('says = ["{fact}"]', "says = []", "list of texts"),
        ('says = ["{fact}"]', "", "no `says`"),
        ('colour = ["4 | blue"', 'colour = ["-4 | blue"', "weight"),
        ('colour = ["4 | blue"', 'colour = ["4 | {colour}"', "back to itself"),
        ('asks = ["parrot"]', 'ask = ["parrot"]', "no `asks`"),
        ("[rules.de]", '[rules.de]\nnonsense = ["x"]', "nonsense"),
        ("[capitals]", "[capital]", "capitals"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_slip_in_the_phrase_file_is_named(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(CourseError, match=re.escape(told)) as caught:
        phrases.load(edited(tmp_path, old, new))
    assert "phrases.toml" in str(caught.value) and "\n" not in str(caught.value)


def test_every_topic_can_be_reached_and_said_in_every_language() -> None:
    for topic in phrases.load().data["topic"]:
        for asked in topic.get("asks", [])[:1]:
            for manner in ("", " in German", " en français", "日本語で"):
                assert said(f"{asked}{manner}", num_predict=60)
