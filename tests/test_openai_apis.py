"""The two OpenAI-shaped surfaces over HTTP: Ollama's own, and the one that behaves as api.openai.com."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import httpx
import pytest

from tests.clients import PNG

HI = [{"role": "user", "content": "Say hi."}]
KEY = {"Authorization": "Bearer sk-practice"}
NANO = {"model": "gpt-5-nano", "messages": HI}
MINI = {"model": "gpt-4o-mini", "messages": HI}


def frames(reply: httpx.Response) -> list[Any]:
    blocks = reply.text.split("\n\n")
    assert blocks[-1] == "" and blocks[-2] == "data: [DONE]"
    return [json.loads(block.removeprefix("data: ")) for block in blocks[:-2]]


# --- Ollama's ----------------------------------------------------------------------------------------

OLLAMA_REFUSALS: list[tuple[Any, int, str, bool]] = [  # body, status, message, raised after the middleware
    (b"", 400, "EOF", False),
    (b"{bad", 400, "invalid character 'b' looking for beginning of object key string", False),
    ({"model": "llama3.2"}, 400, "[] is too short - 'messages'", False),
    ({"model": "nosuch", "messages": HI}, 404, "model 'nosuch' not found", True),
    ({"messages": HI}, 400, "model is required", True),
    (
        {"model": "llama3.2", "messages": [{"role": "user", "content": None}]},
        400,
        "invalid message content type: <nil>",
        False,
    ),
    (
        {
            "model": "llama3.2",
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y"}}]}
            ],
        },
        400,
        "image URLs are not currently supported, please use base64 encoded data instead",
        False,
    ),
    (
        {"model": "llama3.2", "messages": HI, "reasoning_effort": "low"},
        400,
        '"llama3.2" does not support thinking',
        True,
    ),
]


@pytest.mark.parametrize(("body", "status", "text", "late"), OLLAMA_REFUSALS, ids=lambda v: str(v)[:40])
def test_ollamas_refusals(client: httpx.Client, body: Any, status: int, text: str, late: bool) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body)
    reply = client.post("/v1/chat/completions", content=content)
    kind = {400: "invalid_request_error", 404: "not_found_error"}[status]
    assert reply.status_code == status
    assert reply.json() == {"error": {"message": text, "type": kind, "param": None, "code": None}}
    assert reply.text.endswith("\n") == late
    assert reply.headers["content-type"] == "application/json" + ("" if late else "; charset=utf-8")


def test_ollamas_chat_completion(client: httpx.Client) -> None:
    reply = client.post("/v1/chat/completions", json={"model": "llama3.2", "messages": HI, "max_tokens": 3})
    body = reply.json()
    assert list(body) == ["id", "object", "created", "model", "system_fingerprint", "choices", "usage"]
    assert body["system_fingerprint"] == "fp_ollama" and body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 3
    ignored = client.post(
        "/v1/chat/completions", json={"model": "llama3.2", "messages": HI, "max_completion_tokens": 1}
    )
    assert ignored.json()["usage"]["completion_tokens"] > 1


def test_ollamas_stream(client: httpx.Client) -> None:
    ask = {"model": "llama3.2", "messages": HI, "stream": True, "stream_options": {"include_usage": True}}
    made = frames(client.post("/v1/chat/completions", json=ask))
    deltas = [chunk["choices"][0]["delta"] for chunk in made[:-1]]
    assert list(deltas[0]) == ["role", "content"] and deltas[-1] == {}
    assert all(list(delta) == ["content"] for delta in deltas[1:-1])
    assert made[-1]["choices"] == [] and "usage" not in made[0]
    assert len({chunk["id"] for chunk in made}) == 1


def test_ollamas_completions(client: httpx.Client) -> None:
    ask = {"model": "llama3.2", "prompt": "Say hi.", "max_tokens": 3}
    whole = client.post("/v1/completions", json=ask).json()
    assert list(whole) == ["id", "object", "created", "model", "system_fingerprint", "choices", "usage"]
    assert list(whole["choices"][0]) == ["text", "index", "finish_reason"]
    assert whole["choices"][0]["finish_reason"] == "length" and whole["usage"]["completion_tokens"] == 3
    stream = {**ask, "stream": True, "stream_options": {"include_usage": True}}
    made = frames(client.post("/v1/completions", json=stream))
    assert list(made[0]) == ["id", "object", "created", "choices", "model", "system_fingerprint", "usage"]
    assert made[0]["usage"]["total_tokens"] == 0 and made[-1]["usage"]["completion_tokens"] == 3
    assert [chunk["choices"][0]["finish_reason"] for chunk in made[:-1]] == [None, None, None, "length"]
    wrong = client.post("/v1/completions", json={**ask, "stop": [1]}).json()["error"]["message"]
    assert wrong == "invalid type for 'stop' field: float64"
    assert client.post("/v1/completions", json={**ask, "prompt": ["a"]}).status_code == 400


def responses_events(reply: httpx.Response) -> list[Any]:
    blocks = [block.split("\n") for block in reply.text.strip().split("\n\n")]
    made = [json.loads(data.removeprefix("data: ")) for _, data in blocks]
    assert [name.removeprefix("event: ") for name, _ in blocks] == [event["type"] for event in made]
    assert [event["sequence_number"] for event in made] == list(range(len(made)))
    assert all(list(event) == sorted(event) for event in made)
    return made


def test_ollamas_responses(client: httpx.Client) -> None:
    ask = {"model": "llama3.2", "input": "Say hi.", "max_output_tokens": 8}
    whole = client.post("/v1/responses", json=ask).json()
    assert list(whole)[:6] == ["id", "object", "created_at", "completed_at", "status", "incomplete_details"]
    assert whole["output"][0]["content"][0]["type"] == "output_text" and whole["status"] == "completed"
    made = responses_events(client.post("/v1/responses", json={**ask, "stream": True}))
    assert [event["type"] for event in made[:2]] == ["response.created", "response.in_progress"]
    text = "".join(event["delta"] for event in made if event["type"] == "response.output_text.delta")
    assert made[-1]["type"] == "response.completed" and text
    assert made[-1]["response"]["output"][0]["content"][0]["text"] == text
    wrong = client.post("/v1/responses", json={**ask, "input": [{"type": "zzz"}]}).json()["error"]
    assert wrong["message"] == 'input[0]: unknown input item type: "zzz"'
    assert client.post("/v1/responses", json={**ask, "input": 5}).json()["error"]["message"] == (
        "input must be a string or array: json: cannot unmarshal number into "
        "Go value of type []json.RawMessage"
    )


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (
            {"type": "reasoning", "summary": 1},
            "ResponsesReasoningInput.summary of type []openai.ResponsesReasoningSummary",
        ),
        (
            {"type": "reasoning", "summary": [{"text": 1}]},
            "ResponsesReasoningSummary.summary.text of type string",
        ),
        ({"type": "web_search_call", "id": 1}, "ResponsesWebSearchCall.id of type string"),
        (
            {"type": "web_search_call", "action": 1},
            "ResponsesWebSearchCall.action of type openai.ResponsesWebSearchAction",
        ),
        (
            {"type": "web_search_call", "action": {"query": 1}},
            "ResponsesWebSearchAction.action.query of type string",
        ),
    ],
)
def test_ollamas_responses_name_the_field_at_fault(client: httpx.Client, item: Any, text: str) -> None:
    error = client.post("/v1/responses", json={"model": "m", "input": [item]}).json()["error"]
    assert error["message"] == f"input[0]: json: cannot unmarshal number into Go struct field {text}"


def test_what_follows_a_calls_arguments(client: httpx.Client) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":1} x'}
    error = client.post("/v1/responses", json={"model": "m", "input": [call]}).json()["error"]
    assert error["message"].endswith("arguments: invalid character 'x' after top-level value")


FUNCTION = 'struct { Name string "json:\\"name\\""; Arguments string "json:\\"arguments\\"" }'


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ({"id": 1}, "ToolCall.messages.tool_calls.id of type string"),
        ({"function": 1}, f"ToolCall.messages.tool_calls.function of type {FUNCTION}"),
        ({"function": {"name": 1}}, ".messages.tool_calls.function.name of type string"),
    ],
)
def test_ollamas_chat_names_the_field_at_fault(client: httpx.Client, call: Any, text: str) -> None:
    ask = {"model": "m", "messages": [{"role": "assistant", "tool_calls": [call]}]}
    error = client.post("/v1/chat/completions", json=ask).json()["error"]
    assert error["message"] == f"json: cannot unmarshal number into Go struct field {text}"


@pytest.mark.parametrize(
    ("stop", "kind"), [([[]], "[]interface {}"), ([{}], "map[string]interface {}"), ([1], "float64")]
)
def test_what_ollamas_completions_cannot_stop_at(client: httpx.Client, stop: Any, kind: str) -> None:
    error = client.post("/v1/completions", json={"model": "m", "stop": stop}).json()["error"]
    assert error["message"] == f"invalid type for 'stop' field: {kind}"


def test_ollamas_responses_think_and_call(client: httpx.Client) -> None:
    thinking = {"model": "qwen3:0.6b", "input": "Say hi.", "reasoning": {"effort": "low"}, "stream": True}
    kinds = [event["type"] for event in responses_events(client.post("/v1/responses", json=thinking))]
    assert kinds.index("response.reasoning_summary_text.done") < kinds.index("response.output_text.delta")
    tool = {"type": "function", "name": "get_weather", "description": "Weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}  # fmt: skip
    ask = {"model": "llama3.2", "input": "What is the weather in Paris?", "tools": [tool]}
    (call,) = client.post("/v1/responses", json=ask).json()["output"]
    assert call["type"] == "function_call" and json.loads(call["arguments"]) == {"city": "Paris"}
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "22 degrees"}
    again = {**ask, "input": [{"role": "user", "content": "The weather?"}, call, result]}
    answer = client.post("/v1/responses", json=again).json()["output"][0]["content"][0]["text"]
    assert "22 degrees" in answer and "get_weather" in answer


def test_ollamas_models_and_vectors(client: httpx.Client) -> None:
    listed = client.get("/v1/models").json()["data"]
    assert {"id", "object", "created", "owned_by"} == set(listed[0])
    assert client.get("/v1/models/llama3.2").json()["id"] == "llama3.2"
    assert client.get("/v1/models/nosuch").json()["error"]["message"] == "model 'nosuch:latest' not found"
    ask = {"model": "all-minilm", "input": "why"}
    plain = client.post("/v1/embeddings", json=ask).json()["data"][0]["embedding"]
    packed = client.post("/v1/embeddings", json={**ask, "encoding_format": "base64"}).json()
    unpacked = struct.unpack("<384f", base64.b64decode(packed["data"][0]["embedding"]))
    assert unpacked == pytest.approx(plain, abs=1e-7)
    wrong = client.post("/v1/embeddings", json={**ask, "encoding_format": "hex"})
    assert "Supported values: ['float', 'base64']." in wrong.json()["error"]["message"]


# --- api.openai.com's ----------------------------------------------------------------------------------

REFUSALS: list[
    tuple[Any, int, str | None, str | None, str]
] = [  # body, status, code, param, start of the message
    (b"{bad", 400, None, None, "We could not parse the JSON body of your request."),
    ({"messages": HI}, 400, None, None, "you must provide a model parameter"),
    ({"model": "nosuch", "messages": HI}, 404, "model_not_found", None, "The model `nosuch` does not exist"),
    (
        {"model": "gpt-5-nano"},
        400,
        "missing_required_parameter",
        "messages",
        "Missing required parameter: 'messages'.",
    ),
    ({**NANO, "messages": []}, 400, "empty_array", "messages", "Invalid 'messages': empty array."),
    (
        {**NANO, "messages": [{"role": "user", "content": {}}]},
        400,
        "invalid_type",
        "messages[0].content",
        "Invalid type for 'messages[0].content': expected one of a string or array of objects, but got an",
    ),
    (
        {**NANO, "messages": [{"role": "banana", "content": ""}]},
        400,
        "invalid_value",
        "messages[0].role",
        "Invalid",
    ),
    ({**NANO, "top_k": 3}, 400, None, None, "Unrecognized request argument supplied: top_k"),
    (
        {**NANO, "max_tokens": 5},
        400,
        "unsupported_parameter",
        "max_tokens",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion",
    ),
    (
        {**NANO, "temperature": 0},
        400,
        "unsupported_value",
        "temperature",
        "Unsupported value: 'temperature' does not",
    ),
    (
        {**NANO, "top_p": 0.5},
        400,
        "unsupported_parameter",
        "top_p",
        "Unsupported parameter: 'top_p' is not supported",
    ),
    ({**NANO, "logprobs": True}, 403, None, None, "You are not allowed to request logprobs from this model"),
    ({**NANO, "reasoning_effort": "none"}, 400, "unsupported_value", "reasoning_effort", "Unsupported value"),
    (
        {**MINI, "reasoning_effort": "low"},
        400,
        None,
        None,
        "Unrecognized request argument supplied: reasoning_effort",
    ),
    (
        {**MINI, "temperature": 3},
        400,
        "decimal_above_max_value",
        "temperature",
        "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 instead.",
    ),
    ({**MINI, "n": 0}, 400, "integer_below_min_value", "n", "Invalid 'n': integer below minimum value."),
    (
        {**MINI, "n": "two"},
        400,
        "invalid_type",
        "n",
        "Invalid type for 'n': expected an integer, but got a string",
    ),
    (
        {**MINI, "stream_options": {}},
        400,
        None,
        "stream_options",
        "The 'stream_options' parameter is only allowed",
    ),
    ({**MINI, "tools": []}, 400, "empty_array", "tools", "Invalid 'tools': empty array."),
    (
        {**MINI, "response_format": {"type": "json_object"}},
        400,
        None,
        "messages",
        "'messages' must contain the word 'json' in some form",
    ),
    (
        {**MINI, "messages": [{"role": "tool", "tool_call_id": "x", "content": ""}]},
        400,
        None,
        "messages.[0].role",
        "Invalid parameter: messages with role 'tool' must be a response to a preceeding message",
    ),
]


@pytest.mark.parametrize(("body", "status", "code", "param", "text"), REFUSALS, ids=lambda v: str(v)[:40])
def test_openais_refusals(
    client: httpx.Client, body: Any, status: int, code: str | None, param: str | None, text: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body)
    reply = client.post("/openai/v1/chat/completions", content=content, headers=KEY)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["param"]) == (status, code, param)
    assert error["message"].startswith(text)


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    return {**MINI, "response_format": {"type": "json_schema", "json_schema": {
        "name": "x", "strict": True, "schema": schema}}}  # fmt: skip


def thing(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A schema that strict mode takes, if its properties are."""
    closed = {"type": "object", "additionalProperties": False, "required": list(properties)}
    return {**closed, "properties": properties, **more}


