"""What `/api/create` makes, says and refuses; expected texts are those of a real Ollama 0.32.15."""

from __future__ import annotations

import hashlib
import json
import math
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.practice import command, gguf, known_templates, safetensors
from helpers.practice.quantize import quantized

BASE = "gemma3:1b"
NOWHERE = "sha256:" + "0" * 64


@pytest.fixture
def model(client: httpx.Client) -> Any:
    """A name for a model that is gone again after the test."""
    name = "course-made"
    yield name
    client.request("DELETE", "/api/delete", json={"model": name})


def create(client: httpx.Client, **asked: Any) -> list[dict[str, Any]]:
    reply = client.post("/api/create", json=asked)
    assert reply.status_code == 200, reply.text
    return [json.loads(line) for line in reply.text.splitlines()]


def shown(client: httpx.Client, name: str, **asked: Any) -> Any:
    return client.post("/api/show", json={"model": name, **asked}).json()


def listed(client: httpx.Client, name: str) -> Any:
    return next(one for one in client.get("/api/tags").json()["models"] if one["name"] == f"{name}:latest")


def upload(client: httpx.Client, data: bytes) -> str:
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    assert client.post(f"/api/blobs/{digest}", content=data).status_code in (200, 201)
    return digest


REFUSALS: list[tuple[dict[str, Any], int, str]] = [
    ({}, 400, "neither 'from' or 'files' was specified"),
    ({"model": "", "from": BASE}, 400, "invalid model name"),
    ({"from": "foo:"}, 400, "invalid model name"),
    ({"from": "a:local:cloud"}, 400, "invalid model name"),
    ({"files": {"../x": NOWHERE}}, 400, "file path must be relative"),
    ({"files": {"/x": NOWHERE}}, 400, "file path must be relative"),
    ({"files": {"x": ""}}, 400, "invalid digest format"),
    (
        {"files": {"x": 5}},
        400,
        "json: cannot unmarshal number into Go struct field CreateRequest.files of type string",
    ),
    (
        {"from": BASE, "adapters": {"a": None}},
        400,
        "invalid digest format",
    ),
    ({"files": {}}, 400, "unknown type"),
    ({"files": {"x.txt": NOWHERE}}, 400, "unknown type"),
    ({"from": BASE, "adapters": {"x": ""}}, 400, "invalid digest format"),
    (
        {"from": BASE, "adapters": {"a.gguf": NOWHERE, "b.gguf": NOWHERE}},
        400,
        "only one adapter is currently supported",
    ),
    ({"from": BASE, "draft_quantize": "q4_0"}, 400, "--draft-quantize requires a DRAFT model"),
    ({"from": BASE, "template": "{{ if }}"}, 400, "template error: template: :1: missing value for if"),
    ({"from": BASE, "license": 5}, 500, "json: cannot unmarshal number into Go value of type []string"),
    ({"from": BASE, "license": [5]}, 500, "json: cannot unmarshal number into Go value of type string"),
    (
        {"from": BASE, "quantize": "q9"},
        500,
        "unsupported quantization type Q9 - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0",
    ),
    (
        {"from": BASE, "quantize": "q4_K_M"},
        500,
        "quantization is only supported for F16, BF16 and F32 models",
    ),
    ({"from": BASE, "info": {"context_length": "x"}}, 400, 'info field "context_length" must be a number'),
    (
        {"from": BASE, "info": {"context_length": 1.5}},
        400,
        'info field "context_length" must be a non-negative integer',
    ),
    ({"from": BASE, "info": {"model_family": 1}}, 400, 'info field "model_family" must be a string'),
    ({"from": BASE, "remote_host": "http://[::1"}, 400, "bad remote"),
]


