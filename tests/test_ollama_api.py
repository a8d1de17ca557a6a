"""Ollama's own API over HTTP; expected texts and shapes are those of a real Ollama 0.32.15."""

from __future__ import annotations

import json
import re
import statistics
import time
from typing import Any

import httpx
import pytest

PLAIN, TOOLS, THINK, EMBED, VISION = "gemma3:1b", "llama3.2", "qwen3:0.6b", "all-minilm", "gemma3:4b"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
HI = [{"role": "user", "content": "Say hi."}]
CALLED = {  # what is answered with a call
    "model": TOOLS,
    "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
    "tools": [{"type": "function", "function": {
        "name": "get_weather", "description": "Weather of a city", "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}],
}  # fmt: skip

# path, body (bytes are sent as they are), status, error text
REFUSALS: list[tuple[str, Any, int, str]] = [
    ("generate", b"", 400, "missing request body"),
    ("generate", b"{bad", 400, "invalid character 'b' looking for beginning of object key string"),
    ("generate", [], 400, "json: cannot unmarshal array into Go value of type api.GenerateRequest"),
    (
        "generate",
        {"model": 5},
        400,
        "json: cannot unmarshal number into Go struct field GenerateRequest.model of type string",
    ),
    (
        "generate",
        {"context": [1.5]},
        400,
        "json: cannot unmarshal number 1.5 into Go struct field GenerateRequest.context of type int",
    ),
    ("generate", {}, 404, "model '' not found"),
    ("generate", {"model": "foo:", "prompt": "x"}, 400, "invalid model name"),
    ("generate", {"model": "nosuch", "prompt": "x"}, 404, "model 'nosuch' not found"),
    ("generate", {"model": PLAIN, "top_logprobs": 21}, 400, "top_logprobs must be between 0 and 20"),
    (
        "generate",
        {"model": PLAIN, "prompt": "x", "raw": True, "system": "s"},
        400,
        "raw mode does not support template, system, or context",
    ),
    (
        "generate",
        {"model": PLAIN, "prompt": "x", "think": True},
        400,
        '"gemma3:1b" does not support thinking',
    ),
    (
        "generate",
        {"model": PLAIN, "think": "x"},
        400,
        'invalid think value: "x" (must be "high", "medium", "low", "max", true, or false)',
    ),
    (
        "generate",
        {"model": PLAIN, "prompt": "x", "suffix": "y"},
        400,
        "registry.ollama.ai/library/gemma3:1b does not support insert",
    ),
    ("generate", {"model": EMBED, "prompt": "x"}, 400, '"all-minilm" does not support generate'),
    (
        "generate",
        {"model": PLAIN, "prompt": "x", "options": {"temperature": "hot"}},
        500,
        'option "temperature" must be of type float32',
    ),
    (
        "generate",
        {"model": PLAIN, "prompt": "x", "options": {"stop": "a"}},
        500,
        'option "stop" must be of type array',
    ),
    (
        "generate",
        {"model": PLAIN, "prompt": "x", "format": "xml"},
        500,
        r'invalid format: "\"xml\""; expected "json" or a valid JSON Schema object',
    ),
    (  # it is shown as it was sent
        "chat",
        b'{"model":"gemma3:1b","messages": [{"role": "user", "content": "x"}],"format" : [ 1 ,"\\u00e9"] }',
        500,
        r'invalid format: "[ 1 ,\"\\u00e9\"]"; expected "json" or a valid JSON Schema object',
    ),
    ("generate", {"model": PLAIN, "keep_alive": "abc"}, 400, 'time: invalid duration "abc"'),
    ("generate", {"model": PLAIN, "keep_alive": "10"}, 400, 'time: missing unit in duration "10"'),
    ("generate", {"model": PLAIN, "keep_alive": True}, 400, "Unsupported type: 'bool'"),
    (
        "generate",
        {"model": PLAIN, "prompt": "x", "images": ["@@@"]},
        400,
        "illegal base64 data at input byte 0",
    ),
    ("generate", {"model": "a:local:cloud"}, 400, 'use either :local or :cloud, not both: "a:local:cloud"'),
    (
        "generate",
        {"model": PLAIN, "prompt": "x", "template": "{{ .Foo"},
        500,
        "template: :1: unclosed action",
    ),
    (
        "generate",
        {"model": PLAIN, "prompt": "x", "template": "{{ .Prompt.X }}"},
        500,
        'template: :1:10: executing "" at <.Prompt.X>: can\'t evaluate field X in type interface {}',
    ),
    ("chat", {"model": " "}, 400, "model is required"),
    ("embed", {"model": " "}, 404, "model ' ' not found"),
    (
        "chat",
        {"model": PLAIN, "tools": [{"function": {"parameters": {"properties": {"a": {"type": 5}}}}}]},
        400,
        "json: cannot unmarshal number into Go struct field "
        "ToolFunctionParameters.tools.function.parameters.properties.type of type []string",
    ),
    ("chat", {}, 400, "model is required"),
    ("chat", {"model": "a:b:c", "messages": HI}, 400, "invalid model name"),
    ("chat", {"model": "nosuch", "messages": HI}, 404, "model 'nosuch' not found"),
    ("chat", {"model": EMBED, "messages": HI}, 400, '"all-minilm" does not support chat'),
    (
        "chat",
        {"model": PLAIN, "messages": HI, "tools": [{"type": "function", "function": {"name": "f"}}]},
        400,
        "registry.ollama.ai/library/gemma3:1b does not support tools",
    ),
    (
        "chat",
        {"model": PLAIN, "messages": [{"role": "user", "content": ["x"]}]},
        400,
        "json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string",
    ),
    (
        "chat",
        {"tools": [{"function": {"name": 1}}]},
        400,
        "json: cannot unmarshal number into Go struct field ToolFunction.tools.function.name of type string",
    ),
    (  # what has a decoder of its own ends the reading; other misfits wait for the end
        "chat",
        {"model": 1, "messages": [{"role": 1}]},
        400,
        "json: cannot unmarshal number into Go struct field ChatRequest.messages.role of type string",
    ),
    (
        "chat",
        {"model": 1, "messages": [{"tool_calls": [{"function": {"arguments": 1}}]}]},
        400,
        "Value looks like object, but can't find closing '}' symbol",
    ),
    (
        "chat",
        {"model": 1, "tools": [{"function": {"parameters": {"required": 1, "properties": {"a": 5}}}}]},
        400,
        "json: cannot unmarshal number into Go struct field "
        "ToolFunctionParameters.tools.function.parameters.properties of type api.ToolProperty",
    ),
    (
        "chat",
        {"model": 1, "tools": [{"function": {"parameters": {"required": 1}}}]},
        400,
        "json: cannot unmarshal number into Go struct field ChatRequest.model of type string",
    ),
    (
        "chat",
        {"model": PLAIN, "messages": HI, "format": {"type": [[]]}},
        400,
        '{"error":{"code":400,"message":"Failed to initialize samplers: failed to parse grammar",'
        '"type":"invalid_request_error"}}',
    ),
    ("embed", {"model": "nosuch", "input": "x"}, 404, 'model "nosuch" not found, try pulling it first'),
    ("embed", {"input": "x"}, 404, "model '' not found"),
    ("embed", {"input": 5}, 404, "model '' not found"),
    (
        "embed",
        {"model": EMBED, "input": "x", "options": {"num_ctx": 2}},
        400,
        "input after truncation exceeds maximum context length",
    ),
    (
        "embed",
        {"model": EMBED, "input": "word " * 9, "options": {"num_ctx": 0}},
        400,
        "input exceeds maximum context length and cannot be truncated further",
    ),
    (
        "pull",
        {"model": "x", "username": 1},
        400,
        "json: cannot unmarshal number into Go struct field PullRequest.username of type string",
    ),
    ("embed", {"model": EMBED, "input": 5}, 400, "invalid input type"),
    (
        "embed",
        {"model": PLAIN, "input": "x"},
        501,
        "This server does not support embeddings. Start it with `--embeddings`",
    ),
    (
        "embed",
        {"model": EMBED, "input": "word " * 600, "truncate": False},
        400,
        "the input length exceeds the context length",
    ),
    ("embeddings", {"model": "nosuch", "prompt": "x"}, 404, 'model "nosuch" not found, try pulling it first'),
    ("show", {}, 400, "model is required"),
    ("show", {"model": "nosuch"}, 404, "model 'nosuch:latest' not found"),
    ("copy", {"source": "", "destination": "x"}, 400, 'source "" is invalid'),
    ("copy", {"source": PLAIN, "destination": ""}, 400, 'destination "" is invalid'),
    ("copy", {"source": "nosuch", "destination": "x"}, 404, 'model "nosuch" not found'),
]


def post(client: httpx.Client, path: str, body: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body)
    return client.post(f"/api/{path}", content=content)


@pytest.mark.parametrize(("path", "body", "status", "text"), REFUSALS, ids=lambda v: str(v)[:40])
def test_refusals(client: httpx.Client, path: str, body: Any, status: int, text: str) -> None:
    reply = post(client, path, body)
    assert (reply.status_code, reply.json()) == (status, {"error": text})


@pytest.mark.parametrize("wanted", [{"type": 1.5}, [[]], "bogus"], ids=str)
def test_a_model_that_thinks_hears_of_the_format_after_it(client: httpx.Client, wanted: Any) -> None:
    ask = {"model": THINK, "messages": HI, "think": True, "format": wanted}
    soon = post(client, "chat", {**ask, "think": False})
    whole = post(client, "chat", {**ask, "stream": False})
    assert soon.status_code == whole.status_code == (400 if isinstance(wanted, dict) else 500)
    assert soon.json() == whole.json()
    *thought, empty, last = [json.loads(line) for line in post(client, "chat", ask).text.splitlines()]
    assert thought and all(chunk["message"]["thinking"] for chunk in thought) and last == whole.json()
    assert empty["message"] == {"role": "assistant", "content": ""}
    cut = post(client, "chat", {**ask, "stream": False, "options": {"num_predict": 1}}).json()
    assert cut["done_reason"] == "length" and cut["message"]["thinking"]


def test_a_picture_for_a_text_model_is_refused_in_the_inner_servers_words(client: httpx.Client) -> None:
    reply = post(client, "generate", {"model": PLAIN, "prompt": "x", "images": [PIXEL]})
    inner = json.loads(reply.json()["error"])
    assert reply.status_code == inner["error"]["code"] == 400
    assert inner["error"]["type"] == "invalid_request_error"
    seen = post(
        client, "generate", {"model": VISION, "prompt": "What is this?", "images": [PIXEL], "stream": False}
    )
    assert "picture" in seen.json()["response"]


def test_generate_whole(client: httpx.Client) -> None:
    reply = post(client, "generate", {"model": PLAIN, "prompt": "Say hi.", "stream": False})
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    assert list(reply.json()) == [
        "model", "created_at", "response", "done", "done_reason", "context", "total_duration",
        "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration",
    ]  # fmt: skip
    assert reply.json()["model"] == PLAIN and not reply.text.endswith("\n")
    raw = post(client, "generate", {"model": PLAIN, "prompt": "The sky", "raw": True, "stream": False})
    assert "context" not in raw.json()


def test_a_stream_is_the_whole_reply_in_parts(client: httpx.Client) -> None:
    ask = {"model": PLAIN, "prompt": "Say hi.", "options": {"seed": 3}}
    stream = post(client, "generate", ask)
    assert stream.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in stream.text.splitlines()]
    assert [list(line) for line in lines[:-1]] == [["model", "created_at", "response", "done"]] * (
        len(lines) - 1
    )
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    whole = post(client, "generate", {**ask, "stream": False}).json()
    assert "".join(line["response"] for line in lines) == whole["response"]
    assert whole["eval_count"] == len(lines) - 1


def test_chat_whole_streamed_and_thinking(client: httpx.Client) -> None:
    reply = post(client, "chat", {"model": PLAIN, "messages": HI, "stream": False}).json()
    assert list(reply)[:5] == ["model", "created_at", "message", "done", "done_reason"]
    assert list(reply["message"]) == ["role", "content"]
    thought = post(client, "chat", {"model": THINK, "messages": HI, "stream": False}).json()["message"]
    assert list(thought) == ["role", "content", "thinking"] and thought["content"]
    quiet = post(client, "chat", {"model": THINK, "messages": HI, "stream": False, "think": False}).json()
    assert "thinking" not in quiet["message"]


def test_a_tool_call_comes_in_a_chunk_of_its_own(client: httpx.Client) -> None:
    first, last = [json.loads(line) for line in post(client, "chat", CALLED).text.splitlines()]
    (call,) = first["message"]["tool_calls"]
    assert call["function"] == {"index": 0, "name": "get_weather", "arguments": {"city": "Paris"}}
    assert call["id"].startswith("call_") and len(call["id"]) == 13
    assert last["done_reason"] == "stop"


def test_logprobs_only_when_asked(client: httpx.Client) -> None:
    ask = {
        "model": PLAIN,
        "prompt": "Say hi.",
        "stream": False,
        "logprobs": True,
        "options": {"num_predict": 2},
    }
    one, two = post(client, "generate", {**ask, "top_logprobs": 2}).json()["logprobs"]
    assert list(one) == ["token", "logprob", "bytes", "top_logprobs"] and len(two["top_logprobs"]) == 2
    assert "top_logprobs" not in post(client, "generate", ask).json()["logprobs"][0]


def test_thinking_and_calls_have_logprobs(client: httpx.Client) -> None:
    thought = {"messages": HI, "model": THINK, "logprobs": True, "options": {"num_predict": 2}}
    *chunks, last = [json.loads(line) for line in post(client, "chat", thought).text.splitlines()]
    assert all(chunk["message"]["thinking"] and len(chunk["logprobs"]) == 1 for chunk in chunks)
    assert "logprobs" not in last and last["eval_count"] == 2
    assert len(post(client, "chat", {**thought, "stream": False}).json()["logprobs"]) == 2
    called = {**CALLED, "logprobs": True, "top_logprobs": 1}
    *waiting, call, _ = [json.loads(line) for line in post(client, "chat", called).text.splitlines()]
    assert waiting and all(one["message"] == {"role": "assistant", "content": ""} for one in waiting)
    assert call["message"]["tool_calls"]
    told = [one["logprobs"][0] for one in (*waiting, call)]
    assert json.loads("".join(one["token"] for one in told))["name"] == "get_weather"
    whole = post(client, "chat", {**called, "stream": False}).json()
    assert whole["message"]["tool_calls"] and whole["logprobs"] == told
    events = client.post("/v1/chat/completions", json=called | {"stream": True}).text.split("\n\n")
    choices = [json.loads(event[6:])["choices"][0] for event in events if event.startswith("data: {")]
    assert choices[1]["delta"] == {"content": ""} and choices[1]["logprobs"] == {"content": told[1:2]}
    assert choices[-2]["delta"]["tool_calls"] and choices[-1] == {
        "index": 0, "delta": {}, "finish_reason": "tool_calls"
    }  # fmt: skip


def test_a_bare_text_is_gone_on_with_and_not_thought_about(client: httpx.Client) -> None:
    ask = {"model": THINK, "prompt": "Once upon a time", "raw": True, "stream": False}
    made = post(client, "generate", ask).json()
    assert made["response"] and "thinking" not in made


def test_a_thought_is_an_empty_text_of_a_completion(client: httpx.Client) -> None:
    ask = {"model": THINK, "prompt": "Say hi.", "stream": True, "max_tokens": 3}
    events = client.post("/v1/completions", json=ask).text.split("\n\n")[:-2]
    choices = [json.loads(event[6:])["choices"][0] for event in events]
    assert choices == [{"text": "", "index": 0, "finish_reason": None}] * 3 + [
        {"text": "", "index": 0, "finish_reason": "length"}
    ]


FORMED = {"type": "object", "properties": {"a": {"const": "x"}}, "required": ["a"]}


def test_a_model_that_has_thought_begins_anew_with_the_format(client: httpx.Client) -> None:
    ask = {"model": THINK, "messages": HI, "format": FORMED, "options": {"seed": 1}}
    *chunks, last = [json.loads(line) for line in post(client, "chat", ask).text.splitlines()]
    messages = [chunk["message"] for chunk in chunks]
    at = messages.index({"role": "assistant", "content": ""})
    assert at and all("thinking" in message for message in messages[:at])
    answer = messages[at + 1 :]
    assert json.loads("".join(message["content"] for message in answer)) == {"a": "x"}
    plain = post(client, "chat", {**ask, "format": None, "stream": False}).json()
    assert last["prompt_eval_count"] == plain["prompt_eval_count"] + at
    assert last["eval_count"] == len(answer)
    told = post(client, "chat", {**ask, "logprobs": True, "stream": False}).json()
    assert len(told["logprobs"]) == at + 1 + len(answer)
    events = client.post("/v1/chat/completions", json={
        **ask, "stream": True, "response_format": {"type": "json_schema", "json_schema": {"schema": FORMED}},
    }).text.split("\n\n")  # fmt: skip
    choices = [json.loads(event[6:])["choices"][0] for event in events if event.startswith("data: {")]
    assert {"content": ""} in [choice["delta"] for choice in choices]


def test_what_is_json_from_its_first_letter_has_no_thought_before_it(client: httpx.Client) -> None:
    ask = {"model": THINK, "prompt": "Say hi.", "format": FORMED, "think": True, "stream": False}
    made = post(client, "generate", ask).json()
    assert json.loads(made["response"]) == {"a": "x"} and "thinking" not in made


def test_a_format_refused_after_the_thinking(client: httpx.Client) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "nope"}}}
    ask = {"model": THINK, "messages": HI, "response_format": wanted, "stream": True}
    lines = client.post("/v1/chat/completions", json=ask).text.split("\n\n")
    assert lines[-1] == "" and json.loads(lines[-2][6:])["model"] == ""
    empty = {"index": 0, "delta": {"content": ""}, "finish_reason": None}
    assert [json.loads(line[6:])["choices"] for line in lines[-3:-1]] == [[empty], [empty]]
    whole = client.post("/v1/chat/completions", json={**ask, "stream": False})
    assert whole.status_code == 400 and whole.headers["content-type"] == "application/json"
    assert "Unrecognized schema" in whole.json()["error"]["message"]
    wanted = {"format": {"type": "json_schema", "name": "n", "schema": {"type": "nope"}}}
    ask = {"model": THINK, "input": "Say hi.", "text": wanted, "stream": True}
    *_, last, rest = client.post("/v1/responses", json=ask).text.split("\n\n")
    assert last.startswith("event: response.reasoning_summary_text.delta\n") and rest == ""


