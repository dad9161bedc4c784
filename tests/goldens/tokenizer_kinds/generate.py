"""Trains one tiny tokenizer of each supported kind and writes down what the reference makes of tricky texts.

    python3 generate.py        (in this folder; needs Hugging Face tokenizers)

Writes <kind>.tokenizer.json and <kind>.ids.json for each kind, strings.json and golden.json.
The text below and the strings are our own.
"""

import json
import random
import unicodedata

import tokenizers
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

SEED = 20240712

TEXT = """
A photo tells what the words around it leave out. The tower keeps the grey light of the morning.
Two dogs run along the beach; one of them carries a stick, the other one barks at the waves.
She doesn't know whether they've left, but he'll call her and they're sure it's fine. I'd say I'm late.
In 2024 we counted 1234 birds, 56 boats and 7 bicycles within 3.5 kilometres of the old harbour.
Summary above sentence in one word: and then the image is described in one word, based on its style.
The quick embedding of a sentence, an image, or an image with a sentence; all three share one space.
Der Hund läuft über die Brücke, während das Mädchen am Fluss sitzt und ein Buch über Vögel liest.
Le garçon mange une pêche près de la fenêtre ; dehors, la forêt est déjà dans la brume du soir.
El niño juega en la playa con una pelota roja. ¿Dónde está la estación? ¡Mañana será otro día!
Кошка сидит на окне и смотрит на снег. Η γάτα κοιμάται στον ήλιο, δίπλα στη θάλασσα.
一只猫坐在窗边看雪。海の近くで犬が走っている。고양이가 창가에 앉아 눈을 본다.
for (int i = 0; i < n; ++i) { sum += values[i] * 2; }  // a loop, as one writes it
def embed(text):\n    return model(text)[-1]\n
https://example.org/pictures?id=42&size=large#top  name_with_underscores  CamelCaseWords  ALLCAPS
""".strip().replace("\\n", "\n").split("\n")

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"

BYTES = [f"<0x{b:02X}>" for b in range(256)]


def train(tokenizer, **options):
    options.setdefault("vocab_size", 600)
    tokenizer.train_from_iterator(TEXT, trainers.BpeTrainer(show_progress=False, **options))
    return tokenizer


def rebuilt(tokenizer, **changes):
    """The tokenizer with fields of its model changed, which training cannot set."""
    state = json.loads(tokenizer.to_str())
    state["model"].update(changes)
    return Tokenizer.from_str(json.dumps(state))


