"""The models of the surface that behaves as api.openai.com does: their facts (openai_models.toml), and
`/models`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .errors import OpenAIRefusal
from .openai_http import answer, authorised
from .replies import route
from .state import Stamp
from .toml import read


@dataclass(frozen=True)
class OpenAIModel:
    """One model; the table says what the fields mean."""

    snapshot: str
    created: int
    context: int
    requests: int
    tokens: int
    output: int = 0
    dimensions: int = 0
    efforts: tuple[str, ...] = ()
    verbosity: tuple[str, ...] = ()
    refuses: tuple[str, ...] = ()
    refuses_reasoning: tuple[str, ...] = ()
    unknown: str = "unknown"
    fields_unknown: tuple[str, ...] = ()
    choices: int = 128
    tools_need_no_effort: bool = False

    @property
    def reasoning(self) -> bool:
        return bool(self.efforts)

    @cached_property
    def fingerprint(self) -> str | None:
        """What stands for the state of the machine that runs it."""
        return None if self.reasoning else "fp_" + sha256(self.snapshot.encode()).hexdigest()[:10]

    def effort(self, asked: str | None) -> str:
        """How hard it thinks: as asked, or medium; a model that does not reason never does."""
        return (asked or "medium") if self.reasoning else "none"


def _model(facts: dict[str, Any]) -> OpenAIModel:
    own: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in facts.items()}
    return OpenAIModel(**own)


MODELS = {name: _model(facts) for name, facts in read(Path(__file__).with_name("openai_models.toml")).items()}
BY_NAME = MODELS | {model.snapshot: model for model in MODELS.values()}


def named(name: Any, wanted: Callable[[OpenAIModel], bool]) -> OpenAIModel:
    """The model `name` if it is one that is `wanted`. Raises OpenAIRefusal."""
    model = BY_NAME.get(name) if isinstance(name, str) else None
    if model is None or not wanted(model):
        raise OpenAIRefusal("model", model=name)
    return model


async def models(request: Request) -> Response:
    return await answer(request, _list)


async def model(request: Request) -> Response:
    return await answer(request, _retrieve)


async def delete(request: Request) -> Response:
    return await answer(request, _delete)


def _list(request: Request, body: bytes, stamp: Stamp) -> dict[str, Any]:
    authorised(request)
    return {"object": "list", "data": [_shown(name, facts) for name, facts in MODELS.items()]}


def _retrieve(request: Request, body: bytes, stamp: Stamp) -> dict[str, Any]:
    name = request.path_params["model"]
    authorised(request)
    if name not in BY_NAME:
        raise OpenAIRefusal("no such model", "model", model=name)
    return _shown(name, BY_NAME[name])


def _delete(request: Request, body: bytes, stamp: Stamp) -> dict[str, Any]:
    _retrieve(request, body, stamp)
    raise OpenAIRefusal("no permission")  # only a model one has fine-tuned can be deleted


def _shown(name: str, model: OpenAIModel) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": model.created, "owned_by": "system"}


routes = [
    route("/openai/v1/models", models, "GET"),
    route("/openai/v1/models/{model}", model, "GET"),
    route("/openai/v1/models/{model}", delete, "DELETE"),
]
