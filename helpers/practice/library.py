"""The practice library: the models that can be pulled, made from library.toml."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import gguf, names, weights
from .names import Name
from .store import CONFIG_TYPE, LAYER_TYPE, Store, config_bytes, digest_of, manifest_bytes
from .toml import read

PATH = Path(__file__).with_name("library.toml")  # `model` is a list, `tensors` a table by architecture


@dataclass(frozen=True)
class Offer:
    """A model of the library: its manifest as the public library would state it, and the blobs made here.

    The first layer of a stand-in, its weights, states the published size, so that all sizes add up to the
    published one; its blob is a header only. The weights of an `entry` with `wheel` are no blob of these.
    """

    entry: dict[str, Any]
    layers: list[dict[str, Any]]
    config: dict[str, Any]
    blobs: dict[str, bytes]

    @property
    def manifest(self) -> bytes:
        return manifest_bytes(self.config, self.layers)

    @property
    def true_manifest(self) -> bytes:
        """The manifest with the sizes that the blobs have."""
        layers = [
            {**layer, "size": len(self.blobs[layer["digest"]])} if layer["digest"] in self.blobs else layer
            for layer in self.layers
        ]
        return manifest_bytes(self.config, layers)


def fill(store: Store, everything: bool, modified_ns: int) -> None:
    """Install what a new home holds, or all stand-ins of the library; a model already there is left as it is.

    Raises Refusal if the store cannot be written.
    """
    library = read(PATH)
    for entry in library["model"]:
        name = names.parse(entry["name"])
        wanted = (everything or entry.get("new_home", False)) and "wheel" not in entry
        if name and wanted and not store.find(name):
            made = _offer(library, entry)
            for data in made.blobs.values():
                store.add_blob(data)
            store.write(name, made.manifest, modified_ns)


def offer(name: Name) -> Offer | None:
    """What the library has under that name."""
    library = read(PATH)
    for entry in library["model"]:
        known = names.parse(entry["name"])
        if known and known.folded() == name.folded():
            return _offer(library, entry)
    return None


def offered() -> list[Name]:
    """The names of all models of the library."""
    return [name for entry in read(PATH)["model"] if (name := names.parse(entry["name"]))]


def _offer(library: dict[str, Any], entry: dict[str, Any]) -> Offer:
    base: dict[str, Any] = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    if "remote" in entry:
        config = config_bytes({**base, **entry["remote"]})
        return Offer(entry, [], _described(CONFIG_TYPE, config), {digest_of(config): config})
    config = config_bytes(
        {
            **base,
            "model_format": "gguf",
            "model_family": entry["family"],
            "model_families": [entry["family"]],
            "model_type": entry["type"],
            "file_type": entry.get("quant", "Q4_K_M"),
        }
    )
    texts = {
        "template": entry.get("template", ""),
        "system": entry.get("system", ""),
        "license": entry.get("license") or library["license"].format(name=entry["name"]),
        "params": json.dumps(entry["parameters"], separators=(",", ":")),
    }
    files = {kind: text.encode() for kind, text in texts.items() if text}
    layers = [_described(LAYER_TYPE + kind, data) for kind, data in files.items()]
    if "wheel" in entry:
        layers.insert(0, {"mediaType": LAYER_TYPE + "model", **weights.layer(entry)})
    else:
        header = gguf.write(entry["metadata"], tensors(library, entry))
        rest = len(config) + sum(layer["size"] for layer in layers)
        layers.insert(0, {**_described(LAYER_TYPE + "model", header), "size": entry["size"] - rest})
        files["model"] = header
    blobs = {digest_of(data): data for data in [*files.values(), config]}
    return Offer(entry, layers, _described(CONFIG_TYPE, config), blobs)


def _described(kind: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}


def tensors(library: dict[str, Any], entry: dict[str, Any]) -> list[gguf.Tensor]:
    """The tensor list of an entry, from its architecture's table and its metadata."""
    table = library["tensors"][entry["tensors"]]
    of = {key.partition(".")[2]: value for key, value in entry["metadata"].items()}
    embedding = of["embedding_length"]
    head = of.get("attention.key_length", embedding // of["attention.head_count"])
    sides = {
        "e": embedding,
        "f": of["feed_forward_length"],
        "q": head * of["attention.head_count"],
        "k": head * of.get("attention.head_count_kv", of["attention.head_count"]),
        "h": head,
        "v": entry["vocabulary"],
        "c": of["context_length"],
    }
    parts = [("", table["once"]), *((f"blk.{n}.", table["block"]) for n in range(of["block_count"]))]
    if "vision.block_count" in of:
        patches = (of["vision.image_size"] // of["vision.patch_size"]) ** 2
        sides |= {"E": of["vision.embedding_length"], "F": of["vision.feed_forward_length"], "P": patches}
        parts += [("", table["vision_once"])]
        parts += [(f"v.blk.{n}.", table["vision_block"]) for n in range(of["vision.block_count"])]
    return [
        gguf.Tensor(prefix + name, kind, [sides.get(side) or int(side) for side in shape.split()])
        for prefix, rows in parts
        for name, kind, shape in rows
    ]
