"""`ollama create MODEL -f Modelfile`: the Modelfile becomes one request, its files are sent first."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from helpers.errors import CourseError

from . import modelfile, names
from .cli_client import Ollama
from .cli_files import content_type, os_text
from .cli_parse import Given
from .cli_progress import Progress, Spinner, follow, say
from .command_texts import ERRORS

GATHERING = "gathering model components"
CHUNK = 1 << 20  # bytes

# Where weights are looked for in a folder, best first: patterns and the content type they must have.
WEIGHTS = (
    ("model*.safetensors", ""),
    ("consolidated*.safetensors", ""),
    ("pytorch_model*.bin", "application/zip"),
    ("consolidated*.pth", "application/zip"),
    ("*.gguf", "application/octet-stream"),
    ("*.bin", "application/octet-stream"),
)
# The order in which the fields of the request are sent.
FIELDS = (
    "model",
    "quantize",
    "draft_quantize",
    "from",
    "files",
    "draft_files",
    "adapters",
    "template",
    "license",
    "system",
    "parameters",
    "messages",
    "renderer",
    "parser",
    "requires",
)


def needs_server(given: Given) -> bool:
    """Whether the server is asked first."""
    return not given.flags.get("experimental")


def create(given: Given, ollama: Ollama) -> None:
    name = given.words[0]
    with Progress() as progress:
        if names.parse(name) is None:
            raise CourseError(ERRORS["model name"].format(name=name))
        filename = given.flags.get("file") or "Modelfile"
        if given.flags.get("experimental"):
            raise _not_experimental(filename)
        commands, folder = _read(filename)
        spinner = Spinner(GATHERING)
        progress.add(spinner)
        request = _request(commands, folder)
        spinner.stop()
        request["model"] = name
        request["quantize"] = given.flags.get("quantize", "")
        request["draft_quantize"] = given.flags.get("draft-quantize", "")
        if request["draft_quantize"] and not request.get("draft_files"):
            raise CourseError(ERRORS["draft quantize"])
        for field in ("files", "adapters", "draft_files"):
            request[field] = _send(request.get(field, {}), ollama, progress)
        body = {field: request[field] for field in FIELDS if request.get(field)} | {"name": ""}
        follow(
            ollama.stream("/api/create", body),
            progress,
            lambda item: item.get("status") or f"pulling {item['digest'][7:19]}...",
            status=GATHERING,
        )


def _not_experimental(filename: str) -> CourseError:
    """What --experimental comes to: the practice command does not turn safetensors into a model itself."""
    try:
        commands, folder = _read(filename)
    except CourseError as error:
        return CourseError(ERRORS["experimental modelfile"].format(error=error))
    _request([one for one in commands if one.name not in ("model", "draft", "adapter")], folder)
    model = next((args for name, args in commands if name == "model"), ".")
    weights = folder / model
    if (weights / "config.json").exists() and any(weights.glob("*.safetensors")):
        return CourseError(ERRORS["no experimental"])
    return CourseError(ERRORS["no safetensors"].format(folder=model))


def _read(filename: str) -> tuple[list[modelfile.Command], Path]:
    """The commands of the Modelfile and the folder its paths start from; no file means `FROM .`."""
    path = Path(filename).absolute()
    try:
        text = modelfile.decode(path.read_bytes())
    except FileNotFoundError:
        return modelfile.parse("FROM .\n"), Path.cwd()
    except OSError as error:
        raise CourseError(os_text(error)) from None
    return modelfile.parse(text), path.parent


def _request(commands: list[modelfile.Command], folder: Path) -> dict[str, Any]:
    """The fields of the request that the commands set; files are digests by their path here."""
    request: dict[str, Any] = {"parameters": {}, "messages": [], "license": []}
    paths: dict[str, list[Path]] = {"files": [], "draft_files": []}
    for name, args in commands:
        if name == "model":
            path = _expand(args, folder)
            if not path.exists():
                request["from"] = args
                continue
            _add_files(request, "files", path, paths)
        elif name == "draft":
            _add_files(request, "draft_files", _expand(args, folder), paths)
        elif name == "adapter":
            request["adapters"] = _digests(_expand(args, folder))
        elif name == "license":
            request["license"].append(args)
        elif name == "message":
            role, _, content = args.partition(": ")
            request["messages"].append({"role": role, "content": content})
        elif name == "requires":
            request["requires"] = modelfile.requires(args)
        elif name in ("template", "system", "renderer", "parser"):
            request[name] = args
        elif name in modelfile.DEPRECATED:
            say(f"warning: parameter {name} is deprecated\n")
        else:
            value = modelfile.parameters(name, args)
            if isinstance(value, list):
                value = request["parameters"].get(name, []) + value
            request["parameters"][name] = value
    request["parameters"] = {name: request["parameters"][name] for name in sorted(request["parameters"])}
    return request


def _add_files(request: dict[str, Any], field: str, path: Path, paths: dict[str, list[Path]]) -> None:
    request[field] = request.get(field, {}) | _digests(path)
    other = paths["files" if field == "draft_files" else "draft_files"]
    if any(path.resolve() == known.resolve() for known in other):
        raise CourseError(ERRORS["same path"].format(path=path))
    paths[field].append(path)


def _expand(written: str, folder: Path) -> Path:
    path = os.path.expanduser(written)
    if path.startswith("~"):
        user = path[1:].partition("/")[0]
        raise CourseError(f"failed to find user '{user}': user: unknown user {user}")
    return Path(os.path.normpath(folder / path))


def _digests(path: Path) -> dict[str, str]:
    """The digest of the file, or of each file of a model's folder, by its path."""
    if not path.exists():
        raise CourseError(f"stat {path}: no such file or directory")
    try:
        return {str(file): _digest(file) for file in (_model_files(path) if path.is_dir() else [path])}
    except OSError as error:
        raise CourseError(os_text(error)) from None


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def _model_files(folder: Path) -> list[Path]:
    """Weights, configuration and tokenizer in a model's folder. Raises CourseError without weights."""
    files: list[Path] = []
    for pattern, kind in WEIGHTS:
        found = _glob(folder, pattern)
        if found and all(kind in ("", _type(path)) for path in found):
            files = found + (_glob(folder, f"*/{pattern}") if pattern.startswith("model") else [])
            break
    if not files:
        raise CourseError(ERRORS["no model files"])
    for pattern in ("*.json", "*/*.json", "chat_template.jinja"):
        found = _glob(folder, pattern)
        for path in found:
            if _type(path) != "text/plain":
                raise CourseError(f"invalid content type: expected {_type(path)} for {path}")
        files += found
    files += _glob(folder, "tokenizer.model") or _glob(folder, "*/tokenizer.model")
    return [_inside(path, folder) for path in files]


