"""The commands that change which models there are: cp, rm, stop, pull, push."""

from __future__ import annotations

import sys
from typing import Any

from helpers.errors import CourseError

from . import names
from .cli_account import ask_to_sign_in
from .cli_client import Ollama, Refused, SignInNeeded
from .cli_confirm import confirmed
from .cli_format import duration
from .cli_parse import Given
from .cli_progress import Progress, Spinner, follow, say
from .cli_show import show_request
from .command_texts import CLOUD_INSTEAD, ERRORS, SIGN_IN_TO_PUSH

PULL_NOT_FOUND = "pull model manifest: file does not exist"
OLLAMA_SITES = (".ollama.ai", ".ollama.com")


# --- copy, remove, stop -------------------------------------------------------------------------------------


def copy(given: Given, ollama: Ollama) -> None:
    source, destination = given.words
    ollama.call("POST", "/api/copy", {"source": source, "destination": destination})
    say(f"copied '{source}' to '{destination}'\n")


def remove(given: Given, ollama: Ollama) -> None:
    for name in given.words:
        try:
            unload(ollama, name)
        except CourseError as error:
            if "not found" not in str(error).lower():
                print(f"Warning: unable to stop model '{name}'", file=sys.stderr)
        ollama.call("DELETE", "/api/delete", {"model": "", "name": name})
        say(f"deleted '{name}'\n")


def stop(given: Given, ollama: Ollama) -> None:
    name = given.words[0]
    try:
        unload(ollama, name)
    except CourseError as error:
        if "not found" in str(error):
            raise CourseError(ERRORS["stop"].format(model=name)) from error
        raise


def unload(ollama: Ollama, name: str) -> None:
    """Takes a local model out of memory. Raises CourseError."""
    load(ollama, name, keep_alive=duration(0))


def load(
    ollama: Ollama,
    name: str,
    keep_alive: str | int | None = None,
    think: bool | str | None = None,
    announce: bool = False,
) -> None:
    """Brings a local model into memory; `announce` says where a remote one runs. Raises CourseError."""
    with Progress(erase=True) as progress:
        progress.add(Spinner(""))
        reply = ollama.call("POST", "/api/show", show_request(model=name))
        if reply.get("remote_host") or is_cloud(name):
            on_site = is_cloud(name) or reply["remote_host"].startswith("https://ollama.com")
            if on_site:
                ollama.call("POST", "/api/me")
            if announce:
                progress.clear()
                where = ERRORS["ollama.com"] if on_site else f"'{reply['remote_host']}'"
                model = reply.get("remote_model") or name
                print(ERRORS["connecting"].format(model=model, where=where), file=sys.stderr)
            return
        body = generate_request(name, keep_alive=keep_alive, think=think)
        for _ in ollama.stream("/api/generate", body):
            pass


def generate_request(
    model: str,
    prompt: str = "",
    *,
    format: Any = None,
    keep_alive: str | int | None = None,
    images: list[str] | None = None,
    options: dict[str, Any] | None = None,
    think: bool | str | None = None,
) -> dict[str, Any]:
    """The body of a POST to /api/generate, its fields in the order in which the command sends them."""
    body: dict[str, Any] = {"model": model, "prompt": prompt, "suffix": "", "system": "", "template": ""}
    optional = {"format": format, "keep_alive": keep_alive, "images": images}
    body |= {field: value for field, value in optional.items() if value is not None}
    body["options"] = options
    return body if think is None else body | {"think": think}


# --- pull and push ------------------------------------------------------------------------------------------


def pull(given: Given, ollama: Ollama) -> None:
    pull_model(ollama, given.words[0], given.flags.get("insecure", False), "pull")


def pull_model(ollama: Ollama, name: str, insecure: bool, verb: str) -> str:
    """Pulls a model, its progress on stderr. Returns its name, another one where the cloud's was taken.

    `verb` is the command that a hint names. Raises CourseError.
    """
    asks = sys.stdin.isatty() and sys.stdout.isatty()
    with Progress() as progress:
        try:
            follow(
                ollama.stream("/api/pull", _transfer(name, insecure)),
                progress,
                _pull_label,
                skip_empty=True,
            )
            return name
        except CourseError as error:
            failure = error
        if PULL_NOT_FOUND not in str(failure) or insecure or not _may_be_cloud(name):
            raise failure
        if asks:
            progress.clear()
    cloud = f"{name}:cloud"
    try:
        ollama.call("POST", "/api/show", show_request(model=cloud))
    except CourseError:
        raise failure from None
    if not asks:
        raise CourseError(ERRORS["cloud suggestion"].format(error=failure, model=cloud, verb=verb))
    if not confirmed(CLOUD_INSTEAD.format(model=cloud)):
        raise failure
    return pull_model(ollama, cloud, insecure, verb)


def _pull_label(item: dict[str, Any]) -> str:
    digest = item["digest"]
    short = digest[7:19] if digest.startswith("sha256:") else digest
    return f"pulling {short.strip()}:"


def _transfer(name: str, insecure: bool) -> dict[str, Any]:
    """The body of a pull or push."""
    allow = {"insecure": True} if insecure else {}
    return {"model": "", **allow, "username": "", "password": "", "name": name}


def push(given: Given, ollama: Ollama) -> None:
    name = given.words[0]
    insecure = given.flags.get("insecure", False)
    parsed = names.parse(name)
    on_site = parsed is None or parsed.host.endswith(OLLAMA_SITES)
    if on_site:
        try:
            ollama.call("POST", "/api/me")
        except SignInNeeded as error:
            ask_to_sign_in(SIGN_IN_TO_PUSH, error)
            return
    with Progress() as progress:
        try:
            follow(
                ollama.stream("/api/push", _transfer(name, insecure)),
                progress,
                lambda item: item.get("status") or f"pushing {item['digest'][7:19]}...",
            )
        except CourseError as error:
            text = str(error).lower()
            if "access denied" in text or "unauthorized" in text:
                raise CourseError(ERRORS["push denied"]) from error
            raise
    destination = str(parsed)
    if on_site:
        short = parsed.short if parsed else name
        destination = f"https://ollama.com/{short.removesuffix(':latest')}"
    say(f"\nYou can find your model at:\n\n\t{destination}\n")


# --- cloud models -------------------------------------------------------------------------------------------


def is_cloud(name: str) -> bool:
    """Whether the name itself says that the model runs at ollama.com: `x:cloud`, `x:20b-cloud`."""
    return _source(name.strip()) == "cloud"


def pull_name(name: str) -> str:
    """The name under which the stub of a cloud model is pulled."""
    base, _, tag = name.strip().rpartition(":")
    if tag.lower() != "cloud":
        return name.strip()
    return f"{base}-cloud" if ":" in base.rpartition("/")[2] else f"{base}:cloud"


def _source(name: str) -> str:
    """What the suffix of a name says: `cloud`, `local` or nothing."""
    base, colon, tag = name.rpartition(":")
    tag = tag.strip().lower()
    if not colon or "/" in tag:
        return ""
    if tag in ("cloud", "local"):
        return "both" if _source(base) else tag
    return "cloud" if tag.endswith("-cloud") else ""


def _may_be_cloud(name: str) -> bool:
    """Whether a name that was not found might exist as a cloud model: no tag, and of the usual registry."""
    parsed = names.parse(name)
    tagged = ":" in name.rpartition("/")[2]
    return parsed is not None and not tagged and parsed.host.lower() == names.HOST


def missing(error: CourseError) -> bool:
    """Whether the server said that there is no such model."""
    return isinstance(error, Refused) and error.status == 404
