"""Where the numbers of a tensor lie in a model's parameters: by storage for views, carried along for copies."""

import bisect
from dataclasses import dataclass
from itertools import product

import numpy as np

# Calls that move numbers without changing them; the same call moves their places.
MOVES = set(
    """view reshape view_as reshape_as t transpose swapaxes swapdims permute movedim moveaxis getitem select narrow
    chunk split unsafe_split split_with_sizes tensor_split unbind cat concat concatenate stack hstack vstack
    contiguous clone detach expand expand_as broadcast_to unsqueeze squeeze flatten unflatten index_select flip roll
    repeat repeat_interleave diagonal T mT data rot90 unfold tile as_strided adjoint alias lift_fresh to float double
    half bfloat16 type type_as cpu cuda requires_grad_ dropout alpha_dropout feature_dropout""".split()
)
CASTS = set("to float double half bfloat16 type type_as cpu cuda dropout alpha_dropout feature_dropout".split())
# Calls after which a number stands in the same place, changed.
CHANGES = set(
    """add sub rsub mul div true_divide neg abs exp log tanh sigmoid softplus relu clamp clamp_min clamp_max pow sqrt
    rsqrt square reciprocal masked_fill where tril triu softmax log_softmax layer_norm batch_norm instance_norm
    group_norm normalize round sign weight_norm nan_to_num""".split()
)


class NotUnderstood(Exception):
    """A product whose weights cannot be told apart; its matrices are left out."""


class NoProduct(NotUnderstood):
    """Nothing is summed: the weights multiply number by number."""


@dataclass
class Piece:
    """The part of a product's weights that lies in one parameter; channels: which of the product's outputs it makes."""

    number: int
    channels: np.ndarray
    rows: np.ndarray
    cols: np.ndarray
    kernel: np.ndarray
    values: np.ndarray | None = None


