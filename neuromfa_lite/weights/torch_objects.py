"""Weights that PyTorch holds: models, state dicts and .bin files; torch is imported only to read a .bin file."""

import math
import re
import sys
import zipfile
from collections.abc import Mapping

import numpy as np

from ..errors import SourceError, said
from .files import regular_file
from .matrix import ArrayStorage, WeightMatrix, as_array, of_shape
from .weight_source import WeightSource

UNKNOWN_CONFIG = 'give config={"model_type": "gpt_neox", "hidden_size": ...}, as in config.json'
# What training scripts call the model's part of what they save.
MODEL_PARTS = ("model_state_dict", "state_dict", "model", "module", "net")
DEEPEST = 4
WRAPPERS = ({"_orig_mod"}, {"module"}, {"base_model"})  # the only child of torch.compile, DataParallel, PEFT
SAFE_TORCH = (2, 10)  # weights_only=True let code through in releases before


def open_module(module, config=None):
    """The WeightSource of a torch module, shared with it; config replaces its own."""
    inner, own = unwrapped(module)
    origin, held = type(inner).__name__, config if config is not None else own
    held = held.to_dict() if hasattr(held, "to_dict") else held
    if not isinstance(held, Mapping):
        raise SourceError(f"the model {origin} has no config that says how it is built: {UNKNOWN_CONFIG}")
    return WeightSource(origin, dict(held), tensors_of(module, origin), f"the config of {origin}")


def tensors_of(module, origin):
    """{name: as of :func:`wrap`} of a torch module's state dict, shared with it."""
    return {name: wrap(name, tensor, origin) for name, tensor in module.state_dict().items()}


def unwrapped(module):
    """(model, its config) of a module, out of the wrappers of torch.compile, DataParallel and PEFT."""
    config = getattr(module, "config", None)
    while (children := dict(getattr(module, "named_children", dict)())).keys() in WRAPPERS:
        (module,) = children.values()
        module = getattr(module, "model", module) if "base_model" in children else module
        config = getattr(module, "config", None) if config is None else config
    return module, config


def open_state_dict(state_dict, config=None):
    """The WeightSource of {name: tensor or array}, or of a training's {"model_state_dict": such a dict, ...}."""
    if not isinstance(config, Mapping):
        raise SourceError(f"a state dict does not tell which model it belongs to: {UNKNOWN_CONFIG}")
    origin = "the state dict"
    tensors = {name: wrap(name, tensor, origin) for name, tensor in model_part(state_dict, origin).items()}
    return WeightSource(origin, dict(config), tensors, "the config given")


def model_part(content, origin, depth=0):
    """Of what a training saved, the model's names and tensors: all of it, or the mapping in it that holds weights."""
    known = [name for name in MODEL_PARTS if isinstance(content.get(name), Mapping)]
    parts = known[:1] or [name for name, part in content.items() if _is_weights(part)]
    if parts and (known or not any(len(getattr(value, "shape", ())) == 2 for value in content.values())):
        if len(parts) > 1:
            raise SourceError(f"{origin} holds the weights of {', '.join(map(str, parts))}: open one of them")
        if depth == DEEPEST:
            raise SourceError(f"{origin} nests more than {DEEPEST} deep: open the model's state dict in it")
        return model_part(content[parts[0]], origin, depth + 1)
    wrong = next((name for name in content if not isinstance(name, str)), None)
    if wrong is not None:
        raise SourceError(f"{origin}: {wrong!r} is no name of a tensor: give a dict of names to tensors")
    return content


def _is_weights(part):
    values = list(part.values()) if isinstance(part, Mapping) else []
    return bool(values) and all(_is_tensor(value) or isinstance(value, np.ndarray) for value in values)