def test_a_stop_sequence_ends_thinking_too(client: httpx.Client) -> None:
    whole = {"messages": HI, "model": THINK, "stream": False, "options": {"seed": 1}}
    thinking = post(client, "chat", whole).json()["message"]["thinking"]
    first, second, *_ = thinking.split()
    stopped = post(client, "chat", {**whole, "options": {"seed": 1, "stop": [second]}}).json()
    assert stopped["message"] == {"role": "assistant", "content": "", "thinking": first + " "}
    assert stopped["done_reason"] == "stop"


def test_context_goes_on_where_a_reply_ended(client: httpx.Client) -> None:
    first = post(client, "generate", {"model": PLAIN, "prompt": "My name is Ada.", "stream": False}).json()
    ask = {"model": PLAIN, "prompt": "What is my name?", "stream": False}
    assert "Ada" in post(client, "generate", {**ask, "context": first["context"]}).json()["response"]
    assert "Ada" not in post(client, "generate", ask).json()["response"]


def test_a_long_history_is_cut_to_num_ctx_without_a_word(client: httpx.Client) -> None:
    talk = [{"role": "user", "content": "My name is Ada."}, {"role": "assistant", "content": "word " * 200}]
    ask = {
        "model": PLAIN,
        "messages": [*talk, {"role": "user", "content": "What is my name?"}],
        "stream": False,
    }
    assert "Ada" in post(client, "chat", ask).json()["message"]["content"]
    small = post(client, "chat", {**ask, "options": {"num_ctx": 64}}).json()
    assert "Ada" not in small["message"]["content"] and small["prompt_eval_count"] <= 64