def nested(levels: int) -> dict[str, Any]:
    inner = thing({"a": {"type": "string"}})
    for _ in range(levels - 1):
        inner = thing({"a": inner})
    return inner


LUNA = {"model": "gpt-5.6-luna", "messages": HI}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
ASSISTANT = {"role": "assistant", "tool_calls": [
    {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}  # fmt: skip
RULES: list[tuple[dict[str, Any], str | None, str | None, str]] = [  # body, code, param, message or its start
    ({**LUNA, "top_k": 1}, "unknown_parameter", "top_k", "Unknown parameter: 'top_k'."),
    ({**LUNA, "n": 9}, "integer_above_max_value", "n", "Invalid 'n': integer above maximum value."),
    ({**LUNA, "tools": [TOOL]}, None, "reasoning_effort", "Function tools with reasoning_effort are not"),
    ({**LUNA, "reasoning_effort": "minimal"}, "unsupported_value", "reasoning_effort", "Unsupported value"),
    (
        {**MINI, "stream_options": {"a": 1}, "stream": True},
        "unknown_parameter",
        "stream_options.a",
        "Unknown",
    ),
    (
        {**MINI, "seed": 1.5},
        "invalid_type",
        "seed",
        "Invalid type for 'seed': expected an integer, but got a decimal number instead.",
    ),
    (
        {**MINI, "tools": "none"},
        "invalid_type",
        "tools",
        "Invalid type for 'tools': expected an array of objects",
    ),
    (
        {**MINI, "tool_choice": 7, "tools": [TOOL]},
        "invalid_type",
        "tool_choice",
        "Invalid type for 'tool_choice': "
        "expected one of one of 'none', 'auto', or 'required' or object, but got an integer instead.",
    ),
    (
        {**MINI, "tool_choice": "auto"},
        None,
        "tool_choice",
        "Invalid value for 'tool_choice': 'tool_choice' is only",
    ),
    ({**MINI, "parallel_tool_calls": True}, None, "parallel_tool_calls", "Invalid value for 'parallel_tool"),
    (
        {**MINI, "tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        None,
        "tool_choice",
        "Tool choice 'g' not found in 'tools' parameter.",
    ),
    ({**MINI, "tools": [{"type": "function"}]}, "missing_required_parameter", "tools[0].function", "Missing"),
    (
        {**MINI, "tools": [{"type": "function", "function": {"name": "a b"}}]},
        "invalid_value",
        "tools[0].function.name",
        "Invalid 'tools[0].function.name': string does not match pattern.",
    ),
    (
        {**MINI, "metadata": {"a": "b"}},
        None,
        "metadata",
        "The 'metadata' parameter is only allowed when 'store'",
    ),
    (
        {**MINI, "metadata": {"a": 1}, "store": True},
        "invalid_type",
        "metadata.a",
        "Invalid type for 'metadata.a'",
    ),
    (
        {**MINI, "metadata": {str(n): "" for n in range(17)}},
        "object_above_max_properties",
        "metadata",
        "Invalid",
    ),
    (
        {**MINI, "metadata": {"k": "x" * 513}},
        "string_above_max_length",
        "metadata.k",
        "Invalid 'metadata.k': str",
    ),
    ({**MINI, "stop": list("abcde")}, "array_above_max_length", "stop", "Invalid 'stop': array too long."),
    (
        {**MINI, "top_logprobs": 2},
        None,
        "top_logprobs",
        "The 'top_logprobs' parameter is only allowed when 'log",
    ),
    (
        {**MINI, "max_tokens": 99999},
        "invalid_value",
        "max_tokens",
        "max_tokens is too large: 99999. This model",
    ),
    (
        {**MINI, "service_tier": "x"},
        "invalid_value",
        "service_tier",
        "Invalid value: 'x'. Supported values are",
    ),
    (
        {**MINI, "verbosity": "low"},
        "unsupported_value",
        "verbosity",
        "Unsupported value: 'verbosity' does not",
    ),
    ({**MINI, "web_search_options": {}}, None, "web_search_options", "Web search options not supported with"),
    ({**MINI, "logit_bias": {"5": 101}}, "decimal_above_max_value", "logit_bias.5", "Invalid 'logit_bias.5'"),
    (
        {**MINI, "response_format": {}},
        "missing_required_parameter",
        "response_format.type",
        "Missing required",
    ),
    (
        {**MINI, "response_format": {"type": "json_schema"}},
        "missing_required_parameter",
        "response_format.json_schema",
        "Missing required parameter: 'response_format.json_schema'.",
    ),
    (
        {**MINI, "messages": [{"role": "user", "content": None}]},
        None,
        "messages.[0].content",
        "Invalid value for 'content': expected a string, got null.",
    ),
    (
        {**MINI, "messages": [{"role": "user", "content": [{"type": "image"}]}]},
        "invalid_value",
        "messages[0].content[0].type",
        "Invalid value: 'image'. Supported values are: 'text', 'image_url'",
    ),
    (
        {**MINI, "messages": [{"role": "user", "content": "x", "a": 1}]},
        "unknown_parameter",
        "messages[0].a",
        "",
    ),
    (
        {**MINI, "messages": [*HI, ASSISTANT]},
        None,
        "messages",
        "An assistant message with 'tool_calls' must be "
        "followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not "
        "have response messages: call_1",
    ),
    ({**MINI, "messages": [*HI, ASSISTANT, *HI]}, None, "messages.[2].role", "An assistant message with"),
    (
        {
            **MINI,
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "https://x.example/y.png"}}],
                }
            ],
        },
        "invalid_image_url",
        None,
        "Error while downloading https://x.example/y.png.",
    ),
    (
        {**NANO, "max_tokens": 0, "temperature": -0.5, "messages": [{"role": "user", "content": None}]},
        "unsupported_parameter",
        "max_tokens",
        "Unsupported parameter: 'max_tokens'",
    ),
    (
        strict({"type": "object", "properties": {}}),
        None,
        "response_format",
        "Invalid schema for response_format "
        "'x': In context=(), 'additionalProperties' is required to be supplied and to be false.",
    ),
    (
        strict(thing({"a": {"type": "object", "properties": {}}})),
        None,
        "response_format",
        "Invalid schema for "
        "response_format 'x': In context=('properties', 'a'), 'additionalProperties' is required",
    ),
    (
        strict(thing({"a": {"type": "string"}}, required=[])),
        None,
        "response_format",
        "Invalid schema for "
        "response_format 'x': In context=(), 'required' is required to be supplied and to be an array "
        "including every key in properties. Missing 'a'.",
    ),
    (
        strict(thing({}, required=["b"])),
        None,
        "response_format",
        "Invalid schema for response_format 'x': In "
        "context=(), 'required' is required to be supplied and to be an array including every key in "
        "properties. Extra required key 'b' supplied.",
    ),
    (
        strict(thing({"a": {"type": "string", "minLength": 1}})),
        None,
        "response_format",
        "Invalid schema for "
        "response_format 'x': In context=('properties', 'a'), 'minLength' is not permitted.",
    ),
    (
        strict(thing({"a": {"allOf": [{"type": "string"}]}})),
        None,
        "response_format",
        "Invalid schema for "
        "response_format 'x': In context=('properties', 'a'), schema must have a 'type' key.",
    ),
    (
        strict(thing({"a": {"type": "array"}})),
        None,
        "response_format",
        "Invalid schema for response_format 'x': In context=('properties', 'a'), array schema missing items.",
    ),
    (
        strict({"type": "array", "items": {"type": "string"}}),
        None,
        "response_format",
        "Invalid schema for "
        "response_format 'x': schema must be a JSON Schema of 'type: \"object\"', got 'type: \"array\"'.",
    ),
    (
        strict(nested(11)),
        None,
        "response_format",
        "Invalid schema for response_format 'x': 11 levels of nesting exceeds limit of 10.",
    ),
    (
        strict(thing({str(n): {"type": "null"} for n in range(5001)})),
        None,
        "response_format",
        "Invalid schema for response_format 'x': 5001 parameters exceeds limit of 5000.",
    ),
    (
        {
            **MINI,
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "f",
                        "strict": True,
                        "parameters": {"type": "object", "properties": {}},
                    },
                }
            ],
        },
        "invalid_function_parameters",
        "tools[0].function.parameters",
        "Invalid schema for function 'f': In context=(), 'additionalProperties' is required",
    ),
]