def read_bin(path):
    """{name: as of :func:`wrap`} of a .bin or .pt file, read by torch.load(weights_only=True): no code is ever run."""
    size = regular_file(path, "check the path").st_size
    try:
        import torch
    except ImportError:
        raise SourceError(
            f"{path} is a file of PyTorch: `pip install torch`, or take a model folder with safetensors"
        ) from None
    if tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2]) < SAFE_TORCH:
        raise SourceError(
            f"{path} is read by torch {'.'.join(map(str, SAFE_TORCH))} or newer only, which runs no code of a file; "
            f"this is {torch.__version__}: `pip install -U torch`, or take a model folder with safetensors"
        )
    try:
        content = _load(torch, path, size)
    except Exception as error:  # torch raises many kinds: pickle, zip, end of file, runtime
        refused = re.search(r"GLOBAL (\S+)", str(error))
        if refused:
            reason = f"it holds {refused[1]}, which is no tensor, and loading that could run code: it is refused"
        else:
            said = f" ({error})".split("\n")[0] if isinstance(error, RuntimeError) else ""
            reason = f"it is damaged or no file of PyTorch tensors{said}"
        raise SourceError(f"{path}: {reason}. Take the model's safetensors file, or save its state dict") from None
    content = model_part(content, path) if isinstance(content, Mapping) else {"its content": content}
    for name, value in content.items():
        if not _is_tensor(value):
            raise SourceError(
                f"{path} holds no state dict, {name} is a {type(value).__name__}: save model.state_dict() and open that"
            )
    return {name: wrap(name, tensor, path) for name, tensor in content.items()}


def _load(torch, path, size):
    """Tensors of a file, mapped where possible (files older than PyTorch 1.6 cannot be)."""
    zipped = zipfile.is_zipfile(path)
    if zipped:
        with zipfile.ZipFile(path) as file:
            if sum(entry.file_size for entry in file.infolist()) > size:
                raise RuntimeError("it unpacks to more than its size, which torch.save never writes")
    return torch.load(path, weights_only=True, map_location="cpu", mmap=zipped)


def wrap(name, tensor, origin):
    """The WeightMatrix, WeightVector or WeightTensor of a torch tensor or array, not copied; () of a single number."""
    if not _is_tensor(tensor):
        given, tensor = tensor, as_array(name, tensor, origin)
        if tensor.dtype.kind not in "fiub":
            found = given.dtype if isinstance(given, np.ndarray) else type(given).__name__
            way_out = "open the model as it was before" if "_packed_params" in name else "give names and tensors only"
            raise SourceError(f"{name} in {origin} is no tensor or array of real numbers ({found}): {way_out}")
    try:
        shape = tuple(tensor.shape)
    except RuntimeError:
        raise SourceError(
            f"{name} in {origin} has no shape: run a model with lazy layers once; nested tensors cannot be read"
        ) from None
    if not shape:
        return shape
    if not _is_tensor(tensor):
        folded = np.reshape(tensor, (math.prod(shape[:-1]), shape[-1]))
        return of_shape(WeightMatrix.from_array(name, folded, origin), shape)
    dtype = str(tensor.dtype).removeprefix("torch.")
    return of_shape(WeightMatrix(name, origin, dtype, TensorStorage(name, origin, tensor)), shape)


class TensorStorage(ArrayStorage):
    """A torch tensor, shared with its model, seen as an array on the CPU when it is read."""

    def __init__(self, name, origin, tensor):
        self.name, self.origin, self.tensor = name, origin, tensor
        self.shape = math.prod(tensor.shape[:-1]), tensor.shape[-1]

    @property
    def version(self):
        """How often the tensor was changed in place."""
        return None if self.tensor.is_inference() else self.tensor._version

    @property
    def array(self):
        """(rows, columns) of the type stored, bfloat16 as uint16."""
        tensor = self.tensor.detach()
        if tensor.is_meta or "strided" not in str(tensor.layout):
            where = "on the meta device, without values" if tensor.is_meta else f"stored as {tensor.layout}"
            raise SourceError(f"{self.name} in {self.origin} is {where}: load the model's weights as plain tensors")
        try:
            if str(tensor.dtype) == "torch.bfloat16":
                return tensor.cpu().view(sys.modules["torch"].int16).numpy().view(np.uint16).reshape(self.shape)
            return tensor.cpu().numpy().reshape(self.shape)
        except (RuntimeError, TypeError, NotImplementedError) as error:
            raise SourceError(
                f"{self.name} in {self.origin} is a {type(tensor).__name__} without plain numbers "
                f"({said(error)}): load the model's weights as plain tensors"
            ) from None


def _is_tensor(value):
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)
