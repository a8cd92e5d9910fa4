"""One-hop reach: how many of each neuron's own connections lie within each radius."""

import threading

import numpy as np
from tqdm.auto import tqdm

from .blocks import EdgeBlock
from .distances import (
    WIDEST_HISTOGRAM,
    bins_within,
    choose_radii,
    edge_distances,
    refuse_bad_weights,
    refuse_weights,
    usable_radii,
)
from .errors import NeuroMFAError
from .kernels.one_hop import (
    LANES,
    count_distances,
    count_listed_distances,
    count_rounded_reciprocals_f32,
    count_rounded_reciprocals_f64,
    cumulate,
    cumulate_tiles,
    total_tiles,
)
from .memory import refuse_above
from .parallel import together

ROWS_AT_ONCE = 4096  # a stripe of a large matrix, so that no copy of the whole is ever needed
# Bytes a connection, measured: its distance, and the copies that a rule for radii makes of all of them.
DISTANCES, EDGES, POOLED, POOLED_WHOLE = 16, 20, 12, 20
SHARED_FROM = 2_000_000  # connections: fewer are counted sooner than a second thread is woken
LARGEST_KEPT = 1 << 22  # numbers in a histogram whose memory is used again, 16 MB


def count_connections(network, method, centres=None):
    """Count, for every neuron of a network with outgoing weights, its connections within each radius.

    Args:
        network: NeuronNetwork, sampled or whole.
        method: Method whose reach is "one-hop".
        centres: (neurons,) bool, the neurons to measure; None: every one.

    Returns:
        radii (radii,); counts (radii, kept neurons) uint32, the masses; kept (source neurons,) bool; the source
        neurons' table (layers, layer, number, places, total); inside (source neurons,), connections in the window.

    Raises:
        NeuroMFAError: as :func:`neuromfa_lite.masses.count_masses`.
    """
    table = _SourceNeurons(network)
    if centres is not None:
        centres = table.of_all_neurons(centres)
    if _has_a_histogram(method):
        return _rounded_masses(network, method, table, centres)
    return _general_masses(network, method, table, centres)


def _has_a_histogram(method):
    """Whether whole numbers up to the window's end are all the distances there can be, few enough to count each."""
    whole = method.distance == "inverse" and method.rounding and method.window and method.window[1] <= WIDEST_HISTOGRAM
    return whole and (method.radii == "integer" or isinstance(method.radii, tuple))


class _SourceNeurons:
    """The neurons with outgoing weights, layer after layer: where each layer's rows start in the table of masses."""

    def __init__(self, network):
        self.layers = network.layers
        self.blocks = {}
        for block in network.weight_blocks:
            self.blocks.setdefault(block.source, []).append(block)
        if not self.blocks:
            raise NeuroMFAError(f"{network.origin}: the network has no weight matrix; see network.describe()")
        sizes = {source: len(self.layers[source]) for source in sorted(self.blocks)}
        starts = np.concatenate([[0], np.cumsum(list(sizes.values()))])
        self.rows = {source: slice(*starts[k : k + 2]) for k, source in enumerate(sizes)}
        self.total = int(starts[-1])
        self.layer = np.repeat(list(sizes), list(sizes.values()))
        self.number = np.concatenate([self.layers[source].numbers for source in sizes])
        self.places = np.zeros(self.total, np.int64)
        for source, blocks in self.blocks.items():
            self.places[self.rows[source]] = sum(block.places for block in blocks)

    def of_all_neurons(self, values):
        """Of values (all neurons,) those of the source neurons."""
        ends = np.cumsum([len(layer) for layer in self.layers])
        return np.concatenate([values[ends[source] - len(self.layers[source]) : ends[source]] for source in self.rows])


def _rounded_masses(network, method, table, chosen):
    """The paper's setting: rounded reciprocals straight from the weights into a histogram, 64 neurons a tile."""
    low, high = method.window
    of_layer, slots, number = _tiles_of_layers(table)
    tiles = _empty_histogram(number, bins_within(network, high))

    def count(source):
        for block in table.blocks[source]:
            _count_rounded(block, low, high, tiles[of_layer[source]])

    _for_each(count, table.blocks, network.connections)
    degrees, in_bin = np.empty((number, LANES), np.int64), np.zeros(tiles.shape[1] - 1, np.int64)
    total_tiles(tiles, method.minimum_connections, degrees, in_bin)
    degrees = degrees.ravel()[slots]
    kept = degrees >= method.minimum_connections
    if chosen is not None:
        kept &= chosen
    _refuse_no_neuron(kept, network, method, int(degrees.sum()))
    if method.radii == "integer":
        occurring = in_bin if chosen is None else _bins_of(tiles, slots[kept])
        radii = usable_radii(1.0 + np.flatnonzero(occurring[1:]), method)
    else:
        radii = np.array(method.radii)
    counts = np.empty((len(radii), np.count_nonzero(kept)), np.uint32)
    cumulate_tiles(tiles, slots[kept], np.minimum(radii, len(in_bin) - 1).astype(np.int64), counts)
    return radii, counts, kept, table, degrees


def _bins_of(tiles, slots):
    """(bins - 1,) the connections in each bin of some neurons."""
    return tiles.transpose(0, 2, 1).reshape(-1, tiles.shape[1])[slots, :-1].sum(axis=0, dtype=np.int64)