def byte_level(pattern, normalizer=None):
    tokenizer = Tokenizer(models.BPE())
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    return train(tokenizer, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def llama3():
    tokenizer = byte_level(LLAMA3)
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"])
    tokenizer.add_tokens([AddedToken("<mark>", normalized=True)])
    bos = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", bos)])
    # A word of the vocabulary that no merge leads to shows what ignore_merges does.
    state = json.loads(tokenizer.to_str())
    vocab = state["model"]["vocab"]
    merges = [m for m in state["model"]["merges"] if "".join(m) != "Ġimage"]
    return rebuilt(tokenizer, ignore_merges=True, merges=merges, vocab=vocab)


def qwen2():
    tokenizer = byte_level(QWEN2, normalizers.NFC())
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return tokenizer


def gpt2():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.add_special_tokens([AddedToken("<|endoftext|>", lstrip=True, special=True)])
    tokenizer.add_tokens([AddedToken("mark", single_word=True), AddedToken("##", rstrip=True, normalized=False)])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def spm_prepend():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    # Words are cut only for training, so that no piece holds a ▁ behind a letter.
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    train(tokenizer, vocab_size=800, special_tokens=["<unk>", "<s>", "</s>"] + BYTES)
    state = json.loads(tokenizer.to_str())
    state["pre_tokenizer"] = None
    state["added_tokens"] = [t for t in state["added_tokens"] if not t["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.add_special_tokens([AddedToken("<|end|>", rstrip=True, special=True, normalized=False)])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return tokenizer


def spm_metaspace():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    train(tokenizer, special_tokens=["<unk>", "<s>", "</s>"])
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    tokenizer.add_tokens([AddedToken("<mark>", normalized=True)])
    return tokenizer


def clip():
    tokenizer = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>",
                                     continuing_subword_prefix=""))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(CLIP), "removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    train(tokenizer, initial_alphabet=alphabet, end_of_word_suffix="</w>", vocab_size=900)
    state = json.loads(tokenizer.to_str())
    vocab = state["model"]["vocab"]
    for token in sorted(c + "</w>" for c in alphabet) + ["<|startoftext|>", "<|endoftext|>"]:
        vocab.setdefault(token, len(vocab))
    for token, normalized in (("<|startoftext|>", True), ("<|endoftext|>", False)):
        state["added_tokens"].append({"id": vocab[token], "content": token, "single_word": False, "lstrip": False,
                                      "rstrip": False, "normalized": normalized, "special": True})
    state["post_processor"] = {"type": "RobertaProcessing", "sep": ["<|endoftext|>", vocab["<|endoftext|>"]],
                               "cls": ["<|startoftext|>", vocab["<|startoftext|>"]],
                               "trim_offsets": False, "add_prefix_space": False}
    return Tokenizer.from_str(json.dumps(state))


def mixed():
    """The remaining steps, in one tokenizer that nobody would use."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Strip(), normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("contiguous"),
        pre_tokenizers.Digits(individual_digits=True)])
    train(tokenizer, special_tokens=["[UNK]", "[SEP]"], continuing_subword_prefix="##", end_of_word_suffix="</w>")
    # In its normalized form, because versions of the reference differ in how they decode another one.
    tokenizer.add_tokens([AddedToken("mark", normalized=True), AddedToken("[IMG]", lstrip=True, rstrip=True,
                                                                        normalized=False)])
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    return tokenizer


KINDS = [llama3, qwen2, gpt2, spm_prepend, spm_metaspace, clip, mixed]

STRINGS = [
    "", " ", "  ", "\n", "\r\n", "\t", "a", " a", "a ", "Hello, world!", "don't DON'T I'll we've you're it's 'S 's's",
    "\u017f's 'ſ K\u212a'ſt ’s", "<|eot_id|>", "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>", "<image>",
    "<mark>", "a<mark>b <mark> c", "mark marks mark, remark mark", "## a##   b ##", "MARK mark Mark", "[IMG] [IMG]x",
    " [IMG]\n[SEP] [UNK]", "<s>", "</s>", "a</s>b", "<unk>x", "<|endoftext|>", "a <|endoftext|> b", "<|startoftext|>a",
    "<|STARTOFTEXT|>", "<|im_start|>user\nhi<|im_end|>", "<|eot_id", "|eot_id|>", "<|eot_id|", "<<mark>>", "<mar",
    "<|end|> \n x", "a <|end|>   b", "</s>  \t\n x", "<s> a", " <s>", " ▁a", "▁", "▁▁a ▁b", "Ġ", "Ġa Ċ ĉ", "</w>",
    "a</w> b", "<0x0A>", "<0x41>b", "<0xG1>", "image images an image", "日本語のテキスト", "中文字符测试", "한국어 텍스트 각",
    "العربية نص", "עברית", "हिन्दी पाठ", "ไทยข้อความ", "Ελληνικά ΣΑΣ σας", "Русский текст", "Türkçe İstanbul ıI",
    "straße ẞ", "naïve café cafe\u0301 e\u0301\u0316 \u0316\u0301e", "ﬁ ﬂ ﬆ", "①②③ ⅷ ½ ٣٤٥ १२३",
    "🤗 👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👍🏽", "𝔾𝕠𝕠𝕕 𝟘𝟙", "\u200b\u200d\ufeff\u180e\u00a0\u2003\u3000x\u2028y\u2029z\x85w", "a\x00b",
    "\x01\x02\x7f\x1b[0m", "\u0301\u0302", "\u1100\u1161\u11a8", "\u00c5\u212b\u0041\u030a", "ǅ ǆ Ǆ", "\ud7a3",
    "\U0010ffff\U000e0001", "\ufffd\ufffe", "x" * 300, "ab" * 200, " " * 150, "\n" * 70, " \n" * 40, "a" + " " * 50 + "b",
    "1234567890" * 9, "!?" * 70, "===----....,,,,", "http://example.com/a?b=c&d=%20#e",
    "def f(x):\n\treturn x + 1  # c\n\n\n    pass\n", "{\"a\": [1, 2.5e-3, null]}", "$100,000.00 50% #1 @me a_b __init__",
    "[INST] hi [/INST]", "USER: <image>\nWhat? ASSISTANT:", "Summary above sentence in one word: ", "\n\n \n",
]


def random_strings(count):
    """Texts glued together from what tends to go wrong."""
    rng = random.Random(SEED)
    ranges = [(0, 0x250), (0x2b0, 0x580), (0x600, 0x650), (0x900, 0x970), (0xe00, 0xe50), (0x1100, 0x1120),
              (0x1e00, 0x2100), (0x2580, 0x25a0), (0x3000, 0x30ff), (0x4e00, 0x4e40), (0xac00, 0xac40),
              (0xfb00, 0xfb10), (0x1f600, 0x1f640)]
    characters = [chr(c) for r in ranges for c in range(*r) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    pieces = [" ", "  ", "\n", "\r\n", "\t", "a", "the ", "<|eot_id|>", "<mark>", "<s>", "</s>", "<|endoftext|>",
              "<|end|>", "<", "|>", "'s", "'LL", "12", "▁", "\u0301", ".", "...", " (", "mark", "##", "[IMG]", "image"]
    return ["".join(rng.choice(pieces) if rng.random() < 0.5 else rng.choice(characters)
                    for _ in range(rng.randint(1, 25))) for _ in range(count)]


def lines_of(values):
    return "[\n" + ",\n".join(json.dumps(v, ensure_ascii=True, separators=(",", ":")) for v in values) + "\n]\n"


def main():
    strings = STRINGS + random_strings(200)
    with open("strings.json", "w") as file:
        file.write(lines_of(strings))
    for kind in KINDS:
        tokenizer = kind()
        state = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
        with open(f"{kind.__name__}.tokenizer.json", "w") as file:
            file.write(state)
        tokenizer = Tokenizer.from_str(state)
        entries = []
        for string in strings:
            tokenizer.encode_special_tokens = False
            ids = tokenizer.encode(string).ids
            tokenizer.encode_special_tokens = True
            entries.append({
                "ids": ids,
                "ids_without_control": tokenizer.encode(string, add_special_tokens=False).ids,
                "decoded": tokenizer.decode(ids, skip_special_tokens=False),
                "decoded_without_special": tokenizer.decode(ids, skip_special_tokens=True),
            })
        with open(f"{kind.__name__}.ids.json", "w") as file:
            file.write(lines_of(entries))
    with open("golden.json", "w") as file:
        json.dump({
            "generator": "python3 generate.py",
            "versions": {"tokenizers": tokenizers.__version__},
            "seed": SEED,
            "dtype": "token ids",
            "tolerance": 0,
            "why": "Token ids and decoded text are exact: one other id is another embedding.",
            "kinds": [kind.__name__ for kind in KINDS],
        }, file, indent=2)
        file.write("\n")


main()
