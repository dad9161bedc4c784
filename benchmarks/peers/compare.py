#!/usr/bin/env python3
"""Runs e5v and transformers alternately on the same model folder, writes a page of the results.

    e5v random-model --preset 1b --output /tmp/1b
    benchmarks/peers/compare.py --model /tmp/1b --e5v build/release/e5v --output page.md
    benchmarks/peers/compare.py … --python "conda run -n peers python3"

--python is the command that starts a Python which has torch and transformers. Nothing else should run
on the machine: the page says what load it met.
"""

import argparse
import datetime
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def run_json(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


def pooled(runs):
    """Median over the repetitions of all rounds, for each workload."""
    times, tokens = {}, {}
    for run in runs:
        for m in run["measurements"]:
            times.setdefault(m["name"], []).extend(m["times_ms"])
            tokens[m["name"]] = m["tokens"]
    return {name: (tokens[name], statistics.median(t), min(t), max(t)) for name, t in times.items()}


def page(args, ours, peers, loads):
    our_results, peer_results = pooled(ours), pooled(peers)
    rate = max(run["product_rate_gflop_per_s"] for run in ours)
    gflop = {m["name"]: m["gflop_per_s"] * m["median_ms"] for m in ours[0]["measurements"]}
    lines = [
        f"# e5v and transformers, {args.precision}, {datetime.date.today().isoformat()}",
        "",
        f"{processor()}, {args.threads} threads; {peers[0]['program']}; model folder `{args.model.name}`",
        f"({args.rounds} rounds, alternating, {args.repetitions} repetitions each: medians of all; the "
        "spread is fastest to slowest).",
        f"Load average at the start of each run: {', '.join(f'{x:.1f}' for x in loads)}.",
        f"Matrix products alone, measured by `e5v bench` in the same runs: {rate:.0f} GFLOP/s.",
        "",
        "| | tokens | e5v ms (spread) | tokens/s | of product rate | transformers ms (spread) | tokens/s "
        "| e5v is faster by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, (tokens, ms, low, high) in our_results.items():
        peer_tokens, peer_ms, peer_low, peer_high = peer_results[name]
        speed, peer_speed = tokens / ms * 1e3, peer_tokens / peer_ms * 1e3
        lines.append(
            f"| {name} | {tokens} | {ms:.0f} ({low:.0f}–{high:.0f}) | {speed:.0f} "
            f"| {100 * gflop[name] / ms / rate:.0f} % | {peer_ms:.0f} ({peer_low:.0f}–{peer_high:.0f}) "
            f"| {peer_speed:.0f} | {speed / peer_speed:.2f}x |")
    command = ["benchmarks/peers/compare.py", "--model", args.model.name, "--precision", args.precision,
               "--rounds", str(args.rounds), "--repetitions", str(args.repetitions),
               "--photo", args.photo, "--texts", *args.texts]
    lines += ["", "Speed does not depend on the values of weights: those of `e5v random-model` are random.",
              "", "Command:", "", "    " + shlex.join(command), ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--e5v", default="build/release/e5v")
    parser.add_argument("--python", default=os.environ.get("E5V_PEERS_PYTHON", "python3"))
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--texts", nargs="*", default=["1x32", "32x32", "1x512", "1x2048"])
    parser.add_argument("--photo", default="640x480")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--output", type=pathlib.Path, help="page to write; without it to stdout")
    args = parser.parse_args()

    common = ["--precision", args.precision, "--photo", args.photo, "--repetitions",
              str(args.repetitions), "--threads", str(args.threads)]
    for shape in args.texts:
        common += ["--texts", shape]
    ours, peers, loads = [], [], []
    for round_number in range(args.rounds):
        print(f"round {round_number + 1} of {args.rounds}: e5v", file=sys.stderr)
        loads.append(os.getloadavg()[0])
        ours.append(run_json([args.e5v, "bench", "--json", "--quiet", "--model", str(args.model),
                              *common]))
        print(f"round {round_number + 1} of {args.rounds}: transformers", file=sys.stderr)
        loads.append(os.getloadavg()[0])
        peers.append(run_json([*shlex.split(args.python), str(HERE / "transformers_bench.py"),
                               str(args.model), *common]))
    text = page(args, ours, peers, loads)
    if args.output:
        args.output.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
