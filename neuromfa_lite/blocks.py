"""What a neuron network is made of: layers of neurons and the blocks of connections between them."""

import zlib
from dataclasses import dataclass, field, replace

import numpy as np

from .errors import NeuroMFAError
from .sources.matrix import WeightMatrix


@dataclass(frozen=True)
class NeuronLayer:
    """One layer of neurons; ``neurons`` holds the numbers kept by sampling, None where all are there."""

    name: str
    size: int
    role: str = "hidden"
    block: int | None = None
    group: str | None = None
    multiplier: int = 1
    neurons: np.ndarray | None = None

    def __len__(self):
        return self.size if self.neurons is None else len(self.neurons)

    @property
    def numbers(self) -> np.ndarray:
        return np.arange(self.size) if self.neurons is None else self.neurons

    def take(self, kept):
        neurons = kept if self.neurons is None else self.neurons[kept]
        return NeuronLayer(self.name, self.size, self.role, self.block, self.group, self.multiplier, neurons)


@dataclass(frozen=True)
class WeightBlock:
    """The connections one weight matrix makes between two layers: weight [target, source], zero for none."""

    name: str
    role: str
    source: int
    target: int
    matrix: WeightMatrix

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape

    @property
    def connections(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def places(self) -> int:
        """Places for a weight that each source neuron has."""
        return self.shape[0]

    def weights(self) -> np.ndarray:
        return self.matrix.read()

    def refuse_changed(self):
        self.matrix.refuse_changed()

    def take(self, targets, sources):
        return WeightBlock(self.name, self.role, self.source, self.target, self.matrix.take(targets, sources))

    def edges(self):
        weights = self.weights()
        targets, sources = np.nonzero(weights)
        return sources, targets, weights[targets, sources].astype(np.float64)

    def of_source(self, source):
        """(targets, weights) of one source neuron, zero weights included; both (targets,)."""
        return np.arange(self.shape[0]), self.matrix.read(sources=np.array([source]))[:, 0]


@dataclass(frozen=True)
class EdgeBlock:
    """Connections given one by one: sources, targets (edges,) neuron positions and weights (edges,) float64.

    lengths (edges,): their distances, where these were given and 1/|weight| would round them; both_ways: every
    connection is listed in both directions.
    """

    name: str
    role: str
    source: int
    target: int
    sources: np.ndarray = field(repr=False)
    targets: np.ndarray = field(repr=False)
    listed: np.ndarray = field(repr=False)
    shape: tuple[int, int] = (0, 0)
    lengths: np.ndarray | None = field(default=None, repr=False)
    both_ways: bool = False

    def __post_init__(self):
        """Kernels count by these positions, so none may lie outside its layer."""
        for what, ends, size in (("sources", self.sources, self.shape[1]), ("targets", self.targets, self.shape[0])):
            if len(ends) != len(self.listed) or ends.dtype.kind not in "iu":
                raise NeuroMFAError(f"{self.name}: {what} must be a whole number for each of {len(self.listed)} edges")
            if len(ends) and not 0 <= ends.min() <= ends.max() < size:
                raise NeuroMFAError(f"{self.name}: {what} {ends.min()} to {ends.max()} are not within {size} neurons")

    @property
    def connections(self) -> int:
        return len(self.listed)

    @property
    def places(self) -> np.ndarray:
        """(sources,) edges that leave each neuron."""
        return np.bincount(self.sources, minlength=self.shape[1])

    def weights(self) -> np.ndarray:
        return self.listed

    def refuse_changed(self):
        """Nothing: edges are in memory."""

    def take(self, targets, sources):
        new_source = _positions(sources, self.shape[1])
        new_target = _positions(targets, self.shape[0])
        inside = (new_source[self.sources] >= 0) & (new_target[self.targets] >= 0)
        return replace(
            self,
            sources=new_source[self.sources[inside]],
            targets=new_target[self.targets[inside]],
            listed=self.listed[inside],
            lengths=None if self.lengths is None else self.lengths[inside],
            shape=(len(targets), len(sources)),
        )

    def edges(self):
        there = self.listed != 0
        return self.sources[there], self.targets[there], self.listed[there]

    def distances(self):
        """(edges,) float64 1/|weight|, infinite for weight 0, or the lengths that were given."""
        if self.lengths is not None:
            return self.lengths.copy()
        with np.errstate(divide="ignore", over="ignore"):
            return 1.0 / np.abs(self.listed)

    def of_source(self, source):
        """(targets, weights) of one source neuron, (edges of it,) each."""
        mine = self.sources == source
        return self.targets[mine], self.listed[mine]


@dataclass(frozen=True)
class FixedJoin:
    """A join of two layers that no weight matrix makes (weight 1): each to its own ("one-to-one") or "all-to-all".

    pairs: (targets, sources) positions of the neurons one-to-one, where a sample drew others in the two layers.
    """

    name: str
    role: str
    source: int
    target: int
    kind: str
    shape: tuple[int, int]
    pairs: tuple | None = field(default=None, repr=False)

    @property
    def connections(self) -> int:
        if self.pairs is not None:
            return len(self.pairs[0])
        return self.shape[1] if self.kind == "one-to-one" else self.shape[0] * self.shape[1]

    def take(self, targets, sources):
        pairs, shape = None, (len(targets), len(sources))
        one_to_one = self.kind == "one-to-one" and targets is not sources
        if self.pairs is not None or (one_to_one and not np.array_equal(targets, sources)):
            new_source, new_target = _positions(sources, self.shape[1]), _positions(targets, self.shape[0])
            old_sources, old_targets, _ = self.edges()
            pairs = new_target[old_targets], new_source[old_sources]
            pairs = tuple(ends[(pairs[0] >= 0) & (pairs[1] >= 0)] for ends in pairs)
        return FixedJoin(self.name, self.role, self.source, self.target, self.kind, shape, pairs)

    def edges(self):
        if self.pairs is not None:
            targets, sources = self.pairs
        elif self.kind == "one-to-one":
            sources = targets = np.arange(self.shape[1])
        else:
            targets, sources = (grid.ravel() for grid in np.indices(self.shape))
        return sources, targets, np.ones(len(sources))


def _positions(kept, size):
    positions = np.full(size, -1, np.int64)
    positions[kept] = np.arange(len(kept))
    return positions


def checksum(block):
    """A checksum of a block's weights: of all of them, or of about 65,536 where there are more."""
    weights = np.ascontiguousarray(_some_weights(block))
    # Adler's sum is the faster one, and too weak for a few bytes.
    return zlib.adler32(weights) if weights.nbytes > 4096 else zlib.crc32(weights)


def _some_weights(block, largest=65_536):
    if not isinstance(block, WeightBlock):
        return np.concatenate([block.sources, block.targets, block.listed])
    rows, columns = block.shape
    if rows * columns <= largest:
        return block.weights()
    wanted = max(1, largest // columns)
    return block.matrix.read(np.linspace(0, rows - 1, wanted).astype(np.int64))