@pytest.mark.parametrize(("body", "code", "param", "text"), RULES, ids=lambda v: str(v)[-40:])
def test_openais_rules(
    client: httpx.Client, body: dict[str, Any], code: str | None, param: str | None, text: str
) -> None:
    reply = client.post("/openai/v1/chat/completions", json=body, headers=KEY)
    error = reply.json()["error"]
    assert (reply.status_code, error["type"]) == (400, "invalid_request_error")
    assert (error["code"], error["param"]) == (code, param) and error["message"].startswith(text)


RIGHT: list[dict[str, Any]] = [
    strict(nested(10)),
    strict(
        thing(
            {
                "a": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "b": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
            }
        )
    ),
    strict(thing({"a": {"$ref": "#/$defs/n"}}, **{"$defs": {"n": {"type": "integer", "minimum": 1}}})),
    {**LUNA, "tools": [TOOL], "reasoning_effort": "none"},
    {**LUNA, "reasoning_effort": "none", "temperature": 0.5, "logprobs": True},
    {**LUNA, "metadata": {"a": "b"}},
    {
        **MINI,
        "messages": [*HI, {"role": "assistant", "content": "x", "refusal": None, "annotations": []}, *HI],
    },
    {**MINI, "temperature": None, "stop": None, "n": None, "max_completion_tokens": None, "tools": None},
]


