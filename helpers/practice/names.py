"""Model names: [host/][namespace/]model[:tag]. Source: ollama types/model/name.go, v0.32.15."""

from __future__ import annotations

import re
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


def parse(text: str) -> Name | None:
    """The name `text` stands for, or None if it is no valid name."""
    text = re.sub(r"^https?://", "", text)
    rest, tag = text, TAG
    colon = text.rfind(":")
    if colon > text.rfind("/"):
        rest, tag = text[:colon], text[colon + 1 :]
    parts = rest.split("/")
    if len(parts) > 3:
        parts = ["/".join(parts[:-2]), *parts[-2:]]
    host, namespace, model = [HOST, NAMESPACE][: 3 - len(parts)] + parts
    whole = (
        _HOST_PART.fullmatch(host)
        and _NAMESPACE_PART.fullmatch(namespace)
        and _PART.fullmatch(model)
        and _PART.fullmatch(tag)
    )
    return Name(host, namespace, model, tag) if whole else None