def test_load_use_and_unload(client: httpx.Client) -> None:
    loaded = post(client, "generate", {"model": PLAIN, "keep_alive": "10m"})
    assert loaded.json() | {"created_at": ""} == {
        "model": PLAIN, "created_at": "", "response": "", "done": True, "done_reason": "load",
    }  # fmt: skip
    (one,) = [m for m in client.get("/api/ps").json()["models"] if m["name"] == PLAIN]
    assert list(one) == [
        "name", "model", "size", "digest", "details", "expires_at", "size_vram", "context_length",
    ]  # fmt: skip
    gone = post(client, "chat", {"model": PLAIN, "keep_alive": 0})
    assert gone.json()["done_reason"] == "unload" and gone.json()["message"] == {
        "role": "assistant",
        "content": "",
    }
    assert PLAIN not in [m["name"] for m in client.get("/api/ps").json()["models"]]


def test_keep_alive_really_unloads(client: httpx.Client) -> None:
    post(client, "generate", {"model": PLAIN, "keep_alive": 0.2})
    deadline = time.monotonic() + 5
    while PLAIN in client.get("/api/ps").text:
        assert time.monotonic() < deadline, "still loaded"


def test_embeddings(client: httpx.Client) -> None:
    two = post(client, "embed", {"model": EMBED, "input": ["why", "because"]}).json()
    assert list(two) == ["model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"]
    assert [len(vector) for vector in two["embeddings"]] == [384, 384]
    (short,) = post(client, "embed", {"model": EMBED, "input": "why", "dimensions": 2}).json()["embeddings"]
    assert len(short) == 2 and abs(sum(x * x for x in short) - 1) < 1e-6
    assert (
        post(client, "embed", {"model": EMBED, "input": ""}).text == '{"model":"all-minilm","embeddings":[]}'
    )
    assert len(post(client, "embeddings", {"model": EMBED, "prompt": "why"}).json()["embedding"]) == 384