@pytest.mark.parametrize("body", RIGHT, ids=lambda v: str(v)[-40:])
def test_what_openai_takes(client: httpx.Client, body: dict[str, Any]) -> None:
    reply = client.post("/openai/v1/chat/completions", json=body, headers=KEY)
    assert reply.status_code == 200, reply.text


def test_two_faults_are_told_in_the_apis_order(client: httpx.Client) -> None:
    def param(**fields: Any) -> str:
        body = {"model": "gpt-5.6-luna", "messages": HI, **fields}
        error = client.post("/openai/v1/chat/completions", json=body, headers=KEY).json()["error"]
        return error["param"]

    assert param(messages=None, zzz=1) == "messages"
    assert param(zzz=1, n="abc") == "zzz"
    assert param(n="x", stop=["Z"]) == "n"
    assert param(stop=["Z"], temperature=0.5) == "stop"
    assert param(stop=["Z"], temperature="x") == "temperature"


def test_a_prompt_too_long(client: httpx.Client) -> None:
    ask = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "a " * 130_000}]}
    error = client.post("/openai/v1/chat/completions", json=ask, headers=KEY).json()["error"]
    assert error["code"] == "context_length_exceeded" and error["param"] == "messages"


def test_headers_of_replies_and_refusals(client: httpx.Client) -> None:
    def headers(body: dict[str, Any]) -> httpx.Headers:
        return client.post("/openai/v1/chat/completions", json=body, headers=KEY).headers

    for body in (NANO, {**NANO, "temperature": 0}):
        own = headers(body)
        assert own["openai-version"] == "2020-10-01" and int(own["openai-processing-ms"]) > 0
        assert own["openai-organization"] and own["openai-project"] and len(own["x-request-id"]) == 36
        assert (own["x-ratelimit-limit-requests"], own["x-ratelimit-reset-requests"]) == ("500", "120ms")
    unknown = headers({**NANO, "model": "nosuch"})
    assert "x-request-id" in unknown and "openai-version" not in unknown
    assert not [name for name in unknown if name.startswith("x-ratelimit")]


