"""Metrics of retrieval, similarity and the modality gap on random data with ties, by NumPy and SciPy.

    python3 tests/goldens/eval_metrics/generate.py

The formulas are those of the published evaluations: any positive in the top k (CLIP), the reference masked with -1 (CIRR),
mean average precision (CIRCO), SentEval's aggregations. Ties rank by index, as a stable sort has it.
"""

import json
import platform
from pathlib import Path

import numpy
import scipy
from scipy.stats import pearsonr, rankdata, spearmanr

random = numpy.random.RandomState(20240712)
here = Path(__file__).parent


def ranking():
    """Vectors of small whole numbers: products are exact, and ties are everywhere."""
    queries = random.randint(-1, 2, (40, 5))
    gallery = random.randint(-1, 2, (60, 5))
    cases = []
    for query in queries:
        positives = sorted(random.choice(60, random.randint(1, 6), replace=False).tolist())
        masked = int(random.choice([i for i in range(60) if i not in positives])) if random.rand() < 0.5 else -1
        subset = sorted(set(positives[:1] + random.choice(60, 5, replace=False).tolist()) - {masked})
        scores = (gallery @ query).astype(float)
        if masked >= 0:
            scores[masked] = -1
        order = numpy.argsort(-scores, kind="stable")
        hits = numpy.isin(order, positives)
        in_subset = [i for i in order.tolist() if i in subset]
        precisions = numpy.cumsum(hits) * hits / numpy.arange(1, 61)
        cases.append(
            {
                "positives": positives,
                "masked": masked,
                "subset": subset,
                "top": order[:12].tolist(),
                "best_rank": int(numpy.argmax(hits)),
                "ordered_subset": in_subset,
                "best_subset_rank": min(in_subset.index(p) for p in positives if p in in_subset),
                "average_precision": {
                    str(k): float(precisions[:k].sum() / min(len(positives), k)) for k in (5, 10, 25, 50)
                },
            }
        )
    ranks = numpy.array([c["best_rank"] for c in cases])
    return {
        "queries": queries.tolist(),
        "gallery": gallery.tolist(),
        "cases": cases,
        "recall": {str(k): float((ranks < k).mean()) for k in (1, 5, 10, 50)},
    }


def correlations():
    parts = []
    for size in (30, 75, 12):
        scores = random.randint(0, 26, size) / 5
        cosines = numpy.round(scores / 5 + random.standard_normal(size) * 0.3, 1)  # ties on both sides
        parts.append({"cosines": cosines.tolist(), "scores": scores.tolist()})
    x = numpy.concatenate([p["cosines"] for p in parts])
    y = numpy.concatenate([p["scores"] for p in parts])
    result = {"parts": parts, "ranks": rankdata(x).tolist()}
    for name, function in (("spearman", spearmanr), ("pearson", pearsonr)):
        values = [function(p["cosines"], p["scores"])[0] for p in parts]
        result[name] = {
            "all": float(function(x, y)[0]),
            "mean": float(numpy.mean(values)),
            "weighted_mean": float(numpy.average(values, weights=[len(p["scores"]) for p in parts])),
            "parts": [float(v) for v in values],
        }
    return result


def uniformity(x):
    squares = ((x[:, None] - x[None]) ** 2).sum(2)
    return float(numpy.log(numpy.exp(-2 * squares)[~numpy.eye(len(x), dtype=bool)].mean()))


def gap():
    images = random.standard_normal((41, 6)) + [1, 0, 0, 0.5, 0, 0]
    texts = 0.7 * images + 0.4 * random.standard_normal((41, 6)) - [0.8, 0, 0, 0, 0, 0.3]
    images = (images / numpy.linalg.norm(images, axis=1, keepdims=True)).astype(numpy.float32)
    texts = (texts / numpy.linalg.norm(texts, axis=1, keepdims=True)).astype(numpy.float32)
    i, t = images.astype(float), texts.astype(float)
    half = len(i) // 2
    right = 0
    for known, held in ((slice(0, half), slice(half, None)), (slice(half, None), slice(0, half))):
        a, b = i[known].mean(0), t[known].mean(0)
        side = lambda x: (x - (a + b) / 2) @ (a - b)
        right += (side(i[held]) > 0).sum() + (side(t[held]) < 0).sum()
    both = numpy.concatenate([i, t])
    centred = both - both.mean(0)
    _, values, components = numpy.linalg.svd(centred, full_matrices=False)
    plane = []
    for c in range(2):
        component = components[c] * numpy.sign(components[c][numpy.argmax(numpy.abs(components[c]))])
        plane.append((centred @ component).tolist())
    return {
        "images": images.tolist(),
        "texts": texts.tolist(),
        "centroid_distance": float(numpy.linalg.norm(i.mean(0) - t.mean(0))),
        "linear_separability": float(right / (2 * len(i))),
        "alignment": float(((i - t) ** 2).sum(1).mean()),
        "image_uniformity": uniformity(i),
        "text_uniformity": uniformity(t),
        "uniformity": uniformity(both),
        "plane": plane,
        "explained": (values[:2] ** 2 / (values**2).sum()).tolist(),
    }


golden = {
    "generator": "python3 tests/goldens/eval_metrics/generate.py",
    "versions": {"python": platform.python_version(), "numpy": numpy.__version__, "scipy": scipy.__version__},
    "seed": 20240712,
    "dtype": "float64, gap's vectors float32",
    "tolerance": 1e-6,
    "why": "Ranks are whole numbers and equal; the rest is float64 on both sides.",
    "ranking": ranking(),
    "correlations": correlations(),
    "gap": gap(),
}
(here / "golden.json").write_text(json.dumps(golden) + "\n")
