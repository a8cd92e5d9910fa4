"""A checkpoint with something changed: all its tensors in memory, the labels of the one it came from."""

import numpy as np

from ...errors import NeuroMFAError
from ...sources import WeightMatrix, WeightSource, WeightVector, open_source
from ...text import plain


class ChangedCheckpoint(WeightSource):
    """A checkpoint whose weights were changed in memory; whatever opens weights opens it too.

    Attributes:
        run, seed, step: of the checkpoint it came from, None where that was no checkpoint of a run.
        abilities: dict, what the checkpoint it came from could do, not what this one can:
            :func:`neuromfa_lite.laboratory.controls.abilities_of` measures that.
        change: what was changed, in words.
        original: what it came from.

    Example:
        >>> from neuromfa_lite import load_run
        >>> twin = ChangedCheckpoint(load_run("induction").checkpoint(724), "nothing changed")
        >>> twin.step, twin.change, len(twin.tensors())
        (724, 'nothing changed', 28)
    """

    def __init__(self, original, change, tensors=None):
        """Change a checkpoint in memory.

        Args:
            original: what :func:`neuromfa_lite.sources.open_source` takes.
            change: what is changed, in words.
            tensors: {name: array}, in the layout of the file, which are not copied; None: those of the original. What
                is not among them stays as stored.

        Raises:
            NeuroMFAError: a name the original does not have, or a tensor of another shape.
        """
        source = open_source(original)
        own = arrays_of(source) if tensors is None else dict(tensors)
        origin = source.origin if isinstance(original, WeightSource) else _name_of(original, source)
        stored = source.other | source.matrices | source.vectors
        _refuse_others(own, stored, origin)
        kept = {name: _wrapped(name, own[name], origin) if name in own else stored[name] for name in source.names}
        super().__init__(f"{origin} ({change})", source.config, kept, source.config_origin)
        self._tensors = own
        self.original, self.change = original, change
        if isinstance(original, ChangedCheckpoint):
            self.change = f"{original.change}, then {change}"
        self.run, self.seed, self.step = (getattr(original, label, None) for label in ("run", "seed", "step"))
        self.abilities = dict(getattr(original, "abilities", {}))

    def tensors(self):
        """Return {name: array} of every matrix (2-D) and vector (1-D), copies; float64 where it was changed so."""
        return {name: array.copy() for name, array in self._tensors.items()}

    def __str__(self):
        return self.origin

    def __repr__(self):
        return plain(f"<ChangedCheckpoint {self.origin}>")


def arrays_of(source, dtype=None):
    """Read every matrix and vector of a source into memory.

    Args:
        source: WeightSource.
        dtype: of the arrays; None: float32, or float64 where stored so.

    Returns:
        dict from names to arrays in the layout of the file; tensors of other dimensions (masks of old files) and of
        types that hold no weights are left out.
    """
    tensors = source.matrices | source.vectors
    readable = ("float64", "float32", "float16", "bfloat16")
    return {name: np.array(tensors[name].read(), dtype) for name in source.names if _kind(tensors, name) in readable}


def _refuse_others(tensors, stored, origin):
    for name, array in tensors.items():
        shape = getattr(stored.get(name), "shape", None)
        if shape is None or array.shape != tuple(shape):
            there = f"is of shape {shape} there" if shape else "is no matrix or vector there"
            raise NeuroMFAError(f"{name} {array.shape} does not belong to {origin}: it {there}")


def _kind(tensors, name):
    return tensors[name].dtype if name in tensors else None


def _name_of(original, source):
    """A checkpoint of a run knows a better name for itself ("induction@724") than its folder has."""
    return str(original) if hasattr(original, "step") else source.origin


def _wrapped(name, array, origin):
    if array.ndim == 1:
        return WeightVector(WeightMatrix.from_array(name, array[None], origin))
    return WeightMatrix.from_array(name, array, origin)
