"""What a reply costs, by the table in prices.toml; a model that is not in it has no price here."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from helpers.practice.toml import read

FILE = Path(__file__).with_suffix(".toml")


class Cost(NamedTuple):
    """`dollars`, the `date` at which the price was read, and where: a URL."""

    dollars: float
    date: str
    source: str


def cost(model: str | None, usage: dict[str, Any] | None) -> Cost | None:
    """The cost of a reply with this `usage`, or None where the model or a count is not known.

    A dated name, `gpt-4o-mini-2024-07-18`, has the price of the name it begins with.
    """
    price = _price(model or "")
    if price is None or not usage:
        return None
    read_, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(read_, int) or not isinstance(written, int):
        return None
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    parts = (read_ - cached) * price["read"] + cached * price["cached"] + written * price["written"]
    return Cost(parts / 1_000_000, price["date"], price["source"])


def _price(model: str) -> dict[str, Any] | None:
    table = _table()
    return table.get(model) or next(
        (one for name, one in table.items() if model.startswith(f"{name}-20")), None
    )


@cache
def _table() -> dict[str, Any]:
    return read(FILE)
