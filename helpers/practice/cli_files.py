"""Files that a command sends along: what they are, and those that a prompt names by their path."""

from __future__ import annotations

import re
import sys
from base64 import b64encode
from pathlib import Path

from helpers.errors import CourseError

from .cli_format import quote
from .command_texts import ERRORS

MAX_FILE = 100 * 1024 * 1024  # bytes

_PATHS = re.compile(
    r"(?:[a-zA-Z]:)?(?:\./|/|\\)[\S\\ ]+?\.(?:jpg|jpeg|png|webp|wav)\b", re.ASCII | re.IGNORECASE
)
_ESCAPED = re.compile(r"\\([ ()\[\]{}$&;'\\*?~])")


def attach(prompt: str) -> tuple[str, list[str]]:
    """The prompt without the paths of existing images and sounds, and those files in base64."""
    files = []
    for written in paths(prompt):
        path = _ESCAPED.sub(r"\1", written)
        try:
            data = _read(path)
        except FileNotFoundError:
            continue
        except (OSError, CourseError) as error:
            text = os_text(error) if isinstance(error, OSError) else str(error)
            print(f"Couldn't process file: {quote(text)}", file=sys.stderr)
            raise CourseError(text) from None
        kind = "audio" if path.lower().endswith(".wav") else "image"
        print(f"Added {kind} '{path}'", file=sys.stderr)
        for name in (f"'{path}'", f"'{written}'", written):
            prompt = prompt.replace(name, "")
        files.append(b64encode(data).decode())
    return prompt.strip(), files


def paths(text: str) -> list[str]:
    """What in a text looks like the path of an image or a sound, as it is written there."""
    return _PATHS.findall(text)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        start = file.read(512)
        if not start:
            raise CourseError("EOF")
        kind = content_type(start.ljust(512, b"\0"))
        if kind not in ("image/jpeg", "image/png", "image/webp", "audio/wave"):
            raise CourseError(ERRORS["file type"].format(type=kind))
        if Path(path).stat().st_size > MAX_FILE:
            raise CourseError(ERRORS["file size"])
        return start + file.read()


def os_text(error: OSError) -> str:
    """What went wrong with a file, in Go's words."""
    verb = "read" if isinstance(error, IsADirectoryError) else "open"
    return f"{verb} {error.filename}: {(error.strerror or str(error)).lower()}"


_SIGNATURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b\x08", "application/x-gzip"),
)
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")


def content_type(start: bytes) -> str:
    """The type of a file by its first 512 bytes, as Go's net/http sniffs it."""
    if start[:4] == b"RIFF":
        if start[8:14] == b"WEBPVP":
            return "image/webp"
        if start[8:12] == b"WAVE":
            return "audio/wave"
    for signature, kind in _SIGNATURES:
        if start.startswith(signature):
            return kind
    return "application/octet-stream" if _BINARY.search(start) else "text/plain; charset=utf-8"
