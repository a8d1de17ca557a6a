"""Model names: [host/][namespace/]model[:tag]. Source: types/model/name.go and internal/modelref."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

HOST, NAMESPACE, TAG = "registry.ollama.ai", "library", "latest"

_HOST_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_NAMESPACE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")


class Name(NamedTuple):
    """A complete, valid model name."""

    host: str
    namespace: str
    model: str
    tag: str

    def __str__(self) -> str:
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    @property
    def full(self) -> str:
        """Host, namespace, model and tag, as some error texts show it; `latest` stays."""
        return str(self)

    @property
    def short(self) -> str:
        """What lists show: the defaults of host and namespace left away, the tag always there."""
        if self.host.lower() != HOST:
            return str(self)
        prefix = "" if self.namespace.lower() == NAMESPACE else f"{self.namespace}/"
        return f"{prefix}{self.model}:{self.tag}"

    def folded(self) -> tuple[str, ...]:
        """The name as it is compared: case does not count."""
        return tuple(part.lower() for part in self)

    def path(self) -> Path:
        """The name as a relative path. Every part begins with a letter, digit or underscore: none climbs."""
        host = self.host.replace(":", "%3A") if sys.platform == "win32" else self.host
        return Path(host, *self[1:])


def from_path(path: Path) -> Name | None:
    """The name whose `path()` is this one; None if there is none."""
    parts = path.parts
    return _valid(parts[0].replace("%3A", ":"), *parts[1:]) if len(parts) == 4 else None


def parse(text: str) -> Name | None:
    """The name `text` stands for, or None if it is no valid name."""
    return _valid(*_split(text))


def unqualified(text: str) -> str:
    """What some error texts make of a text that is no valid name."""
    return str(Name(*(part or "!MISSING!" for part in _split(text))))


def _split(text: str) -> tuple[str, str, str, str]:
    rest, tag = text, TAG
    colon = text.rfind(":")
    if colon > text.rfind("/"):
        rest, tag = text[:colon], text[colon + 1 :]
    *before, model = rest.rsplit("/", 2)
    host, namespace = [HOST, NAMESPACE][: 2 - len(before)] + before
    return host.rpartition("://")[2], namespace, model, tag


def _valid(host: str, namespace: str, model: str, tag: str) -> Name | None:
    whole = (
        _HOST_PART.fullmatch(host)
        and _NAMESPACE_PART.fullmatch(namespace)
        and _PART.fullmatch(model)
        and _PART.fullmatch(tag)
    )
    return Name(host, namespace, model, tag) if whole else None


# --- where a model is to run ----------------------------------------------------------------------


class BothSources(ValueError):
    """A name that ends in :local and in :cloud at once."""


def source(text: str) -> tuple[str, str]:
    """A name without the suffix that says where it is to run, and that place: `cloud`, `local` or nothing.

    `m:cloud` and `m:tag-cloud` are cloud, `m:local` is local. Raises BothSources.
    """
    base, where = _cut_source(text.strip())
    if where and _cut_source(base)[1]:
        raise BothSources(text.strip())
    return base, where


def _cut_source(text: str) -> tuple[str, str]:
    base, colon, suffix = text.rpartition(":")
    suffix = suffix.strip()
    if colon and suffix.lower() in ("cloud", "local"):
        return base, suffix.lower()
    if colon and "/" not in suffix and suffix.lower().endswith("-cloud"):
        return f"{base}:{suffix[: -len('-cloud')]}", "cloud"
    return text, ""


def pull_name(text: str) -> Name | None:
    """The name under which `text` is pulled and kept; None if it is none. Raises BothSources."""
    base, where = source(text)
    if where == "cloud":
        base += "-cloud" if base.rfind(":") > base.rfind("/") else ":cloud"
    return parse(base)
