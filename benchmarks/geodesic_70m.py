"""Shortest paths between all neurons of a sampled network of pythia-70m's shape: ours against general graph libraries.

All get the same network, 64 neurons per layer, and return the same (neurons, neurons) matrix, directed and undirected;
every library gets its graph ready-made, ours starts from the sampled weights. They take turns (ours five times a turn)
in one process on one thread. A last line times what an analysis does: masses up to r = 150, which hold no matrix,
against SciPy's search with that limit (which does not count). igraph and networkit join in where they are installed.
What the first call costs (compiling, or loading what an earlier run compiled) is printed apart.

    python benchmarks/geodesic_70m.py [--rounds 3]
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from snin_70m import NEURONS_PER_LAYER, seconds, write_model

import neuromfa_lite as nmfa
from neuromfa_lite.masses import count_masses, geodesic_distances

LIMIT = 150.0
TARGETS = {"geodesic": 30, "geodesic-undirected": 40}
TOLERANCE = 1e-12
OURS_PER_TURN = 5


def edges(network):
    """(sources, targets, lengths) of all connections, numbered over all layers."""
    starts = np.concatenate([[0], np.cumsum([len(layer.numbers) for layer in network.layers])])
    parts = [(block, *block.edges()) for block in network.blocks]
    sources = np.concatenate([sources + starts[block.source] for block, sources, _, _ in parts])
    targets = np.concatenate([targets + starts[block.target] for block, _, targets, _ in parts])
    return sources, targets, np.concatenate([1 / np.abs(weights) for *_, weights in parts])


def libraries(network, directed):
    """{name: function that returns the matrix} of every library there is; the graphs are built here, not timed."""
    sources, targets, lengths = edges(network)
    sparse = csr_array((lengths, (sources, targets)), shape=(network.neurons, network.neurons))
    found = {"scipy": lambda: dijkstra(sparse, directed=directed)}
    try:
        import igraph

        drawn = igraph.Graph(network.neurons, np.column_stack([sources, targets]).tolist(), directed=directed)
        weights = lengths.tolist()
        found["igraph"] = lambda: drawn.distances(weights=weights, mode="out" if directed else "all")
    except ImportError:
        print("  igraph is not installed (pip install igraph)")
    try:
        import networkit

        networkit.setNumberOfThreads(1)
        coordinates = (lengths, (sources, targets))
        graph = networkit.GraphFromCoo(coordinates, n=network.neurons, weighted=True, directed=directed)
        found["networkit"] = lambda: networkit.distance.APSP(graph).run().getDistances()
    except ImportError:
        print("  networkit is not installed (pip install networkit)")
    return found


def difference(ours, theirs):
    """The largest relative difference of two distance matrices; infinite where one has a path and the other none."""
    theirs = np.array(theirs, dtype=np.float64)
    theirs[theirs > 1e300] = np.inf  # networkit's number for no path
    if not np.array_equal(np.isinf(ours), np.isinf(theirs)):
        return np.inf
    there = np.isfinite(theirs) & (theirs > 0)
    return float(np.max(np.abs(ours[there] - theirs[there]) / theirs[there]))


def compare(network, method, rounds):
    """Time all in turns, print the medians and their ratios; returns (ratio to SciPy, difference from SciPy)."""
    directed = method.reach == "geodesic"
    first, matrix = seconds(lambda: geodesic_distances(network, method))
    counting, _ = seconds(lambda: count_masses(network, method))
    print(f"{method.reach}: first calls {first:.2f} s (matrix) and {counting:.2f} s (masses)", flush=True)
    others = libraries(network, directed)
    (sources, targets, lengths), size = edges(network), (network.neurons, network.neurons)
    sparse = csr_array((lengths, (sources, targets)), shape=size)
    turns = {"ours": lambda: geodesic_distances(network, method), **others}
    turns["ours, masses"] = lambda: count_masses(network, method)
    turns["scipy, limit"] = lambda: dijkstra(sparse, directed=directed, limit=LIMIT)
    spent, worst = {name: [] for name in turns}, {}
    for _ in range(rounds):
        for name, work in turns.items():
            for _ in range(OURS_PER_TURN if name.startswith("ours") else 1):
                taken, result = seconds(work)
                spent[name].append(taken)
            if name in others and name not in worst:
                worst[name] = difference(matrix, result)
            del result
    median = {name: statistics.median(values) for name, values in spent.items()}
    print(f"  ours          {median['ours'] * 1e3:8.1f} ms (fastest {min(spent['ours']) * 1e3:.1f})")
    for name in others:
        print(
            f"  {name:12s}  {median[name] * 1e3:8.1f} ms   {median[name] / median['ours']:6.1f} times ours   "
            f"largest relative difference {worst[name]:.1e}"
        )
    print(
        f"  masses up to r = {LIMIT:.0f}: ours {median['ours, masses'] * 1e3:.1f} ms, scipy's search with that limit "
        f"{median['scipy, limit'] * 1e3:.1f} ms, {median['scipy, limit'] / median['ours, masses']:.1f} times ours",
        flush=True,
    )
    return median["scipy"] / median["ours"], worst["scipy"]


def main():
    """Print the timings of both reaches and whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default 3)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), np.float32)
        network = nmfa.load_network(folder).sample(NEURONS_PER_LAYER, seed=0)
    print(f"{network.neurons:,} neurons, {len(edges(network)[0]):,} connections, one thread, {time.strftime('%F')}")
    for reach, target in TARGETS.items():
        ratio, wrong = compare(network, nmfa.GEODESIC.replace(name=reach, reach=reach), rounds)
        met = "met" if ratio >= target and wrong <= TOLERANCE else "NOT met"
        print(
            f"  target ({target} times scipy's Dijkstra, relative difference at most {TOLERANCE:g}) {met}: {ratio:.1f}"
        )


if __name__ == "__main__":
    main()
