"""Two measures of how a model's tokens lie, in angles, frozen before any run that judges them was trained.

They look at the two matrices that the published network leaves out, embedding and unembedding, and feel neither a
common factor nor a change that leaves the model's function as it was. What became of them: docs/measures.md.
"""

import numpy as np

from ...errors import NeuroMFAError, arguments
from ...network.parts import embedding_of, heads_of
from ...weights import open_source
from .circuits import directions, folded_layers, token_ways

MOST_TOKENS = 256
CLOUD_RADII = 16
CLOUD_QUANTILES = (0.01, 0.50)
TRIMMED = 0.1  # the largest ratios of a two-neighbour estimate, which a single far point decides


def token_cloud(source, seed=0):
    """Minus ln alpha0 of the tokens' directions, embedding and unembedding in one cloud.

    Its rise since step 0 is ln[alpha0(0)/alpha0(t)], the degree of emergence without the factor of widths.

    Takes a checkpoint, and the seed of the draw of tokens where there are more than 256. Refused are NaN or infinite
    weights, tokens without direction, and a model without embedding.

    Example:
        >>> from neuromfa_lite import load_run
        >>> run = load_run("induction")
        >>> round(token_cloud(run.checkpoint(724)) - token_cloud(run.checkpoint(0)), 1)
        0.7
    """
    return -float(np.log(cloud_regularity(np.vstack(_drawn_ways(open_source(source), seed)))))


def two_neighbours(source, seed=0):
    """Minus the mean over four clouds of ln d, d the two-neighbour dimension.

    The clouds: embedding E; unembedding U; what the heads read of E, [E Q_h^T | E K_h^T | E V_h^T]; what they write
    towards U, [U O_h]; over all layers and heads h, each piece centred over tokens and divided by its Frobenius norm.

    Arguments as of :func:`token_cloud`. Source: Facco, d'Errico, Rodriguez and Laio 2017, Scientific Reports 7, 12140.

    Example:
        >>> from neuromfa_lite import load_run
        >>> run = load_run("induction")
        >>> round(two_neighbours(run.checkpoint(724)) - two_neighbours(run.checkpoint(0)))
        1
    """
    source = open_source(source)
    heads, (incoming, outgoing) = heads_of(source), _drawn_ways(source, seed)
    read, written = [], []
    for layer in folded_layers(source):
        for role, weights in layer.items():
            if role in ("query", "key", "value"):
                read += [_normalised(incoming @ piece.T) for piece in np.split(weights, heads)]
            elif role == "attention-output":
                written += [_normalised(outgoing @ piece) for piece in np.split(weights, heads, axis=1)]
    clouds = (incoming, outgoing, np.hstack(read), np.hstack(written))
    return -float(np.mean([np.log(two_neighbour_dimension(cloud)) for cloud in clouds]))


def drawn_tokens(tokens, seed=0):
    """The tokens that are looked at, increasing: all, or 256 of them, the same ones of a seed at every step."""
    seed = arguments.whole("seed", seed)
    if tokens <= MOST_TOKENS:
        return np.arange(tokens)
    return np.sort(np.random.default_rng([seed, tokens]).choice(tokens, MOST_TOKENS, replace=False))


def angles(vectors):
    """The angles between lines: arccos |cos| of every pair of rows, (rows, rows), radians."""
    units = directions(vectors)
    return np.arccos(np.minimum(np.abs(units @ units.T), 1.0))


def cloud_regularity(vectors):
    """alpha0 of a cloud of directions: the mean slope of ln N_i(r), N_i = (1 + others within r)/n, on ln r at 16 radii.

    r is log-spaced between the 1 % and the 50 % quantile of all angles, these divided by their median.
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


def two_neighbour_dimension(vectors):
    """d = 1/mean ln(r_2/r_1) over a cloud of directions, r their nearest neighbours, the largest tenth left out."""
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


def _drawn_ways(source, seed):
    """Embedding and unembedding of the tokens that are looked at, as the model's function sees them."""
    return token_ways(source, drawn_tokens(embedding_of(source).shape[0], seed))


def _normalised(piece):
    piece = piece - piece.mean(axis=0)
    size = np.linalg.norm(piece)
    if not size > 0:
        raise NeuroMFAError("an attention head reads or writes nothing of any token: all its weights are alike")
    return piece / size
