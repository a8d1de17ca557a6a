"""Models on disk, laid out as Ollama lays them out: manifests that name blobs by their SHA-256.

    <home>/models/manifests/<host>/<namespace>/<model>/<tag>      JSON: a config and layers, each with digest
    and size
    <home>/models/blobs/sha256-<64 hex>

Every file is written whole under another name, reaches the disk, and is then moved into place: a reader, or
a server that starts after a crash, never sees half of one. Blobs come before the manifest that names them and
go after it, so that what a crash leaves behind is at most a blob that nobody needs.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from . import capabilities, gguf, names
from .errors import Refusal
from .gojson import encode
from .names import Name

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.ollama.image."

DIGEST = re.compile(r"sha256[:-]([0-9a-fA-F]{64})")
GRACE = 3600  # seconds that a blob without a model is kept: its model may be on the way
BLOCK = 1 << 20  # bytes


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
        return "".join(path.read_text("utf-8", "replace") for path in self.layers(kind)[-1:])

    @cached_property
    def own_template(self) -> str:
        """The Go template in its layers; empty where it has none."""
        return self._text("template")

    @property
    def template(self) -> str:
        return self.own_template or "{{ .Prompt }}"

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
        return [path.read_text("utf-8", "replace") for path in self.layers("license")]

    @cached_property
    def header(self) -> gguf.Header:
        """Metadata and tensors of the weights; empty for a model that runs elsewhere, or has no GGUF file."""
        paths = self.layers("model")
        return _header(paths[0]) if paths else gguf.Header({}, [])

    @property
    def remote(self) -> bool:
        return bool(self.config.get("remote_host"))

    @cached_property
    def capabilities(self) -> list[str]:
        """What the model can do, from its config, weights and template, in the server's order."""
        projectors = [_header(path) for path in self.layers("projector")]
        return capabilities.of(self.config, self.header, projectors, self.own_template)

    @cached_property
    def listed(self) -> dict[str, Any]:
        """Its `details` and `capabilities` in a list of models, for which less is read than for `show`."""
        head = None if self.remote else capabilities.overview(self.header)
        able = capabilities.listed(self.config, head, len(self.layers("projector")), self.own_template)
        read, details = head or {}, dict(self.details)
        for key in ("context_length", "embedding_length"):
            if length := self.config.get(key) or read.get(key):
                details[key] = length
        if details["quantization_level"] in ("", "unknown") and "file_type" in read:
            known = {0: "F32", **gguf.FILE_TYPES}
            details["quantization_level"] = known.get(read["file_type"], details["quantization_level"])
        return {"details": details, **({"capabilities": able} if able else {})}

    @property
    def _parent(self) -> str:
        """The model its weights were taken from, where the manifest says so."""
        weights = [la for la in self.manifest["layers"] if la["mediaType"] == LAYER_TYPE + "model"]
        return weights[-1].get("from", "") if weights else ""

    @cached_property
    def details(self) -> dict[str, Any]:
        config = self.config
        return {
            "parent_model": self._parent,
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
    try:
        return gguf.read(path)
    except gguf.NotGGUF:
        return gguf.Header({}, [])


class Store:
    """The models of one home, or of another folder `models`. Its methods may be called from any thread."""

    def __init__(self, home: Path, models: Path | None = None) -> None:
        self.manifests = (models or home / "models") / "manifests"
        self.blobs = (models or home / "models") / "blobs"
        self.manifests.mkdir(parents=True, exist_ok=True)
        self.blobs.mkdir(parents=True, exist_ok=True)
        self._known: dict[Path, tuple[tuple[int, int, int], Model]] = {}
        self._held: Counter[str] = Counter()
        self._lock = threading.RLock()  # while models come and go

    # --- blobs ------------------------------------------------------------------------------------

    def blob(self, digest: str) -> Path:
        """Where the blob of `digest` is or would be. Raises ValueError for what is no SHA-256 digest."""
        found = DIGEST.fullmatch(digest)
        if not found:
            raise ValueError("invalid digest format")
        return self.blobs / f"sha256-{found[1]}"

    def add_blob(self, data: bytes) -> str:
        """Keep `data`; returns its digest, `sha256:` and 64 hex. Raises Refusal if it cannot be written."""
        digest = digest_of(data)
        path = self.blob(digest)
        with self._lock, suppress(FileNotFoundError):
            os.utime(path)  # young again, so that its model has time to come
            return digest
        self._write_whole(path, data)
        return digest

    def adopt(self, path: Path, digest: str) -> None:
        """Make the file at `path` the blob of `digest`; it is read once. If it is another's, it is removed.

        Raises Refusal.
        """
        blob = self.blob(digest)
        try:
            with open(path, "rb+") as file:
                got = _sha256(file)
                os.fsync(file.fileno())
            if got != digest:
                path.unlink(missing_ok=True)
                raise Refusal("other digest", wanted=digest, got=got)
            os.replace(path, blob)
        except OSError as error:
            if not blob.exists():  # else someone has brought it in the meantime
                raise trouble("open", path, error) from error

    @contextmanager
    def hold(self, digests: Iterable[str]) -> Iterator[None]:
        """While a model with these blobs is on its way, no removal of another model takes them away."""
        held = list(digests)
        with self._lock:
            self._held.update(held)
        try:
            yield
        finally:
            with self._lock:
                self._held.subtract(held)

    # --- manifests --------------------------------------------------------------------------------

    def save(
        self, name: Name, config: dict[str, Any], layers: list[dict[str, Any]], modified_ns: int
    ) -> None:
        """Make or replace the model `name`. A layer is {mediaType, digest, size}. Raises Refusal."""
        data = config_bytes(config) + b"\n"
        with self._lock:
            head = {"mediaType": CONFIG_TYPE, "digest": self.add_blob(data), "size": len(data)}
            self.write(name, manifest_bytes(head, layers) + b"\n", modified_ns)

    def write(self, name: Name, manifest: bytes, modified_ns: int) -> None:
        """Make or replace the model `name` by its manifest, whose blobs must be there. Raises Refusal."""
        with self._lock:
            for digest in digests_of(json.loads(manifest)):
                if not self.blob(digest).exists():
                    raise Refusal("file", text=f"open {self.blob(digest)}: no such file or directory")
            path = self.manifest_path(self.spelled(name))
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise trouble("mkdir", path.parent, error) from error
            self._write_whole(path, manifest, modified_ns)
            self._known.pop(path, None)

    def manifest_path(self, name: Name) -> Path:
        return self.manifests / name.path()

    def spelled(self, name: Name) -> Name:
        """The name in the spelling of a model that is there: as a whole, or else part by part."""
        if existing := self.existing(name):
            return existing
        there = list(zip(*self.names(), strict=True)) or [()] * 4
        known = [{part.lower(): part for part in parts} for parts in there]
        return Name(*(of.get(part.lower(), part) for of, part in zip(known, name, strict=True)))

    def existing(self, name: Name) -> Name | None:
        """The installed model's name that equals `name` but for case."""
        if self.manifest_path(name).is_file() and sys.platform == "linux":
            return name
        folded = name.folded()
        return next((other for other in self.names() if other.folded() == folded), None)

    def find(self, name: Name | None) -> Model | None:
        """The installed model of that name; None if there is none, or its files are not whole."""
        existing = self.existing(name) if name else None
        return self._read(existing) if existing else None

    def exact(self, name: Name) -> Model | None:
        """The installed model of that name in this very spelling, where the file system minds it."""
        return self._read(name) if self.manifest_path(name).is_file() else None

    def all(self) -> list[Model]:
        """Every installed model, the latest changed first."""
        models = [model for model in map(self._read, self.names()) if model]
        return sorted(models, key=lambda model: (-(model.modified_ns // 10**9), model.name))

    def copy(self, source: Model, target: Name, modified_ns: int) -> None:
        """Give `source` a second name; a model of that name is replaced. Raises Refusal."""
        if self.spelled(target) != source.name:
            self.write(target, self.manifest_path(source.name).read_bytes(), modified_ns)

    def remove(self, model: Model) -> None:
        """Forget the model, and the blobs that no other model needs. Raises Refusal."""
        self.forget(model.name)

    def forget(self, name: Name) -> None:
        """As `remove`, for a manifest of which nothing else is known."""
        path = self.manifest_path(name)
        with self._lock:
            gone = self.named_by(name)
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise trouble("remove", path, error) from error
            for folder in list(path.parents)[:3]:
                with suppress(OSError):  # not empty
                    folder.rmdir()
            self.drop(gone)

    def named_by(self, name: Name) -> set[str]:
        """What the manifest of exactly this name needs; nothing if there is none, or it is broken."""
        try:
            return digests_of(json.loads(self.manifest_path(name).read_bytes()))
        except (OSError, ValueError):
            return set()

    def drop(self, digests: Iterable[str]) -> None:
        """Remove those of these blobs that no model needs."""
        with self._lock:
            needed = self._needed()
            for digest in set(digests) - needed:
                self.blob(digest).unlink(missing_ok=True)

    def prune(self) -> None:
        """Remove what no model needs and what was left half written; GRACE seconds old at least.

        Nothing is removed while a manifest cannot be read, for nobody knows what it needs. Source:
        PruneLayers in server/images.go, v0.32.15.
        """
        with self._lock:
            try:
                needed = self._needed(strict=True)
            except (OSError, ValueError):
                return
            kept = {self.blob(digest).name for digest in needed}
            for path in self.blobs.iterdir():
                with suppress(OSError):  # a folder, or a file that someone uses
                    if path.name not in kept and time.time() - path.stat().st_mtime > GRACE:
                        path.unlink()
            for folder in sorted(self.manifests.glob("**/"), reverse=True):
                with suppress(OSError):
                    if folder != self.manifests:
                        folder.rmdir()

    def _needed(self, strict: bool = False) -> set[str]:
        """What a manifest or a model on its way needs. Raises OSError or ValueError if `strict`."""
        needed = {digest for digest, count in self._held.items() if count > 0}
        for name in self.names():
            try:
                needed.update(digests_of(json.loads(self.manifest_path(name).read_bytes())))
            except (OSError, ValueError):
                if strict:
                    raise
        return needed

    def names(self) -> list[Name]:
        """Under which names something is installed, whole or not."""
        found = (names.from_path(path.relative_to(self.manifests)) for path in self.manifests.glob("*/*/*/*"))
        return [name for name in found if name]

    def _read(self, name: Name) -> Model | None:
        path = self.manifest_path(name)
        try:
            seen = path.stat()
            version = (seen.st_mtime_ns, seen.st_ino, seen.st_size)
            known = self._known.get(path)
            if known and known[0] == version:
                return known[1]
            data = path.read_bytes()
            model = Model(self, name, hashlib.sha256(data).hexdigest(), json.loads(data), seen.st_mtime_ns)
            whole = all(self.blob(digest).exists() for digest in digests_of(model.manifest))
            if not whole or not isinstance(model.config, dict):
                return None
        except (OSError, ValueError):
            return None
        self._known[path] = (version, model)
        return model

    def _write_whole(self, path: Path, data: bytes, modified_ns: int | None = None) -> None:
        """Write beside the blobs, from where a file moves to any place in the store. Raises Refusal."""
        try:
            handle, part = tempfile.mkstemp(dir=self.blobs, suffix=".part")
        except OSError as error:
            raise trouble("open", path, error) from error
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(handle)
            os.chmod(part, 0o644)
            if modified_ns is not None:
                os.utime(part, ns=(modified_ns, modified_ns))
            os.replace(part, path)
        except BaseException as error:
            with suppress(OSError):
                os.unlink(part)
            if isinstance(error, OSError):
                raise trouble("write", path, error) from error
            raise


def trouble(verb: str, path: Path, error: OSError) -> Refusal:
    """What the server says when the system refused to `open`, `write` … a file."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return Refusal("file", text=f"{verb} {path}: {reason[:1].lower()}{reason[1:]}")


def digest_of(data: bytes) -> str:
    """`sha256:` and the 64 hex digits of the data's SHA-256."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(BLOCK):
        digest.update(block)
    return "sha256:" + digest.hexdigest()


def config_bytes(config: dict[str, Any]) -> bytes:
    """The config as it is stored; that of a model made here ends with a newline, as does its manifest."""
    return encode(config)


def manifest_bytes(config: dict[str, Any], layers: list[dict[str, Any]]) -> bytes:
    """The manifest as it is stored; `config` and each layer are {mediaType, digest, size}."""
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers}
    return encode(manifest)


def entries(manifest: Any) -> list[dict[str, Any]]:
    """The layers of a manifest, its config last. Raises ValueError for what is no manifest of a model."""
    try:
        found = [*manifest["layers"], manifest["config"]]
        if all(DIGEST.fullmatch(one["digest"]) and one["size"] >= 0 for one in found):
            return found
    except (KeyError, TypeError):
        pass
    raise ValueError("invalid manifest")


def digests_of(manifest: Any) -> set[str]:
    """What a manifest names. Raises ValueError for what is no manifest of a model."""
    return {one["digest"] for one in entries(manifest)}


def no_prune() -> bool:
    """Whether OLLAMA_NOPRUNE keeps blobs that no model needs."""
    return os.environ.get("OLLAMA_NOPRUNE", "").strip("\"' ") not in (
        "",
        "0",
        "f",
        "F",
        "false",
        "FALSE",
        "False",
    )
