"""Embeddings of the built-in miniature as transformers computes them from its folder, in fp32.

    build/release/e5v shapes --split test --seed 1 --scenes 4 --parts rand --output /tmp/pictures
    python3 tests/goldens/miniature/generate.py /tmp/pictures/rand/images

writes golden.json and expected.safetensors here, and the pictures beside them.
"""

import json
import pathlib
import shutil
import sys

import PIL
import safetensors.torch
import torch
import transformers
from PIL import Image
from transformers import AutoTokenizer, LlavaForConditionalGeneration, LlavaProcessor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

FOLDER = pathlib.Path(__file__).parent
MODEL = FOLDER.parent.parent.parent / "models" / "shapes-mini"
CHAT = "<|user|>\n{}<|end|>\n<|assistant|>\n"
PROMPTS = {  # as the published code has them for Phi-3's chat: a blank at the end of the composed one only
    "text": "<sent>\nSummary above sentence in one word:",
    "image": "<image>\nSummary above image in one word:",
    "composed": '<image>Modify this image with "<sent>", desribe modified image in one word: ',
}
TEXTS = [
    "a small red circle left of a large blue ring on a white background",
    "from top to bottom: a tiny pink star, a big green box and a yellow plus that is small",
    "there is a large orange wedge. the background is black",
    "something else: 12 häuser",
]
EDITS = ["make the background black", "remove the circle"]


def items(pictures):
    for i, text in enumerate(TEXTS):
        yield {"id": f"text.{i}", "text": text}
    for i, picture in enumerate(pictures):
        yield {"id": f"image.{i}", "image": picture}
    for i, edit in enumerate(EDITS):
        yield {"id": f"composed.{i}", "text": edit, "image": pictures[i], "task": "cirr"}


def prompt_of(item):
    kind = "composed" if "text" in item and "image" in item else "text" if "text" in item else "image"
    return CHAT.format(PROMPTS[kind]).replace("<sent>", item.get("text", ""))


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    pictures = []
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.png"))[:4]:
        shutil.copyfile(path, FOLDER / path.name)
        pictures.append(path.name)
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    processor = LlavaProcessor(
        CLIPImageProcessorPil.from_pretrained(MODEL),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    model = LlavaForConditionalGeneration.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="eager").eval()
    expected, table = {}, []
    for item in items(pictures):
        prompt = prompt_of(item)
        images = [Image.open(FOLDER / item["image"])] if "image" in item else None
        inputs = processor(text=prompt, images=images, return_tensors="pt")
        state = model.model(**inputs).last_hidden_state[0, -1]  # after the final norm
        expected[item["id"]] = torch.nn.functional.normalize(state.float(), dim=-1).contiguous()
        table.append({**item, "input_ids": tokenizer(prompt)["input_ids"]})
    safetensors.torch.save_file(expected, FOLDER / "expected.safetensors")
    golden = {
        "generator": "python3 tests/goldens/miniature/generate.py PICTURES",
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "Pillow": PIL.__version__},
        "computed_in": "float32, eager attention, one thread",
        "tolerance": {"embedding": {"absolute": 1e-5, "relative": 0}},
        "items": table,
    }
    (FOLDER / "golden.json").write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
