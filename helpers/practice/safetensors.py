"""A folder as Hugging Face lays it out (safetensors, config.json, tokenizer) as the header of a GGUF file.

Names, types and metadata are those Ollama's converter gives the text models named here; the weights stay
behind, for a stand-in does not need them. Source: ollama convert/ (convert.go, convert_llama.go,
reader_safetensors.go, tokenizer.go), v0.32.15.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

from . import gojson
from .cli_format import quote
from .gguf import Header, Tensor

ARCHITECTURES = {
    "LlamaForCausalLM": "llama", "MllamaForConditionalGeneration": "mllama",
    "Llama4ForConditionalGeneration": "llama4", "Mistral3ForConditionalGeneration": "mistral3",
    "Ministral3ForCausalLM": "mistral3", "MixtralForCausalLM": "llama", "GemmaForCausalLM": "gemma",
    "Gemma2ForCausalLM": "gemma2", "Gemma3ForCausalLM": "gemma3", "Gemma3ForConditionalGeneration": "gemma3",
    "Gemma3TextModel": "gemma3", "Gemma3nForConditionalGeneration": "gemma3n", "Gemma4ForCausalLM": "gemma4",
    "Gemma4ForConditionalGeneration": "gemma4", "Phi3ForCausalLM": "phi3", "Qwen2ForCausalLM": "qwen2",
    "Qwen2_5_VLForConditionalGeneration": "qwen25vl", "Qwen3VLForConditionalGeneration": "qwen3vl",
    "Qwen3VLMoeForConditionalGeneration": "qwen3vlmoe", "Olmo3ForCausalLM": "olmo3", "BertModel": "bert",
    "NomicBertModel": "nomic-bert", "NomicBertMoEModel": "nomic-bert-moe", "CohereForCausalLM": "command-r",
    "GptOssForCausalLM": "gptoss", "DeepseekOCRForCausalLM": "deepseekocr",
    "DeepseekV3ForCausalLM": "deepseek2",
    "Glm4MoeLiteForCausalLM": "glm4moelite", "LagunaForCausalLM": "laguna",
    "GlmOcrForConditionalGeneration": "glmocr", "Lfm2ForCausalLM": "lfm2", "Lfm2MoeForCausalLM": "lfm2moe",
    "Lfm2VlForConditionalGeneration": "lfm2", "Qwen3NextForCausalLM": "qwen3next",
    "Qwen3_5ForConditionalGeneration": "qwen35", "Qwen3_5MoeForConditionalGeneration": "qwen35moe",
    "NemotronH_Nano_VL_V2": "nemotron_h", "NemotronH_Nano_Omni_Reasoning_V3": "nemotron_h_omni",
    "NemotronHForCausalLM": "nemotron_h",
}  # fmt: skip

_LLAMA = (
    ("lm_head", "output"), ("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"),
    ("model.layers", "blk"), ("input_layernorm", "attn_norm"), ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"), ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"), ("self_attn.k_norm", "attn_k_norm"), ("mlp.gate_proj", "ffn_gate"),
    ("mlp.down_proj", "ffn_down"), ("mlp.up_proj", "ffn_up"), ("post_attention_layernorm", "ffn_norm"),
)  # fmt: skip
_GEMMA = (
    ("post_attention_layernorm", "post_attention_norm"), ("pre_feedforward_layernorm", "ffn_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
)  # fmt: skip
_BERT = (
    ("embeddings.word_embeddings", "token_embd"), ("embeddings.token_type_embeddings", "token_types"),
    ("embeddings.LayerNorm", "token_embd_norm"), ("embeddings.position_embeddings", "position_embd"),
    ("encoder.layer", "blk"), ("attention.self.query", "attn_q"), ("attention.self.key", "attn_k"),
    ("attention.self.value", "attn_v"), ("attention.output.dense", "attn_output"),
    ("attention.output.LayerNorm", "attn_output_norm"), ("intermediate.dense", "ffn_up"),
    ("output.dense", "ffn_down"), ("output.LayerNorm", "layer_output_norm"),
)  # fmt: skip
_RENAMED = {"bert": _BERT, "gemma2": (*_GEMMA, *_LLAMA), "gemma3": (*_GEMMA, *_LLAMA)}
_ADAPTED = (
    ("base_model.model.", ""), ("lora_A.weight", "weight.lora_a"), ("lora_B.weight", "weight.lora_b"),
    ("lora_a", "weight.lora_a"), ("lora_b", "weight.lora_b"),
)  # fmt: skip

# key of the metadata: keys of config.json, the first that is there counts
_NUMBERS = {
    "vocab_size": ("vocab_size",),
    "block_count": ("n_layers", "num_hidden_layers", "n_layer"),
    "context_length": ("max_position_embeddings", "n_ctx"),
    "embedding_length": ("hidden_size", "n_embd"),
    "feed_forward_length": ("intermediate_size", "n_inner"),
    "attention.head_count": ("num_attention_heads", "n_head"),
    "attention.head_count_kv": ("num_key_value_heads",),
    "attention.key_length": ("head_dim",),
    "attention.value_length": ("head_dim",),
    "attention.sliding_window": ("sliding_window",),
}
_FLOATS = {
    "rope.freq_base": ("rope_theta",),
    "attention.layer_norm_rms_epsilon": ("rms_norm_eps",),
    "attention.layer_norm_epsilon": ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"),
}
_WIDTHS = {"F32": 4, "F16": 2, "BF16": 2, "U8": 1}
_LONGEST_HEADER = 100_000_000  # bytes; the format's own limit


class NotConvertible(ValueError):
    """The files make no model; the text is the server's own."""


