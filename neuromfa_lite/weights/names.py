"""The names of stored tensors as the model itself gives them, whatever wraps the model or one of its layers."""

import re

from ..errors import SourceError

# torch.compile marks what it wraps, a model or a layer of it; DataParallel and its kin wrap whole models only.
COMPILED = re.compile(r"(?<![^.])_orig_mod\.")
PARALLEL = "module."
ADAPTER = re.compile(r"(?:^|\.)lora_[A-Za-z]|^base_model\.model\..*\.base_layer\.")
PARAMETRIZED = re.compile(r"(?:(?<![^.])parametrizations\.([^.]+)\..*|_(?:g|v|u|orig|mask))$")


def own_names(tensors, origin):
    """{name: tensor} by the model's own names; SourceError of an adapter, whose layers are none of the model's own."""
    names = {stored: COMPILED.sub("", stored) for stored in tensors}
    counted = [stored for stored, tensor in tensors.items() if getattr(tensor, "shape", tensor)]  # scalars: counters
    while counted and all(names[stored].startswith(PARALLEL) for stored in counted):
        names = {stored: name.removeprefix(PARALLEL) for stored, name in names.items()}
    found = {}
    for stored, name in names.items():
        if ADAPTER.search(name):
            raise SourceError(
                f"{origin} holds an adapter that is not merged (LoRA or another of PEFT: {stored}), so no matrix is "
                "what the model computes with: open what model.merge_and_unload() returns, or for the base model alone "
                "what model.unload() returns"
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
