"""Ten steps of contrastive training in the reference, and weights in NF4.

    python3 tests/goldens/generate_train.py

writes tests/goldens/train_steps/ (LoRA by hand, torch's AdamW, the reference's model of end_to_end_tiny, on the very
prompt of embedding and on what the published script makes of it) and tests/goldens/train_nf4/ (the format in a few
lines of numpy; bitsandbytes itself is not needed).
"""

import csv
import math

import numpy
import torch
import transformers
from transformers import PreTrainedTokenizerFast

from tiny_llava import *

torch.set_grad_enabled(True)
MODEL = GOLDENS / "end_to_end_tiny"
STEPS = GOLDENS / "train_steps"
NF4 = GOLDENS / "train_nf4"
SEED = 31
OPTIONS = {
    "batch_size": 8,
    "micro_batch_size": 4,
    "epochs": 2,
    "shuffle": False,
    "base_precision": "fp32",
    "max_sentence_tokens": 32,
    "lora_rank": 4,
    "lora_alpha": 8.0,
    "lora_dropout": 0.0,
    "learning_rate": 0.01,
    "warmup_steps": 3,
    "temperature": 0.05,
    "max_grad_norm": 1.0,
}
TEMPLATE = (
    "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n \n"
)

# ---------------------------------------------------------------------------------- data

SUBJECTS = ["A brown dog", "Two children", "A woman in a blue dress", "The man above", "An old cat", "Nobody"]
VERBS = ["runs through", "play with", "is standing near", "is looking at", "sleeps on", "isn't in"]
OBJECTS = ["the deep snow", "a red ball", "the water", "the city in the evening", "a park , far away", "the dress"]
ENDS = [" .", ".", "!", " ! !", " ?", " , it 's said ."]


def sentence(rng):
    text = " ".join(rng.choice(words) for words in (SUBJECTS, VERBS, OBJECTS))
    for _ in range(rng.choice([0, 0, 1, 3])):  # some are longer than max_sentence_tokens
        text += " and " + rng.choice(VERBS) + " " + rng.choice(OBJECTS)
    return text + rng.choice(ENDS)


def make_triplets():
    rng = numpy.random.default_rng(SEED)
    return [[str(sentence(rng)) for _ in range(3)] for _ in range(40)]


# ---------------------------------------------------------------------------------- prompts


def clean_up(text):
    """transformers' clean_up_tokenization, as far back as 4.41."""
    for old, new in (
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
        (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ):  # fmt: skip
        text = text.replace(old, new)
    return text


class CleanPrompt:
    """Every text alone, without padding; sentences cut to so many tokens."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def ids(self, text):
        cut = self.tokenizer(text, add_special_tokens=False)["input_ids"][: OPTIONS["max_sentence_tokens"]]
        text = self.tokenizer.decode(cut, clean_up_tokenization_spaces=False)
        return self.tokenizer(TEMPLATE.format(text + "\nSummary above sentence in one word: "))["input_ids"]

    def embed(self, model, rows):
        texts = [row[column] for column in range(3) for row in rows]
        states = []
        for text in texts:
            ids = torch.tensor([self.ids(text)])
            states.append(model(input_ids=ids).last_hidden_state[0, -1])
        return torch.stack(states)


class PaperCodePrompt:
    """The published script: its template without underscores, its padding and its mask."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def ids(self, text):
        cut = self.tokenizer(text, add_special_tokens=False)["input_ids"][: OPTIONS["max_sentence_tokens"]]
        text = clean_up(self.tokenizer.decode(cut, clean_up_tokenization_spaces=False))
        template = TEMPLATE.format("{}\nSummary above sentence in one word:").replace("_", " ")
        return self.tokenizer(template.format(text).strip())["input_ids"]

    def padded(self, rows):
        """Ids, one width for anchors, positives and negatives, left-padded."""
        eos = self.tokenizer.eos_token_id
        columns = []
        for column, pad in ((0, eos), (1, 0), (2, eos)):
            ids = [self.ids(row[column]) for row in rows]
            width = math.ceil(max(map(len, ids)) / 8) * 8
            columns.append([[pad] * (width - len(one)) + one for one in ids])
        width = max(len(column[0]) for column in columns)
        return torch.tensor([[eos] * (width - len(one)) + one for column in columns for one in column])

    def embed(self, model, rows):
        ids = self.padded(rows)
        positions = torch.arange(ids.shape[1]).expand_as(ids)
        states = model(input_ids=ids, attention_mask=(ids > 0).long(), position_ids=positions)
        return states.last_hidden_state[:, -1]


# ---------------------------------------------------------------------------------- training


class LoraLinear(torch.nn.Module):
    def __init__(self, base, a, b):
        super().__init__()
        self.base = base
        self.a, self.b = torch.nn.Parameter(a.clone()), torch.nn.Parameter(b.clone())

    def forward(self, x):
        return self.base(x) + (OPTIONS["lora_alpha"] / OPTIONS["lora_rank"]) * (x @ self.a.T) @ self.b.T


def load_language_model():
    config = json.loads((MODEL / "config.json").read_text())
    model = build(config)
    weights = safetensors.torch.load_file(MODEL / "model.safetensors")
    keys = memory_keys(model)
    missing, unexpected = model.load_state_dict({keys[k]: v for k, v in weights.items()}, strict=False)
    assert not unexpected and all("lm_head" in key for key in missing), (missing, unexpected)
    model.requires_grad_(False)
    return model.model.language_model


def initial_adapter(model):
    """Under PEFT's names; B is not zero, so that the first step has gradients everywhere."""
    generator = torch.Generator().manual_seed(SEED)
    tensors = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            prefix = f"base_model.model.language_model.model.{name}"
            rank = OPTIONS["lora_rank"]
            a = torch.randn(rank, module.in_features, generator=generator) / math.sqrt(module.in_features)
            b = torch.randn(module.out_features, rank, generator=generator) * 0.05
            tensors[f"{prefix}.lora_A.weight"], tensors[f"{prefix}.lora_B.weight"] = a, b
    return tensors


def put_adapter(model, tensors):
    parameters = {}
    for name, module in list(model.named_modules()):
        if not isinstance(module, torch.nn.Linear):
            continue
        prefix = f"base_model.model.language_model.model.{name}"
        lora = LoraLinear(module, tensors[f"{prefix}.lora_A.weight"], tensors[f"{prefix}.lora_B.weight"])
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, lora)
        parameters[f"{prefix}.lora_A.weight"], parameters[f"{prefix}.lora_B.weight"] = lora.a, lora.b
    return parameters


