"""Who feeds whom in a model that runs, seen from outside: push an output of a matrix, and look which inputs move.

This file imports nothing of the package. In a pushed run every product with a weight matrix gives the output that it
gave in the base run, so that nothing passes through a second matrix; the statistics of norms and the choices of routers
are held as well. An input that then differs, be it by one bit, is fed by the pushed output, and by it directly.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.overrides import TorchFunctionMode  # noqa: E402

F = torch.nn.functional
CONVOLUTIONS = {F.conv1d, F.conv2d}  # channels are axis 1; at all others the last one
PRODUCTS = {F.linear, torch.addmm, torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__, *CONVOLUTIONS}


def direct(model, inputs, together=1):
    """{matrix: {matrix: (inputs, outputs) bool}}, True where an output of the second moves an input of the first.

    Args:
        model: module in eval mode, in float64.
        inputs: {name: tensor}, all with the batch in front.
        together: outputs pushed in one run, each in a copy of the inputs; 1 for a model that sorts its tokens anew.

    One of a stack of matrices is called name[number]. Every matrix that is used is there, with an empty dict at least.
    """
    found = {}
    with Runs(model, inputs, together) as runs:
        for writer, outputs in runs.outputs.items():
            moved = {}
            for start in range(0, outputs, together):
                for name, changes in runs.push(writer, range(start, min(start + together, outputs))).items():
                    moved.setdefault(name, []).append((changes != 0).any(axis=1))
            for name, parts in moved.items():
                if (moves := np.concatenate(parts).T).any():
                    found.setdefault(name, {})[writer] = moves
        return {name: found.get(name, {}) for name in runs.outputs}


class Runs:
    """A base run of a model, which is recorded, and pushed runs, which repeat it but for one matrix."""

    def __init__(self, model, inputs, together=1):
        self.model, self.together = model, together
        self.inputs = {name: torch.cat([given] * together) for name, given in inputs.items()}
        self.parameters = {p.untyped_storage().data_ptr(): (name, p) for name, p in model.named_parameters()}
        self.outputs, self.base, self.pushed = {}, None, None

    def __enter__(self):
        norms = [module for module in self.model.modules() if "Norm" in type(module).__name__]
        norms = [norm for norm in norms if not isinstance(norm, torch.nn.BatchNorm2d)]  # in eval mode it is affine
        self.hooks = [norm.register_forward_hook(self._hold_norm) for norm in norms]
        self.base = self._run()
        return self

    def __exit__(self, *_):
        for hook in self.hooks:
            hook.remove()

    def push(self, writer, numbers, at=None, by=None):
        """{matrix: (numbers, places, inputs)}: what moves, and by how much, when the outputs of these numbers do.

        Each output in its copy of the inputs; at one place (batch and tokens in one count) or all; by a number, or by
        large ones of either sign.
        """
        self.pushed, moved = (writer, numbers, at, by), {}
        for (name, now), (name_then, before, _) in zip(self._run(), self.base, strict=True):
            assert name == name_then
            if name in self.outputs:
                assert name not in moved, f"{name} is used twice"
                moved[name] = (now - before)[: len(numbers)].numpy()
        return moved

    def _run(self):
        self.seen = []
        with torch.no_grad(), _Mode(self):
            self.model(**self.inputs)
        return self.seen

    def once(self, name, given, compute):
        """What the base run computed here."""
        if self.base is None:
            self.seen.append((name, given, compute()))
            return self.seen[-1][2]
        self.seen.append((name, given))
        return self.base[len(self.seen) - 1][2]

    def _hold_norm(self, module, given, output):
        """The scales of the base run, number by number: its statistics, and its gain."""
        (x,) = given
        before, scale = self.once("norm", None, lambda: (x.clone(), (output / x).clone()))
        return self.once("norm", None, output.clone) + (x - before) * scale

    def named(self, factor):
        """(name, parameter) of what is a matrix of weights, a view of one, or a slice of a stack of them."""
        found = isinstance(factor, torch.Tensor) and self.parameters.get(factor.untyped_storage().data_ptr())
        if not found or found[1].dim() < 2:
            return None
        stacked = found[1].dim() > factor.dim()
        return found[0] + (f"[{factor.storage_offset() // factor.numel()}]" if stacked else "")

    def product(self, name, given, axis, compute):
        """The output of the base run, pushed where it is to be; axis: of the channels."""

        def flat(tensor):
            return tensor.movedim(axis, -1).reshape(self.together, -1, tensor.shape[axis])

        output = self.once(name, flat(given).clone(), lambda: compute().clone()).clone()  # some are added to in place
        self.outputs[name] = output.shape[axis]
        if self.base is None or name != self.pushed[0]:
            return output
        _, numbers, at, by = self.pushed
        places, draw = flat(output).clone(), torch.Generator().manual_seed(numbers[0])
        for copy, number in enumerate(numbers):
            # Large, to wake units that relu keeps silent; not alike everywhere, which is nothing to a softmax.
            sizes = 5 + 15 * torch.rand(places.shape[1], generator=draw, dtype=output.dtype)
            sizes *= torch.randint(0, 2, sizes.shape, generator=draw).mul(2).sub(1)
            where = slice(None) if at is None else at
            places[copy, where, number] += sizes[where] if by is None else by
        # Laid out in memory as before: arithmetic that goes another way round may round otherwise.
        return output.copy_(places.reshape(output.movedim(axis, -1).shape).movedim(-1, axis))


class _Mode(TorchFunctionMode):
    """Sees every product, and every choice of the largest, of a run."""

    def __init__(self, runs):
        super().__init__()
        self.runs = runs

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.topk:
            chosen = self.runs.once("choice", None, lambda: func(*args, **kwargs).indices)
            return args[0].gather(-1, chosen), chosen
        factors = [*args, *kwargs.values()] if func in PRODUCTS else []
        names = [self.runs.named(factor) for factor in factors]
        place = next((place for place, name in enumerate(names) if name), None)
        if place is None:
            return func(*args, **kwargs)
        axis = 1 if func in CONVOLUTIONS else -1 if place else -2
        given = factors[place - 1] if place else factors[1]
        return self.runs.product(names[place], given, axis, lambda: func(*args, **kwargs))