@pytest.mark.parametrize(("asked", "status", "text"), REFUSALS, ids=lambda value: str(value)[:40])
def test_refusals(client: httpx.Client, asked: dict[str, Any], status: int, text: str) -> None:
    for stream in (True, False):
        reply = client.post("/api/create", json={"model": "course-x", **asked, "stream": stream})
        assert (reply.status_code, reply.json()) == (status, {"error": text})
    assert "course-x" not in client.get("/api/tags").text


def test_a_model_that_is_nowhere_is_looked_for_in_the_registry(client: httpx.Client) -> None:
    lines = create(client, model="course-x", **{"from": "nosuch"})
    assert lines == [
        {"status": "pulling manifest"},
        {"error": "pull model manifest: file does not exist"},
    ]
    whole = client.post("/api/create", json={"model": "course-x", "from": "nosuch", "stream": False})
    assert whole.status_code == 500 and "course-x" not in client.get("/api/tags").text


def test_everything_that_was_asked_for_is_shown(client: httpx.Client, model: str) -> None:
    create(
        client,
        model=model,
        **{"from": BASE},
        system="S",
        license=["L1", "L2"],
        messages=[{"role": "User", "content": "hi"}],
        parameters={"temperature": 0.25, "num_ctx": 1_000_000, "stop": ["a", "b"]},
        renderer="qwen3-coder",
        parser="qwen3-coder",
        requires="0.14.0",
    )
    made = shown(client, model)
    assert made["details"]["parent_model"] == BASE and made["requires"] == "0.14.0"
    assert made["license"].endswith("\nL1\nL2") and made["messages"] == [{"role": "user", "content": "hi"}]
    assert "num_ctx                        1e+06\n" in made["parameters"]
    assert "RENDERER qwen3-coder\nPARSER qwen3-coder\n" in made["modelfile"]
    assert list(made)[-2:] == ["modified_at", "requires"]
    assert made["model_info"]["general.parameter_count"] > 0
    assert shown(client, model, verbose=True)["model_info"]["tokenizer.ggml.tokens"]
    assert made["model_info"]["tokenizer.ggml.tokens"] is None
    again = create(client, model=model, **{"from": model}, system="T")
    assert sum(line["status"].startswith("creating new layer") for line in again) == 1


def test_a_remote_model_is_only_a_name(client: httpx.Client, model: str) -> None:
    info = {"model_family": "fam", "context_length": 99, "capabilities": ["completion"]}
    create(client, model=model, **{"from": "big"}, remote_host="ollama.com", info=info)
    made = shown(client, model)
    assert (made["remote_model"], made["remote_host"]) == ("big", "https://ollama.com:443")
    assert made["model_info"] == {"fam.context_length": 99, "general.architecture": "fam"}
    assert client.post("/api/chat", json={"model": f"{model}:local", "messages": []}).status_code == 404
    other = {"model": model, "from": "big", "remote_host": "elsewhere:1"}
    client.post("/api/create", json=other)
    refused = client.post("/api/generate", json={"model": model, "prompt": "x"})
    assert (refused.status_code, refused.json()["error"]) == (400, "this server cannot run this remote model")


# --- uploads --------------------------------------------------------------------------------------

TENSORS = [
    gguf.Tensor("token_embd.weight", "F16", [256, 100]),
    gguf.Tensor("blk.0.attn_v.weight", "F16", [256, 256]),
    gguf.Tensor("blk.0.attn_norm.weight", "F32", [256]),
]
METADATA = {
    "general.architecture": "llama",
    "general.file_type": 1,
    "llama.block_count": 1,
    "llama.context_length": 64,
}


