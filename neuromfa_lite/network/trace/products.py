"""Every way torch has of multiplying what flows by a matrix, said by letters as in einsum; then the cut."""

import string
from math import prod

from .places import NoProduct, NotUnderstood

CONVOLUTIONS = {f"conv{d}d": (d, False) for d in (1, 2, 3)} | {f"conv_transpose{d}d": (d, True) for d in (1, 2, 3)}
LETTERS = string.ascii_letters
BILINEAR = "input1", "input2", "weight", "bias"


def linear(record, args):
    """x (..., in), weight (out, in)."""
    x, weight, bias = args(0, "input"), args(1, "weight", "other"), args(2, "bias")
    if not record.places.is_weight(weight) or weight.dim() == 1:
        raise NotUnderstood
    some = LETTERS[: x.dim() - 1]
    return contract(record, x, f"{some}Y", weight, "ZY", f"{some}Z", bias)


def matmul(record, args):
    """Either factor is the matrix; dimensions in front are broadcast."""
    a, b = args(0, "input"), args(1, "mat2", "other", "tensor2", "vec", "batch2")
    places = record.places
    if not (places.is_weight(b) or places.is_weight(a)) or (places.is_weight(a) and places.is_weight(b)):
        raise NotUnderstood
    rank = max(a.dim(), b.dim(), 2) - 2
    batch = LETTERS[:rank]
    la = batch[rank - (a.dim() - 2) :] + "XY" if a.dim() > 1 else "Y"
    lb = batch[rank - (b.dim() - 2) :] + "YZ" if b.dim() > 1 else "Y"
    out = batch + ("X" if a.dim() > 1 else "") + ("Z" if b.dim() > 1 else "")
    if places.is_weight(b):
        return contract(record, a, la, b, lb, out)
    if not record.flows(b) and b.dim() == 1:
        raise NotUnderstood  # a power iteration, no activation
    return contract(record, b, lb, a, la, out)


def addmm(record, args):
    """addmm, baddbmm and addmv: what is added flows on."""
    added, a, b = args(0, "input"), args(1, "mat1", "batch1", "mat"), args(2, "mat2", "batch2", "vec")
    out = matmul(record, args.of(a, b))
    beta = args.named("beta", 1)
    return out + beta * added if record.also(added) else out


def bilinear(record, args):
    """y[o] = x1[i] W[o, i, j] x2[j]: the matrix (o j, i) reads x1, and x2 gates what comes out."""
    first, second, weight, bias = (args(n, name) for n, name in enumerate(BILINEAR))
    some = LETTERS[: first.dim() - 1]
    middle = contract(record, first, f"{some}Y", weight, "ZYX", f"{some}ZX")
    record.also(second)
    out = (middle * second.unsqueeze(-2)).sum(-1)
    return out + bias if record.also(bias) else out


def einsum(record, args):
    """An einsum of which one or more factors are weights, factor by factor."""
    equation, factors = args.all[0], args.all[1:]
    if not isinstance(equation, str):
        raise NotUnderstood
    factors = list(factors[0]) if len(factors) == 1 and isinstance(factors[0], list | tuple) else list(factors)
    left, out = _without_dots(equation.replace(" ", ""), factors)
    whole, letters = factors[0], left[0]
    for number in range(1, len(factors)):
        factor, own = factors[number], left[number]
        rest = "".join(left[number + 1 :]) + out
        kept = "".join(letter for letter in dict.fromkeys(letters + own) if letter in rest)
        kept = out if number == len(factors) - 1 else kept
        weights = record.places.is_weight(whole), record.places.is_weight(factor)
        if all(weights):
            raise NotUnderstood
        if weights[1]:
            whole = contract(record, whole, letters, factor, own, kept)
        elif weights[0]:
            whole = contract(record, factor, own, whole, letters, kept)
        else:
            record.also(factor)
            whole = record.torch.einsum(f"{letters},{own}->{kept}", whole, factor)
        letters = kept
    return whole


def _without_dots(equation, factors):
    """([letters of each factor], letters of the result), "..." written out."""
    left, arrow, out = equation.partition("->")
    left = left.split(",")
    dots = max([factor.dim() - len(part.replace("...", "")) for part, factor in zip(left, factors, strict=True)
                if "..." in part], default=0)  # fmt: skip
    free = [letter for letter in LETTERS if letter not in equation][:dots]
    if not arrow:
        letters = "".join(left).replace("...", "")
        out = ("..." if dots else "") + "".join(sorted({x for x in letters if letters.count(x) == 1}))
    written = []
    for part, factor in zip(left, factors, strict=True):
        own = factor.dim() - len(part.replace("...", ""))
        written.append(part.replace("...", "".join(free[dots - own :])))
    if any(len(set(part)) < len(part) for part in written):
        raise NotUnderstood
    return written, out.replace("...", "".join(free))


def tensordot(record, args):
    """By the einsum that it is."""
    a, b, over = args.all[0], args.all[1], (args.named("dims_self", None), args.named("dims_other", None))
    over = args.all[2:4] if len(args.all) > 3 else over
    la = list(LETTERS[: a.dim()])
    lb = list(LETTERS[a.dim() : a.dim() + b.dim()])
    for x, y in zip(*over, strict=True):
        lb[y] = la[x]
    out = [letter for letter in la + lb if not (letter in la and letter in lb)]
    return einsum(record, args.of(f"{''.join(la)},{''.join(lb)}->{''.join(out)}", a, b))


