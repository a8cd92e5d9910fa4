"""Attention by what it does: per head one matrix that moves values, one that compares, in place of the four stored.

Scaling V by c and O by 1/c leaves W_O W_V as it is, and scaling Q by c and K by 1/c leaves W_Q^T W_K: what changes
nothing for the model changes nothing here. With rotary positions W_Q^T W_K is the comparison of a token with itself.
"""

from dataclasses import replace

import numpy as np

from ..blocks import NeuronLayer, WeightBlock
from ..errors import SourceError
from ..sources.parts import heads_of
from .chains import Joined, computed, folded_left_out, layer_of, with_gain

NEEDED = ("query", "key", "value", "attention-output")


def head_products(source, matrix_of=lambda record: record.matrix):
    """Per head W_O W_V (hidden -> hidden) and W_Q^T W_K (compared -> comparing hidden); the MLP as it is.

    The neurons of value, key and attention are gone; a block's query layer holds hidden neurons, those of the token
    that looks. A sample draws the same hidden and MLP neurons as one of the chain.

    Args:
        source: WeightSource; matrix_of: callable JoinRecord -> WeightMatrix.

    Returns:
        Joined.

    Raises:
        SourceError: an architecture without these four matrices, or with other sizes than heads of one size.
    """
    wiring, heads = source.wiring(), heads_of(source)
    records = {layer.name: layer for layer in wiring.layers}
    attention = {}
    for record in wiring.joins:
        if record.role in NEEDED and record.kind == "weights":
            inner = record.source if record.role == "attention-output" else record.target
            attention.setdefault(records[inner].block, {})[record.role] = record
    layers = tuple(_layers(wiring, attention))
    place = {layer.name: number for number, layer in enumerate(layers)}
    blocks, done = [], set()
    for record in wiring.joins:
        if record.role in ("query", "key", "value", "attention-output", "attention"):
            number = records[record.source].block
            if number not in done:
                done.add(number)
                blocks += _products(source, number, attention.get(number, {}), heads, place, matrix_of)
        else:
            ends = place[record.source], place[record.target]
            matrix = matrix_of(record)
            blocks.append(WeightBlock(matrix.name, record.role, *ends, matrix))
    if not done:
        raise SourceError(_missing(source, NEEDED))
    return Joined(layers, tuple(blocks), wiring.left_out)


def folded_head_products(source):
    """The head products and the MLP, each layer norm's gain multiplied into the matrices behind it first."""
    made = head_products(source, lambda record: with_gain(source, record.matrix))
    return replace(made, left_out=folded_left_out(source))


def _layers(wiring, attention):
    sizes = {layer.name: layer.size for layer in wiring.layers}
    for record in wiring.layers:
        layer = layer_of(record)
        if record.role == "query":
            size = sizes[attention[record.block]["query"].source]
            yield NeuronLayer(layer.name, size, layer.role, layer.block, layer.group)
        elif record.role not in ("key", "value", "attention"):
            yield layer


def _products(source, number, records, heads, place, matrix_of):
    """Two WeightBlocks for each head of one transformer block."""
    missing = [role for role in NEEDED if role not in records]
    if missing:
        raise SourceError(_missing(source, missing, f" in block {number}"))
    query, key, value, output = (matrix_of(records[role]) for role in NEEDED)
    inner = {query.shape[0], key.shape[0], value.shape[0], output.shape[1]}
    if len(inner) > 1 or next(iter(inner)) % heads:
        raise SourceError(
            f"{source.origin}, block {number}: query, key, value and attention output have {sorted(inner)} neurons, "
            f"which are not {heads} heads of one size: choose a join without head products"
        )
    size = next(iter(inner)) // heads
    start, asking, end = (place[name] for name in (records["value"].source, *_ends(records)))
    for head in range(heads):
        inside = np.arange(head * size, (head + 1) * size)
        name = f"block {number} head {head}"
        moved = _moved(output, value, inside, f"{name} value-output")
        yield WeightBlock(moved.name, "value-output", start, end, moved)
        compared = _compared(query, key, inside, f"{name} query-key")
        yield WeightBlock(compared.name, "query-key", start, asking, compared)


def _ends(records):
    return records["query"].target, records["attention-output"].target


def _moved(output, value, inside, name):
    def product(rows, columns):
        return _wide(output.read(rows, inside)) @ _wide(value.read(inside, columns))

    return computed(output, (output.shape[0], value.shape[1]), product, name=name, of=[value])


def _compared(query, key, inside, name):
    def product(rows, columns):
        return _wide(query.read(inside, rows)).T @ _wide(key.read(inside, columns))

    return computed(query, (query.shape[1], key.shape[1]), product, name=name, of=[key])


def _wide(weights):
    return weights.astype(np.float64)


def _missing(source, roles, where=""):
    return (
        f"{source.origin} has no matrix of role {' or '.join(roles)}{where} in the record of its architecture, which "
        "head products need: choose another join, or name the roles in Architecture(joins=[Join(..., role=...)])"
    )