def test_a_gguf_file_is_quantized_on_paper(client: httpx.Client, model: str) -> None:
    digest = upload(client, gguf.write(METADATA, TENSORS))
    lines = create(client, model=model, files={"a.gguf": digest}, quantize="q4_K_M")
    assert lines[0] == {"status": "parsing GGUF"}
    progress = [line for line in lines if line["status"] == "quantizing F16 model to Q4_K_M"]
    assert progress[-1]["completed"] == progress[-1]["total"] and progress[0]["digest"] == "0" * 19
    assert lines[-3]["status"].startswith(("creating new layer", "using existing layer"))
    made = shown(client, model)
    assert made["details"]["quantization_level"] == "Q4_K_M"
    assert {one["name"]: one["type"] for one in made["tensors"]} == {
        "token_embd.weight": "Q6_K",
        "blk.0.attn_v.weight": "Q6_K",  # the only block is one of the last
        "blk.0.attn_norm.weight": "F32",
    }
    weights = sum(tensor.size for tensor in quantized(TENSORS, "Q4_K_M"))
    assert weights < listed(client, model)["size"] < weights + 2000


def test_what_is_made_has_the_digest_that_ollama_gives_it(client: httpx.Client, model: str) -> None:
    create(
        client,
        model=model,
        **{"from": "big:latest"},
        remote_host="http://example.com:1",
        info={
            "model_family": "f",
            "context_length": 5,
            "capabilities": ["tools"],
            "base_name": "b<é>",
            "parameter_size": "1B",
            "quantization_level": "Q4",
            "embedding_length": 7,
        },
        system="s é <x>",
        parameters={"temperature": 0.5, "stop": ["<a>"]},
        requires="0.1.0",
        renderer="r",
        parser="qwen3",
        license=["L"],
        messages=[{"role": "user", "content": "é <"}],
        template="{{ .Prompt }}",
    )
    made = listed(client, model)
    assert made["digest"] == "7ae7dad517aa6a142ba6bd63ff8fbefad41117992e9ad70c05fad25694dcf00c"
    assert made["size"] == 451


BERT = {
    "bert.block_count": 1,
    "bert.context_length": 64,
    "bert.layer_norm": 1e-5,
    "bert.pooling_type": 1,
    "general.architecture": "bert",
    "general.file_type": 1,
    "tokenizer.ggml.model": "bert",
}
BERT_TENSORS = [
    gguf.Tensor("token_embd.weight", "F16", [256, 100]),
    gguf.Tensor("position_embd.weight", "F16", [256, 64]),
    gguf.Tensor("token_types.weight", "F32", [256, 2]),
    gguf.Tensor("blk.0.attn_qkv.weight", "F16", [256, 768]),
]


def test_a_list_reads_metadata_in_one_go(client: httpx.Client, model: str) -> None:
    general = {key: value for key, value in BERT.items() if key.startswith("general.")}
    for metadata, able, length in ((BERT, ["completion"], None), (general | BERT, ["embedding"], 64)):
        create(client, model=model, files={"a.gguf": upload(client, gguf.write(metadata, BERT_TENSORS))})
        made = listed(client, model)
        assert made["capabilities"] == able and made["details"].get("context_length") == length
        assert shown(client, model)["capabilities"] == ["embedding"]
    wrong = general | BERT | {"bert.context_length": "long"}
    create(client, model=model, files={"a.gguf": upload(client, gguf.write(wrong, BERT_TENSORS))})
    assert "capabilities" not in listed(client, model)


def test_numbers_are_spelled_as_the_file_holds_them(client: httpx.Client, model: str) -> None:
    create(client, model=model, files={"a.gguf": upload(client, gguf.write(BERT, BERT_TENSORS))})
    assert '"bert.layer_norm":0.00001,' in client.post("/api/show", json={"model": model}).text


def test_what_is_small_and_delicate_is_not_quantized() -> None:
    types = {tensor.name: tensor.type for tensor in quantized(BERT_TENSORS, "Q4_K_M")}
    assert types == {
        "token_embd.weight": "Q6_K",
        "position_embd.weight": "F16",
        "token_types.weight": "F32",
        "blk.0.attn_qkv.weight": "Q5_K",
    }


