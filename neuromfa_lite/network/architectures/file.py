"""A family's record in a TOML file: data alone, read without running any code of it.

    model_type = "my-model"
    prefixes = ["model.", ""]             # what may stand before every name
    [counted]
    b = "layers.{b}."                     # {b} in a name is a number: as many as there are tensors of such names
    [[left_out]]
    name = "*embed.weight"                # * and ? as in file names
    reason = "token embedding"
    [[layers]]
    name = "block {b} mlp"                # its size follows from the matrices that touch it
    role = "mlp"
    [[joins]]
    source = "block {b} mlp"
    target = "block {b+1} input"
    matrix = "layers.{b}.mlp.down.weight"
    b = "but last"

CONTRIBUTING.md has the whole language.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from os import PathLike
from pathlib import Path

import numpy as np

from ...errors import SourceError
from ...errors.arguments import shown
from ...weights.files import regular_file, unreadable
from ..connections import NeuronLayer
from ..sampling import groups_of
from . import rules
from .convolutions import channels_of
from .record import ARCHITECTURES, Architecture, Join, register

CHOICES = {
    "all": lambda n: range(n),
    "first": lambda n: range(min(n, 1)),
    "last": lambda n: range(max(n - 1, 0), n),
    "but first": lambda n: range(1, n),
    "but last": lambda n: range(n - 1),
    "but first and last": lambda n: range(1, n - 1),
}
LETTER = re.compile(r"\{([a-z])([+-]\d{1,3})?\}")
STRETCH = {"groups": 1, "of": None, "from": 0, "to": None}
MOST = 1 << 17  # of what is listed, where no tensor is larger
NUMBER, ROWS = "a whole number or an expression", f"a list of whole numbers or a table of {', '.join(STRETCH)}"
TOP = {"model_type": str, "prefixes": list, "counted": dict, "left_out": list, "layers": list, "joins": list}
LAYER = {"name": str, "role": str, "size": NUMBER, "group": str, "multiplier": NUMBER}
JOIN = {"source": str, "target": str, "role": str, "matrix": str, "transposed": bool, "expert": NUMBER, "rows": ROWS}
JOIN |= {"kind": str, "groups": NUMBER, "targets": ROWS, "sources": ROWS, "into": list, "out_of": list}
LEFT_OUT = {"name": str, "reason": str}
OF_MATRIX = ("transposed", "expert", "rows")
OF_FIXED = ("groups", "targets", "sources")


def read_architecture(path):
    """The Architecture that a TOML file holds; see the module. SourceError names the file and the entry."""
    regular_file(path, "give the path of a record, a TOML file as record_of writes it")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise unreadable(path, error) from None
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is no record, which is text ({error})") from None
    return architecture_of(text, str(path))


def register_architecture(architecture):
    """Make a family of models known under its model_type, in the place of one of that name.

    Args:
        architecture: an Architecture, or the path of a TOML file that tells one.

    Returns:
        Architecture.

    Raises:
        SourceError: a file that is missing or does not say what a record says; anything else.

    Example:
        >>> from neuromfa_lite.network import ARCHITECTURES
        >>> mine = register_architecture(Architecture("doctest-family", layers=[], joins=[]))
        >>> ARCHITECTURES.pop("doctest-family") is mine
        True
    """
    return register(as_architecture(architecture))


def as_architecture(architecture):
    """An Architecture as it is, of the family of a name, or of the file at a path."""
    if isinstance(architecture, str) and architecture in ARCHITECTURES:
        return ARCHITECTURES[architecture]
    if isinstance(architecture, str | PathLike):
        return read_architecture(architecture)
    if isinstance(architecture, Architecture):
        return architecture
    raise SourceError(
        "an architecture is an Architecture(model_type, layers, joins) or the path of a record, not "
        f"{shown(architecture)}"
    )


def architecture_of(text, path="the record"):
    """The Architecture that a text in TOML holds."""
    try:
        told = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SourceError(f"{path} is no TOML file ({error})") from None
    _refuse_keys(told, TOP, ("model_type", "layers", "joins"), path)
    letters = _counted(told.get("counted", {}), path)
    entries = {}
    for what, keys, needed in (
        ("layers", LAYER, ("name",)),
        ("joins", JOIN, ("source", "target")),
        ("left_out", LEFT_OUT, ("name", "reason")),
    ):
        listed = told.get(what, [])
        if not all(isinstance(each, dict) for each in listed):
            raise SourceError(f"{path}: {what} must be written as tables, each under [[{what}]]")
        entries[what] = [_entry(each, n, what, keys, needed, letters, path) for n, each in enumerate(listed, 1)]
    for join in entries["joins"]:
        _refuse_join(join)
    prefixes = told.get("prefixes", [""])
    if not prefixes or not all(isinstance(prefix, str) for prefix in prefixes):
        raise SourceError(f'{path}: prefixes must be a list of texts, "" among them for names without one')
    return Architecture(
        told["model_type"],
        layers=None,
        joins=None,
        dataflow=partial(_made, path, letters, entries["layers"], entries["joins"]),
        prefixes=tuple(prefixes),
        left_out=tuple((each.told["name"], each.told["reason"]) for each in entries["left_out"]),
    )


@dataclass(frozen=True)
class _Entry:
    """A layer, a join or what is left out: where it stands, what is told, and which numbers its letters take."""

    where: str
    told: dict
    letters: tuple
    chosen: dict

    def error(self, said):
        return SourceError(f"{self.where}: {said}")

    def at(self, numbers):
        """The same with its letters replaced by numbers."""
        return _Entry(self.where, _replaced(self.told, numbers), (), {})


def _replaced(value, numbers):
    if isinstance(value, str):
        return LETTER.sub(lambda match: str(numbers[match[1]] + int(match[2] or 0)), value)
    if isinstance(value, dict):
        return {key: _replaced(each, numbers) for key, each in value.items()}
    return value


def _texts(value):
    if isinstance(value, dict):
        return [text for each in value.values() for text in _texts(each)]
    return [value] if isinstance(value, str) else []


def _refuse_keys(told, keys, needed, where):
    """Refuse what is unknown, missing or of another kind."""
    for key, value in told.items():
        if key not in keys:
            raise SourceError(f"{where}: {key!r} is unknown here; known are {', '.join(keys)}")
        kind = keys[key]
        number = isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
        fits = {NUMBER: number, ROWS: isinstance(value, dict | list)}.get(kind) if isinstance(kind, str) else None
        if fits is False or (fits is None and not isinstance(value, kind)):
            said = kind if isinstance(kind, str) else {str: "a text", list: "a list", dict: "a table"}.get(kind)
            raise SourceError(f"{where}: {key} must be {said or 'true or false'}, not {value!r}")
    for key in needed:
        if not told.get(key):
            raise SourceError(f"{where}: {key} is missing")


def _counted(counted, path):
    """{letter: (what counts it, the letters in that)}, each after those that it needs."""
    found = {}
    for letter, told in counted.items():
        where = f"{path}, [counted] {letter}"
        if not re.fullmatch("[a-z]", letter) or not isinstance(told, str):
            raise SourceError(f'{where}: a small letter and how it is counted is meant, as b = "layers.{{b}}."')
        used = [match[0] for match in LETTER.findall(told) if match[0] != letter]
        unknown = [other for other in used if other not in found]
        if unknown:
            raise SourceError(f"{where}: {{{unknown[0]}}} is not counted before it")
        if "{" not in told:
            _parsed(told, where)
        elif f"{{{letter}}}" not in told:
            raise SourceError(f"{where}: {told!r} holds no {{{letter}}}")
        found[letter] = told, tuple(used)
    return found


def _entry(told, number, what, keys, needed, letters, path):
    named = " to ".join(repr(told[key]) for key in needed if isinstance(told.get(key), str) and key != "reason")
    where = f"{path}, [[{what}]] {number}{f' ({named})' if named else ''}"
    chosen = {letter: told[letter] for letter in letters if letter in told}
    told = {key: value for key, value in told.items() if key not in chosen}
    _refuse_keys(told, keys, needed, where)
    used = {match[0] for text in _texts(told) for match in LETTER.findall(text)} if what != "left_out" else set()
    for letter in [each for each in used if each in letters]:
        used |= set(letters[letter][1])
    for letter in sorted(used - set(letters)):
        raise SourceError(f"{where}: {{{letter}}} is not counted: say under [counted] which names count it")
    for letter, choice in chosen.items():
        listed = isinstance(choice, list) and choice and all(type(n) is int and n >= 0 for n in choice)
        if letter not in used or not (listed or (isinstance(choice, str) and choice in CHOICES)):
            said = f"which {{{letter}}} is meant, of which it has none" if letter not in used else repr(choice)
            raise SourceError(f"{where}: {letter} says {said}; it takes {', '.join(CHOICES)} or a list of numbers")
    for key, value in told.items():
        kind = keys[key]
        for each in value.values() if kind == ROWS and isinstance(value, dict) else [value] if kind == NUMBER else []:
            _parsed(_replaced(each, dict.fromkeys(letters, 1)), where)
        if kind == ROWS and isinstance(value, dict):
            _refuse_keys(value, dict.fromkeys(STRETCH, NUMBER), (), f"{where}, {key}")
        whole = isinstance(value, list) and all(type(n) is int for n in value)
        if key in ("rows", "targets", "sources", "into", "out_of") and isinstance(value, list) and not whole:
            raise SourceError(f"{where}: {key} must hold whole numbers")
    return _Entry(where, told, tuple(letter for letter in letters if letter in used), chosen)


def _parsed(told, where):
    try:
        return rules.parsed(str(told))
    except SourceError as error:
        raise SourceError(f"{where}: {error}") from None


def _refuse_join(entry):
    told = entry.told
    ways = [way for way in ("matrix", "kind", "into") if way in told]
    if len(ways) != 1 or ("into" in told) != ("out_of" in told):
        raise entry.error("a join has a matrix, or else a kind, or else into and out_of, the labels of its two ends")
    foreign = [key for key in (OF_FIXED if "matrix" in told else OF_MATRIX) if key in told]
    foreign += [key for key in OF_FIXED if "into" in told and key in told]
    if foreign:
        raise entry.error(f"{foreign[0]} does not go with {ways[0]}")
    if "kind" in told and told["kind"] not in rules.KINDS:
        raise entry.error(f"kind {told['kind']!r} is unknown; known are {', '.join(rules.KINDS)}")
    if ("groups" in told) != (told.get("kind") in ("groups", "repeated")):
        raise entry.error("groups, their number, goes with kind groups or repeated, and only with these")


def _made(path, letters, layers, joins, known):
    """(layers, joins) of a model with this Known configuration and these tensors."""
    count = _Count(path, letters, known)
    layers = [each for run in _runs(layers) for each in count.each(run)]
    names = [entry.told["name"] for _, entry in layers]
    for number, (_, entry) in enumerate(layers):
        if names[number] in names[:number]:
            raise entry.error(f"there are two layers {names[number]!r}")
    joins = [entry for run in _runs(joins) for _, entry in count.each(run)]
    for entry in joins:
        for end in ("source", "target"):
            if entry.told[end] not in names:
                raise entry.error(
                    f"there is no layer {entry.told[end]!r}; the layers are {', '.join(names[:12])}"
                    f"{', ...' if len(names) > 12 else ''} (where {{b+1}} is meant for all blocks but the last, say "
                    'b = "but last")'
                )
    sizes = _Sizes(known, [entry for _, entry in layers], joins)
    made = [sizes.join(entry) for entry in joins]
    groups = groups_of(
        [(names.index(join.source), names.index(join.target)) for join in made if join.kind == "one-to-one"], len(names)
    )
    return [
        NeuronLayer(
            entry.told["name"],
            sizes.of[entry.told["name"]],
            entry.told.get("role", "hidden"),
            next(iter(numbers.values()), None),
            entry.told.get("group", f"layer {group}"),
            sizes.value(entry, entry.told.get("multiplier", 1)),
            small=True,
        )
        for (numbers, entry), group in zip(layers, groups, strict=True)
    ], made


def _runs(entries):
    """Entries one after another that share their first letter: they are repeated together."""
    return [list(run) for _, run in groupby(entries, key=lambda entry: entry.letters[:1])]


class _Count:
    """Which numbers the letters take, by the names of a model's tensors."""

    def __init__(self, path, letters, known):
        self.path, self.letters, self.known = path, letters, known
        self.starts = {name[: match.end()] for name in known.shapes for match in re.finditer(r"\.|$", name)}

    def each(self, run):
        """(numbers, entry at them) of a run of entries: the first letter's numbers one after another."""
        if not run[0].letters:
            return [({}, entry) for entry in run]
        first = run[0].letters[0]
        found = []
        for number in range(self.of(first, {})):
            for entry in run:
                if number in self._chosen(entry, first, self.of(first, {})):
                    found += [
                        (numbers, entry.at(numbers))
                        for numbers in self._inner(entry, entry.letters[1:], {first: number})
                    ]
        return found

    def _inner(self, entry, letters, numbers):
        if not letters:
            return [numbers]
        there = self._chosen(entry, letters[0], self.of(letters[0], numbers))
        return [deeper for n in there for deeper in self._inner(entry, letters[1:], numbers | {letters[0]: n})]

    def _chosen(self, entry, letter, there):
        choice = entry.chosen.get(letter, "all")
        if isinstance(choice, str):
            return CHOICES[choice](there)
        beyond = [number for number in choice if number >= there]
        if beyond:
            raise entry.error(f"there is no {letter} = {beyond[0]} in a model that has {there}, counted from 0")
        return choice

    def of(self, letter, numbers):
        """How many numbers a letter takes, those of the letters before it given."""
        told, _ = self.letters[letter]
        where = f"{self.path}, [counted] {letter}"
        if "{" not in told:
            try:
                return _at_most(self.known, rules.evaluate(rules.parsed(told), rules.key_of(self.known), _no_size))
            except SourceError as error:
                raise SourceError(f"{where}: {error}") from None
        before, after = told.split(f"{{{letter}}}", 1)
        before = _replaced(before, numbers)
        if after == "]":
            shape = self.known.shapes.get(before.removesuffix("["), ())
            return shape[0] if len(shape) == 3 else 0
        n = 0
        while f"{before}{n}{after}" in self.starts or (not after.endswith(".") and self._begins(f"{before}{n}{after}")):
            n += 1
        if not n and not numbers:
            raise SourceError(f"{where}: no tensor has a name that begins as {before}0{after}: is it of this family?")
        return n

    def _begins(self, start):
        return any(name.startswith(start) for name in self.known.shapes)


