"""From who feeds whom to a network: layers are the distinct sets of writers, with matrices and joins between them.

What several matrices read is one layer if the same channels feed it, through whatever norms: a residual stream at one
point. What a matrix writes goes straight into the layer that it feeds channel by channel, if that takes only such; else
(queries, keys, values, a part of what is concatenated) it is a layer of its own, joined by weight 1.
"""

import re
from dataclasses import dataclass, field, replace

import numpy as np

from .connections import Fixed, NeuronLayer
from .sampling import groups_of
from .trace.patterns import feeds_of
from .traced_weights import connections_of

OF_TRACE = "of the trace"  # in place of a name, where something is said of all
TOKENS = 'tokens and their scores: ends="all" takes them in'


def wiring_of(trace, tensors, ends="inside"):
    """(layers, blocks, left out) of a Trace; tensors {name: WeightMatrix, WeightVector or WeightTensor}.

    ends: "inside" leaves out tokens and their scores, "all" nothing, "none" pixels and classes too.
    """
    products = _products(trace.uses)
    for product in products:
        product.why_out = _why_out(product, products, ends)
    points = _points(products)
    for point in points:
        _reduce(point, points)
        point.joins = list(_joined_to(point))
    _place(products, points)
    notes = [(OF_TRACE, (), note) for note in trace.notes]
    return _Network(products, points, tensors).result([*trace.left_out, *notes])


@dataclass(eq=False)
class Product:
    """All uses of the same weights: what they read, united, and the parts of what they write that go different ways.

    reads: {Product: (codes j * n_out + i, same position (n_out,))}; parts: [channels]; homes: the Point of each part.
    """

    use: object
    order: int
    reads: dict = field(default_factory=dict)
    source: object = None
    parts: list = field(default_factory=list)
    homes: list = field(default_factory=list)
    why_out: str = ""
    cuts: dict = field(default_factory=dict)  # {what it depends on by value alone: the operation that cut it}


@dataclass(eq=False)
class Point:
    """A layer in the making: what products read or, own, one part of what a product writes.

    reads: {Product: codes}; before: points that are a part of it; direct: {Product: codes} of what is in none of them;
    joins: [(Product, part, pairs (n, 2) of j in the point and place of i in the part, role)] of direct, part by part;
    absorbed: {(Product, part): channel (size,)} that write it without a join.
    """

    size: int
    order: float
    reads: dict = field(default_factory=dict)
    own: bool = False
    readers: list = field(default_factory=list)
    before: list = field(default_factory=list)
    direct: dict = field(default_factory=dict)
    joins: list = field(default_factory=list)
    absorbed: dict = field(default_factory=dict)
    position: int | None = None


def _products(uses):
    """The Products of the uses of a trace, in their order."""
    of_key, of_use = {}, []
    for number, use in enumerate(uses):
        key = (use.name, use.kind, None if use.rows is None else (use.rows.tobytes(), use.cols.tobytes()))
        product = of_key.setdefault(key, Product(use, number))
        of_use.append(product)
        product.cuts |= {uses[earlier].name: operation for earlier, operation in use.cut_by}
        for feed in use.feeds:
            writer = of_use[feed.earlier]
            pairs = feed.pairs()
            codes = pairs[:, 0] * writer.use.n_out + pairs[:, 1]
            same = ~np.isin(np.arange(writer.use.n_out), feed.channels) | feed.same_position
            before, at = product.reads.get(writer, (np.empty(0, np.int64), True))
            product.reads[writer] = np.union1d(before, codes), at & same
    return list(of_key.values())


def _why_out(product, products, ends):
    """Why a product is left out; "" where it is not."""
    use = product.use
    vocabularies = {each.use.n_in for each in products if each.use.kind == "embedding"}
    feeds = any(product in other.reads for other in products)
    if ends != "all" and (use.kind == "embedding" or (not feeds and use.n_out in vocabularies)):
        return TOKENS
    if ends == "none" and (use.kind == "input" or not feeds):
        return 'an input or output: ends="inside" takes it in'
    return ""


def _points(products):
    """The Points that are read, and the parts of every product that they tell apart."""
    points = {}
    for product in products:
        if product.use.kind == "input":
            continue
        if not product.reads:
            product.source = points.setdefault(product, Point(product.use.n_in, product.order))
        else:
            writers = sorted(product.reads, key=lambda writer: writer.order)
            key = (product.use.n_in, *((writer.order, product.reads[writer][0].tobytes()) for writer in writers))
            reads = {writer: product.reads[writer][0] for writer in writers}
            product.source = points.setdefault(key, Point(product.use.n_in, product.order, reads))
        product.source.readers.append(product)
    for writer in products:
        told = [np.zeros((1, writer.use.n_out), bool)]
        for point in points.values():
            if writer in point.reads:
                same = point.readers[0].reads[writer][1]
                shape = point.size, writer.use.n_out
                for feed in feeds_of(0, point.reads[writer], shape, same):
                    told.append(np.isin(np.arange(writer.use.n_out), feed.channels)[None])
        _, first, part = np.unique(np.concatenate(told), axis=1, return_index=True, return_inverse=True)
        part = part.reshape(-1)
        writer.parts = [np.flatnonzero(part == each) for each in np.argsort(first)]
        writer.homes = [None] * len(writer.parts)
    return list(points.values())


