"""Transformers: a family says what its tensors are called and how heads are stored; layers and joins follow from that.

Two wirings come of one record. "dataflow" is the model's own: residual streams, heads, gates, routers. "chain" is that
of the authors of the method (Xiao et al. 2025, arXiv:2402.09099, section 3.1): hidden -> query, key, value ->
attention output -> hidden -> 4h -> hidden, without residual streams; the MLP always stands behind attention.
"""

from dataclasses import dataclass, field
from itertools import count

import numpy as np

from ...errors import SourceError
from ..connections import NeuronLayer
from .record import Architecture, Join, is_count

CHAIN, DATAFLOW = "chain", "dataflow"
NORM = "norm: scales and shifts a neuron, joins no two neurons"
LEFT_OUT = (
    ("*rotary_emb.inv_freq", "rotary frequencies: computed, not trained"),
    ("*.attention.bias", "causal mask: a buffer, not trained"),
    ("*.attn.bias", "causal mask: a buffer, not trained"),
    ("*.masked_bias", "value of masked scores: a buffer, not trained"),
    ("*layernorm*", f"layer {NORM}"),
    ("*layer_norm*", f"layer {NORM}"),
    ("*LayerNorm*", f"layer {NORM}"),
    ("*norm.weight", NORM),
    ("*ln_*", f"layer {NORM}"),
    ("*.bias", "bias: shifts a neuron, joins no two neurons"),
)
EMBEDDING = "token embedding: the published network starts after it"
UNEMBEDDING = "unembedding: the published network ends before it"
POSITIONS = "position embedding: the published network starts after it"
HEAD = "head for a task: the published network ends before it"

SELF_ATTENTION = {  # as most call it today
    "query": "self_attn.q_proj.weight",
    "key": "self_attn.k_proj.weight",
    "value": "self_attn.v_proj.weight",
    "attention-output": "self_attn.o_proj.weight",
}


@dataclass(frozen=True)
class Stack:
    """The blocks of an encoder or a decoder.

    Attributes:
        blocks: what stands before the names of a block's tensors, "{}" its number: "layers.{}.".
        attention, cross, mlp: {roles: name}, without "blocks"; a tuple lists the names that it may have. The roles are
            query, key, value and attention-output; gate, mlp-in and mlp-out; router, expert-gate, expert-in and
            expert-out, with "{e}" for the expert's number, or of a tensor of three dimensions that stacks them.
            "query key value" is one matrix that holds three in this order. cross looks at another stack's output.
        parallel: whether the MLP reads what attention reads, and not what it wrote.
        count: the configuration's key for the number of blocks.
        name, looks_at: of the stack, and of the one that cross attention looks at, where a model has two.
    """

    blocks: str
    attention: dict
    mlp: dict
    cross: dict = field(default_factory=dict)
    parallel: bool = False
    count: str = "num_hidden_layers"
    name: str = ""
    looks_at: str = ""


def transformer(
    model_type,
    *stacks,
    heads="num_attention_heads",
    kv_heads=None,
    stored="in turn",
    transposed=False,
    sizes=None,
    norms=None,
    **about,
):
    """The Architecture of a family of transformers.

    Args:
        stacks: Stacks, or functions of the Known model that make one.
        heads, kv_heads: the configuration's key for their number, or a function of the Known model; kv_heads None: each
            query has its own key and value.
        stored: how one matrix holds query, key and value: "in turn", all queries first, or "by head", the queries of
            one key, this key, its value, and so on.
        sizes: {"hidden" or "mlp": the configuration's key}, held against the matrices; None: these tell their sizes.
        transposed: whether matrices are stored (sources, targets).
        norms: {"attention", "cross" or "mlp": the name in a block of the gain in front of it, "last": that in front of
            the unembedding}; None: not told, as where norms stand behind what they scale.
        about: of the Architecture; left_out comes before what all transformers leave out.
    """

    def plan(known, wiring):
        made = _Plan(
            known, wiring, _number(heads, known), _number(kv_heads or heads, known), stored, transposed, sizes or {}
        )
        for stack in stacks:
            made.add(stack(known) if callable(stack) else stack)
        return made.layers, made.joins

    def gains(known):
        found = {"unembedding": norms["last"]}
        for stack in (stack(known) if callable(stack) else stack for stack in stacks):
            for part in norms.keys() - {"last"}:
                for block in range(_number_of_blocks(stack, known)):
                    before, names, norm = stack.blocks.format(block), getattr(stack, part), norms[part]
                    entering = [key for key in names if not key.endswith(("output", "out"))]
                    found |= {before + names[key]: before + norm for key in entering}
        return found

    about["left_out"] = (*about.get("left_out", ()), *LEFT_OUT)
    required = (*about.pop("required", ()), *(sizes or {}).values(), *(key for key in (heads,) if isinstance(key, str)))
    return Architecture(
        model_type,
        layers=lambda known: plan(known, CHAIN)[0],
        joins=lambda known: plan(known, CHAIN)[1],
        dataflow=lambda known: plan(known, DATAFLOW),
        required=required,
        gains=gains if norms else None,
        heads=heads if isinstance(heads, str) else "num_attention_heads",
        **about,
    )


