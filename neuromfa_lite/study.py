"""One network analyzed, one run followed: the only loops over networks and checkpoints."""

from collections import namedtuple

import numpy as np
from tqdm.auto import tqdm

from . import storage
from .emergence import degree_of_emergence
from .errors import NeuroMFAError
from .masses import one_hop_masses
from .method import PAPER
from .network import NeuronNetwork, load_network
from .spectrum import spectrum_of_masses
from .trajectory import Trajectory

_Row = namedtuple("_Row", "training_seed step sample ability spectrum")


def analyze(network, method=PAPER):
    """Compute the multifractal spectrum of every neuron of a network; it never samples.

    Args:
        network: NeuronNetwork; for the paper's sampled network give ``network.sample(32, seed=0)``.
        method: Method: PAPER, PUBLISHED, SCALE_FREE, GEODESIC or a variant.

    Returns:
        Spectrum, with its quality flags and where it came from.

    Raises:
        NeuroMFAError: bad weights, no usable neuron, a single radius; the message names the matrix and the way out.

    Source: Xiao et al. 2025, section 3.2.

    Example:
        >>> from neuromfa_lite import load_network, load_run
        >>> network = load_network(load_run("induction").checkpoint(724))
        >>> spectrum = analyze(network.sample(32, seed=0))
        >>> float(spectrum.tau[30]), spectrum.neurons_used
        (0.0, 320)
    """
    if not isinstance(network, NeuronNetwork):
        raise NeuroMFAError(
            f"analyze() takes a NeuronNetwork, not {type(network).__name__}: open it with load_network(...), "
            "and draw a sample with .sample(32, seed=0) to measure as the paper does"
        )
    masses = one_hop_masses(network, method)
    return spectrum_of_masses(
        masses,
        method,
        source=network.origin,
        source_hash=network.content_hash(),
        seed=network.seed,
        versions=storage.versions(),
    )


def follow(run, method=PAPER, samples=10, neurons_per_layer=32, steps=None):
    """Follow a run over its checkpoints: the spectrum of every sample at every step, and the degree of emergence.

    Args:
        run: a Run of :func:`neuromfa_lite.load_run`, or anything with its ``name``, ``ability``, ``seeds``,
            ``steps(seed)`` and ``checkpoint(step, seed)``.
        method: Method; with radii_scope="run" all spectra use the radii that every one of them covers.
        samples: number of sampled networks, drawn with seeds 0, 1, ...; each has the same neurons at every step.
        neurons_per_layer: size of a sample; None measures the whole network once.
        steps: the steps to follow, 0 among them; None: every checkpoint.

    Returns:
        Trajectory.

    Raises:
        NeuroMFAError: no step 0, a step that the run does not have, two checkpoints with equal weights.

    Source: Xiao et al. 2025, section 3.3; ten samples as in the authors' code.

    Example:
        >>> from neuromfa_lite import load_run
        >>> history = follow(load_run("induction"), samples=2, steps=[0, 724])
        >>> history.summary()["emergence"].round(6).tolist()[0]
        0.0
    """
    if isinstance(run, str):
        raise NeuroMFAError(f"follow() takes a run, not a name: follow(load_run({run!r}))")
    if samples < 1:
        raise NeuroMFAError(f"samples={samples} must be at least 1")
    wanted = _checkpoints(run, steps)
    networks = _sampled_networks(run, wanted, range(samples) if neurons_per_layer else [None], neurons_per_layer)
    rows, radii = _measure(networks, method)
    hashes = {(row.training_seed, row.step): row.spectrum.source_hash for row in rows if row.sample == 0}
    _refuse_equal_checkpoints(run, hashes)
    column = {name: np.array([getattr(row.spectrum, name) for row in rows]) for name in _COLUMNS}
    keys = {name: np.array([getattr(row, name) for row in rows]) for name in ("training_seed", "step", "sample")}
    return Trajectory(
        run=run.name,
        ability_name=run.ability,
        **keys,
        **column,
        emergence=_emergence_by_sample(keys, column, method),
        ability=np.array([row.ability for row in rows], dtype=np.float64),
        radii=radii,
        flags={f"{r.training_seed}/{r.step}": "; ".join(r.spectrum.flags) for r in rows if r.spectrum.flags},
        neurons_per_layer=neurons_per_layer,
        method=method.name,
        method_key=method.key,
        source_hash=" ".join(dict.fromkeys(hashes.values())),
        versions=storage.versions(),
        choices=method,
    )


