"""The model that is traced: unwrapped, refused with the reason, kept as it was; and the inputs it is given."""

import copy
import inspect
import random
import sys
from collections.abc import Mapping
from contextlib import contextmanager

import numpy as np

from ...errors import SourceError, said

SHARDED = {"FullyShardedDataParallel", "FSDPModule", "DeepSpeedEngine", "DistributedDataParallel"}
QUANTISED = "load it without quantisation (torch_dtype=torch.float32, no quantization_config) and trace that"


def unwrapped(model):
    """The module inside torch.compile and DataParallel."""
    import torch

    if not isinstance(model, torch.nn.Module):
        raise SourceError(f"a trace needs a torch.nn.Module, not {type(model).__name__}: give the model itself")
    while type(model).__name__ in ("OptimizedModule", "DataParallel", "DistributedDataParallel"):
        model = model._orig_mod if type(model).__name__ == "OptimizedModule" else model.module
    refuse(torch, model)
    return model


def refuse(torch, model):
    """Refuse what cannot be run and differentiated here, and say what it is."""
    title = type(model).__name__
    for name, module in model.named_modules():
        kind, where = type(module), f"{type(module).__name__} {name!r}" if name else title
        if isinstance(module, torch.jit.ScriptModule):
            raise SourceError(f"{where} is compiled by TorchScript, which shows no calls: trace what it was made of")
        if kind.__name__ in SHARDED:
            raise SourceError(f"{where} is sharded over processes: gather it and trace the whole module")
        quantised = kind.__module__.startswith(("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized"))
        if quantised or "qweight" in dict(module.named_buffers(recurse=False)):
            raise SourceError(f"{where} is quantised: {QUANTISED}")
    for name, parameter in model.named_parameters():
        if isinstance(parameter, torch.nn.parameter.UninitializedParameter):
            raise SourceError(f"{name} of {title} has no shape yet: run the model once, then trace it")
        if parameter.is_meta:
            raise SourceError(f"{name} of {title} is on the meta device, without numbers: load the weights first")
        if type(parameter).__name__ in ("DTensor", "FlatParameter") or hasattr(parameter, "ds_id"):
            raise SourceError(f"{name} of {title} is sharded: gather the whole model and trace that")
        if parameter.is_quantized or not (parameter.is_floating_point() or parameter.is_complex()) or (
            parameter.element_size() == 1
        ):  # fmt: skip
            raise SourceError(f"{name} of {title} is quantised ({parameter.dtype}): {QUANTISED}")


def in_full(model):
    """The model, or a copy in float32 of one in half precision, whose gradients would vanish."""
    import torch

    if any(parameter.dtype in (torch.float16, torch.bfloat16) for parameter in model.parameters()):
        try:
            return copy.deepcopy(model).float()
        except Exception as error:
            raise SourceError(f"no float32 copy of {type(model).__name__} could be made ({said(error)}): trace "
                              "model.float()") from error  # fmt: skip
    return model


def given(model, inputs):
    """(args, kwargs) on the model's device; floating point in the model's precision where it has one only."""
    import torch

    first = next(model.parameters(), None)
    device = first.device if first is not None else torch.device("cpu")
    dtypes = {parameter.dtype for parameter in model.parameters()}

    def moved(value):
        if isinstance(value, np.ndarray):
            value = torch.as_tensor(value)
        if isinstance(value, torch.Tensor):
            half = value.dtype in (torch.float16, torch.bfloat16)
            return value.detach().to(device, torch.float32 if half and torch.float32 in dtypes else None)
        if isinstance(value, Mapping):
            return {name: moved(each) for name, each in value.items()}
        if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
            return type(value)(moved(each) for each in value)
        return value

    if isinstance(inputs, Mapping):
        return (), {str(name): moved(value) for name, value in inputs.items()}
    return tuple(moved(value) for value in (inputs if isinstance(inputs, tuple) else (inputs,))), {}


def call_of(model):
    """The arguments a model takes, in words."""
    try:
        return f"{type(model).__name__}.forward{inspect.signature(model.forward)}"[:300]
    except (TypeError, ValueError):
        return f"{type(model).__name__}.forward"


@contextmanager
def as_before(model):
    """In evaluation, its buffers copies, no parameter asking for gradients; all put back, and random states too."""
    import torch
    import torch.nn.attention

    modules = list(model.modules())
    inner = ("_parameters", "_buffers", "_modules")
    kept = [(dict(module.__dict__), {name: dict(module.__dict__[name]) for name in inner}) for module in modules]
    asking = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    fast = torch.backends.mha.get_fastpath_enabled()
    devices = list({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    drawn = np.random.get_state(), random.getstate()  # noqa: NPY002
    # Attention written out: the gradients of its fused forms have neither batches nor gradients of their own.
    attention = torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)
    with torch.random.fork_rng(devices=devices), _eager(torch), attention:
        try:
            torch.backends.mha.set_fastpath_enabled(False)
            model.eval()
            for parameter, _ in asking:
                parameter.requires_grad_(False)
            copies = {}
            for module in modules:
                for name, buffer in module._buffers.items():
                    if buffer is not None:
                        module._buffers[name] = copies.setdefault(id(buffer), buffer.detach().clone())
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
            for module, (attributes, parts) in zip(modules, kept, strict=True):
                module.__dict__.clear()
                module.__dict__.update(attributes)
                for name, part in parts.items():
                    held = module.__dict__[name]
                    held.clear()
                    held.update(part)
            for parameter, asked in asking:
                parameter.requires_grad_(asked)
            np.random.set_state(drawn[0])  # noqa: NPY002
            random.setstate(drawn[1])


def _eager(torch):
    """Nothing compiled runs compiled: its calls would not be seen."""
    from contextlib import nullcontext

    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