@pytest.mark.parametrize(
    ("parser", "able"),
    [("qwen3", ["tools"]), ("harmony", ["tools", "thinking"]), ("olmo3-think", ["thinking"]), ("nope", [])],
)
def test_a_parser_gives_capabilities(client: httpx.Client, model: str, parser: str, able: list[str]) -> None:
    create(client, model=model, **{"from": BASE}, parser=parser)
    assert shown(client, model)["capabilities"] == ["completion", *able]
    assert listed(client, model)["capabilities"] == ["completion", *able]


@pytest.mark.skipif(sys.platform != "linux", reason="the file system may take both spellings for one")
def test_the_spelling_of_what_a_model_begins_with_matters(client: httpx.Client, model: str) -> None:
    create(client, model=model, **{"from": BASE})
    lines = create(client, model=model, **{"from": model.upper()})
    assert lines[-1] == {"error": "pull model manifest: file does not exist"}
    assert shown(client, model.upper())["details"]


def shard(number: int, count: int = 2, **metadata: Any) -> bytes:
    return gguf.write(
        METADATA | {"split.no": number, "split.count": count, "split.tensors.count": 3} | metadata,
        TENSORS[:1] if number == 0 else TENSORS[1:],
    )


def test_a_model_in_several_files_becomes_one(client: httpx.Client, model: str) -> None:
    files = {f"m-0000{n + 1}-of-00002.gguf": upload(client, shard(n)) for n in range(2)}
    lines = create(client, model=model, files=files)
    assert [line["status"] for line in lines[:3]] == ["parsing GGUF", "parsing GGUF", "verifying conversion"]
    assert lines[-1] == {"status": "success"}
    made = shown(client, model)
    assert [one["name"] for one in made["tensors"]] == [tensor.name for tensor in TENSORS]
    assert not [key for key in made["model_info"] if "split" in key]


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ({"m-00001-of-00002.gguf": 0}, 'split GGUF "m-00001-of-00002.gguf" has 1 shards, expected 2'),
        ({"m.gguf": 0}, 'split GGUF "m.gguf" must use llama.cpp split filename pattern'),
        (
            {"m-00001-of-00003.gguf": 0},
            'split GGUF "m-00001-of-00003.gguf" filename count 3 does not match metadata count 2',
        ),
        (
            {"m-00001-of-00002.gguf": 1},
            'split GGUF "m-00001-of-00002.gguf" filename index 0 does not match metadata index 1',
        ),
    ],
)
def test_a_model_that_lacks_a_file(
    client: httpx.Client, model: str, files: dict[str, int], error: str
) -> None:
    given = {name: upload(client, shard(number)) for name, number in files.items()}
    assert create(client, model=model, files=given)[-1] == {"error": error}


def test_a_known_chat_template_brings_its_own(client: httpx.Client, model: str) -> None:
    known = json.loads(Path(known_templates.__file__).with_suffix(".json").read_text("utf-8"))["templates"]
    nearly = known["chatml"]["jinja"][0] + "{# a few letters more #}"
    digest = upload(client, gguf.write(METADATA | {"tokenizer.chat_template": nearly}, TENSORS))
    statuses = [line["status"] for line in create(client, model=model, files={"a.gguf": digest})]
    assert "using autodetected template chatml" in statuses
    made = shown(client, model)
    assert made["template"] == known["chatml"]["go"]
    assert made["parameters"].count("stop ") == 2
    other = "{{ messages[0].content }}" * 20
    digest = upload(client, gguf.write(METADATA | {"tokenizer.chat_template": other}, TENSORS))
    statuses = [line["status"] for line in create(client, model=model, files={"a.gguf": digest})]
    assert not [status for status in statuses if "autodetected" in status]


def safe(tensors: dict[str, Any], data: bytes) -> bytes:
    head = json.dumps(tensors).encode()
    return struct.pack("<Q", len(head)) + head + data


