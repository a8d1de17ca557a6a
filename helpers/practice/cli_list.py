"""`ollama list` and `ollama ps`: what is on disk, what is in memory."""

from __future__ import annotations

import os
import time

from .cli_client import Ollama
from .cli_format import human_bytes, human_time, table, timestamp
from .cli_parse import Given


def list_models(given: Given, ollama: Ollama) -> None:
    prefix = given.words[0].lower() if given.words else ""
    now = _now()
    rows = [
        [
            model["name"],
            model["digest"][:12],
            "-" if model.get("remote_model") else human_bytes(model["size"]),
            human_time(timestamp(model["modified_at"]), now),
        ]
        for model in ollama.call("GET", "/api/tags").get("models") or []
        if model["name"].lower().startswith(prefix)
    ]
    print(table(rows, ["NAME", "ID", "SIZE", "MODIFIED"]), end="")


def list_running(given: Given, ollama: Ollama) -> None:
    prefix = given.words[0] if given.words else ""
    now = _now()
    rows = [
        [
            model["name"],
            model["digest"][:12],
            human_bytes(model["size"]),
            _processor(model["size"], model.get("size_vram", 0)),
            str(model.get("context_length", 0)),
            _until(timestamp(model["expires_at"]), now),
        ]
        for model in ollama.call("GET", "/api/ps").get("models") or []
        if model["name"].startswith(prefix)
    ]
    print(table(rows, ["NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"]), end="")


def _now() -> float:
    """The time that ages are counted from; it stands still where the practice server's clock does."""
    if not os.environ.get("COURSE_FROZEN"):
        return time.time()
    from .clock import FROZEN, SECOND

    return FROZEN / SECOND


def _processor(size: int, on_gpu: int) -> str:
    if on_gpu == 0:
        return "100% CPU"
    if on_gpu == size:
        return "100% GPU"
    if on_gpu > size:
        return "Unknown"
    cpu = int((size - on_gpu) / size * 100 + 0.5)
    return f"{cpu}%/{100 - cpu}% CPU/GPU"


def _until(expires: float | None, now: float) -> str:
    return "Stopping..." if expires is None or expires < now else human_time(expires, now)
