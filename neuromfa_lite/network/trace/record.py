"""What becomes of every call of torch in one run: a product with a weight is noted and its output cut loose."""

from dataclasses import dataclass, field

from .calls import (
    CHANCE,
    DROPOUTS,
    EMPTY,
    LOOKUPS,
    MEETS,
    NO_GRADIENT,
    READS,
    Arguments,
    Call,
    Inside,
)
from .joins import HELD_NORMS, LIVELY, Statistics, pass_through
from .places import MOVES, NoProduct, NotUnderstood
from .products import CONVOLUTIONS, addmm, bilinear, convolution, einsum, embedding, experts, linear, matmul, tensordot
from .recurrent import RECURRENT, unroll

PRODUCTS = {
    "linear": linear,
    "inner": linear,
    "matmul": matmul,
    "mm": matmul,
    "bmm": matmul,
    "mv": matmul,
    "rmatmul": matmul,
    "addmm": addmm,
    "addmv": addmm,
    "baddbmm": addmm,
    "bilinear": bilinear,
    "einsum": einsum,
    "tensordot": tensordot,
    "grouped_mm": experts,
    "grouped_mm_fallback": experts,
}


@dataclass
class Made:
    """A use as it was recorded: what it read, the leaf that took the place of its output, what it depends on."""

    key: tuple
    kind: str
    name: str
    read: object = field(repr=False)  # (positions, n_in) tensor, None for an embedding
    leaf: object = field(repr=False)  # (positions, n_out)
    piece: object = field(repr=False)
    occurrence: int = 0
    groups: int = 1
    shape: tuple = ()  # of the parameter
    dimensions: int = 0  # of a convolution
    depends: dict = field(default_factory=dict, repr=False)