def _reduce(point, points):
    """Find the points that are a part of it, so that a residual stream is a line and not all pairs of its points."""
    point.direct, mine = dict(point.reads), _count(point)
    for other in sorted(points, key=_count, reverse=True):
        smaller = other.reads and other.size == point.size and _count(other) < mine
        if smaller and all(np.array_equal(codes, point.reads.get(w)) for w, codes in other.reads.items()):
            if any(writer in point.direct for writer in other.reads):
                point.before.append(other)
                point.direct = {w: codes for w, codes in point.direct.items() if w not in other.reads}


def _count(point):
    return sum(map(len, point.reads.values()))


def _place(products, points):
    """Give each part of a product its layer: the point that it feeds channel by channel, or one of its own."""
    ways = {(writer, part): [] for writer in products for part in range(len(writer.parts))}
    for point in points:
        for writer, part, pairs, _ in point.joins:
            whole = len(pairs) == point.size == len(writer.parts[part]) and all(
                len(set(end)) == len(end) for end in pairs.T
            )
            ways[writer, part].append((point, pairs[np.argsort(pairs[:, 0]), 1] if whole else None))
    for (writer, part), there in ways.items():
        fits = [(point, order) for point, order in there if order is not None and not is_attention(point)]
        alone = [each for each in fits if len(each[0].reads) == 1 and len(writer.parts) == 1]
        home, order = (alone or (fits if len(there) == 1 else []) or [(None, None)])[0]
        if home is None:
            home, order = (
                Point(len(writer.parts[part]), writer.order + 0.5, own=True),
                np.arange(len(writer.parts[part])),
            )
        home.absorbed[writer, part] = writer.parts[part][order]
        writer.homes[part] = home


def _joined_to(point):
    for writer, codes in point.direct.items():
        j, i = np.divmod(codes, writer.use.n_out)
        here = point.readers[0].reads[writer][1]
        for part, channels in enumerate(writer.parts):
            place = np.full(writer.use.n_out, -1)
            place[channels] = np.arange(len(channels))
            if (kept := place[i] >= 0).any():
                pairs = np.column_stack([j, place[i]])[kept]
                yield writer, part, pairs, _role_of_join(pairs, bool(here[channels].all()))


def _role_of_join(pairs, here):
    """Of many channels for one a "query", read where it stands, or a "key"; of one for one a "value" or "same"."""
    if len(np.unique(pairs[:, 0])) < len(pairs):
        return "query" if here else "key"
    return "same" if here else "value"


def is_attention(point):
    """Whether queries, keys and values meet in it."""
    return {"query", "key", "value"} <= {role for *_, role in point.joins}