def test_azures_stream_and_its_headers(client: httpx.Client) -> None:
    path = "/openai/deployments/gpt-4o-mini/chat/completions?api-version=2024-10-21"
    reply = client.post(path, json={"messages": HI, "stream": True}, headers={"api-key": "sk-practice"})
    made = frames(reply)
    assert made[0]["choices"] == [] and made[0]["prompt_filter_results"][0]["prompt_index"] == 0
    assert "content_filter_results" in made[1]["choices"][0] and "service_tier" not in made[1]
    assert all("obfuscation" not in chunk for chunk in made)
    assert {"apim-request-id", "x-ms-region", "x-ms-deployment-name"} <= set(reply.headers)
    assert not [name for name in reply.headers if name.startswith("openai-")]


def test_transcriptions(client: httpx.Client) -> None:
    path = "/v1/audio/transcriptions"
    said = client.post(path, data={"model": "gemma3:4b"}, files={"file": PNG})  # no model here hears
    assert said.status_code == 200 and list(said.json()) == ["text"]
    deaf = client.post(path, data={"model": "llama3.2"}, files={"file": b"RIFF"}).json()["error"]
    assert "model does not support multimodal requests" in deaf["message"]
    wrong = client.post(path, data={"model": "gemma3:4b"}, files={"file": b""}).json()["error"]
    assert wrong["message"] == "audio file is empty"
    assert client.post(path, json={}).json()["error"]["message"] == (
        "failed to parse multipart form: request Content-Type isn't multipart/form-data"
    )


