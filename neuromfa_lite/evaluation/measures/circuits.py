"""Two measures of how a model links its tokens, picked out of 22 definitions by the bundled runs and frozen since.

They know nothing of attention patterns, positions, biases and the bend of the MLP's function, and take layer norms to
subtract the mean. What became of them: docs/measures.md. Circuits of tokens: Elhage et al. 2021.
"""

import numpy as np

from ...errors import NeuroMFAError
from ...network.architectures.wire import wire
from ...network.parts import embedding_of, gain_of, heads_of, unembedding_of
from ...weights import open_source

READERS = ("query", "key", "value", "mlp-in")


def token_agreement(source):
    """How far tokens that are alike on their way in are alike on their way out, from -1 to 1; of a checkpoint.

    Pearson's correlation, over all pairs of tokens i < j, of cos(e_i, e_j) and cos(u_i, u_j): e the rows of the
    embedding, u those of the unembedding with the last gain folded in, both without their mean over the hidden neurons
    and centred over tokens. About 0 untrained; 1 where both ways see the same resemblances, as where they are tied.

    Refused are NaN or infinite weights, a token without direction, tokens that are all equally alike, and a model
    without embedding. Source: Kriegeskorte et al. 2008, Frontiers in Systems Neuroscience 2:4.

    Example:
        >>> from neuromfa_lite import load_run
        >>> run = load_run("induction")
        >>> token_agreement(run.checkpoint(0)) < 0.1 < 0.7 < token_agreement(run.checkpoint(724))
        True
    """
    return agreement(*token_ways(open_source(source)))


def reciprocity(source):
    """How far the links between tokens, through the attention heads, go both ways: mean rho^2 over paths, from 0 to 1.

    Every head h is one path, C_h = U O_h V_h E^T, and every head behind the MLP of an earlier layer l another one,
    C_hl = U O_h V_h M_l I_l E^T: E embedding and U unembedding as of :func:`token_agreement`, V, O, I and M the
    matrices of values, attention output, MLP-in and MLP-out, gains folded in. rho = tr(C^2)/sum_ij C_ij^2 is 1 where
    every link is returned, -1 where with the other sign, about 0 where the way back knows nothing of the way there.
    In no path are queries and keys, a head behind a head, and an MLP that no head stands behind.

    Refused too are a model without a path, and a path that carries nothing. Source: Garlaschelli and Loffredo 2004,
    Physical Review Letters 93, 268701.

    Example:
        >>> from neuromfa_lite import load_run
        >>> run = load_run("induction")
        >>> reciprocity(run.checkpoint(0)) < 0.01 < 0.3 < reciprocity(run.checkpoint(724))
        True
    """
    found = [returned(written, read) ** 2 for written, read in token_paths(source)]
    if not found:
        raise NeuroMFAError(f"{open_source(source).origin}: no attention head was found that links tokens to tokens")
    return float(np.mean(found))


def returned(written, read):
    """rho of the network of tokens C = W R^T: tr(C^2)/sum_ij C_ij^2, without making C; W and R are (tokens, width)."""
    size = float(np.sum((written.T @ written) * (read.T @ read)))
    if not size > 0:
        raise NeuroMFAError("a path through an attention head links no tokens: all its weights are alike")
    crossing = read.T @ written
    return float(np.sum(crossing * crossing.T)) / size


def agreement(first, second):
    """Correlation, over all pairs of rows, of the cosines in one cloud and in another, without making all pairs."""
    tokens = len(first)
    if len(second) != tokens or tokens < 2:
        raise NeuroMFAError(f"{tokens} tokens come in and {len(second)} go out: agreement is of the same two or more")
    units = [directions(each) for each in (first, second)]
    pairs = tokens * (tokens - 1)
    means = [(np.square(each.sum(axis=0)).sum() - tokens) / pairs for each in units]

    def covariance(a, b):
        products = np.square(units[a].T @ units[b]).sum() - tokens
        return products / pairs - means[a] * means[b]

    spreads = [covariance(each, each) for each in (0, 1)]
    if not min(spreads) > 1e-12:
        raise NeuroMFAError("the tokens are all equally alike, so there is nothing to agree on: take another step")
    return float(covariance(0, 1) / np.sqrt(spreads[0] * spreads[1]))


