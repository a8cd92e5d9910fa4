"""How often bands of nominal 90 % hold the value that the whole population gives; makes the table of the package.

Populations: the bundled induction run at step 0 and at its end (PAPER and SCALE_FREE), Gaussian weights, a Pareto
fan-out. A simulation draws 3/8 (in one recipe 3/32) of the neurons of every layer with replacement; each has all of its
outgoing weights. Seeds are fixed, the numbers do not depend on threads. Bias against the limit is a column of its own:
of the run, published samples (k = 32, fan-out cut as well) against the whole network; of the known laws, the sample
against infinitely many connections. Before these, the bands of single dimensions over the connections of a neuron.

    python benchmarks/band_coverage.py [--simulations 300] [--write] [--only NAME]

--write replaces neuromfa_lite/coverage.json (not with --only).
"""

import argparse
import json
import math
import os
import time
from pathlib import Path
from statistics import NormalDist

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

import neuromfa_lite as nmfa
from neuromfa_lite import storage
from neuromfa_lite.blocks import NeuronLayer, WeightBlock
from neuromfa_lite.coverage import LEVEL, ORDERS
from neuromfa_lite.dimension import error_over_connections
from neuromfa_lite.fractals import ParetoFanOut
from neuromfa_lite.masses import count_masses
from neuromfa_lite.regression import weights_of_fit
from neuromfa_lite.sources.matrix import WeightMatrix
from neuromfa_lite.uncertainty import measure_coverage
from neuromfa_lite.uncertainty.emergence import Pair

RESAMPLES = 400
SIGMA, LAYERS, WIDTH, FAN_OUT = 0.02, 4, 240, 512
Q = {"q": ORDERS}


def run(step):
    return nmfa.load_network(nmfa.load_run("induction").checkpoint(step))


def gaussian():
    """Layers of neurons side by side, each with Gaussian weights to the same number of targets."""
    layers, blocks = [], []
    for k in range(LAYERS):
        weights = np.random.default_rng([7, k]).standard_normal((FAN_OUT, WIDTH)) * SIGMA
        matrix = WeightMatrix.from_array(f"matrix {k}", weights, "gaussian", dtype="float64")
        layers += [NeuronLayer(f"sources {k}", WIDTH), NeuronLayer(f"targets {k}", FAN_OUT)]
        blocks.append(WeightBlock(f"matrix {k}", "weights", 2 * k, 2 * k + 1, matrix))
    return nmfa.NeuronNetwork(layers, blocks, origin="gaussian")


def gaussian_limit(radii):
    """{quantity: value} of infinitely many connections: every neuron has mu(r) = P(d <= r + 1/2) / P(d <= r_max)."""
    share = np.log([math.erfc(1 / ((r + 0.5 * (r < 150)) * SIGMA * math.sqrt(2))) for r in radii])
    slope = np.polyfit(np.log(radii), share, 1)[0]
    return power_law_limit(slope)


def power_law_limit(exponent):
    return {"alpha0": exponent, "width": 0.0, **{f"tau({q:g})": q * exponent for q in ORDERS}}


def limit_of_samples(network, method, samples):
    """{quantity: mean over published samples - value of the whole network}, and the same of the spread."""
    method = method.replace(**Q)
    spectra = [nmfa.study.measure_spectrum(network.sample(32, seed), method) for seed in range(samples)]
    whole = nmfa.study.measure_spectrum(network, method)
    names = {"alpha0": "alpha0", "width": "width"}
    bias = {name: np.mean([getattr(each, name) for each in spectra]) - getattr(whole, name) for name in names}
    tau = np.mean([each.tau for each in spectra], axis=0) - whole.tau
    return bias | {f"tau({q:g})": value for q, value in zip(ORDERS, tau, strict=True)}


def emergence_bias(start, now, samples):
    method = nmfa.PAPER.replace(**Q)

    def emergence(parts):
        return Pair(*(count_masses(part, method) for part in parts), method).point[0][0, 0]

    found = [emergence([each.sample(32, seed) for each in (start, now)]) for seed in range(samples)]
    return {"emergence": np.mean(found) - emergence([start, now])}


