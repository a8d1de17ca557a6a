"""What is said of a payload stands at its place, and what is called an error is refused by the server."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.widgets import json_text
from helpers.widgets.payload import completions, lint, parse

BOUNDED = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))

# A text with « » around the place of the mistake, and a part of what is said of it.
BROKEN = [
    ("«»", "There is nothing here"),
    ("«  \n»", "There is nothing here"),
    ("«\ufeff»{}", "byte order mark"),
    ("«[»1, 2]", "not a list"),
    ('«"»a"', "not a text"),
    ("«4»", "not a number"),
    ("«hi»", "double quotes"),
    ('{"a": 1«,»}', "no comma before }"),
    ('{"a": [1«,»\n]}', "no comma before ]"),
    ("{«'»a': 1}", "straight double quotes"),
    ('{"a": «“»x”}', "straight double quotes"),
    ("{«model»: 1}", '"model", not model'),
    ('{"a": «True»}', "writes true, not True"),
    ('{"a": «None»}', "writes null, not None"),
    ('{"a": «NaN»}', "NaN is no number"),
    ('{"a": «-Infinity»}', "-Infinity is no number"),
    ('{"a": «1e999»}', "larger than any number"),
    ('{"a": «' + "9" * 5000 + "»}", "A number of 5,000 digits"),
    ('{"a": «01»}', "01 is no number"),
    ('{"a": «.5»}', "0.5"),
    ('{"a": "x«\\ud83d» y"}', "Half of a character (U+D83D)"),
    ('{"a": "\\ud83d\\ude00 «\\ude00»"}', "Half of a character (U+DE00)"),
    ('{"a": "«\ud83d»"}', "Half of a character (U+D83D)"),
    ('{"a": 1« "»b": 2}', "comma or } is missing"),
    ('{"a": [1, 2«}»', "write ] instead"),
    ('{"a": «{»"b": 1', "line 1, column 7 is still open"),
    ('{"a": «"x»\ny"}', "line break in a text"),
    ('{"a": «"x}»', "no closing"),
    ('{"a": "«\\q»"}', "a backslash"),
    ('{"a": "«\\u12"}»', "four digits"),
    ('{"a": "x«\t»y"}', "A tab is"),
    ('{"a": 1} «more»', "JSON ended before this"),
    ('{«"a"» = 1}', "writes : and not ="),
    ('{"a": «}»', 'value of "a" is missing'),
    ("«// c»\n{}", "no comments"),
    ('{"a": 1 «# c»\n}', "no comments"),
    ("«\u00a0»{}", "invisible character (U+00A0)"),
    ('{"a": ' + "[" * 199 + "«[»" + "[" * 99999, "Make it flatter"),
]


@pytest.mark.parametrize(("marked", "said"), BROKEN, ids=[said for _, said in BROKEN])
def test_a_mistake_is_told_in_a_sentence_at_its_place(marked: str, said: str) -> None:
    start, end = marked.index("«"), marked.index("»") - 1
    text = marked.replace("«", "").replace("»", "")
    parsed = parse(text)
    assert parsed.payload is None
    (told,) = parsed.errors
    assert (told["start"], told["end"]) == (start, end)
    assert said in told["message"] and told["message"].startswith("Line ")
    assert "\n" not in told["message"] and len(told["message"]) < 200


def test_line_and_column_count_from_one() -> None:
    (told,) = parse('{\n  "a": 1,\r\n  "b": nope\n}').errors
    assert told["message"].startswith("Line 3, column 8: ")


def test_a_name_that_comes_twice_is_warned_of_and_the_last_one_counts() -> None:
    text = '{"n": 1, "model": "a", "n": 2}'
    parsed = parse(text)
    assert parsed.payload == {"n": 2, "model": "a"}
    (told,) = parsed.diagnostics
    assert told["severity"] == "warning" and text[told["start"] : told["end"]] == '"n"' and told["start"] > 5


@BOUNDED
@given(st.text() | st.binary().map(lambda data: data.decode("utf-8", "surrogateescape")))
def test_no_text_raises(text: str) -> None:
    parsed = parse(text)
    assert (parsed.payload is None) == bool(parsed.errors)
    assert all(0 <= one["start"] <= one["end"] <= len(text) for one in parsed.diagnostics)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=5)


@BOUNDED
@given(OBJECTS, st.sampled_from([None, 0, 2, "\t"]), st.booleans())
def test_what_python_writes_is_read_back_with_the_place_of_each_value(
    value: dict[str, Any], indent: Any, ascii: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii)
    assert parse(text).payload == value
    found = json_text.scan(text)
    assert found.value == value and not found.faults
    for path, place in found.places.items():
        inner: Any = value
        for step in path:
            inner = inner[step]
        assert json.loads(text[place.start : place.end]) == inner


@BOUNDED
@given(OBJECTS, st.integers(0, 200), st.sampled_from(list('{}[]",:\\ 1a\n')))
def test_one_character_changed_is_judged_as_python_judges_it(
    value: dict[str, Any], at: int, char: str
) -> None:
    text = json.dumps(value)
    text = text[:at] + char + text[at + 1 :]
    try:
        expected = json.loads(text)
        json.dumps(expected, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        expected = None
    parsed = parse(text)
    assert parsed.payload == (expected if isinstance(expected, dict) else None)
    scanned = json_text.scan(text)
    if isinstance(expected, dict):
        assert scanned.value == expected and not scanned.broken


def test_five_megabytes_are_read_in_time_linear_in_their_length() -> None:
    def seconds(text: str) -> float:
        begun = time.process_time()
        json_text.scan(text)
        return time.process_time() - begun

    for unit in ("[" * 50, '{"a":[1,2,', '"\\n', "1," * 20):
        short, long = (min(seconds(unit * n) for _ in range(2)) for n in (2_000, 20_000))
        assert long < 40 * max(short, 0.002), unit
    picture_text = '{"model": "gpt-5-nano", "messages": [{"role": "user", "content": "%s"}]}' % (
        "A" * 5_000_000
    )
    begun = time.process_time()
    parsed = parse(picture_text)
    assert time.process_time() - begun < 1
    assert parsed.payload and [one["severity"] for one in parsed.diagnostics] == ["info"]


# --- small changes to a text ----------------------------------------------------------------------------


@BOUNDED
@given(OBJECTS.filter(bool), st.data(), st.sampled_from([None, 2]))
def test_a_change_is_the_only_change(value: dict[str, Any], data: st.DataObject, indent: Any) -> None:
    text = json.dumps(value, indent=indent)
    found = json_text.scan(text)
    name = data.draw(st.sampled_from(list(value)) | st.text())
    new = data.draw(VALUES)
    changed = parse(json_text.put(text, found, (name,), new)).payload
    assert changed == {**value, name: new} and list(changed) == list({**value, name: new})
    dropped = parse(json_text.drop(text, found, (name,))).payload
    assert dropped == {key: one for key, one in value.items() if key != name}


def test_a_change_keeps_the_way_the_rest_was_written() -> None:
    text = '{ "model" : "a",\n\t"messages": [ {"role":"user"} ],\n\t"n": 1e0 }'
    found = json_text.scan(text)
    put = json_text.put
    assert put(text, found, ("n",), 2) == text.replace("1e0", "2")
    assert put(text, found, ("stop",), "x") == text.replace("1e0", '1e0,\n\t"stop": "x"')
    one_line = '{"a": [], "b": 1}'
    assert put(one_line, json_text.scan(one_line), ("a",), [1, 2]) == '{"a": [1, 2], "b": 1}'
    assert put(one_line, json_text.scan(one_line), ("c",), {"d": [1]}) == '{"a": [], "b": 1, "c": {"d": [1]}}'
    lines = '{\n    "a": []\n}'
    assert (
        put(lines, json_text.scan(lines), ("b",), ["x"]) == '{\n    "a": [],\n    "b": [\n      "x"\n    ]\n}'
    )
    assert json_text.drop(text, found, ("n",)) == text.replace(',\n\t"n": 1e0', "")
    assert json_text.drop(text, found, ("model",)).startswith('{ "messages"')


# --- rules ----------------------------------------------------------------------------------------------

TOOL = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}},
}
STRICT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
MESSAGES: list[Any] = [
    [{"role": "user", "content": "Say json"}],
    [{"role": "system", "content": "x"}, {"role": "user", "content": "y"}],
    [],
    "hi",
    [{"role": "user"}],
    [{"role": "banana", "content": "x"}],
    [{"role": "user", "content": 3}],
    [{"role": "user", "content": "x", "colour": "red"}],
    [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
    [{"role": "user", "content": [{"type": "picture"}]}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]}],
    [{"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "call_1", "content": "1"}],
    [{"role": "user", "content": "x"}, {"role": "assistant", "content": None, "tool_calls": [CALL]}],
    [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
    ],
    ["x"],
    [None],
]
NUMBERS = st.sampled_from([0, 1, 0.5, 2, 3, -1, -3, 129, "1", True, None, 10**30, []])
FLAGS = st.sampled_from([True, False, None, "true", 1])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("temperature", "top_p", "n", "presence_penalty", "frequency_penalty", "seed"), NUMBERS),
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "top_logprobs"), NUMBERS),
    **dict.fromkeys(("logprobs", "store", "parallel_tool_calls", "truncate"), FLAGS),
    "stop": st.sampled_from(["x", ["a"], list("abcde"), [], 3, [1]]),
    "tools": st.sampled_from([[TOOL], [], [{}], {}, [{"type": "function"}], None]),
    "tool_choice": st.sampled_from(["auto", "none", "any", {"type": "function", "function": {"name": "x"}}]),
    "response_format": st.sampled_from(
        [
            {"type": "text"},
            {"type": "json_object"},
            {"type": "yaml"},
            {"type": "json_schema", "json_schema": {"name": "a", "schema": STRICT}},
            {"type": "json_schema", "json_schema": {"name": "a", "schema": STRICT, "strict": True}},
            {"type": "json_schema"},
            "json",
        ]
    ),
    "reasoning_effort": st.sampled_from(["low", "none", "minimal", "xhigh", "huge", 3, ""]),
    "verbosity": st.sampled_from(["low", "medium", "loud"]),
    "metadata": st.sampled_from([{"a": "b"}, {"a": 1}, {}, {str(n): "x" for n in range(17)}]),
    "logit_bias": st.sampled_from([{"17": 5}, {"a": 5}, {"17": 500}]),
    "user": st.sampled_from(["me", 3]),
    "service_tier": st.sampled_from(["auto", "fast", "slow"]),
    "stream_options": st.sampled_from([{"include_usage": True}, {"usage": True}]),
    "max_token": NUMBERS,
    "format": st.sampled_from(["json", "", "xml", STRICT, {"type": "nothing"}, 3]),
    "think": st.sampled_from([True, False, "low", "deep", 3]),
    "keep_alive": st.sampled_from([0, "5m", "five", -1, True]),
    "options": st.sampled_from(
        [
            {"temperature": 0},
            {"temperature": "hot"},
            {"top_k": 5, "depth": 1},
            {"num_keep": -5, "repeat_last_n": 3},
            {"repeat_penalty": 0},
            {"stop": "x"},
            {"seed": True},
            [],
        ]
    ),
    "raw": FLAGS,
    "system": st.sampled_from(["be brief", 3]),
    "suffix": st.sampled_from(["x", ""]),
    "images": st.sampled_from([[], ["not base64!"], "x"]),
}
COMMON = {"model", "messages"}
PATHS = {
    ("openai", "/chat/completions"): (
        "/openai/v1/chat/completions",
        ["gpt-5-nano", "gpt-4o-mini", "gpt-5.6-luna"],
    ),
    ("ollama", "/chat/completions"): (
        "/v1/chat/completions",
        ["llama3.2", "qwen3:0.6b", "gemma3:1b", "all-minilm"],
    ),
    ("ollama", "/api/chat"): ("/api/chat", ["llama3.2", "qwen3:0.6b", "gemma3:1b", "all-minilm", "a:b:c"]),
    ("ollama", "/api/generate"): ("/api/generate", ["llama3.2", "qwen3:0.6b", "all-minilm", ""]),
}


@st.composite
def payloads(draw: st.DrawFn, models: list[str], path: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if draw(st.integers(0, 9)):
        made["model"] = draw(st.sampled_from(models))
    if path == "/api/generate":
        made["prompt"] = draw(st.sampled_from(["hi", "", "hi", 3]))
    elif draw(st.integers(0, 9)):
        made["messages"] = draw(st.sampled_from(MESSAGES[:2]) | st.sampled_from(MESSAGES))
    names = draw(st.lists(st.sampled_from(list(FIELDS)), max_size=3, unique=True))
    return {**made, **{name: draw(FIELDS[name]) for name in names}, "stream": False}


@pytest.mark.parametrize(("provider", "path"), PATHS)
def test_what_is_called_an_error_is_refused_and_what_is_not_is_taken(
    client: httpx.Client, provider: str, path: str
) -> None:
    route, models = PATHS[provider, path]

    @BOUNDED
    @given(payloads(models, path))
    def agrees(payload: dict[str, Any]) -> None:
        said = lint(json.dumps(payload), provider, "", path)
        reply = client.post(route, json=payload, headers={"authorization": "Bearer sk-practice"})
        assert (reply.status_code != 200) == bool(said.errors), (payload, reply.text, said.diagnostics)

    agrees()


@BOUNDED
@given(st.data(), st.sampled_from([*PATHS, ("azure", "/chat/completions"), ("ollama", "/api/embed")]))
def test_no_payload_raises(data: st.DataObject, surface: tuple[str, str]) -> None:
    names = st.sampled_from([*FIELDS, "model", "messages", "prompt", "input", ""]) | st.text(max_size=3)
    inner = st.dictionaries(
        st.sampled_from(["role", "content", "type", "function", "name", "x[", "a.b", ""]), VALUES
    )
    values = VALUES | st.lists(inner, max_size=2) | inner
    text = json.dumps(data.draw(st.dictionaries(names, values, max_size=6)))
    for one in lint(
        text, surface[0], data.draw(st.sampled_from(["", "gpt-5-nano", "x"])), surface[1]
    ).diagnostics:
        assert 0 <= one["start"] <= one["end"] <= len(text) and one["message"].startswith("Line 1, column ")


def said(text: str, provider: str = "openai", path: str = "/chat/completions") -> list[tuple[str, str, str]]:
    """What lint says: the text it marks, how grave it is, and the sentence without its place."""
    found = lint(text, provider, "", path).diagnostics
    return [
        (text[one["start"] : one["end"]], one["severity"], one["message"].partition(": ")[2]) for one in found
    ]


def test_everything_that_is_wrong_is_told_at_once_in_the_order_of_the_text() -> None:
    text = """{"model": "gpt-5-nano", "mesages": 1, "temperature": 0, "max_tokens": 5, "top_k": 4,
    "messages": [{"role": "usr", "content": "a"}, {"role": "user", "contnt": "b"}, {"role": "user"}]}"""
    assert said(text) == [
        (
            '"mesages"',
            "error",
            "Unrecognized request argument supplied: mesages. Did you mean messages?",
        ),
        (
            "0",
            "error",
            "Unsupported value: 'temperature' does not support 0 with this model. "
            "Only the default (1) value is supported.",
        ),
        ('"max_tokens"', "warning", "max_tokens is deprecated. Instead: max_completion_tokens."),
        (
            "5",
            "error",
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
        ),
        ('"top_k"', "error", "Unrecognized request argument supplied: top_k."),
        (
            '"usr"',
            "error",
            "Invalid value: 'usr'. Supported values are: "
            "'system', 'assistant', 'user', 'function', 'tool', and 'developer'.",
        ),
        ('"contnt"', "error", "Unknown parameter: 'messages[1].contnt'. Did you mean content?"),
    ]


def test_what_ollama_ignores_is_a_warning_with_the_name_it_reads() -> None:
    payload = {"model": "llama3.2", "messages": [{"role": "user", "content": "Hi"}]}
    asked = json.dumps({**payload, "max_completion_tokens": 5, "num_ctx": 9, "optoins": {}})
    assert said(asked, "ollama") == [
        (
            '"max_completion_tokens"',
            "warning",
            "Ollama ignores 'max_completion_tokens' here. Did you mean max_tokens?",
        ),
        ('"num_ctx"', "warning", "Ollama ignores 'num_ctx' here."),
        ('"optoins"', "warning", "Ollama ignores 'optoins' here."),
    ]
    asked = json.dumps({**payload, "num_ctx": 9, "optoins": {}, "options": {"num_ctxt": 9, "top_k": "x"}})
    assert said(asked, "ollama", "/api/chat") == [
        (
            '"num_ctx"',
            "warning",
            'Ollama ignores \'num_ctx\' here. It belongs into options: "options": {"num_ctx": …}.',
        ),
        ('"optoins"', "warning", "Ollama ignores 'optoins' here. Did you mean options?"),
        (
            '"num_ctxt"',
            "warning",
            "Ollama has no option 'num_ctxt' and ignores it. Did you mean num_ctx?",
        ),
        ('"x"', "error", 'option "top_k" must be of type integer'),
    ]


def test_what_is_missing_is_told_where_its_object_begins() -> None:
    (told,) = lint('{"model": "gpt-5-nano"}', "openai", "", "/chat/completions").errors
    assert (told["start"], told["end"]) == (0, 1)
    assert told["message"].endswith("Missing required parameter: 'messages'.")


def test_the_order_of_messages_and_calls_is_checked() -> None:
    messages = [{"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "call_1", "content": "1"}]
    ((marked, _, told),) = said(json.dumps({"model": "gpt-5-nano", "messages": messages}))
    assert marked == '"tool"' and "must be a response to a preceeding message" in told


def test_a_deployment_may_have_any_name_and_an_unknown_provider_has_no_rules() -> None:
    text = json.dumps({"messages": [{"role": "user", "content": "x"}], "n": 0})
    assert [told for _, _, told in said(text)][0] == "you must provide a model parameter"
    azure = lint(text, "azure", "my-deployment", "/chat/completions").errors
    assert len(azure) == 1 and "'n': integer below minimum" in azure[0]["message"]
    assert lint(text, "vllm", "", "/chat/completions").diagnostics == []
    assert lint("{,}", "vllm", "", "/chat/completions").errors


def test_completions_say_what_may_come_at_each_place() -> None:
    found = completions("openai", "/chat/completions")
    names = {one["label"]: one for one in found[""]}
    assert set(names) >= {"model", "messages", "temperature", "stream"}
    assert names["temperature"] == {
        "label": "temperature",
        "detail": "number, 0 to 2",
        "info": "how freely less likely tokens are drawn; 0 nearly always takes the likeliest; default: 1",
        "apply": '"temperature": 0.7',
    }
    assert {one["label"] for one in found["messages[]"]} >= {"role", "content", "tool_call_id"}
    assert '"developer"' in {one["apply"] for one in found["messages[].role="]}
    assert {one["apply"] for one in found["stream="]} == {"true", "false"}
    assert "gpt-5-nano" in {one["label"] for one in found["model="]}
    native = completions("ollama", "/api/chat")
    assert "num_ctx" in {one["label"] for one in native["options"]} and "temperature" not in native
    assert completions("vllm", "/chat/completions") == {}


@pytest.mark.parametrize(("provider", "path"), PATHS)
def test_what_completion_puts_there_is_json(provider: str, path: str) -> None:
    for place, offers in completions(provider, path).items():
        for one in offers:
            assert one["label"] and one["apply"]
            if place.endswith("="):
                json.loads(one["apply"])
            elif not one["apply"].endswith(": "):
                json.loads("{" + one["apply"] + "}")