def test_keys(client: httpx.Client) -> None:
    missing = client.post("/openai/v1/chat/completions", json=NANO)
    assert missing.status_code == 401 and missing.json()["error"]["message"].startswith(
        "You didn't provide an API key"
    )
    key = "sk-proj-0123456789abcdef"
    wrong = client.post("/openai/v1/chat/completions", json=NANO, headers={"Authorization": f"Bearer {key}"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "invalid_api_key")
    assert "sk-proj-************cdef" in wrong.text and key not in wrong.text
    assert client.post("/openai/v1/chat/completions", json=NANO, headers=KEY).status_code == 200
    assert client.get("/openai/v1/models").status_code == 401


def test_a_reasoning_models_reply(client: httpx.Client) -> None:
    reply = client.post("/openai/v1/chat/completions", json=NANO, headers=KEY)
    body = reply.json()
    assert list(body) == [
        "id", "object", "created", "model", "choices", "usage", "service_tier", "system_fingerprint",
    ]  # fmt: skip
    assert body["model"] == "gpt-5-nano-2025-08-07" and body["system_fingerprint"] is None
    (choice,) = body["choices"]
    assert list(choice) == ["index", "message", "finish_reason"]
    assert list(choice["message"]) == ["role", "content", "refusal", "annotations"]
    usage = body["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] % 64 == 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert (
        reply.headers["x-request-id"].startswith("req_") and reply.headers["openai-version"] == "2020-10-01"
    )


def test_a_small_limit_leaves_a_reasoning_model_nothing_to_say(client: httpx.Client) -> None:
    reply = client.post(
        "/openai/v1/chat/completions", json={**NANO, "max_completion_tokens": 50}, headers=KEY
    )
    (choice,) = reply.json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "length")
    assert reply.json()["usage"]["completion_tokens_details"]["reasoning_tokens"] == 50


