"""From weights to the lengths of connections, and from lengths to radii; both refuse what is no number."""

import numpy as np

from . import arguments
from .blocks import EdgeBlock
from .errors import NeuroMFAError
from .memory import refuse_above


def edge_distances(block, method):
    """float64 distances of one block, of the shape of its weights; NaN where the weight is zero, no connection."""
    refuse_bad_weights(block)
    weights = block.weights().astype(np.float64)
    there = weights != 0
    if isinstance(block, EdgeBlock) and method.distance == "inverse":
        lengths = block.distances()
    else:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            lengths = np.asarray(method.call("distance", weights))
    if lengths.shape != weights.shape or lengths.dtype.kind not in "fiu":
        raise NeuroMFAError(
            f"distance of method {method.name!r} returned {lengths.dtype} of shape {lengths.shape} for matrix "
            f"{block.name!r} of shape {weights.shape}: it must return one distance per weight"
        )
    bad = there & ~((lengths >= 0) & np.isfinite(lengths))
    if bad.any():
        example = weights[bad][0]
        raise NeuroMFAError(
            f"distance of method {method.name!r} is infinite, negative or NaN for {int(bad.sum())} weights of matrix "
            f"{block.name!r}, {example:g} for instance: it must be a finite number >= 0 for every weight but zero"
        )
    lengths = np.array(lengths, dtype=np.float64)
    lengths[~there] = np.nan
    return lengths


WIDEST_HISTOGRAM = 4096  # a wider window is sparse: listing its radii takes less memory than a bin for every integer
LARGEST_MASSES = 1 << 26  # neurons times radii, 256 MB


def choose_radii(method, network, neurons, pooled):
    """The method's radii: its own numbers, the network's natural ones, or those its rule finds in pooled().

    Raises:
        NeuroMFAError: a rule that gives no radii, a network without natural ones, more masses than fit in memory.
    """
    if isinstance(method.radii, tuple):
        radii = np.array(method.radii)
    elif method.radii == "natural":
        radii = natural_radii_of(network.origin, network.natural_radii)
    else:
        radii = usable_radii(method.call("radii", pooled()), method)
    refuse_too_many(network, len(radii), neurons)
    return radii


def bins_within(network, high):
    """How many bins whole distances up to high fill for each neuron; refused where they do not fit in memory."""
    bins = int(np.rint(high)) + 2
    refuse_above(
        8 * network.neurons * bins,
        f"{network.origin}: {network.neurons:,} neurons at up to {bins:,} distances",
        "narrow the window (method.replace(window=...)), or draw a sample, network.sample(32, seed=0)",
    )
    return bins


def refuse_too_many(network, radii, neurons):
    """Refuse numbers of radii and neurons whose masses do not fit in memory."""
    if radii * neurons > LARGEST_MASSES:
        raise NeuroMFAError(
            f"{network.origin}: {radii:,} radii of {neurons:,} neurons are too many masses for memory (limit "
            f'{LARGEST_MASSES:,}): take fewer radii, radii="log-spaced" or numbers, or fewer centres'
        )


def natural_radii_of(origin, given):
    """The natural radii that an object or a graph brings, as float64.

    Raises:
        NeuroMFAError: none, a single one, or anything but increasing positive numbers.
    """
    try:
        radii = arguments.numbers("natural_radii", () if given is None else given)
    except NeuroMFAError:
        radii = np.array([np.nan])
    if radii.size == 0:
        raise NeuroMFAError(
            f"{origin} has no natural radii: objects of neuromfa_lite.fractals have, a graph of yours can be given "
            'them as graph.graph["natural_radii"] = [...]; or name the radii with method.replace(radii=[...])'
        )
    if not ((radii > 0) & np.isfinite(radii)).all() or (np.diff(radii) <= 0).any():
        raise NeuroMFAError(
            f'{origin}: its natural_radii (of a graph, graph.graph["natural_radii"]) are {arguments.shown(given)}, and '
            "must be a flat list of positive, finite and increasing numbers"
        )
    if len(radii) == 1:
        raise NeuroMFAError(
            f"{origin} has a single natural radius, {radii[0]:g}, and an exponent needs two: this object is too small, "
            "or has no scales at which it looks like itself; take a later generation or a larger one, or name the "
            'radii with method.replace(radii=[...]) or radii="every"'
        )
    return radii


def usable_radii(radii, method):
    """Radii as float64; radius 0, where distances below 1/2 round to, has no logarithm and is left out."""
    try:
        radii = np.asarray(radii, dtype=np.float64)
    except (TypeError, ValueError):
        radii = np.empty(0)
    radii = radii[radii > 0] if radii.ndim == 1 else radii
    if radii.ndim != 1 or radii.size == 0 or not np.isfinite(radii).all() or (np.diff(radii) <= 0).any():
        raise NeuroMFAError(
            f"radii of method {method.name!r} must be positive, finite and increasing; the distances gave {radii!r}"
        )
    return radii


LARGEST_CHECK = 1 << 24  # weights


def refuse_bad_network(network):
    """Refuse NaN, infinite and all-zero matrices before a part of them is sampled, which might miss the bad ones.

    Networks of more than 16,777,216 connections are not read through for this: there each sample is checked alone.

    Raises:
        NeuroMFAError: the message names the matrix.
    """
    if network.connections <= LARGEST_CHECK:
        for block in network.weight_blocks:
            refuse_bad_weights(block)


def refuse_bad_weights(block):
    weights = block.weights()
    refuse_weights(block, weights.size - np.count_nonzero(np.isfinite(weights)), not weights.any())


def refuse_weights(block, not_finite, only_zeros):
    where = "" if isinstance(block, EdgeBlock) else f"{block.matrix.origin}: "
    if not_finite:
        raise NeuroMFAError(
            f"{where}matrix {block.name!r} holds {not_finite} weights that are NaN or infinite: "
            "the training run diverged or the file is damaged; take an earlier checkpoint or fetch the file again"
        )
    if only_zeros:
        raise NeuroMFAError(
            f"{where}matrix {block.name!r} holds only zeros, so it connects nothing: the file may be empty, "
            "the sample too small to meet a connection, or leave the matrix out with network.without(name)"
        )
