"""How often bands of nominal 90 % hold the value that the whole population gives; writes docs/coverage.md.

A simulation draws 3/8 (in one recipe 3/32) of the neurons of every layer of a finite population, with replacement (so
that no correction for a finite population is to be made), each with all of its outgoing weights, makes the bands, and
looks whether the value that the whole population gives lies in them. Populations: the bundled induction run at step 0
and at its end (PAPER and SCALE_FREE), Gaussian weights, a Pareto fan-out. Seeds are fixed, the numbers do not depend on
threads. Bias against the limit is a column of its own: of the run, published samples (k = 32, fan-out cut as well)
against the whole network; of the known laws, the sample against infinitely many connections. Before these, the bands of
single dimensions over the connections of a neuron.

    python benchmarks/band_coverage.py [--simulations 300] [--write] [--only NAME]

--write replaces docs/coverage.md (not with --only).
"""

import argparse
import math
import os
import time
import warnings
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

import neuromfa_lite as nmfa
from neuromfa_lite.fractals import ParetoFanOut
from neuromfa_lite.masses.count import count_masses
from neuromfa_lite.network import NeuronLayer
from neuromfa_lite.network.connections import Dense
from neuromfa_lite.spectrum.fit import weights_of_fit
from neuromfa_lite.spectrum.nfd import error_over_connections
from neuromfa_lite.spectrum.spectrum import spectrum_of_masses
from neuromfa_lite.spectrum.spread import LEVEL, normal_band
from neuromfa_lite.study.bootstrap import Steps, Weighted, resample, studentised_band
from neuromfa_lite.study.measure import degree_of_emergence
from neuromfa_lite.weights.matrix import WeightMatrix

PAGE = Path(__file__).resolve().parent.parent / "docs" / "coverage.md"
RESAMPLES = 400
SIGMA, LAYERS, WIDTH, FAN_OUT = 0.02, 4, 240, 512
ORDERS = (-3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0)
Q = {"q": ORDERS}
NAMES = ["alpha0", "width", *(f"{name}({order:g})" for name in ("tau", "alpha", "f") for order in ORDERS)]
KINDS = ("normal", "studentised")


# --- one population ------------------------------------------------------------------------------------------------


def measure_coverage(population, method=nmfa.PAPER, start=None, share=0.375, simulations=300, resamples=RESAMPLES):
    """How often bands hold the value of the whole population (NeuronNetwork); with start, its step 0, of E alone.

    DataFrame, a row per quantity, kind of band and radii: "population" (those of the whole population, as with radii
    named by hand) or "own" (of each sample those that occur in it, for integer radii). Columns coverage, its binomial
    standard error, truth (of the population on its own radii), mean and sd of the samples, bias = mean - truth.
    """
    method = method.replace(**Q, name=method.name)
    steps = [count_masses(each, method) for each in ([population] if start is None else [start, population])]
    truths, names = _values([spectrum_of_masses(each, method) for each in steps])
    rows = []
    for radii in ("population", "own") if method.radii == "integer" and method.rounding else ("population",):
        hits, found = np.zeros((len(KINDS), len(names))), []
        for simulation in range(simulations):
            drawn = _drawn(steps[0].layer, share, np.random.default_rng([0, simulation]))
            sample = [_numbered(each.subset(drawn)) for each in steps]
            sample = [own_radii(each) for each in sample] if radii == "own" else sample
            point, resampled = _resampled([spectrum_of_masses(each, method) for each in sample], resamples, simulation)
            found.append(point[0])
            for row, ends in enumerate((normal_band(*point), studentised_band(point, resampled))):
                hits[row] += (ends[0] <= truths) & (truths <= ends[1])
        mean, sd = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
        for kind, part in zip(KINDS, hits / simulations, strict=True):
            error = np.sqrt(part * (1 - part) / simulations)
            columns = zip(names, part, error, truths, mean, sd, mean - truths, strict=True)
            rows += [(kind, radii, *values) for values in columns]
    head = ["kind", "radii", "quantity", "coverage", "error", "truth", "mean", "sd", "bias"]
    return pd.DataFrame(rows, columns=head)


def _values(spectra):
    """(values, their names): of one Spectrum all exponents, of two, step 0 and now, E."""
    now = spectra[-1]
    if len(spectra) == 1:
        return np.concatenate([[now.alpha0, now.width], now.tau, now.alpha, now.f]), NAMES
    return np.array([degree_of_emergence(now.alpha0, now.width, spectra[0].alpha0, spectra[0].width)]), ["emergence"]


