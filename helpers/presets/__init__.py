"""Payloads to begin with: the files here, and those that a learner saves in `presets` of the practice home.

A file holds {"name", "about", "path", "payload"}. A model in braces is a role of models.toml: "{chat}".
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.errors import CourseError
from helpers.practice import process
from helpers.practice.toml import read

OURS = Path(__file__).parent
MODELS = OURS.parent / "models.toml"
PARTS = {"name": str, "about": str, "path": str, "payload": dict}


@dataclass(frozen=True)
class Preset:
    """A payload by name; `path` is where it goes, as send() takes it; `own` is one that the learner saved."""

    name: str
    about: str
    path: str
    payload: dict[str, Any]
    own: bool = False

    @property
    def text(self) -> str:
        """The payload as JSON text, to be edited."""
        return json.dumps(self.payload, ensure_ascii=False, indent=2)


class Presets(list[Preset]):
    """The presets in their order; `troubles` has a sentence for each file that could not be read."""

    troubles: list[str]


def folder() -> Path:
    """Where the learner's own presets lie."""
    return process.course_home() / "presets"


def load(models: Mapping[str, str] | None = None) -> Presets:
    """All presets, the course's first; one that the learner saved under the same name takes its place.

    Args:
        models: the model for each role, as `lesson()` has it in `.models`; without it the practice server's.
    """
    models = read(MODELS)["practice"] if models is None else models
    found: dict[str, Preset] = {}
    troubles: list[str] = []
    for home in (OURS, folder()):
        for file in sorted(home.glob("*.json")):
            try:
                preset = _read(file, models, own=home is not OURS)
            except OSError as error:
                troubles.append(f"{file.name} cannot be read: {error.strerror}.")
            except ValueError as error:
                troubles.append(f"{file.name} is no preset: {error}")
            else:
                found[preset.name] = preset
    presets = Presets(found.values())
    presets.troubles = troubles
    return presets


def save(name: str, payload: str | dict[str, Any], path: str = "/chat/completions", about: str = "") -> Path:
    """Keep a payload, JSON text or a dict, under a name in the learner's own folder; return its file.

    Raises CourseError if it has no name, is no JSON object, or cannot be written.
    """
    stem = re.sub(r"[^\w-]+", "_", name.casefold()).strip("_")
    if not stem:
        raise CourseError("Give the preset a name with a letter or digit in it.")
    if isinstance(payload, str):
        from helpers.widgets.payload import parse

        parsed = parse(payload)
        if parsed.payload is None:
            raise CourseError(f"Only JSON can be saved. {parsed.errors[0]['message']}")
        payload = parsed.payload
    made = {"name": name.strip(), "about": about, "path": path, "payload": payload}
    file = folder() / f"{stem[:80]}.json"
    new = file.with_name(f".{file.stem}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps(made, ensure_ascii=False, indent=2) + "\n", "utf-8")
        new.replace(file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds half of a character"
        raise CourseError(f"The preset cannot be written to {file.parent}: {reason}.") from None
    return file


def _read(file: Path, models: Mapping[str, str], own: bool) -> Preset:
    """Raises OSError, or ValueError with a sentence."""
    try:
        made = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON. Correct or delete it.") from None
    for part, kind in PARTS.items():
        if not isinstance(made, dict) or not isinstance(made.get(part), kind):
            raise ValueError(f'it has no "{part}". Correct or delete it.')
    payload = dict(made["payload"])
    role = re.fullmatch(r"\{(\w+)\}", str(payload.get("model", "")))
    if role:
        payload["model"] = models.get(role[1]) or models.get("chat", "")
    return Preset(made["name"], made["about"], made["path"], payload, own)