class Places:
    """Every element of every matrix gets a number; a tensor's are found again in views and copies of it."""

    def __init__(self, torch, parameters):
        from torch.utils.weak import WeakIdKeyDictionary

        self.torch, self.names, self.shapes, self.starts = torch, [], [], [1]  # 0 is no element
        self.by_storage = {}
        self.copies = WeakIdKeyDictionary()  # tensor -> (numbers, whether its values were changed)
        self.unclear = WeakIdKeyDictionary()  # tensor -> numbers of the parameters it was made of, and how
        self.used, self.seen = set(), {}
        for name, tensor in parameters:
            if tensor.dim() < 2:
                continue
            known = self.by_storage.setdefault(tensor.untyped_storage()._cdata, [])
            first, last = tensor.storage_offset(), tensor.storage_offset() + _extent(tensor)
            if not any(first < end and begin < last for begin, end, _, _ in known):
                bisect.insort(known, (first, last, len(self.names), tensor), key=lambda entry: entry[0])
                self._add(name.replace("_orig_mod.", ""), tensor.shape)

    def _add(self, name, shape):
        self.names.append(name)
        self.shapes.append(tuple(shape))
        self.starts.append(self.starts[-1] + int(np.prod(shape)))

    def register(self, tensor, source, others, how):
        """A tensor that was computed of a parameter, place by place, and of others, before the run."""
        self.saw(others, how)
        if source is None:
            self.unclear[tensor] = set().union(*(self.parameters_in(other) for other in others)), how
        else:
            self.copies[tensor] = (self.numbers(source), True)

    def _direct(self, tensor):
        for first, last, number, parameter in self.by_storage.get(tensor.untyped_storage()._cdata, ()):
            if first <= tensor.storage_offset() < last:
                return number, parameter
        return None

    def is_weight(self, tensor):
        """Whether a tensor's numbers have known places; a vector is none."""
        if not isinstance(tensor, self.torch.Tensor) or tensor.dim() < 1 or not tensor.numel():
            return False
        return tensor in self.copies or (tensor.layout is self.torch.strided and self._direct(tensor) is not None)

    def numbers(self, tensor):
        """int64 numbers of a weight's elements, in its own shape."""
        if tensor in self.copies:
            return self.copies[tensor][0]
        number, parameter = self._direct(tensor)
        own = self.torch.arange(parameter.numel(), device=tensor.device).view(parameter.shape)
        stored = self.torch.zeros(_extent(parameter), dtype=self.torch.int64, device=tensor.device)
        stored.as_strided(parameter.shape, parameter.stride()).copy_(own)
        offset = tensor.storage_offset() - parameter.storage_offset()
        return stored.as_strided(tensor.shape, tensor.stride(), offset) + self.starts[number]

    def changed(self, tensor):
        return tensor in self.copies and self.copies[tensor][1]

    def parameters_in(self, tensor):
        """The numbers of the parameters a tensor is made of."""
        if tensor in self.copies:
            numbers = self.copies[tensor][0]
            return {self.number_of(int(numbers.min())), self.number_of(int(numbers.max()))}
        if tensor in self.unclear:
            return self.unclear[tensor][0]
        direct = self._direct(tensor) if tensor.layout is self.torch.strided and tensor.numel() else None
        return {direct[0]} if direct else set()

    def number_of(self, element):
        return max(0, bisect.bisect_right(self.starts, element) - 1)

    def axes(self, tensor):
        """(first element, [places along each axis]) of a weight, or None where its axes do not add up."""
        direct = None if tensor in self.copies else self._direct(tensor)
        if direct is not None and direct[1].is_contiguous():
            number, parameter = direct
            first = tensor.storage_offset() - parameter.storage_offset() + self.starts[number]
            return first, [np.arange(n) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True)]
        return added_up(self.numbers(tensor).cpu().numpy())

    def pieces(self, weight, out_axes, in_axes, kernel_axes, fixed, groups=1, transposed=False):
        """The Pieces of a weight, axis by axis outputs, inputs, kernel; fixed {axis: index}."""
        if not self.is_weight(weight):
            raise NotUnderstood
        kept = [*out_axes, *in_axes, *kernel_axes]
        ends = [len(out_axes), len(out_axes) + len(in_axes)]
        found = self.axes(weight)
        if found is not None and self._in_one(*found):
            first, axes = found
            first += sum(int(axes[axis][at]) for axis, at in fixed.items())
            made = [(first, [axes[axis] for axis in kept], None)]
        else:
            made = list(self._mixed(weight, kept, ends[0], fixed))
        sizes = [weight.shape[axis] for axis in kept]
        pieces = []
        for first, axes, channels in made:
            rows, cols, kernel = (_outer(part) for part in (axes[: ends[0]], axes[ends[0] : ends[1]], axes[ends[1] :]))
            if groups > 1:  # a channel's place among those of its group
                rows, cols = (np.tile(rows, groups), cols) if transposed else (rows, np.tile(cols, groups))
            number, last = self.number_of(first), first + rows.max() + cols.max() + kernel.max()
            if last >= self.starts[number + 1]:
                raise NotUnderstood
            channels = np.arange(len(rows)) if channels is None else channels
            pieces.append(Piece(number, channels, rows + first - self.starts[number], cols, kernel))
        if self.changed(weight):
            values = weight.detach().permute([*fixed, *kept])[tuple(fixed.values())]
            values = _apart(values, sizes, ends, groups, transposed)
            for piece in pieces:
                piece.values = values[piece.channels]
        return pieces

    def alike(self, weight, axes):
        """The indices along some axes of a weight, those together at which it holds the same matrix."""
        indices = list(product(*(range(weight.shape[axis]) for axis in axes)))
        if weight not in self.copies or len(indices) == 1:
            return [[index] for index in indices]
        rest = [axis for axis in range(weight.dim()) if axis not in axes]
        numbers = self.numbers(weight).permute([*axes, *rest]).flatten(len(axes)).cpu()
        together = {}
        for index in indices:
            together.setdefault((int(numbers[index][0]), int(numbers[index][-1])), []).append(index)
        return list(together.values())

    def _in_one(self, first, axes):
        """Whether places that add up lie in one parameter."""
        return 0 < first and first + sum(int(along.max()) for along in axes) < self.starts[self.number_of(first) + 1]

    def _mixed(self, weight, kept, outputs, fixed):
        """(first, places, channels) of a weight put together of several parameters, output by output."""
        numbers = self.numbers(weight).permute([*fixed, *kept]).cpu().numpy()[tuple(fixed.values())]
        numbers = numbers.reshape(-1, *numbers.shape[outputs:])
        owners = np.array([self.number_of(int(row.flat[0])) for row in numbers])
        if numbers.min() < 1:
            raise NotUnderstood
        for owner in dict.fromkeys(owners.tolist()):
            channels = np.flatnonzero(owners == owner)
            found = added_up(numbers[channels])
            if found is None:
                raise NotUnderstood
            yield found[0], [*[np.zeros(1, np.int64)] * (outputs - 1), *found[1]], channels

    def follow(self, call, out, weights):
        """Carry places over to what a call made of weights alone."""
        name = call.name
        made = [out] if isinstance(out, self.torch.Tensor) else out
        if not isinstance(made, tuple | list) or not all(isinstance(part, self.torch.Tensor) for part in made):
            return
        if all(part not in self.copies and self._direct(part) is not None for part in made):
            return  # views
        if name in CASTS and made[0].shape == weights[0].shape and made[0].is_floating_point():
            if made[0] is not weights[0]:
                self.copies[made[0]] = (self.numbers(weights[0]), self.changed(weights[0]))
            return
        if name in MOVES and all(self.is_weight(weight) for weight in weights):
            moved = call.function(*_swapped(call.args, self), **_swapped(call.kwargs, self))
            moved = [moved] if isinstance(moved, self.torch.Tensor) else moved
            changed = any(self.changed(weight) for weight in weights)
            for part, numbers in zip(made, moved, strict=True):
                self.copies[part] = (numbers.clone(), changed)
            return
        alike = [each for each in weights if self.is_weight(each) and each.shape == made[0].shape]
        if name in CHANGES and len(alike) == 1:
            self.copies[made[0]] = (self.numbers(alike[0]), True)
            self.saw([each for each in weights if each is not alike[0]], name)
            return
        of = set().union(*(self.parameters_in(weight) for weight in weights))
        for part in made:
            self.unclear[part] = (of, name)

    def saw(self, weights, name):
        """Weights were in a call that is no product with them; None for one of nothing."""
        for weight in weights:
            for number in self.parameters_in(weight):
                self.seen.setdefault(number, f"used inside {name}" if name else "nothing reached it with these inputs")

    def left_out(self):
        """(name, shape, reason) of every parameter that was in no product."""
        for number, (name, shape) in enumerate(zip(self.names, self.shapes, strict=True)):
            if number not in self.used:
                yield name, shape, self.seen.get(number, "not used with these inputs")


