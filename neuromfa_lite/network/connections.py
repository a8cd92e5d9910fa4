"""What a neuron network is made of: layers of neurons, and connections between them that answer for themselves.

A weight matrix (:class:`Dense`), a list of edges (:class:`Edges`) and a fixed join of weight 1
(:class:`Fixed`) answer the same questions: whoever counts or measures never asks for their kind.
"""

import zlib
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ..errors import NeuroMFAError
from ..kernels.geodesic import extend_paths, join_groups
from ..kernels.one_hop import (
    LANES,
    count_distances,
    count_listed_distances,
    count_rounded_reciprocals_f32,
    count_rounded_reciprocals_f64,
)
from ..kernels.quantiles import median

FIXED_LENGTH = 1.0  # of a connection that no weight makes
WEIGHTS_AT_ONCE = 1 << 20  # a stripe of a large matrix, so that no copy of the whole is ever needed
IN_STRIPES = ("inverse", "inverse-over-median", "minus-log")  # any other distance may look at its whole matrix


@dataclass(frozen=True)
class NeuronLayer:
    """One layer of neurons: its name, its size and what it is for.

    Attributes:
        name: what joins, tables and plots call it.
        size: number of neurons.
        role: "hidden", "query", "key", "value", "attention", "middle", "mlp", "expert", "router", "channel", "output",
            or what else its record calls it.
        block: number of its transformer block, from 0; None: it belongs to none.
        group: layers of one group, size and multiplier share their sampled neurons; by default each is its own.
        multiplier: a sample of k neurons per layer takes multiplier * k neurons here.
        small: whether a sample that asks for more neurons than there are takes all of them; else it is refused.
        neurons: the numbers kept by sampling, None where all are there.

    Example:
        >>> NeuronLayer("block 0 mlp", 256, role="mlp", multiplier=2).group
        'block 0 mlp'
    """

    name: str
    size: int
    role: str = "hidden"
    block: int | None = 0
    group: str = ""
    multiplier: int = 1
    small: bool = False
    neurons: np.ndarray | None = None

    def __post_init__(self):
        if not self.group:
            object.__setattr__(self, "group", self.name)

    def __len__(self):
        return self.size if self.neurons is None else len(self.neurons)

    @property
    def numbers(self):
        """The numbers of its neurons."""
        return np.arange(self.size) if self.neurons is None else self.neurons

    def take(self, kept):
        return replace(self, neurons=kept if self.neurons is None else self.neurons[kept])


@dataclass(frozen=True)
class _Weights:
    """What a matrix and a list of edges share; lengths have the weights' shape, NaN where no connection counts."""

    name: str
    role: str
    source: int
    target: int

    fixed = False
    both_ways = False  # every connection is listed in both directions
    given = None  # lengths that are no function of the weights

    def checked_weights(self):
        weights = self.weights()
        self.refuse_bad(weights.size - np.count_nonzero(np.isfinite(weights)), not weights.any())
        return weights

    def refuse_bad(self, not_finite, only_zeros):
        """Refuse weights that are NaN or infinite, or all zero."""
        if not_finite:
            raise NeuroMFAError(
                f"{self.where}matrix {self.name!r} holds {not_finite} weights that are NaN or infinite: take an "
                "earlier checkpoint if the training diverged, or fetch the file again"
            )
        if only_zeros:
            raise NeuroMFAError(
                f"{self.where}matrix {self.name!r} holds only zeros, so it connects nothing: draw a larger sample, or "
                "leave the matrix out with network.without(name)"
            )

    def lengths(self, method):
        """float64 lengths by the method's distance; NaN where the weight is zero, no connection."""
        return self._lengths_of(self.checked_weights(), method)

    def lengths_in_stripes(self, method):
        """Yield them piece by piece, each with all sources."""
        yield self.lengths(method)

    def _lengths_of(self, weights, method):
        weights = weights.astype(np.float64)
        there = weights != 0
        if self.given is not None and method.distance == "inverse":
            lengths = self.given
        else:
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                lengths = np.asarray(method.call("distance", weights))
        if lengths.shape != weights.shape or lengths.dtype.kind not in "fiu":
            raise NeuroMFAError(
                f"distance of method {method.name!r} returned {lengths.dtype} of shape {lengths.shape} for matrix "
                f"{self.name!r} of shape {weights.shape}: it must return one distance per weight"
            )
        bad = there & ~((lengths >= 0) & np.isfinite(lengths))
        if bad.any():
            raise NeuroMFAError(
                f"distance of method {method.name!r} is infinite, negative or NaN for {int(bad.sum())} weights of "
                f"matrix {self.name!r}, {weights[bad][0]:g} for instance: it must be finite and >= 0 for every weight "
                "but zero"
            )
        lengths = np.array(lengths, dtype=np.float64)
        lengths[~there] = np.nan
        return lengths

    def steps(self, method):
        """The lengths as shortest paths take them, (sources, targets), infinite where there is no connection."""
        lengths = self.lengths(method)
        lengths[np.isnan(lengths)] = np.inf
        return np.ascontiguousarray(lengths.T)

    def checksum(self):
        """A checksum of the weights, of about 65,536 where a matrix has more."""
        weights = np.ascontiguousarray(self._some_weights())
        # Adler's sum is the faster one, and too weak for a few bytes.
        return zlib.adler32(weights) if weights.nbytes > 4096 else zlib.crc32(weights)


