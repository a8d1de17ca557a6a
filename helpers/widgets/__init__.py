"""What a notebook imports: `from helpers.widgets import Playground, PayloadEditor, WireView`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .compare import Compare
    from .difference import Difference
    from .model_manager import ModelManager
    from .payload_editor import PayloadEditor
    from .payload_form import PayloadForm
    from .playground import Playground
    from .runs_view import RunsView
    from .wire_view import WireView

__all__ = [
    "Compare",
    "Difference",
    "ModelManager",
    "PayloadEditor",
    "PayloadForm",
    "Playground",
    "RunsView",
    "WireView",
]

MODULES = {
    "Compare": "compare",
    "Difference": "difference",
    "ModelManager": "model_manager",
    "PayloadEditor": "payload_editor",
    "PayloadForm": "payload_form",
    "Playground": "playground",
    "RunsView": "runs_view",
    "WireView": "wire_view",
}


def __getattr__(name: str) -> object:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