def test_two_choices_with_logprobs(client: httpx.Client) -> None:
    ask = {**MINI, "n": 2, "logprobs": True, "top_logprobs": 2}
    body = client.post("/openai/v1/chat/completions", json=ask, headers=KEY).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    for choice in body["choices"]:
        content = choice["logprobs"]["content"]
        assert "".join(item["token"] for item in content) == choice["message"]["content"]
        assert all(len(item["top_logprobs"]) == 2 for item in content)


def test_an_openai_stream(client: httpx.Client) -> None:
    ask = {**NANO, "stream": True, "stream_options": {"include_usage": True}}
    reply = client.post("/openai/v1/chat/completions", json=ask, headers=KEY)
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    made = frames(reply)
    assert made[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert made[-1]["choices"] == [] and made[-1]["usage"]["completion_tokens"] > 0
    assert all(chunk["usage"] is None for chunk in made[:-1])
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in made[:-1])
    finishes = [chunk["choices"][0]["finish_reason"] for chunk in made[:-1]]
    assert text and [finish for finish in finishes if finish] == ["stop"] == [finishes[-1]]
    lengths = {len(block) - len("data: ") for block in reply.text.split("\n\n")[1:-3]}
    assert {length % 16 for length in lengths} == {1}
    bare = {**NANO, "stream": True, "stream_options": {"include_obfuscation": False}}
    plain = frames(client.post("/openai/v1/chat/completions", json=bare, headers=KEY))
    assert all("obfuscation" not in chunk and "usage" not in chunk for chunk in plain)


