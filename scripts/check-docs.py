#!/usr/bin/env python3
"""Runs the commands of docs/search.md and docs/server.md and compares what they print with what the pages say.

    scripts/check-docs.py            fails where a page says something else
    scripts/check-docs.py --write    makes the pages say what was printed

A ```sh block is run; if a ```json or ```text block follows it, that is what it prints. Blocks after a line
`<!-- not run -->` are passed over. All blocks of both pages run in one shell, in order, in the root of the project, with
/tmp/ as a folder of their own and port 8080 as a free one. Numbers may differ in their last digits, and times and ids
altogether: another machine computes with other instructions. E5V is the program (build/release/e5v). Standard library
only; needs bash, curl, base64.
"""
import difflib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGES = ["docs/search.md", "docs/server.md"]
BLOCK = re.compile(r"(?P<skip><!-- not run -->\n)?```(?P<language>sh|json|text)\n(?P<body>.*?)```\n", re.S)
SHOWN_ROOT = "/home/me/e5v"
TOLERANCE = 0.02


def short(value):
    """Long lists of numbers and long strings, as a page shows them."""
    if isinstance(value, dict):
        return {key: short(inner) for key, inner in value.items()}
    if isinstance(value, list):
        is_numbers = all(isinstance(inner, (int, float)) for inner in value)
        if is_numbers and len(value) > 4:
            return [short(inner) for inner in value[:3]] + ["…"]
        return [short(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.3g}")
    if isinstance(value, str) and len(value) > 60 and " " not in value and "/" not in value[:2]:
        return value[:24] + "…"
    return value


def pretty(value, indent=0):
    """JSON, in one line where there is room."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= 110 or not isinstance(value, (dict, list)) or not value:
        return line
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        inner = [f"{json.dumps(key)}: {pretty(v, indent + len(key) + 5)}" for key, v in value.items()]
        return "{" + (",\n" + pad).join(inner) + "}"
    return "[" + (",\n" + pad).join(pretty(v, indent + 1) for v in value) + "]"


def differences(expected, got, place="$"):
    """Where two JSON values differ by more than a machine's rounding."""
    key = place.rsplit(".", 1)[-1]
    if key in ("took_ms", "mtime", "id", "sha256"):
        return []
    both = (expected, got)
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in both):
        small = abs(expected - got) <= (2 if place.endswith("]") and isinstance(got, int) else TOLERANCE)
        return [] if small else [f"{place}: {expected} in the page, {got} now"]
    if isinstance(expected, dict) and isinstance(got, dict) and expected.keys() == got.keys():
        return [d for name in expected for d in differences(expected[name], got[name], f"{place}.{name}")]
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        return [d for i in range(len(got)) for d in differences(expected[i], got[i], f"{place}[{i}]")]
    if isinstance(expected, str) and isinstance(got, str) and expected.endswith("…") and got.endswith("…"):
        return []
    return [] if expected == got else [f"{place}: {expected!r} in the page, {got!r} now"]


def without_numbers(text):
    return re.sub(r"\d+(\.\d+)?", "0", text)


def run_pages(texts, work):
    """The output of each block, by page and number."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    script = ["set -euo pipefail", 'trap \'kill $(jobs -p) 2>/dev/null; wait\' EXIT']
    outputs = {}
    for page, text in texts.items():
        for number, match in enumerate(BLOCK.finditer(text)):
            if match["language"] != "sh" or match["skip"]:
                continue
            body = match["body"].replace("8080", port).replace("/tmp/", work + "/")
            body = body.replace("e5v serve ", f"e5v serve --port {port} ")
            out = f"{work}/out-{len(outputs)}"
            outputs[page, number] = out
            script.append(f"echo '--- {page}, block {number}' >&2\n{{\n{body}\n}} >{out}")
            if "e5v serve" in body:
                script.append(f"for _ in $(seq 300); do curl -sf http://127.0.0.1:{port}/health >{out}.health && break; "
                              "sleep 0.1; done")
    program = os.path.abspath(os.environ.get("E5V", os.path.join(ROOT, "build/release/e5v")))
    folder = os.path.join(work, "bin")
    os.mkdir(folder)
    os.symlink(program, os.path.join(folder, "e5v"))
    environment = {**os.environ, "PATH": folder + ":" + os.environ["PATH"]}
    result = subprocess.run(["bash", "-c", "\n".join(script)], cwd=ROOT, env=environment, text=True,
                            stderr=subprocess.PIPE)
    if result.returncode != 0:
        sys.exit(f"check-docs.py: a command failed; what it said:\n{result.stderr}")
    printed = {}
    for place, path in outputs.items():
        with open(path, encoding="utf-8") as file:
            text = file.read()
        printed[place] = text.replace(ROOT, SHOWN_ROOT).replace(work + "/", "/tmp/").replace(port, "8080")
    return printed


def shown(language, output):
    if language == "text":
        return output
    return "\n".join(pretty(short(json.loads(line))) for line in output.splitlines() if line) + "\n"


def is_same(language, expected, output):
    if language == "text":
        return without_numbers(expected) == without_numbers(output)
    try:
        old, new = json.loads(expected), short(json.loads(output))
    except json.JSONDecodeError:
        return False
    found = differences(old, new)
    for line in found:
        print("  " + line)
    return not found


def main():
    write = sys.argv[1:] == ["--write"]
    texts = {page: open(os.path.join(ROOT, page), encoding="utf-8").read() for page in PAGES}
    with tempfile.TemporaryDirectory() as work:
        printed = run_pages(texts, work)
    num_compared, num_wrong = 0, 0
    for page, text in texts.items():
        matches = list(BLOCK.finditer(text))
        for number in reversed(range(1, len(matches))):
            command, answer = matches[number - 1], matches[number]
            follows = not text[command.end():answer.start()].strip()
            if answer["language"] == "sh" or (page, number - 1) not in printed or not follows:
                continue
            num_compared += 1
            output = printed[page, number - 1]
            if is_same(answer["language"], answer["body"], output):
                continue
            num_wrong += 1
            new = shown(answer["language"], output)
            print(f"{page}, after: {command['body'].strip().splitlines()[-1][:100]}")
            print("\n".join(difflib.unified_diff(answer["body"].splitlines(), new.splitlines(), "page", "now", "", "")))
            text = text[:answer.start("body")] + new + text[answer.end("body"):]
        if write:
            with open(os.path.join(ROOT, page), "w", encoding="utf-8") as file:
                file.write(text)
    print(f"{num_compared} answers compared, {num_wrong} differ" + (", written" if write and num_wrong else ""))
    sys.exit(1 if num_wrong and not write else 0)


main()
