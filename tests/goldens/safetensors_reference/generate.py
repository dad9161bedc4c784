"""Writes what the reference safetensors library makes of tensors of every type, and what torch converts them to.

    python3 tests/goldens/safetensors_reference/generate.py     (from the root of the repository)

every_dtype.safetensors  one or more tensors of each type that the library and torch share, with metadata.
conversions.safetensors  for each floating-point type T: `T.stored`, values of that type, and `T.float32`, torch's
                         conversion to float32; `rounding.float32` and its conversions `rounding.F16`, `rounding.BF16`.
"""

import json
import pathlib

import safetensors
import safetensors.torch
import torch

SEED = 20240717
FOLDER = pathlib.Path(__file__).parent

generator = torch.Generator().manual_seed(SEED)


def random_integers(dtype, shape):
    info = torch.iinfo(dtype)
    low, high = max(info.min, -(2**62)), min(info.max, 2**62)
    return torch.randint(low, high, shape, generator=generator, dtype=torch.int64).to(dtype)


def random_floats(dtype, shape):
    return (8 * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)


every_dtype = {
    "f64": random_floats(torch.float64, (2, 3)),
    "f32": random_floats(torch.float32, (4,)),
    "f16": random_floats(torch.float16, (3, 1, 2)),
    "bf16": random_floats(torch.bfloat16, (5,)),
    "f8_e4m3": random_floats(torch.float8_e4m3fn, (7,)),
    "f8_e5m2": random_floats(torch.float8_e5m2, (3,)),
    "i64": random_integers(torch.int64, (3,)),
    "i32": random_integers(torch.int32, (2, 2)),
    "i16": random_integers(torch.int16, (3,)),
    "i8": random_integers(torch.int8, (5,)),
    "u64": random_integers(torch.uint64, (2,)),
    "u32": random_integers(torch.uint32, (3,)),
    "u16": random_integers(torch.uint16, (3,)),
    "u8": random_integers(torch.uint8, (3, 3)),
    "bool": torch.tensor([True, False, True]),
    "scalar": torch.tensor(-2.5),
    "empty": torch.zeros(0, 4),
    "name with \"quotes\", \\ and ünïcode": torch.tensor([1.0]),
}
metadata = {"format": "pt", "note": "line\nbreak, \"quotes\" and é"}
safetensors.torch.save_file(every_dtype, FOLDER / "every_dtype.safetensors", metadata)


def bit_patterns(dtype, bits):
    return torch.tensor(bits, dtype=torch.int64).to(dtype)


special16 = list(range(0, 65536, 61)) + [0x0000, 0x0001, 0x03FF, 0x0400, 0x7BFF, 0x7C00, 0x7E00, 0x7F80, 0x7FC0]
special16 += [value | 0x8000 for value in special16[-9:]]
signed16 = [value - 65536 if value >= 32768 else value for value in special16]
stored = {
    "F64": torch.cat([random_floats(torch.float64, (64,)),
                      torch.tensor([0.0, -0.0, 1e300, -1e300, 1e-300, 1e-40, float("inf"), float("nan")],
                                   dtype=torch.float64)]),
    "F16": bit_patterns(torch.int16, signed16).view(torch.float16),
    "BF16": bit_patterns(torch.int16, signed16).view(torch.bfloat16),
    "F8_E4M3": bit_patterns(torch.uint8, list(range(256))).view(torch.float8_e4m3fn),
    "F8_E5M2": bit_patterns(torch.uint8, list(range(256))).view(torch.float8_e5m2),
}
conversions = {}
for name, tensor in stored.items():
    conversions[f"{name}.stored"] = tensor
    conversions[f"{name}.float32"] = tensor.float()

# Magnitudes from far below the smallest subnormal to above the largest value, and exact ties.
exponents = torch.randint(-45, 40, (2000,), generator=generator).double()
rounding = torch.cat([
    (torch.randn(2000, generator=generator).double() * 2.0**exponents).float(),
    (torch.arange(-600, 600).double() * 2.0**-25).float(),  # ties between float16's subnormals
    torch.tensor([65504.0, 65519.99, 65520.0, -65520.0, 2.0**-14, 2.0**-24, 2.0**-25, 1.0 + 2.0**-8, 1.0 + 3 * 2.0**-8,
                  3.3895314e38, 3.4e38, 0.0, -0.0, float("inf"), float("-inf"), float("nan")]),
])
conversions["rounding.float32"] = rounding
conversions["rounding.F16"] = rounding.half()
conversions["rounding.BF16"] = rounding.bfloat16()
safetensors.torch.save_file(conversions, FOLDER / "conversions.safetensors")

golden = {
    "generator": "python3 tests/goldens/safetensors_reference/generate.py",
    "versions": {"safetensors": safetensors.__version__, "torch": torch.__version__},
    "seed": SEED,
    "dtype": "every one that safetensors and torch share",
    "tolerance": "0: bytes and conversions are exact (a NaN is only compared as a NaN)",
    "values": {name: tensor.double().flatten().tolist() if tensor.is_floating_point() or tensor.dtype == torch.bool
               else tensor.flatten().tolist() for name, tensor in every_dtype.items()},
    "shapes": {name: list(tensor.shape) for name, tensor in every_dtype.items()},
    "metadata": metadata,
}
(FOLDER / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
