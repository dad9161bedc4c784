"""The same training step in transformers and torch, to stand beside `e5v train`'s metrics.jsonl.

    python3 benchmarks/train/peer_train_step.py [--steps 3] [--rows 48] [--tokens 32] [--dropout 0.05]
                                                [--no-checkpointing]

A language model of the 1b preset's shape in bf16 with random weights, LoRA of rank 64 by hand on all seven projections
(float32 masters, bf16 products), gradient checkpointing, AdamW; rows of three texts. Prints tokens per second of each
step and the process's peak memory.
"""

import argparse
import resource
import time

import torch
from transformers import LlamaConfig, LlamaModel


class LoraLinear(torch.nn.Module):
    def __init__(self, base, dropout, rank=64, alpha=16):
        super().__init__()
        self.base, self.dropout, self.scale = base, dropout, alpha / rank
        self.a = torch.nn.Parameter(torch.randn(rank, base.in_features) / base.in_features**0.5)
        self.b = torch.nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x):
        dropped = torch.nn.functional.dropout(x, self.dropout)
        return self.base(x) + dropped @ self.a.to(x.dtype).T @ (self.scale * self.b).to(x.dtype).T


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--dropout", type=float, default=0.05)
    parser.add_argument("--no-checkpointing", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=2048,
        intermediate_size=5632,
        num_hidden_layers=22,
        num_attention_heads=32,
        num_key_value_heads=4,
        vocab_size=32000,
    )
    with torch.device("meta"):
        model = LlamaModel(config).bfloat16()
    model = model.to_empty(device="cpu")
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    model.requires_grad_(False)
    model.rotary_emb = type(model.rotary_emb)(config)  # its buffers were emptied, too
    trained = []
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear):
            parent, _, last = name.rpartition(".")
            lora = LoraLinear(module, options.dropout)
            setattr(model.get_submodule(parent), last, lora)
            trained += [lora.a, lora.b]
    if not options.no_checkpointing:
        model.gradient_checkpointing_enable()
        model.enable_input_require_grads()
    model.train()
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    for step in range(options.steps):
        started = time.perf_counter()
        ids = torch.randint(3, 32000, (3 * options.rows, options.tokens))
        states = model(input_ids=ids).last_hidden_state[:, -1].float()
        anchors, positives, negatives = torch.nn.functional.normalize(states.view(3, options.rows, -1), dim=-1)
        logits = torch.cat([anchors @ positives.T, anchors @ negatives.T], 1) / 0.05
        loss = torch.nn.functional.cross_entropy(logits, torch.arange(options.rows))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"step {step + 1}: loss {loss.item():.4f}, {seconds:.1f} s, {ids.numel() / seconds:.1f} tokens/s, "
              f"peak {peak:.2f} GiB", flush=True)


if __name__ == "__main__":
    main()
