"""Entries of a record that are alike but for the number of their block, written once with a letter for it."""

import json
import re

from .architectures.file import CHOICES

LETTERS = "bcdefgh"


class Folding:
    """The letters of a record, what counts each of them, and entries with letters in place of numbers.

    counted: {letter: the names that count it}; doubts: lines that say what could be told apart with more blocks only.
    """

    def __init__(self, entries, names, stacked):
        """entries: all plain entries; names: of all tensors; stacked: {name: WeightTensor}."""
        self.counted, self.patterns, self.numbers, self.doubts = {}, {}, {}, []
        for pattern in _patterns(entries):
            self._try(pattern, entries, names, stacked)

    def _try(self, pattern, entries, names, stacked):
        """Count a letter by a pattern, text with {} for its number and for those of patterns accepted before."""
        lettered = self._in_letters(pattern)
        if lettered is None or len(self.counted) == len(LETTERS):
            return
        letter = LETTERS[len(self.counted)]
        told = lettered.replace("{}", f"{{{letter}}}")
        members, outer, beside = {}, {}, {}
        for entry in entries:
            text, numbers = self.lettered(entry)
            moved, number = _lettered(text, letter, [told])
            if number is not None:
                members.setdefault(moved, set()).add(number)
                within = {c: n for c, n in numbers.items() if f"{{{c}}}" in told}
                outer.setdefault(tuple(within.items()), set()).add(number)
                for other in numbers.keys() - within.keys():
                    beside.setdefault(other, []).append((numbers[other], number - numbers[other]))
        counts = {key: _count(told, letter, dict(key), names, stacked) for key in outer}
        if any(found - set(range(counts[key])) for key, found in outer.items()):
            return
        first = pattern.replace("{}", "0")
        if set(counts.values()) == {1} and any(
            re.match(rf"{re.escape(first)}\w+\.", name) for name in _matrices(entries)
        ):
            self._doubt(f"{first} is one block, which stands by its number: take three or more.")
        for other, pairs in beside.items():
            # Two lists of modules that go side by side are the same blocks.
            same = self.numbers[other] == counts and len({number for number, _ in pairs}) > 1
            if same and {by for _, by in pairs} <= {-1, 0, 1}:
                self.patterns[other].append(told.replace(f"{{{letter}}}", f"{{{other}}}"))
                return
        if all(len(found) == 1 for found in members.values()):
            return
        self.counted[letter], self.patterns[letter], self.numbers[letter] = told, [told], counts
        if max(counts.values()) == 2:
            self._doubt(f'{{{letter}}} was seen twice only, so "first" may mean all but the last: take three or more.')

    def _in_letters(self, pattern):
        """A pattern with the letters of those it begins with in place of all {} but the last; None without them."""
        parts = pattern.split("{}")
        before = parts[0]
        for part in parts[1:-1]:
            letter = next((c for c, told in self.counted.items() if _starts(told, before, c)), None)
            if letter is None:
                return None
            before = f"{before}{{{letter}}}{part}"
        return f"{before}{{}}{parts[-1]}"

    def lettered(self, entry):
        """(an entry or a name with the letters counted so far, as JSON or text, {letter: number})."""
        text, numbers = entry if isinstance(entry, str) else json.dumps(entry), {}
        for letter, told in self.patterns.items():
            text, number = _lettered(text, letter, told)
            if number is not None:
                numbers[letter] = number
        return text, numbers

    def folded(self, entries):
        """The same entries with letters, each said once, in the order in which they come first."""
        members = {}
        for entry in entries:
            text, numbers = self.lettered(entry)
            members.setdefault(text, []).append(numbers)
        found = []
        for text, there in members.items():
            for chosen in self._chosen(text, there, list(there[0])):
                found.append(json.loads(text) | chosen)
        return found

    def _chosen(self, text, there, letters, outer=()):
        """[{letter: which of its numbers}] that together are exactly those there, [{letter: number}]."""
        if not letters:
            return [{}]
        letter, *inner = letters
        seen = sorted({numbers[letter] for numbers in there})
        of = self.numbers[letter].get(outer, max(self.numbers[letter].values()))
        if not inner:
            return [self._choice(letter, seen, of, text)]
        rest = {}
        for number in seen:
            mine = [numbers for numbers in there if numbers[letter] == number]
            told = self._chosen(text, mine, inner, (*outer, (letter, number)))
            rest.setdefault(json.dumps(told), []).append(number)
        return [
            self._choice(letter, numbers, of, text) | each
            for told, numbers in rest.items()
            for each in json.loads(told)
        ]

    def _choice(self, letter, numbers, of, text):
        """{letter: which}, {} where all are meant."""
        fitting = [name for name, choose in CHOICES.items() if list(choose(of)) == numbers]
        if "all" in fitting:
            return {}
        if not fitting:
            self._doubt(f"{{{letter}}} = {numbers} of {of}: such entries fit models of as many only.")
            return {letter: numbers}
        wanted = "but last" if f"{{{letter}+1}}" in text else "but first" if f"{{{letter}-1}}" in text else fitting[0]
        return {letter: wanted if wanted in fitting else fitting[0]}

    def _doubt(self, line):
        if line not in self.doubts:
            self.doubts.append(line)