def info_nce(states):
    anchors, positives, negatives = torch.nn.functional.normalize(states.view(3, -1, states.shape[-1]), dim=-1)
    logits = torch.cat([anchors @ positives.T, anchors @ negatives.T], 1) / OPTIONS["temperature"]
    return torch.nn.functional.cross_entropy(logits, torch.arange(len(anchors)))


def rate_factor(step, total):
    """Of step `step`, from 0."""
    warmup = OPTIONS["warmup_steps"]
    return step / warmup if step < warmup else max(0.0, (total - step) / (total - warmup))


def train(prompt_class, tokenizer, triplets):
    model = load_language_model()
    parameters = put_adapter(model, initial_adapter(model))
    prompt = prompt_class(tokenizer)
    optimizer = torch.optim.AdamW(parameters.values(), lr=0.0, weight_decay=0.0)
    batch, micro = OPTIONS["batch_size"], OPTIONS["micro_batch_size"]
    per_epoch = len(triplets) // batch
    total = per_epoch * OPTIONS["epochs"]
    result = {"losses": [], "rates": [], "grad_norms": []}
    for step in range(total):
        rows = triplets[step % per_epoch * batch :][:batch]
        parts = [prompt.embed(model, rows[at : at + micro]) for at in range(0, batch, micro)]
        # anchors of all parts, then positives, then negatives
        states = torch.cat([part[column * micro :][:micro] for column in range(3) for part in parts])
        loss = info_nce(states)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            result["gradients"] = {name: p.grad.clone() for name, p in parameters.items()}
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), OPTIONS["max_grad_norm"])
        rate = OPTIONS["learning_rate"] * rate_factor(step, total)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        result["losses"].append(loss.item())
        result["rates"].append(rate)
        result["grad_norms"].append(norm.item())
    result["final"] = {name: p.detach().clone() for name, p in parameters.items()}
    result["ids"] = prompt.ids(triplets[0][0])
    return result


def versions():
    return {
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
        "safetensors": safetensors.__version__,
        "numpy": numpy.__version__,
    }


def write_adapter(folder, tensors):
    folder.mkdir(exist_ok=True)
    safetensors.torch.save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": OPTIONS["lora_rank"], "lora_alpha": OPTIONS["lora_alpha"], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")


