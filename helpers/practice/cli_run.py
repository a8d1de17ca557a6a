"""`ollama run MODEL PROMPT`: one prompt, one answer; or one text, one embedding."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from helpers.errors import CourseError

from . import gojson
from .cli_account import ask_to_sign_in
from .cli_client import Ollama, SignInNeeded
from .cli_files import attach
from .cli_format import duration, letter_width, parse_duration, quote, quote_letter, width
from .cli_models import generate_request, is_cloud, missing, pull_model, pull_name
from .cli_parse import Given
from .cli_progress import Progress, Spinner, say, terminal_size
from .cli_show import show_request
from .command_texts import ERRORS, SIGN_IN_TO_RUN

THINK_LEVELS = ("high", "medium", "low", "max")
GREY, BOLD, PLAIN = "\x1b[38;5;245m", "\x1b[1m", "\x1b[0m"
MARGIN = 5  # columns that wrapped text leaves free
NARROWEST = 10  # columns below which text is not wrapped


def run(given: Given, ollama: Ollama) -> None:
    flags, (model, *words) = given.flags, given.words
    think = _think(flags["think"]) if "think" in flags else None
    keep_alive = _keep_alive(flags.get("keepalive", ""))
    piped = _piped()
    prompt = " ".join(([piped] if piped else []) + words)
    talk = piped is None and not words and sys.stdout.isatty()
    try:
        info = _find(ollama, model, flags.get("insecure", False))
        capabilities = info.get("capabilities") or []
        if think is None and "think" not in flags and "thinking" in capabilities:
            think = True
        if "embedding" in capabilities:
            _embed(ollama, model, prompt, keep_alive, flags)
        elif "image" in capabilities:
            raise CourseError(ERRORS["image model"])
        elif talk:
            raise CourseError(ERRORS["no session"].format(model=model))
        else:
            _generate(ollama, model, prompt, info, keep_alive, think, flags)
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


def _find(ollama: Ollama, model: str, insecure: bool) -> dict[str, Any]:
    """What the server knows of the model, which is pulled if it is not there."""
    try:
        info = ollama.call("POST", "/api/show", show_request(model=model))
    except CourseError as error:
        if not missing(error) or is_cloud(model):
            raise
        pull_model(ollama, model, insecure, "run")
        info = ollama.call("POST", "/api/show", show_request(model=model))
    if is_cloud(model):
        _pull_stub(ollama, model)
    return info


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


# --- embeddings ---------------------------------------------------------------------------------------------


def _embed(
    ollama: Ollama, model: str, text: str, keep_alive: str | int | None, flags: dict[str, Any]
) -> None:
    if not text:
        raise CourseError(ERRORS["embedding prompt"].format(model=model))
    body: dict[str, Any] = {"model": model, "input": text}
    if keep_alive is not None:
        body["keep_alive"] = keep_alive
    if "truncate" in flags:
        body["truncate"] = flags["truncate"]
    if flags.get("dimensions", 0) > 0:
        body["dimensions"] = flags["dimensions"]
    vectors = ollama.call("POST", "/api/embed", {**body, "options": None}).get("embeddings")
    if not vectors:
        raise CourseError(ERRORS["no embedding"])
    say(gojson.encode([gojson.float32(number) for number in vectors[0]]).decode() + "\n")


# --- answers ------------------------------------------------------------------------------------------------


def _generate(
    ollama: Ollama,
    model: str,
    prompt: str,
    info: dict[str, Any],
    keep_alive: str | int | None,
    think: bool | str | None,
    flags: dict[str, Any],
) -> None:
    hide_thinking = flags.get("hidethinking", False)
    wrap = not flags.get("nowordwrap", False)
    last: dict[str, Any] = {}
    with Progress(erase=True) as progress:
        progress.add(Spinner(""))
        prompt, images = attach(prompt) if _takes_files(info) else (prompt, [])
        body = generate_request(
            model,
            prompt,
            options={},
            format=_format(flags.get("format", "")),
            keep_alive=keep_alive,
            images=images or None,
            think=think,
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


def _takes_files(info: dict[str, Any]) -> bool:
    return (
        bool({"vision", "audio"} & set(info.get("capabilities") or []))
        or bool(info.get("projector_info"))
        or any(".vision." in key for key in info.get("model_info") or {})
    )


def _format(text: str) -> Any:
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


class Answer:
    """Turns the pieces of a stream into what is written: thinking set apart, lines wrapped at words."""

    def __init__(self, wrap: bool, hide_thinking: bool, coloured: bool) -> None:
        self._wrap = wrap
        self._hide = hide_thinking
        self._coloured = coloured
        self._thinking = ""
        self._open = False
        self._column = 0
        self._word = ""

    def add(self, piece: dict[str, Any]) -> Iterator[str]:
        """What one piece of the stream adds to stdout."""
        thinking, text = piece.get("thinking", ""), piece.get("response", "")
        calls = piece.get("tool_calls") or []
        if thinking and not self._hide:
            if not self._open:
                title = "Thinking...\n"
                yield f"{GREY}{BOLD}{title}{PLAIN}{GREY}" if self._coloured else title
                self._open = True
            self._thinking += thinking
            yield self._laid_out(thinking)
        if self._open and (text or calls):
            if not self._thinking.endswith("\n"):
                yield "\n"
            title = "...done thinking.\n\n"
            yield f"{GREY}{BOLD}{title}{PLAIN}" if self._coloured else title
            self._open = False
            self._column, self._word = 0, ""
        yield self._laid_out(text)
        if calls:
            yield _tool_calls(calls, self._coloured)

    def _laid_out(self, text: str) -> str:
        """`text` wrapped: a word that does not fit is taken back and written again on the next line."""
        columns = terminal_size(1)[0] or 80
        if not self._wrap or columns < NARROWEST:
            word, self._word = self._word, ""
            return word + text
        out = []
        for letter in text:
            if self._column + 1 > columns - MARGIN:
                taken = width(self._word)
                if taken > columns - NARROWEST:
                    out.append(self._word + letter)
                    self._word, self._column = "", 0
                    continue
                back = f"\x1b[{taken}D" if taken else ""
                out.append(f"{back}\x1b[K\n{self._word}{letter}")
                self._column = taken + letter_width(letter)
                continue
            out.append(letter)
            self._column += letter_width(letter)
            if letter in "\n\r":
                self._column = 0
            self._word = "" if letter in " \t\n\r" or letter_width(letter) >= 2 else self._word + letter
        return "".join(out)


def _tool_calls(calls: list[dict[str, Any]], coloured: bool) -> str:
    note, value, end = (GREY + BOLD, PLAIN, PLAIN) if coloured else ("", "", "")
    lines = []
    for call in calls:
        name = call["function"]["name"]
        arguments = gojson.encode(call["function"]["arguments"]).decode()
        lines.append(
            f"  Model called a non-existent function '{value}{name}{note}()' "
            f"with arguments: {value}{arguments}{note}"
        )
    return note + "\n".join(lines) + end


def summary(last: dict[str, Any]) -> str:
    """What --verbose says of the last piece of a stream; what is zero is left out."""
    total, load = last.get("total_duration", 0), last.get("load_duration", 0)
    text = f"total duration:       {duration(total)}\n" if total > 0 else ""
    text += f"load duration:        {duration(load)}\n" if load > 0 else ""
    for name, key in (("prompt eval", "prompt_eval"), ("eval", "eval")):
        count, time = last.get(f"{key}_count", 0), last.get(f"{key}_duration", 0)
        if count > 0:
            text += f"{name + ' count:':<22}{count} token(s)\n"
        if time > 0:
            text += f"{name + ' duration:':<22}{duration(time)}\n"
            text += f"{name + ' rate:':<22}{count / (time / 1e9):.2f} tokens/s\n"
    return text
