"""`/api/create`: models made from other models or from uploaded files.

Source of the order, the statuses and the errors: server/create.go and server/model.go, v0.32.15. What the
real server rewrites with a tool of llama.cpp (a converted or quantized model) becomes a stand-in here: the
header it would have, its size, and no weights.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from . import blobs, gguf, gorender, known_templates, names, pull, quantize, safetensors, split
from .cli_format import human_number
from .errors import Refusal
from .gojson import List, Map, Struct, encode
from .gotemplate import BadTemplate
from .names import Name
from .replies import BARE_JSON, NDJSON, refused, reply, route
from .shapes import MESSAGE, read
from .state import Practice, practice_of
from .store import LAYER_TYPE, Model, digest_of, digests_of, no_prune

FILES = Map("map[string]string", "string")
CREATE = Struct(
    "api.CreateRequest",
    {
        "model": "string",
        "name": "string",
        "stream": "bool",
        "from": "string",
        "remote_host": "string",
        "files": FILES,
        "draft_files": FILES,
        "adapters": FILES,
        "quantize": "string",
        "quantization": "string",
        "draft_quantize": "string",
        "template": "string",
        "license": "any",
        "system": "string",
        "parameters": "map[string]interface {}",
        "messages": List("[]api.Message", MESSAGE),
        "renderer": "string",
        "parser": "string",
        "requires": "string",
        "info": "map[string]interface {}",
    },
    root="CreateRequest",
)
WEIGHTS = ("model", "projector", "adapter", "draft")  # the layers that are GGUF files
ZERO_DIGEST = "0" * 19  # what the real server names while it rewrites a file
CLOUD = "https://ollama.com:443"

# field of `info`: field of the config, and whether it is a number
INFO = {
    "model_family": ("model_family", False),
    "base_name": ("base_name", False),
    "quantization_level": ("file_type", False),
    "parameter_size": ("model_type", False),
    "context_length": ("context_length", True),
    "embedding_length": ("embedding_length", True),
}
# architecture: renderer and parser that Ollama sets of itself
OWN_RENDERERS = {
    "gemma4": "gemma4",
    "laguna": "laguna",
    "nemotron_h": "nemotron-3-nano",
    "nemotron_h_moe": "nemotron-3-nano",
    "nemotron_h_omni": "nemotron-3-nano",
}

Layer = dict[str, Any]
Lines = AsyncIterator[dict[str, Any]]


async def create(request: Request) -> Response:
    practice = practice_of(request)
    try:
        asked = read(await request.body(), CREATE)
        for path, digest in [*asked.get("files", {}).items(), *asked.get("draft_files", {}).items()]:
            if not _inside(path):
                raise Refusal("file path")
            if not digest:
                raise Refusal("digest")
        if asked.get("draft_quantize") and not asked.get("draft_files"):
            raise Refusal("draft quantize")
        if not all(asked.get("adapters", {}).values()):
            raise Refusal("digest")
        name = names.parse(asked.get("model") or asked.get("name") or "")
        if name is None:
            raise Refusal("name")
    except Refusal as refusal:
        return refused(refusal)
    lines = _guarded(_created(practice, asked, name))
    if asked.get("stream") is False:
        last: dict[str, Any] = {}
        async for line in lines:
            last = line
        return _failed(last) if "error" in last else reply(last, kind=BARE_JSON)
    first = await anext(lines)
    if "error" in first:
        return _failed(first)
    return StreamingResponse(_encoded(first, lines), headers={"content-type": NDJSON})


def _inside(path: str) -> bool:
    """Whether `path` is relative, clean and inside its folder, as Go's fs.ValidPath wants it."""
    return path == "." or all(part not in ("", ".", "..") for part in path.split("/"))


def _failed(line: dict[str, Any]) -> Response:
    return reply({"error": line["error"]}, line["status"], BARE_JSON)


async def _encoded(first: dict[str, Any], rest: Lines) -> AsyncIterator[bytes]:
    yield encode(first) + b"\n"
    async for line in rest:
        yield encode({"error": line["error"]} if "error" in line else line) + b"\n"


