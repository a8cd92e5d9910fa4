"""A family's record, written from a trace of one small model of it."""

import json
import re
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from ..errors import NeuroMFAError, SourceError, arguments
from ..results import target, written
from ..weights.torch_objects import unwrapped
from .architectures import rules
from .architectures.convolutions import channels_of, convolution
from .architectures.file import architecture_of
from .architectures.record import Join, is_count
from .checking import compared, refuse_other
from .folding import Folding, shared_named
from .network import load_network
from .on_disk import stored, tied
from .traced import OF_TRACE, TOKENS

NUMBER = re.compile(r"(?<![^.\s])\d+(?=\.)")  # of a module in a list
STACKED = re.compile(r"(.*)\[(\d+)\]")
ALONE = "no matrix: it shifts or scales neurons, and joins no two"
BETWEEN = "tokens or their scores: the network is what lies between them"


def record_of(model, inputs, path=None, model_type=None):
    """Write the record of a family of models from a trace of one of them, a small one.

    Args:
        model: any torch module, best with three blocks or more, and with sizes and numbers of heads that are all
            different: what is equal by chance cannot be told apart.
        inputs: what it is called with, as of :func:`neuromfa_lite.load_network`.
        path: of the TOML file to write; None: none is written.
        model_type: what the family is called; by default as in the model's config, else as its class.

    Returns:
        str, the text of the record; Path of the file where a path is given.

    Raises:
        SourceError: a model that cannot be traced, or is wired in a way that no record says: the record is read back
            and held against the trace before it is returned.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
        >>> text = record_of(model, torch.ones(1, 3), model_type="toy")
        >>> print(text[text.index("[[joins]]"):])
        [[joins]]
        source = "input 0"
        target = "0"
        matrix = "0.weight"
        role = "weights"
        <BLANKLINE>
        [[joins]]
        source = "0"
        target = "2"
        matrix = "2.weight"
        role = "weights"
        <BLANKLINE>
    """
    if path is not None:
        path = target(path)
    traced = load_network(model, inputs=inputs)
    model, _ = unwrapped(model)
    source, blocks, unknown = stored(model, traced.blocks)
    if model_type is None:
        model_type = source.config.get("model_type") or type(model).__name__.lower()
    arguments.text("model_type", model_type)
    record = _Record(traced, blocks, source, model)
    text = record.text(model_type, _header(model, traced, source, unknown, record))
    refuse_other(compared(architecture_of(text), source, traced.layers, blocks), type(model).__name__)
    if path is None:
        return text
    with written(path) as file:
        file.write(text.encode())
    return Path(path)


def _header(model, traced, source, unknown, record):
    """Lines that say what the record was made of, and what to look at."""
    import torch

    versions = [f"torch {torch.__version__.partition('+')[0]}"]
    if hasattr(model, "save_pretrained"):
        import transformers

        versions.append(f"transformers {transformers.__version__}")
    heads = [f"{key} = {value}" for key, value in record.heads.items()]
    lines = [
        f"Written by record_of from a trace of one {type(model).__name__}: {len(traced.layers)} layers, "
        f"{len(traced.weight_blocks)} matrices or parts of them{'; ' if heads else ''}{', '.join(heads)}.",
        f"{', '.join(versions)}, {date.today()}. Look at it before you use it: CONTRIBUTING.md has the language.",
    ]
    if set(source.names) - set(model.state_dict()) and hasattr(model, "save_pretrained"):
        lines.append("Names are those on disk; transformers has others in memory.")
    for name, reason in unknown.items():
        lines.append(f"{name} is its name in memory: {reason}.")
    lines += [f"The trace: {reason}." for name, _, reason in traced.left_out if name == OF_TRACE]
    cuts = (f"{block.name.partition('[')[0]}: {block.note}" for block in record.matrices if block.note)
    return lines + list(dict.fromkeys(f"{NUMBER.sub('*', cut)}; no join stands for it." for cut in cuts))