def model(files: dict[str, Path]) -> Header:
    """The header of the model in `files` (name in the folder: file). Raises NotConvertible, OSError."""
    config = _json(files, "config.json")
    names = config.get("architectures")
    if not isinstance(names, list) or not names:
        raise NotConvertible("unknown architecture")
    architecture = ARCHITECTURES.get(str(names[0]))
    if architecture is None:
        raise NotConvertible(f"unsupported architecture {quote(str(names[0]))}")
    inner = config.get("text_config")
    config = {**(inner if isinstance(inner, dict) else {}), **config}
    metadata: dict[str, Any] = {"general.architecture": architecture}
    metadata |= {"general.file_type": 1, "general.quantization_version": 2}
    for table, kinds in ((_NUMBERS, int), (_FLOATS, (int, float))):
        for key, given in table.items():
            value = next((config[one] for one in given if isinstance(config.get(one), kinds)), 0)
            if value and not isinstance(value, bool) and 0 < value < 2**32:
                metadata[f"{architecture}.{key}"] = float(value) if table is _FLOATS else value
    heads = metadata.get(f"{architecture}.attention.head_count")
    width = metadata.get(f"{architecture}.embedding_length")
    if architecture == "llama" and heads and width:
        metadata["llama.rope.dimension_count"] = width // heads
    if architecture == "bert":
        metadata["bert.pooling_type"] = 1
    metadata |= _tokenizer(files, config)
    return Header(metadata, _tensors(files, _RENAMED.get(architecture, _LLAMA)))


def adapter(files: dict[str, Path], architecture: str) -> Header:
    """The header of a LoRA adapter for a model of `architecture`. Raises NotConvertible, OSError."""
    config = _json(files, "adapter_config.json")
    if architecture not in ("llama", "gemma2"):
        raise NotConvertible("unsupported architecture")
    given = config.get("lora_parameters")
    alpha = given.get("alpha") if isinstance(given, dict) else config.get("lora_alpha")
    metadata = {
        "adapter.lora.alpha": float(alpha) if isinstance(alpha, (int, float)) else 0.0,
        "adapter.type": "lora",
        "general.architecture": architecture,
        "general.file_type": 1,
        "general.type": "adapter",
        "general.version": "v0.2",
    }
    return Header(metadata, _tensors(files, (*_ADAPTED, *_LLAMA)))


def _json(files: dict[str, Path], name: str) -> dict[str, Any]:
    if name not in files:
        raise NotConvertible(f"open {name}: no such file or directory")
    try:
        value = gojson.parse(files[name].read_bytes())
    except gojson.BadBody as error:
        raise NotConvertible(f"parse {name}: {error}") from None
    if not isinstance(value, dict):
        kind = "array" if isinstance(value, list) else type(value).__name__
        raise NotConvertible(
            f"parse {name}: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
        )
    return value