@dataclass(frozen=True)
class Dense(_Weights):
    """The connections one weight matrix makes between two layers: weight [target, source], zero for none.

    parallel: how many rows of the matrix, one after another, belong to a target: the positions of a kernel.
    """

    matrix: object  # a WeightMatrix
    parallel: int = 1
    note: str = ""  # what describe() adds

    listed_singly = False

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.matrix.shape
        return rows // self.parallel, columns

    @property
    def connections(self) -> int:
        return self.matrix.shape[0] * self.matrix.shape[1]

    @property
    def places(self) -> int:
        """Places for a weight of each source neuron."""
        return self.matrix.shape[0]

    @property
    def where(self):
        return f"{self.matrix.origin}: "

    @property
    def place(self):
        """Where its targets are stored: the matrix, with its number in a stack; which of its outputs; how many."""
        name, rows, stored = self.matrix.place
        return name, rows[:: self.parallel] // self.parallel, stored // self.parallel

    def weights(self) -> np.ndarray:
        return self.matrix.read()

    def with_weights(self, weights):
        """The same connections with other weights, in memory."""
        return replace(self, matrix=self.matrix.from_array(self.name, weights, self.matrix.origin))

    def refuse_changed(self):
        self.matrix.refuse_changed()

    @property
    def version(self):
        """The state of the file that holds the weights; of weights in memory, which may change in place, a checksum."""
        version = self.matrix.version
        return self.checksum() if version is None else version

    def digest(self):
        """A hash of all weights as stored."""
        return self.matrix.digest()

    def take(self, targets, sources):
        if self.parallel > 1:
            targets = (np.asarray(targets)[:, None] * self.parallel + np.arange(self.parallel)).ravel()
        return replace(self, matrix=self.matrix.take(targets, sources))

    def corner(self, size):
        """Some of its neurons, where there are weights among them, or all."""
        part = self.take(*(np.arange(min(size, each)) for each in self.shape))
        return part if part.weights().any() else self

    def lengths_in_stripes(self, method):
        if self.connections <= WEIGHTS_AT_ONCE or method.distance not in IN_STRIPES:
            yield self.lengths(method)
            return
        not_finite, connections = 0, 0
        for weights in self._stripes():
            not_finite += weights.size - np.count_nonzero(np.isfinite(weights))
            connections += np.count_nonzero(weights)
        self.refuse_bad(not_finite, not connections)
        unit = 1.0
        if method.distance == "inverse-over-median":
            method, unit = method.replace(distance="inverse", name=method.name), median(self._all_inverse)
        for weights in self._stripes():
            yield self._lengths_of(weights, method) / unit

    def _all_inverse(self):
        for weights in self._stripes():
            yield 1.0 / np.abs(weights[weights != 0].astype(np.float64))

    def edges(self):
        weights = self.weights()
        rows, sources = np.nonzero(weights)
        return sources, rows // self.parallel, weights[rows, sources].astype(np.float64)

    def of_source(self, source):
        """(targets, weights) of one source neuron, zero weights included; both (targets,)."""
        return np.arange(self.places) // self.parallel, self.matrix.read(sources=np.array([source]))[:, 0]

    def reaches(self, sources):
        """(targets,) bool: those with a weight other than zero from one of the sources (sources,) bool."""
        return (self.weights()[:, sources] != 0).any(axis=1).reshape(-1, self.parallel).any(axis=1)

    def permuted(self, weights, stream):
        """The weights, shuffled among the targets of each source."""
        return stream.permuted(weights, axis=0)

    def degrees(self, lengths):
        """(sources,) how many lengths each source has."""
        return np.count_nonzero(~np.isnan(lengths), axis=0)

    def of_sources(self, lengths, kept):
        """The lengths of the sources kept (sources,) bool."""
        return lengths[:, kept]

    def count(self, lengths, radii, histogram):
        """Count each length at the smallest radius that reaches it: histogram (sources, radii + 1)."""
        count_distances(lengths, radii, histogram)

    def count_rounded(self, low, high, tiles):
        """Count 1/|weight| in (low, high], rounded, stripe by stripe; tiles as in kernels.one_hop."""
        not_finite, connections = 0, 0
        for weights in self._stripes():
            kernel = count_rounded_reciprocals_f32 if weights.dtype == np.float32 else count_rounded_reciprocals_f64
            bad, good = kernel(weights, low, high, tiles)
            not_finite, connections = not_finite + bad, connections + good
        self.refuse_bad(not_finite, connections == 0)

    def extend(self, steps, limit, paths, reached):
        """Lead paths (n, sources) on to reached (n, targets) where they are shorter."""
        extend_paths(paths, steps, limit, reached)

    def steps(self, method):
        steps = super().steps(method)
        return steps if self.parallel == 1 else steps.reshape(len(steps), -1, self.parallel).min(axis=2)

    def step_matrix(self, steps):
        return steps

    def listed_steps(self, method):
        """(sources, targets, lengths) of every connection, one by one."""
        steps = self.steps(method)
        sources, targets = np.nonzero(np.isfinite(steps))
        return sources, targets, steps[sources, targets]

    def _stripes(self):
        targets, sources = self.matrix.shape
        rows = max(1, WEIGHTS_AT_ONCE // max(1, sources))
        for start in range(0, targets, rows):
            yield self.matrix.rows(start, min(start + rows, targets))

    def _some_weights(self, largest=65_536):
        rows, columns = self.matrix.shape
        if rows * columns <= largest:
            return self.weights()
        wanted = max(1, largest // columns)
        return self.matrix.read(np.linspace(0, rows - 1, wanted).astype(np.int64))


@dataclass(frozen=True)
class Edges(_Weights):
    """Connections one by one: sources, targets (edges,) positions of neurons, listed (edges,) float64 weights.

    given (edges,): their lengths, where 1/|weight| would round them.
    """

    sources: np.ndarray = field(repr=False)
    targets: np.ndarray = field(repr=False)
    listed: np.ndarray = field(repr=False)
    shape: tuple[int, int] = (0, 0)
    given: np.ndarray | None = field(default=None, repr=False)
    both_ways: bool = False
    note: str = ""

    listed_singly = True
    where = ""

    def __post_init__(self):
        """Refuse positions outside the layers, by which kernels count."""
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

    @property
    def place(self):
        """Where its targets are stored, as of Dense: a grouped kernel goes as a whole."""
        return self.name, np.arange(self.shape[0]), self.shape[0]

    def weights(self) -> np.ndarray:
        return self.listed

    def with_weights(self, weights):
        """The same connections with other weights, which lose the lengths given and may differ on the way back."""
        there, back = np.split(weights, 2) if self.both_ways else (weights, None)
        return replace(self, listed=weights, given=None, both_ways=self.both_ways and np.array_equal(there, back))

    @property
    def version(self):
        return self.checksum()

    def refuse_changed(self):
        """Nothing: edges are in memory."""

    def digest(self):
        return b"".join(each.tobytes() for each in (self.sources, self.targets, self.listed))

    def take(self, targets, sources):
        shape = len(targets), len(sources)
        targets, sources, inside = _renumbered((self.targets, self.sources), (targets, sources), self.shape)
        given = None if self.given is None else self.given[inside]
        return replace(self, sources=sources, targets=targets, listed=self.listed[inside], given=given, shape=shape)

    def corner(self, size):
        return self

    def edges(self):
        there = self.listed != 0
        return self.sources[there], self.targets[there], self.listed[there]

    def of_source(self, source):
        mine = self.sources == source
        return self.targets[mine], self.listed[mine]

    def reaches(self, sources):
        there = np.zeros(self.shape[0], bool)
        there[self.targets[sources[self.sources] & (self.listed != 0)]] = True
        return there

    def permuted(self, weights, stream):
        shuffled = np.empty_like(weights)
        places = np.argsort(self.sources, kind="stable")
        shuffled[places] = weights[np.lexsort((stream.random(len(weights)), self.sources))]
        return shuffled

    def degrees(self, lengths):
        return np.bincount(self.sources[~np.isnan(lengths)], minlength=self.shape[1])

    def of_sources(self, lengths, kept):
        return lengths[kept[self.sources]]

    def count(self, lengths, radii, histogram):
        count_listed_distances(lengths, self.sources, radii, histogram)

    def count_rounded(self, low, high, tiles):
        weights = self.checked_weights()
        with np.errstate(divide="ignore", over="ignore"):
            lengths = 1.0 / np.abs(weights) if self.given is None else self.given
        inside = (lengths > low) & (lengths <= high)
        sources, bins = self.sources[inside], np.rint(lengths[inside]).astype(np.int64)
        np.add.at(tiles, (sources // LANES, bins, sources % LANES), np.uint32(1))

    def listed_steps(self, method):
        lengths = self.lengths(method)
        there = ~np.isnan(lengths)
        return self.sources[there], self.targets[there], lengths[there]

    def _some_weights(self):
        return np.concatenate([self.sources, self.targets, self.listed])


@dataclass(frozen=True)
class Fixed:
    """A join of weight 1 that no matrix makes: neurons of equal labels are joined; it counts in paths only.

    Attributes:
        into, out_of: (targets,) and (sources,) whole numbers; a negative one joins nothing.

    Example:
        >>> twice = Fixed.by_source("values", "attention", 0, 1, [0, 1, 0, 1], sources=2)  # each has two targets
        >>> twice.kind, [ends.tolist() for ends in twice.edges()[:2]]
        ('one-to-many', [[0, 1, 0, 1], [0, 1, 2, 3]])
    """

    name: str
    role: str
    source: int
    target: int
    into: np.ndarray = field(repr=False)
    out_of: np.ndarray = field(repr=False)

    fixed = True
    both_ways = False
    listed_singly = False

    @classmethod
    def of_kind(cls, name, role, source, target, kind, shape):
        """Every neuron to its own, "one-to-one", or to every other, "all-to-all"; shape (targets, sources)."""
        of_neuron = np.arange if kind == "one-to-one" else lambda size: np.zeros(size, np.int64)
        return cls(name, role, source, target, *map(of_neuron, shape))

    @classmethod
    def by_source(cls, name, role, source, target, sources_of, sources):
        """Each target to one source: sources_of (targets,) its number, negative for none."""
        return cls(name, role, source, target, np.asarray(sources_of, np.int64), np.arange(sources))

    @property
    def shape(self):
        return len(self.into), len(self.out_of)

    @property
    def kind(self):
        """Which neurons are joined, in a word: "one-to-one", "one-to-many", "all-to-all", ..., "groups"."""
        targets, sources = self._in_group
        joined = (targets > 0) & (sources > 0)
        if np.count_nonzero(joined) == 1 and (targets[joined].sum(), sources[joined].sum()) == self.shape != (1, 1):
            return "all-to-all"
        most = (int(count[joined].max(initial=0)) > 1 for count in (sources, targets))
        return {(False, False): "one-to-one", (False, True): "one-to-many", (True, False): "many-to-one"}.get(
            tuple(most), "groups"
        )

    @property
    def _in_group(self):
        """How many targets and how many sources have each label, (labels,) both."""
        return tuple(np.bincount(ends[ends >= 0], minlength=self._labels) for ends in (self.into, self.out_of))

    @cached_property
    def _labels(self):
        return 1 + int(max(self.into.max(initial=0), self.out_of.max(initial=0)))

    @property
    def connections(self) -> int:
        targets, sources = self._in_group
        return int(targets @ sources)

    def take(self, targets, sources):
        return replace(self, into=self.into[targets], out_of=self.out_of[sources])

    def edges(self):
        order = np.argsort(self.out_of, kind="stable")
        first, last = (np.searchsorted(self.out_of[order], self.into, side) for side in ("left", "right"))
        several = np.where(self.into < 0, 0, last - first)
        targets = np.repeat(np.arange(len(self.into)), several)
        place = np.arange(several.sum()) - np.repeat(np.cumsum(several) - several, several)
        return order[np.repeat(first, several) + place], targets, np.ones(len(targets))

    def reaches(self, sources):
        return (self.into >= 0) & np.isin(self.into, self.out_of[sources])

    def steps(self, method):
        """None: the labels say it all."""

    def extend(self, steps, limit, paths, reached):
        join_groups(paths, self.out_of, self.into, self._labels, FIXED_LENGTH, reached)

    def step_matrix(self, steps):
        steps = np.full(self.shape[::-1], np.inf)
        sources, targets, _ = self.edges()
        steps[sources, targets] = FIXED_LENGTH
        return steps

    def listed_steps(self, method):
        sources, targets, ones = self.edges()
        return sources, targets, ones * FIXED_LENGTH


CONNECTIONS = (Dense, Edges, Fixed)


def _renumbered(ends, kept, shape):
    """(targets, sources) of the connections among the neurons kept, by their new numbers, and which these are."""
    new = []
    for end, keep, size in zip(ends, kept, shape, strict=True):
        numbers = np.full(size, -1, np.int64)
        numbers[keep] = np.arange(len(keep))
        new.append(numbers[end])
    inside = (new[0] >= 0) & (new[1] >= 0)
    return new[0][inside], new[1][inside], inside
