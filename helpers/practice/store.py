"""Models on disk, laid out as Ollama lays them out: manifests that name blobs by their SHA-256.

    <home>/models/manifests/<host>/<namespace>/<model>/<tag>      JSON: a config and layers, each with digest
    and size
    <home>/models/blobs/sha256-<64 hex>

Every file is written whole under another name and then moved into place, so a reader never sees half of one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from . import gguf
from .names import Name

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.ollama.image."

DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")


@dataclass(frozen=True)
class Model:
    """One installed model, as its manifest tells it; layers are read when asked for."""

    store: Store
    name: Name
    digest: str
    manifest: dict[str, Any]
    modified_ns: int

    @cached_property
    def size(self) -> int:
        """Bytes of all layers and the config, as the manifest states them."""
        layers = self.manifest["layers"]
        return self.manifest["config"]["size"] + sum(layer["size"] for layer in layers)

    @cached_property
    def config(self) -> dict[str, Any]:
        return json.loads(self.store.blob(self.manifest["config"]["digest"]).read_bytes())

    def layers(self, kind: str) -> list[Path]:
        """The blobs of the layers of one kind: model, template, system, params, license, messages …"""
        wanted = LAYER_TYPE + kind
        return [self.store.blob(la["digest"]) for la in self.manifest["layers"] if la["mediaType"] == wanted]

    def _text(self, kind: str) -> str:
        return "".join(path.read_text("utf-8") for path in self.layers(kind)[-1:])

    @cached_property
    def template(self) -> str:
        return self._text("template") or "{{ .Prompt }}"

    @cached_property
    def system(self) -> str:
        return self._text("system")

    @cached_property
    def parameters(self) -> dict[str, Any]:
        return json.loads(self._text("params") or "{}")

    @cached_property
    def messages(self) -> list[dict[str, str]]:
        return json.loads(self._text("messages") or "[]")

    @cached_property
    def licenses(self) -> list[str]:
        return [path.read_text("utf-8") for path in self.layers("license")]

    @cached_property
    def header(self) -> gguf.Header:
        """Metadata and tensors of the weights; empty for a model that runs elsewhere."""
        paths = self.layers("model")
        return _header(paths[0]) if paths else gguf.Header({}, [])

    @property
    def remote(self) -> bool:
        return bool(self.config.get("remote_host"))

    @cached_property
    def capabilities(self) -> list[str]:
        """What the model can do, from its config, weights and template, in the server's order."""
        found = list(self.config.get("capabilities") or [])
        keys = self.header.metadata
        if keys:
            found.append("embedding" if any(key.endswith("pooling_type") for key in keys) else "completion")
        if any(key.endswith("vision.block_count") for key in keys) or self.layers("projector"):
            found.append("vision")
        for capability, mark in (("tools", ".Tools"), ("insert", ".Suffix"), ("thinking", ".Think")):
            if mark in self.template:
                found.append(capability)
        return list(dict.fromkeys(found))

    @cached_property
    def details(self) -> dict[str, Any]:
        config = self.config
        return {
            "parent_model": "",
            "format": config.get("model_format", ""),
            "family": config.get("model_family", ""),
            "families": config.get("model_families"),
            "parameter_size": config.get("model_type", ""),
            "quantization_level": config.get("file_type", ""),
        }

    def length(self, kind: str) -> int:
        """The context or embedding length the weights were trained with; 0 where unknown."""
        architecture = self.header.metadata.get("general.architecture", "")
        return self.header.metadata.get(f"{architecture}.{kind}_length") or self.config.get(
            f"{kind}_length", 0
        )


@lru_cache(maxsize=32)
def _header(path: Path) -> gguf.Header:
    return gguf.read(path)


