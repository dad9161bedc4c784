#!/usr/bin/env python3
"""Runs e5v, transformers and llama.cpp alternately on the same weights, writes a page of the results.

    e5v random-model --preset 1b --output /tmp/1b
    benchmarks/peers/compare.py --model /tmp/1b --runs /tmp/runs.jsonl --output page.md
    benchmarks/peers/compare.py … --python "conda run -n peers python3" --llama-bench "conda run -n peers llama-bench" \\
        --gguf 1b-BF16.gguf --gguf 1b-Q8_0.gguf --gguf 1b-Q4_0.gguf

--python is the command that starts a Python which has torch and transformers; make_gguf.py makes the files for
--gguf. Each program and row is a process of its own, and its result is added to --runs at once: what is broken
off (or ends after --max-minutes) goes on with the same command. Nothing else should run on the machine: the page
says what load it met.
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
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TEXTS = ["1x32", "32x32", "512x32", "1x512", "1x2048"]
PHOTOS = ["640x480", "8x640x480"]


class Program:
    """What is measured: its name, its rows, and how to run one of them."""

    def __init__(self, name, rows, run):
        self.name, self.rows, self.run = name, rows, run


def run_process(command):
    """The last line of output as JSON, and the most memory that the process held, in MB."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            sys.exit(f"{errors.read()[-2000:]}\n{shlex.join(command)}: ended with status {process.returncode}")
    return text, usage.ru_maxrss * 1024 / 1e6


def row_options(row):
    return ["--texts", row, "--photo", "none"] if row in TEXTS else ["--texts", "none", "--photo", row]


def e5v_program(args, precision):
    def run(row):
        text, memory = run_process([
            args.e5v, "bench", "--json", "--quiet", "--model", str(args.model), "--precision", precision,
            "--repetitions", str(args.repetitions), "--threads", str(args.threads), *row_options(row)])
        result = json.loads(text.strip().splitlines()[-1])
        m = result["measurements"][0]
        return {"tokens": m["tokens"], "times_ms": m["times_ms"], "memory_mb": memory,
                "gflop": m["gflop_per_s"] * m["median_ms"] / 1e3,
                "product_rate": result["product_rate_gflop_per_s"], "precision": precision}
    return Program(f"e5v {precision}", TEXTS + PHOTOS, run)


def transformers_program(args, precision):
    def run(row):
        command = [*shlex.split(args.python), str(HERE / "transformers_bench.py"), str(args.model),
                   "--precision", precision, "--threads", str(args.threads),
                   "--repetitions", str(args.repetitions), "--max-seconds", str(args.max_seconds),
                   *row_options(row)]
        text, memory = run_process(command)
        result = json.loads(text.strip().splitlines()[-1])
        m = result["measurements"][0]
        return {"tokens": m["tokens"], "times_ms": m["times_ms"], "memory_mb": memory,
                "version": result["program"]}
    return Program(f"transformers {precision}", TEXTS + PHOTOS, run)


def llama_program(args, gguf):
    # llama-bench knows one sequence only. For many short texts its best speed stands, that of 512 tokens at once.
    prompts = {"1x32": 32, "32x32": 512, "512x32": 512, "1x512": 512, "1x2048": 2048}

    def run(row):
        command = [*shlex.split(args.llama_bench), "-m", str(gguf), "-p", str(prompts[row]), "-n", "0",
                   "-t", str(args.threads), "-r", str(args.repetitions), "-o", "json"]
        text, memory = run_process(command)
        result = json.loads(text)[0]
        return {"tokens": prompts[row], "times_ms": [t / 1e6 for t in result["samples_ns"]],
                "memory_mb": memory, "version": f"llama.cpp {result['build_number']}"}
    return Program(f"llama.cpp {gguf.stem.rsplit('-', 1)[-1]}", TEXTS, run)


def programs_of(args):
    programs = [e5v_program(args, precision) for precision in args.precisions]
    if args.python:
        programs.append(transformers_program(args, args.peer_precision))
    programs += [llama_program(args, path) for path in args.gguf]
    return programs


def read_runs(path):
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def measure(args, programs):
    """Adds what is missing to the runs, round by round, row by row, the programs in turn."""
    runs = read_runs(args.runs)
    done = {(r["round"], r["program"], r["row"]) for r in runs}
    begin = time.monotonic()
    for number in range(args.rounds):
        for row in args.rows:
            for program in programs:
                if row not in program.rows or (number, program.name, row) in done:
                    continue
                if any(program.name.startswith(p) and row == r for p, r in args.skip):
                    continue
                if time.monotonic() - begin > 60 * args.max_minutes:
                    return runs, False
                load = os.getloadavg()[0]
                print(f"round {number + 1} of {args.rounds}: {row}, {program.name}", file=sys.stderr)
                result = {"round": number, "program": program.name, "row": row, "load": load,
                          "date": datetime.date.today().isoformat(), **program.run(row)}
                runs.append(result)
                with open(args.runs, "a") as file:
                    file.write(json.dumps(result) + "\n")
    return runs, True


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