PUBLISHED = {  # name: bytes and parameters, as the public library states them
    "llama3.2:latest": (2019393189, 3212749888),
    "gemma3:1b": (815319791, 999885952),
    "gemma3:4b": (3338801804, 4299915632),
    "qwen3:0.6b": (522653767, 751632384),
    "all-minilm:latest": (45960996, 22565376),
}


def test_tags_and_show_state_the_published_facts(client: httpx.Client) -> None:
    listed = {model["name"]: model for model in client.get("/api/tags").json()["models"]}
    for name, (size, parameters) in PUBLISHED.items():
        assert listed[name]["size"] == size
        shown = post(client, "show", {"model": name}).json()
        assert shown["model_info"]["general.parameter_count"] == parameters
        assert sorted(shown["capabilities"]) == sorted(listed[name]["capabilities"])
        assert "stand-in" in shown["license"]
    assert listed[VISION]["capabilities"] == ["vision", "completion"]  # in the order of the file
    assert listed[THINK]["capabilities"] == ["completion", "tools", "thinking"]
    assert listed[EMBED + ":latest"]["capabilities"] == ["embedding"]


def test_show_hides_long_lists_unless_verbose(client: httpx.Client) -> None:
    brief = post(client, "show", {"model": "LLAMA3.2"}).json()["model_info"]
    whole = post(client, "show", {"model": TOOLS, "verbose": True}).json()["model_info"]
    assert brief["tokenizer.ggml.tokens"] is None and whole["tokenizer.ggml.tokens"]
    assert list(brief) == sorted(brief)