def test_safetensors_become_the_model_their_own_files_say(client: httpx.Client, model: str) -> None:
    tensors, data = {}, b""
    for name, dtype, shape in (
        ("model.embed_tokens.weight", "BF16", [10, 8]),
        ("model.layers.0.self_attn.q_proj.weight", "F16", [8, 8]),
        ("model.layers.0.input_layernorm.weight", "F32", [8]),
    ):
        size = math.prod(shape) * (4 if dtype == "F32" else 2)
        tensors[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + size]}
        data += bytes(size)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "num_hidden_layers": 1,
        "hidden_size": 8,
        "num_attention_heads": 2,
        "max_position_embeddings": 77,
        "vocab_size": 10,
    }
    files = {
        "model.safetensors": upload(client, safe(tensors, data)),
        "config.json": upload(client, json.dumps(config).encode()),
    }
    refused = client.post("/api/create", json={"model": model, "files": files, "stream": False})
    assert refused.json() == {"error": "unknown tokenizer format"}
    tokenizer = {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}}
    files["tokenizer.json"] = upload(client, json.dumps(tokenizer).encode())
    lines = create(client, model=model, files=files)
    assert [line["status"] for line in lines[:2]] == ["converting model", "verifying conversion"]
    made = shown(client, model, verbose=True)
    assert made["details"] | {"parent_model": ""} == {
        "parent_model": "",
        "format": "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": "152",
        "quantization_level": "F16",
    }
    assert made["model_info"]["llama.context_length"] == 77
    assert len(made["model_info"]["tokenizer.ggml.tokens"]) == 10
    assert made["tensors"] == [
        {"name": "blk.0.attn_norm.weight", "type": "F32", "shape": [8]},
        {"name": "blk.0.attn_q.weight", "type": "F16", "shape": [8, 8]},
        {"name": "token_embd.weight", "type": "BF16", "shape": [8, 10]},
    ]
    said = client.post("/api/generate", json={"model": model, "prompt": "Hi", "stream": False})
    assert said.json()["response"]
    lora = {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": tensors[next(iter(tensors))]}
    part = {"adapter.safetensors": upload(client, safe(lora, data[:160]))}
    adapter = {**part, "adapter_config.json": upload(client, b'{"lora_alpha": 16}')}
    lines = create(client, model=model, **{"from": model}, adapters=adapter)
    assert lines[0] == {"status": "converting adapter"}
    assert "\nADAPTER " in shown(client, model)["modelfile"]


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"m.safetensors": b""}, "open config.json: no such file or directory"),
        ({"m.safetensors": b"", "config.json": b"{}"}, "unknown architecture"),
        (
            {"m.safetensors": b"", "config.json": b'{"architectures":["Foo"]}'},
            'unsupported architecture "Foo"',
        ),
        (
            {"m.safetensors": b"", "config.json": b"{bad"},
            "parse config.json: invalid character 'b' looking for beginning of object key string",
        ),
    ],
)
def test_a_folder_that_is_no_model(client: httpx.Client, files: dict[str, bytes], text: str) -> None:
    digests = {name: upload(client, data) for name, data in files.items()}
    asked = {"model": "course-x", "files": digests, "stream": False}
    reply = client.post("/api/create", json=asked)
    assert (reply.status_code, reply.json()) == (500, {"error": text})


