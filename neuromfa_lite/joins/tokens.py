"""Tokens in the network: embedding and unembedding around the chain."""

from dataclasses import replace

from ..blocks import NeuronLayer, WeightBlock
from ..errors import SourceError
from ..sources.parts import embedding_of, unembedding_of
from .chains import Joined, chain

TOKENS = "tokens"


def with_embeddings(source):
    """The chain with tokens in front of the first hidden layer (embedding) and behind the output (unembedding).

    A sample draws the same tokens in front and behind, and in all other layers the neurons of a sample of the chain.
    """
    made, embedding, unembedding = chain(source), embedding_of(source), unembedding_of(source)
    for matrix, layer in ((embedding, made.layers[0]), (unembedding, made.layers[-1])):
        if matrix.shape[1] != layer.size:
            raise SourceError(
                f"{matrix.name} in {source.origin} has vectors of {matrix.shape[1]} numbers, but layer {layer.name} "
                f"has {layer.size} neurons: choose a join without embeddings"
            )
    alike = embedding.shape == unembedding.shape
    tokens = [
        NeuronLayer(f"{TOKENS} {way}", matrix.shape[0], "token", group=TOKENS if alike else None)
        for way, matrix in (("in", embedding), ("out", unembedding))
    ]
    layers = (tokens[0], *made.layers, tokens[1])
    inner = [replace(block, source=block.source + 1, target=block.target + 1) for block in made.blocks]
    name = unembedding.name if unembedding.name != embedding.name else f"{unembedding.name}[unembedding]"
    blocks = (
        WeightBlock(embedding.name, "embedding", 0, 1, embedding.T),
        *inner,
        WeightBlock(name, "unembedding", len(layers) - 2, len(layers) - 1, unembedding),
    )
    used = {embedding.name, unembedding.name}
    return Joined(layers, blocks, tuple(entry for entry in made.left_out if entry[0] not in used))
