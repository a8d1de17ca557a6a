"""What the surface that behaves as api.openai.com keeps of what it made: in memory, the latest only."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from .errors import OpenAIRefusal

MOST = 200  # of each kind
NOT_KEPT = {"completions": "no completion", "responses": "no response"}

Shelf = dict[str, dict[str, Any]]


def shelf(request: Request, what: str) -> Shelf:
    """The server's shelf for `what` (completions, responses), by id, oldest first."""
    return request.app.state.openai_kept.setdefault(what, {})


def kept(request: Request, what: str) -> dict[str, Any]:
    """What lies on the shelf under the id in the request's path. Raises OpenAIRefusal."""
    key = request.path_params["id"]
    found = shelf(request, what).get(key)
    if found is None:
        raise OpenAIRefusal(NOT_KEPT[what], id=key)
    return found


def keep(request: Request, what: str, key: str, value: dict[str, Any]) -> None:
    """Put `value` on the shelf; the oldest goes when it is full."""
    own = shelf(request, what)
    own.pop(key, None)
    own[key] = value
    while len(own) > MOST:
        del own[next(iter(own))]


def page(items: list[dict[str, Any]], request: Request) -> dict[str, Any]:
    """A list as the API pages it: `order`, `after` and `limit` are taken from the query."""
    asked = request.query_params
    if asked.get("order", "asc") == "desc":
        items = items[::-1]
    ids = [item["id"] for item in items]
    if (after := asked.get("after", "")) in ids:
        items = items[ids.index(after) + 1 :]
    limit = int(asked["limit"]) if asked.get("limit", "").isdigit() else 20
    shown = items[:limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(items) > len(shown),
    }
