"""Writes a GGUF with tensors of every type that is read, and what the Python package gguf makes of them.

    python3 tests/goldens/gguf/generate.py     (from the root of the repository)

every_type.gguf        tensors f32, f16, bf16, q8_0, q4_0, q4_k, q6_k; metadata of every kind.
expected.safetensors   their values, float32.
"""

import importlib.metadata
import json
import pathlib

import gguf
import numpy as np
import safetensors.numpy

SEED = 20261125
FOLDER = pathlib.Path(__file__).parent
random = np.random.default_rng(SEED)
Type = gguf.GGMLQuantizationType


def random_blocks(quantization, rows, blocks, half_places):
    """Blocks of random bytes, whose float16 factors are finite."""
    _, size = gguf.GGML_QUANT_SIZES[quantization]
    data = random.integers(0, 256, (rows, blocks, size), dtype=np.uint8)
    for place in half_places:
        factors = random.normal(0, 0.02, (rows, blocks, 1)).astype(np.float16)
        data[..., place:place + 2] = factors.view(np.uint8)
    return data.reshape(rows, -1)


plain = random.normal(0, 3, (3, 64)).astype(np.float32)
stored = {
    "f32": (plain, Type.F32),
    "f16": (plain.astype(np.float16), Type.F16),
    "bf16": (gguf.quants.quantize(plain, Type.BF16), Type.BF16),
    "q8_0": (gguf.quants.quantize(plain, Type.Q8_0), Type.Q8_0),
    "q4_0": (gguf.quants.quantize(plain, Type.Q4_0), Type.Q4_0),
    "q8_0.random": (random_blocks(Type.Q8_0, 2, 3, [0]), Type.Q8_0),
    "q4_0.random": (random_blocks(Type.Q4_0, 2, 3, [0]), Type.Q4_0),
    "q4_k": (random_blocks(Type.Q4_K, 2, 2, [0, 2]), Type.Q4_K),
    "q6_k": (random_blocks(Type.Q6_K, 2, 2, [208]), Type.Q6_K),
}

writer = gguf.GGUFWriter(FOLDER / "every_type.gguf", "llama")
writer.add_uint8("n.u8", 200)
writer.add_int8("n.i8", -100)
writer.add_uint16("n.u16", 60000)
writer.add_int16("n.i16", -30000)
writer.add_uint32("n.u32", 4000000000)
writer.add_int32("n.i32", -2000000000)
writer.add_uint64("n.u64", 2**62)
writer.add_int64("n.i64", -2**62)
writer.add_float32("n.f32", 1.5)
writer.add_float64("n.f64", 2.5)
writer.add_bool("n.bool", True)
writer.add_string("s", "words, with ünïcödé")
writer.add_array("a.numbers", [1, 2, 3])
writer.add_array("a.strings", ["one", "two"])
expected = {}
for name, (data, quantization) in stored.items():
    is_plain = quantization in (Type.F32, Type.F16)
    writer.add_tensor(name, data, raw_dtype=None if is_plain else quantization)
    expected[name] = np.ascontiguousarray(gguf.quants.dequantize(data, quantization).astype(np.float32))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
safetensors.numpy.save_file(expected, FOLDER / "expected.safetensors")
(FOLDER / "golden.json").write_text(json.dumps({
    "command": "python3 tests/goldens/gguf/generate.py",
    "seed": SEED,
    "versions": {"gguf": importlib.metadata.version("gguf"), "numpy": np.__version__},
    "tolerance": {"relative": 1e-6, "reason": "products of three factors in another order"},
}, indent=2) + "\n")
