"""A checkpoint with something changed: all its tensors in memory, the labels of the one it came from."""

import numpy as np

from ...errors import NeuroMFAError
from ...errors.text import plain
from ...weights import WeightMatrix, WeightSource, WeightVector, open_source


class ChangedCheckpoint(WeightSource):
    """A checkpoint whose weights were changed in memory; whatever opens weights opens it too.

    Attributes:
        run, seed, step: of the checkpoint it came from, None where that was no checkpoint of a run.
        abilities: dict, what the checkpoint it came from could do, not what this one can; `abilities_of` measures that.
        change: what was changed, in words.
        original: what it came from.

    Example:
        >>> from neuromfa_lite import load_run
        >>> twin = ChangedCheckpoint(load_run("induction").checkpoint(724), "nothing changed")
        >>> twin.step, twin.change, len(twin.tensors())
        (724, 'nothing changed', 28)
    """

    def __init__(self, original, change, tensors=None):
        """tensors: {name: array} as in the file, not copied, to replace those of the original; None: copies of all."""
        source, origin = open_source(original), label_of(original)
        own = arrays_of(source) if tensors is None else dict(tensors)
        stored = source.other | source.matrices | source.vectors | source.stacked
        for name, array in own.items():
            shape = getattr(stored.get(name), "shape", None)
            if shape is None or array.shape != tuple(shape):
                there = f"is of shape {shape} there" if shape else "is no matrix or vector there"
                raise NeuroMFAError(f"{name} {array.shape} does not belong to {origin}: it {there}")
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


def label_of(checkpoint):
    """What a checkpoint is called: "induction@724", which says more than its folder does; else where it came from."""
    return str(checkpoint) if hasattr(checkpoint, "step") else open_source(checkpoint).origin


def arrays_of(source, dtype=None):
    """{name: array as in the file} of all weights, without masks of old files; at least float32 where dtype is None."""
    tensors = source.matrices | source.vectors
    readable = ("float64", "float32", "float16", "bfloat16")
    names = [name for name in source.names if name in tensors and tensors[name].dtype in readable]
    return {name: np.array(tensors[name].read(), dtype) for name in names}


def _wrapped(name, array, origin):
    if array.ndim == 1:
        return WeightVector(WeightMatrix.from_array(name, array[None], origin))
    return WeightMatrix.from_array(name, array, origin)
