#!/usr/bin/env python3
"""Makes one page of what scripts/reproduce-claims.sh has measured: each claim of the paper, whether it holds here,
plots, and examples as pictures.

    scripts/claims-page.py build/claims

Reads the reports in that folder and writes its index.html, which needs no other file. Prints, in Markdown, the tables
that no report of `e5v eval` has: what tuning costs, and the words that embeddings stand for. What was not measured is
left out. Verdicts are computed: a difference counts where its 95 % interval lies on one side of 0. E5V is the program
(build/release/e5v). Standard library only.
"""
import base64
import datetime
import functools
import json
import os
import re
import statistics
import subprocess
import sys
from collections import namedtuple
from html import escape
from pathlib import Path

from html_plots import bars, forest, lighter_plane, picture, signed, table, thumbnail

ROOT = Path(__file__).resolve().parent.parent
E5V = os.environ.get("E5V", str(ROOT / "build/release/e5v"))

Figure = namedtuple("Figure", "value low high")
Difference = namedtuple("Difference", "group label value low high")
Claim = namedtuple("Claim", "text kind detail")
Section = namedtuple("Section", "title claims body")

# What is to be known of a gallery; those that are not named here follow by their names.
GALLERIES = {
    "rand": "Scenes drawn at random, no two the same; the captions of some are of the very same words.",
    "distinct": "As rand, but no two captions are of the same words.",
    "hard": "Four scenes each have captions of the very same words, so that a bag of words is right once in four.",
}
DIRECTIONS = {"image_retrieval_recall@1": "words → picture", "text_retrieval_recall@1": "picture → words"}

# How far text-only tuning may be behind tuning on pictures, in points, and still be as good.
MARGIN = 1.0
# What share of the cost of tuning on pictures is small: the paper's is 4 %.
COST_SHARE = 0.1

# Class in the style, in a sentence of its own, within one.
VERDICTS = {
    "holds": ("good", "Holds here", "holds"),
    "part": ("mixed", "Holds in part", "in part"),
    "open": ("soft", "Not shown here", "not shown"),
    "reversed": ("bad", "Does not hold here", "does not hold"),
}

# What the page adds to the style of the reports.
STYLE = """
:root{--mixed:#9a6700}@media(prefers-color-scheme:dark){:root{--mixed:#e3b341}}
body{max-width:900px}h2{margin-top:52px}h3{font-size:15px;margin:24px 0 6px}a{color:var(--a)}
.good{color:var(--good)}.bad{color:var(--bad)}.mixed{color:var(--mixed)}
.claim{border-left:4px solid var(--line);background:var(--wash);padding:8px 14px;margin:10px 0 14px}
th{white-space:normal;vertical-align:bottom}th:first-child,td:first-child{padding-left:0}
.summary th,.summary td{white-space:normal;text-align:left;vertical-align:top}
.summary td:last-child{white-space:nowrap}
.plots figure{flex:1 1 300px;max-width:412px}.plots.planes figure{flex-basis:40%}.planes{gap:12px 24px}
.plots svg{display:block;width:100%;height:auto}.plots,.scroll{margin:12px 0}.key{white-space:nowrap}
svg text{paint-order:stroke;stroke:var(--paper);stroke-width:4px}svg text.ink{fill:var(--ink)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:16px;font-size:13px;margin:10px 0}
.cards.wide{grid-template-columns:repeat(auto-fill,minmax(250px,1fr))}.wide img{float:left;margin:0 10px 8px 0}
.cards img{width:96px;height:96px;display:block;image-rendering:pixelated}.cards .scroll{clear:both}
.cards td,.cards th{padding:1px 8px 1px 0;text-align:left}
.query{flex-wrap:wrap}.asked{flex:1 1 180px}.asked img{width:84px;height:84px;image-rendering:pixelated}
.found{flex:4 1 300px;min-width:0;flex-wrap:nowrap;gap:6px}
.item{flex:1 1 48px;min-width:0;max-width:96px;font-size:11px;line-height:1.3}
.item .box{min-height:0;margin-bottom:3px}.box img{width:100%;image-rendering:pixelated}
@media(max-width:500px){th,td{padding:4px;font-size:13px}.planes figcaption{font-size:11px}}
"""


