"""Controls that destroy something: the weights of every matrix shuffled, redrawn, re-signed or grown.

Each takes a NeuronNetwork and returns one, or a checkpoint (or what `open_source` takes) and returns a
ChangedCheckpoint of the same weights, block by block. Biases and layer norms stay. Change first, sample afterwards.
"""

import numpy as np

from ...errors import NeuroMFAError, arguments
from ...laboratory.runs import Checkpoint, load_run
from ...network import NeuronNetwork, load_network
from ...network.connections import Dense
from ...network.parts import embedding_of, unembedding_of
from ...weights import open_source
from .checkpoint import ChangedCheckpoint, arrays_of, label_of


def scaled(what, factor):
    """Multiply every weight of a NeuronNetwork or a checkpoint by one common factor; the result is float64.

    Raises:
        NeuroMFAError: a factor of 0, NaN or infinity.

    Example:
        >>> pair = NeuronNetwork.from_edges([0, 0], [1, 2], [0.5, -0.25])
        >>> scaled(pair, 2).weight_blocks[0].weights()
        array([ 1. , -0.5])
    """
    size = arguments.number(factor)
    if not np.isfinite(size) or size == 0:
        raise NeuroMFAError(f"factor={arguments.shown(factor)} must be a finite number other than 0")
    return apply(what, f"scaled by {size:g}", lambda block, weights, stream: weights.astype(np.float64) * size)


def rescaled(what, like):
    """Multiply each matrix by the factor that gives it the standard deviation of the same matrix in another network.

    Applied to an untrained network with a trained one to be like, it grows the weights as much as training did, matrix
    by matrix, and learns nothing.

    Args:
        what, like: NeuronNetworks or checkpoints with the same matrices, by name; the weights become float64.

    Raises:
        NeuroMFAError: a matrix that the other network does not have, or whose weights are all alike.

    Example:
        >>> start = NeuronNetwork.from_edges([0, 0], [1, 2], [0.1, -0.1])
        >>> now = NeuronNetwork.from_edges([0, 0], [1, 2], [0.7, 0.3])
        >>> rescaled(start, now).weight_blocks[0].weights()
        array([ 0.2, -0.2])
    """
    wanted = {block.name: block for block in _blocks_of(like)}
    name, other = (each.origin if isinstance(each, NeuronNetwork) else label_of(each) for each in (what, like))

    def grow(block, weights, stream):
        if block.name not in wanted:
            raise NeuroMFAError(f"{other} has no matrix {block.name!r}: give another step of the same model")
        own = weights.std(dtype=np.float64)
        if not own > 0:
            raise NeuroMFAError(f"the weights of matrix {block.name!r} of {name} are all alike: no factor spreads them")
        return weights.astype(np.float64) * (wanted[block.name].weights().std(dtype=np.float64) / own)

    return apply(what, f"rescaled to {other}", grow)


def rescaled_start(checkpoint):
    """Step 0 of a checkpoint's own run, each matrix rescaled to the deviation it has in the checkpoint.

    A ChangedCheckpoint under the labels of the checkpoint (of a run, perhaps changed already), the twin of its step;
    biases and layer norms are those of step 0.
    """
    stored = checkpoint
    while isinstance(stored, ChangedCheckpoint):
        stored = stored.original
    if not isinstance(stored, Checkpoint):
        raise NeuroMFAError(f"{label_of(checkpoint)} is no checkpoint of a run, its start is unknown: use rescaled()")
    start = load_run(stored.folder.parents[1]).checkpoint(0, stored.seed)
    return ChangedCheckpoint(checkpoint, "step 0 rescaled to its deviations", rescaled(start, checkpoint).tensors())


def gaussian_like(what, seed=0):
    """Replace each matrix by independent Gaussian numbers of the same mean and standard deviation; zeros stay zeros.

    Arguments as of :func:`permuted_outgoing`; the weights become float64.

    Example:
        >>> star = NeuronNetwork.from_edges([0] * 3, [1, 2, 3], [0.5, 0.5, 0.0])
        >>> gaussian_like(star).weight_blocks[0].weights()
        array([0.5, 0.5, 0. ])
    """

    def draw(block, weights, stream):
        there = weights != 0
        drawn = np.zeros(weights.shape)
        kept = weights[there].astype(np.float64)
        drawn[there] = stream.normal(kept.mean(), kept.std(), kept.size) if kept.size else kept
        return drawn

    return apply(what, "Gaussian twin", draw, seed)