def token_ways(source, chosen=None):
    """Embedding and unembedding of the chosen tokens (None: all), (tokens, hidden) each, centred over the tokens.

    The gain of the last layer norm is folded in; what every layer norm subtracts, the mean of a row, is taken out.
    """
    matrices, gains = (embedding_of(source), unembedding_of(source)), (None, gain_of(source, "unembedding"))
    return tuple(_centred(matrix, _folded(matrix, gain, chosen)) for matrix, gain in zip(matrices, gains, strict=True))


def token_paths(source):
    """(written, read), both (tokens, head size), of every path of tokens through a head, directly or behind an MLP."""
    source = open_source(source)
    incoming, outgoing = token_ways(source)
    if len(incoming) != len(outgoing):
        sizes = f"{len(incoming)} tokens in and {len(outgoing)} out"
        raise NeuroMFAError(f"{source.origin}: of {sizes} no link can be returned")
    arriving = [incoming]  # what stands in the residual stream of each token: itself, and what each MLP made of it
    for layer in folded_layers(source):
        yield from _through_heads(source, layer, arriving, outgoing)
        if {"mlp-in", "mlp-out"} <= layer.keys():
            arriving.append(incoming @ layer["mlp-in"].T @ layer["mlp-out"].T)


def _through_heads(source, layer, arriving, outgoing):
    if not {"value", "attention-output"} <= layer.keys():
        raise NeuroMFAError(f"{source.origin}: a layer has no values or no attention output, so no path through heads")
    heads = heads_of(source)
    values, output = layer["value"], layer["attention-output"]
    if len(values) != output.shape[1] or len(values) % heads:
        widths = f"values of {len(values)} neurons and an attention output of {output.shape[1]}"
        raise NeuroMFAError(f"{source.origin}: {widths} do not make {heads} heads")
    for value, out in zip(np.split(values, heads), np.split(output, heads, axis=1), strict=True):
        for each in arriving:
            yield outgoing @ out, each @ value.T


def folded_layers(source):
    """{role: (targets, sources) float64} of every block, in order, as the model's function sees them."""
    layer = {}
    for block in wire(source).blocks:
        if block.fixed or block.role not in (*READERS, "attention-output", "mlp-out"):
            continue
        if block.role in layer:
            yield layer
            layer = {}
        if block.role in READERS:
            layer[block.role] = _folded(block.matrix, gain_of(source, block.matrix.name.partition("[")[0]))
        else:
            weights = _finite(block.matrix, block.matrix.read())
            layer[block.role] = weights - weights.mean(axis=0)
    if layer:
        yield layer


def directions(vectors):
    """The rows divided by their lengths; a row of zeros is refused."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (lengths > 0).all():
        zero = int((lengths == 0).sum())
        raise NeuroMFAError(f"{zero} of {len(vectors)} tokens are zero and have no direction: take another step")
    return vectors / lengths


def _finite(matrix, numbers, what="matrix"):
    """The numbers as float64, those of a matrix or its gain."""
    if not np.isfinite(numbers).all():
        raise NeuroMFAError(f"{matrix.origin}: {what} {matrix.name!r} holds NaN or infinite numbers: take another step")
    return numbers.astype(np.float64)


def _folded(matrix, gain, chosen=None):
    """A matrix that reads the residual stream: with the gain in front of it, without what the norm takes out."""
    weights = _finite(matrix, matrix.read(chosen))
    if gain is not None:
        weights = weights * _finite(matrix, gain, "the gain in front of")
    return weights - weights.mean(axis=1, keepdims=True)


def _centred(matrix, vectors):
    apart = vectors - vectors.mean(axis=0)
    if not np.linalg.norm(apart) > 1e-12 * np.linalg.norm(vectors):  # what is left is rounding
        raise NeuroMFAError(f"{matrix.origin}: matrix {matrix.name!r} has the same vector for every token")
    return apart
