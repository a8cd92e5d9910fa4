"""The published chain of weight matrices, and what changes its matrices one by one: both directions, folded gains."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from ..arguments import shown
from ..blocks import EdgeBlock, FixedJoin, NeuronLayer, WeightBlock, checksum
from ..errors import ONE_ANSWER, NeuroMFAError, SourceError
from ..method import PAPER, SHIPPED, label
from ..sources import WeightMatrix
from ..sources.parts import gain_of, gains_of
from ..sources.wiring import find_architecture


@dataclass(frozen=True, eq=False)
class Joined:
    """What a join makes of a model.

    Attributes:
        layers: tuple of NeuronLayer, in the order of the flow.
        blocks: tuple of WeightBlock, EdgeBlock or FixedJoin between them.
        left_out: (name, shape, reason) of every stored tensor that is no part of them.
        draw: None: samples are drawn layer by layer; else (neurons_per_layer, seed) -> (layers, blocks).
    """

    layers: tuple
    blocks: tuple
    left_out: tuple = ()
    draw: Callable | None = None

    def place(self, name):
        """The position of a layer."""
        return [layer.name for layer in self.layers].index(name)


def joined(source, join="chain"):
    """Join the weights of a model.

    Args:
        source: WeightSource; join: a name, or a callable WeightSource -> (layers, blocks), or Joined.

    Returns:
        Joined.

    Raises:
        NeuroMFAError: an unknown join, or one that returns something else; SourceError: a model that lacks what the
            join needs.

    Example:
        >>> from neuromfa_lite import load_run
        >>> from neuromfa_lite.sources import open_source
        >>> source = open_source(load_run("induction").checkpoint(724))
        >>> len(joined(source).blocks), len(joined(source, "both-directions").blocks)
        (18, 30)
    """
    made = _asked(source, join)
    if not isinstance(join, str) or join not in SHIPPED["join"]:
        _refuse_two_answers(label(join), made, _asked(source, join))
    return made


def _asked(source, join):
    made = PAPER.replace(join=join, name=f"join={label(join) if callable(join) else shown(join)}").call("join", source)
    if not isinstance(made, Joined):
        made = Joined(*map(tuple, made)) if _is_pair(made) else None
    kinds = (WeightBlock, EdgeBlock, FixedJoin)
    if (
        made is None
        or not all(isinstance(layer, NeuronLayer) for layer in made.layers)
        or not all(isinstance(block, kinds) for block in made.blocks)
    ):
        raise NeuroMFAError(
            f"join {label(join)!r} must return (layers, blocks), lists of NeuronLayer and of "
            "WeightBlock, EdgeBlock or FixedJoin of neuromfa_lite.blocks"
        )
    for block in made.blocks:
        refuse_misfit(block, made.layers)
    return made


def _refuse_two_answers(name, made, again):
    """The same neurons and blocks, and the same weights in each as far as a checksum looks."""
    seen = []
    for each in (made, again):
        blocks = [(block.name, block.source, block.target, block.shape) for block in each.blocks]
        sums = [checksum(block) for block in each.blocks if not isinstance(block, FixedJoin)]
        seen.append(([(layer.name, len(layer)) for layer in each.layers], blocks, sums))
    if seen[0] != seen[1]:
        raise NeuroMFAError(f"join {name!r} gave two answers to one question: {ONE_ANSWER}")


def _is_pair(made):
    return isinstance(made, (tuple, list)) and len(made) == 2 and all(isinstance(part, (tuple, list)) for part in made)


def refuse_misfit(block, layers):
    """Raise NeuroMFAError where a block has another shape than the layers that it joins: kernels count by these."""
    ends = (block.target, block.source)
    fits = all(0 <= end < len(layers) for end in ends)
    if not fits or tuple(block.shape) != tuple(len(layers[end]) for end in ends):
        sizes = [len(layers[end]) if 0 <= end < len(layers) else "no such layer" for end in ends]
        raise NeuroMFAError(
            f"block {block.name!r} has shape {tuple(block.shape)} (targets, sources), but joins layers of "
            f"{sizes[0]} and {sizes[1]} neurons"
        )


def chain(source, matrix_of=None):
    """The published network: every weight matrix of the blocks joins its inputs to its outputs.

    Args:
        source: WeightSource.
        matrix_of: callable JoinRecord -> WeightMatrix, for the matrices to use; None: those stored.

    Returns:
        Joined.

    Source: Xiao et al. 2025, section 3.1; chain of a transformer block as in the authors' code.
    """
    wiring = source.wiring()
    layers = tuple(layer_of(record) for record in wiring.layers)
    place = {layer.name: number for number, layer in enumerate(layers)}
    blocks = []
    for record in wiring.joins:
        ends = place[record.source], place[record.target]
        if record.kind == "weights":
            matrix = record.matrix if matrix_of is None else matrix_of(record)
            blocks.append(WeightBlock(matrix.name, record.role, *ends, matrix))
        else:
            shape = (layers[ends[1]].size, layers[ends[0]].size)
            blocks.append(FixedJoin(record.name, record.role, *ends, record.kind, shape))
    return Joined(layers, tuple(blocks), wiring.left_out)


def layer_of(record):
    """The NeuronLayer of a LayerRecord."""
    return NeuronLayer(record.name, record.size, record.role, record.block, record.group, record.multiplier)


def both_directions(source):
    """The chain, and every connection runs back too: what enters a neuron counts like what leaves it."""
    made = chain(source)
    backwards = [
        WeightBlock(f"{block.name} backwards", block.role, block.target, block.source, turned(block.matrix))
        for block in made.blocks
        if isinstance(block, WeightBlock)
    ]
    return replace(made, blocks=(*made.blocks, *backwards))


def folded(source):
    """The chain, each layer norm's gain multiplied into the columns of the matrix behind it: the same function."""
    made = chain(source, lambda record: with_gain(source, record.matrix))
    return replace(made, left_out=folded_left_out(source))


