"""Two measures of a model's tokens, frozen before any run that judges them was trained.

Both leave the published network and look at the two matrices that it leaves out, embedding and unembedding: the
tokens are points, and what is measured is how they lie, in angles. They were chosen on the first induction runs and
on prototypes of the others, so only runs trained afterwards can say whether they hold; their definitions stay as
they are. Neither feels a common factor, nor a change of the weights that leaves the model's function as it was.
"""

from __future__ import annotations

import numpy as np

from .. import arguments
from ..errors import NeuroMFAError
from ..sources import open_source
from ..sources.parts import embedding_of, gain_of, heads_of, unembedding_of

MOST_TOKENS = 256
CLOUD_RADII = 16
CLOUD_QUANTILES = (0.01, 0.50)
TRIMMED = 0.1  # the largest ratios of a two-neighbour estimate, which a single far point decides


def drawn_tokens(tokens, seed=0):
    """Draw the tokens that are looked at: all, or 256 of them, the same ones at every step.

    Args:
        tokens: size of the vocabulary.
        seed: whole number that names the draw.

    Returns:
        (at most 256,) int64, increasing.

    Example:
        >>> len(drawn_tokens(64)), len(drawn_tokens(512))
        (64, 256)
    """
    seed = arguments.whole("seed", seed)
    if tokens <= MOST_TOKENS:
        return np.arange(tokens)
    return np.sort(np.random.default_rng([seed, tokens]).choice(tokens, MOST_TOKENS, replace=False))


def token_vectors(source, seed=0):
    """Read the vectors of tokens on their way in and on their way out, as the model's function sees them.

    The gain of the last layer norm is folded into the unembedding; what every layer norm subtracts, the mean over the
    hidden neurons, is taken out; both are centred over the tokens.

    Args:
        source: what :func:`neuromfa_lite.sources.open_source` takes; seed: of the draw of tokens.

    Returns:
        (embedding, unembedding), both (tokens, hidden) float64.

    Raises:
        NeuroMFAError: a weight that is NaN or infinite; SourceError: a model without embedding.
    """
    source = open_source(source)
    embedding, unembedding = embedding_of(source), unembedding_of(source)
    chosen = drawn_tokens(embedding.shape[0], seed)
    incoming, outgoing = _finite(embedding, embedding.read(chosen)), _finite(unembedding, unembedding.read(chosen))
    gain = gain_of(source, "unembedding")
    if gain is not None:
        outgoing = outgoing * gain
    return tuple(_centred(_without_mean(each)) for each in (incoming, outgoing))


