"""What lies between two matrices, made to tell of every dependence: norms are held, units are kept alive."""

from dataclasses import dataclass
from functools import cache

from .places import CASTS, MOVES

# A norm scales a neuron by a statistic of all: the neuron is itself before and after.
HELD_NORMS = set(
    """layer_norm rms_norm group_norm instance_norm batch_norm normalize local_response_norm fused_rms_norm
    native_layer_norm native_group_norm native_batch_norm""".split()
)
# A unit that is dead or saturated on this input is still joined: number by number, with the identity's gradient.
LIVELY = set(
    """relu relu6 hardtanh clamp clip clamp_min clamp_max hardswish hardsigmoid threshold elu selu celu leaky_relu
    rrelu sigmoid tanh gelu silu softplus softsign mish logsigmoid log_sigmoid hardshrink softshrink tanhshrink exp
    erf expm1 expit nan_to_num""".split()
)
MEANS = set("mean nanmean var std var_mean std_mean norm vector_norm linalg_norm linalg_vector_norm".split())
OF_POWERS = {"sum", "amax", "max", "nansum"}
KEEPS = {"add", "sub", "rsub", "mul", "div", "sqrt", "neg", "clamp", "clamp_min", "maximum", "pow"} | MOVES | CASTS
TURNS = {"rsqrt", "reciprocal"}


@cache
def _function():
    import torch

    class PassThrough(torch.autograd.Function):
        @staticmethod
        def forward(context, x, y):
            context.dtype = x.dtype
            return y.clone()

        @staticmethod
        def backward(context, gradient):
            return gradient.to(context.dtype), None

    return PassThrough


def pass_through(x, y):
    """y, with the gradient of x: number by number."""
    return _function().apply(x, y)


@dataclass(frozen=True)
class _Mark:
    """A tensor that is even in its source (a square) or a statistic of it, turned over or not."""

    source: frozenset
    statistic: bool
    inverse: bool = False


class Statistics:
    """Finds norms written by hand: x - mean(x), x / std(x), x * rsqrt(mean(x * x)); their statistics are held.

    A mean is held only where it meets its own source again, number by number: a pooled mean that goes elsewhere is
    none, nor is the sum of a softmax.
    """

    def __init__(self, torch):
        from torch.utils.weak import WeakIdKeyDictionary

        self.torch, self.marks = torch, WeakIdKeyDictionary()

    def hold(self, name, args, depends):
        """The arguments of a call, a statistic that meets its source detached."""
        if name not in ("sub", "rsub", "mul", "div") or len(args) < 2:
            return args
        held = list(args)
        for place, other in ((0, 1), (1, 0)):
            mark, x = self._mark(args[place]), args[other]
            if mark is None or not mark.statistic or not isinstance(x, self.torch.Tensor):
                continue
            scales = (name == "div" and place == 1) or (name == "mul" and mark.inverse) or name in ("sub", "rsub")
            if scales and x.numel() > args[place].numel() and frozenset(depends.get(x, ())) == mark.source:
                held[place] = args[place].detach()
        return tuple(held)

    def _mark(self, tensor):
        return self.marks.get(tensor) if isinstance(tensor, self.torch.Tensor) else None

    def note(self, name, args, kwargs, out, depends):
        """Mark what a call made of a source, a square or a statistic."""
        if not args or not isinstance(args[0], self.torch.Tensor):
            args = (kwargs.get("input", kwargs.get("self")), *args)
        flowing = [each for each in args if isinstance(each, self.torch.Tensor) and depends.get(each)]
        if not flowing or out is None:
            return
        x, mark = flowing[0], self._mark(flowing[0])
        source = frozenset(depends[x])
        made = None
        if name in MEANS or (name in OF_POWERS and mark is not None and not mark.statistic):
            made = _Mark(mark.source if mark else source, True)
        elif name in ("square", "abs") or (name == "pow" and args[1:2] in ((2,), (2.0,))) or (
            name == "mul" and len(args) > 1 and args[0] is args[1]
        ):  # fmt: skip
            made = mark if mark and mark.statistic else _Mark(source, False)
        elif name in TURNS and mark is not None:
            made = _Mark(mark.source, mark.statistic, not mark.inverse)
        elif name in KEEPS and all(self._mark(each) is not None for each in flowing):
            turned = (name == "pow" and _negative(args[1:2])) or (name == "div" and args[0] is not x)
            made = _Mark(mark.source, all(self._mark(each).statistic for each in flowing), mark.inverse != turned)
        if made is not None:
            for part in out if isinstance(out, tuple | list) else [out]:
                if isinstance(part, self.torch.Tensor) and part.is_floating_point():
                    self.marks[part] = made


def _negative(exponents):
    return bool(exponents) and isinstance(exponents[0], int | float) and exponents[0] < 0
