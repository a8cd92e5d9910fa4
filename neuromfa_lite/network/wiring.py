"""The published chain of weight matrices, and what changes it matrix by matrix or adds the tokens at its two ends."""

from copy import copy
from dataclasses import replace
from fnmatch import fnmatchcase

from ..errors import ONE_ANSWER, NeuroMFAError, SourceError
from ..errors.arguments import shown
from ..method import PAPER, SHIPPED, label
from .architectures.file import as_architecture
from .architectures.wire import KERNEL_NORMS, Wiring, find_architecture, wire
from .computed import computed, kind_of
from .connections import CONNECTIONS, Dense, NeuronLayer
from .parts import embedding_of, gain_of, gains_of, unembedding_of

TOKENS = "tokens"


def wired(source, wiring=None):
    """The Wiring of a WeightSource by a wiring's name, or callable, which is asked twice; None: :func:`usual`."""
    wiring = usual(source) if wiring is None else wiring
    made = _asked(source, wiring)
    if not isinstance(wiring, str) or wiring not in SHIPPED["wiring"]:
        if _seen(made) != _seen(_asked(source, wiring)):
            raise NeuroMFAError(f"wiring {label(wiring)!r} gave two answers to one question: {ONE_ANSWER}")
    return made


def recorded(source, architecture):
    """A WeightSource that is wired by a record, an Architecture or the path of its file; None: as it is."""
    if architecture is None:
        return source
    source = copy(source)  # one that somebody holds stays what it is
    source.architecture = as_architecture(architecture)
    return source


def usual(source):
    """The wiring of a model of which none is asked: the published chain, or the dataflow of a family that has none."""
    return "dataflow" if find_architecture(source).joins is None else "chain"


def _asked(source, wiring):
    name = f"wiring={label(wiring) if callable(wiring) else shown(wiring)}"
    made = PAPER.replace(wiring=wiring, name=name).call("wiring", source)
    if isinstance(made, (tuple, list)) and len(made) == 2 and all(isinstance(part, (tuple, list)) for part in made):
        made = Wiring(*map(tuple, made))
    if not (
        isinstance(made, Wiring)
        and all(isinstance(layer, NeuronLayer) for layer in made.layers)
        and all(isinstance(block, CONNECTIONS) for block in made.blocks)
    ):
        raise NeuroMFAError(
            f"wiring {label(wiring)!r} must return (layers, blocks), lists of NeuronLayer and of Dense, Edges or "
            "Fixed of neuromfa_lite.network.connections"
        )
    return made


def _seen(made):
    """What tells two answers apart: neurons, blocks and checksums of weights."""
    layers = [(layer.name, len(layer)) for layer in made.layers]
    blocks = [(block.name, block.source, block.target, block.shape) for block in made.blocks]
    return layers, blocks, [block.checksum() for block in made.blocks if not block.fixed]


def chain(source):
    """The published network (Xiao et al. 2025, section 3.1): every weight matrix joins its inputs to its outputs."""
    return wire(source)


def dataflow(source):
    """The model's own wiring: residual streams, heads, gates and routers beside its weight matrices."""
    return wire(source, "dataflow")


def dataflow_kernel_norms(source):
    """The dataflow; the positions of a convolution's kernel are one connection, of their norm, and not one each."""
    return wire(source, KERNEL_NORMS)


def both_directions(source):
    """The chain, and every connection runs back too: what enters a neuron counts like what leaves it."""
    made = chain(source)
    backwards = [
        Dense(f"{block.name} backwards", block.role, block.target, block.source, _turned(block.matrix))
        for block in made.blocks
        if not block.fixed
    ]
    return replace(made, blocks=(*made.blocks, *backwards))


def folded(source):
    """The chain, each layer norm's gain multiplied into the columns of the matrix behind it: the same function."""
    made = chain(source)
    blocks = tuple(
        block if block.fixed else replace(block, matrix=_with_gain(source, block.matrix)) for block in made.blocks
    )
    return Wiring(made.layers, blocks, _folded_left_out(source, made))


def with_embeddings(source):
    """The chain with tokens in front of the first hidden layer (embedding) and behind the output (unembedding)."""
    made, embedding, unembedding = chain(source), embedding_of(source), unembedding_of(source)
    for matrix, layer in ((embedding, made.layers[0]), (unembedding, made.layers[-1])):
        if matrix.shape[1] != layer.size:
            raise SourceError(
                f"{matrix.name} in {source.origin} has vectors of {matrix.shape[1]} numbers, but layer {layer.name} "
                f"has {layer.size} neurons: choose a wiring without embeddings"
            )
    group = TOKENS if embedding.shape == unembedding.shape else ""
    first, last = (
        NeuronLayer(f"{TOKENS} {way}", matrix.shape[0], "token", None, group)
        for way, matrix in (("in", embedding), ("out", unembedding))
    )
    layers = (first, *made.layers, last)
    inner = [replace(block, source=block.source + 1, target=block.target + 1) for block in made.blocks]
    name = unembedding.name if unembedding.name != embedding.name else f"{unembedding.name}[unembedding]"
    blocks = (
        Dense(embedding.name, "embedding", 0, 1, embedding.T),
        *inner,
        Dense(name, "unembedding", len(layers) - 2, len(layers) - 1, unembedding),
    )
    used = {embedding.name, unembedding.name}
    return Wiring(layers, blocks, tuple(entry for entry in made.left_out if entry[0] not in used))


def _folded_left_out(source, made):
    """What the chain leaves out, with another reason at the gains that are folded."""
    architecture, gains = find_architecture(source), gains_of(source)
    used = {block.matrix.stored_name for block in made.blocks if not block.fixed}
    if not any(prefix + matrix in used for matrix in gains for prefix in architecture.prefixes):
        raise SourceError(
            f"{source.origin}: the record of {architecture.model_type} names no gain in front of a matrix, so there is "
            "nothing to fold: name them in Architecture(..., gains=), or choose wiring='chain'"
        )
    names = [f"*{gain}" for matrix, gain in gains.items() if matrix != "unembedding"]
    reason = "layer norm's gain: folded into the matrix behind it"
    return tuple(
        (name, shape, reason if any(fnmatchcase(name, pattern) for pattern in names) else why)
        for name, shape, why in made.left_out
    )


def _with_gain(source, matrix):
    gain = gain_of(source, matrix.name.partition("[")[0])
    if gain is None:
        return matrix
    return computed(matrix, matrix.shape, lambda rows, columns: matrix.read(rows, columns) * gain[columns], of=[gain])


def _turned(matrix):
    return computed(matrix, matrix.shape[::-1], lambda rows, columns: matrix.read(columns, rows).T, kind_of(matrix))