def angles(vectors):
    """Return the angles between lines: arccos |cos| of every pair of rows, (rows, rows), radians.

    Args:
        vectors: (rows, columns), no row zero.

    Raises:
        NeuroMFAError: a row of zeros, which has no direction.

    Example:
        >>> angles(np.array([[1.0, 0.0], [-2.0, 0.0], [0.0, 3.0]])).round(3)[0]
        array([0.   , 0.   , 1.571])
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise NeuroMFAError(
            f"{int((lengths == 0).sum())} of {len(vectors)} vectors are zero and have no angle: the checkpoint holds "
            "tokens that are all alike; take another step"
        )
    units = vectors / lengths
    return np.arccos(np.minimum(np.abs(units @ units.T), 1.0))


def cloud_regularity(vectors):
    """Compute alpha0 of a cloud of directions: the mean slope of ln N_i(r) on ln r, at 16 radii.

    N_i(r) = (1 + number of others within r)/n, r log-spaced between the 1 % and the 50 % quantile of all angles, these
    divided by their median. It is alpha(q = 0) of tau(q), the slope of ln sum_i N_i(r)^q.

    Args:
        vectors: (n, columns).

    Returns:
        float.

    Raises:
        NeuroMFAError: vectors that have no directions, or more than a hundredth of all pairs along one line.
    """
    distances = angles(vectors)
    pairs = distances[np.triu_indices(len(distances), 1)]
    distances, pairs = distances / np.median(pairs), pairs / np.median(pairs)
    low, high = np.quantile(pairs, CLOUD_QUANTILES)
    if not high > low > 0:
        raise NeuroMFAError("too many vectors lie along one line, so the cloud has no smallest radius")
    radii = np.geomspace(low, high, CLOUD_RADII)
    np.fill_diagonal(distances, 0.0)
    inside = np.stack([np.count_nonzero(distances <= r, axis=1) for r in radii], axis=1)
    x = np.log(radii) - np.log(radii).mean()
    return float((np.log(inside / len(inside)) @ x).mean() / (x @ x))


def token_cloud(source, seed=0):
    """Minus ln alpha0 of the tokens' directions, embedding and unembedding in one cloud.

    Its rise since step 0 is ln[alpha0(0)/alpha0(t)], the degree of emergence without the factor of widths.

    Args:
        source: what :func:`neuromfa_lite.sources.open_source` takes, e.g. a checkpoint of a run.
        seed: of the draw of tokens, where there are more than 256.

    Returns:
        float.

    Raises:
        NeuroMFAError: NaN or infinite weights, tokens without direction; SourceError: a model without embedding.

    Example:
        >>> from neuromfa_lite import load_run
        >>> run = load_run("induction")
        >>> round(token_cloud(run.checkpoint(724)) - token_cloud(run.checkpoint(0)), 1)
        0.7
    """
    return -float(np.log(cloud_regularity(np.vstack(token_vectors(source, seed)))))


def two_neighbour_dimension(vectors):
    """Estimate the local dimension of a cloud of directions from each one's two nearest neighbours.

    d = 1/mean ln(r_2/r_1), the largest tenth of the ratios left out.

    Args:
        vectors: (n, columns).

    Returns:
        float.

    Raises:
        NeuroMFAError: vectors without directions, or so many along one line that no ratio is left.

    Source: E. Facco, M. d'Errico, A. Rodriguez and A. Laio, Scientific Reports 7, 12140, 2017.
    """
    distances = angles(vectors)
    np.fill_diagonal(distances, np.inf)
    nearest = np.partition(distances, 1, axis=1)[:, :2]
    if not (nearest[:, 0] > 0).all():
        raise NeuroMFAError("two vectors of the cloud lie along one line, so the ratio of neighbours is infinite")
    ratios = np.sort(np.log(nearest[:, 1] / nearest[:, 0]))
    kept = ratios[: int((1 - TRIMMED) * len(ratios))]
    if not kept.sum() > 0:
        raise NeuroMFAError("all nearest neighbours of the cloud are equally far: it has no local dimension")
    return float(1.0 / kept.mean())


def two_neighbours(source, seed=0):
    """Minus the mean over four clouds of ln d, d the two-neighbour dimension.

    The clouds: embedding E; unembedding U; what the heads read of E, [E Q_h^T | E K_h^T | E V_h^T]; what they write
    towards U, [U O_h]; over all layers and heads h, each piece centred over tokens and divided by its Frobenius norm.

    Args:
        source, seed: as of :func:`token_cloud`.

    Returns:
        float.

    Raises:
        as :func:`token_cloud`.

    Example:
        >>> from neuromfa_lite import load_run
        >>> run = load_run("induction")
        >>> round(two_neighbours(run.checkpoint(724)) - two_neighbours(run.checkpoint(0)))
        1
    """
    source = open_source(source)
    incoming, outgoing = token_vectors(source, seed)
    read, written = [], []
    for role, weights in _head_pieces(source):
        piece = outgoing @ weights if role == "attention-output" else incoming @ weights.T
        (written if role == "attention-output" else read).append(_normalised(piece))
    clouds = (incoming, outgoing, np.hstack(read), np.hstack(written))
    return -float(np.mean([np.log(two_neighbour_dimension(cloud)) for cloud in clouds]))


def _head_pieces(source):
    """(role, weights) of every head: readers (head size, hidden) with their gain, writers (hidden, head size)."""
    heads = heads_of(source)
    for join in source.wiring().blocks:
        if join.role in ("query", "key", "value"):
            weights = _finite(join.matrix, join.matrix.read())
            gain = gain_of(source, join.matrix.name.partition("[")[0])
            weights = _without_mean(weights if gain is None else weights * gain)
            yield from ((join.role, piece) for piece in np.split(weights, heads))
        elif join.role == "attention-output":
            weights = _finite(join.matrix, join.matrix.read())
            weights = weights - weights.mean(axis=0)
            yield from ((join.role, piece) for piece in np.split(weights, heads, axis=1))


def _finite(matrix, weights):
    if not np.isfinite(weights).all():
        raise NeuroMFAError(
            f"{matrix.origin}: matrix {matrix.name!r} holds NaN or infinite weights: take an earlier checkpoint"
        )
    return weights.astype(np.float64)


def _without_mean(vectors):
    return vectors - vectors.mean(axis=1, keepdims=True)


def _centred(vectors):
    return vectors - vectors.mean(axis=0)


def _normalised(piece):
    piece = _centred(piece)
    size = np.linalg.norm(piece)
    if not size > 0:
        raise NeuroMFAError("an attention head reads or writes nothing of any token: all its weights are alike")
    return piece / size