def _tiles_of_layers(table):
    """The tiles of each layer, {source: slice}; the place of each neuron in them, (neurons,); how many tiles."""
    of_layer, places, start = {}, [], 0
    for source, rows in table.rows.items():
        size = rows.stop - rows.start
        of_layer[source] = slice(start, start + -(-size // LANES))
        places.append(np.arange(start * LANES, start * LANES + size))
        start = of_layer[source].stop
    return of_layer, np.concatenate(places), start


_kept = threading.local()


def _empty_histogram(tiles, bins):
    """Zeros (tiles, bins, 64) uint32, in memory that the thread keeps: fresh memory costs more than filling it."""
    size = tiles * bins * LANES
    if size > LARGEST_KEPT:
        return np.zeros((tiles, bins, LANES), np.uint32)
    if getattr(_kept, "memory", np.empty(0)).size < size:
        _kept.memory = np.empty(size, np.uint32)
    _kept.memory[:size] = 0
    return _kept.memory[:size].reshape(tiles, bins, LANES)


def _count_rounded(block, low, high, tiles):
    if isinstance(block, EdgeBlock):
        refuse_bad_weights(block)
        distances = block.distances()
        inside = (distances > low) & (distances <= high)
        sources, bins = block.sources[inside], np.rint(distances[inside]).astype(np.int64)
        np.add.at(tiles, (sources // LANES, bins, sources % LANES), np.uint32(1))
        return
    not_finite, connections = 0, 0
    for weights in _stripes(block):
        kernel = count_rounded_reciprocals_f32 if weights.dtype == np.float32 else count_rounded_reciprocals_f64
        bad, good = kernel(weights, low, high, tiles)
        not_finite, connections = not_finite + bad, connections + good
    refuse_weights(block, not_finite, connections == 0)


def _stripes(block):
    if block.shape[0] <= ROWS_AT_ONCE:
        yield block.weights()
        return
    for start in range(0, block.shape[0], ROWS_AT_ONCE):
        yield block.matrix.rows(start, min(start + ROWS_AT_ONCE, block.shape[0]))


def _general_masses(network, method, table, chosen):
    """Any distance and any radii: the distances of every matrix are computed, pooled for the radii, and counted."""
    _refuse_too_many_connections(network, method)
    distances = {}

    def measure(source):
        distances[source] = [_distances(block, method) for block in table.blocks[source]]

    _for_each(measure, table.blocks, network.connections)
    degrees = np.zeros(table.total, np.int64)
    for source, blocks in table.blocks.items():
        for block, lengths in zip(blocks, distances[source], strict=True):
            degrees[table.rows[source]] += _degrees(block, lengths)
    kept = degrees >= method.minimum_connections
    if chosen is not None:
        kept &= chosen
    _refuse_no_neuron(kept, network, method, int(degrees.sum()))
    radii = choose_radii(method, network, np.count_nonzero(kept), lambda: _pool(table, distances, kept))
    histogram = np.zeros((table.total, len(radii) + 1), np.uint32)
    for source, blocks in table.blocks.items():
        for block, lengths in zip(blocks, distances[source], strict=True):
            if isinstance(block, EdgeBlock):
                count_listed_distances(lengths, block.sources, radii, histogram[table.rows[source]])
            else:
                count_distances(lengths, radii, histogram[table.rows[source]])
    counts = np.empty((len(radii), np.count_nonzero(kept)), np.uint32)
    cumulate(histogram, np.flatnonzero(kept), np.arange(len(radii)), counts)
    return radii, counts, kept, table, degrees


def _refuse_too_many_connections(network, method):
    rule = not isinstance(method.radii, tuple) and method.radii != "natural"
    a_connection = rule * (POOLED_WHOLE if method.radii in ("integer", "every") else POOLED)
    needed = sum(
        block.connections * (a_connection + (EDGES if isinstance(block, EdgeBlock) else DISTANCES))
        for block in network.weight_blocks
    )
    refuse_above(
        needed,
        f"{network.origin}: method {method.name!r} holds the distances of {network.connections:,} connections",
        "draw a sample, network.sample(32, seed=0), leave matrices out, network.without(name, ...), or use PAPER or "
        "PUBLISHED, which count the weights in stripes",
    )


def _distances(block, method):
    """float64 distances of one block, NaN where there is no connection inside the window."""
    lengths = edge_distances(block, method)
    if method.window is not None:
        low, high = method.window
        lengths[~((lengths > low) & (lengths <= high))] = np.nan
    return np.rint(lengths) if method.rounding else lengths


def _degrees(block, lengths):
    if isinstance(block, EdgeBlock):
        return np.bincount(block.sources[~np.isnan(lengths)], minlength=block.shape[1])
    return np.count_nonzero(~np.isnan(lengths), axis=0)


def _pool(table, distances, kept):
    """The distances of all kept neurons in one list."""
    pooled = []
    for source, blocks in table.blocks.items():
        rows = kept[table.rows[source]]
        for block, lengths in zip(blocks, distances[source], strict=True):
            chosen = lengths[rows[block.sources]] if isinstance(block, EdgeBlock) else lengths[:, rows]
            pooled.append(chosen[~np.isnan(chosen)])
    return np.concatenate(pooled)


def _for_each(work, sources, connections):
    # Every task owns the rows of one layer, so the result does not depend on who runs when.
    if connections < SHARED_FROM:
        for source in sources:
            work(source)
        return
    with tqdm(total=len(sources), desc="distances", unit="layer", delay=1, leave=False) as bar:

        def shown(source):
            work(source)
            bar.update()

        together(shown, sources)


def _refuse_no_neuron(kept, network, method, inside):
    if kept.any():
        return
    window = f"{method.window[0]:g} < d <= {method.window[1]:g}" if method.window else "any distance"
    raise NeuroMFAError(
        f"{network.origin}: no usable neuron. Of {network.connections:,} connections {inside:,} lie in the window "
        f"({window}), and no neuron has {method.minimum_connections} of them: widen the window or lower "
        f"minimum_connections (method.replace(...)), or draw a larger sample"
    )