def generate_steps():
    STEPS.mkdir(exist_ok=True)
    triplets = make_triplets()
    with open(STEPS / "triplets.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["sent0", "sent1", "hard_neg"])
        writer.writerows(triplets)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(MODEL)
    write_adapter(STEPS / "adapter", initial_adapter(load_language_model()))
    expected, modes = {}, {}
    for mode, prompt_class in (("clean", CleanPrompt), ("paper-code", PaperCodePrompt)):
        result = train(prompt_class, tokenizer, triplets)
        for kind in ("gradients", "final"):
            flat = [result[kind][name].flatten() for name in sorted(result[kind])]
            expected[f"{mode}.{kind}"] = torch.cat(flat)
        modes[mode] = {key: result[key] for key in ("losses", "rates", "grad_norms", "ids")}
        print(mode, [round(loss, 4) for loss in result["losses"]])
    safetensors.torch.save_file(expected, STEPS / "expected.safetensors")
    description = {
        "generator": "python3 tests/goldens/generate_train.py",
        "versions": versions(),
        "seed": SEED,
        "computed_in": "float32, eager attention, one thread",
        "model": "end_to_end_tiny",
        "options": OPTIONS,
        "modes": modes,
        "flat": "gradients of step 1 before clipping, and the final adapter: all tensors in the order of their names",
        "tolerance": {
            "loss_relative": 1e-4,
            "gradient_relative": 1e-3,
            "final_cosine": 0.9999,
            "why": "fp32 on both sides; Adam's division makes early differences of rounding grow with the steps.",
        },
    }
    (STEPS / "golden.json").write_text(json.dumps(description, indent=1) + "\n")


# ---------------------------------------------------------------------------------- NF4

NF4_VALUES = numpy.array(
    [
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
        -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
        0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
    ],
    numpy.float32,
)  # fmt: skip


def dynamic_map():
    """256 values: a sign, leading zeros for the power of ten, then a linear fraction."""
    values = [0.0, 1.0]
    for exponent in range(7):
        edges = torch.linspace(0.1, 1, 2**exponent + 1)
        middles = (edges[:-1] + edges[1:]) / 2
        positive = (10 ** (exponent - 6) * middles).tolist()
        values += positive + [-value for value in positive]
    return numpy.sort(numpy.array(values, numpy.float32))


def nearest(values, codebook):
    return numpy.abs(values[:, None] - codebook[None, :]).argmin(1).astype(numpy.uint8)


def quantize(weight):
    flat = numpy.pad(weight.ravel(), (0, -weight.size % 64)).reshape(-1, 64)
    absmax = numpy.abs(flat).max(1)
    scaled = flat * (numpy.float32(1) / numpy.maximum(absmax, numpy.float32(1e-30)))[:, None]
    codes = nearest(scaled.ravel(), NF4_VALUES)[: weight.size]
    pairs = numpy.pad(codes, (0, codes.size % 2)).reshape(-1, 2)
    packed = (pairs[:, 0] << 4 | pairs[:, 1]).astype(numpy.uint8)

    offset = numpy.float32(absmax.astype(numpy.float64).mean())
    centred = absmax - offset
    nested = numpy.array([numpy.abs(part).max() for part in numpy.split(centred, range(256, centred.size, 256))])
    scaled = centred * (numpy.float32(1) / nested.astype(numpy.float32)).repeat(256)[: centred.size]
    codebook = dynamic_map()
    absmax_codes = nearest(scaled, codebook)
    scales = codebook[absmax_codes] * nested.repeat(256)[: centred.size].astype(numpy.float32) + offset
    values = NF4_VALUES[codes] * scales.repeat(64)[: codes.size]
    return packed, absmax_codes, nested.astype(numpy.float32), offset, values.reshape(weight.shape)


def generate_nf4():
    NF4.mkdir(exist_ok=True)
    rng = numpy.random.default_rng(SEED)
    weight = (rng.standard_normal((130, 130)) * 0.02).astype(numpy.float32)  # 265 blocks, the last of 4 values
    weight[3, :7] *= 30  # outliers
    weight.ravel()[640:704] = 0  # one block of zeros
    packed, absmax, nested, offset, values = quantize(weight)
    safetensors.torch.save_file(
        {
            "weight": torch.from_numpy(weight),
            "codes": torch.from_numpy(packed),
            "absmax": torch.from_numpy(absmax),
            "nested_absmax": torch.from_numpy(nested),
            "offset": torch.tensor([offset]),
            "values": torch.from_numpy(values),
            "dynamic_map": torch.from_numpy(dynamic_map()),
        },
        NF4 / "expected.safetensors",
    )
    description = {
        "generator": "python3 tests/goldens/generate_train.py",
        "versions": versions(),
        "seed": SEED,
        "tolerance": {"relative": 3e-7, "why": "codes are equal; the last bit of a value is that of torch.linspace"},
    }
    (NF4 / "golden.json").write_text(json.dumps(description, indent=1) + "\n")


if __name__ == "__main__":
    generate_steps()
    generate_nf4()