def _number(key, known):
    number = key(known) if callable(key) else known.get(key)
    if not is_count(number):
        raise SourceError(f"{key if isinstance(key, str) else 'the number of heads'} is {number!r}, no number of heads")
    return number


def _number_of_blocks(stack, known):
    """By the configuration, or where it does not tell, as many as there are tensors of."""
    number = known.get(stack.count)
    if is_count(number):
        return number
    return next(n for n in count() if not any(name.startswith(stack.blocks.format(n)) for name in known.shapes))


class _Plan:
    """The layers and joins of a model, block by block; sizes are those of the first block, which all share."""

    def __init__(self, known, wiring, heads, kv_heads, stored, transposed, sizes):
        self.known, self.wiring, self.heads, self.kv_heads = known, wiring, heads, kv_heads
        self.stored, self.transposed, self.sizes = stored, transposed, sizes
        self.layers, self.joins = [], []

    def add(self, stack):
        self.first, number = stack.blocks.format(0), _number_of_blocks(stack, self.known)
        hidden = self.known.get(self.sizes.get("hidden")) or self._shape(stack.attention, "query")[1]
        stream = {} if self.wiring == CHAIN else {"group": f"{stack.name}stream"}
        parts = [part for part in (stack.attention, stack.cross, stack.mlp) if part]
        together = stack.parallel and self.wiring == DATAFLOW
        for block in range(number):
            name, self.stored_in = f"{stack.name}block {block}", stack.blocks.format(block)
            after = f"{stack.name}block {block + 1} input" if block + 1 < number else f"{stack.name}output"
            between = [f"{name} crossing", f"{name} middle"][-len(parts) + 1 :]
            points = [f"{name} input", *([] if together else between)]
            for part in parts:
                read, write = points[0], (points[1:] or [after])[0]
                if part is parts[0] or not together:
                    role = "middle" if read in between else "hidden"
                    self.layers.append(NeuronLayer(read, hidden, role, block, **stream))
                    if self.wiring == DATAFLOW:
                        self.joins.append(Join(read, write, role="residual", kind="one-to-one"))
                    points = points[1:] or points
                if part is stack.mlp:
                    self._mlp(name, part, read, write, block)
                elif part is stack.cross:
                    self._attention(f"{name} cross", part, (read, f"{stack.looks_at}output", write), block)
                else:
                    self._attention(name, part, (read, read, write), block)
        self.layers.append(NeuronLayer(f"{stack.name}output", hidden, "output", max(number - 1, 0), **stream))

    def _attention(self, name, names, ends, block):
        read, looked_at, write = ends
        rows = self._rows(names, ("query", "key", "value"))
        sizes = [size for _, size in rows.values()]
        inner, labels = _attention_labels(*sizes, self.heads, self.kv_heads)
        for role, size in zip(rows, sizes, strict=True):
            self._weights(read if role == "query" else looked_at, f"{name} {role}", names, role, rows)
            self.layers.append(NeuronLayer(f"{name} {role}", size, role, block, group=f"{name} attention"))
        self.layers.append(NeuronLayer(f"{name} attention", inner, "attention", block, group=f"{name} attention"))
        for role, size in zip(rows, sizes, strict=True):
            kind = "one-to-one" if role == "query" and size == inner else "all-to-all"
            how = {"kind": kind} if self.wiring == CHAIN else {"labels": labels[role]}
            self.joins.append(Join(f"{name} {role}", f"{name} attention", role="attention", **how))
        self._weights(f"{name} attention", write, names, "attention-output")

    def _mlp(self, name, names, read, write, block):
        if "router" in names:
            self._experts(name, names, read, write, block)
            return
        rows = self._rows(names, ("gate", "mlp-in"))
        size = self.known.get(self.sizes.get("mlp")) or rows["mlp-in"][1]
        self.layers.append(NeuronLayer(f"{name} mlp", size, "mlp", block, multiplier=2))
        for role in rows:
            self._weights(read, f"{name} mlp", names, role, rows)
        self._weights(f"{name} mlp", write, names, "mlp-out")

    def _experts(self, name, names, read, write, block):
        number, size = self._shape(names, "router")[0], self._shape(names, "expert-out")[-1]
        for expert in range(number):
            mine = f"{name} expert {expert}"
            self.layers.append(NeuronLayer(mine, size, "expert", block, multiplier=2))
            for role, ends in (
                ("expert-gate", (read, mine)),
                ("expert-in", (read, mine)),
                ("expert-out", (mine, write)),
            ):
                self._expert_weights(*ends, names, role, expert)
        if self.wiring == DATAFLOW:
            self.layers.append(NeuronLayer(f"{name} router", number, "router", block, small=True))
            self._weights(read, f"{name} router", names, "router")
            self.joins.append(Join(f"{name} router", write, role="router", kind="all-to-all"))

    def _expert_weights(self, source, target, names, role, expert):
        """A matrix of an expert: one of its own, or one of a stack, which may hold gate and input one after another."""
        key = _key(names, role)
        called, shape = self._called(names, key).format(e=expert), self._shape(names, role)
        if len(shape) == 2:
            self.joins.append(Join(source, target, self.stored_in + called, role))
            return
        held = key.split()
        targets = np.split(np.arange(shape[1]), len(held))[held.index(role)] if len(held) > 1 else None
        part = "" if targets is None else role
        self.joins.append(Join(source, target, self.stored_in + called, role, part, targets, stacked=expert))

    def _rows(self, names, roles):
        """{role: (which rows of its matrix, None for all, and how many)} of those roles that there are."""
        found = {}
        for key in (key for key in names if set(key.split()) <= set(roles)):
            held, rows = key.split(), self._shape(names, key.split()[0])[0]
            if len(held) == 1:
                found[key] = None, rows
                continue
            three = len(held) == 3
            parts = (
                _fused(rows, self.heads, self.kv_heads, self.stored) if three else np.split(np.arange(rows), len(held))
            )
            found |= {role: (part, len(part)) for role, part in zip(held, parts, strict=True)}
        return {role: found[role] for role in roles if role in found}

    def _weights(self, source, target, names, role, rows=None):
        matrix = self.stored_in + self._called(names, _key(names, role))
        targets = rows[role][0] if rows else None
        part = "" if targets is None else role
        self.joins.append(Join(source, target, matrix, role, part, targets, self.transposed))

    def _shape(self, names, role):
        """The shape of the tensor of a role in the first block, (targets, sources)."""
        shape = self.known.shape(self.first + self._called(names, _key(names, role)).format(e=0))
        return shape[::-1] if self.transposed else shape

    def _called(self, names, key):
        """The name that the tensor of these roles has in this model."""
        called = names[key] if isinstance(names[key], tuple) else (names[key],)
        there = (name for name in called if self.first + name.format(e=0) in self.known.shapes)
        return next(there, called[0])