class Table:
    """The runs of all rounds together."""

    def __init__(self, runs):
        self.cells = {}
        for run in runs:
            self.cells.setdefault((run["program"], run["row"]), []).append(run)
        self.programs = list(dict.fromkeys(run["program"] for run in runs))

    def milliseconds(self, program, row):
        cell = self.cells.get((program, row))
        return [t for run in cell for t in run["times_ms"]] if cell else None

    def speed(self, program, row):
        """Tokens a second, by the median of all repetitions."""
        times = self.milliseconds(program, row)
        return self.cells[program, row][0]["tokens"] / statistics.median(times) * 1e3 if times else None

    def memory(self, program):
        cells = [run["memory_mb"] for (name, _), cell in self.cells.items() if name == program for run in cell]
        return max(cells)

    def rates(self):
        """The best product rate of each precision that any run met, in GFLOP/s."""
        rates = {}
        for cell in self.cells.values():
            for run in cell:
                if "product_rate" in run:
                    rates[run["precision"]] = max(rates.get(run["precision"], 0), run["product_rate"])
        return rates


def page(args, runs):
    table, rows = Table(runs), [r for r in args.rows if any(run["row"] == r for run in runs)]
    versions = sorted({run["version"] for run in runs if "version" in run})
    loads = [run["load"] for run in runs]
    rates = table.rates()
    dates = sorted({run["date"] for run in runs})
    lines = [
        f"# e5v and its peers, {dates[-1]}", "",
        f"{processor()}, {args.threads} threads; {', '.join(versions)}; model folder `{args.model.name}`.",
        f"{max(r['round'] for r in runs) + 1} rounds, alternating; tokens a second by the median of all repetitions.",
        f"Load average at the start of each run: {min(loads):.1f} to {max(loads):.1f}.",
        "Products alone, the best of all runs: "
        + ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in sorted(rates.items())) + ".", "",
        "| tokens/s | tokens | " + " | ".join(table.programs) + " |", "|---|---|" + "---|" * len(table.programs)]
    for row in rows:
        tokens = next((table.cells[p, row][0]["tokens"] for p in table.programs if (p, row) in table.cells), "")
        speeds = [table.speed(p, row) for p in table.programs]
        name = row if row in TEXTS else f"photo {row}"
        lines.append(f"| {name} | {tokens} | " + " | ".join(f"{s:.0f}" if s else "—" for s in speeds) + " |")
    lines.append("| peak memory, MB | | " + " | ".join(f"{table.memory(p):.0f}" for p in table.programs) + " |")

    ours = [p for p in table.programs if p.startswith("e5v")]
    lines += ["", "| e5v | of the product rate | fastest to slowest, ms | beside transformers | beside llama.cpp's best |",
              "|---|---|---|---|---|"]
    for program in ours:
        for row in rows:
            if (program, row) not in table.cells:
                continue
            times, run = table.milliseconds(program, row), table.cells[program, row][0]
            fraction = run["gflop"] / statistics.median(times) * 1e3 / rates[run["precision"]]

            def beside(prefix):
                peers = [table.speed(p, row) for p in table.programs if p.startswith(prefix)]
                best = max((s for s in peers if s), default=None)
                return f"{table.speed(program, row) / best:.2f}x" if best else "—"
            lines.append(f"| {program.removeprefix('e5v ')}, {row} | {100 * fraction:.0f} % "
                         f"| {min(times):.0f} to {max(times):.0f} | {beside('transformers')} | {beside('llama.cpp')} |")
    command = ["benchmarks/peers/compare.py", "--model", args.model.name, "--rounds", str(args.rounds),
               "--repetitions", str(args.repetitions), "--rows", *args.rows]
    lines += ["", "Speed does not depend on the values of weights: those of `e5v random-model` are random. llama-bench",
              "measures one sequence only; its speed with 512 tokens stands beside 32x32 and 512x32. Its files are the",
              "language model alone; e5v and transformers hold the vision tower too.", "", "Command:", "",
              "    " + shlex.join(command), ""]
    return "\n".join(lines)


def skip_rule(text):
    program, _, row = text.partition(":")
    return program, row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--runs", type=pathlib.Path, required=True, help="file of results, added to and continued")
    parser.add_argument("--e5v", default="build/release/e5v")
    parser.add_argument("--python", default=os.environ.get("E5V_PEERS_PYTHON", ""),
                        help="a Python with transformers; without it transformers is left out")
    parser.add_argument("--llama-bench", default="llama-bench")
    parser.add_argument("--gguf", type=pathlib.Path, action="append", default=[], help="NAME-TYPE.gguf; repeated")
    parser.add_argument("--precisions", nargs="*", default=["int8", "bf16"], help="of e5v")
    parser.add_argument("--peer-precision", choices=["fp32", "bf16"], default="bf16", help="of transformers")
    parser.add_argument("--rows", nargs="*", default=TEXTS + PHOTOS)
    parser.add_argument("--skip", nargs="*", type=skip_rule, default=[], help="PROGRAM:ROW, not run")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--max-seconds", type=float, default=60,
                        help="transformers stops repeating a row after so long (one repetition at least)")
    parser.add_argument("--max-minutes", type=float, default=1e9, help="begin nothing new after so long")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--output", type=pathlib.Path, help="page to write; without it to stdout")
    args = parser.parse_args()
    unknown = [r for r in args.rows if r not in TEXTS + PHOTOS]
    if unknown:
        parser.error(f"rows are {', '.join(TEXTS + PHOTOS)}, not {', '.join(unknown)}")

    runs, complete = measure(args, programs_of(args))
    if not runs:
        sys.exit("nothing was measured")
    text = page(args, runs)
    if args.output:
        args.output.write_text(text)
    else:
        print(text)
    if not complete:
        sys.exit("not all rows are measured yet: the same command goes on")


if __name__ == "__main__":
    main()
