"""Weights that PyTorch holds: models, state dicts and .bin files.

torch is imported only to read a .bin file; for a model or its state dict it is there already, with the
object.
"""

import re
import sys
import zipfile
from collections.abc import Mapping

import numpy as np

from neuromfa_lite.errors import SourceError
from neuromfa_lite.sources.matrix import ArrayStorage, WeightMatrix
from neuromfa_lite.sources.weight_source import WeightSource

UNKNOWN_CONFIG = (
    'say what it is: open_source(..., config={"model_type": "gpt_neox", "hidden_size": ...}), as in config.json'
)


def open_module(module, config=None):
    """Open a torch module with a `config` (as the models of transformers have); returns WeightSource.

    The weights are not copied: a later training step changes what is read. Raises SourceError if there is no
    configuration.
    """
    origin = type(module).__name__
    held = config if config is not None else getattr(module, "config", None)
    held = held.to_dict() if hasattr(held, "to_dict") else held
    if not isinstance(held, Mapping):
        raise SourceError(f"the model {origin} has no config that says how it is built: {UNKNOWN_CONFIG}")
    tensors = {name: wrap(name, tensor, origin) for name, tensor in module.state_dict().items()}
    return WeightSource(origin, dict(held), tensors, f"the config of {origin}")


def open_state_dict(state_dict, config=None):
    """Open a mapping of names to torch tensors or arrays; returns WeightSource.

    Raises SourceError without `config`, a dict as in config.json, or for a value that is no tensor.
    """
    if not isinstance(config, Mapping):
        raise SourceError(f"a state dict does not tell which model it belongs to: {UNKNOWN_CONFIG}")
    tensors = {name: wrap(name, tensor, "the state dict") for name, tensor in state_dict.items()}
    return WeightSource("the state dict", dict(config), tensors, "the config given")


def read_bin(path):
    """List the tensors of a .bin or .pt file of PyTorch: {name: WeightMatrix, or shape if not 2-D}.

    Read by torch.load(weights_only=True), memory-mapped where the file allows it, so that no code in the
    file is ever run. Raises SourceError if torch is not installed, or the file is missing, damaged or holds
    code.
    """
    try:
        import torch
    except ImportError:
        raise SourceError(
            f"{path} is a file of PyTorch, which is not installed: `pip install torch`, or take a model folder "
            "with safetensors"
        ) from None
    if not path.is_file():
        raise SourceError(f"{path} is missing: check the path")
    try:
        content = _load(torch, path)
    except Exception as error:  # torch raises many kinds: pickle, zip, end of file, runtime
        refused = re.search(r"GLOBAL (\S+)", str(error))
        if refused:
            reason = f"it holds {refused[1]}, which is no tensor, and loading that could run code: it is refused"
        else:
            said = f" ({error})".split("\n")[0] if isinstance(error, RuntimeError) else ""
            reason = f"it is damaged or no file of PyTorch tensors{said}"
        raise SourceError(f"{path}: {reason}. Take the model's safetensors file, or save its state dict") from None
    content = content.get("state_dict", content) if isinstance(content, Mapping) else content
    if not isinstance(content, Mapping) or not all(_is_tensor(value) for value in content.values()):
        raise SourceError(f"{path} holds no state dict (names to tensors): save model.state_dict() and open that")
    return {name: wrap(name, tensor, path) for name, tensor in content.items()}


def _load(torch, path):
    """Tensors of a file, mapped where possible (files older than PyTorch 1.6 cannot be)."""
    return torch.load(path, weights_only=True, map_location="cpu", mmap=zipfile.is_zipfile(path))


def wrap(name, tensor, origin):
    """A 2-D torch tensor or array as a WeightMatrix without a copy; the shape (tuple) of any other."""
    if not _is_tensor(tensor):
        try:
            tensor = np.asarray(tensor)
        except ValueError:
            tensor = np.asarray(None)
        if tensor.dtype.kind not in "fiub":
            raise SourceError(f"{name} in {origin} is no tensor or array of numbers: give a dict of names to tensors")
    if len(tensor.shape) != 2:
        return tuple(tensor.shape)
    if not _is_tensor(tensor):
        return WeightMatrix.from_array(name, tensor, origin)
    dtype = str(tensor.dtype).removeprefix("torch.")
    return WeightMatrix(name, origin, dtype, TensorStorage(name, origin, tensor))


class TensorStorage(ArrayStorage):
    """A torch tensor, seen as an array when it is read: shared with the model, moved from a GPU if it is there."""

    def __init__(self, name, origin, tensor):
        self.name, self.origin, self.tensor, self.shape = name, origin, tensor, tuple(tensor.shape)

    @property
    def array(self):
        tensor = self.tensor.detach()
        if tensor.is_meta or "strided" not in str(tensor.layout):
            where = "on the meta device, without values" if tensor.is_meta else f"stored as {tensor.layout}"
            raise SourceError(f"{self.name} in {self.origin} is {where}: load the model's weights as plain tensors")
        if str(tensor.dtype) == "torch.bfloat16":
            return tensor.cpu().view(sys.modules["torch"].int16).numpy().view(np.uint16)
        return tensor.cpu().numpy()


def _is_tensor(value):
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)