def _tokenizer(files: dict[str, Path], config: dict[str, Any]) -> dict[str, Any]:
    if "tokenizer.json" not in files:
        if "tokenizer.model" in files or "vocab.txt" in files:
            return {"tokenizer.ggml.model": "llama" if "tokenizer.model" in files else "bert"}
        raise NotConvertible("unknown tokenizer format")
    inner = _json(files, "tokenizer.json").get("model")
    inner = inner if isinstance(inner, dict) else {}
    vocabulary = inner.get("vocab")
    ids = vocabulary if isinstance(vocabulary, dict) else {}
    tokens = [text for text, _ in sorted(ids.items(), key=lambda pair: str(pair[1]).zfill(12))]
    size = config.get("vocab_size")
    if isinstance(size, int) and len(tokens) < size <= 2_000_000:
        tokens += [f"[PAD{number}]" for number in range(size - len(tokens))]
    metadata: dict[str, Any] = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1] * len(tokens),
    }
    merges = inner.get("merges")
    if isinstance(merges, list) and merges:
        joined = [" ".join(map(str, one)) if isinstance(one, list) else str(one) for one in merges]
        metadata["tokenizer.ggml.merges"] = joined
    if template := _chat_template(files):
        metadata["tokenizer.chat_template"] = template
    for key in ("bos", "eos", "pad"):
        if isinstance(number := config.get(f"{key}_token_id"), int):
            metadata[f"tokenizer.ggml.{'padding' if key == 'pad' else key}_token_id"] = number
    return metadata


def _chat_template(files: dict[str, Path]) -> str:
    if "chat_template.jinja" in files:
        return files["chat_template.jinja"].read_text("utf-8", "replace")
    given = _json(files, "tokenizer_config.json") if "tokenizer_config.json" in files else {}
    template = given.get("chat_template")
    if isinstance(template, list):
        named = (one for one in template if isinstance(one, dict) and one.get("name") == "default")
        template = next(named, {}).get("template")
    return template if isinstance(template, str) else ""


def _tensors(files: dict[str, Path], renamed: tuple[tuple[str, str], ...]) -> list[Tensor]:
    parts = sorted(name for name in files if name.endswith(".safetensors") and "/" not in name)
    if not parts:
        raise NotConvertible("unknown tensor format")
    tensors: dict[str, Tensor] = {}
    for part in parts:
        for key, entry in sorted(header(files[part]).items()):
            name = _renamed(key, renamed)
            if name in tensors:
                raise NotConvertible(f"duplicate tensor name '{name}' was found for this model")
            shape = entry["shape"] or [1]
            tensors[name] = Tensor(name, _type(name, entry["dtype"], shape), shape[::-1])
    return sorted(tensors.values())


def header(path: Path) -> dict[str, Any]:
    """The tensors of a file, {name: {dtype, shape, data_offsets}}. Raises NotConvertible, OSError."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise NotConvertible("unexpected EOF" if start else "EOF")
        (length,) = struct.unpack("<Q", start)
        if length > min(size - 8, _LONGEST_HEADER):
            raise NotConvertible("EOF")
        data = file.read(length)
    try:
        value = gojson.parse(data) if data.strip() else {}
    except gojson.BadBody as error:
        raise NotConvertible(str(error)) from None
    if not isinstance(value, dict):
        raise NotConvertible(
            "json: cannot unmarshal into Go value of type map[string]convert.safetensorMetadata"
        )
    entries = {key: one for key, one in value.items() if isinstance(one, dict) and one.get("dtype")}
    for key, one in entries.items():
        _check(key, one, size - 8 - length)
    return entries


def _check(key: str, entry: dict[str, Any], held: int) -> None:
    shape, ends = (entry.get(key) or [] for key in ("shape", "data_offsets"))
    whole = all(
        isinstance(one, list)
        and all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**63 for n in one)
        for one in (shape, ends)
    )
    if not whole or len(ends) != 2:
        raise NotConvertible(f"tensor {quote(key)} has no shape or no data_offsets")
    width = _WIDTHS.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if entry["dtype"] == "F8_E4M3":
        raise NotConvertible(f"missing fp8 block size metadata for tensor {quote(key)}")
    if width is None:
        raise NotConvertible(f"unknown data type: {entry['dtype']}")
    if ends[1] > held or ends[1] - ends[0] != width * math.prod(shape):
        raise NotConvertible("unexpected EOF")


def _renamed(name: str, pairs: tuple[tuple[str, str], ...]) -> str:
    """The name with the first fitting text replaced at each place, as Go's strings.Replacer does."""
    made, at = "", 0
    while at < len(name):
        for old, new in pairs:
            if name.startswith(old, at):
                made, at = made + new, at + len(old)
                break
        else:
            made, at = made + name[at], at + 1
    return made


def _type(name: str, dtype: str, shape: list[int]) -> str:
    if len(shape) == 1 or name == "token_types.weight" or name.endswith((".bias", ".ffn_gate_inp.weight")):
        return "F32"
    return "BF16" if dtype == "BF16" else "F16"
