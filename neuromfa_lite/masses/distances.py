"""What every way of counting shares: the neurons it counts for, the radii it counts at, and what fits in memory."""

import numpy as np

from ..errors import NeuroMFAError, arguments
from ..errors.memory import refuse_above
from ..kernels.one_hop import cumulate
from ..method import LOG_SPACED_SHARES, distinct, log_spaced_between

WIDEST_HISTOGRAM = 4096  # a wider window is sparse: listing its radii takes less memory than a bin for every integer
LARGEST_MASSES = 1 << 26  # neurons times radii, 256 MB
LARGEST_CHECK = 1 << 24  # weights


class Neurons:
    """Neurons that masses are counted of, layer after layer: in which rows, of which layer, with how many places."""

    def __init__(self, layers, places):
        """places: {position of a layer: what each of its neurons, or all alike, could be connected to}."""
        sizes = [len(layers[layer]) for layer in places]
        ends = np.cumsum([0, *sizes])
        self.layers = layers
        self.rows = {layer: slice(*ends[k : k + 2]) for k, layer in enumerate(places)}
        self.layer = np.repeat(list(places), sizes)
        self.number = np.concatenate([layers[layer].numbers for layer in places])
        self.places = np.empty(ends[-1], np.int64)
        for layer, rows in self.rows.items():
            self.places[rows] = places[layer]

    def __len__(self):
        return len(self.layer)

    def among(self, values):
        """Of values (all neurons of the network,) those of these."""
        starts = np.cumsum([0, *map(len, self.layers)])
        return np.concatenate([values[starts[layer] : starts[layer + 1]] for layer in self.rows])


def refuse_bad_network(network):
    """Refuse NaN, infinite and all-zero matrices before a part of them is sampled, which might miss the bad ones."""
    if network.connections <= LARGEST_CHECK:  # of larger networks each sample is checked alone
        for block in network.weight_blocks:
            block.checked_weights()


def has_a_bin_for_each(method):
    """Whether the distances there can be are whole numbers, few enough to count each in a bin of its own."""
    narrow = method.window is not None and method.window[1] <= WIDEST_HISTOGRAM
    return method.rounding and narrow and (method.radii == "integer" or isinstance(method.radii, tuple))


def bins_within(network, high):
    """How many bins whole distances up to high fill for each neuron; refused where they do not fit in memory."""
    bins = int(np.rint(high)) + 2
    refuse_above(
        8 * network.neurons * bins,
        f"{network.origin}: {network.neurons:,} neurons at up to {bins:,} distances",
        "narrow the window (method.replace(window=...)), or draw a sample, network.sample(32, seed=0)",
    )
    return bins


def cumulated(histogram, kept, last_bins):
    """(radii, kept neurons) uint32 masses: 1 + all bins of a neuron up to the last one of each radius."""
    counts = np.empty((len(last_bins), np.count_nonzero(kept)), np.uint32)
    cumulate(histogram, np.flatnonzero(kept), last_bins, counts)
    return counts


def refuse_too_many(network, radii, neurons):
    """Refuse numbers of radii and neurons whose masses do not fit in memory."""
    if radii * neurons > LARGEST_MASSES:
        raise NeuroMFAError(
            f"{network.origin}: {radii:,} radii of {neurons:,} neurons are too many masses for memory (limit "
            f'{LARGEST_MASSES:,}): take fewer radii, radii="log-spaced" or numbers, or fewer centres'
        )


def choose_radii(method, network, counter, kept):
    """The method's radii: its own numbers, the network's natural ones, or those its rule finds among the distances."""
    if isinstance(method.radii, tuple):
        return np.array(method.radii)
    if method.radii == "natural":
        return natural_radii_of(network.origin, network.natural_radii)
    if method.radii == "log-spaced" and hasattr(counter, "quantiles"):
        radii = log_spaced_between(*counter.quantiles(kept, LOG_SPACED_SHARES))
    else:
        radii = method.call("radii", counter.pooled(kept))
    return usable_radii(radii, method)


def looked_at(method, distances):
    """The distances that the method's rule for radii looks at: two of them at the different numbers alone."""
    if method.radii == "integer":
        return np.unique(np.rint(distances))
    return distinct(distances) if method.radii == "every" else distances


def natural_radii_of(origin, given):
    """The natural radii that an object or a graph brings, as float64; refused unless positive and increasing."""
    try:
        radii = arguments.numbers("natural_radii", () if given is None else given)
    except NeuroMFAError:
        radii = np.array([np.nan])
    if radii.size == 0:
        raise NeuroMFAError(
            f'{origin} has no natural radii: give a graph its own, graph.graph["natural_radii"] = [...], or name the '
            "radii with method.replace(radii=[...])"
        )
    if not ((radii > 0) & np.isfinite(radii)).all() or (np.diff(radii) <= 0).any():
        raise NeuroMFAError(
            f'{origin}: graph.graph["natural_radii"] is {arguments.shown(given)}, and must be a flat list of positive '
            "and increasing numbers"
        )
    if len(radii) == 1:
        raise NeuroMFAError(
            f"{origin} has a single natural radius, {radii[0]:g}, and an exponent needs two: take a larger object, or "
            'method.replace(radii="every")'
        )
    return radii


def usable_radii(radii, method):
    """Radii as float64 without radius 0, where distances below 1/2 round to: it has no logarithm."""
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
