"""One-hop reach: how many of each neuron's own connections lie within each radius."""

import numpy as np
from tqdm.auto import tqdm

from ..errors import NeuroMFAError
from ..errors.memory import fits, refuse_above
from ..kernels.one_hop import LANES, cumulate_tiles, total_tiles
from ..kernels.quantiles import quantiles
from ..kernels.threads import together
from ..method import label
from ..network.connections import IN_STRIPES
from .distances import Neurons, bins_within, cumulated, has_a_bin_for_each, looked_at, refuse_too_many

WHOLE = 26  # bytes a weight of a matrix whose lengths are computed at once, measured
HELD = 42  # bytes a connection: its length, kept between the passes, and copies that a rule for radii makes, measured
SHARED_FROM = 2_000_000  # connections: fewer are counted sooner than a second thread is woken


def connections_of(network, method, centres=None):
    """The connections of every neuron with outgoing weights, which answer inside, pooled(kept), masses(radii, kept)."""
    rounded = method.distance == "inverse" and has_a_bin_for_each(method)
    return (RoundedConnections if rounded else Connections)(network, method, centres)


class _OneHop:
    """The blocks that leave each layer, and where its neurons stand in the table of masses."""

    def __init__(self, network, method, centres):
        self.network, self.method = network, method
        self.blocks = {}
        for block in network.weight_blocks:
            self.blocks.setdefault(block.source, []).append(block)
        if not self.blocks:
            raise NeuroMFAError(f"{network.origin}: the network has no weight matrix; see network.describe()")
        places = {source: sum(block.places for block in self.blocks[source]) for source in sorted(self.blocks)}
        self.neurons = Neurons(network.layers, places)
        self.every_neuron = centres is None
        self.count()

    def found(self, window):
        """How many connections there are, in words, where no neuron has enough."""
        return (
            f"Of {self.network.connections:,} connections {int(self.inside.sum()):,} lie in the window ({window}), and "
            f"no neuron has {self.method.minimum_connections} of them"
        )


