"""What stands around the connections of a model: its embeddings, the gains of its layer norms, its heads."""

import numpy as np

from ..errors import SourceError
from .architectures.record import is_count
from .architectures.wire import find_architecture, known_of, wire


def embedding_of(source):
    """The token embedding, a WeightMatrix (tokens, hidden)."""
    found = _named(source, find_architecture(source).embedding)
    if found is None:
        raise SourceError(
            f"{source.origin} holds no token embedding under a name that the record of its architecture gives: add "
            'Architecture(..., embedding=("NAME OF THE MATRIX",))'
        )
    return found


def unembedding_of(source):
    """The unembedding, a WeightMatrix (tokens, hidden): the embedding where the two are tied.

    Args:
        source: WeightSource, of :func:`neuromfa_lite.weights.open_source`.

    Raises:
        SourceError: the model has neither, or its architecture's record does not name them.

    Example:
        >>> from neuromfa_lite import load_run
        >>> from neuromfa_lite.weights import open_source
        >>> unembedding_of(open_source(load_run("induction").checkpoint(724))).shape
        (64, 64)
    """
    found = _named(source, find_architecture(source).unembedding)
    return embedding_of(source) if found is None else found


def gain_of(source, matrix):
    """The gain (hidden,) float64 of the layer norm in front of a stored matrix or "unembedding"; None without one."""
    gains = gains_of(source)
    for prefix in find_architecture(source).prefixes:
        name = matrix.removeprefix(prefix)
        if name in gains:
            found = _named(source, (gains[name],), source.vectors)
            if found is None:
                raise SourceError(
                    f"{gains[name]}, the gain in front of {matrix}, is missing in {source.origin}: fetch it again"
                )
            behind = unembedding_of(source) if matrix == "unembedding" else source.matrices.get(matrix)
            if behind is not None and found.shape[0] not in behind.shape:
                raise SourceError(
                    f"{found.name} in {source.origin} has {found.shape[0]} numbers, but stands in front of "
                    f"{behind.name} of shape {behind.shape}: give weight files of one model"
                )
            return found.read().astype(np.float64) + find_architecture(source).gain_offset
    return None


def gains_of(source):
    """{matrix: gain in front of it}, names without prefix; SourceError where the record does not tell."""
    architecture = find_architecture(source)
    wire(source)  # refuses counts of layers that a record would list for ever
    gains = architecture.list_gains(known_of(source))
    if gains is None:
        raise SourceError(
            f"{source.origin}: the record of {architecture.model_type} does not say which layer norms' gains stand in "
            'front of its matrices: add Architecture(..., gains={"NAME OF THE MATRIX": "NAME OF THE GAIN"})'
        )
    return gains


def heads_of(source):
    """The number of attention heads; SourceError where the configuration has none under the record's name for it."""
    key = find_architecture(source).heads
    heads = source.config.get(key)
    if not is_count(heads):
        raise SourceError(
            f"{key} in {source.config_origin} is {heads!r}, no number of attention heads: if the configuration calls "
            'it otherwise, say so in Architecture(..., heads="n_head")'
        )
    return heads


def _named(source, names, tensors=None):
    """The first stored tensor of one of these names, with any prefix of the architecture."""
    tensors = source.matrices if tensors is None else tensors
    prefixes = find_architecture(source).prefixes
    return next((tensors[p + name] for name in names for p in prefixes if p + name in tensors), None)
