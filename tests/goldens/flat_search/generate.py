"""What NumPy's brute force finds among 10,000 vectors of 4096 dimensions: tests/goldens/flat_search/expected.json.

The vectors are small integers from SplitMix64, so that every product and sum is exact in float64 and no order of
summation can change a rank; every 100th vector equals the one before it, so that there are ties.

    python3 tests/goldens/flat_search/generate.py
"""

import json
import pathlib
import sys

import numpy as np

NUM_ROWS, SIZE, NUM_QUERIES, K = 10_000, 4096, 4, 100


def random_integers(seed, count):
    """Values in [-7, 7] from the outputs seed, seed + 1, … of SplitMix64's finaliser."""
    with np.errstate(over="ignore"):
        value = np.arange(count, dtype=np.uint64) + np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        value = value ^ (value >> np.uint64(31))
    return (value % np.uint64(15)).astype(np.float64) - 7


rows = random_integers(0, NUM_ROWS * SIZE).reshape(NUM_ROWS, SIZE)
rows[100::100] = rows[99:-1:100]
queries = random_integers(10**12, NUM_QUERIES * SIZE).reshape(NUM_QUERIES, SIZE)
# The last query is one of the tied vectors: ranks 1 and 2 are equal.
queries[-1] = rows[500]

results = []
for query in queries:
    scores = rows @ query
    order = np.lexsort((np.arange(NUM_ROWS), -scores))[:K]
    results.append({"rows": order.tolist(), "scores": scores[order].astype(int).tolist()})

folder = pathlib.Path(__file__).parent
(folder / "expected.json").write_text(json.dumps(results) + "\n")
(folder / "golden.json").write_text(json.dumps({
    "generator": "python3 tests/goldens/flat_search/generate.py",
    "versions": {"python": sys.version.split()[0], "numpy": np.__version__},
    "seed": "0 for the rows, 10^12 for the queries; SplitMix64's finaliser of a counter",
    "dtype": "float64; the values are integers that float32 holds exactly",
    "tolerance": 0,
    "why": "integers: all sums are exact",
    "num_rows": NUM_ROWS, "size": SIZE, "num_queries": NUM_QUERIES, "k": K}, indent=1) + "\n")
