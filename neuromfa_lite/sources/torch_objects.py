"""Weights that PyTorch holds: models, state dicts and .bin files.

torch is imported only to read a .bin file; for a model or its state dict it is there already, with the
object.
"""

import re
import sys
import zipfile
from collections.abc import Mapping

import numpy as np

from ..errors import SourceError
from .matrix import ArrayStorage, WeightMatrix, WeightVector
from .weight_source import WeightSource

UNKNOWN_CONFIG = (
    'say what it is: open_source(..., config={"model_type": "gpt_neox", "hidden_size": ...}), as in config.json'
)


def open_module(module, config=None):
    """Open a torch module that holds its configuration, as the models of transformers do.

    The weights are not copied: a later training step changes what is read.

    Args:
        module: torch nn.Module.
        config: the configuration (dict, as config.json), if not the module's own ``config``.

    Returns:
        WeightSource.

    Raises:
        SourceError: there is no configuration, or a value of the state dict is no tensor.

    Example:
        >>> import torch
        >>> open_module(torch.nn.Linear(3, 2), {"model_type": "toy"}).matrices["weight"]
        WeightMatrix('weight', targets=2, sources=3, float32)
    """
    origin = type(module).__name__
    held = config if config is not None else getattr(module, "config", None)
    held = held.to_dict() if hasattr(held, "to_dict") else held
    if not isinstance(held, Mapping):
        raise SourceError(f"the model {origin} has no config that says how it is built: {UNKNOWN_CONFIG}")
    tensors = {name: wrap(name, tensor, origin) for name, tensor in module.state_dict().items()}
    return WeightSource(origin, dict(held), tensors, f"the config of {origin}")


def open_state_dict(state_dict, config=None):
    """Open a mapping of names to torch tensors or arrays.

    Args:
        state_dict: {name: tensor or array}.
        config: the configuration (dict, as config.json).

    Returns:
        WeightSource.

    Raises:
        SourceError: there is no configuration, or a value is no tensor.

    Example:
        >>> open_state_dict({"fc.weight": np.ones((2, 3)), "fc.bias": np.zeros(2)}, {"model_type": "toy"}).other
        {'fc.bias': (2,)}
    """
    if not isinstance(config, Mapping):
        raise SourceError(f"a state dict does not tell which model it belongs to: {UNKNOWN_CONFIG}")
    tensors = {name: wrap(name, tensor, "the state dict") for name, tensor in state_dict.items()}
    return WeightSource("the state dict", dict(config), tensors, "the config given")


def read_bin(path):
    """List the tensors of a .bin or .pt file of PyTorch.

    Read by torch.load(weights_only=True), memory-mapped where the file allows it, so that no code in the file is ever
    run.

    Args:
        path: pathlib.Path.

    Returns:
        dict from names to WeightMatrix, WeightVector, or the shape of a tensor of another number of dimensions.

    Raises:
        SourceError: torch is not installed, or the file is missing, damaged or holds code; the message names the file.
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
    """Make a weight matrix of a torch tensor or array, without a copy.

    Args:
        name: its name.
        tensor: torch tensor, array or nested list of numbers.
        origin: where it comes from, for error messages.

    Returns:
        WeightMatrix, WeightVector, or the shape (tuple) of a tensor of another number of dimensions.

    Raises:
        SourceError: it is no tensor or array of numbers.

    Example:
        >>> wrap("fc.weight", np.ones((2, 3), "f4"), "an example")
        WeightMatrix('fc.weight', targets=2, sources=3, float32)
    """
    if not _is_tensor(tensor):
        try:
            tensor = np.asarray(tensor)
        except ValueError:
            tensor = np.asarray(None)
        if tensor.dtype.kind not in "fiub":
            raise SourceError(f"{name} in {origin} is no tensor or array of numbers: give a dict of names to tensors")
    if len(tensor.shape) == 1:
        return WeightVector(wrap(name, tensor[None], origin))
    if len(tensor.shape) != 2:
        return tuple(tensor.shape)
    if not _is_tensor(tensor):
        return WeightMatrix.from_array(name, tensor, origin)
    dtype = str(tensor.dtype).removeprefix("torch.")
    return WeightMatrix(name, origin, dtype, TensorStorage(name, origin, tensor))


class TensorStorage(ArrayStorage):
    """A torch tensor, seen as an array when it is read: shared with the model, moved from a GPU if it is there.

    Attributes:
        name, origin: of the matrix, for error messages.
        tensor: (rows, columns), as the model holds it.
        shape: (rows, columns).
    """

    def __init__(self, name, origin, tensor):
        self.name, self.origin, self.tensor, self.shape = name, origin, tensor, tuple(tensor.shape)

    @property
    def array(self):
        """The tensor's values as an array (rows, columns) of the type stored, bfloat16 as uint16.

        Raises:
            SourceError: the tensor holds no values (meta device) or is sparse or otherwise not strided.
        """
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
