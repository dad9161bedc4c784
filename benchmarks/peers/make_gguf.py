#!/usr/bin/env python3
"""Writes the language model of a LLaVA folder as a GGUF for llama-bench: the same weights, no tokenizer.

    python3 make_gguf.py MODEL_DIR 1b-BF16.gguf
    llama-quantize 1b-BF16.gguf ./1b-Q8_0.gguf Q8_0   # a name that begins with a digit reads as a type without ./
    llama-quantize 1b-BF16.gguf ./1b-Q4_0.gguf Q4_0

Needs the Python package gguf. Norms are float32, as llama.cpp wants them; everything else stays bfloat16.
"""

import json
import pathlib
import sys

import gguf
import numpy as np

NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def tensors_of(folder):
    """Name, type and bytes of each tensor: BF16 is no type of numpy."""
    for path in sorted(folder.glob("*.safetensors")):
        data = np.memmap(path, dtype=np.uint8, mode="r")
        size = int(data[:8].view("<u8")[0])
        header = json.loads(bytes(data[8:8 + size]))
        for name, info in header.items():
            if name == "__metadata__":
                continue
            begin, end = info["data_offsets"]
            yield name, info["dtype"], info["shape"], data[8 + size + begin:8 + size + end]


def interleaved(rows, num_heads):
    """q and k as llama.cpp turns them: neighbours in place of halves."""
    heads = rows.reshape(num_heads, 2, rows.shape[0] // num_heads // 2, *rows.shape[1:])
    return np.ascontiguousarray(heads.swapaxes(1, 2)).reshape(rows.shape)


def gguf_name(name):
    name = name.removeprefix("language_model.")
    plain = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
             "lm_head.weight": "output.weight"}
    if name in plain:
        return plain[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{NAMES[rest.removesuffix('.weight')]}.weight"


def main():
    folder, output = pathlib.Path(sys.argv[1]), sys.argv[2]
    text = json.loads((folder / "config.json").read_text())["text_config"]
    heads, kv_heads = text["num_attention_heads"], text["num_key_value_heads"]
    writer = gguf.GGUFWriter(output, "llama")
    writer.add_block_count(text["num_hidden_layers"])
    writer.add_context_length(text["max_position_embeddings"])
    writer.add_embedding_length(text["hidden_size"])
    writer.add_feed_forward_length(text["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(text["rms_norm_eps"])
    writer.add_rope_freq_base(text["rope_theta"])
    writer.add_rope_dimension_count(text["hidden_size"] // heads)
    writer.add_vocab_size(text["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    for name, dtype, shape, data in tensors_of(folder):
        if not name.startswith("language_model."):
            continue
        assert dtype == "BF16", f"{name} is {dtype}, expected a folder in BF16"
        values = data.view(np.uint16).reshape(shape)
        if name.endswith("q_proj.weight"):
            values = interleaved(values, heads)
        if name.endswith("k_proj.weight"):
            values = interleaved(values, kv_heads)
        if len(shape) == 1:
            writer.add_tensor(gguf_name(name), (values.astype(np.uint32) << 16).view(np.float32))
        else:
            writer.add_tensor(gguf_name(name), values.view(np.uint8),
                              raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
