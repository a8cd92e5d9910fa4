"""How a record in a file says numbers, rows and joins: sums of config.json's keys, parts of groups, who joins whom."""

import ast
import operator

import numpy as np

from ...errors import SourceError
from .record import is_count

KINDS = ("one-to-one", "all-to-all", "groups", "repeated")
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv}
LONGEST = 500  # characters of an expression
LARGEST = 1 << 31


class NotYet(Exception):
    """A size that is asked for before it is known."""


def parsed(text):
    """The syntax tree of an expression of whole numbers, keys of config.json, + - * // and size('layer').

    >>> evaluate(parsed("n_head + 2 * size('key')"), {"n_head": 3}.__getitem__, {"key": 4}.__getitem__)
    11
    """
    way_out = "take whole numbers, keys of config.json, + - * //, brackets and size('name of a layer')"
    try:
        tree = ast.parse(text, mode="eval").body if len(text) <= LONGEST else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if tree is None or not _allowed(tree):
        raise SourceError(f"{text[:80]!r} is no expression: {way_out}")
    return tree


def _allowed(node):
    if isinstance(node, ast.BinOp):
        return type(node.op) in OPERATORS and _allowed(node.left) and _allowed(node.right)
    if isinstance(node, ast.Call):
        named = isinstance(node.func, ast.Name) and node.func.id == "size" and len(node.args) == 1 and not node.keywords
        return named and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    return isinstance(node, ast.Name) or (isinstance(node, ast.Constant) and type(node.value) is int)


def evaluate(node, value_of, size_of):
    """The whole number of a tree of :func:`parsed`; value_of(key), size_of(layer)."""
    if isinstance(node, ast.BinOp):
        left, right = (evaluate(side, value_of, size_of) for side in (node.left, node.right))
        if isinstance(node.op, ast.FloorDiv) and right == 0:
            raise SourceError(f"{ast.unparse(node)!r} divides by 0")
        found = OPERATORS[type(node.op)](left, right)
        if abs(found) > LARGEST:
            raise SourceError(f"{ast.unparse(node)!r} is {found}, more than anything has")
        return found
    if isinstance(node, ast.Call):
        return size_of(node.args[0].value)
    return node.value if isinstance(node, ast.Constant) else value_of(node.id)


def key_of(config):
    """A function of a key that gives its count in a configuration; SourceError where there is none."""

    def value_of(key):
        value = config.get(key)
        if not is_count(value):
            said = f"is {value!r}, no positive whole number" if key in config else "is missing"
            raise SourceError(f"{key} {said} in the configuration")
        return value

    return value_of


def stretch(n, groups=1, of=None, start=0, stop=None):
    """Which of n: of each of equal groups, cut in `of` equal parts, those from start to before stop.

    >>> stretch(12, groups=2, of=3, start=1, stop=2).tolist()
    [2, 3, 8, 9]
    >>> stretch(6, start=4).tolist()
    [4, 5]
    """
    of = n // groups if of is None and groups > 0 and n % groups == 0 else of
    if groups < 1 or of is None or of < 1 or n % (groups * of):
        raise SourceError(f"{n} are not {groups} groups of {of or 'several'} equal parts")
    stop = of if stop is None else stop
    if not 0 <= start < stop <= of:
        raise SourceError(f"parts from {start} to {stop} are not within the {of} parts of {n}")
    return np.arange(n).reshape(groups, of, -1)[:, start:stop].ravel()


def labels_of_kind(kind, targets, sources, groups=1):
    """(into (targets,), out_of (sources,)): equal labels are joined.

    "groups": both sides are cut in equal groups, one joined to one, all to all within; a source may be a group of its
    own, spread over several targets. "repeated": both sides are cut so, and a group's sources stand there in order,
    again and again.

    >>> [each.tolist() for each in labels_of_kind("repeated", 8, 4, 2)]   # two keys' values for two queries each
    [[0, 1, 0, 1, 2, 3, 2, 3], [0, 1, 2, 3]]
    """
    if kind == "one-to-one":
        if targets != sources:
            raise SourceError(f"one-to-one joins as many to as many, not {sources} to {targets}")
        return np.arange(targets), np.arange(sources)
    groups = 1 if kind == "all-to-all" else groups
    if groups < 1 or targets % groups or sources % groups:
        raise SourceError(f"{sources} sources and {targets} targets are not {groups} groups of one size")
    of_target = np.arange(targets) // (targets // groups)
    if kind != "repeated":
        return of_target, np.arange(sources) // (sources // groups)
    size = sources // groups
    if targets // groups % size:
        raise SourceError(f"the {size} sources of a group do not fill its {targets // groups} targets evenly")
    return of_target * size + np.arange(targets) % size, np.arange(sources)


def same_labels(first, second):
    """Whether two (into, out_of) join the same neurons.

    >>> same_labels((np.array([4, 9]), np.array([9, 4, 7])), (np.array([1, 0]), np.array([0, 1, -1])))
    True
    """
    return all(np.array_equal(*ends) for ends in zip(plain_labels(*first), plain_labels(*second), strict=True))


def plain_labels(into, out_of):
    """The same joins, each label the first source that has it, -1 where a neuron is joined to none."""
    into, out_of = np.asarray(into), np.asarray(out_of)
    both = np.intersect1d(into[into >= 0], out_of)
    number = {label: int(np.flatnonzero(out_of == label)[0]) for label in both.tolist()}
    return tuple(np.array([number.get(label, -1) for label in ends.tolist()], np.int64) for ends in (into, out_of))