@pytest.mark.skipif(sys.platform == "win32", reason="a drive letter is no path of a Modelfile's FROM here")
def test_the_printed_modelfile_makes_the_same_model(
    client: httpx.Client, model: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(
        client,
        model=model,
        **{"from": "llama3.2"},
        system='Say "hi".\nThen  stop.',
        template='{{ .System }}\n"{{ .Prompt }}"',
        messages=[{"role": "user", "content": " a b "}, {"role": "assistant", "content": 'x\n"y"'}],
        parameters={"temperature": 0.1, "num_ctx": 2048, "stop": ["<|x|>", " y "], "use_mmap": True},
        license="L\nM",
    )
    before = shown(client, model)
    (tmp_path / "Modelfile").write_text(before["modelfile"], "utf-8")
    monkeypatch.setenv("OLLAMA_HOST", url)
    assert command.main(["create", model, "-f", str(tmp_path / "Modelfile")]) == 0
    after = shown(client, model)
    before["details"]["parent_model"] = ""
    assert after.pop("modified_at") and before.pop("modified_at")
    assert after == before


# --- hostile files --------------------------------------------------------------------------------


def test_what_one_model_takes_away_another_keeps(client: httpx.Client, url: str) -> None:
    def again_and_again(number: int) -> list[tuple[int, Any]]:
        said = []
        with httpx.Client(base_url=url, trust_env=False) as own:
            ask = {"model": f"zz{number}", "from": BASE, "system": "one", "template": "{{ .Prompt }}"}
            for _ in range(40):
                made = own.post("/api/create", json={**ask, "stream": False})
                gone = own.request("DELETE", "/api/delete", json={"model": ask["model"]})
                said += [(made.status_code, made.json()), (gone.status_code, None)]
        return said

    with ThreadPoolExecutor(4) as pool:
        for said in pool.map(again_and_again, range(4)):
            assert said == [(200, {"status": "success"}), (200, None)] * 40
    assert "zz" not in client.get("/api/tags").text


def test_numbers_that_a_file_announces_take_no_room() -> None:
    start = gguf.MAGIC + struct.pack("<IQQ", 3, 2**60, 2**60)
    with pytest.raises(gguf.NotGGUF, match=r"^EOF$"):
        gguf.parse(start)
    text = gguf.MAGIC + struct.pack("<IQQQ", 3, 0, 1, 2**40)
    with pytest.raises(gguf.NotGGUF, match="GGUF string length 1099511627776 exceeds maximum 16777216"):
        gguf.parse(text)
    key = struct.pack("<Q", 1) + b"k"
    many = gguf.MAGIC + struct.pack("<IQQ", 3, 0, 1) + key + struct.pack("<IIQ", 9, 4, 60_000_000)
    with pytest.raises(gguf.NotGGUF, match="EOF"):
        gguf.parse(many)


GOOD = gguf.write(METADATA | {"general.tags": ["a", "b"], "llama.scores": [0.5, 1.5]}, TENSORS)
HOSTILE = st.binary(max_size=300) | st.tuples(
    st.integers(4, len(GOOD)),
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=4),
).map(lambda pair: _damaged(*pair))


def _damaged(length: int, changes: list[tuple[int, int]]) -> bytes:
    data = bytearray(GOOD)
    for at, value in changes:
        data[at] = value
    return bytes(data[:length])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(HOSTILE)
def test_any_bytes_are_a_header_or_refused(data: bytes) -> None:
    try:
        header = gguf.parse(data)
    except gguf.NotGGUF as error:
        assert str(error)
    else:
        assert header.parameter_count >= 0 and header.architecture is not None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=HOSTILE)
def test_any_upload_is_answered(client: httpx.Client, data: bytes) -> None:
    files = {"x.gguf": upload(client, data)}
    reply = client.post("/api/create", json={"model": "course-x", "files": files, "stream": False})
    assert reply.status_code in (200, 400, 500) and (reply.json().get("status") or reply.json()["error"])
    if reply.status_code == 200:
        assert client.post("/api/show", json={"model": "course-x", "verbose": True}).status_code == 200
        client.request("DELETE", "/api/delete", json={"model": "course-x"})


@settings(max_examples=50, deadline=None, derandomize=True)
@given(data=st.binary(max_size=200) | st.recursive(st.integers() | st.text() | st.none(), st.lists).map(
    lambda value: safe({"t": {"dtype": "F16", "shape": value, "data_offsets": [0, 2]}}, b"ab")
))  # fmt: skip
def test_any_safetensors_file_is_a_header_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    path.write_bytes(data)
    try:
        safetensors.header(path)
    except safetensors.NotConvertible as error:
        assert str(error)