class RoundedConnections(_OneHop):
    """The paper's setting: rounded reciprocals straight from the weights into a histogram, 64 neurons a tile."""

    def count(self):
        low, high = self.method.window
        of_layer, self._slots, number = self._tiles_of_layers()
        self._tiles = tiles = np.zeros((number, bins_within(self.network, high), LANES), np.uint32)

        def count(source):
            for block in self.blocks[source]:
                block.count_rounded(low, high, tiles[of_layer[source]])

        _for_each(count, self.blocks, self.network.connections)
        degrees, self._in_bin = np.empty((number, LANES), np.int64), np.zeros(tiles.shape[1] - 1, np.int64)
        total_tiles(tiles, self.method.minimum_connections, degrees, self._in_bin)
        self.inside = degrees.ravel()[self._slots]

    def _tiles_of_layers(self):
        """The tiles of each layer, {source: slice}; the place of each neuron in them, (neurons,); how many tiles."""
        of_layer, places, start = {}, [], 0
        for source, rows in self.neurons.rows.items():
            size = rows.stop - rows.start
            of_layer[source] = slice(start, start + -(-size // LANES))
            places.append(np.arange(start * LANES, start * LANES + size))
            start = of_layer[source].stop
        return of_layer, np.concatenate(places), start

    def pooled(self, kept):
        """The distances that occur among the kept neurons."""
        if self.every_neuron:
            return np.flatnonzero(self._in_bin)
        tiles = self._tiles
        rows = tiles.transpose(0, 2, 1).reshape(-1, tiles.shape[1])[self._slots[kept], :-1]
        return np.flatnonzero(rows.sum(axis=0, dtype=np.int64))

    def masses(self, radii, kept):
        """(radii, kept neurons) uint32."""
        counts = np.empty((len(radii), np.count_nonzero(kept)), np.uint32)
        last_bins = np.minimum(radii, len(self._in_bin) - 1).astype(np.int64)
        cumulate_tiles(self._tiles, self._slots[kept], last_bins, counts)
        return counts


class Connections(_OneHop):
    """Any distance and any radii: the lengths come in stripes, once to find who is kept, once for radii, once to count.

    A sample is one stripe. Lengths are kept between the passes where they fit in memory, and computed anew where not.
    """

    def count(self):
        self._refuse_too_many()
        self._held = {} if fits(HELD * self.network.connections) else None
        self.inside = np.zeros(len(self.neurons), np.int64)

        def count(source):
            rows = self.neurons.rows[source]
            for block, lengths in self._stripes(source):
                self.inside[rows] += block.degrees(lengths)

        _for_each(count, self.blocks, self.network.connections)

    def _refuse_too_many(self):
        """Refuse what one's own parts look at, or "every" radius, where it does not fit: a matrix, or all distances."""
        largest = max(block.connections for block in self.network.weight_blocks)
        if self.method.distance not in IN_STRIPES:
            refuse_above(
                WHOLE * largest,
                f"{self.network.origin}: distance {label(self.method.distance)!r} of method {self.method.name!r} looks "
                f"at a whole matrix of {largest:,} weights",
                "draw a sample, network.sample(32, seed=0), or take a named distance, which is measured in stripes",
            )
        if isinstance(self.method.radii, tuple) or self.method.radii in ("integer", "log-spaced", "natural"):
            return
        refuse_above(
            HELD * self.network.connections,
            f"{self.network.origin}: radii {label(self.method.radii)!r} of method {self.method.name!r} are found among "
            f"the distances of all {self.network.connections:,} connections",
            'draw a sample, network.sample(32, seed=0), or take radii="log-spaced", which needs no list of them',
        )

    def _stripes(self, source):
        """(block, lengths in the window) of what leaves a layer; a matrix may come in several stripes of targets."""
        if self._held is not None and source in self._held:
            return self._held[source]
        made = (
            (block, self._in_window(lengths))
            for block in self.blocks[source]
            for lengths in block.lengths_in_stripes(self.method)
        )
        if self._held is not None:
            made = self._held[source] = list(made)
        return made

    def _in_window(self, lengths):
        if self.method.window is not None:
            low, high = self.method.window
            lengths[~((lengths > low) & (lengths <= high))] = np.nan
        return np.rint(lengths) if self.method.rounding else lengths

    def _pieces(self, kept):
        """The distances of all kept neurons, a list at a time."""
        for source, rows in self.neurons.rows.items():
            for block, lengths in self._stripes(source):
                chosen = block.of_sources(lengths, kept[rows])
                yield chosen[~np.isnan(chosen)]

    def pooled(self, kept):
        """The distances of all kept neurons in one list, or of named rules what they look at."""
        return np.concatenate([looked_at(self.method, piece) for piece in self._pieces(kept)])

    def quantiles(self, kept, shares):
        """Those of the distances of all kept neurons, never in one list where they are not held."""
        if self._held is not None:
            return np.quantile(self.pooled(kept), shares)
        return quantiles(lambda: self._pieces(kept), shares)

    def masses(self, radii, kept):
        """(radii, kept neurons) uint32."""
        refuse_too_many(self.network, len(radii), np.count_nonzero(kept))
        histogram = np.zeros((len(self.neurons), len(radii) + 1), np.uint32)

        def count(source):
            rows = self.neurons.rows[source]
            for block, lengths in self._stripes(source):
                block.count(lengths, radii, histogram[rows])

        _for_each(count, self.blocks, self.network.connections)
        return cumulated(histogram, kept, np.arange(len(radii)))


def _for_each(work, sources, connections):
    """Call work for every layer: each owns its rows, so the result does not depend on who runs when."""
    if connections < SHARED_FROM:
        for source in sources:
            work(source)
        return
    with tqdm(total=len(sources), desc="distances", unit="layer", delay=1, leave=False) as bar:

        def shown(source):
            work(source)
            bar.update()

        together(shown, sources)