class Store:
    """The models of one home."""

    def __init__(self, home: Path) -> None:
        self.manifests = home / "models" / "manifests"
        self.blobs = home / "models" / "blobs"
        self.manifests.mkdir(parents=True, exist_ok=True)
        self.blobs.mkdir(parents=True, exist_ok=True)
        self._known: dict[Path, tuple[int, Model]] = {}

    # --- blobs ------------------------------------------------------------------------------------

    def blob(self, digest: str) -> Path:
        """Where the blob of `digest` is or would be. Raises ValueError for what is no SHA-256 digest."""
        found = DIGEST.fullmatch(digest)
        if not found:
            raise ValueError("invalid digest format")
        return self.blobs / f"sha256-{found[1]}"

    def add_blob(self, data: bytes) -> str:
        """Keep `data`; returns its digest, `sha256:` and 64 hex."""
        digest = digest_of(data)
        path = self.blob(digest)
        if not path.exists():
            _write_whole(path, data)
        return digest

    # --- manifests --------------------------------------------------------------------------------

    def save(
        self, name: Name, config: dict[str, Any], layers: list[dict[str, Any]], modified_ns: int
    ) -> None:
        """Make or replace the model `name`. A layer is {mediaType, digest, size}; its blob is there."""
        data = config_bytes(config)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "digest": self.add_blob(data), "size": len(data)},
            "layers": layers,
        }
        path = self.manifests.joinpath(*(self.existing(name) or name))
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(path, json.dumps(manifest, separators=(",", ":")).encode(), modified_ns)

    def existing(self, name: Name) -> Name | None:
        """The installed model's name that equals `name` but for case."""
        if self.manifests.joinpath(*name).is_file():
            return name
        folded = name.folded()
        return next((other for other in self._names() if other.folded() == folded), None)

    def find(self, name: Name | None) -> Model | None:
        """The installed model of that name; None if there is none, or its files are not whole."""
        existing = self.existing(name) if name else None
        return self._read(existing) if existing else None

    def all(self) -> list[Model]:
        """Every installed model, the latest changed first."""
        models = [model for model in map(self._read, self._names()) if model]
        return sorted(models, key=lambda model: (-(model.modified_ns // 10**9), model.name))

    def copy(self, source: Model, target: Name, modified_ns: int) -> None:
        """Give `source` a second name; a model of that name is replaced."""
        self.save(target, source.config, source.manifest["layers"], modified_ns)

    def remove(self, model: Model) -> None:
        """Forget the model, and the blobs that no other model needs."""
        path = self.manifests.joinpath(*model.name)
        path.unlink(missing_ok=True)
        for folder in list(path.parents)[:3]:
            if any(folder.iterdir()):
                break
            folder.rmdir()
        needed = {entry["digest"] for other in self.all() for entry in _entries(other.manifest)}
        for entry in _entries(model.manifest):
            if entry["digest"] not in needed:
                self.blob(entry["digest"]).unlink(missing_ok=True)

    def _names(self) -> list[Name]:
        found = self.manifests.glob("*/*/*/*")
        return [Name(*path.relative_to(self.manifests).parts) for path in found if path.suffix != ".part"]

    def _read(self, name: Name) -> Model | None:
        path = self.manifests.joinpath(*name)
        try:
            modified_ns = path.stat().st_mtime_ns
            known = self._known.get(path)
            if known and known[0] == modified_ns:
                return known[1]
            data = path.read_bytes()
            model = Model(self, name, hashlib.sha256(data).hexdigest(), json.loads(data), modified_ns)
            if not all(self.blob(entry["digest"]).exists() for entry in _entries(model.manifest)):
                return None
        except (OSError, ValueError, KeyError):
            return None
        self._known[path] = (modified_ns, model)
        return model


def digest_of(data: bytes) -> str:
    """`sha256:` and the 64 hex digits of the data's SHA-256."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def config_bytes(config: dict[str, Any]) -> bytes:
    """The config as it is stored."""
    return json.dumps(config, separators=(",", ":")).encode()


def _entries(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return [manifest["config"], *manifest["layers"]]


def _write_whole(path: Path, data: bytes, modified_ns: int | None = None) -> None:
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        if modified_ns is not None:
            os.utime(part, ns=(modified_ns, modified_ns))
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