def test_a_streamed_tool_call_joins_to_json(client: httpx.Client) -> None:
    function = {"name": "get_weather", "description": "Weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}  # fmt: skip
    ask = {
        "model": "gpt-5-nano",
        "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
        "tools": [{"type": "function", "function": function}],
    }
    whole = client.post("/openai/v1/chat/completions", json=ask, headers=KEY).json()["choices"][0]
    assert whole["finish_reason"] == "tool_calls" and whole["message"]["content"] is None
    made = frames(client.post("/openai/v1/chat/completions", json={**ask, "stream": True}, headers=KEY))
    parts = [part for chunk in made for part in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert parts[0]["function"] == {"name": "get_weather", "arguments": ""} and parts[0]["id"].startswith(
        "call_"
    )
    assert all(set(part) == {"index", "function"} for part in parts[1:])
    assert json.loads("".join(part["function"]["arguments"] for part in parts)) == {"city": "Paris"}


def test_several_tools_at_once_or_one_by_one(client: httpx.Client) -> None:
    def tool(name: str, about: str) -> dict[str, Any]:
        takes = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
        return {"type": "function", "function": {"name": name, "description": about, "parameters": takes}}

    ask = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "What are the weather and the time in Paris?"}],
        "tools": [tool("get_weather", "The weather of a city"), tool("get_time", "The time in a city")],
    }

    def called(**more: Any) -> list[str]:
        reply = client.post("/openai/v1/chat/completions", json={**ask, **more}, headers=KEY).json()
        return [one["function"]["name"] for one in reply["choices"][0]["message"]["tool_calls"]]

    assert called(parallel_tool_calls=False) == called()[:1]


def test_openais_models_vectors_and_wrong_paths(client: httpx.Client) -> None:
    listed = client.get("/openai/v1/models", headers=KEY).json()["data"]
    assert {model["id"] for model in listed} >= {"gpt-5-nano", "gpt-4o-mini", "text-embedding-3-small"}
    ask = {"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 8}
    made = client.post("/openai/v1/embeddings", json=ask, headers=KEY).json()
    assert [len(item["embedding"]) for item in made["data"]] == [8, 8]
    wrong = client.post("/openai/v1/chat/completion", json=NANO, headers=KEY)
    assert (wrong.status_code, wrong.json()["error"]["message"]) == (
        404, "Invalid URL (POST /v1/chat/completion)",
    )  # fmt: skip
    assert client.get("/openai/v1/embeddings", headers=KEY).status_code == 405


def test_the_journal_tells_what_was_asked_and_no_key(client: httpx.Client) -> None:
    client.delete("/practice/journal")
    client.post(
        "/openai/v1/chat/completions", json=NANO, headers={"Authorization": "Bearer sk-practice-secret"}
    )
    reply = client.get("/practice/journal")
    (entry,) = reply.json()["entries"]
    assert (entry["method"], entry["path"], entry["status"]) == ("POST", "/openai/v1/chat/completions", 200)
    assert entry["body"] == NANO and "sk-practice-secret" not in reply.text


def test_a_body_that_was_understood_before_is_looked_at_anew(client: httpx.Client) -> None:
    body, path = json.dumps(MINI), "/openai/v1/chat/completions"
    kinds = ["application/json", "application/json", "application/x-www-form-urlencoded", "application/json"]
    got = [client.post(path, content=body, headers={**KEY, "content-type": kind}) for kind in kinds]
    assert [one.status_code for one in got] == [200, 200, 400, 200]
    bad = json.dumps({**MINI, "temperature": 3})
    refused = [client.post(path, content=bad, headers={**KEY, "content-type": kinds[0]}) for _ in range(2)]
    assert [one.json()["error"]["code"] for one in refused] == ["decimal_above_max_value"] * 2


def test_azures_older_path_of_responses(client: httpx.Client) -> None:
    path, key = "/openai/responses?api-version=preview", {"api-key": "sk-practice"}
    asked = {"model": "gpt-5-nano", "input": "Say hi."}
    made = client.post(path, json=asked, headers=key)
    assert made.status_code == 200 and made.json()["object"] == "response"
    code = {"headers": {"api-key": "other"}}, {"headers": key, "json": {**asked, "model": "nope"}}
    for more, error in zip(code, ("401", "DeploymentNotFound"), strict=True):
        refused = client.post(path, **{"json": asked, **more})
        assert refused.json()["error"]["code"] == error
    assert client.post("/openai/responses", json=asked, headers=key).status_code == 404
