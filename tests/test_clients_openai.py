"""The official `openai` client against the practice server: every line of a table is one call, made by the
sync and by the async client. Nothing is prepared for them: the server answers out of its own models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from tests.clients import ASK, CITY, HI, PNG_URL, Call, Check, outcome

MINI, NANO, EMBED = "gpt-4o-mini", "gpt-5-nano", "text-embedding-3-small"
LLAMA, QWEN, GEMMA, MINILM = "llama3.2", "qwen3:0.6b", "gemma3:4b", "all-minilm"
WEATHER = {"name": "get_weather", "description": "The weather of a city", "parameters": CITY, "strict": True}
TOOL = {"type": "function", "function": WEATHER}
FLAT_TOOL = {"type": "function", **WEATHER}
PICTURE = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": PNG_URL}},
        ],
    }
]
CALLED = {
    "role": "assistant",
    "tool_calls": [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
        }
    ],
}
ANSWERED = [*ASK, CALLED, {"role": "tool", "tool_call_id": "call_1", "content": "22 degrees"}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "place", "schema": CITY, "strict": True}}
JSON = [{"role": "user", "content": "Answer in json."}]


class Place(BaseModel):
    city: str
    inhabitants: int


def text(made: Any) -> str:
    return made.choices[0].message.content


def joined(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def arguments(chunks: list[Any]) -> Any:
    parts = [call for chunk in chunks if chunk.choices for call in chunk.choices[0].delta.tool_calls or []]
    return json.loads("".join(part.function.arguments or "" for part in parts))


def call(made: Any) -> tuple[str, Any]:
    (one,) = made.choices[0].message.tool_calls
    return one.function.name, json.loads(one.function.arguments)


def kinds(events: list[Any]) -> list[str]:
    return [event.type for event in events]


def chat(**fields: Any) -> Call:
    return lambda c: c.chat.completions.create(**{"model": MINI, "messages": HI, **fields})


def respond(**fields: Any) -> Call:
    return lambda c: c.responses.create(**{"model": MINI, "input": "Say hi.", **fields})


PARIS = ("get_weather", {"city": "Paris"})

# --- api.openai.com -----------------------------------------------------------------------------------

OPENAI: dict[str, tuple[Call, Check]] = {
    "chat": (chat(), text),
    "chat, nano": (
        chat(model=NANO),
        lambda r: text(r) and r.usage.completion_tokens_details.reasoning_tokens,
    ),
    "chat, luna": (chat(model="gpt-5.6-luna"), text),
    "chat, snapshot": (chat(model="gpt-4o-mini-2024-07-18"), lambda r: r.model == "gpt-4o-mini-2024-07-18"),
    "chat, all samplers": (
        chat(
            temperature=0.5, top_p=0.9, presence_penalty=1, frequency_penalty=1, seed=1, logit_bias={"5": 1}
        ),
        text,
    ),
    "chat, effort": (
        chat(model=NANO, reasoning_effort="minimal", verbosity="low"),
        lambda r: r.usage.completion_tokens_details.reasoning_tokens == 0,
    ),
    "chat, cut": (chat(max_completion_tokens=2), lambda r: r.choices[0].finish_reason == "length"),
    "chat, cut as before": (chat(max_tokens=2), lambda r: r.usage.completion_tokens == 2),
    "chat, stop": (chat(stop=["!", "."]), lambda r: r.choices[0].finish_reason == "stop"),
    "chat, three": (chat(n=3), lambda r: [choice.index for choice in r.choices] == [0, 1, 2]),
    "chat, logprobs": (
        chat(logprobs=True, top_logprobs=3),
        lambda r: "".join(one.token for one in r.choices[0].logprobs.content) == text(r),
    ),
    "chat, labels": (
        chat(user="me", safety_identifier="me", prompt_cache_key="k", service_tier="flex"),
        lambda r: r.service_tier == "flex",
    ),
    "chat, stored": (chat(store=True, metadata={"a": "b"}), text),
    "chat, predicted": (
        chat(prediction={"type": "content", "content": "Hi"}),
        lambda r: r.usage.completion_tokens_details.accepted_prediction_tokens is not None,
    ),
    "chat, moderated": (
        chat(moderation={"model": "omni-moderation-latest"}),
        lambda r: r.moderation.output.results[0].flagged is False,
    ),
    "chat, roles": (
        chat(
            messages=[
                {"role": "developer", "content": "Be brief."},
                *HI,
                {"role": "assistant", "content": "Hi"},
                *HI,
            ]
        ),
        text,
    ),
    "chat, picture": (chat(messages=PICTURE), text),
    "chat, json": (
        chat(messages=JSON, response_format={"type": "json_object"}),
        lambda r: isinstance(json.loads(text(r)), dict),
    ),
    "chat, schema": (chat(response_format=SCHEMA), lambda r: list(json.loads(text(r))) == ["city"]),
    "chat, tool": (chat(messages=ASK, tools=[TOOL]), lambda r: call(r) == PARIS),
    "chat, tool forced": (
        chat(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "get_weather"}}),
        lambda r: call(r)[0] == "get_weather" and r.choices[0].finish_reason == "stop",
    ),
    "chat, tool required": (
        chat(tools=[TOOL], tool_choice="required", parallel_tool_calls=False),
        lambda r: call(r)[0] == "get_weather",
    ),
    "chat, tool forbidden": (chat(messages=ASK, tools=[TOOL], tool_choice="none"), text),
    "chat, custom tool": (
        chat(tools=[{"type": "custom", "custom": {"name": "note"}}], tool_choice="required"),
        lambda r: r.choices[0].message.tool_calls[0].custom.name == "note",
    ),
    "chat, tool answered": (chat(messages=ANSWERED, tools=[TOOL]), lambda r: "22 degrees" in text(r)),
    "chat, function": (
        chat(messages=ASK, functions=[{k: v for k, v in WEATHER.items() if k != "strict"}]),
        lambda r: (
            r.choices[0].message.function_call.name == "get_weather"
            and r.choices[0].finish_reason == "function_call"
        ),
    ),
    "chat, refusal": (
        chat(messages=[{"role": "user", "content": "How do I make a bomb?"}], response_format=SCHEMA),
        lambda r: r.choices[0].message.refusal and r.choices[0].message.content is None,
    ),
    "chat stream": (chat(stream=True), joined),
    "chat stream, usage": (
        chat(stream=True, stream_options={"include_usage": True}),
        lambda r: r[-1].usage.total_tokens and not r[-1].choices,
    ),
    "chat stream, two": (
        chat(stream=True, n=2),
        lambda r: {choice.index for chunk in r for choice in chunk.choices} == {0, 1},
    ),
    "chat stream, tool": (
        chat(messages=ASK, tools=[TOOL], stream=True),
        lambda r: arguments(r) == {"city": "Paris"},
    ),
    "chat stream, logprobs": (
        chat(stream=True, logprobs=True),
        lambda r: any(chunk.choices[0].logprobs for chunk in r),
    ),
    "chat parse": (
        lambda c: c.chat.completions.parse(model=MINI, messages=HI, response_format=Place),
        lambda r: isinstance(r.choices[0].message.parsed, Place),
    ),
    "chat parse, tool": (
        lambda c: c.chat.completions.parse(
            model=MINI, messages=ASK, tools=[openai.pydantic_function_tool(Place)], tool_choice="required"
        ),
        lambda r: isinstance(r.choices[0].message.tool_calls[0].function.parsed_arguments, Place),
    ),
    "chat helper": (lambda c: c.chat.completions.stream(model=NANO, messages=HI), lambda r: text(r[0])),
    "chat helper, parsed": (
        lambda c: c.chat.completions.stream(model=MINI, messages=HI, response_format=Place),
        lambda r: isinstance(r[0].choices[0].message.parsed, Place),
    ),
    "chat helper, tool": (
        lambda c: c.chat.completions.stream(model=MINI, messages=ASK, tools=[TOOL]),
        lambda r: call(r[0]) == PARIS and "tool_calls.function.arguments.done" in kinds(r[1]),
    ),
    "chat raw": (
        lambda c: c.chat.completions.with_raw_response.create(model=MINI, messages=HI),
        lambda r: r.headers["x-request-id"].startswith("req_") and text(r.parse()),
    ),
    "embeddings": (
        lambda c: c.embeddings.create(model=EMBED, input="why"),
        lambda r: len(r.data[0].embedding) == 1536,
    ),
    "embeddings, floats": (
        lambda c: c.embeddings.create(model=EMBED, input=["a", "b"], encoding_format="float", dimensions=8),
        lambda r: [len(one.embedding) for one in r.data] == [8, 8],
    ),
    "embeddings, tokens": (
        lambda c: c.embeddings.create(model=EMBED, input=[[1, 2], [3]]),
        lambda r: len(r.data) == 2,
    ),
    "models": (lambda c: c.models.list(), lambda r: {MINI, NANO, EMBED} <= {one.id for one in r}),
    "model": (lambda c: c.models.retrieve(NANO), lambda r: r.id == NANO),
    "response": (respond(), lambda r: r.output_text and r.status == "completed"),
    "response, nano": (
        respond(model=NANO, reasoning={"effort": "low"}, max_output_tokens=400),
        lambda r: [item.type for item in r.output] == ["reasoning", "message"],
    ),
    "response, items": (
        respond(
            input=[{"role": "user", "content": [{"type": "input_text", "text": "Say hi."}]}], instructions="x"
        ),
        lambda r: r.output_text and r.instructions == "x",
    ),
    "response, picture": (
        respond(
            input=[
                {"role": "user", "content": [{"type": "input_image", "image_url": PNG_URL, "detail": "low"}]}
            ]
        ),
        lambda r: r.output_text,
    ),
    "response, cut": (
        respond(model=NANO, max_output_tokens=16),
        lambda r: r.status == "incomplete" and r.incomplete_details.reason == "max_output_tokens",
    ),
    "response, schema": (
        respond(text={"format": {"type": "json_schema", "name": "place", "schema": CITY, "strict": True}}),
        lambda r: list(json.loads(r.output_text)) == ["city"],
    ),
    "response, logprobs": (
        respond(include=["message.output_text.logprobs"], top_logprobs=2),
        lambda r: len(r.output[0].content[0].logprobs[0].top_logprobs) == 2,
    ),
    "response, tool": (
        respond(input=ASK, tools=[FLAT_TOOL]),
        lambda r: json.loads(r.output[0].arguments) == {"city": "Paris"},
    ),
    "response, not kept": (respond(store=False, metadata={"a": "b"}), lambda r: r.metadata == {"a": "b"}),
    "response, background": (respond(background=True), lambda r: r.status == "queued"),
    "response stream": (
        respond(stream=True),
        lambda r: (
            kinds(r)[:2] + kinds(r)[-1:] == ["response.created", "response.in_progress", "response.completed"]
            and [event.sequence_number for event in r] == list(range(len(r)))
        ),
    ),
    "response stream, tool": (
        respond(input=ASK, tools=[FLAT_TOOL], stream=True),
        lambda r: "response.function_call_arguments.done" in kinds(r),
    ),
    "response parse": (
        lambda c: c.responses.parse(model=MINI, input="Say hi.", text_format=Place),
        lambda r: isinstance(r.output_parsed, Place),
    ),
    "response helper": (
        lambda c: c.responses.stream(model=MINI, input="Say hi."),
        lambda r: r[0].output_text and "response.output_text.delta" in kinds(r[1]),
    ),
    "response helper, parsed": (
        lambda c: c.responses.stream(model=MINI, input="Say hi.", text_format=Place),
        lambda r: isinstance(r[0].output_parsed, Place),
    ),
    "response raw": (
        lambda c: c.responses.with_raw_response.create(model=MINI, input="Say hi."),
        lambda r: r.headers["openai-version"] == "2020-10-01",
    ),
    "response tokens": (
        lambda c: c.responses.input_tokens.count(model=MINI, input="Say hi."),
        lambda r: r.input_tokens > 0,
    ),
}

# --- Ollama's own ---------------------------------------------------------------------------------------

OLLAMA: dict[str, tuple[Call, Check]] = {
    "chat": (chat(model=LLAMA), text),
    "chat, options": (
        chat(model=LLAMA, temperature=0, top_p=0.5, seed=1, stop="x", presence_penalty=1),
        text,
    ),
    "chat, cut": (chat(model=LLAMA, max_tokens=2), lambda r: r.choices[0].finish_reason == "length"),
    "chat, thinking": (chat(model=QWEN, reasoning_effort="low"), lambda r: r.choices[0].message.reasoning),
    "chat, logprobs": (
        chat(model=LLAMA, logprobs=True, top_logprobs=2),
        lambda r: len(r.choices[0].logprobs.content[0].top_logprobs) == 2,
    ),
    "chat, json": (
        chat(model=LLAMA, response_format={"type": "json_object"}),
        lambda r: json.loads(text(r)) is not None,
    ),
    "chat, schema": (
        chat(model=LLAMA, response_format=SCHEMA),
        lambda r: list(json.loads(text(r))) == ["city"],
    ),
    "chat, picture": (chat(model=GEMMA, messages=PICTURE), text),
    "chat, tool": (chat(model=LLAMA, messages=ASK, tools=[TOOL]), lambda r: call(r) == PARIS),
    "chat, tool answered": (
        chat(model=LLAMA, messages=ANSWERED, tools=[TOOL]),
        lambda r: "22 degrees" in text(r),
    ),
    "chat stream": (chat(model=LLAMA, stream=True), joined),
    "chat stream, usage": (
        chat(model=LLAMA, stream=True, stream_options={"include_usage": True}),
        lambda r: r[-1].usage.total_tokens,
    ),
    "chat stream, tool": (
        chat(model=LLAMA, messages=ASK, tools=[TOOL], stream=True),
        lambda r: arguments(r) == {"city": "Paris"},
    ),
    "chat parse": (
        lambda c: c.chat.completions.parse(model=LLAMA, messages=HI, response_format=Place),
        lambda r: isinstance(r.choices[0].message.parsed, Place),
    ),
    "chat helper": (lambda c: c.chat.completions.stream(model=LLAMA, messages=HI), lambda r: text(r[0])),
    "completion": (
        lambda c: c.completions.create(model=LLAMA, prompt="Once upon", max_tokens=5),
        lambda r: r.choices[0].text,
    ),
    "completion stream": (
        lambda c: c.completions.create(model=LLAMA, prompt="Once upon", max_tokens=5, stream=True),
        lambda r: "".join(chunk.choices[0].text for chunk in r),
    ),
    "embeddings": (
        lambda c: c.embeddings.create(model=MINILM, input=["a", "b"]),
        lambda r: [len(one.embedding) for one in r.data] == [384, 384],
    ),
    "models": (lambda c: c.models.list(), lambda r: "llama3.2:latest" in [one.id for one in r]),
    "model": (lambda c: c.models.retrieve(LLAMA), lambda r: r.id == LLAMA),
    "response": (respond(model=LLAMA), lambda r: r.output_text),
    "response, thinking": (
        respond(model=QWEN, reasoning={"effort": "low"}),
        lambda r: [item.type for item in r.output] == ["reasoning", "message"],
    ),
    "response, tool": (
        respond(model=LLAMA, input=ASK, tools=[FLAT_TOOL]),
        lambda r: json.loads(r.output[0].arguments) == {"city": "Paris"},
    ),
    "response stream": (respond(model=LLAMA, stream=True), lambda r: kinds(r)[-1] == "response.completed"),
    "response parse": (
        lambda c: c.responses.parse(model=LLAMA, input="Say hi.", text_format=Place),
        lambda r: isinstance(r.output_parsed, Place),
    ),
    "response helper": (
        lambda c: c.responses.stream(model=LLAMA, input="Say hi."),
        lambda r: r[0].output_text,
    ),
}

# --- Azure ------------------------------------------------------------------------------------------------

AZURE: dict[str, tuple[Call, Check]] = {
    "chat": (
        chat(),
        lambda r: (
            text(r)
            and r.prompt_filter_results[0]["content_filter_results"]["hate"]["severity"] == "safe"
            and r.choices[0].content_filter_results["violence"] == {"filtered": False, "severity": "safe"}
        ),
    ),
    "chat stream": (
        chat(stream=True),
        lambda r: joined(r) and r[0].choices == [] and r[0].prompt_filter_results,
    ),
    "chat, tool": (chat(messages=ASK, tools=[TOOL]), lambda r: call(r) == PARIS),
    "chat parse": (
        lambda c: c.chat.completions.parse(model=MINI, messages=HI, response_format=Place),
        lambda r: isinstance(r.choices[0].message.parsed, Place),
    ),
    "chat helper": (lambda c: c.chat.completions.stream(model=MINI, messages=HI), lambda r: text(r[0])),
    "chat raw": (
        lambda c: c.chat.completions.with_raw_response.create(model=MINI, messages=HI),
        lambda r: r.headers["x-ms-deployment-name"] == MINI and "openai-version" not in r.headers,
    ),
    "embeddings": (
        lambda c: c.embeddings.create(model=EMBED, input="why"),
        lambda r: len(r.data[0].embedding) == 1536,
    ),
}

# --- errors, by the SDK's own classes -----------------------------------------------------------------------


def faulty(fault: str, **fields: Any) -> Call:
    return chat(extra_headers={"x-practice-fault": fault}, **fields)


Error = tuple[Call, type[openai.OpenAIError], str]
OPENAI_ERRORS: dict[str, Error] = {
    "no such model": (chat(model="nosuch"), openai.NotFoundError, "The model `nosuch` does not exist"),
    "bad field": (chat(temperature=3), openai.BadRequestError, "decimal above maximum value"),
    "bad schema": (
        chat(
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "x", "strict": True, "schema": {"type": "object", "properties": {}}},
            }
        ),
        openai.BadRequestError,
        "Invalid schema for response_format 'x': In context=(), 'additionalProperties' is required",
    ),
    "no logprobs": (
        chat(model=NANO, logprobs=True),
        openai.PermissionDeniedError,
        "not allowed to request logprobs",
    ),
    "bad key": (
        lambda c: c.with_options(api_key="sk-wrong").models.list(),
        openai.AuthenticationError,
        "Incorrect API key",
    ),
    "no such deployment": (lambda c: c.models.retrieve("nosuch"), openai.NotFoundError, "does not exist"),
    "not one's own": (
        lambda c: c.models.delete(MINI),
        openai.PermissionDeniedError,
        "insufficient permissions",
    ),
    "not kept": (
        lambda c: c.responses.retrieve("resp_x"),
        openai.NotFoundError,
        "Response with id 'resp_x' not found.",
    ),
    "no such page": (lambda c: c.files.list(), openai.NotFoundError, "Invalid URL (GET /v1/files)"),
    "old endpoint": (
        lambda c: c.completions.create(model=MINI, prompt="x"),
        openai.NotFoundError,
        "This is a chat model",
    ),
    "cut parse": (
        lambda c: c.chat.completions.parse(
            model=MINI, messages=HI, response_format=Place, max_completion_tokens=1
        ),
        openai.LengthFinishReasonError,
        "length limit was reached",
    ),
    "fault 401": (faulty("401"), openai.AuthenticationError, ""),
    "fault 404": (faulty("404"), openai.NotFoundError, ""),
    "fault 429": (faulty("429"), openai.RateLimitError, ""),
    "fault 500": (faulty("500"), openai.InternalServerError, ""),
    "fault 503": (faulty("503"), openai.InternalServerError, ""),
}
OLLAMA_ERRORS: dict[str, Error] = {
    "no such model": (chat(model="nosuch"), openai.NotFoundError, "model 'nosuch' not found"),
    "no messages": (chat(model=LLAMA, messages=[]), openai.BadRequestError, "[] is too short - 'messages'"),
    "no such response": (lambda c: c.responses.retrieve("resp_1"), openai.NotFoundError, "404"),
    "no pictures made": (lambda c: c.images.generate(model=LLAMA, prompt="x"), openai.NotFoundError, "404"),
    "fault 429": (faulty("429", model=LLAMA), openai.RateLimitError, ""),
}
AZURE_ERRORS: dict[str, Error] = {
    "no such deployment": (
        chat(model="nosuch"),
        openai.NotFoundError,
        "The API deployment for this resource",
    ),
    "wrong operation": (chat(model=EMBED), openai.BadRequestError, "does not work with the specified model"),
    "bad field": (chat(temperature=3), openai.BadRequestError, "decimal above maximum value"),
}


@cache
def _client(surface: str, url: str, kind: str, key: str = "sk-practice") -> Any:
    if surface == "azure":
        azure = {"sync": openai.AzureOpenAI, "async": openai.AsyncAzureOpenAI}[kind]
        return azure(azure_endpoint=url, api_version="2024-10-21", api_key=key, max_retries=0)
    base = {"openai": url + "/openai/v1", "ollama": url + "/v1"}[surface]
    plain = {"sync": openai.OpenAI, "async": openai.AsyncOpenAI}[kind]
    return plain(base_url=base, api_key=key, max_retries=0)


SURFACES = {
    "openai": (OPENAI, OPENAI_ERRORS),
    "ollama": (OLLAMA, OLLAMA_ERRORS),
    "azure": (AZURE, AZURE_ERRORS),
}
CALLS = [(surface, name) for surface, (calls, _) in SURFACES.items() for name in calls]
ERRORS = [(surface, name) for surface, (_, errors) in SURFACES.items() for name in errors]


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(("surface", "name"), CALLS)
def test_a_call(url: str, surface: str, name: str, kind: str) -> None:
    make, right = SURFACES[surface][0][name]
    assert right(outcome(_client(surface, url, kind), make))


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(("surface", "name"), ERRORS)
def test_an_error_has_the_sdks_own_class(url: str, surface: str, name: str, kind: str) -> None:
    make, expected, said = SURFACES[surface][1][name]
    with pytest.raises(expected) as caught:
        outcome(_client(surface, url, kind), make)
    assert type(caught.value) is expected and said in str(caught.value)


@pytest.fixture
def sdk(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url + "/openai/v1", api_key="sk-practice", max_retries=0) as client:
        yield client


def test_no_server_is_a_connection_error() -> None:
    client = openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="x", max_retries=0)
    with pytest.raises(openai.APIConnectionError):
        client.models.list()


def test_a_wrong_azure_key_and_a_missing_version(url: str) -> None:
    with pytest.raises(openai.AuthenticationError, match="Access denied due to invalid subscription key"):
        outcome(_client("azure", url, "sync", "wrong"), chat())
    ask = {"messages": HI}
    path = url + f"/openai/deployments/{MINI}/chat/completions"
    reply = httpx.post(path, json=ask, headers={"api-key": "sk-practice"}, trust_env=False)
    assert (reply.status_code, reply.json()) == (
        404,
        {"error": {"code": "404", "message": "Resource not found"}},
    )


def test_a_rate_limit_is_waited_for(url: str) -> None:
    with openai.OpenAI(base_url=url + "/openai/v1", api_key="sk-practice", max_retries=2) as client:
        reply = client.chat.completions.with_raw_response.create(
            model=MINI, messages=HI, extra_headers={"x-practice-fault": "429; retry-after=0; times=1; id=sdk"}
        )
    assert reply.retries_taken == 1


def test_a_response_is_kept_continued_and_deleted(sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(model=MINI, input="My name is Ada.")
    assert sdk.responses.retrieve(first.id) == first
    second = sdk.responses.create(model=MINI, input="What is my name?", previous_response_id=first.id)
    assert "Ada" in second.output_text and second.previous_response_id == first.id
    items = sdk.responses.input_items.list(first.id, order="asc")
    assert [item.content[0].text for item in items] == ["My name is Ada."]
    sdk.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(first.id)
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.responses.create(model=MINI, input="And?", previous_response_id=first.id)
    assert caught.value.code == "previous_response_not_found"


def test_a_tools_result_goes_back_to_its_response(sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(model=MINI, input=ASK, tools=[FLAT_TOOL])
    result = {"type": "function_call_output", "call_id": first.output[0].call_id, "output": "22 degrees"}
    second = sdk.responses.create(
        model=MINI, input=[result], previous_response_id=first.id, tools=[FLAT_TOOL]
    )
    assert "22 degrees" in second.output_text
    with pytest.raises(openai.BadRequestError, match="No tool output found for function call"):
        sdk.responses.create(model=MINI, input="Well?", previous_response_id=first.id)
    with pytest.raises(openai.BadRequestError, match="No tool call found for function call output"):
        sdk.responses.create(model=MINI, input=[{**result, "call_id": "call_x"}])


def test_stored_completions_are_listed_labelled_and_deleted(sdk: openai.OpenAI) -> None:
    made = sdk.chat.completions.create(model=MINI, messages=HI, store=True, metadata={"what": "test"}, seed=7)
    assert made.id in [one.id for one in sdk.chat.completions.list()]
    assert sdk.chat.completions.retrieve(made.id).choices == made.choices
    labelled = sdk.chat.completions.update(made.id, metadata={"what": "changed"})
    assert labelled.metadata == {"what": "changed"}
    assert [one.content for one in sdk.chat.completions.messages.list(made.id)] == ["Say hi."]
    assert sdk.chat.completions.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        sdk.chat.completions.retrieve(made.id)