async def _guarded(lines: Lines) -> AsyncIterator[dict[str, Any]]:
    """The lines up to the first error; a refusal or a broken file becomes that error."""
    try:
        async for line in lines:
            yield {"status": 500, **line} if "error" in line else line
            if "error" in line:
                return
    except Refusal as refusal:
        yield {"error": refusal.text, "status": refusal.status}
    except FileNotFoundError as error:
        yield {"error": f"open {error.filename}: no such file or directory", "status": 500}
    except OSError as error:
        yield {"error": f"open {error.filename}: {(error.strerror or str(error)).lower()}", "status": 500}
    except ValueError as error:  # NotGGUF, NotConvertible, an invalid digest
        yield {"error": str(error), "status": 500}


async def _created(practice: Practice, asked: dict[str, Any], name: Name) -> Lines:
    name = practice.store.spelled(name)
    old = practice.store.find(name)
    config = {key: asked[key] for key in ("renderer", "parser", "requires") if asked.get(key)}
    layers: list[Layer] = []
    if asked.get("from"):
        async for line in _from(practice, asked, config, layers):
            yield line
    elif "files" in asked:
        async for line in _files(practice, asked["files"], layers):
            yield line
        layers += await asyncio.to_thread(_known_template, practice, layers)
    else:
        raise Refusal("neither")
    remote = "remote_host" in config
    if remote and asked.get("draft_files"):
        raise Refusal("remote draft")
    for field, kind in (("draft_files", "draft"), ("adapters", "adapter")):
        if field in asked and not remote:
            added: list[Layer] = []
            try:
                async for line in _files(
                    practice, asked[field], added, kind, _architecture(practice, layers)
                ):
                    yield line
            except OSError as error:
                raise Refusal("body", text=f"open {error.filename}: no such file or directory") from error
            except ValueError as error:
                raise Refusal("body", text=error) from error
            layers += added
    _take_info(asked.get("info") or {}, config)
    async for line in _weights(practice, asked, config, layers):
        yield line
    with ExitStack() as held:
        held.enter_context(practice.store.hold([layer["digest"] for layer in layers]))
        made = await asyncio.to_thread(_texts, practice, asked, layers, held)
        for layer in layers:
            verb = "creating new" if layer["digest"] in made else "using existing"
            yield {"status": layer.get("_status") or f"{verb} layer {layer['digest']}"}
        yield {"status": "writing manifest"}
        await asyncio.to_thread(_save, practice, name, config, layers, old)
    yield {"status": "success"}


def _save(
    practice: Practice, name: Name, config: dict[str, Any], layers: list[Layer], old: Model | None
) -> None:
    """Write the manifest; what only the model's old one needed goes."""
    store = practice.store
    whole = {key: config[key] for key in CONFIG_ORDER if config.get(key)}
    whole = {**CONFIG_ALWAYS, **whole, "architecture": "amd64", "os": "linux"}
    kept = [{key: value for key, value in layer.items() if not key.startswith("_")} for layer in layers]
    store.save(name, whole, kept, practice.clock.now())
    if old is not None and not no_prune():
        store.drop(digests_of(old.manifest))


CONFIG_ALWAYS = {
    "model_format": "",
    "model_family": "",
    "model_families": None,
    "model_type": "",
    "file_type": "",
}
CONFIG_ORDER = (
    *CONFIG_ALWAYS,
    "renderer",
    "parser",
    "requires",
    "remote_host",
    "remote_model",
    "capabilities",
    "context_length",
    "embedding_length",
    "base_name",
    "draft",
)


# --- what a model begins with -----------------------------------------------------------------------