def folded_left_out(source):
    """What the published network leaves out, said of the gains that are folded; SourceError where there are none."""
    architecture, gains, wiring = find_architecture(source), gains_of(source), source.wiring()
    used = {join.matrix.stored_name for join in wiring.joins if join.matrix is not None}
    if not any(prefix + matrix in used for matrix in gains for prefix in architecture.prefixes):
        raise SourceError(
            f"{source.origin}: the record of {architecture.model_type} names no gain in front of a matrix of the "
            "network, so there is nothing to fold: name them in Architecture(..., gains=), or choose join='chain'"
        )
    names = [f"*{gain}" for matrix, gain in gains.items() if matrix != "unembedding"]
    reason = "layer norm's gain: folded into the matrix behind it"
    return tuple(
        (name, shape, reason if any(fnmatchcase(name, pattern) for pattern in names) else why)
        for name, shape, why in wiring.left_out
    )


def with_gain(source, matrix):
    """A WeightMatrix with the gain of the layer norm in front of it, where there is one."""
    gain = gain_of(source, matrix.name.partition("[")[0])
    if gain is None:
        return matrix
    return computed(matrix, matrix.shape, lambda rows, columns: matrix.read(rows, columns) * gain[columns], of=[gain])


def turned(matrix):
    """A WeightMatrix the other way round: (sources, targets), computed when it is read."""
    kind = "float64" if matrix.dtype == "float64" else "float32"
    return computed(matrix, matrix.shape[::-1], lambda rows, columns: matrix.read(columns, rows).T, kind)


def computed(like, shape, compute, dtype="float64", name=None, of=()):
    """A WeightMatrix of compute(rows, columns), integer indices both -> array (rows, columns), when it is read.

    like, of: the matrices and arrays that it is computed of, which are hashed in its place.
    """
    return WeightMatrix(name or like.name, like.origin, dtype, ComputedStorage(shape, compute, (like, *of)))


class ComputedStorage:
    """Weights that are computed for the rows and columns that are asked for; see sources.matrix.ArrayStorage."""

    def __init__(self, shape, compute, of):
        self.shape, self._compute, self._of = tuple(shape), compute, of

    def take(self, rows):
        """(rows, all columns): rows None for all, a slice or indices."""
        rows = np.arange(self.shape[0])[slice(None) if rows is None else rows]
        return self._compute(rows, np.arange(self.shape[1]))

    def sample(self, rows, columns):
        """(rows, columns) of integer indices."""
        return self._compute(rows, columns)

    def digest(self):
        """Of what it is computed of."""
        return b"".join(each.digest() if isinstance(each, WeightMatrix) else each.tobytes() for each in self._of)

    def refuse_changed(self):
        """Nothing: the matrices that it is computed of say so when they are read."""
