"""One network analyzed, one run followed: the only loops over networks and checkpoints."""

from collections import namedtuple
from dataclasses import replace

import numpy as np
from tqdm.auto import tqdm

from ..errors import NeuroMFAError, arguments
from ..errors.text import plain
from ..masses import count_masses
from ..masses.balls import ball_masses, checked_measure, content_hash, known_object
from ..masses.distances import refuse_bad_network
from ..method import PAPER, refuse_no_method
from ..network import NeuronNetwork, load_network
from ..network.graphs import is_graph
from ..spectrum import spectrum_of_masses
from ..spectrum.fit import quietly, warn_once
from .emergence import degree_of_emergence, emergence_errors
from .trajectory import Trajectory
from .trial import refuse_bad_parts

_Row = namedtuple("_Row", "training_seed step sample spectrum")


def analyze(what, method=PAPER, centres=None):
    """Compute the multifractal spectrum of every neuron of a network, or of another object; it never samples.

    Args:
        what: NeuronNetwork (for the paper's sampled network ``network.sample(32, seed=0)``), a networkx graph whose
            edges have the attribute distance, a measure: masses of boxes on a line (n,) or a grid (m, n), or an object
            of :mod:`neuromfa_lite.fractals`.
        method: Method; for graphs SANDBOX or ONE_GRAPH, for measures SANDBOX.
        centres: (n,) positions of the neurons, nodes or boxes around which balls are grown; None: all of them.

    Returns:
        Spectrum, with its quality flags and where it came from.

    Raises:
        NeuroMFAError: bad weights (of a sample only those drawn are looked at), no usable neuron, a single radius, a
            graph in pieces, more memory needed than is free (42 bytes a connection for a rule for radii of one's own).

    Warns:
        QualityWarning: the spectrum has flags (curved fits, too few neurons, ...), once a session for each kind.

    Source: Xiao et al. 2025, section 3.2.

    Example:
        >>> from neuromfa_lite import load_network, load_run
        >>> network = load_network(load_run("induction").checkpoint(724))
        >>> spectrum = analyze(network.sample(32, seed=0))
        >>> float(spectrum.tau[30]), spectrum.neurons_used
        (0.0, 320)
        >>> from neuromfa_lite import SANDBOX, fractals
        >>> float(analyze(fractals.Ring(50, 2), SANDBOX.replace(radii=[1, 2, 3], q=[0, 2])).tau[1].round(3))
        0.768
    """
    refuse_no_method(method)
    what, natural = known_object(what)
    if is_graph(what):
        what = NeuronNetwork.from_networkx(what)
    if isinstance(what, NeuronNetwork):
        what.refuse_other_wiring(method)
        refuse_bad_parts(what, method)
        masses = count_masses(what, method, centres)
        about = {"source": what.origin, "hashed": what.hash_later(), "seed": what.seed}
    elif isinstance(what, (np.ndarray, list, tuple)):
        masses = ball_masses(what, method, centres, natural)
        about = {"source": "measure", "hashed": content_hash(checked_measure(what))}
    else:
        raise NeuroMFAError(
            f"analyze() takes a NeuronNetwork, a networkx graph, a measure or an object of neuromfa_lite.fractals, not "
            f"{type(what).__name__}: open a model with load_network(...)"
        )
    spectrum = spectrum_of_masses(masses, method, **about)
    warn_once(spectrum.flags, stacklevel=2)
    return spectrum


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
        NeuroMFAError: before any work: no step 0, a step or an ability that the run lacks, a part of the method that
            fails on a few weights; later: a checkpoint with the weights of step 0, weights that are NaN or infinite.

    Warns:
        QualityWarning: checkpoints whose spectra have flags, once for all of them and once a session.

    Source: Xiao et al. 2025, section 3.3; ten samples as in the authors' code.

    Example:
        >>> from neuromfa_lite import load_run
        >>> history = follow(load_run("induction"), samples=2, steps=[0, 724])
        >>> history.summary()["emergence"].round(6).tolist()[0]
        0.0
    """
    if isinstance(run, str):
        raise NeuroMFAError(f"follow() takes a run, not a name: follow(load_run({arguments.shown(run)}))")
    if not all(hasattr(run, name) for name in _OF_A_RUN):
        raise NeuroMFAError(f"follow() takes a run, load_run(...), not {type(run).__name__}: it has no {_OF_A_RUN}")
    refuse_no_method(method)
    samples = arguments.whole("samples", samples, 1, MOST_SAMPLES)
    if neurons_per_layer is not None:
        neurons_per_layer = arguments.whole("neurons_per_layer", neurons_per_layer, 1)
    wanted = _checkpoints(run, None if steps is None else _steps(steps))
    abilities = _abilities(run, wanted)
    refuse_bad_parts(load_network(run.checkpoint(*wanted[0][::-1]), wiring=method.wiring), method)
    hashes = {}
    with quietly():
        drawn = _sampled_networks(run, wanted, (samples, neurons_per_layer), method.wiring, hashes)
        rows, radii = _measure(drawn, method)
    flags = _merged(_flags_of_checkpoints(rows), _equal_checkpoints(run, hashes))
    column = {name: np.array([getattr(row.spectrum, name) for row in rows]) for name in _COLUMNS}
    keys = {name: np.array([getattr(row, name) for row in rows]) for name in ("training_seed", "step", "sample")}
    history = Trajectory(
        run=run.name,
        ability_name=run.ability,
        **keys,
        **column,
        emergence=_emergence_by_sample(keys, column, method),
        **_errors_by_sample(rows, method),
        ability=np.array([abilities[row.training_seed, row.step] for row in rows], dtype=np.float64),
        radii=radii,
        flags=flags,
        neurons_per_layer=neurons_per_layer,
        method=method.name,
        method_key=method.key,
        source_hash=" ".join(dict.fromkeys(hashes.values())),
        choices=method,
    )
    if history.flags:
        warn_once([f"run {history.run!r}: {history.quality()} (see .flags)"], stacklevel=2)
    return history


_COLUMNS = ("alpha0", "width", "r2", "share_inside", "neurons_used")
_OF_A_RUN = ("name", "ability", "seeds", "steps", "checkpoint")
MOST_SAMPLES = 1_000_000


def _steps(steps):
    """The set of whole numbers that steps are, one or several."""
    steps = [steps] if isinstance(steps, (int, np.integer)) or not np.iterable(steps) else steps
    return {arguments.whole("steps", step) for step in steps}


def _checkpoints(run, steps):
    """Every (seed, step) to follow, refused before any work where step 0 or an asked step is missing."""
    chosen = []
    for seed in run.seeds:
        there = tuple(run.steps(seed))
        mine = there if steps is None else tuple(step for step in there if step in steps)
        if 0 not in mine:
            raise NeuroMFAError(
                f"run {run.name!r}, training seed {seed}: step 0 is missing, and the degree of emergence compares "
                f"with the untrained network; the steps are {list(mine)}"
            )
        chosen += [(seed, step) for step in sorted(mine)]
    missing = sorted((steps or set()) - {step for _, step in chosen})
    if missing:
        raise NeuroMFAError(
            f"run {run.name!r} has no step {', '.join(map(str, missing))}; it has {list(run.steps(run.seeds[0]))}"
        )
    return chosen


def _abilities(run, wanted):
    """{(seed, step): the run's ability there}, NaN for a run without; refused where a checkpoint does not have it."""
    abilities = {}
    for seed, step in wanted:
        found = {run.ability: np.nan} if run.ability is None else run.checkpoint(step, seed).abilities
        if found.get(run.ability) is None:
            raise NeuroMFAError(
                f"run {run.name!r}, training seed {seed}, step {step}: its ability {run.ability!r} is not recorded "
                f"there ({', '.join(map(repr, found)) or 'none'} is): leave the step out with steps=[...]"
            )
        abilities[seed, step] = found[run.ability]
    return abilities


def samples_of(network, samples, neurons_per_layer):
    """Yield a network's samples, drawn with seeds 0, 1, ...; neurons_per_layer None: the whole network alone."""
    if neurons_per_layer is None:
        yield network
        return
    for seed in range(samples):
        yield network.sample(neurons_per_layer, seed=seed)


def spectra_of(what, method, samples, neurons_per_layer):
    """The spectra of the samples of a network or checkpoint, without warnings."""
    network = what if isinstance(what, NeuronNetwork) else load_network(what, wiring=method.wiring)
    with quietly():
        return [analyze(part, method) for part in samples_of(network, samples, neurons_per_layer)]


def sampled_spectra(runs, steps, method, neurons_per_layer, seed):
    """Yield ((run name, step), whole network, one sample, its Spectrum) of each step of some runs, first seeds only."""
    refuse_no_method(method)
    for run in runs:
        for step in steps:
            network = load_network(run.checkpoint(step, run.seeds[0]), wiring=method.wiring)
            sample = network.sample(neurons_per_layer, seed=seed)
            with quietly():
                spectrum = analyze(sample, method)
            yield (run.name, step), network, sample, spectrum


def _sampled_networks(run, wanted, drawn, wiring, hashes):
    """Yield (seed, step, sample, network) and note {(seed, step): content hash}; each file is opened once."""
    first = None
    for seed, step in tqdm(wanted, desc=plain(f"follow {run.name}"), unit="checkpoint", delay=1):
        network = load_network(run.checkpoint(step, seed), wiring=wiring)
        this = (seed, step, {layer.name: len(layer) for layer in network.layers})
        first = first or this
        _refuse_other_layers(run, first, this)
        refuse_bad_network(network)
        hashes[seed, step] = network.content_hash()
        for sample, part in enumerate(samples_of(network, *drawn)):
            yield seed, step, sample, part


def _refuse_other_layers(run, first, this):
    (seed, step, had), (of, at, has) = first, this
    for name in (name for name in had | has if had.get(name) != has.get(name)):
        raise NeuroMFAError(
            f"run {run.name!r}: layer {name!r} has {had.get(name, 0)} neurons at step {step} of seed {seed} and "
            f"{has.get(name, 0)} at step {at} of seed {of}: these are different models; leave one out with steps=[...]"
        )


def _measure(networks, method):
    if method.radii_scope == "network":
        return [_Row(*keys, _spectrum(network, method)) for *keys, network in networks], np.array([])
    kept = list(networks)
    radii = common_radii([network for *_, network in kept], method)
    fixed = method.replace(radii=radii, name=method.name)
    return [_Row(*keys, _spectrum(network, fixed)) for *keys, network in kept], radii


def _spectrum(network, method):
    """The spectrum without a hold on its network: the weights of all samples together are many."""
    return replace(analyze(network, method), hashed="")


def common_radii(networks, method):
    """(radii,) of the interval that all networks of a run cover, spaced as the method spaces them."""
    grids = [count_masses(network, method).radii for network in networks]
    low, high = max(grid[0] for grid in grids), min(grid[-1] for grid in grids)
    if method.radii == "log-spaced":
        radii = np.geomspace(low, high, len(grids[0])) if high > low else np.array([])
    else:
        every = np.unique(np.concatenate(grids))
        radii = every[(every >= low) & (every <= high)]
    if len(radii) < 2:
        raise NeuroMFAError(
            f"no radii are common to all networks of the run (largest first one {low:g}, smallest last one {high:g}): "
            'use radii_scope="network"'
        )
    return radii


def _emergence_by_sample(keys, column, method):
    at = {key: row for row, key in enumerate(zip(keys["training_seed"], keys["step"], keys["sample"], strict=True))}
    start = np.array([at[seed, 0, sample] for seed, sample in zip(keys["training_seed"], keys["sample"], strict=True)])
    alpha0, width = column["alpha0"], column["width"]
    return degree_of_emergence(alpha0, width, alpha0[start], width[start], method)


def _errors_by_sample(rows, method):
    """Standard errors over neurons of every row, NaN where no two neurons can be compared."""
    at_start = {(row.training_seed, row.sample): row.spectrum for row in rows if row.step == 0}
    nows, starts = [row.spectrum for row in rows], [at_start[row.training_seed, row.sample] for row in rows]
    alpha0, width = np.array([now.errors_of_two or (np.nan, np.nan) for now in nows]).T
    emergence = emergence_errors(starts, nows, method)
    return {"alpha0_error": alpha0, "width_error": width, "emergence_error": emergence}


def _flags_of_checkpoints(rows):
    """{"seed/step": the flags of its worst sample, and how many samples have any}."""
    of_checkpoint = {}
    for row in rows:
        of_checkpoint.setdefault(f"{row.training_seed}/{row.step}", []).append(row.spectrum)
    flags = {}
    for key, spectra in of_checkpoint.items():
        flagged = [spectrum for spectrum in spectra if spectrum.flags]
        if flagged:
            worst = min(flagged, key=lambda spectrum: spectrum.r2)
            flags[key] = f"{len(flagged)} of {len(spectra)} samples: {'; '.join(worst.flags)}"
    return flags


def _equal_checkpoints(run, hashes):
    """A flag for every checkpoint with the weights of another; refused where the other is step 0, on which E rests."""
    seen, flags = {}, {}
    for (seed, step), content in hashes.items():
        other = seen.setdefault(content, (seed, step))
        if other != (seed, step) and 0 in (step, other[1]):
            raise NeuroMFAError(
                f"run {run.name!r}: step {step} of seed {seed} has the same weights as step {other[1]} of seed "
                f"{other[0]}, so one is mislabelled and E would be wrong: leave the step out with steps=[...]"
            )
        if other != (seed, step):
            flags[f"{seed}/{step}"] = f"same weights as step {other[1]} of seed {other[0]}: one may be mislabelled"
    return flags


def _merged(first, second):
    return {key: "; ".join(part[key] for part in (first, second) if key in part) for key in {**first, **second}}