def test_copy_and_delete(client: httpx.Client) -> None:
    assert post(client, "copy", {"source": TOOLS, "destination": "course-copy"}).text == ""
    assert "course-copy:latest" in client.get("/api/tags").text
    for status in (200, 404):
        reply = client.request("DELETE", "/api/delete", json={"model": "course-copy"})
        assert reply.status_code == status
    assert post(client, "show", {"model": TOOLS}).status_code == 200


def test_paths_and_methods_that_are_not_there(client: httpx.Client) -> None:
    assert client.get("/").text == "Ollama is running"
    assert client.head("/").status_code == 200
    assert client.get("/api/version").text == '{"version":"0.32.15"}'
    nowhere = client.get("/nope")
    assert (nowhere.status_code, nowhere.text, nowhere.headers["content-type"]) == (
        404, "404 page not found", "text/plain",
    )  # fmt: skip
    wrong = client.get("/api/chat")
    assert (wrong.status_code, wrong.text, wrong.headers["allow"]) == (405, "405 method not allowed", "POST")
    assert client.post("/api/tags").headers["allow"] == "HEAD, GET"
    assert client.head("/api/ps").status_code == 405
    moved = client.get("/api/tags/")
    assert (moved.status_code, moved.headers["location"]) == (301, "/api/tags")
    assert client.post("/api/chat/", json={}).status_code == 307


