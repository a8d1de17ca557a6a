"""Which type each tensor of a model gets when it is quantized. Weights are not touched: a stand-in has none.

The mixes are llama.cpp's (src/llama-quant.cpp, tensor_allows_quantization and llama_tensor_get_type_impl) for
text models without experts: Q4_K_M gives half of the value and feed-forward-down projections Q6_K, Q4_K_S the
first of them Q5_K; output weights get Q6_K.
"""

from __future__ import annotations

import re

from .gguf import NUMBERS, TYPES, Tensor

SUPPORTED = ("F32", "F16", "Q4_K_S", "Q4_K_M", "Q8_0")
WANTED = {**{name: name for name in SUPPORTED}, "Q4_K": "Q4_K_M", "BF16": "BF16"}
FILE_TYPE = {"F32": 0, "F16": 1, "Q8_0": 7, "Q4_K_S": 14, "Q4_K_M": 15, "BF16": 32}
UNQUANTIZED = ("F16", "BF16", "F32")

_KEPT = (  # what stands in the name of a tensor that is left as it is
    "_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel",
    "per_layer_model_proj", "position_embd", "token_types.weight", "ssm_conv1d", "shortconv.conv.weight",
    "indexer.k_proj.weight", "indexer.q_proj.weight", "time_mix_first.weight", "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight", "time_mix_v0.weight", "time_mix_v1.weight", "time_mix_v2.weight",
    "time_mix_a0.weight", "time_mix_a1.weight", "time_mix_a2.weight", "time_mix_g1.weight",
    "time_mix_g2.weight", "time_mix_decay_w1.weight", "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight", "attn_rel_b.weight", "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos",
    ".patch_embd", ".patch_merger", "a.rvq.codebook", "mm.a.code_embd",
)  # fmt: skip
_FALLBACK = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
_BLOCK = re.compile(r"blk\.(\d+)\.")


def quantized(tensors: list[Tensor], wanted: str) -> list[Tensor]:
    """The tensors with the types that the quantization `wanted` (one of FILE_TYPE) gives them."""
    blocks = 1 + max((int(found[1]) for t in tensors if (found := _BLOCK.match(t.name))), default=-1)
    tied = not any(tensor.name == "output.weight" for tensor in tensors)
    return [tensor._replace(type=_type(tensor, wanted, blocks, tied)) for tensor in tensors]


def _type(tensor: Tensor, wanted: str, blocks: int, tied: bool) -> str:
    if len(tensor.shape) < 2 or not tensor.name.endswith("weight"):
        return tensor.type
    if any(part in tensor.name for part in _KEPT):
        return tensor.type
    kind = wanted
    if wanted.startswith("Q4_K"):
        kind = _mixed(tensor.name, wanted, blocks, tied)
    _, block, _ = TYPES[NUMBERS[kind]]
    if tensor.shape[0] % block:
        kind = _FALLBACK.get(kind, "F16")
        kind = kind if tensor.shape[0] % 32 == 0 else "F16"
    return kind


def _mixed(name: str, wanted: str, blocks: int, tied: bool) -> str:
    if name == "output.weight" or (tied and name == "token_embd.weight"):
        return "Q6_K"
    found = _BLOCK.match(name)
    number = int(found[1]) if found else 0
    heavy = name.endswith(("attn_v.weight", "ffn_down.weight"))
    if wanted == "Q4_K_M" and heavy:
        eighth = blocks // 8
        more = number < eighth or number >= 7 * blocks // 8 or (number - eighth) % 3 == 2
        return "Q6_K" if more else "Q4_K"
    if wanted == "Q4_K_M" and name.endswith("attn_qkv.weight"):
        return "Q5_K"
    early = 4 if name.endswith("attn_v.weight") else blocks // 8
    return "Q5_K" if heavy and number < early else "Q4_K"
