"""The degree of emergence: how far the spectrum has moved since the network was untrained."""

import numpy as np

from .errors import NeuroMFAError
from .method import PAPER


def degree_of_emergence(alpha0, width, alpha0_start, width_start, method=PAPER):
    """Return the degree of emergence E of a network against its untrained self.

    E = [w(t) / w(0)] ln[alpha0(0) / alpha0(t)], so E = 0 at step 0; alpha0 and w are averaged over samples first.
    It is positive where the spectrum became more regular (alpha0 fell) and weighs that by the growth of heterogeneity.

    Args:
        alpha0, width: regularity and heterogeneity at the step; numbers or arrays.
        alpha0_start, width_start: the same at step 0.
        method: Method; its score acts here ("emergence": the formula above).

    Returns:
        float, or an array of the shape of the arguments.

    Raises:
        NeuroMFAError: alpha0 that is not positive or a width of 0 at step 0, for which E is not defined.

    Source: Xiao et al. 2025, section 3.3.

    Example:
        >>> round(degree_of_emergence(1.0, 0.6, 2.0, 0.3), 6)   # 2 ln 2
        1.386294
    """
    values = [np.asarray(value, dtype=np.float64) for value in (alpha0, width, alpha0_start, width_start)]
    if not (np.isfinite(np.broadcast_arrays(*values)).all() and (values[0] > 0).all() and (values[2] > 0).all()):
        raise NeuroMFAError(
            "the degree of emergence needs finite widths and positive alpha0: look at the spectra first"
        )
    if method.score == "emergence" and not (values[3] > 0).all():
        raise NeuroMFAError(
            "the width at step 0 is 0 (all neurons alike), so w(t)/w(0) is not defined: use another score or start"
        )
    shape = np.broadcast_shapes(*(value.shape for value in values))
    arrays = [np.array(np.broadcast_to(value, shape)).reshape(-1) for value in values]
    score = np.asarray(method.call("score", *arrays))
    if score.shape != arrays[0].shape or score.dtype.kind not in "fiu":
        raise NeuroMFAError(
            f"score of method {method.name!r} returned {score.dtype} of shape {score.shape} for four arrays of shape "
            f"{arrays[0].shape}: it must return one number for each"
        )
    score = score.astype(np.float64).reshape(shape)
    if not np.isfinite(score).all():
        raise NeuroMFAError(f"score of method {method.name!r} is not finite for these alpha0 and widths")
    return float(score) if score.ndim == 0 else score