def _apart(values, sizes, ends, groups, transposed):
    """(n_out, n_in, kernel) of weights stored group by group, zero between groups."""
    n_out, n_in, kernel = (int(np.prod(sizes[a:b])) for a, b in ((0, ends[0]), ends, (ends[1], None)))
    values = values.reshape(n_out, n_in, kernel).cpu().numpy()
    if groups == 1:
        return values
    wide, high = (n_in, groups * n_out) if transposed else (groups * n_in, n_out)
    whole = np.zeros((high, wide, kernel), values.dtype)
    for group in range(groups):
        rows = slice(group * high // groups, (group + 1) * high // groups)
        cols = slice(group * wide // groups, (group + 1) * wide // groups)
        whole[rows, cols] = values[:, cols] if transposed else values[rows]
    return whole


def _outer(axes):
    """Places along several axes taken together, the last running fastest."""
    total = np.zeros(1, np.int64)
    for along in axes:
        total = (total[:, None] + along[None, :]).reshape(-1)
    return total


def added_up(numbers):
    """(first, [places along each axis]) of an array that is the sum of them, or None."""
    first, axes = int(numbers.flat[0]), []
    total = np.full((1,) * numbers.ndim, first)
    for axis in range(numbers.ndim):
        along = np.moveaxis(numbers, axis, 0).reshape(numbers.shape[axis], -1)[:, 0] - first
        axes.append(along)
        total = total + along.reshape([-1 if each == axis else 1 for each in range(numbers.ndim)])
    return (first, axes) if np.array_equal(total, numbers) else None


def _extent(tensor):
    """Elements of its storage that a tensor spans."""
    return 1 + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))


def _swapped(value, places):
    """Arguments with each weight replaced by the numbers of its elements."""
    if isinstance(value, places.torch.Tensor):
        return places.numbers(value) if places.is_weight(value) else value
    if isinstance(value, tuple | list):
        return type(value)(_swapped(each, places) for each in value)
    if isinstance(value, dict):
        return {name: _swapped(each, places) for name, each in value.items()}
    return value