def _drawn(layer, share, random):
    members = [np.flatnonzero(layer == each) for each in np.unique(layer)]
    return np.concatenate([random.choice(each, int(share * len(each))) for each in members])


def _numbered(masses):
    """Neurons drawn twice are two neurons of the sample."""
    return replace(masses, number=np.arange(len(masses.number)))


def own_radii(masses):
    """The masses on the radii at which any of them grows: those the method finds in this sample."""
    grows = (np.diff(masses.counts.astype(np.int64), prepend=1, axis=1) > 0).any(axis=0)
    return replace(masses, radii=masses.radii[grows], counts=masses.counts[:, grows])


def _resampled(spectra, resamples, seed):
    """What resample() gives of all exponents of one Spectrum, or of E of two."""
    if len(spectra) == 1:
        one = Weighted(spectra[0])
        return resample(one.exponents, one.strata, resamples, seed)
    both = Steps(spectra)
    return resample(lambda weights: [each[:, 3:4] for each in both.along(weights)], both.strata, resamples, seed)


# --- the populations -------------------------------------------------------------------------------------------------


def run(step):
    return nmfa.load_network(nmfa.load_run("induction").checkpoint(step))


def gaussian():
    """Layers of neurons side by side, each with Gaussian weights to the same number of targets."""
    layers, blocks = [], []
    for k in range(LAYERS):
        weights = np.random.default_rng([7, k]).standard_normal((FAN_OUT, WIDTH)) * SIGMA
        matrix = WeightMatrix.from_array(f"matrix {k}", weights, "gaussian", dtype="float64")
        layers += [NeuronLayer(f"sources {k}", WIDTH), NeuronLayer(f"targets {k}", FAN_OUT)]
        blocks.append(Dense(f"matrix {k}", "weights", 2 * k, 2 * k + 1, matrix))
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
    spectra = [nmfa.analyze(network.sample(32, seed), method) for seed in range(samples)]
    whole = nmfa.analyze(network, method)
    names = {"alpha0": "alpha0", "width": "width"}
    bias = {name: np.mean([getattr(each, name) for each in spectra]) - getattr(whole, name) for name in names}
    tau = np.mean([each.tau for each in spectra], axis=0) - whole.tau
    return bias | {f"tau({q:g})": value for q, value in zip(ORDERS, tau, strict=True)}


def emergence_bias(start, now, samples):
    method = nmfa.PAPER.replace(**Q)

    def emergence(parts):
        start, now = (nmfa.analyze(part, method) for part in parts)
        return degree_of_emergence(now.alpha0, now.width, start.alpha0, start.width)

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
    yield "gaussian", "Gaussian weights, sigma .02, fan-out 512", normal, {}, LAW, lambda n: gaussian_limit(radii)
    yield "pareto", "Pareto weights, m = 1.5, fan-out 512", fan, {}, LAW, lambda n: power_law_limit(1.5)
    both = {"start": start}
    yield "emergence", "E of induction, step 0 to 724", end, both, whole, lambda n: emergence_bias(start, end, n)


def single_dimensions(neurons=4000):
    """DataFrame: how often the band of a neuron's dimension over its connections holds the dimension of their law."""
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
    return pd.DataFrame(rows, columns=["law of the weights", "connections", "coverage", "bias", "sd", "error"])


def measure(simulations, only):
    """DataFrame of all recipes: the columns of measure_coverage() and recipe, neurons, limit, bias_against_limit."""
    tables = []
    for name, title, population, options, limit, of_limit in recipes():
        if only and name != only:
            continue
        clock = time.perf_counter()
        table = measure_coverage(population, simulations=simulations, **options)
        known = of_limit(simulations)
        against = [known.get(each, np.nan) for each in table["quantity"]]
        table["bias_against_limit"] = table["mean"] - against if limit == LAW else against
        share, layers = options.get("share", 0.375), {block.source for block in population.weight_blocks}
        neurons = sum(int(share * len(population.layers[layer])) for layer in layers)
        tables.append(table.assign(recipe=title, neurons=neurons, limit=limit))
        print(f"\n{title}: {neurons} neurons, {time.perf_counter() - clock:.0f} s", flush=True)
        wanted = table[~table["quantity"].str.startswith(("alpha(", "f("))]
        wide = wanted.pivot_table("coverage", ["radii", "kind"], "quantity", sort=False)
        print(wide.round(2).to_string(), flush=True)
    return pd.concat(tables, ignore_index=True)