def test_only_this_machine_may_ask(client: httpx.Client) -> None:
    evil = client.get("/api/tags", headers={"Host": "evil.com"})
    assert (evil.status_code, evil.text) == (403, "")
    assert client.get("/api/tags", headers={"Origin": "http://evil.com"}).status_code == 403
    assert client.get("/practice/journal", headers={"Host": "evil.com"}).status_code == 403
    local = client.get("/api/version", headers={"Origin": "http://localhost:8888"})
    assert local.headers["access-control-allow-origin"] == "http://localhost:8888"
    preflight = client.options(
        "/api/chat", headers={"Origin": "http://localhost:8888", "Access-Control-Request-Method": "POST"}
    )
    assert (preflight.status_code, preflight.headers["allow"]) == (204, "POST")


def test_a_reply_is_not_held_back_by_the_network(client: httpx.Client) -> None:
    times = []
    for _ in range(21):
        began = time.perf_counter()
        client.get("/api/version")
        times.append(time.perf_counter() - began)
    assert statistics.median(times) < 0.03, "Nagle's delay is 0.04 s"


def test_every_reply_says_that_it_is_practice(client: httpx.Client) -> None:
    for path in ("/", "/nope", "/v1/models", "/openai/v1/models"):
        assert client.get(path).headers["x-practice"] == "scripted"


