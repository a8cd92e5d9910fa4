"""Attention by what it does: per head W_O W_V, which moves values, and W_Q^T W_K, which compares, in place of four.

What changes nothing for the model changes nothing here: V scaled by c and O by 1/c, Q by c and K by 1/c. With rotary
positions W_Q^T W_K is the comparison of a token with itself.
"""

from dataclasses import replace

import numpy as np

from ..errors import SourceError
from .architectures.wire import Wiring
from .computed import computed
from .connections import Dense
from .parts import heads_of
from .wiring import chain, folded

NEEDED = ("query", "key", "value", "attention-output")


def head_products(source):
    """Per head W_O W_V (hidden -> hidden) and W_Q^T W_K (compared -> comparing hidden); the MLP as it is.

    A block's query layer holds the hidden neurons of the token that looks; value, key and attention have none.
    """
    return _products_of_heads(source, chain(source))


def folded_head_products(source):
    """The head products of :func:`folded` matrices."""
    return _products_of_heads(source, folded(source))


def _products_of_heads(source, made):
    heads, attention = heads_of(source), {}
    for block in made.blocks:
        if block.role in NEEDED and not block.fixed:
            inner = block.source if block.role == "attention-output" else block.target
            attention.setdefault(made.layers[inner].block, {})[block.role] = block
    place, layers = {}, []  # place: of each layer that stays, where it was -> where it is
    for position, layer in enumerate(made.layers):
        if layer.role == "query":
            hidden = made.layers[attention[layer.block]["query"].source]
            layer = replace(layer, size=hidden.size, multiplier=1)
        if layer.role not in ("key", "value", "attention"):
            place[position] = len(layers)
            layers.append(layer)
    blocks, done = [], set()
    for block in made.blocks:
        if block.role in (*NEEDED, "attention"):
            number = made.layers[block.source].block
            if number not in done:
                done.add(number)
                blocks += _products(source, number, attention.get(number, {}), heads, place)
        else:
            blocks.append(replace(block, source=place[block.source], target=place[block.target]))
    if not done:
        raise SourceError(_missing(source, NEEDED))
    return Wiring(tuple(layers), tuple(blocks), made.left_out)


def _products(source, number, attention, heads, place):
    """Two matrices for each head of one transformer block."""
    missing = [role for role in NEEDED if role not in attention]
    if missing:
        raise SourceError(_missing(source, missing, f" in block {number}"))
    query, key, value, output = (attention[role].matrix for role in NEEDED)
    inner = {query.shape[0], key.shape[0], value.shape[0], output.shape[1]}
    if len(inner) > 1 or next(iter(inner)) % heads:
        raise SourceError(
            f"{source.origin}, block {number}: query, key, value and attention output have {sorted(inner)} neurons, "
            f"which are not {heads} heads of one size: choose a wiring without head products"
        )
    ends = attention["value"].source, attention["query"].target, attention["attention-output"].target
    start, asking, end = (place[position] for position in ends)
    for head, inside in enumerate(np.split(np.arange(next(iter(inner))), heads)):
        name = f"block {number} head {head}"
        moved = _moved(output, value, inside, f"{name} value-output")
        yield Dense(moved.name, "value-output", start, end, moved)
        compared = _compared(query, key, inside, f"{name} query-key")
        yield Dense(compared.name, "query-key", start, asking, compared)


def _moved(output, value, inside, name):
    def product(rows, columns):
        return output.read(rows, inside).astype(np.float64) @ value.read(inside, columns).astype(np.float64)

    return computed(output, (output.shape[0], value.shape[1]), product, name=name, of=[value])


def _compared(query, key, inside, name):
    def product(rows, columns):
        return query.read(inside, rows).astype(np.float64).T @ key.read(inside, columns).astype(np.float64)

    return computed(query, (query.shape[1], key.shape[1]), product, name=name, of=[key])


def _missing(source, roles, where=""):
    return (
        f"{source.origin} has no matrix of role {' or '.join(roles)}{where} in the record of its architecture: name "
        "the roles in Architecture(joins=[Join(..., role=...)]), or choose a wiring without head products"
    )
