"""api.openai.com's `/embeddings`."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .compat import packed
from .engines.tokens import split, text_of
from .errors import OpenAIRefusal
from .gojson import float32
from .openai_chat import read, refusal_headers
from .openai_checks import check_input_texts
from .openai_fields import EMBEDDINGS
from .openai_http import VERSION, authorised, id_headers, limit_headers, reply
from .openai_models import OpenAIModel, named
from .openai_rules import check
from .replies import route, written
from .state import Practice, Stamp, practice_of
from .transport import openai_error

MOST_INPUTS = 2048


async def embeddings(request: Request) -> Response:
    body = await request.body()
    stamp = Stamp.of(request, body)
    asked: dict[str, Any] = {}
    try:
        authorised(request)
        asked = read(request, body)
        whole = embed(practice_of(request), asked)
    except OpenAIRefusal as refusal:
        return openai_error(refusal, refusal_headers(refusal, asked, stamp))
    model = named(asked["model"], lambda one: bool(one.dimensions))
    limits = limit_headers(model.requests, model.tokens, whole["usage"]["prompt_tokens"])
    return reply(whole, written({**id_headers(stamp), "openai-processing-ms": "1", **VERSION, **limits}))


def embed(practice: Practice, asked: dict[str, Any]) -> dict[str, Any]:
    """The reply's body. Raises OpenAIRefusal."""
    model = named(asked["model"], lambda one: bool(one.dimensions))
    texts, dimensions = _check(asked, model)
    made = [[float32(x) for x in practice.engine.embed(text, dimensions)] for text in texts]
    shown = [packed(vector) for vector in made] if asked.get("encoding_format") == "base64" else made
    data = [{"object": "embedding", "index": i, "embedding": one} for i, one in enumerate(shown)]
    tokens = sum(len(split(text)) for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model.snapshot, "usage": usage}


def _check(asked: dict[str, Any], model: OpenAIModel) -> tuple[list[str], int]:
    for param in asked:
        if param not in EMBEDDINGS:
            raise OpenAIRefusal("unknown", name=param)
    if "input" not in asked:
        raise OpenAIRefusal("missing", "input")
    given = check_input_texts(asked["input"])
    if len(given) > MOST_INPUTS:
        raise OpenAIRefusal("many inputs", limit=MOST_INPUTS, value=len(given))
    dimensions = asked.get("dimensions", model.dimensions)
    if type(dimensions) is int and dimensions < 1:
        raise OpenAIRefusal("dimensions", value=dimensions)
    for param, rule in EMBEDDINGS.items():
        if param in asked:
            check(asked[param], rule, param)
    if dimensions > model.dimensions:
        raise OpenAIRefusal("many dimensions", value=dimensions, limit=model.dimensions)
    texts = [one if isinstance(one, str) else text_of(one) for one in given]
    longest = max(len(one) if isinstance(one, list) else len(split(one)) for one in given)
    if longest > model.context:
        raise OpenAIRefusal("long input", limit=model.context, value=longest)
    return texts, dimensions


routes = [route("/openai/v1/embeddings", embeddings, "POST")]