def _glob(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder / name for name in glob.glob(pattern, root_dir=folder))


def _type(path: Path) -> str:
    with open(path, "rb") as file:
        return content_type(file.read(512)).partition(";")[0]


def _inside(path: Path, folder: Path) -> Path:
    """The file behind a link, which must lie in the folder."""
    real = path.resolve()
    relative = os.path.relpath(real, folder)
    if relative.startswith(".."):
        hint = "\n\nUse --local-dir <dir> when downloading model to disable caching"
        raise CourseError(f"insecure path: {relative}{hint if '.cache' in relative else ''}")
    return real


# --- sending files ------------------------------------------------------------------------------------------


def _send(files: dict[str, str], ollama: Ollama, progress: Progress) -> dict[str, str]:
    """Uploads the files; the result names them as the request does: relative to the folder they share."""
    shared = os.path.commonpath([os.path.dirname(path) for path in files]) if len(files) > 1 else None
    sent = {}
    for path, digest in files.items():
        spinner = Spinner(f"copying file {digest} 0%")
        progress.add(spinner)
        ollama.call("POST", f"/api/blobs/{digest}", _chunks(path, digest, spinner))
        spinner.message = f"copying file {digest} 100%"
        spinner.stop()
        name = os.path.relpath(path, shared) if shared else os.path.basename(path)
        sent[PurePosixPath(name.replace(os.sep, "/")).as_posix()] = digest
    return {name: sent[name] for name in sorted(sent)}


def _chunks(path: str, digest: str, spinner: Spinner) -> Iterator[bytes]:
    size, done = os.path.getsize(path), 0
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
            done += len(chunk)
            spinner.message = f"copying file {digest} {100 * done // size}%"