class _Network:
    """Layers and blocks of products and points."""

    def __init__(self, products, points, tensors):
        self.products, self.tensors = products, tensors
        self.kept = [product for product in products if not product.why_out]
        homes = [home for product in self.kept for home in product.homes]
        read = [p for p in points if any(not r.why_out for r in p.readers) or p in homes or p.before]
        own = [home for home in homes if home.own]
        self.points = sorted(dict.fromkeys([*read, *own]), key=lambda point: point.order)
        for position, point in enumerate(self.points):
            point.position = position
        self.roles = {point: self._role(point) for point in self.points}

    def result(self, left_out):
        joins = [join for point in self.points for join in self._joins_into(point)]
        layers = self._layers(joins)
        blocks = sorted([*joins, *self._matrices(layers)], key=lambda block: (block.source, block.target))
        out = [product for product in self.products if product.why_out and product.use.kind != "input"]
        gone = [(product.use.name, product.use.shape, "; ".join([product.why_out, *_cuts(product)])) for product in out]
        return layers, blocks, [*gone, *left_out]

    def _joins_into(self, point):
        for other in point.before:
            if other.position is not None:
                yield Fixed.of_kind(
                    "", "residual", other.position, point.position, "one-to-one", (point.size, other.size)
                )
        for writer, part, pairs, _ in point.joins:
            home = writer.homes[part]
            if home is point or home.position is None or writer.why_out:
                continue
            place = np.full(len(writer.parts[part]), -1)
            place[np.searchsorted(writer.parts[part], home.absorbed[writer, part])] = np.arange(home.size)
            role = "attention" if is_attention(point) else "residual"
            for labels in labels_of(pairs[:, 0], place[pairs[:, 1]], point.size, home.size):
                yield Fixed("", role, home.position, point.position, *labels)

    def _matrices(self, layers):
        for product in self.kept:
            for part, home in enumerate(product.homes):
                if product.use.kind != "input":
                    ends = product.source.position, home.position
                    role = _role_of_matrix(product, *(layers[end].role for end in ends))
                    part_of = self._part(product, part) if len(product.parts) > 1 else ""
                    made = connections_of(product.use, home.absorbed[product, part], self.tensors, part_of, role, *ends)
                    yield replace(made, note="; ".join(_cuts(product)))

    def _part(self, product, part):
        """A name for a part of what a matrix writes: its role where that is its own, else its channels."""
        roles = [self.roles.get(home) for home in product.homes]
        if roles.count(roles[part]) == 1 and roles[part] in ("query", "key", "value"):
            return roles[part]
        channels = product.parts[part]
        whole = channels[-1] - channels[0] == len(channels) - 1
        return f"{channels[0]}:{channels[-1] + 1}" if whole else f"part {part}"

    def _layers(self, joins):
        roles, names = list(self.roles.values()), [self._name(point) for point in self.points]
        whole = [join for join in joins if join.connections == join.shape[0] == join.shape[1]]
        groups = groups_of([(join.source, join.target) for join in whole if join.kind == "one-to-one"], len(names))
        layers = []
        for point, name, role, group in zip(self.points, names, roles, groups, strict=True):
            numbers = [n for p in self._around(point) for n in re.findall(r"(?<=\.)\d+(?=\.)", f".{p.use.name}")]
            number = int(numbers[0]) if numbers else None
            same = sum(each == name for each in names)
            label = f"{name} {names[: len(layers) + 1].count(name)}" if same > 1 else name
            layers.append(NeuronLayer(label, point.size, role, number, f"layer {group}", small=True))
        return layers

    def _around(self, point):
        """The products that write a point, then those that read it."""
        return [*(writer for writer, _ in point.absorbed), *point.readers]

    def _name(self, point):
        written = [(writer, part) for writer, part in point.absorbed if not writer.why_out]
        if not point.before and written:
            parts = [f" {self._part(*each)}" if point.own and len(each[0].parts) > 1 else "" for each in written]
            names = [module_of(writer) + part for (writer, _), part in zip(written, parts, strict=True)]
            names = list(dict.fromkeys(names))
            return " + ".join(names[:1] + [name.rpartition(".")[2] for name in names[1:]])
        read = [reader for reader in point.readers if not reader.why_out]
        return f"before {module_of(read[0])}" if read else "output"

    def _role(self, point):
        near = self._around(point)
        if any(writer.use.kind == "input" for writer, _ in point.absorbed):
            return "input"
        for each in self.points if point.own else ():
            if is_attention(each):
                for writer, part, _, role in each.joins:
                    if writer.homes[part] is point and role != "same":
                        return role
        if is_attention(point):
            return "attention"
        if any(p.use.kind == "convolution" for p in near):
            return "channel"
        if not point.before and any(p.use.expert is not None for p in near):
            return "expert"
        if not any(not reader.why_out for reader in point.readers) and not self._feeds(point):
            return "output"
        after = [home for reader in point.readers for home in reader.homes]
        return "mlp" if not point.before and any(home.before for home in after) and not point.own else "hidden"

    def _feeds(self, point):
        return any(writer in each.direct for writer, _ in point.absorbed for each in self.points if each is not point)


def _cuts(product):
    return [f"{name} is cut by {operation}" for name, operation in product.cuts.items()]


def module_of(product):
    expert = "" if product.use.expert is None else f"[{product.use.expert}]"
    return re.sub(r"\.?weight$", "", product.use.name) + expert


def _role_of_matrix(product, source, target):
    if product.use.kind in ("convolution", "embedding"):
        return product.use.kind
    if target in ("query", "key", "value"):
        return target
    if source == "attention":
        return "attention-output"
    if target in ("mlp", "expert"):
        return f"{target}-in"
    return f"{source}-out" if source in ("mlp", "expert") else "weights"


def labels_of(targets, sources, size, feeding):
    """[(into, out of)] labels of Fixed joins that say exactly these pairs of positions."""
    if len(np.unique(targets)) == len(targets):
        into = np.full(size, -1)
        into[targets] = sources
        return [(into, np.arange(feeding))]
    joined = np.zeros((size, feeding), bool)
    joined[targets, sources] = True
    sets, of_target = np.unique(np.packbits(joined, axis=1), axis=0, return_inverse=True)
    sets = np.unpackbits(sets, axis=1, count=feeding).astype(bool)
    found = []
    for number, members in enumerate(sets):
        if not members.any():
            continue
        fitting = next((each for each in found if (each[1][members] < 0).all()), None)
        if fitting is None:
            fitting = np.full(size, -1), np.full(feeding, -1)
            found.append(fitting)
        fitting[0][of_target.reshape(-1) == number] = number
        fitting[1][members] = number
    return found
