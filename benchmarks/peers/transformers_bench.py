"""Measures transformers on the workloads of `e5v bench`; prints JSON of the same form.

    python3 transformers_bench.py MODEL_DIR --precision bf16 --texts 1x32 --texts 32x32 --photo 8x640x480

It computes what an embedding needs and no more: the model without its language-model head (the
published E5-V code computes all logits too), texts of equal length in one batch without padding, the
picture already preprocessed.
"""

import argparse
import json
import statistics
import time

import torch
import transformers
from transformers import LlavaNextForConditionalGeneration


def text_inputs(shape, vocab_size):
    count, length = (int(n) for n in shape.split("x"))
    ids = torch.randint(0, vocab_size, (count, length), generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def image_processor_class():
    try:  # transformers 5: the form that needs no torchvision has a name of its own
        from transformers.models.llava_next import image_processing_pil_llava_next as pil
        return pil.LlavaNextImageProcessorPil
    except ImportError:
        return transformers.LlavaNextImageProcessor


def photo_inputs(shape, model_dir, config):
    from PIL import Image

    numbers = [int(n) for n in shape.split("x")]
    count, (width, height) = numbers[0] if len(numbers) == 3 else 1, numbers[-2:]
    image = Image.effect_noise((width, height), 100).convert("RGB")
    processor = image_processor_class().from_pretrained(model_dir)
    pixels = processor(images=[image] * count, return_tensors="pt")
    sizes = pixels["image_sizes"]
    # The number of image tokens, by the model's own packing of features.
    tokens = count_image_tokens(config, pixels["pixel_values"], sizes)
    ids = torch.cat([torch.full((tokens,), config.image_token_id), torch.arange(5, 25)])[None].repeat(count, 1)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), **pixels}


def count_image_tokens(config, pixel_values, image_sizes):
    from transformers.models.llava_next import modeling_llava_next as llava

    side = config.vision_config.image_size // config.vision_config.patch_size
    rows, columns = llava.get_anyres_image_grid_shape(
        image_sizes[0], config.image_grid_pinpoints, config.vision_config.image_size)
    grid = torch.zeros(1, rows * side, columns * side)
    kept = llava.unpad_image(grid, image_sizes[0])
    return side * side + kept.shape[1] * (kept.shape[2] + 1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model_dir")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--texts", action="append")
    parser.add_argument("--photo", default="640x480")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--max-seconds", type=float, default=1e9,
                        help="a workload that takes longer is repeated once only, without warm-up")
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()

    if args.threads:
        torch.set_num_threads(args.threads)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[args.precision]
    model = LlavaNextForConditionalGeneration.from_pretrained(args.model_dir, dtype=dtype).eval()
    config = model.config
    if config.image_token_id >= model.get_input_embeddings().num_embeddings:
        # As in the published checkpoint; transformers looks the placeholder up before it replaces it.
        model.resize_token_embeddings(config.image_token_id + 1, mean_resizing=False)

    workloads = [(shape, text_inputs(shape, config.text_config.vocab_size))
                 for shape in args.texts or [] if shape != "none"]
    if args.photo != "none":
        inputs = photo_inputs(args.photo, args.model_dir, config)
        inputs["pixel_values"] = inputs["pixel_values"].to(dtype)
        workloads.append((f"photo {args.photo}", inputs))

    measurements = []
    with torch.inference_mode():
        # Once before the clock runs, on little: memory and threads are there from now on.
        model.model(**text_inputs("1x32", config.text_config.vocab_size), use_cache=False)
        for name, inputs in workloads:
            times_ms = []
            for _ in range(args.repetitions + 1):
                if sum(times_ms) > 1e3 * args.max_seconds:
                    break
                start = time.perf_counter()
                states = model.model(**inputs, use_cache=False).last_hidden_state[:, -1]
                torch.nn.functional.normalize(states.float(), dim=-1)
                times_ms.append((time.perf_counter() - start) * 1e3)
            times_ms = times_ms[1:] or times_ms  # the first is warm-up, where there are others
            tokens = inputs["input_ids"].numel()
            median = statistics.median(times_ms)
            measurements.append({"name": name, "tokens": tokens, "median_ms": median,
                                 "times_ms": times_ms, "tokens_per_s": tokens / median * 1e3})
    print(json.dumps({"program": f"transformers {transformers.__version__}, torch {torch.__version__}",
                      "precision": args.precision, "threads": torch.get_num_threads(),
                      "measurements": measurements}))


if __name__ == "__main__":
    main()
