"""Tokens in the network: embedding and unembedding around the chain, or tokens alone, joined by angle."""

from dataclasses import replace
from functools import cached_property

import numpy as np

from ..blocks import NeuronLayer, WeightBlock
from ..errors import NeuroMFAError, SourceError
from ..sources import WeightMatrix
from ..sources.parts import embedding_of, gain_of, unembedding_of
from .chains import Joined, chain, computed

TOKENS = "tokens"
TOKENS_PER_NEURON = 8  # of a sample: the usual 32 neurons per layer stand for 256 tokens
LARGEST_CLOUD = 8192  # vectors of a whole cloud, 512 MB


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


def tokens_by_angle(source):
    """Tokens alone: their vectors on the way in and on the way out in one cloud, weight |cos| of the angle of two.

    One layer: token t of n is neuron t by its embedding and neuron n + t by its unembedding. The unembedding has the
    gain of the last layer norm folded in; what every layer norm subtracts, the mean over the hidden neurons, is taken
    out; both are centred over the tokens that are looked at. A vector is not joined to itself. A sample of k neurons
    per layer takes 8 k tokens, all where there are fewer: those that the seed draws.
    """
    tokens = _Tokens(source)
    cloud = _Cloud(tokens, None)
    size = len(tokens)
    layer = NeuronLayer(TOKENS, 2 * size, "token")
    matrix = computed(tokens.embedding, (2 * size, 2 * size), cloud.cosines, name="cosines of tokens")

    def draw(neurons_per_layer, seed):
        chosen = drawn(size, TOKENS_PER_NEURON * neurons_per_layer, seed)
        weights = WeightMatrix.from_array(matrix.name, _Cloud(tokens, chosen).all_cosines, matrix.origin)
        kept = layer.take(np.concatenate([chosen, size + chosen]))
        return (kept,), (WeightBlock(matrix.name, "angle", 0, 0, weights),)

    used = {tokens.embedding.name, tokens.unembedding.name}
    wiring = source.wiring()
    unused = [(join.matrix.name, join.matrix.shape, "tokens alone") for join in wiring.joins if join.matrix is not None]
    left_out = (*unused, *(entry for entry in wiring.left_out if entry[0] not in used))
    return Joined((layer,), (WeightBlock(matrix.name, "angle", 0, 0, matrix),), left_out, draw)


def drawn(tokens, wanted, seed):
    """(at most wanted,) int64 tokens, increasing: all, or a draw that the seed names, the same at every step."""
    if tokens <= wanted:
        return np.arange(tokens)
    return np.sort(np.random.default_rng([int(seed), tokens]).choice(tokens, wanted, replace=False))


class _Tokens:
    """The vectors of a model's tokens, read when asked for."""

    def __init__(self, source):
        self.embedding, self.unembedding = embedding_of(source), unembedding_of(source)
        self.gain = gain_of(source, "unembedding")
        if self.embedding.shape != self.unembedding.shape:
            raise SourceError(
                f"{source.origin}: the embedding has shape {self.embedding.shape}, the unembedding "
                f"{self.unembedding.shape}, so their tokens are not the same ones: choose another join"
            )

    def __len__(self):
        return self.embedding.shape[0]

    def vectors(self, chosen):
        """(2 n, hidden) float64: n tokens by their embedding, then by their unembedding."""
        incoming, outgoing = _finite(self.embedding, chosen), _finite(self.unembedding, chosen)
        if self.gain is not None:
            outgoing = outgoing * self.gain
        parts = [each - each.mean(axis=1, keepdims=True) for each in (incoming, outgoing)]
        return np.vstack([part - part.mean(axis=0) for part in parts])


class _Cloud:
    """The angles of some tokens' vectors (all: None), computed once, when they are asked for."""

    def __init__(self, tokens, chosen):
        self._tokens, self._chosen = tokens, chosen

    def cosines(self, rows, columns):
        return self.all_cosines[np.ix_(rows, columns)]

    @cached_property
    def all_cosines(self):
        """(2 n, 2 n) float64 |cos| of the angles, 0 on the diagonal: no connection."""
        origin, size = self._tokens.embedding.origin, 2 * len(self._tokens if self._chosen is None else self._chosen)
        if size > LARGEST_CLOUD:
            raise NeuroMFAError(
                f"{origin}: {size:,} vectors of tokens are too many to compare all with all (limit "
                f"{LARGEST_CLOUD:,}): draw a sample, network.sample(32, seed=0) takes 256 tokens"
            )
        vectors = self._tokens.vectors(self._chosen)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (lengths > 0).all():
            raise NeuroMFAError(
                f"{origin}: {int((lengths == 0).sum())} of {size} vectors of tokens are zero and have no angle: take "
                "another step"
            )
        units = vectors / lengths
        cosines = np.minimum(np.abs(units @ units.T), 1.0)
        np.fill_diagonal(cosines, 0.0)
        return cosines


def _finite(matrix, chosen):
    vectors = matrix.read(chosen)
    if not np.isfinite(vectors).all():
        raise NeuroMFAError(
            f"{matrix.origin}: matrix {matrix.name!r} holds NaN or infinite weights: take an earlier checkpoint"
        )
    return vectors.astype(np.float64)