def permuted_outgoing(what, seed=0, embeddings=False):
    """Shuffle the outgoing weights of every neuron among its targets, within each matrix.

    Each neuron keeps exactly the connection strengths it had, so that nothing changes for a measure that sees one hop
    only; who is connected to whom is lost.

    Args:
        what: NeuronNetwork or checkpoint.
        seed: whole number; every matrix draws from a stream of its own.
        embeddings: include token embedding (a token's weights are shuffled) and unembedding of a checkpoint.

    Returns:
        NeuronNetwork or ChangedCheckpoint, its weights of the type they had.

    Example:
        >>> star = NeuronNetwork.from_edges([0, 0, 0, 1], [1, 2, 3, 2], [0.5, 0.25, 0.125, 7.0])
        >>> permuted_outgoing(star, seed=1).weight_blocks[0].weights()
        array([0.125, 0.5  , 0.25 , 7.   ])
    """
    words = "outgoing weights permuted" + (", embeddings too" if arguments.flag("embeddings", embeddings) else "")
    return apply(what, words, lambda block, weights, stream: block.permuted(weights, stream), seed, embeddings)


def shuffled(what, seed=0):
    """Shuffle all weights of each matrix, as :func:`permuted_outgoing` does those of each neuron."""

    def shuffle(block, weights, stream):
        return stream.permutation(weights.ravel()).reshape(weights.shape)

    return apply(what, "weights shuffled within matrices", shuffle, seed)


def random_signs(what, seed=0):
    """Give every weight a random sign: each strength stays where it was. Arguments as of :func:`permuted_outgoing`."""

    def sign(block, weights, stream):
        return np.where(stream.random(weights.shape) < 0.5, weights, -weights)

    return apply(what, "random signs", sign, seed)


def apply(what, words, change, seed=0, embeddings=False):
    """Put change(block, weights, stream) in the place of the weights of every block of a network or a checkpoint.

    The stream is the block's own generator: it draws the same numbers in a network and in its checkpoint.
    """
    seed, blocks = arguments.seed(seed), _blocks_of(what, embeddings)
    changed = (  # one after another, for the memory
        (block, change(block, block.weights(), np.random.default_rng([seed, place])))
        for place, block in enumerate(blocks)
    )
    if isinstance(what, NeuronNetwork):
        weights = {block.name: new for block, new in changed}
        blocks = [block if block.fixed else block.with_weights(weights[block.name]) for block in what.blocks]
        origin = f"{what.origin} ({words})"
        return NeuronNetwork(what.layers, blocks, origin, what.left_out, what.seed, wiring=what.wiring)
    source = open_source(what)
    arrays = arrays_of(source)
    for block in blocks:
        if block.place[0] not in arrays:
            raise NeuroMFAError(
                f"{block.name} is no matrix of its own in {source.origin}, but one of a stack or a convolution: change "
                "the network in place of the checkpoint, load_network(...)"
            )
    for block, new in changed:
        name = block.matrix.stored_name
        arrays[name] = arrays[name].astype(np.promote_types(arrays[name].dtype, new.dtype), copy=False)
        block.matrix.put(arrays[name], new)
    if embeddings and source.config.get("tie_word_embeddings"):  # one that is stored beside the other stays equal to it
        arrays[unembedding_of(source).name] = arrays[embedding_of(source).name]
    return ChangedCheckpoint(what, words, arrays)


def _blocks_of(what, embeddings=False):
    """The blocks that a control changes; of a checkpoint also embedding and unembedding, one where they are tied."""
    if isinstance(what, NeuronNetwork):
        if embeddings:
            raise NeuroMFAError("embeddings=True needs a checkpoint: this NeuronNetwork holds no embedding to change")
        return what.weight_blocks
    source = open_source(what)
    blocks = list(load_network(source).weight_blocks)
    if embeddings:
        incoming, outgoing = embedding_of(source), unembedding_of(source)
        blocks.append(Dense(incoming.name, "embedding", -1, 0, incoming.T))
        if outgoing is not incoming and not source.config.get("tie_word_embeddings"):
            blocks.append(Dense(outgoing.name, "unembedding", 0, -1, outgoing))
    return blocks