async def _from(
    practice: Practice, asked: dict[str, Any], config: dict[str, Any], layers: list[Layer]
) -> Lines:
    try:
        base, where = names.source(asked["from"])
    except names.BothSources:
        raise Refusal("name") from None
    name = names.parse(base)
    if name is None:
        raise Refusal("name")
    host = asked.get("remote_host") or (CLOUD if where == "cloud" else "")
    if host:
        config |= {"remote_host": remote_url(host), "remote_model": base}
        return
    model = practice.store.exact(name)
    if model is None:
        async for line in pull.pulled(practice, name):
            if line.get("status") != "success":
                yield line
        model = practice.store.find(name)
    if model is None:
        raise Refusal("no manifest")
    layers += [{**layer, "from": name.short} for layer in model.manifest["layers"]]
    for key in ("renderer", "parser", "requires", "model_format", "capabilities"):
        if model.config.get(key):
            config.setdefault(key, model.config[key])


def remote_url(host: str) -> str:
    """A `remote_host` as a whole URL. Raises Refusal."""
    if host.startswith("/"):
        return f"http://localhost:11434{host}"
    host = CLOUD if host in ("ollama.com", "http://ollama.com") else host
    try:
        url = urlsplit(host if "://" in host else f"http://{host}")
        port = url.port or 11434
    except ValueError:
        raise Refusal("bad remote") from None
    path = "" if url.path == "/" else url.path.rstrip("/")
    return f"{url.scheme}://{url.hostname or 'localhost'}:{port}{path}"


async def _files(
    practice: Practice,
    files: dict[str, str],
    layers: list[Layer],
    kind: str = "model",
    architecture: str = "",
) -> Lines:
    """The layers that uploaded files give: GGUF files as they are, a folder of safetensors converted."""
    form = _form(practice, files)
    if form == "safetensors":
        if kind == "adapter" and not architecture:
            raise ValueError("no base model was found")
        yield {"status": "converting adapter" if kind == "adapter" else "converting model"}
        layers.append(await asyncio.to_thread(_converted, practice, files, kind, architecture))
        return
    if form != "gguf":
        raise Refusal("unknown type")
    if kind == "adapter" and len(files) > 1:
        raise Refusal("one adapter")
    shards: dict[str, list[split.Shard]] = {}
    for source, digest in sorted(files.items()):
        yield {"status": "parsing GGUF"}
        path = practice.store.blob(digest)
        header = await asyncio.to_thread(_uploaded, path)
        part = kind if kind == "draft" else _part(header)
        if group := split.group(source, header):
            shards.setdefault(f"{part}:{group}", []).append(split.Shard(source, header))
            continue
        size = path.stat().st_size
        if part == "model" and not header.tensors:
            raise Refusal("not validated")
        if header.weightless:
            size = header.size + sum(tensor.size for tensor in header.tensors)
        layer = {"mediaType": LAYER_TYPE + part, "digest": digest, "size": size, "_rewrite": part == "model"}
        layers.append(layer if part == "model" else {**layer, "from": source})
    for group, found in shards.items():
        layers.append({**_stand_in(practice, split.merged(found), group.partition(":")[0]), "_rewrite": True})


def _known_template(practice: Practice, layers: list[Layer]) -> list[Layer]:
    """The template and parameters that go with the Jinja template in the weights, where it is a known one."""
    jinja = (gguf.read(practice.store.blob(one["digest"])).text("tokenizer.chat_template") for one in layers)
    known = known_templates.named(next(filter(None, jinja), ""))
    if known is None:
        return []
    name, template, parameters = known
    made = [_layer(practice, "template", template.encode())]
    made[0]["_status"] = f"using autodetected template {name}"
    return made + ([_layer(practice, "params", encode(parameters) + b"\n")] if parameters else [])


def _layer(practice: Practice, kind: str, data: bytes) -> Layer:
    there = practice.store.blob(digest_of(data)).exists()
    return {
        "mediaType": LAYER_TYPE + kind,
        "digest": practice.store.add_blob(data),
        "size": len(data),
        "_new": not there,
    }


def _form(practice: Practice, files: dict[str, str]) -> str:
    for source, digest in sorted(files.items()):
        for form in ("safetensors", "gguf"):
            if source.endswith(f".{form}"):
                return form
        try:
            with open(practice.store.blob(digest), "rb") as file:
                if file.read(4) in gguf.MAGICS:
                    return "gguf"
        except (OSError, ValueError):
            return ""
    return ""