_COLUMNS = ("alpha0", "width", "r2", "share_inside", "neurons_used")


def _checkpoints(run, steps):
    """Every (seed, step) to follow, refused before any work where step 0 or an asked step is missing."""
    chosen = []
    for seed in run.seeds:
        there = tuple(run.steps(seed))
        mine = there if steps is None else tuple(step for step in there if step in set(steps))
        if 0 not in mine:
            raise NeuroMFAError(
                f"run {run.name!r}, training seed {seed}: step 0 is missing, and the degree of emergence compares "
                f"with the untrained network; the steps are {list(mine)}"
            )
        chosen += [(seed, step) for step in sorted(mine)]
    missing = sorted(set(steps or ()) - {step for _, step in chosen})
    if missing:
        raise NeuroMFAError(
            f"run {run.name!r} has no step {', '.join(map(str, missing))}; it has {list(run.steps(run.seeds[0]))}"
        )
    return chosen


def _sampled_networks(run, wanted, samples, neurons_per_layer):
    """Yield (seed, step, sample, ability, network); each file is opened once, its mapping shared by all samples."""
    for seed, step in tqdm(wanted, desc=f"follow {run.name}", unit="checkpoint", delay=1):
        checkpoint = run.checkpoint(step, seed)
        ability = checkpoint.abilities.get(run.ability, np.nan) if run.ability else np.nan
        network = load_network(checkpoint)
        for sample in samples:
            part = network if sample is None else network.sample(neurons_per_layer, seed=sample)
            yield seed, step, sample or 0, ability, part


def _measure(networks, method):
    if method.radii_scope == "network":
        return [_Row(*keys, analyze(network, method)) for *keys, network in networks], np.array([])
    kept = list(networks)
    radii = _common_radii([one_hop_masses(network, method).radii for *_, network in kept], method)
    fixed = method.replace(radii=radii, name=method.name)
    return [_Row(*keys, analyze(network, fixed)) for *keys, network in kept], radii


def _common_radii(grids, method):
    """The radii of the interval that every network covers: spaced as the method spaces them."""
    low, high = max(grid[0] for grid in grids), min(grid[-1] for grid in grids)
    if method.radii == "log-spaced":
        radii = np.geomspace(low, high, len(grids[0])) if high > low else np.array([])
    else:
        every = np.unique(np.concatenate(grids))
        radii = every[(every >= low) & (every <= high)]
    if len(radii) < 2:
        raise NeuroMFAError(
            f"no radii are common to all networks of the run (largest first one {low:g}, smallest last one {high:g}): "
            'use radii_scope="network" or name the radii'
        )
    return radii


def _emergence_by_sample(keys, column, method):
    at = {key: row for row, key in enumerate(zip(keys["training_seed"], keys["step"], keys["sample"], strict=True))}
    start = np.array([at[seed, 0, sample] for seed, sample in zip(keys["training_seed"], keys["sample"], strict=True)])
    alpha0, width = column["alpha0"], column["width"]
    return degree_of_emergence(alpha0, width, alpha0[start], width[start], method)


def _refuse_equal_checkpoints(run, hashes):
    seen = {}
    for (seed, step), content in hashes.items():
        if content in seen:
            other = seen[content]
            raise NeuroMFAError(
                f"run {run.name!r}: step {step} of seed {seed} has the same weights as step {other[1]} of seed "
                f"{other[0]}, so one of them is mislabelled and E would be wrong: fetch the revision again, or leave "
                "the step out with steps=[...]"
            )
        seen[content] = (seed, step)
