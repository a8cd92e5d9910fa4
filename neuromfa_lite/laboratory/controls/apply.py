"""One change, applied to every weight matrix of a network in memory or of a checkpoint's stored tensors."""

import numpy as np

from ... import arguments
from ...blocks import WeightBlock
from ...errors import NeuroMFAError
from ...network import NeuronNetwork, load_network
from ...sources import open_source
from ...sources.parts import embedding_of, unembedding_of
from .checkpoint import ChangedCheckpoint, arrays_of


def apply(what, words, change, seed=0, embeddings=False):
    """Put change(block, weights, stream) in the place of the weights of every block.

    Args:
        what: NeuronNetwork, or what :func:`neuromfa_lite.sources.open_source` takes.
        words: what is changed.
        change: callable of a block, its weights (targets, sources), in a list of edges (edges,), and a generator of
            the block's own; returns an array of the same shape.
        seed: whole number; a matrix draws the same numbers in a network and in its checkpoint.
        embeddings: include the token embedding and the unembedding of a checkpoint.

    Returns:
        NeuronNetwork of a network, ChangedCheckpoint of anything else.

    Raises:
        NeuroMFAError: embeddings of a network, which has none; an impossible seed.
    """
    seed, embeddings = arguments.seed(seed), arguments.flag("embeddings", embeddings)
    blocks = blocks_of(what, embeddings)
    streams = {block.name: np.random.default_rng([seed, place]) for place, block in enumerate(blocks)}
    if isinstance(what, NeuronNetwork):
        return _changed_network(what, words, lambda block: change(block, block.weights(), streams[block.name]))
    source = open_source(what)
    arrays = arrays_of(source)
    for block in blocks:
        changed, name = change(block, block.weights(), streams[block.name]), block.matrix.stored_name
        arrays[name] = arrays[name].astype(np.promote_types(arrays[name].dtype, changed.dtype), copy=False)
        block.matrix.put(arrays[name], changed)
    if embeddings:
        _keep_tied(source, arrays)
    return ChangedCheckpoint(what, words + (", embeddings too" if embeddings else ""), arrays)


def blocks_of(what, embeddings=False):
    """List the weight blocks a control changes.

    Args:
        what, embeddings: as of :func:`apply`.

    Returns:
        List of blocks: those of the network and, last, embedding (its sources are the tokens) and unembedding (its
        targets are the tokens), where these are two.

    Raises:
        NeuroMFAError: embeddings of a network, which has none.
    """
    if isinstance(what, NeuronNetwork):
        if arguments.flag("embeddings", embeddings):
            raise NeuroMFAError(
                "embeddings=True needs a checkpoint or a model: this NeuronNetwork holds no embedding to change"
            )
        return list(what.weight_blocks)
    source = open_source(what)
    blocks = list(load_network(source).weight_blocks)
    if embeddings:
        incoming, outgoing = embedding_of(source), unembedding_of(source)
        blocks.append(WeightBlock(incoming.name, "embedding", -1, 0, incoming.T))
        if outgoing is not incoming and not source.config.get("tie_word_embeddings"):
            blocks.append(WeightBlock(outgoing.name, "unembedding", 0, -1, outgoing))
    return blocks


def _keep_tied(source, arrays):
    """An unembedding stored beside the embedding it is tied to stays equal to it."""
    if source.config.get("tie_word_embeddings"):
        arrays[unembedding_of(source).name] = arrays[embedding_of(source).name]


def _changed_network(network, words, change):
    blocks = [block if block.fixed else block.with_weights(change(block)) for block in network.blocks]
    origin = f"{network.origin} ({words})"
    return NeuronNetwork(network.layers, blocks, origin, network.left_out, network.seed, join=network.join)


def checked_factor(factor):
    """A float of a factor to multiply weights by."""
    value = arguments.number(factor)
    if not np.isfinite(value) or value == 0:
        raise NeuroMFAError(f"factor={arguments.shown(factor)} must be a finite number other than 0")
    return value
