"""One sampled network (SNIN) of pythia-70m's shape, from a mapped safetensors file to its spectrum.

Ours is timed from the opened file on: draw 64 neurons per layer (the ten samples of a run in turn, as follow() does at
every step; which neurons they are is remembered), read their weights, count masses, sum the partition function for
61 q, fit, spectrum. The plain-Python rendering (tests/oracle.py) gets the sampled weights as ready lists of
connections and is timed from there. Both run in turns in one process; ours shares the partition function between the
processors, as it does for every user. What the first call costs (compiling, or loading what an earlier run compiled)
is printed apart. Last come samples by reads of the file (read="copy") beside samples from its mapping.

    python benchmarks/snin_70m.py [--rounds 3]
"""

import argparse
import importlib.util
import json
import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from safetensors.numpy import save_file

import neuromfa_lite as nmfa
from neuromfa_lite.weights import safetensors_file

LAYERS, HIDDEN, HEADS, NEURONS_PER_LAYER = 6, 512, 8, 64
OURS_PER_ROUND, SAMPLES = 40, 10
TARGET_RATIO, TARGET_EDGES = 200, 20e6


def load_oracle():
    """The plain-Python rendering, loaded by its path: the tests are no package."""
    path = Path(__file__).parents[1] / "tests" / "oracle.py"
    spec = importlib.util.spec_from_file_location("oracle", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_model(folder, dtype):
    """A GPT-NeoX folder of 70m shape with Gaussian weights of standard deviation .02."""
    draw = np.random.default_rng(0)
    shapes = {
        "attention.query_key_value": (3 * HIDDEN, HIDDEN),
        "attention.dense": (HIDDEN, HIDDEN),
        "mlp.dense_h_to_4h": (4 * HIDDEN, HIDDEN),
        "mlp.dense_4h_to_h": (HIDDEN, 4 * HIDDEN),
    }
    tensors = {
        f"gpt_neox.layers.{layer}.{name}.weight": (draw.standard_normal(shape) * 0.02).astype(dtype)
        for layer in range(LAYERS)
        for name, shape in shapes.items()
    }
    save_file(tensors, folder / "model.safetensors")
    config = {
        "model_type": "gpt_neox",
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": 4 * HIDDEN,
        "vocab_size": 64,
    }
    (folder / "config.json").write_text(json.dumps(config))


def edge_lists(network):
    """The weights of a sampled network as the oracle takes them."""
    matrices = []
    for block in network.weight_blocks:
        sources, targets, weights = (values.tolist() for values in block.edges())
        matrices.append(
            [((block.source, s), (block.target, t), w) for s, t, w in zip(sources, targets, weights, strict=True)]
        )
    return matrices


def seconds(work):
    """(seconds, result) of one call."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def plain_python(oracle, sample, method):
    """(seconds, spectrum) of the plain-Python rendering, its lists of connections made beforehand."""
    connections = edge_lists(sample)
    return seconds(lambda: oracle.spectrum(*oracle.paper_masses(connections), q=method.q, derivative=method.derivative))


def compare(network, method, oracle, rounds):
    """Run both in turns; print the medians, their ratio and the largest difference of tau."""
    ours, plain, difference = [], [], 0.0
    for _ in range(rounds):
        for number in range(-SAMPLES, OURS_PER_ROUND):  # plain Python emptied the caches: the first ten warm them
            seed = number % SAMPLES
            spent, spectrum = seconds(lambda seed=seed: nmfa.analyze(network.sample(NEURONS_PER_LAYER, seed), method))
            if number >= 0:
                ours.append(spent)
        spent, expected = plain_python(oracle, network.sample(NEURONS_PER_LAYER, seed), method)  # of the last seed
        plain.append(spent)
        difference = max(difference, float(np.abs(spectrum.tau - expected["tau"]).max()))
    edges = network.sample(NEURONS_PER_LAYER, 0).connections
    mine, theirs = statistics.median(ours), statistics.median(plain)
    print(
        f"  {method.name:10s} ours {mine * 1e3:6.2f} ms (fastest {min(ours) * 1e3:.2f})   "
        f"plain Python {theirs:5.2f} s   "
        f"ratio {theirs / mine:5.0f}   {edges / mine / 1e6:5.1f} million edges/s   "
        f"max |difference of tau| {difference:.1e}",
        flush=True,
    )
    return theirs / mine, edges / mine


def compare_reading(folder, neurons_per_layer, rounds):
    """Print what samples by reads of the file cost beside samples from its mapping, in turns."""
    copied = nmfa.load_network(folder, read="copy")
    small, safetensors_file.SMALL = safetensors_file.SMALL, -1  # else a small model is copied in any case
    mapped = nmfa.load_network(folder)
    safetensors_file.SMALL = small
    spent = {"mapped": [], "copied": []}
    for _ in range(20 * rounds):
        for name, network in (("mapped", mapped), ("copied", copied)):
            for _ in range(2):  # the first ten warm the caches
                ten, _ = seconds(lambda network=network: [network.sample(neurons_per_layer, s) for s in range(SAMPLES)])
            spent[name].append(ten / SAMPLES)
    mapped, copied = (statistics.median(times) for times in spent.values())
    print(f"  a sample alone: mapped {mapped * 1e3:.2f} ms, copied {copied * 1e3:.2f} ms, {copied / mapped:.2f} times")


def main():
    """Print a line per stored type and method, and what read="copy" costs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (default 3)")
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore", nmfa.QualityWarning)  # of Gaussian weights, curved as they must be
    oracle = load_oracle()
    results = []
    with tempfile.TemporaryDirectory() as parent:
        for dtype in (np.float32, np.float16):
            folder = Path(parent) / np.dtype(dtype).name
            folder.mkdir()
            write_model(folder, dtype)
            opening, network = seconds(lambda folder=folder: nmfa.load_network(folder))
            first, _ = seconds(lambda network=network: nmfa.analyze(network.sample(NEURONS_PER_LAYER, 0)))
            sample = network.sample(NEURONS_PER_LAYER, 0)
            print(
                f"{folder.name}: {sample.connections:,} connections of {sample.neurons:,} neurons; "
                f"opening the file {opening * 1e3:.1f} ms, first call {first:.2f} s"
            )
            results += [compare(network, method, oracle, rounds) for method in (nmfa.PAPER, nmfa.PUBLISHED)]
            compare_reading(folder, NEURONS_PER_LAYER, rounds)
    print("the bundled induction run")
    compare_reading(nmfa.load_run("induction").checkpoint(724), 32, rounds)
    ratio, edges = (min(values) for values in zip(*results, strict=True))
    met = "met" if ratio >= TARGET_RATIO and edges >= TARGET_EDGES else "NOT met"
    print(
        f"targets ({TARGET_RATIO} times plain Python, {TARGET_EDGES / 1e6:.0f} million edges/s) {met}: "
        f"at least {ratio:.0f} times, {edges / 1e6:.1f} million edges/s"
    )


if __name__ == "__main__":
    main()
