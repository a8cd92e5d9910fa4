"""The weights of one model at one moment, from wherever they came, by the names that the model itself gives them."""

import re

from ..errors import SourceError
from .matrix import WeightMatrix, WeightTensor, WeightVector

# torch.compile marks what it wraps, a model or a layer of it; DataParallel, its kin and PEFT wrap whole models only.
COMPILED = re.compile(r"(?<![^.])_orig_mod\.")
WRAPPED = ("module.", "base_model.model.")  # the second by PEFT, whose adapters were merged
ADAPTER = re.compile(r"(?:^|\.)lora_[A-Za-z]|^base_model\.model\..*\.base_layer\.")
PARAMETRIZED = re.compile(r"(?:(?<![^.])parametrizations\.([^.]+)\..*|_(?:g|v|u|orig|mask))$")


class WeightSource:
    """The stored weights of one model: nothing is read before a matrix is asked for.

    Attributes:
        origin: folder, hub id and revision, or object.
        config: dict, as config.json; config_origin: where it stands.
        matrices, vectors, stacked: {name: WeightMatrix} of every 2-D tensor, {name: WeightVector} of every 1-D one,
            {name: WeightTensor} of those with more dimensions.
        other: {name: shape} of everything but the matrices.
        names: all names, in the order stored, without what torch.compile and DataParallel put before them.
        architecture: the record of the family in place of that of its model_type; None: that one.
    """

    def __init__(self, origin, config, tensors, config_origin=""):
        self.origin, self.config, self.config_origin = str(origin), config, str(config_origin or origin)
        tensors = own_names(tensors, self.origin)
        self.names = tuple(tensors)
        self.architecture = None
        self.matrices = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, WeightMatrix)}
        self.vectors = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, WeightVector)}
        self.stacked = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, WeightTensor)}
        self.other = {
            name: getattr(tensor, "shape", tensor) for name, tensor in tensors.items() if name not in self.matrices
        }

    def __repr__(self):
        return f"WeightSource({self.origin!r}, {len(self.matrices)} matrices)"


def own_names(tensors, origin):
    """{name: tensor} by the model's own names; SourceError of an adapter, whose layers are none of the model's own."""
    names = {stored: COMPILED.sub("", stored) for stored in tensors}
    counted = [stored for stored, tensor in tensors.items() if getattr(tensor, "shape", tensor)]  # scalars: counters
    while around := [each for each in WRAPPED if counted and all(names[n].startswith(each) for n in counted)]:
        names = {stored: name.removeprefix(around[0]) for stored, name in names.items()}
    found = {}
    for stored, name in names.items():
        if ADAPTER.search(stored) or ADAPTER.search(name):
            raise SourceError(
                f"{origin} holds an adapter that is not merged (LoRA or another of PEFT: {stored}): open what "
                "model.merge_and_unload() returns"
            )
        if name in found:
            raise SourceError(f"{origin} holds {name} twice, once as {stored}: keep one of them")
        found[name] = tensors[stored]
        if name != stored and not isinstance(found[name], tuple):
            found[name].name = name
    return found


def stands_for(name):
    """The tensor that a layer computes of the one of this name, as weight_norm and other parametrizations do.

    >>> stands_for("fc.parametrizations.weight.original0"), stands_for("fc.weight_g"), stands_for("fc.weight")
    ('fc.weight', 'fc.weight', 'fc.weight')
    """
    return PARAMETRIZED.sub(lambda match: match[1] or "", name)