def recipes():
    """Yield (name, what it is, population, options of measure_coverage, limit, function: values of it or biases)."""
    start, end, fan, normal = run(0), run(724), ParetoFanOut(1.5, 900, 512).network(), gaussian()
    radii = count_masses(normal, nmfa.PAPER).radii
    whole = "samples with k = 32 against the whole network"
    yield "induction-start", "induction, step 0", start, {}, whole, lambda n: limit_of_samples(start, nmfa.PAPER, n)
    yield "induction", "induction, step 724", end, {}, whole, lambda n: limit_of_samples(end, nmfa.PAPER, n)
    few = {"share": 0.09375}
    yield "induction-few", "induction, step 724, 84 neurons", end, few, whole, lambda n: {}
    free = {"method": nmfa.SCALE_FREE}
    scaled = lambda n: limit_of_samples(end, nmfa.SCALE_FREE, n)  # noqa: E731
    yield "induction-scale-free", "induction, step 724, SCALE_FREE", end, free, whole, scaled
    law = "infinite fan-out"
    yield "gaussian", "Gaussian weights, sigma .02, fan-out 512", normal, {}, law, lambda n: gaussian_limit(radii)
    yield "pareto", "Pareto weights, m = 1.5, fan-out 512", fan, {}, law, lambda n: power_law_limit(1.5)
    both = {"start": start}
    yield "emergence", "E of induction, step 0 to 724", end, both, whole, lambda n: emergence_bias(start, end, n)


def single_dimensions(neurons=4000):
    """Print how often the band of a neuron's dimension over its connections holds the dimension of their law."""
    radii, rows = np.arange(2.0, 151.0), []
    fit, x = weights_of_fit(np.log(radii)), np.log(radii)
    for law in ("Gaussian", "Pareto"):
        for connections in (40, 300, 512):
            draw, shape = np.random.default_rng(3), (neurons, connections)
            if law == "Gaussian":
                distances = 1 / np.abs(0.03 * draw.standard_normal(shape))
                inside = [math.erfc(1 / (r * 0.03 * math.sqrt(2))) for r in radii]
            else:
                distances, inside = 150 * draw.random(shape) ** (1 / 1.5), (radii / 150) ** 1.5
            counts = 1 + np.stack([(distances <= r).sum(axis=1) for r in radii], axis=1)
            truth, slopes = fit @ np.log(1 + connections * np.array(inside)), np.log(counts) @ fit
            error = error_over_connections(x, counts)
            held = np.mean(np.abs(slopes - truth) < NormalDist().inv_cdf((1 + LEVEL) / 2) * error)
            rows.append((law, connections, held, slopes.mean() - truth, slopes.std(), error.mean()))
    head = ["law of the weights", "connections", "coverage", "bias", "sd", "error"]
    print(f"\nThe dimension of one neuron, bands over its connections, {neurons} neurons")
    print(pd.DataFrame(rows, columns=head).round(3).to_string(index=False), flush=True)


def measure(simulations, only):
    """(about (recipes,), table) of all recipes."""
    about, tables = [], []
    for name, title, population, options, limit, of_limit in recipes():
        if only and name != only:
            continue
        clock = time.perf_counter()
        table = measure_coverage(population, simulations=simulations, resamples=RESAMPLES, **options)
        known = of_limit(simulations)
        biased = limit != "infinite fan-out"
        against = [known.get(each, np.nan) for each in table["quantity"]]
        table["bias_against_limit"] = against if biased else table["mean"] - against
        table.insert(0, "recipe", name)
        tables.append(table)
        share = options.get("share", 0.375)
        layers = {block.source for block in population.weight_blocks}
        neurons = sum(int(share * len(population.layers[layer])) for layer in layers)
        about.append({"name": name, "what": title, "neurons": neurons, "limit": limit})
        print(f"\n{title}: {neurons} neurons, {time.perf_counter() - clock:.0f} s; limit: {limit}", flush=True)
        wanted = table[~table["quantity"].str.startswith(("alpha(", "f("))]
        wide = wanted.pivot_table("coverage", ["radii", "kind"], "quantity", sort=False)
        print(wide.round(2).to_string(), flush=True)
        biases = wanted[wanted["kind"] == "percentile"].pivot_table(
            ["bias", "bias_against_limit", "sd"], "quantity", "radii", sort=False
        )
        print(biases.round(4).to_string(), flush=True)
    return about, pd.concat(tables, ignore_index=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=300)
    parser.add_argument("--only")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    single_dimensions()
    about, table = measure(asked.simulations, asked.only)
    if asked.write and not asked.only:
        rows = [
            [value if isinstance(value, str) else (None if math.isnan(value) else round(value, 5)) for value in row]
            for row in table.itertuples(index=False)
        ]
        head = {"level": LEVEL, "simulations": asked.simulations, "resamples": RESAMPLES}
        head |= {"versions": storage.versions(), "recipes": about, "columns": list(table.columns)}
        lines = (
            json.dumps(head, indent=1)[:-2] + ',\n "rows": [\n  ' + ",\n  ".join(map(json.dumps, rows)) + "\n ]\n}\n"
        )
        place = Path(nmfa.__file__).parent / "coverage.json"
        place.write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main()