def test_a_prompt_is_shown_as_the_model_gets_it(client: httpx.Client) -> None:
    asked = {"model": PLAIN, "messages": HI, "_debug_render_only": True}
    shown = post(client, "chat", asked).json()
    assert list(shown) == ["model", "created_at", "message", "done", "_debug_info"]
    assert shown["_debug_info"] == {
        "rendered_template": "<start_of_turn>user\nSay hi.<end_of_turn>\n<start_of_turn>model\n"
    }
    template = "[{{ .System }}|{{ .Prompt }}]"
    own = {"model": PLAIN, "prompt": "hi", "system": "S", "template": template, "_debug_render_only": True}
    assert post(client, "generate", own).json()["_debug_info"] == {"rendered_template": "[S|hi]"}
    pictured = {**asked, "messages": [{"role": "user", "content": "What?", "images": [PIXEL]}]}
    info = post(client, "chat", pictured).json()["_debug_info"]
    assert info["image_count"] == 1 and "[img-0]What?" in info["rendered_template"]
    raw = {"model": PLAIN, "prompt": "as it is", "raw": True, "_debug_render_only": True}
    assert post(client, "generate", raw).json()["_debug_info"] == {"rendered_template": "as it is"}


def test_a_prompt_that_may_not_be_cut_is_refused(client: httpx.Client) -> None:
    asked = {"model": PLAIN, "prompt": "word " * 300, "truncate": False, "options": {"num_ctx": 64}}
    for stream, kind in ((True, "application/json"), (False, "application/json; charset=utf-8")):
        reply = post(client, "generate", {**asked, "stream": stream})
        assert reply.status_code == 400 and reply.headers["content-type"] == kind
        inner = json.loads(reply.json()["error"])["error"]
        assert inner["type"] == "exceed_context_size_error" and inner["n_prompt_tokens"] > inner["n_ctx"]
    still = post(client, "generate", {**asked, "truncate": True, "shift": False, "stream": False})
    assert still.status_code == 400 and still.json()["error"].startswith(
        "the prompt is longer than the context"
    )


def test_the_older_vectors_endpoint_passes_on_no_status(client: httpx.Client) -> None:
    assert post(client, "embed", {"model": PLAIN, "input": "x"}).status_code == 501
    assert post(client, "embeddings", {"model": PLAIN, "prompt": "x"}).status_code == 500


# --- what the runner behind the server says ---------------------------------------------------------

NO_GRAMMAR = "Failed to initialize samplers: failed to parse grammar"
CONVERSION = "Field 'json_schema': \"json_schema\": JSON schema conversion failed:\n"


def from_the_runner(text: str) -> str:
    """llama-server's own error, which stands as text in Ollama's."""
    error = {"code": 400, "message": text, "type": "invalid_request_error"}
    return json.dumps({"error": error}, separators=(",", ":"))


# what is asked of a model, and what its runner says to that
OF_THE_RUNNER: list[tuple[dict[str, Any], str]] = [
    (
        {"options": {"repeat_last_n": -1}},
        "Field 'repeat_last_n': Value must be between 0 <= value <= 2147483647, but got -1",
    ),
    (
        {"options": {"num_keep": 3e9}},
        "Field 'n_keep': Value must be between -1 <= value <= 2147483647, but got -1294967296",
    ),
    (
        {"options": {"repeat_penalty": 0}},
        "Failed to initialize samplers: penalty_repeat must be finite and greater than 0",
    ),
    ({"format": {"type": "string", "pattern": r"^\d+$"}}, NO_GRAMMAR),
    ({"format": {"type": "string", "pattern": r"^[\w.]$"}}, NO_GRAMMAR),
    ({"format": {"type": "string", "pattern": "^(a|b){2,1}$"}}, NO_GRAMMAR),
    ({"format": {"type": "string", "minLength": 5, "maxLength": 2}}, NO_GRAMMAR),
    ({"format": {"anyOf": []}}, NO_GRAMMAR),
    ({"format": {"properties": 5}}, CONVERSION + "Unrecognized schema: 5"),
    ({"format": {"type": ["string", "zz"]}}, CONVERSION + 'Unrecognized schema: {"type":"zz"}'),
    ({"format": {"type": "string", "pattern": "^[a-z$"}}, CONVERSION + "Unbalanced square brackets"),
    ({"format": {"type": "string", "pattern": "^a{x}$"}}, CONVERSION + "Invalid number in curly brackets"),
    (
        {"format": {"anyOf": 5}},
        "Field 'json_schema': \"json_schema\": [json.exception.type_error.302] type must be array, "
        "but is number",
    ),
]