# --- the page ------------------------------------------------------------------------------------------------------


def page(table, dimensions, simulations):
    """The text of docs/coverage.md, of what measure() and single_dimensions() returned."""
    both = table.pivot_table("coverage", ["recipe", "neurons", "radii", "quantity"], "kind", sort=False)
    cells = (both["normal"].map(_share) + " / " + both["studentised"].map(_share)).rename("held").reset_index()
    cells["radii"] = cells["radii"].map({"population": "given", "own": "of each sample"})
    cells["recipe"] += cells["neurons"].map(", {} neurons".format)
    wide = cells.pivot(index=["recipe", "radii"], columns="quantity", values="held")
    wide = wide.reindex(cells[["recipe", "radii"]].drop_duplicates().itertuples(index=False)).fillna("")
    shown = ["alpha0", "tau(-3)", "tau(-1)", "tau(1)", "tau(3)", "width", "emergence"]
    first = wide.reindex(columns=shown, fill_value="").reset_index()
    one = cells[~cells["quantity"].isin(("emergence", "tau(0)", "f(0)"))]
    orders = [one[one["radii"] == radii].pivot(index="quantity", columns="recipe", values="held") for radii in _RADII]
    orders = [each.reindex([name for name in NAMES if name in each.index]).reset_index() for each in orders]
    bias = table[(table["kind"] == "normal") & (table["radii"] == "population")]
    bias = bias[bias["quantity"].isin(("alpha0", "width", "tau(-3)", "tau(1)", "emergence"))]
    numbers = bias[["truth", "sd", "bias", "bias_against_limit"]].round(3) + 0.0  # no minus in front of a 0
    bias = pd.concat([bias[["recipe", "quantity"]], numbers, bias["limit"]], axis=1)
    return TEXT.format(
        simulations=simulations,
        resamples=RESAMPLES,
        first=_markdown(first),
        dimensions=_markdown(dimensions.round(3)),
        bias=_markdown(bias),
        given=_markdown(orders[0]),
        own=_markdown(orders[1]),
    )


def _share(share):
    return f"{share:.2f}".removeprefix("0")


def _markdown(table):
    rows = [table.columns, ["---"] * len(table.columns), *table.itertuples(index=False)]
    cells = [["" if isinstance(cell, float) and math.isnan(cell) else str(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


LAW = "infinite fan-out"
_RADII = ("given", "of each sample")
TEXT = """# How often the bands hold the truth

Written by `python benchmarks/band_coverage.py --write`; its head says how the samples are drawn.

A band of nominal 90 % should hold the true value in 90 of 100 studies. {simulations} samples were drawn from
populations whose value is known, and their bands held it in these shares (binomial standard error .02 to .03). In each
cell: the band beside every spectrum (`spectrum.band`, "normal") / that of `nmfa.confidence` ("studentised", {resamples}
resamples). Radii are given (named by the method) or those that occur in each sample, as the published method takes
them; then another sample has other radii, of which no band knows.

{first}

Bands of alpha0 and of tau at small q come near 90 of 100 where the radii are given. Bands of the width, of E and of
tau far below q = 0 do not, since these hang on a few neurons that a sample may lack. Where the radii are those of each
sample, two of the populations were hit in a quarter of all cases only. No band knows of other trainings.

## Single neurons

The band of one neuron's dimension over its connections (`NeuronDimensions.band`) against the dimension of their law:

{dimensions}

## Bias

Given radii. bias: the mean of the samples less the truth. bias_against_limit: of the run, published samples (k = 32,
whose fan-out is cut, too) against the whole network; of the known laws, against infinitely many connections.

{bias}

## All orders, radii given

{given}

## All orders, radii of each sample

{own}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=300)
    parser.add_argument("--only")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    warnings.simplefilter("ignore", nmfa.QualityWarning)
    dimensions = single_dimensions()
    print(dimensions.round(3).to_string(index=False), flush=True)
    table = measure(asked.simulations, asked.only)
    if asked.write and not asked.only:
        PAGE.write_text(page(table, dimensions, asked.simulations), encoding="utf-8")


if __name__ == "__main__":
    main()