def experts(record, args):
    """x (tokens, in) sorted by expert, weight (experts, in, out), and where each expert's tokens end."""
    x, weight, ends = args(0, "input", "mat_a", "self"), args(1, "weight", "mat_b", "mat2"), args(2, "offs")
    if x.dim() != 2 or weight.dim() != 3 or ends is None or not record.places.is_weight(weight):
        raise NotUnderstood
    parts, start = [], 0
    for number, end in enumerate(ends.tolist()):
        if end > start:
            mine = record.part(x, lambda x, a=start, b=end: x[a:b])
            parts.append(contract(record, mine, "aY", weight[number], "YZ", "aZ"))
        start = end
    parts.append(x.new_zeros(len(x) - start, weight.shape[2]))
    return record.torch.cat(parts)


def contract(record, x, x_letters, weight, w_letters, out_letters, bias=None):
    """Cut x @ weight: a use for each index that both share and keep, its output a fresh leaf."""
    sizes = dict(zip(x_letters, x.shape, strict=True))
    for letter, n in zip(w_letters, weight.shape, strict=True):
        if n != sizes.setdefault(letter, n) and (letter not in out_letters or 1 not in (n, sizes[letter])):
            raise NotUnderstood  # torch says why
        sizes[letter] = max(n, sizes[letter])
    repeated = {}
    for axis, letter in enumerate(w_letters):
        # A matrix repeated along a dimension is one matrix.
        if letter in x_letters and letter in out_letters:
            if weight.stride(axis) == 0 or (weight.shape[axis] == 1 and sizes[letter] > 1):
                repeated[axis] = 0
    w_letters = "".join("*" if axis in repeated else letter for axis, letter in enumerate(w_letters))
    inside = [letter for letter in w_letters if letter in x_letters and letter not in out_letters]
    outside = [letter for letter in w_letters if letter not in x_letters and letter != "*"]
    apart = [letter for letter in w_letters if letter in x_letters and letter in out_letters]
    if not inside and not outside:
        raise NoProduct
    if not inside or any(letter not in out_letters for letter in outside) or not x.numel():
        raise NotUnderstood
    summed = [axis for axis, letter in enumerate(x_letters) if letter not in w_letters + out_letters]
    if summed:
        x = record.part(x, lambda x: x.sum(summed))
        x_letters = "".join(each for axis, each in enumerate(x_letters) if axis not in summed)
    kept = [letter for letter in x_letters if letter not in inside + apart]
    order = [x_letters.index(letter) for letter in apart + kept + inside]
    flat = record.once(x, order, lambda: x.permute(order))
    n_in = prod(sizes[letter] for letter in inside)
    out_axes, in_axes = ([w_letters.index(letter) for letter in some] for some in (outside, inside))
    parts = []
    some = [w_letters.index(letter) for letter in apart]
    for indices in record.places.alike(weight, some):
        # A matrix is used once for all the places in which it stands.
        chosen = tuple(list(each) for each in zip(*indices, strict=True)) if len(indices) > 1 else indices[0]
        read = record.once(flat, (indices, n_in), lambda chosen=chosen: flat[chosen].reshape(-1, n_in))
        fixed = repeated | dict(zip(some, indices[0], strict=True))
        pieces = record.places.pieces(weight, out_axes, in_axes, (), fixed)
        leaf = record.use("linear", read, pieces, len(read), weight)
        leaf = leaf.view([len(indices), *(sizes[letter] for letter in kept + outside)])
        parts += leaf.unbind() if apart else [leaf[0]]
    have = apart + kept + outside
    if apart:
        order = [index for indices in record.places.alike(weight, some) for index in indices]
        parts = [part for _, part in sorted(zip(order, parts, strict=True), key=lambda pair: pair[0])]
        out = record.torch.stack(parts).view([sizes[letter] for letter in have])
    else:
        out = parts[0]
    out = out.permute([have.index(letter) for letter in out_letters])
    return out + bias if record.also(bias) else out


def convolution(record, name, args, run):
    """x (batch, in, positions), weight (out, in / groups, kernel), or (in, out / groups, kernel) where transposed."""
    dimensions, transposed = CONVOLUTIONS[name]
    x, weight, bias, groups = args(0, "input"), args(1, "weight"), args(2, "bias"), args(6, "groups", default=1)
    if not record.places.is_weight(weight) or not x.numel():
        raise NotUnderstood
    with record.torch.no_grad():
        shape = run().movedim(-1 - dimensions, -1).shape
    n_in = x.shape[-1 - dimensions]
    read = record.once(x, "convolution", lambda: x.movedim(-1 - dimensions, -1).reshape(-1, n_in))
    out_axis, in_axis = (1, 0) if transposed else (0, 1)
    kernel = range(2, 2 + dimensions)
    pieces = record.places.pieces(weight, [out_axis], [in_axis], kernel, {}, groups, transposed)
    leaf = record.use("convolution", read, pieces, prod(shape[:-1]), weight, (groups, dimensions))
    out = leaf.view(shape).movedim(-1, -1 - dimensions)
    return out + bias.view(-1, *[1] * dimensions) if record.also(bias) else out


def embedding(record, weight, indices, shape):
    """weight (rows, out) read at indices: rows are its inputs."""
    pieces = record.places.pieces(weight, range(1, weight.dim()), [0], (), {})
    return record.use("embedding", None, pieces, prod(shape) // prod(weight.shape[1:]), weight, of=indices).view(shape)