@pytest.mark.parametrize(("asked", "text"), OF_THE_RUNNER)
def test_the_runner_refuses(client: httpx.Client, asked: dict[str, Any], text: str) -> None:
    for stream, kind in ((False, "application/json; charset=utf-8"), (True, "application/json")):
        body = {"model": PLAIN, "prompt": "x", "stream": stream, **asked}
        refused = client.post("/api/generate", json=body)
        assert (refused.status_code, refused.json()["error"]) == (400, from_the_runner(text))
        assert refused.headers["content-type"] == kind


@pytest.mark.parametrize("pattern", [r"^\(x\)$", "^[0-9]{3}-[0-9]{4}$", r"^[^\]]+$", "^a*?$", r"^\$5$"])
def test_a_pattern_that_the_runner_takes(client: httpx.Client, pattern: str) -> None:
    body = {"model": PLAIN, "prompt": "x", "stream": False, "format": {"type": "string", "pattern": pattern}}
    answer = client.post("/api/generate", json=body)
    assert answer.status_code == 200
    assert re.fullmatch(pattern, json.loads(answer.json()["response"]))


def test_null_in_a_list_is_the_zero_of_its_type(client: httpx.Client) -> None:
    body = {"model": PLAIN, "messages": [None, {"role": "assistant", "tool_calls": [{}]}], "stream": False}
    assert client.post("/api/chat", json=body).json()["done_reason"] == "stop"
    refused = client.post("/api/chat", json={"model": PLAIN, "messages": HI, "tools": [None]})
    assert refused.json()["error"] == f"registry.ollama.ai/library/{PLAIN} does not support tools"


def test_no_limit_and_token_numbers_that_are_none(client: httpx.Client) -> None:
    body = {"model": PLAIN, "prompt": "Say hi.", "stream": False, "options": {"num_predict": 0}}
    assert client.post("/api/generate", json=body).json()["done_reason"] == "stop"
    refused = client.post("/api/generate", json={**body, "context": [-5]})
    assert refused.status_code == 500
    assert refused.json()["error"].startswith('detokenize error: {"error":{"code":500,"message":"vector::')


def test_a_text_longer_than_num_ctx_has_no_vector(client: httpx.Client) -> None:
    text, error = "word " * 30, {"error": "the input length exceeds the context length"}
    body = {"model": EMBED, "input": text, "options": {"num_ctx": 16}}
    refused = client.post("/api/embed", json={**body, "truncate": False})
    assert (refused.status_code, refused.json()) == (400, error)
    assert client.post("/api/embed", json=body).json()["prompt_eval_count"] == 16
    refused = client.post("/api/embeddings", json={"model": EMBED, "prompt": "word " * 600})
    assert (refused.status_code, refused.json()) == (500, error)


def test_an_unknown_name_is_shown_in_the_spelling_of_what_is_there(client: httpx.Client) -> None:
    assert client.post("/api/show", json={"model": "NoSuch:LATEST"}).json() == {
        "error": "model 'NoSuch:latest' not found"
    }


@pytest.mark.parametrize(
    ("name", "shown"), [("foo:", "foo:!MISSING!"), ("a b", "a b:latest"), ("a/b/c/d", "a/b/c/d:latest")]
)
def test_a_push_of_what_is_no_name(client: httpx.Client, name: str, shown: str) -> None:
    prefix = "" if "/" in name else "registry.ollama.ai/library/"
    refused = client.post("/api/push", json={"model": name, "stream": False})
    assert refused.json() == {"error": f"unqualified name: {prefix}{shown}"}
    refused = client.post("/api/push", json={"model": 5})
    assert "PushRequest.model" in refused.json()["error"]
