"""The practice library: the stand-in models that a home can hold, made from library.toml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import gguf, names
from .store import LAYER_TYPE, Store, config_bytes, digest_of
from .toml import read

PATH = Path(__file__).with_name("library.toml")  # `model` is a list, `tensors` a table by architecture


def fill(store: Store, everything: bool, modified_ns: int) -> None:
    """Install what a new home holds, or all of the library; a model already there is left as it is."""
    library = read(PATH)
    for entry in library["model"]:
        name = names.parse(entry["name"])
        wanted = everything or entry.get("new_home", False)
        if name and wanted and not store.find(name):
            install(store, library, entry, modified_ns)


def install(store: Store, library: dict[str, Any], entry: dict[str, Any], modified_ns: int) -> None:
    """Make one library entry a model of `store`."""
    name = names.parse(entry["name"])
    assert name is not None, entry["name"]
    config, layers, blobs = stand_in(library, entry)
    for data in blobs:
        store.add_blob(data)
    store.save(name, config, layers, modified_ns)


def stand_in(
    library: dict[str, Any], entry: dict[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]], list[bytes]]:
    """The config and the layers of an entry's manifest, and the blobs behind the layers.

    The first layer, the weights, states the published size, so that all sizes add up to the published one.
    """
    base: dict[str, Any] = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    if "remote" in entry:
        return {**base, **entry["remote"]}, [], []
    config = {
        **base,
        "model_format": "gguf",
        "model_family": entry["family"],
        "model_families": [entry["family"]],
        "model_type": entry["type"],
        "file_type": entry.get("quant", "Q4_K_M"),
    }
    texts = {
        "model": gguf.write(entry["metadata"], tensors(library, entry)),
        "template": entry.get("template", "").encode(),
        "license": library["license"].format(name=entry["name"]).encode(),
        "params": json.dumps(entry["parameters"], separators=(",", ":")).encode(),
    }
    texts = {kind: data for kind, data in texts.items() if data}
    layers: list[dict[str, Any]] = [
        {"mediaType": LAYER_TYPE + kind, "digest": digest_of(data), "size": len(data)}
        for kind, data in texts.items()
    ]
    rest = len(config_bytes(config)) + sum(layer["size"] for layer in layers[1:])
    layers[0]["size"] = entry["size"] - rest
    return config, layers, list(texts.values())


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
