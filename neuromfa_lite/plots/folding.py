"""What a drawing of layers shows: lines between layers, equal layers in a row or side by side once, short names."""

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

WEIGHTS = "weights"
# A layer of these roles is known by them: "0 key" says more than the name of a fused matrix.
TELLING = ("query", "key", "value", "attention", "mlp", "output")


class Line(NamedTuple):
    """All that joins two layers in one way: kind "weights", or that of a fixed join; several: how many matrices."""

    source: int
    target: int
    kind: str
    several: int = 1
    both_ways: bool = False

    @property
    def fixed(self):
        return self.kind != WEIGHTS


@dataclass(frozen=True)
class Fold:
    """Layers that are drawn once for so many equal ones: in a row, or side by side."""

    layers: tuple
    times: int
    in_a_row: bool

    def __str__(self):
        return f"× {self.times} {'in a row' if self.in_a_row else 'side by side'}"


def lines_of(network):
    """The Lines of a network: what joins the same two layers in the same way is one."""
    several = Counter()
    for block in network.blocks:
        several[block.source, block.target, block.kind if block.fixed else WEIGHTS] += 1
    fixed = {}
    for (source, target, kind), _ in several.items():
        if kind != WEIGHTS:
            fixed.setdefault((source, target), []).append(kind)
    lines = [Line(*key, count) for key, count in several.items() if key[2] == WEIGHTS]
    # Several fixed joins of two layers are one join that no single label says.
    return lines + [Line(*ends, kinds[0] if len(kinds) == 1 else "groups") for ends, kinds in fixed.items()]


def fold(layers, lines, most):
    """(positions of the layers to draw, the Lines between them, Folds): equal ones once while more than ``most``."""
    shown, folds = list(range(len(layers))), []
    codes = {}
    code = [codes.setdefault((len(layer), layer.role.replace("output", "hidden")), len(codes)) for layer in layers]
    while len(shown) > most:
        place = {position: number for number, position in enumerate(shown)}
        here = [line._replace(source=place[line.source], target=place[line.target]) for line in lines]
        found = _longest_repeat(np.array([code[position] for position in shown]), here)
        if found is None:
            break
        start, period, times = found
        first, second, end = start, start + period, start + period * times
        in_a_row = any(first <= a.source < second <= a.target < second + period for a in here)
        unit = tuple(shown[first:second])
        kept = {}
        for line in here:
            again = [second <= place < end for place in (line.source, line.target)]
            # What enters a copy enters the first one too, and what leads back from one is the way to the next.
            if (again[1] and line.source < end) or (again[0] and first <= line.target < second):
                continue
            ends = (
                first + (place - first) % period if copy else place for place, copy in zip(line[:2], again, strict=True)
            )
            key = (*ends, line.kind)
            kept[key] = max(kept.get(key, 0), line.several)
        lines = [Line(shown[source], shown[target], kind, n) for (source, target, kind), n in kept.items()]
        shown = shown[:second] + shown[end:]
        folds.append(Fold(unit, times, in_a_row))
    drawn = set(shown)  # a part of what repeats may repeat in itself, as experts do
    return shown, lines, [replace(each, layers=tuple(n for n in each.layers if n in drawn)) for each in folds]


def _longest_repeat(code, lines):
    """(start, period, times) of the equal layers that save most boxes; None where none follow each other."""
    into = [{} for _ in code]
    for line in lines:
        into[line.target][line.source, line.kind] = line.several
    best, found = 0, None
    for period in range(1, len(code) // 2 + 1):
        alike = code[:-period] == code[period:]
        start = 0
        while start < len(alike):
            length = 0
            while start + length < len(alike) and alike[start + length] and _repeats(into, start, length, period):
                length += 1
            saved = length // period * period
            if saved > best:
                best, found = saved, (start, period, 1 + length // period)
            start += max(1, length)
    return found


def _repeats(into, start, length, period):
    """Whether what enters a layer enters the one a period later, from as much later, or both from the same before."""
    here, later = into[start + length], into[start + length + period]
    if len(here) != len(later):
        return False
    for (source, kind), several in here.items():
        same = source < start and later.get((source, kind)) == several
        if later.get((source + period, kind)) != several and not same:
            return False
    return True


def short_names(layers, without_number=()):
    """Short names of layers, each different: the block's number and a word, and as much more as tells them apart.

    without_number: positions of layers that need no number of their block, since a frame says it.
    """
    named = [_Name(layer, position in without_number) for position, layer in enumerate(layers)]
    told = True
    while told:
        alike = {}
        for name in named:
            alike.setdefault(str(name), []).append(name)
        told = any([_tell_apart(group) for group in alike.values() if len(group) > 1])
    seen, names = Counter(), []
    for name in map(str, named):  # layers of a network made by hand may share their name
        seen[name] += 1
        names.append(f"{name} ({seen[name]})" if seen[name] > 1 else name)
    return names


class _Name:
    """The words of a layer's name, and which of them are said."""

    def __init__(self, layer, without_number):
        self.before = layer.name.startswith("before ") and layer.role not in TELLING
        path, space, rest = layer.name.removeprefix("before ").partition(" ")
        recorded = re.match(r"block (\d+) (.+)", layer.name)
        if recorded:
            self.words = list(recorded.groups())
        elif "." in path:
            self.words = [*path.split("."), *([rest] if rest else [])]
        else:
            self.words = [path + space + rest]
        self.numbers = [n for n, word in enumerate(self.words[:-1]) if word.isdigit()]
        self.role = layer.role if layer.role in TELLING and self.numbers else ""
        expert = re.search(r"\[(\d+)\]", layer.name)
        if layer.role == "expert" and expert:
            self.role = f"expert {expert[1]}"
        self.said = set(self.numbers[:1]) - (set(self.numbers) if without_number else set())
        last = len(self.words) - 1
        if self.before:
            self.said.add(self.numbers[-1] + 1 if self.numbers else last)
        elif not self.role:
            # Alone a word like "dense", or the channels of a part, says little.
            alone = last and (not self.numbers or not self.words[last][0].isalpha())
            self.said |= {last - 1, last} if alone else {last}

    def __str__(self):
        first, words = min(self.numbers, default=0), ["before"] if self.before else []
        words += [self.words[n] for n in sorted(self.said) if n < first]
        words += [".".join(self.words[n] for n in sorted(self.said.intersection(self.numbers)))]
        after = [self.words[n] for n in sorted(self.said.difference(self.numbers)) if n >= first]
        return " ".join(filter(None, [*words, *(word for word in after if word != self.role), self.role]))


def _tell_apart(group):
    """Say one word more, the first in which the names of a group differ, if not a number; whether there was one."""
    places = range(max(len(name.words) for name in group))
    for number in (False, True):
        for place in places:
            having = [name for name in group if place < len(name.words) and (place in name.numbers) == number]
            unsaid = [name for name in having if place not in name.said]
            if unsaid and len({name.words[place] for name in having}) + (len(having) < len(group)) > 1:
                for name in unsaid:
                    name.said.add(place)
                return True
    return False
