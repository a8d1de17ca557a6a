"""Azure's form of the same API: the path names the deployment, the key comes in `api-key`, and every reply
says what the content filter found.

Sources: recorded replies of Azure in envoyproxy/ai-gateway and in public test suites; error bodies as quoted
there. A deployment here has its model's own name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from . import openai_responses
from .errors import OpenAIRefusal
from .openai_chat import SSE, Chunks, begin, chunks, completion
from .openai_embeddings import embed
from .openai_http import PRACTICE_KEY, body_of, compact, limit_headers
from .openai_models import BY_NAME, OpenAIModel
from .replies import BARE_JSON, Stream, route, written
from .state import Stamp, practice_of

REGION = "Practice"
HEX = "0123456789abcdef"

# status, code and message
REFUSALS = {
    "key": (
        401,
        "401",
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid "
        "key for an active subscription and use a correct regional API endpoint for your resource.",
    ),
    "token": (
        401,
        "Unauthorized",
        "Access token is missing, invalid, audience is incorrect (https://cognitiveservices.azure.com), or "
        "have expired.",
    ),
    "path": (404, "404", "Resource not found"),
    "deployment": (
        404,
        "DeploymentNotFound",
        "The API deployment for this resource does not exist. If you created the deployment within the last "
        "5 minutes, please wait a moment and try again.",
    ),
    "operation": (
        400,
        "OperationNotSupported",
        "The {operation} operation does not work with the specified model, {model}. Please choose different "
        "model and try again. You can learn more about which models can be used with each operation here: "
        "https://go.microsoft.com/fwlink/?linkid=2197993.",
    ),
}
SAFE = {"filtered": False, "severity": "safe"}
FOUND = {kind: SAFE for kind in ("hate", "self_harm", "sexual", "violence")}
PROMPT_FOUND = [
    {
        "prompt_index": 0,
        "content_filter_results": {**FOUND, "jailbreak": {"filtered": False, "detected": False}},
    }
]


class AzureRefusal(Exception):
    """A request that Azure itself answers, before any model sees it."""

    def __init__(self, key: str, **words: str) -> None:
        self.status, code, text = REFUSALS[key]
        self.body = {"error": {"code": code, "message": text.format(**words)}}
        super().__init__(text)


def _deployment(request: Request, operation: str) -> OpenAIModel:
    """The deployment's model. Raises AzureRefusal."""
    key = request.headers.get("api-key", "")
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if not key and scheme.lower() == "bearer" and not token.startswith(PRACTICE_KEY):
        raise AzureRefusal("token")
    if not (key or token).startswith(PRACTICE_KEY):
        raise AzureRefusal("key")
    if not request.query_params.get("api-version"):
        raise AzureRefusal("path")
    model = BY_NAME.get(request.path_params["deployment"])
    if model is None:
        raise AzureRefusal("deployment")
    if bool(model.dimensions) != (operation == "embeddings"):
        words = {"operation": operation, "model": request.path_params["deployment"]}
        raise AzureRefusal("operation", **words)
    return model


def _headers(stamp: Stamp, model: OpenAIModel, name: str, used: int) -> dict[str, str]:
    digits = stamp.letters(32, HEX, "request")
    request_id = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    left = {k: v for k, v in limit_headers(model.requests, model.tokens, used).items() if "reset" not in k}
    return {"apim-request-id": request_id, "x-ms-region": REGION, "x-ms-deployment-name": name, **left}


def _refused(error: AzureRefusal | OpenAIRefusal, stamp: Stamp) -> Response:
    return _reply(error.body, {"apim-request-id": stamp.letters(32, HEX, "request")}, error.status)


def _reply(value: Any, headers: dict[str, str], status: int = 200) -> Response:
    return Response(compact(value), status, headers={"content-type": BARE_JSON, **headers})


async def chat_completions(request: Request) -> Response:
    body = await request.body()
    practice, stamp = practice_of(request), Stamp.of(request, body)
    try:
        model = _deployment(request, "chatCompletion")
        name = request.path_params["deployment"]
        asked = {**body_of(request, body), "model": name}
        turn = begin(practice, asked, stamp)
    except (AzureRefusal, OpenAIRefusal) as refusal:
        return _refused(refusal, stamp)
    headers = _headers(stamp, model, name, turn.prompt_tokens)
    if asked.get("stream"):
        return Stream(_frames(chunks(practice, turn, asked)), written({**SSE, **headers}))
    whole = _without_tier(await completion(practice, turn, asked))
    whole["prompt_filter_results"] = PROMPT_FOUND
    whole["choices"] = [
        {**choice, "content_filter_results": FOUND, "logprobs": choice.get("logprobs")}
        for choice in whole["choices"]
    ]
    return _reply(_sorted(whole), headers)


async def embeddings(request: Request) -> Response:
    body = await request.body()
    stamp = Stamp.of(request, body)
    try:
        model = _deployment(request, "embeddings")
        name = request.path_params["deployment"]
        whole = embed(practice_of(request), {**body_of(request, body), "model": name})
    except (AzureRefusal, OpenAIRefusal) as refusal:
        return _refused(refusal, stamp)
    return _reply(whole, _headers(stamp, model, name, whole["usage"]["prompt_tokens"]))


async def responses(request: Request) -> Response:
    """The Responses API in Azure's older path; the body's `model` names the deployment."""
    body = await request.body()
    try:
        name = body_of(request, body).get("model")
        request.path_params["deployment"] = name if isinstance(name, str) else ""
        _deployment(request, "responses")
    except (AzureRefusal, OpenAIRefusal) as refusal:
        return _refused(refusal, Stamp.of(request, body))
    return await openai_responses.responses(request)


async def no_resource(request: Request) -> Response:
    return _refused(AzureRefusal("path"), Stamp.of(request, b""))


async def _frames(made: Chunks) -> AsyncIterator[bytes]:
    first = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
    yield b"data: " + compact({**first, "prompt_filter_results": PROMPT_FOUND}) + b"\n\n"
    async for chunk in made:
        for choice in chunk["choices"]:
            found = FOUND if choice["delta"].get("content") else {}
            choice |= {"content_filter_results": found, "logprobs": choice.get("logprobs")}
        yield b"data: " + compact(_sorted(_without_tier(chunk))) + b"\n\n"
    yield b"data: [DONE]\n\n"


def _without_tier(made: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in made.items() if key != "service_tier"}


def _sorted(value: Any) -> Any:
    """Keys in order, as Azure writes them."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value


routes = [
    route("/openai/deployments/{deployment}/chat/completions", chat_completions, "POST"),
    route("/openai/deployments/{deployment}/embeddings", embeddings, "POST"),
    route("/openai/responses", responses, "POST"),
    route("/openai/deployments/{rest:path}", no_resource, "GET", "POST", "DELETE"),
]