def _uploaded(path: Path) -> gguf.Header:
    with open(path, "rb") as file:
        if file.read(4) not in gguf.MAGICS:
            raise Refusal("no gguf")
    return gguf.read(path)


def _part(header: gguf.Header) -> str:
    """Whether a GGUF file is a model, an adapter or a projector, by its own header."""
    kind = header.text("general.type", "unknown")
    if kind == "adapter":
        return "adapter"
    blocks = header.of("block_count")
    seeing = (
        header.of("vision.block_count") or header.of("has_vision_encoder") or header.of("has_audio_encoder")
    )
    return "projector" if kind in ("projector", "mmproj") or (not blocks and seeing) else "model"


def _converted(practice: Practice, files: dict[str, str], kind: str, architecture: str) -> Layer:
    there = {
        source: path for source, digest in files.items() if (path := practice.store.blob(digest)).exists()
    }
    header = safetensors.adapter(there, architecture) if kind == "adapter" else safetensors.model(there)
    return {**_stand_in(practice, header, kind), "_rewrite": True}


def _stand_in(practice: Practice, header: gguf.Header, kind: str) -> Layer:
    """A layer with this header and no weights; its size is what it would be with them."""
    layer = _layer(practice, kind, gguf.write(header.metadata, header.tensors))
    return {**layer, "size": layer["size"] + sum(tensor.size for tensor in header.tensors)}


def _architecture(practice: Practice, layers: list[Layer]) -> str:
    for layer in layers:
        if layer["mediaType"] == LAYER_TYPE + "model":
            return gguf.read(practice.store.blob(layer["digest"])).architecture
    return ""


# --- weights, config --------------------------------------------------------------------------------


async def _weights(
    practice: Practice, asked: dict[str, Any], config: dict[str, Any], layers: list[Layer]
) -> Lines:
    """Quantize where that was asked for, and put what the weights' own headers say into the config."""
    for at, layer in enumerate(layers):
        kind = layer["mediaType"].removeprefix(LAYER_TYPE)
        if kind not in WEIGHTS:
            continue
        header = await asyncio.to_thread(gguf.read, practice.store.blob(layer["digest"]))
        field = {"model": "quantize", "draft": "draft_quantize"}.get(kind, "")
        wanted = (asked.get(field) or (asked.get("quantization", "") if kind == "model" else "")).upper()
        if wanted and field:
            file_type = quantize.WANTED.get(wanted)
            if file_type is None:
                raise Refusal("quantization", kind=wanted, supported=", ".join(quantize.SUPPORTED))
            if kind == "draft" and header.file_type not in ("unknown", *quantize.UNQUANTIZED):
                raise Refusal("quantized draft", kind=header.file_type)
            if header.file_type not in quantize.UNQUANTIZED:
                raise Refusal("quantized")
            if header.file_type != file_type:
                status = f"quantizing {header.file_type} model to {wanted}"
                line = {"status": status, "digest": ZERO_DIGEST, "total": layer["size"]}
                for part in (4, 2, 4 / 3, 1):
                    yield {**line, "completed": int(layer["size"] / part)}
                header = _quantized(header, file_type)
                layers[at] = layer = await asyncio.to_thread(_stand_in, practice, header, kind)
                layer["_rewrite"] = True
        if layer.get("_rewrite") and kind == "model":
            yield {"status": "verifying conversion"}
        if kind == "model":
            config |= {key: config.get(key) or value for key, value in _described(header).items()}
            config["model_families"] = [*config.get("model_families", []), header.architecture]
            own = OWN_RENDERERS.get(header.architecture)
            if own:
                config |= {key: config.get(key) or own for key in ("renderer", "parser")}
            if header.architecture == "gemma4":
                asked.setdefault("parameters", {}).setdefault("stop", ["<turn|>"])
        elif kind == "draft":
            config["draft"] = {"model_format": "gguf", "architecture": header.architecture}