def shared_named(layers, joins, names, stacked):
    """(layers, joins) where a layer that all blocks share (an encoder's output) no longer bears the number of one."""
    folding = Folding(layers + joins, names, stacked)
    seen, renamed = {}, {}
    for layer in layers:
        text, numbers = folding.lettered(layer["name"])
        for letter in numbers:
            others = {other: number for other, number in numbers.items() if other != letter}
            seen.setdefault((_replaced(text, others), letter), []).append((layer["name"], _replaced(text, others)))
    for (_, letter), [(name, text), *others] in seen.items():
        touching = [folding.lettered(join)[1] for join in joins if name in (join["source"], join["target"])]
        if not others and len({numbers[letter] for numbers in touching if letter in numbers}) > 2:
            renamed[name] = text.replace(f"{{{letter}}}", "*")
    text = json.dumps([layers, joins])
    for name, other in renamed.items():
        for quote in ('"', "'"):
            text = text.replace(f"{quote}{name}{quote}", f"{quote}{other}{quote}")
    return json.loads(text)


def _replaced(text, numbers):
    for letter, number in numbers.items():
        text = text.replace(f"{{{letter}}}", str(number))
    return text


def _matrices(entries):
    return [entry["matrix"] for entry in entries if "matrix" in entry]


def _patterns(entries):
    """Texts with {} for a number, those of the fewest numbers first: "h.{}.", "h.{}.experts.{}.", "up[{}]"."""
    found = {}
    for entry in entries:
        if "matrix" not in entry:
            continue
        pattern = ""
        *modules, _ = entry["matrix"].split(".")
        for module in modules:
            pattern += "{}." if module.isdigit() else f"{module}."
            if module.isdigit():
                found[pattern] = pattern.count("{}")
        if "expert" in entry:
            stack = re.sub(r"(?<![^.])\d+(?=\.)", "{}", entry["matrix"])
            found[f"{stack}[{{}}]"] = stack.count("{}") + 1
    return sorted(found, key=found.get)


def _starts(told, before, letter):
    return told == f"{before}{{{letter}}}."


def _lettered(text, letter, told):
    """(a text with a letter in place of its number where one of told stands in it, the number; None without any)."""
    slots, numbers, of_matrix = [], [], None
    stacked = re.search(r'"expert": (\d+)', text) if told[0].endswith("]") else None  # whatever its stack is called
    for each in told:
        before, after = each.split(f"{{{letter}}}", 1)
        # A letter before it may stand there with the number of the next block, a stack for another of the same experts.
        start = re.sub(r"\\\{([a-z])\\\}", r"\\{\1(?:[+-]1)?\\}", re.escape(before))
        start = re.sub(r"\w+\\\[$", r"\\w+\\[", start) if after == "]" else start
        slots.append(re.compile(rf"(?<![\w.])({start})(\d+)({re.escape(after)}|(?=[\s\"'+)])|$)"))
        numbers += [int(match[2]) for match in slots[-1].finditer(text)]
        of_matrix = of_matrix or re.search(rf'"matrix": "{start}(\d+)', text)
    if not numbers and not stacked:
        return text, None
    anchor = int(stacked[1]) if stacked else int(of_matrix[1]) if of_matrix else min(numbers)

    def lettered(match):
        by = int(match[2]) - anchor
        said = {0: f"{{{letter}}}", 1: f"{{{letter}+1}}", -1: f"{{{letter}-1}}"}.get(by, match[2])
        return f"{match[1]}{said}{match[3]}"

    for slot in slots:
        text = slot.sub(lettered, text)
    if stacked:
        text = re.sub(r'"expert": \d+', f'"expert": "{{{letter}}}"', text)
    return text, anchor


def _count(told, letter, numbers, names, stacked):
    """How many numbers a reader would count."""
    before, after = told.split(f"{{{letter}}}", 1)
    before = _replaced(before, numbers)
    if after == "]":
        shape = next((t.shape for name, t in stacked.items() if name.endswith(before.removesuffix("["))), ())
        return shape[0] if len(shape) == 3 else 0
    n = 0
    while any(name.startswith(f"{before}{n}{after}") for name in names):
        n += 1
    return n
