"""A distance of one's own on a sampled network of 70m shape: as a NumPy function, compiled, and as the named part.

The distance is -ln |w|, 0 where |w| > 1, in an otherwise scale-free method. Each analysis starts with a sampled
network of pythia-70m's shape (6 layers, hidden 512, 64 neurons per layer, 196,608 weights) in memory and ends with its
spectrum; the methods take turns. Apart from it, the distances alone: every matrix of the sample through the function.
What compiling costs (once per session) is printed too. The published method, which counts rounded reciprocals in one
kernel and can do so for 1/|w| only, stands beside them.

    python benchmarks/variants.py [--rounds 30]
"""

import argparse
import statistics
import tempfile
import warnings
from pathlib import Path

import numpy as np
from numba import njit, vectorize
from snin_70m import NEURONS_PER_LAYER, seconds, write_model

import neuromfa_lite as nmfa


def numpy_function(weights):
    """Three passes over the array, each with an array of its own."""
    return np.maximum(-np.log(np.abs(weights)), 0.0)


compiled_same_text = njit(numpy_function)


@njit
def compiled_loop(weights):
    """One pass, one array."""
    distances = np.empty_like(weights)
    for target in range(weights.shape[0]):
        for source in range(weights.shape[1]):
            distances[target, source] = max(-np.log(abs(weights[target, source])), 0.0)
    return distances


@vectorize
def of_one_number(weight):
    """A function of one number, which numba.vectorize makes one of arrays."""
    return max(-np.log(abs(weight)), 0.0)


METHODS = {
    "named, minus-log": nmfa.SCALE_FREE.replace(distance="minus-log"),
    "NumPy function": nmfa.SCALE_FREE.replace(distance=numpy_function),
    "njit, same text": nmfa.SCALE_FREE.replace(distance=compiled_same_text),
    "njit, loop": nmfa.SCALE_FREE.replace(distance=compiled_loop),
    "vectorize": nmfa.SCALE_FREE.replace(distance=of_one_number),
    "named, inverse": nmfa.SCALE_FREE.replace(distance="inverse"),
    "published method": nmfa.PAPER,
}


def main():
    """Print a line per way to give the distance."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="turns of each (default 30)")
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore", nmfa.QualityWarning)  # of Gaussian weights, curved as they must be
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), np.float32)
        sample = nmfa.load_network(folder).sample(NEURONS_PER_LAYER, 0)
        matrices = [block.weights().astype(np.float64) for block in sample.weight_blocks]
        nmfa.analyze(sample, nmfa.SCALE_FREE.replace(distance="inverse"))  # compiles or loads our own kernels
        first = {name: seconds(lambda of=method: nmfa.analyze(sample, of))[0] for name, method in METHODS.items()}
        whole, alone = ({name: [] for name in METHODS} for _ in range(2))
        for _ in range(rounds):
            for name, method in METHODS.items():
                whole[name].append(seconds(lambda method=method: nmfa.analyze(sample, method))[0])
                part = method.part("distance")
                alone[name].append(seconds(lambda part=part: [part(weights) for weights in matrices])[0])
    reference = statistics.median(whole["named, minus-log"])
    print(f"{sample.connections:,} weights; medians of {rounds} turns")
    for name, times in whole.items():
        spent, distances = statistics.median(times), statistics.median(alone[name])
        share = f"; its distances alone {distances * 1e3:5.2f} ms" if name != "published method" else ""
        print(
            f"  {name:18s} spectrum {spent * 1e3:6.2f} ms, {spent / reference:4.2f} times the named part{share}; "
            f"first call {first[name]:.2f} s"
        )


if __name__ == "__main__":
    main()