def _key(names, role):
    return next(key for key in names if role in key.split())


def _fused(rows, heads, kv_heads, stored):
    """The rows of query, key and value in a matrix that stores all three."""
    shared, size = heads // kv_heads, rows // (heads + 2 * kv_heads)
    if heads % kv_heads or rows % (heads + 2 * kv_heads):
        raise SourceError(
            f"a matrix of {rows} rows does not hold the queries of {heads} heads, and keys and values of {kv_heads}"
        )
    if stored == "in turn":
        return np.split(np.arange(rows), [heads * size, (heads + kv_heads) * size])
    by_head = np.arange(rows).reshape(kv_heads, shared + 2, size)
    return by_head[:, :shared].ravel(), by_head[:, shared].ravel(), by_head[:, shared + 1].ravel()


def fused_rows(heads, head_size, position):
    """The rows of query, key or value (position 0, 1, 2) in a matrix that stores [query, key, value] head by head.

    Example:
        >>> fused_rows(2, 2, 1)
        array([2, 3, 8, 9])
    """
    return _fused(3 * heads * head_size, heads, heads, "by head")[position]


def _attention_labels(query, key, value, heads, kv_heads):
    """(what attention writes, {role: labels}): query and key reach their heads, a value its number in each of its."""
    for what, size, parts in (("query", query, heads), ("key", key, kv_heads), ("value", value, kv_heads)):
        if size % parts:
            raise SourceError(f"{what} has {size} neurons, which are not {parts} heads of one size")
    if heads % kv_heads:
        raise SourceError(f"{heads} heads cannot share {kv_heads} keys and values")
    size = value // kv_heads
    head, place = np.divmod(np.arange(heads * size), size)
    group = head // (heads // kv_heads)
    return heads * size, {
        "query": (head, np.arange(query) // (query // heads)),
        "key": (group, np.arange(key) // (key // kv_heads)),
        "value": (group * size + place, np.arange(value)),
    }
