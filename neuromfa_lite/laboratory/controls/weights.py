"""Controls that destroy something: the weights of every matrix shuffled, redrawn, re-signed or grown.

Each takes a NeuronNetwork and returns one, or takes a checkpoint (a Checkpoint of a run, or whatever
:func:`neuromfa_lite.sources.open_source` takes) and returns a ChangedCheckpoint; what is given stays as it was. The
weights of both are the same, block by block. Change the whole network first and sample it afterwards.

Of a checkpoint the matrices of the blocks are changed; with embeddings=True token embedding and unembedding too.
Biases and layer norms stay.
"""

import numpy as np

from ... import arguments
from ...errors import NeuroMFAError
from ...network import NeuronNetwork
from ...sources import open_source
from ..runs import Checkpoint, load_run
from .apply import apply, blocks_of, checked_factor
from .checkpoint import ChangedCheckpoint


def scaled(what, factor, embeddings=False):
    """Multiply every weight by one common factor.

    Args:
        what: NeuronNetwork or checkpoint.
        factor: a finite number other than 0.
        embeddings: include token embedding and unembedding of a checkpoint.

    Returns:
        NeuronNetwork or ChangedCheckpoint, its weights float64.

    Raises:
        NeuroMFAError: a factor of 0, NaN or infinity.

    Example:
        >>> pair = NeuronNetwork.from_edges([0, 0], [1, 2], [0.5, -0.25])
        >>> scaled(pair, 2).weight_blocks[0].weights()
        array([ 1. , -0.5])
    """
    factor = checked_factor(factor)

    def scale(block, weights, stream):
        return weights.astype(np.float64) * factor

    return apply(what, f"scaled by {factor:g}", scale, embeddings=embeddings)


def rescaled(what, like, embeddings=False):
    """Multiply each matrix by the factor that gives it the standard deviation of the same matrix in another network.

    Applied to an untrained network with a trained one to be like, it grows the weights as much as training did, matrix
    by matrix, and learns nothing.

    Args:
        what: NeuronNetwork or checkpoint; every matrix must have a spread of its own.
        like: NeuronNetwork or checkpoint with the same matrices, by name.
        embeddings: include token embedding and unembedding of checkpoints.

    Returns:
        NeuronNetwork or ChangedCheckpoint, its weights float64.

    Raises:
        NeuroMFAError: a matrix that the other network does not have, or whose weights are all alike.

    Example:
        >>> start = NeuronNetwork.from_edges([0, 0], [1, 2], [0.1, -0.1])
        >>> now = NeuronNetwork.from_edges([0, 0], [1, 2], [0.7, 0.3])
        >>> rescaled(start, now).weight_blocks[0].weights()
        array([ 0.2, -0.2])
    """
    wanted = {block.name: block for block in blocks_of(like, embeddings)}
    name, other = _name(what), _name(like)

    def grow(block, weights, stream):
        if block.name not in wanted:
            raise NeuroMFAError(
                f"{other} has no matrix {block.name!r} to rescale to: give another step of the same model"
            )
        own = weights.std(dtype=np.float64)
        if not own > 0:
            raise NeuroMFAError(f"the weights of matrix {block.name!r} of {name} are all alike: no factor spreads them")
        return weights.astype(np.float64) * (wanted[block.name].weights().std(dtype=np.float64) / own)

    return apply(what, f"rescaled to {other}", grow, embeddings=embeddings)


def rescaled_start(checkpoint, embeddings=False):
    """Rescale the initial weights of a checkpoint's own run to the deviation each matrix has in the checkpoint.

    Args:
        checkpoint: Checkpoint of a run, or a ChangedCheckpoint of one; the start is the run's step 0 as stored.
        embeddings: include token embedding and unembedding.

    Returns:
        ChangedCheckpoint that holds step 0's weights, grown, under the labels of the checkpoint: it is the twin of that
        step. Biases and layer norms are those of step 0.

    Raises:
        NeuroMFAError: it is no checkpoint of a run, or the run has no step 0.

    Example:
        >>> twin = rescaled_start(load_run("induction").checkpoint(724))
        >>> twin.step, twin.change
        (724, 'step 0 rescaled to its deviations')
    """
    stored = checkpoint
    while isinstance(stored, ChangedCheckpoint):
        stored = stored.original
    if not isinstance(stored, Checkpoint):
        raise NeuroMFAError(f"{_name(checkpoint)} is no checkpoint of a run, so its start is unknown: use rescaled()")
    start = load_run(stored.folder.parents[1]).checkpoint(0, stored.seed)
    arguments.flag("embeddings", embeddings)
    words = "step 0 rescaled to its deviations" + (", embeddings too" if embeddings else "")
    return ChangedCheckpoint(checkpoint, words, rescaled(start, checkpoint, embeddings).tensors())


def gaussian_like(what, seed=0, embeddings=False):
    """Replace each matrix by independent Gaussian numbers of the same mean and standard deviation; zeros stay zeros.

    Args:
        what: NeuronNetwork or checkpoint.
        seed: whole number; every matrix draws from a stream of its own.
        embeddings: include token embedding and unembedding of a checkpoint.

    Returns:
        NeuronNetwork or ChangedCheckpoint, its weights float64.

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

    return apply(what, "Gaussian twin", draw, seed, embeddings)


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

    def permute(block, weights, stream):
        return block.permuted(weights, stream)

    return apply(what, "outgoing weights permuted", permute, seed, embeddings)


def shuffled(what, seed=0, embeddings=False):
    """Shuffle all weights of each matrix: its distribution stays, what any one neuron had is lost.

    Args:
        what, seed, embeddings: as of :func:`permuted_outgoing`.

    Returns:
        NeuronNetwork or ChangedCheckpoint, its weights of the type they had.

    Example:
        >>> star = NeuronNetwork.from_edges([0, 0, 1], [1, 2, 2], [0.5, 0.25, 7.0])
        >>> shuffled(star, seed=2).weight_blocks[0].weights()
        array([7.  , 0.5 , 0.25])
    """

    def shuffle(block, weights, stream):
        return stream.permutation(weights.ravel()).reshape(weights.shape)

    return apply(what, "weights shuffled within matrices", shuffle, seed, embeddings)


def random_signs(what, seed=0, embeddings=False):
    """Give every weight a random sign: each strength stays where it was.

    Args:
        what, seed, embeddings: as of :func:`permuted_outgoing`.

    Returns:
        NeuronNetwork or ChangedCheckpoint, its weights of the type they had.

    Example:
        >>> star = NeuronNetwork.from_edges([0, 0, 1], [1, 2, 2], [0.5, 0.25, 7.0])
        >>> random_signs(star, seed=1).weight_blocks[0].weights()
        array([-0.5 , -0.25,  7.  ])
    """

    def sign(block, weights, stream):
        return np.where(stream.random(weights.shape) < 0.5, weights, -weights)

    return apply(what, "random signs", sign, seed, embeddings)


def _name(what):
    if isinstance(what, (NeuronNetwork, Checkpoint)):
        return what.origin if isinstance(what, NeuronNetwork) else str(what)
    return open_source(what).origin