@functools.cache
def compared(base, other):
    command = [E5V, "eval", "compare", base, other, "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["metrics"]


class Measured:
    """The folder that reproduce-claims.sh has filled: NAME/PART-SEED is a report, NAME/PART that of all seeds."""

    def __init__(self, folder):
        self.folder = folder
        found = {path.parent.name for path in folder.glob("prompt/*/results.json")}
        self.seeds = sorted(path.name for path in folder.glob("data/*") if path.name.isdigit())
        self.galleries = [name for name in GALLERIES if name in found] + sorted(
            name for name in found - {*GALLERIES, "composed"} if name.rpartition("-")[2] not in self.seeds)

    def has(self, *names):
        return all((self.folder / name).exists() for name in names)

    def json(self, name):
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def html(self, name):
        return (self.folder / name / "report.html").read_text(encoding="utf-8")

    def figure(self, name, metric):
        entry = self.json(f"{name}/results.json")["metrics"][metric]
        return Figure(entry["value"], entry.get("low"), entry.get("high"))

    def both_directions(self, name, of=""):
        return [self.figure(name, metric + of) for metric in DIRECTIONS]

    def difference(self, base, other, metric, group, label):
        """`other` minus `base` over the same queries, with its bootstrapped interval."""
        found = compared(self.folder / base, self.folder / other)[metric]["differences"][0]
        return Difference(group, label, found["value"], found["low"], found["high"])

    def differences(self, base, other):
        """Of every recall at 1 that both have."""
        columns = [(part, metric, f"{part}: {label}") for part in self.galleries
                   for metric, label in DIRECTIONS.items()]
        columns.append(("composed", "cirr_recall@1", "composed: picture + words → picture"))
        return [self.difference(f"{base}/{part}", f"{other}/{part}", metric, part, label)
                for part, metric, label in columns if self.has(f"{base}/{part}", f"{other}/{part}")]


def status(differences, margin=0.0):
    """Of the claim that all differences are above 0 (above minus the margin)."""
    if all(d.low + margin > 0 for d in differences):
        return "holds"
    return "reversed" if all(d.high + margin < 0 for d in differences) else "open"


def judged(text, differences, margin=0.0):
    """The claim that all differences are above 0, by groups: what is above 0 in half of a group only is not shown."""
    groups = {}
    for difference in differences:
        groups.setdefault(difference.group, []).append(difference)
    kinds = {group: status(members, margin) for group, members in groups.items()}
    agree = len(set(kinds.values())) == 1
    details = []
    for group, members in groups.items():
        ends = dict.fromkeys((signed(min(d.value for d in members)), signed(max(d.value for d in members))))
        details.append(f"{group} {' to '.join(ends)} points" + ("" if agree else f" ({VERDICTS[kinds[group]][2]})"))
    kind = kinds.popitem()[1] if agree else "part" if "holds" in kinds.values() else "reversed"
    return Claim(text, kind, ", ".join(details) + ".")


def prompt_section(measured):
    prompts = json.loads((ROOT / "recipes/shapes/prompts.json").read_text(encoding="utf-8"))
    plots, differences = "", []
    for part in measured.galleries:
        if not measured.has(f"prompts/{part}"):
            continue
        rows = [(prompt["name"], measured.both_directions(f"prompts/{part}", f"[{prompt['name']}]"))
                for prompt in prompts]
        plots += bars(rows, f"<b>{part}</b>: recall at 1 (%)", DIRECTIONS.values())
        for name, figures in rows[:-1]:
            # From end to end of the two intervals: wider than the interval of a difference over the same queries.
            differences += [
                Difference(part, name, best.value - other.value, best.low - other.high, best.high - other.low)
                for best, other in zip(rows[-1][1], figures)]
    claim = judged("the prompt alone, “Summary … in one word:”, brings texts and pictures together, before any tuning; "
                   "without “in one word” it does not.", differences)
    return Section("The prompt", [claim], f"<div class=plots>{plots}</div><p class=soft>The differences are those from "
                   "either of the others. Without a prompt, the embedding is the state of the last token of the bare "
                   "text or picture.</p>")


def texts_section(measured):
    differences = measured.differences("prompt", "texts")
    if not differences:
        return None
    claim = judged("tuning on texts alone makes pictures better, too.", differences)
    plot = forest(differences, "Recall at 1: tuned on texts minus the prompt alone, in points")
    return Section("Tuning on texts alone", [claim], f"<div class=plots>{plot}</div>")


def clip_section(measured):
    differences = measured.differences("clip", "texts")
    if not differences:
        return None
    systems = {"clip": "mini CLIP", "prompt": "E5-V, the prompt alone", "texts": "E5-V, tuned on texts"}
    plots = ""
    for part in measured.galleries:
        rows = [(label, measured.both_directions(f"{name}/{part}")) for name, label in systems.items()
                if measured.has(f"{name}/{part}")]
        plots += bars(rows, f"<b>{part}</b>: recall at 1 (%)", DIRECTIONS.values())
    plots += forest(differences, "Recall at 1: E5-V, tuned on texts, minus CLIP, in points")
    plots += forest(measured.differences("clip", "prompt"), "Recall at 1: E5-V, the prompt alone, minus CLIP, in points")
    claim = judged("E5-V, tuned on texts alone, finds pictures by words, and words by pictures, better than CLIP.",
                   differences)
    return Section("Beside a CLIP", [claim], f"<div class=plots>{plots}</div><p class=soft>The CLIP is of about the "
                   "same size and was trained on the same pictures, each with a caption and a description.</p>")


def composed_section(measured):
    systems = {
        "prompt": "E5-V: picture and words in one prompt",
        "prompt-sum": "E5-V: the sum of both vectors",
        "prompt-image": "E5-V: the picture alone",
        "prompt-text": "E5-V: the words alone",
        "searle": "SEARLE on the mini CLIP",
        "clip-sum": "CLIP: the sum of both vectors",
        "clip-image": "CLIP: the picture alone",
        "clip-text": "CLIP: the words alone",
    }
    metric = "cirr_recall@1"
    systems = {name: label for name, label in systems.items() if measured.has(f"{name}/composed")}
    rows = [(label, [measured.figure(f"{name}/composed", metric)]) for name, label in systems.items()]
    differences = [measured.difference(f"{name}/composed", "prompt/composed", metric, label, label)
                   for name, label in systems.items() if name != "prompt"]
    claim = judged("a picture changed by words (“turn the star into a cross”) is found without training for it, and "
                   "better than by SEARLE, by either part alone or by the sum of both.", differences)
    plots = (bars(rows, "Composed queries: recall at 1 (%)")
             + forest(differences, "Recall at 1: the prompt minus each other way, in points"))
    return Section("A picture changed by words", [claim], f"<div class=plots>{plots}</div>")


COST_HEAD = ("one row of a batch", "tokens", "MFLOP", "ms")


def costs(measured):
    """The label, tokens, MFLOP and milliseconds of a row of each kind."""
    found = {}
    for name, label in (("texts", "a triplet of texts"), ("text-pairs", "a pair of texts"),
                        ("pictures", "a picture and its caption")):
        summary = measured.json(f"costs/{name}.json")
        steps = [json.loads(step) for run in measured.folder.glob(f"costs/{name}/*/metrics.jsonl")
                 for step in run.read_text(encoding="utf-8").splitlines()]
        speed = max(step["tokens_per_second"] for step in steps)
        tokens = summary["cost"]["tokens"] / summary["pairs"]
        found[name] = (label, tokens, summary["cost"]["flops"] / summary["pairs"] / 1e6, 1000 * tokens / speed)
    return found


def cost_rows(measured):
    return [(label, f"{tokens:.0f}", f"{mflop:.0f}", f"{ms:.1f}")
            for label, tokens, mflop, ms in costs(measured).values()]


def cost_section(measured):
    differences = measured.differences("pictures", "texts")
    if not differences:
        return None
    found, summary = costs(measured), measured.json("costs/texts.json")
    triplet, pair, pictures = (found[name][3] for name in ("texts", "text-pairs", "pictures"))
    kind = "holds" if triplet <= COST_SHARE * pictures else "part" if pair < pictures else "reversed"
    claims = [
        judged("tuning on texts alone is at least as good as tuning on pictures with captions&nbsp;…", differences,
               MARGIN),
        Claim("… at a small part of the cost: 1.5 hours against 34.9.", kind,
              f"a picture with its caption takes {pictures / triplet:.1f} times as long as a triplet of texts (each as "
              f"it is tuned here), and {pictures / pair:.1f} times as long as a pair of texts."),
    ]
    text_tokens = found["text-pairs"][1] / 2
    picture_tokens = found["pictures"][1] - text_tokens
    return Section("Texts against pictures", claims, (
        f"<p class=soft>As good: no more than {MARGIN:g} point behind, with 95 % certainty.</p><div class=plots>"
        f"{forest(differences, 'Recall at 1: tuned on texts minus tuned on pictures, in points')}</div>"
        f"<h3>What a row costs</h3>{table(COST_HEAD, cost_rows(measured))}<p class=soft>Batches of "
        f"{summary['pairs'] // summary['steps']} rows on one core; the time is that of the fastest of a few steps. FLOP "
        "are those of the language model; the time is of everything, the vision tower too. With the prompt, a caption "
        f"is about {text_tokens:.0f} tokens and a picture {picture_tokens:.0f}. In LLaVA-NeXT, which the paper tunes, "
        "a picture of 640&nbsp;×&nbsp;480 is about 2,400: that is where texts save.</p>"))


def gap_section(measured):
    shown = [("gap-prompt", "without the prompt", "gap_no_prompt_", "E5-V, no prompt"),
             ("gap-prompt", "as it is used", "gap_", "E5-V, the prompt"),
             ("gap-texts", "as it is used", "gap_", "E5-V, tuned on texts"),
             ("gap-clip", "as it is used", "gap_", "mini CLIP")]
    formats = {"centroid_distance": ".3f", "linear_separability": ".1f", "alignment": ".2f"}
    rows, plots, distance = [], "", {}
    for name, title, prefix, label in shown:
        if not measured.has(name):
            continue
        figures = {metric: measured.figure(name, prefix + metric).value for metric in formats}
        distance[label] = figures["centroid_distance"]
        rows.append((label, *(format(figures[metric], form) for metric, form in formats.items())))
        caption = f"<figcaption>{title};"
        plane = next(f for f in re.findall("<figure>.*?</figure>", measured.html(name)) if caption in f)
        plots += lighter_plane(plane, every=2).replace(caption, f"<figcaption><b>{label}</b>;")
    path = [distance[label] for _, _, _, label in shown[:3] if label in distance]
    falls = [after < before for before, after in zip(path, path[1:])]
    detail = f"it {'falls' if falls[0] else 'does not fall'} with the prompt, from {path[0]:.3f} to {path[1]:.3f}"
    if len(path) > 2:
        detail += f", and {'falls' if falls[1] else 'does not fall'} with tuning on texts, to {path[2]:.3f}"
    kind = "holds" if falls == [True, True] else "part" if any(falls) else "reversed"
    claim = Claim("the distance between the pictures' and the texts' embeddings falls with the prompt, and again with "
                  "tuning on texts.", kind, detail + ".")
    return Section("The modality gap", [claim], (
        table(("", "distance of the centroids", "told apart (%)", "alignment"), rows)
        + f"<div class='plots planes'>{plots}</div><p class=soft>Scenes of rand, seed {measured.seeds[0]}, no "
        "intervals. Told apart: the share of vectors whose modality a line tells; 50 is one cloud. Alignment: the mean "
        "squared distance of a picture from its caption. Each plot has its own axes, the first two principal "
        "components of both clouds.</p>"))


def word_pairs(measured):
    """(path of a picture, its words, its caption, the caption's words) of each scene."""
    items = measured.json("words.json")
    half = len(items) // 2
    return [(Path(seen["item"]), seen["words"], read["item"], read["words"])
            for seen, read in zip(items[:half], items[half:])]


def shared_words(one, other):
    return {word["text"] for word in one} & {word["text"] for word in other}


def words_section(measured):
    pairs, cards = word_pairs(measured), ""
    own = [len(shared_words(seen, read)) for _, seen, _, read in pairs]
    others = [statistics.mean(len(shared_words(pair[1], other[3])) for other in pairs if other is not pair)
              for pair in pairs]
    more = [a - b for a, b in zip(own, others)]
    mean, error = statistics.mean(more), 1.96 * statistics.stdev(more) / len(more) ** 0.5
    top = len(pairs[0][1])
    claim = Claim("with the prompt, a picture and a text of the same meaning stand for the same words.",
                  status([Difference("", "", mean, mean - error, mean + error)]),
                  f"of the {top} likeliest words of a picture, {statistics.mean(own):.1f} are among the {top} of its "
                  f"caption, and {statistics.mean(others):.1f} among those of another ({len(pairs)} scenes; {mean:.1f} "
                  f"± {error:.1f} more).")
    for path, seen, caption, read in pairs[:6]:
        shared = shared_words(seen, read)

        def cell(word):
            text = f"<b>{escape(word['text'])}</b>" if word["text"] in shared else escape(word["text"])
            return f"{text} <span class=soft>{100 * word['probability']:.0f} %</span>"
        rows = [(cell(a), cell(b)) for a, b in zip(seen, read)]
        cards += f"<div>{picture(path)}<p>{escape(caption)}</p>{table(('picture', 'caption'), rows)}</div>"
    return Section("The words", [claim], "<p class=soft>The likeliest next words after “… in one word:”, of the picture"
                   " and of its caption; shared ones are bold. Synonyms (big and large, plus and cross) count as "
                   f"different words.</p><div class='cards wide'>{cards}</div>")


def example_section(measured):
    body, details, differences = "", [], []
    for part, what, title, metric, size in (
            (measured.galleries[0], "Words", "Captions whose picture was found", "image_retrieval_recall@1", "images"),
            ("composed", "A picture and words", "Queries answered", "cirr_recall@1", "gallery")):
        name = f"prompt/{part}-{measured.seeds[0]}"
        recall = measured.figure(f"prompt/{part}", metric)
        chance = 100 / measured.json(f"{name}/results.json")["data"][size]
        differences.append(Difference(part, what, *(end - chance for end in recall)))
        details.append(f"{recall.value:.1f} % of the queries of {part} have the right picture first, by chance "
                       f"{chance:.1f} %")
        for kind, number in (("best", 3), ("least well", 2)):
            queries = re.search(f"<h2>{title} {kind}</h2>(.*?)(<h2>|</html>)", measured.html(name), re.S).group(1)
            body += f"<h3>{what}: answered {kind}</h3>"
            body += "".join(re.split("(?=<div class=query>)", queries)[1:1 + number])
    body = re.sub('data:image/png;base64,([^"]+)', lambda found: thumbnail(base64.b64decode(found.group(1))), body)
    claim = Claim("one model answers queries of words, and of a picture and words, without training for either.",
                  status(differences), "; ".join(details) + ".")
    note = (f"<p class=soft>The prompt alone, seed {measured.seeds[0]}. Best: the first of the queries whose right "
            "picture came first; least well: those whose right picture came latest.</p>")
    return Section("Examples", [claim], note + body)


def scenes_html(measured):
    """The first pictures of each gallery with their captions."""
    html = ""
    for part in measured.galleries:
        folder = f"data/{measured.seeds[0]}/{part}"
        cards = "".join(f"<div>{picture(measured.folder / folder / image['filepath'] / image['filename'])}"
                        f"{escape(image['sentences'][0]['raw'])}</div>"
                        for image in measured.json(f"{folder}/dataset.json")["images"][:4])
        html += f"<h3>{part}</h3><p class=soft>{GALLERIES.get(part, '')}</p><div class=cards>{cards}</div>"
    return html


def page(measured, sections):
    # The page looks as the reports of `e5v eval` do.
    of_reports = re.search("<style>(.*?)</style>", measured.html(f"prompt/composed-{measured.seeds[0]}"), re.S).group(1)
    summary, body = [], ""
    for i, section in enumerate(sections, 1):
        body += f"<h2 id=s{i}>{i}. {section.title}</h2>"
        for claim in section.claims:
            css, verdict, word = VERDICTS[claim.kind]
            link = f"<a href='#s{i}'>{i}. {section.title}</a>" if claim is section.claims[0] else ""
            summary.append((link, claim.text, f"<b class={css}>{word}</b>"))
            body += (f"<div class=claim><p><b>The paper:</b> {claim.text}</p>"
                     f"<p><b class={css}>{verdict}:</b> {claim.detail}</p></div>")
        body += section.body
    gallery, composed = (measured.json(f"prompt/{part}/results.json")["data"]["parts"][0]
                         for part in (measured.galleries[0], "composed"))
    html = f"""<!doctype html><html lang=en><meta charset=utf-8>
<meta name=viewport content='width=device-width,initial-scale=1'><meta name=color-scheme content='light dark'>
<title>E5-V's claims, measured on a miniature</title><style>{of_reports}{STYLE}</style>
<h1>E5-V's claims, measured on a miniature</h1>
<p>E5-V (<a href='https://arxiv.org/abs/2407.12580'>arXiv 2407.12580</a>) asks a multimodal language model to sum up a
text or a picture in one word, and takes the state in which it would say that word as the embedding. This page measures
the paper's claims on a model of that architecture small enough to be trained in an hour and a half on two cores, in a world
of its own: pictures of 48&nbsp;×&nbsp;48 pixels with one to three shapes, and captions. All scenes here are held out:
no model was trained on them.</p>
<p class=soft>Recall at 1: how often the right answer comes first. Galleries of {gallery["images"]} scenes,
{composed["queries"]} composed queries (a picture and words) among {composed["gallery"]} pictures, for each of the seeds
{", ".join(measured.seeds)}. Thin lines are 95 % intervals, bootstrapped over the queries; differences are over the same
queries. Verdicts are computed from the figures: a difference counts where its interval lies on one side of 0.
{datetime.date.today()}. All figures: <a href=report.md>report.md</a>.</p>
{table(("", "the paper claims that", "here"), summary, "summary")}
<h2>What is searched</h2>{scenes_html(measured)}{body}</html>
"""
    return html.replace(" %", "&nbsp;%")


def markdown_table(head, rows):
    lines = [" | ".join(row) for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(f"| {line} |" for line in lines)


def print_tables(measured):
    def line(words):
        return ", ".join(f"{word['text']} {100 * word['probability']:.0f} %" for word in words)
    rows = [row for path, seen, caption, read in word_pairs(measured)[:6]
            for row in ((f"picture {path.name}", line(seen)), (f"“{caption}”", line(read)))]
    print("\n## What a row of a batch costs in tuning\n\n" + markdown_table(COST_HEAD, cost_rows(measured)))
    print("\n## The likeliest words of pictures and their captions\n\n" + markdown_table(("", "words"), rows))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    measured = Measured(Path(sys.argv[1]))
    builders = (prompt_section, texts_section, clip_section, composed_section, cost_section, gap_section, words_section,
                example_section)
    sections = [section for section in (build(measured) for build in builders) if section]
    (measured.folder / "index.html").write_text(page(measured, sections), encoding="utf-8")
    print_tables(measured)


main()