def _at_most(known, number):
    """A number that is not far beyond what any tensor holds, before so much is listed."""
    most = max([MOST, *(size for shape in known.shapes.values() for size in shape)])
    if number > most:
        raise SourceError(f"{number} is more than the weights have of anything")
    return number


def _no_size(layer):
    raise SourceError(f"the size of {layer!r} is not known where it is asked for")


class _Sizes:
    """The size of each layer, by the matrices that touch it."""

    def __init__(self, known, layers, joins):
        self.known, self.of, self.by = known, {}, {}
        waiting = [partial(self._literal, entry) for entry in layers if "size" in entry.told]
        waiting += [partial(self._of_join, entry) for entry in joins]
        waiting = self._settled(waiting)
        self._of_kernels([entry for entry in joins if "matrix" in entry.told])
        self._settled(waiting)
        for entry in layers:
            if entry.told["name"] not in self.of:
                raise entry.error("no matrix tells how many neurons it has: give its size")

    def _settled(self, waiting):
        """Ask until nobody learns anything new; returns who still waits."""
        while waiting:
            left = []
            for ask in waiting:
                try:
                    ask()
                except rules.NotYet:
                    left.append(ask)
            if len(left) == len(waiting):
                break
            waiting = left
        return waiting

    def value(self, entry, told):
        def size_of(layer):
            if layer not in self.of:
                raise rules.NotYet(layer)
            return self.of[layer]

        try:
            return rules.evaluate(rules.parsed(str(told)), rules.key_of(self.known), size_of)
        except SourceError as error:
            raise entry.error(error) from None

    def _tell(self, entry, layer, size, by):
        if self.of.setdefault(layer, size) != size:
            raise entry.error(f"{layer!r} has {size} neurons by {by}, but {self.of[layer]} by {self.by[layer]}")
        self.by.setdefault(layer, by)

    def _literal(self, entry):
        size = self.value(entry, entry.told["size"])
        try:
            _at_most(self.known, size)
        except SourceError as error:
            raise entry.error(error) from None
        if size < 1:
            raise entry.error(f"size is {size}: it must be positive")
        self._tell(entry, entry.told["name"], size, "its own size")

    def _of_join(self, entry):
        told = entry.told
        if "matrix" in told:
            (targets, sources), shape = self._shape(entry), self.known.shapes[told["matrix"]]
            kernels = len(shape) > 2 and "expert" not in told
            in_parts = kernels and told.get("transposed", False)
            if not kernels:
                self._tell(entry, told["source"], sources, f"the columns of {told['matrix']}")
            elif in_parts:
                self._tell(entry, told["source"], sources, f"the channels of {told['matrix']}")
            if "rows" in told or not in_parts:
                size = len(self._stretch(entry, "rows", targets))
                self._tell(entry, told["target"], size, f"the rows of {told['matrix']}")
        elif told.get("kind") == "one-to-one" and not {"targets", "sources"} & told.keys():
            ends = told["source"], told["target"]
            for here, there in (ends, ends[::-1]):
                if here in self.of:
                    self._tell(entry, there, self.of[here], f"what joins {ends[0]!r} to it one-to-one")
                    return
            raise rules.NotYet

    def _of_kernels(self, joins):
        """What nothing else tells: the most channels that kernels show, of which those in groups show a part."""
        most = {}
        for entry in joins:
            for end, size in zip(("target", "source"), self._shape(entry), strict=True):
                if entry.told[end] not in self.of and not (end == "target" and "rows" in entry.told):
                    by = f"the channels of {entry.told['matrix']}"
                    most[entry.told[end]] = max(most.get(entry.told[end], (0, "")), (size, by))
        self.of |= {layer: size for layer, (size, _) in most.items()}
        self.by |= {layer: by for layer, (_, by) in most.items()}

    def _shape(self, entry):
        """(targets, sources) of the matrix of a join, of kernels those of one group."""
        told = entry.told
        try:
            shape = self.known.shape(told["matrix"])
        except SourceError as error:
            raise entry.error(error) from None
        transposed = told.get("transposed", False)
        if "expert" in told:
            number = self.value(entry, told["expert"])
            if len(shape) != 3 or not 0 <= number < shape[0]:
                raise entry.error(f"{told['matrix']} has shape {tuple(shape)}: no matrix {number} is stacked in it")
            shape = shape[1:]
        elif len(shape) > 2:
            return channels_of(shape, transposed)
        if len(shape) != 2:
            raise entry.error(f"{told['matrix']} has shape {tuple(shape)}: it is no matrix")
        return shape[::-1] if transposed else shape

    def _groups(self, entry):
        """Into how many groups the channels of a kernel fall, by the sizes of its layers."""
        told, shape = entry.told, self.known.shapes[entry.told["matrix"]]
        if len(shape) < 3 or "expert" in told:
            return 1
        return max(1, self.of[told["target" if told.get("transposed") else "source"]] // max(1, shape[1]))

    def _stretch(self, entry, key, n):
        """Which of n a table or list of an entry says."""
        told = entry.told.get(key)
        if isinstance(told, list):
            if not told or not all(0 <= each < n for each in told):
                raise entry.error(f"{key} are not within the {n} that there are")
            return np.array(told)
        told = STRETCH | (told or {})
        numbers = [None if each is None else self.value(entry, each) for each in told.values()]
        try:
            return rules.stretch(n, *numbers)
        except SourceError as error:
            raise entry.error(f"{key}: {error}") from None

    def join(self, entry):
        """The Join of an entry, whose ends have their sizes now."""
        told = entry.told
        ends = {"source": told["source"], "target": told["target"], "role": told.get("role", "")}
        if "matrix" in told:
            rows = None
            if "rows" in told:
                rows = self._stretch(entry, "rows", self._shape(entry)[0])
            expert = self.value(entry, told["expert"]) if "expert" in told else None
            part = "" if rows is None else told["target"].rpartition(" ")[2]
            return Join(
                **ends,
                matrix=told["matrix"],
                part=part,
                targets=rows,
                transposed=told.get("transposed", False),
                stacked=expert,
                groups=self._groups(entry),
            )
        sizes = self.of[told["target"]], self.of[told["source"]]
        if "into" in told:
            labels = np.array(told["into"]), np.array(told["out_of"])
            if tuple(map(len, labels)) != sizes:
                raise entry.error(f"into and out_of hold {len(labels[0])} and {len(labels[1])} labels, not {sizes}")
            return Join(**ends, labels=labels)
        if told["kind"] in ("one-to-one", "all-to-all") and not {"targets", "sources"} & told.keys():
            if told["kind"] == "one-to-one" and sizes[0] != sizes[1]:
                raise entry.error(f"one-to-one joins as many to as many, not {sizes[1]} to {sizes[0]}")
            return Join(**ends, kind=told["kind"])
        chosen = [self._stretch(entry, key, size) for key, size in zip(("targets", "sources"), sizes, strict=True)]
        groups = self.value(entry, told.get("groups", 1))
        try:
            found = rules.labels_of_kind(told["kind"], *map(len, chosen), groups)
        except SourceError as error:
            raise entry.error(error) from None
        labels = [np.full(size, -1) for size in sizes]
        for ends_labels, which, those in zip(labels, chosen, found, strict=True):
            ends_labels[which] = those
        return Join(**ends, labels=tuple(labels))