def _described(header: gguf.Header) -> dict[str, str]:
    return {
        "model_format": "gguf",
        "model_family": header.architecture,
        "model_type": human_number(header.parameter_count),
        "file_type": header.file_type,
    }


def _quantized(header: gguf.Header, file_type: str) -> gguf.Header:
    metadata = {**header.metadata, "general.file_type": quantize.FILE_TYPE[file_type]}
    metadata["general.quantization_version"] = 2
    return gguf.Header(metadata, quantize.quantized(header.tensors, file_type))


def _take_info(info: dict[str, Any], config: dict[str, Any]) -> None:
    """Put `info` into the config. Raises Refusal."""
    able = info.get("capabilities")
    if isinstance(able, list):
        texts = [one if isinstance(one, str) else "" for one in able]
        config["capabilities"] = [*config.get("capabilities", []), *texts]
    for name, (key, number) in INFO.items():
        if name not in info:
            continue
        value = info[name]
        if not number:
            if not isinstance(value, str):
                raise Refusal("info", name=name, kind="string")
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Refusal("info", name=name, kind="number")
        elif not 0 <= value < 2**63 or value != int(value):
            raise Refusal("info", name=name, kind="non-negative integer")
        if value:
            config[key] = int(value) if number else value
    if config.get("model_family"):
        config["model_families"] = [config["model_family"]]


# --- texts ------------------------------------------------------------------------------------------


def _texts(practice: Practice, asked: dict[str, Any], layers: list[Layer], held: ExitStack) -> set[str]:
    """Put what was asked for in place of, or behind, the layers that are there, and hold it; the digests that
    are new.
    """
    made = {layer["digest"] for layer in layers if layer.get("_new")}

    def add(kind: str, text: str, instead: bool = True) -> None:
        data = text.encode("utf-8", "replace")
        digest = digest_of(data)
        held.enter_context(practice.store.hold([digest]))
        if not practice.store.blob(digest).exists():
            made.add(digest)
        layer = {"mediaType": LAYER_TYPE + kind, "digest": practice.store.add_blob(data), "size": len(data)}
        if instead:
            layers[:] = [one for one in layers if one["mediaType"] != layer["mediaType"]]
        layers.append(layer)

    if template := asked.get("template"):
        try:
            gorender.read(template)
        except BadTemplate as error:
            raise Refusal("template", text=error) from error
        add("template", template)
    if asked.get("system"):
        add("system", asked["system"])
    for text in _licenses(asked.get("license")):
        add("license", text, instead=False)
    parameters = dict(asked.get("parameters", {}))
    for layer in layers:
        if layer["mediaType"] == LAYER_TYPE + "params":
            parameters = json.loads(practice.store.blob(layer["digest"]).read_bytes()) | parameters
    if parameters:
        add("params", encode(dict(sorted(parameters.items()))).decode() + "\n")
    if asked.get("messages"):
        add("messages", encode([_kept(message) for message in asked["messages"]]).decode() + "\n")
    return made


def _kept(message: dict[str, Any]) -> dict[str, Any]:
    """A message as it is stored: role and content always, the rest where there is any."""
    rest = {key: value for key, value in message.items() if value and key not in ("role", "content")}
    if "images" in rest:
        rest["images"] = [base64.b64encode(image).decode() for image in rest["images"]]
    return {"role": message.get("role", "").lower(), "content": message.get("content", ""), **rest}


def _licenses(given: Any) -> list[str]:
    if not given and not isinstance(given, (int, dict)):
        return []
    if isinstance(given, str):
        return [given]
    kinds = {bool: "bool", int: "number", float: "number", dict: "object", list: "array"}
    if not isinstance(given, list):
        raise Refusal("license", kind=kinds[type(given)], wanted="[]string")
    for one in given:
        if one is not None and not isinstance(one, str):
            raise Refusal("license", kind=kinds[type(one)], wanted="string")
    return [one or "" for one in given]


routes = [route("/api/create", create, "POST"), *blobs.routes]