class _Record:
    """The entries of a record: plain dicts, as they stand in the file, before their blocks are folded to one."""

    def __init__(self, traced, blocks, source, model):
        base, self.tied = getattr(model, "base_model_prefix", ""), tied(model)
        self.layers, self.blocks, self.source, self.traced = traced.layers, blocks, source, traced
        self.matrices = [block for block in blocks if not block.fixed]
        if not self.matrices:
            raise SourceError(f"{traced.origin} has no matrix inside it that a record could name")
        self.prefix = f"{base}." if base and all(m.name.startswith(f"{base}.") for m in self.matrices) else ""
        self.heads = _heads(source.config)
        self.doubts = []
        self.places = {id(block): self._place(block) for block in self.matrices}
        self.names = self._layer_names()
        self.told = self._sizes_told()

    def text(self, model_type, header):
        layers, joins = self._layers(), [self._join(block) for block in self.blocks]
        names = [name.removeprefix(self.prefix) for name in self.source.names if name.startswith(self.prefix)]
        layers, joins = shared_named(layers, joins, names, self.source.stacked)
        folding = Folding(layers + joins, names, self.source.stacked)
        layers, joins = folding.folded(layers), folding.folded(joins)
        comments = [f"# {line}" for line in (*header, *self.doubts, *folding.doubts)]
        lines = [*comments, f"model_type = {_toml(model_type)}"]
        if self.prefix:
            lines.append(f"prefixes = {_toml([self.prefix, ''])}")
        if folding.counted:
            lines.append(f"counted = {_toml(folding.counted)}")
        for what, entries in (("left_out", self._left_out()), ("layers", layers)):
            lines += ["", f"{what} = [", *(f"  {_toml(entry)}," for entry in entries), "]"]
        for join in joins:
            lines += ["", "[[joins]]", *(f"{key} = {_toml(value)}" for key, value in join.items())]
        return "\n".join(lines) + "\n"

    def _place(self, block):
        """{"matrix", "expert" or "transposed" where it has them} of a block, and (its rows, how many there are)."""
        name, rows, there = block.place
        base, number = STACKED.fullmatch(name).groups() if STACKED.fullmatch(name) else (name, None)
        place = {"matrix": base.removeprefix(self.prefix)}
        if number is not None:
            transposed = {"transposed": True} if block.matrix.place_in_file is None else {}
            return place | {"expert": int(number)} | transposed, (rows, there)
        if block.listed_singly or block.matrix.place_in_file is None:
            chosen = None if np.array_equal(rows, np.arange(there)) else rows
            return place | ({"transposed": True} if self._turned(block, base, chosen) else {}), (rows, there)
        return place | ({"transposed": True} if block.matrix.place_in_file["transposed"] else {}), (rows, there)

    def _turned(self, block, name, channels):
        """Whether a convolution is stored the other way round: that which holds the same weights."""
        tensor = self.source.stacked.get(name)
        if tensor is None:
            raise SourceError(
                f"{block.name}: the weights that {self.traced.origin} uses are computed of what is stored, or are some "
                "columns of it, which no record can say: make it one matrix (remove_parametrizations), or open the "
                "model itself, load_network(model, inputs=...)"
            )
        sizes = {end: len(self.layers[end]) for end in (block.source, block.target)}
        for transposed in (False, True):
            whole = sizes[block.target if transposed else block.source]
            groups = 1 if transposed and channels is not None else max(1, whole // max(1, tensor.shape[1]))
            how = {"targets": channels, "transposed": transposed, "groups": groups}
            join = Join(block.source, block.target, name, **how)
            try:
                same = _alike(convolution(join, tensor, (block.source, block.target), sizes), block)
            except NeuroMFAError:
                same = False
            if same:
                return transposed
        return False

    def _layer_names(self):
        """What the record calls each layer: by the matrices that write it, as they are stored."""
        names = []
        for number, layer in enumerate(self.layers):
            into, out = (
                [self._module(b) for b in self.matrices if getattr(b, end) == number] for end in ("target", "source")
            )
            into, out = list(dict.fromkeys(into)), sorted(set(out), key=self._order)
            # Where several meet it is called by who reads it: the last of a stack is not as those before it.
            meet = any(block.fixed and block.target == number for block in self.blocks)
            if out and (meet or layer.name.startswith("before ")):
                name = f"before {out[0]}"
            elif not into or meet or layer.name.startswith("before "):
                name = layer.name if layer.role == "input" else "output"
            else:
                name = " + ".join([into[0], *(module.rpartition(".")[2] for module in into[1:])])
                name += self._part_name(number, layer)
            names.append(name)
        return [
            name if names.count(name) == 1 else f"{name} {names[: number + 1].count(name)}"
            for number, name in enumerate(names)
        ]

    def _module(self, block):
        place, _ = self.places[id(block)]
        expert = f"[{place['expert']}]" if "expert" in place else ""
        return re.sub(r"\.?weight$", "", place["matrix"]) + expert

    def _order(self, module):
        """Where a module stands among those stored, which is the same place in every block."""
        stored_as, number = STACKED.fullmatch(module).groups() if STACKED.fullmatch(module) else (module, 0)
        names = [name.removesuffix(".weight").removeprefix(self.prefix) for name in self.source.names]
        return len(re.findall(r"\d+", module)), names.index(stored_as) if stored_as in names else -1, int(number)

    def _part_name(self, number, layer):
        """What tells a layer apart from others that one matrix writes."""
        mine = [block for block in self.matrices if block.target == number]
        all_targets = {b.target for b in self.matrices if self._module(b) == self._module(mine[0])}
        if len(mine) > 1 or len(all_targets) == 1:
            return ""
        role = (
            layer.role if layer.role in ("query", "key", "value") else f"part {sorted(all_targets).index(number) + 1}"
        )
        return f" {role}"

    def _sizes_told(self):
        """The layers whose size follows from a matrix, and from what is joined to such one to one."""
        told, guessed = set(), {}
        for block in self.matrices:
            place, (rows, there) = self.places[id(block)]
            tensor = self.source.stacked.get(self.prefix + place["matrix"])
            if tensor is None or "expert" in place:
                told |= {block.source, block.target}
                continue
            told.add(block.source if "transposed" in place else block.target)
            if len(rows) < there:
                told.add(block.target)
            guess = channels_of(tensor.shape, "transposed" in place)
            end = block.target if "transposed" in place else block.source
            guessed[end] = max(guessed.get(end, 0), guess["transposed" not in place])
        told = self._joined(told)
        return self._joined(told | {layer for layer, size in guessed.items() if size == len(self.layers[layer])})

    def _joined(self, told):
        while True:
            more = {
                end
                for block in self.blocks
                if block.fixed and _identity(block) and {block.source, block.target} & told
                for end in (block.source, block.target)
            }
            if more <= told:
                return told
            told = told | more

    def _layers(self):
        found = []
        for number, (layer, name) in enumerate(zip(self.layers, self.names, strict=True)):
            size = {} if number in self.told else {"size": len(layer)}
            found.append({"name": name, "role": layer.role} | size)
        return found

    def _join(self, block):
        ends = {"source": self.names[block.source], "target": self.names[block.target]}
        if block.fixed:
            return ends | self._fixed(block) | {"role": block.role}
        place, (rows, there) = self.places[id(block)]
        entry = ends | place
        if not np.array_equal(rows, np.arange(there)):
            entry["rows"] = self._rows(block, rows, there)
        return entry | ({"role": block.role} if block.role else {})

    # --- which rows of a matrix ------------------------------------------------------------------------------------

    def _rows(self, block, rows, there):
        """How the record says some rows of a matrix: parts of equal groups, else one by one."""
        name = block.place[0]
        parts = sorted(
            ((other, self.places[id(other)][1][0]) for other in self.matrices if other.place[0] == name),
            key=lambda part: part[1][0],
        )
        numbers = [1, *self.heads.values(), *(n for n in range(2, there) if there % n == 0)]
        for groups in (n for n in numbers if there % n == 0):
            size, cut = there // groups, [(int(each[0]), len(each) // groups) for _, each in parts]
            if all(
                len(each) % groups == 0
                and start + length <= size
                and np.array_equal(each, rules.stretch(there, groups, size, start, start + length))
                for (_, each), (start, length) in zip(parts, cut, strict=True)
            ):
                mine = (int(rows[0]), len(rows) // groups)
                told = {} if groups == 1 else {"groups": self._number(groups, block)}
                return told | self._part(mine, cut, size, [other.target for other, _ in parts])
        return rows.tolist()

    def _part(self, mine, cut, size, layers):
        """{of, from, to} of (start, length) among all that a group of a size is cut in."""
        (start, length), unit = mine, min(each for _, each in cut)
        if all(each == unit and first % unit == 0 for first, each in cut) and size % unit == 0:
            return {"of": size // unit, "from": start // unit, "to": (start + length) // unit}
        together = sum(each for _, each in cut) == size
        ratios = [self._ratio(each, unit) for _, each in cut]
        if together and all(ratios):
            before = [ratio for ratio, (first, _) in zip(ratios, cut, strict=True) if first < start]
            through = [ratio for ratio, (first, _) in zip(ratios, cut, strict=True) if first <= start]
            return {"of": _sum(ratios), "from": _sum(before), "to": _sum(through)}
        elsewhere = {b.source for b in self.matrices}
        if together and all(layer in elsewhere for layer in layers[:-1]):
            sized = [f"size({self.names[layer]!r})" for layer in layers]
            place = cut.index(mine)
            last = place == len(cut) - 1
            return ({"from": " + ".join(sized[:place])} if place else {}) | (
                {} if last else {"to": " + ".join(sized[: place + 1])}
            )
        return {"from": start, "to": start + length}

    def _ratio(self, length, unit):
        """How many units a length is, in the configuration's terms; None where it does not say."""
        if length == unit:
            return 1
        for key, value in self.heads.items():
            if value * unit == length:
                return key
        for key, value in self.heads.items():
            for other, less in self.heads.items():
                if value % less == 0 and value * unit == less * length:
                    return f"{key} // {other}"
        return None

    def _number(self, number, block):
        """A number of groups: of heads, by the configuration's key for it, a layer's size, or the number itself."""
        keys = [key for key, value in self.heads.items() if value == number]
        shared = [key for key in keys if re.search("kv|key|group", key)]
        if keys:
            role = self.layers[block.source].role if block.fixed else block.role
            chosen = (
                shared if role in ("key", "value") and shared else [key for key in keys if key not in shared] or keys
            )[0]
            if len(keys) > 1:
                self._doubt(f"{' and '.join(keys)} are both {number}: which of them is meant is a guess.")
            return chosen
        ends = (block.source, block.target) if block.fixed else (block.target,)
        for end in ends:
            if len(self.layers[end]) == number and (block.fixed or end in {b.source for b in self.matrices}):
                return f"size({self.names[end]!r})"
        self._doubt(f"{self.names[block.source]} to {self.names[block.target]}: {number} groups, as in this model.")
        return number

    def _doubt(self, line):
        line = NUMBER.sub("*", line)
        if line not in self.doubts:
            self.doubts.append(line)

    # --- fixed joins -----------------------------------------------------------------------------------------------

    def _fixed(self, block):
        """How the record says a fixed join: a kind, between stretches of the two layers, else labels one by one."""
        into, out_of = rules.plain_labels(block.into, block.out_of)
        ends = [np.flatnonzero(labels >= 0) for labels in (into, out_of)]
        cut = {}
        for key, there, labels in (("targets", ends[0], into), ("sources", ends[1], out_of)):
            if len(there) and there[-1] - there[0] != len(there) - 1:
                return {"into": into.tolist(), "out_of": out_of.tolist()}
            if len(there) < len(labels):
                cut[key] = self._stretch(block, key, int(there[0]), len(there))
        kind = self._kind(block, into[ends[0]], out_of[ends[1]])
        return kind | cut if kind else {"into": into.tolist(), "out_of": out_of.tolist()}

    def _kind(self, block, into, out_of):
        sizes = len(into), len(out_of)
        for kind in ("one-to-one", "all-to-all"):
            if (kind != "one-to-one" or sizes[0] == sizes[1]) and self._is(kind, sizes, 1, into, out_of):
                return {"kind": kind}
        labels = len(np.unique(out_of))
        heads = list(self.heads.values())
        numbers = [labels, *heads, *(n for n in range(1, min(sizes) + 1))]
        for kind in ("groups", "repeated"):
            for groups in numbers:
                if self._is(kind, sizes, groups, into, out_of):
                    return {"kind": kind, "groups": self._number(groups, block)}
        return None

    @staticmethod
    def _is(kind, sizes, groups, into, out_of):
        try:
            return rules.same_labels(rules.labels_of_kind(kind, *sizes, groups), (into, out_of))
        except SourceError:
            return False

    def _stretch(self, block, key, start, length):
        """{from, to} of a stretch of a layer: after others that are joined to it, each as long as its other end."""
        end, other = ("target", "source") if key == "targets" else ("source", "target")
        layer = getattr(block, end)
        sizes = {}
        for each in self.blocks:
            if each.fixed and getattr(each, end) == layer:
                labels = rules.plain_labels(each.into, each.out_of)[0 if key == "targets" else 1]
                there = np.flatnonzero(labels >= 0)
                other_end = getattr(each, other)
                if len(there) and there[-1] - there[0] + 1 == len(there) == len(self.layers[other_end]):
                    sizes.setdefault(int(there[0]), (len(there), f"size({self.names[other_end]!r})"))
        before, at = [], 0
        while at < start and at in sizes:
            before.append(sizes[at][1])
            at += sizes[at][0]
        if at == start and sizes.get(at, (0,))[0] == length:
            first = {"from": " + ".join(before)} if before else {}
            return first | {"to": " + ".join([*before, sizes[at][1]])}
        self._doubt(f"{key} {start} to {start + length} of {self.names[layer]} are numbers of this model.")
        return {"from": start, "to": start + length}

    # --- what is left out ------------------------------------------------------------------------------------------

    def _left_out(self):
        """A pattern and a reason for each tensor that no join names, those of the same name in all blocks as one."""
        used = {self.prefix + self.places[id(block)][0]["matrix"] for block in self.matrices}
        reasons = {name: reason.replace(TOKENS, BETWEEN) for name, _, reason in self.traced.left_out}
        reasons |= {name: reasons[other] for name, other in self.tied.items() if other in reasons}
        found = {}
        for name in (name for name in self.source.names if name not in used):
            shape = self.source.matrices[name].shape if name in self.source.matrices else self.source.other[name]
            last = f"*.{name.rpartition('.')[2]}"
            if len(shape) < 2 and not any(fnmatchcase(each, last) for each in used):
                found[last] = ALONE
                continue
            pattern = NUMBER.sub("*", name)
            if self.prefix and pattern.startswith(self.prefix):
                pattern = "*" + pattern.removeprefix(self.prefix)
            found[pattern] = reasons.get(name, ALONE if len(shape) < 2 else "not used by the model that was traced")
        return [{"name": pattern, "reason": reason} for pattern, reason in found.items()]


def _heads(config):
    """{key: number} of the configuration's entries that count heads."""
    return {
        key: value
        for key, value in config.items()
        if "head" in key and not re.search("dim|size", key) and is_count(value) and value > 1
    }


def _sum(terms):
    """An expression of a sum, a number where it is one.

    >>> _sum([1, "n_head", 1]), _sum([1, 2])
    ('n_head + 2', 3)
    """
    number, keys = sum(term for term in terms if isinstance(term, int)), [t for t in terms if isinstance(t, str)]
    return " + ".join([*keys, *([str(number)] if number else [])]) if keys else number


def _identity(block):
    into, out_of = rules.plain_labels(block.into, block.out_of)
    return len(into) == len(out_of) and np.array_equal(into, np.arange(len(into))) and np.array_equal(into, out_of)


def _alike(first, second):
    edges = [sorted(zip(*(each.tolist() for each in block.edges()), strict=True)) for block in (first, second)]
    return edges[0] == edges[1]


def _toml(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    return str(value)
