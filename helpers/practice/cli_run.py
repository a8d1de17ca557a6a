"""`ollama run MODEL PROMPT`: one prompt, one answer; or one text, one embedding."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

from helpers.errors import CourseError

from . import gojson
from .cli_account import ask_to_sign_in
from .cli_answer import Answer, summary
from .cli_client import Ollama, SignInNeeded
from .cli_files import attach
from .cli_format import duration, parse_duration, quote, quote_letter
from .cli_models import generate_request, is_cloud, load, missing, pull_model, pull_name
from .cli_parse import Given
from .cli_progress import Progress, Spinner, say
from .cli_show import show_request
from .command_texts import ERRORS, SIGN_IN_TO_RUN

THINK_LEVELS = ("high", "medium", "low", "max")


@dataclass(frozen=True)
class Wanted:
    """What is to be run: the model, what the server told of it, and what the command line wants."""

    model: str
    info: dict[str, Any]
    keep_alive: str | int | None
    think: bool | str | None
    flags: dict[str, Any]

    @property
    def takes_files(self) -> bool:
        return (
            bool({"vision", "audio"} & set(self.info.get("capabilities") or []))
            or bool(self.info.get("projector_info"))
            or any(".vision." in key for key in self.info.get("model_info") or {})
        )


def run(given: Given, ollama: Ollama) -> None:
    flags, (model, *words) = given.flags, given.words
    think = _think(flags["think"]) if "think" in flags else None
    keep_alive = _keep_alive(flags.get("keepalive", ""))
    piped = _piped()
    prompt = " ".join(([piped] if piped else []) + words)
    interactive = piped is None and not words and sys.stdout.isatty()
    try:
        model, info = _find(ollama, model, flags.get("insecure", False))
        capabilities = info.get("capabilities") or []
        if think is None and "think" not in flags and "thinking" in capabilities:
            think = True
        wanted = Wanted(model, info, keep_alive, think, flags)
        if "embedding" in capabilities:
            _embed(ollama, wanted, prompt)
        elif "image" in capabilities:
            raise CourseError(ERRORS["image model"])
        elif interactive:
            _talk(ollama, wanted)
        else:
            _generate(ollama, wanted, prompt)
    except SignInNeeded as error:
        ask_to_sign_in(SIGN_IN_TO_RUN, error)


def _think(text: str) -> bool | str:
    if text in THINK_LEVELS:
        return text
    if text in ("", "true", "false"):
        return text != "false"
    raise CourseError(ERRORS["think"].format(value=quote(text)))


def _keep_alive(text: str) -> str | int | None:
    """The `keep_alive` of a request: a duration, -1 for ever, None if nothing was said."""
    if not text:
        return None
    try:
        nanoseconds = parse_duration(text)
    except ValueError as error:
        raise CourseError(str(error)) from None
    return -1 if nanoseconds < 0 else duration(nanoseconds)


def _piped() -> str | None:
    """All of stdin; None if it is a terminal."""
    if sys.stdin.isatty():
        return None
    return sys.stdin.buffer.read().decode("utf-8", "replace")


def _find(ollama: Ollama, model: str, insecure: bool) -> tuple[str, dict[str, Any]]:
    """The model, which is pulled if it is not there, and what the server knows of it."""
    try:
        info = ollama.call("POST", "/api/show", show_request(model=model))
    except CourseError as error:
        if not missing(error) or is_cloud(model):
            raise
        model = pull_model(ollama, model, insecure, "run")
        info = ollama.call("POST", "/api/show", show_request(model=model))
    if is_cloud(model):
        _pull_stub(ollama, model)
    return model, info


def _pull_stub(ollama: Ollama, model: str) -> None:
    """Makes a cloud model appear in the list, if that can be done."""
    try:
        listed = {m["name"].lower() for m in ollama.call("GET", "/api/tags").get("models") or []}
        if not listed & {model.lower(), pull_name(model).lower()}:
            body = {"model": pull_name(model), "username": "", "password": "", "name": ""}
            for _ in ollama.stream("/api/pull", body):
                pass
    except CourseError:
        pass  # the model itself answers without it


def _talk(ollama: Ollama, wanted: Wanted) -> None:
    from .cli_repl import Session, talk

    flags = wanted.flags
    session = Session(
        wanted.model,
        format=flags.get("format", ""),
        keep_alive=wanted.keep_alive,
        think=wanted.think,
        think_said=wanted.think is not None,
        hide_thinking=flags.get("hidethinking", False),
        takes_files=wanted.takes_files,
        wrap=not flags.get("nowordwrap", False),
        verbose=flags.get("verbose", False),
    )
    session.take(wanted.info)
    load(ollama, wanted.model, wanted.keep_alive, wanted.think, announce=True)
    talk(ollama, session)


# --- embeddings ---------------------------------------------------------------------------------------------


def _embed(ollama: Ollama, wanted: Wanted, text: str) -> None:
    if not text:
        raise CourseError(ERRORS["embedding prompt"].format(model=wanted.model))
    flags = wanted.flags
    body: dict[str, Any] = {"model": wanted.model, "input": text}
    if wanted.keep_alive is not None:
        body["keep_alive"] = wanted.keep_alive
    if "truncate" in flags:
        body["truncate"] = flags["truncate"]
    if flags.get("dimensions", 0) > 0:
        body["dimensions"] = flags["dimensions"]
    vectors = ollama.call("POST", "/api/embed", {**body, "options": None}).get("embeddings")
    if not vectors:
        raise CourseError(ERRORS["no embedding"])
    say(gojson.encode([gojson.float32(number) for number in vectors[0]]).decode() + "\n")


# --- answers ------------------------------------------------------------------------------------------------


def _generate(ollama: Ollama, wanted: Wanted, prompt: str) -> None:
    flags = wanted.flags
    hide_thinking = flags.get("hidethinking", False)
    wrap = not flags.get("nowordwrap", False)
    last: dict[str, Any] = {}
    with Progress(erase=True) as progress:
        progress.add(Spinner(""))
        prompt, images = attach(prompt) if wanted.takes_files else (prompt, [])
        body = generate_request(
            wanted.model,
            prompt,
            options={},
            format=response_format(flags.get("format", "")),
            keep_alive=wanted.keep_alive,
            images=images or None,
            think=wanted.think,
        )
        answer = Answer(wrap, hide_thinking, coloured=sys.stdout.isatty())
        try:
            for last in ollama.stream("/api/generate", body):
                if last.get("response") or not hide_thinking:
                    progress.clear()
                say("".join(answer.add(last)))
        except KeyboardInterrupt:
            return
        if prompt:
            say("\n\n")
        if last.get("done") and flags.get("verbose"):
            sys.stderr.write(summary(last))


def response_format(text: str) -> Any:
    """The `format` of a request: "json", a schema or None. Raises CourseError in Go's words."""
    if text in ("", "json"):
        return text or None
    try:
        gojson.parse(f"{text} ".encode())  # Go ends what it reads with a blank
        return json.loads(text)
    except gojson.BadBody as error:
        reason = str(error).replace("unexpected EOF", "unexpected end of JSON input")
    except json.JSONDecodeError as error:
        reason = f"invalid character {quote_letter(text[error.pos])} after top-level value"
    raise CourseError(f"json: error calling MarshalJSON for type json.RawMessage: {reason}")