class Record:
    """What happens to every call of torch during one run."""

    def __init__(self, torch, places, draw, real):
        from torch.utils.weak import WeakIdKeyDictionary

        self.torch, self.places, self.draw, self.real = torch, places, draw, real
        self.made, self.notes, self.times = [], [], {}
        self.depends = WeakIdKeyDictionary()  # tensor -> {leaf number: call that cut it, or None}; -1 is an input
        self.statistics = Statistics(torch)
        self.kept, self.inside, self.within = {}, Inside(), []
        self.mode, self.chance = None, False
        self.hiding = None  # weights met inside a function with a gradient of its own
        self.gives = {}  # what the result of a product depends on

    def begin(self, inputs):
        """Inputs as the run takes them: those of floating point are leaves, and uses of no matrix."""
        torch = self.torch

        def taken(value, name):
            if isinstance(value, torch.Tensor):
                flows = value.is_floating_point() and value.numel()
                leaf = value.detach().clone().requires_grad_(bool(flows))
                given = leaf.clone()
                self.depends[given] = {len(self.made): None} if flows else {-1: "input"}
                if flows:
                    self.made.append(Made(("input", name), "input", name, None, leaf, None))
                return given
            if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
                return type(value)(taken(each, f"{name}[{n}]") for n, each in enumerate(value))
            if isinstance(value, dict):
                return type(value)({key: taken(each, f"{name}[{key!r}]") for key, each in value.items()})
            return value

        args, kwargs = inputs
        args = tuple(taken(value, f"input {number}") for number, value in enumerate(args))
        return args, {name: taken(value, name) for name, value in kwargs.items()}

    # --- what a product does ---------------------------------------------------------------------------------------

    def flows(self, tensor):
        """Whether a tensor depends on what flows through the model, by value."""
        return isinstance(tensor, self.torch.Tensor) and (tensor.requires_grad or bool(self.depends.get(tensor)))

    def also(self, tensor):
        """Whether a tensor that a product adds or multiplies its result by flows; the result depends on it then."""
        flows = self.flows(tensor)
        if flows:
            self.gives = self.merged([self.gives, self.depends.get(tensor, {})])
        return flows

    def part(self, tensor, make):
        """A part of a tensor, which depends on what that depends on."""
        made = make(tensor)
        self.depends[made] = self.depends.get(tensor, {})
        return made

    def once(self, tensor, key, make):
        """The same view for all that read the same tensor."""
        key = id(tensor), tensor._version, str(key)
        if key not in self.kept:
            with self.torch.enable_grad():
                self.kept[key] = tensor, make()
                self.depends[self.kept[key][1]] = self.depends.get(tensor, {})
        return self.kept[key][1]

    def use(self, kind, read, pieces, positions, weight, form=(1, 0), of=None):
        """Note a use for each piece; (positions, n_out) in place of what it gave. form: (groups, dimensions)."""
        torch = self.torch
        like = weight if read is None else read
        if not positions:
            raise NotUnderstood
        outs = []
        for piece in pieces:
            name = self.places.names[piece.number]
            key = kind, name, int(piece.rows[0] + piece.cols[0]), len(piece.rows), len(piece.cols)
            occurrence = self.times[key] = self.times.get(key, -1) + 1
            leaf = self.draw((positions, len(piece.rows)), like.dtype, like.device).requires_grad_()
            depends = self.merged([self.depends.get(each, {}) for each in (read if of is None else of, weight)])
            shape = self.places.shapes[piece.number]
            more = occurrence, form[0], shape, form[1], depends
            entry = Made((*key, occurrence), kind, name, read, leaf, piece, *more)
            with torch.enable_grad():
                outs.append(leaf.clone())  # a leaf itself may not be changed in place
            self.depends[outs[-1]] = {len(self.made): None}
            self.gives[len(self.made)] = None
            self.made.append(entry)
            self.places.used.add(piece.number)
        if len(outs) == 1:
            return outs[0]
        import numpy as np

        order = np.argsort(np.concatenate([piece.channels for piece in pieces]))
        with torch.enable_grad():
            out = torch.cat(outs, 1)[:, torch.as_tensor(order, device=outs[0].device)]
        self.depends[out] = {len(self.made) - 1 - n: None for n in range(len(outs))}
        return out

    # --- the calls -------------------------------------------------------------------------------------------------

    def call(self, function, args, kwargs):
        """What the mode does with one call of torch."""
        call = Call(function, args, kwargs, tuple(self.tensors((args, kwargs))))
        if call.name == "embedding_renorm":
            return args[0]  # it would change the weights
        if self.hiding is not None:
            self.hiding += filter(self.is_made_of_weights, call.tensors)
            return function(*args, **kwargs)
        self.gives, uses, self.meets = {}, len(self.made), False
        out = self.special(call)
        if out is not None and call.name in RECURRENT:
            return out  # its steps came here themselves
        if out is None:
            if call.plain and function not in self.within:
                self.within.append(function)  # a method may call that of its own name, which is no Python
                try:
                    with self.mode:  # what it calls comes here by itself
                        return self.inside(function)(*args, **kwargs)
                finally:
                    self.within.pop()
            understood = self.meets or call.name in MEETS or call.name in MOVES or call.name in HELD_NORMS
            out = function(*self.statistics.hold(call.name, args, self.depends), **kwargs)
            return self.after(call, out, understood)
        gives = self.gives if len(self.made) > uses else None
        if gives is not None and self.real:
            with self.torch.no_grad():
                for part, value in zip(self.tensors(out), self.tensors(function(*args, **kwargs)), strict=True):
                    part.detach().copy_(value)
        if call.in_place or kwargs.get("inplace"):
            out = args[0].copy_(out)
        return self.after(call, out, True, gives)

    def special(self, call):
        """What takes the place of a call, or None where it is as it was."""
        given = Arguments(call.args, call.kwargs)
        weights = not call.plain and any(map(self.is_made_of_weights, call.tensors))
        if call.name in DROPOUTS:
            if given(2, "training", "train", default=True) and given(1, "p", default=0.5):
                self.note("dropout was left out, though it is on in evaluation")
            return given(0, "input", "self")
        try:
            if weights and call.name in CONVOLUTIONS:
                return convolution(self, call.name, given, lambda: call.function(*call.args, **call.kwargs))
            if weights and call.name in PRODUCTS:
                return PRODUCTS[call.name](self, given)
            if weights and call.name in RECURRENT:
                with self.mode:
                    return unroll(self.torch, call.name, call.args)
            if weights and call.name in LOOKUPS:
                return self.look_up(call, given)
        except NotUnderstood as error:
            self.meets = isinstance(error, NoProduct)
            return None
        return self.passed(call, given(0, "input", "self"))

    def passed(self, call, x):
        """A norm or an activation: its numbers, with the gradient of the identity."""
        torch, name = self.torch, call.name
        lively = name in LIVELY and not any(self.flows(tensor) for tensor in call.tensors if tensor is not x)
        if not (lively or name in HELD_NORMS) or not isinstance(x, torch.Tensor) or not torch.is_grad_enabled():
            return None
        if not x.requires_grad or x.is_complex():
            return None
        own = x.detach().clone()
        kwargs = {key: own if value is x else value for key, value in call.kwargs.items()}
        with torch.no_grad():
            y = call.function(*(own if value is x else value for value in call.args), **kwargs)
        first, *more = y if isinstance(y, tuple) else (y,)
        if first.shape != x.shape:
            return None
        first = pass_through(x, first)
        return (first, *more) if isinstance(y, tuple) else first

    def look_up(self, call, given):
        """An embedding's rows, by whatever call."""
        weight, table = given(0, "weight", "input", "self"), call.name in ("getitem", "index_select")
        indices = given(2, "index") if call.name == "index_select" else given(1, "indices", "input", "index")
        is_index = isinstance(indices, self.torch.Tensor) and not indices.is_floating_point()
        if not self.places.is_weight(weight) or not is_index or indices.dtype is self.torch.bool:
            return None
        if table and (weight.dim() > 2 or not self.flows(indices)):
            return None  # one matrix of several, or a part of a table that is the same for every input
        if call.name == "index_select" and given(1, "dim") != 0:
            return None
        with self.torch.no_grad():
            y = call.function(*call.args, **call.kwargs)
        first, *more = y if isinstance(y, tuple) else (y,)
        first = embedding(self, weight, indices, first.shape)
        return (first, *more) if isinstance(y, tuple) else first

    def is_made_of_weights(self, tensor):
        return self.places.is_weight(tensor) or tensor in self.places.unclear

    def after(self, call, out, understood, gives=None):
        """Note what the results depend on, and what became of weights; gives: of a product, what its result does."""
        torch, name = self.torch, call.name
        depends = {} if name in EMPTY else self.union(call.tensors) if gives is None else gives
        if name in CHANCE:
            self.note(f"the model draws numbers by chance ({name})", chance=True)
        if call.asked in READS and any(leaf >= 0 for leaf in depends):
            self.note(f"the model reads numbers of its own in Python ({name}): what follows is not seen")
        if depends and self.is_over_one(call, out):
            self.note("a softmax over one place only: queries and keys do not show, give it three tokens or more")
        weights = [tensor for tensor in call.tensors if self.is_made_of_weights(tensor)]
        if weights and any(True for _ in self.tensors(out)):
            chosen = name in ("getitem", "index_select") and call.tensors[0] is weights[0]  # by a router, perhaps
            if gives is None and (chosen or not any(map(self.flows, call.tensors))):
                self.places.follow(call, out, weights)
            else:
                self.places.saw(weights, None if self.is_empty(out) else name)
                if gives is None and not understood:
                    out = self.detached(out)
        if not depends:
            return out
        cut = name if torch.is_grad_enabled() else "no_grad"
        loose = {leaf: by or cut for leaf, by in depends.items()}
        flowing = any(tensor.requires_grad for tensor in call.tensors)
        for part in self.tensors(out):
            lost = flowing and (not part.requires_grad or name in NO_GRADIENT)
            self.depends[part] = loose if lost else depends
        if name in ("setitem", "copy", "index_put", "masked_fill") and call.args:
            for part in (call.args[0], getattr(call.args[0], "_base", None)):
                if isinstance(part, torch.Tensor):
                    self.depends[part] = depends
        self.statistics.note(name, call.args, call.kwargs, out, self.depends)
        return out

    def is_over_one(self, call, out):
        if call.name == "scaled_dot_product_attention":
            return call.tensors[1].shape[-2] == 1
        axis = Arguments(call.args, call.kwargs)(1, "dim")
        return call.name == "softmax" and isinstance(axis, int) and out.dim() > 0 and out.shape[axis] == 1

    def is_empty(self, out):
        return not any(part.numel() for part in self.tensors(out))

    def union(self, tensors):
        return self.merged([self.depends[tensor] for tensor in tensors if tensor in self.depends])

    def merged(self, found):
        """The union of what several tensors depend on; a cut is remembered."""
        if not found or all(each is found[0] for each in found):
            return found[0] if found else {}
        whole = dict(found[0])
        for each in found[1:]:
            for leaf, by in each.items():
                whole[leaf] = whole.get(leaf) or by
        return whole

    def tensors(self, value):
        """Every tensor in arguments or results."""
        if isinstance(value, self.torch.Tensor):
            yield value
        elif isinstance(value, tuple | list):
            for each in value:
                yield from self.tensors(each)
        elif isinstance(value, dict):
            for each in value.values():
                yield from self.tensors(each)

    def detached(self, value):
        if isinstance(value, self.torch.Tensor):
            return value.detach()
        return type(value)(self.detached(each) for each in value) if isinstance(value, tuple | list) else value

    def note(self, words, chance=False):
        self.chance |= chance
        if words not in self.notes:
            self.notes.append(words)
