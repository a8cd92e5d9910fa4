"""The whole trace: a few runs with other numbers in place of what the matrices gave, their answers united."""

from contextlib import ExitStack

import numpy as np

from ...errors import NeuroMFAError, SourceError, said
from .ask import Questions
from .data import Trace, Use
from .mode import record
from .model import as_before, call_of, given, in_full, unwrapped
from .patterns import feeds_of
from .places import Places

DRAWS = 2  # and one more where they differ


def trace(model, inputs, progress=True) -> Trace:
    """Who feeds whom in a torch.nn.Module that runs on inputs: a tensor, a tuple of arguments, or a dict of named ones.

    Raises SourceError for a model that cannot be traced or inputs that do not fit it; the model stays as it is.
    """
    import torch

    whole = in_full(unwrapped(model))
    arguments = given(whole, inputs)
    with as_before(whole), torch.inference_mode(False), torch.enable_grad():
        return _Tracing(whole, arguments, progress).result()


class _Tracing:
    """Runs of one model, united."""

    def __init__(self, model, inputs, progress):
        import torch

        self.torch, self.model, self.inputs, self.progress = torch, model, inputs, progress
        self.uses, self.order, self.feeds, self.cuts, self.notes = {}, [], {}, {}, []
        self.left_out, self.sizes, self.real, self.by_chance = None, {}, False, False
        self.copies = False

    def result(self):
        seen = []
        with ExitStack() as stack:
            weights = self._parametrized(stack)
            for draw in range(DRAWS + 1):
                if draw == DRAWS and seen[0] == seen[1]:
                    break
                seen.append(self._asked(draw, weights))
                if draw == 0 and self.by_chance and self._asked(0, weights, seed=1) != seen[0]:
                    raise SourceError(
                        f"{'; '.join(self.notes)}, and its wiring changes with them: let it draw from a generator of a "
                        "fixed seed, or trace the part of it that does not draw"
                    )
        return self._united()

    def _asked(self, draw, weights, seed=0):
        """A draw; running out of memory is said in words."""
        try:
            return self._draw(draw, weights, seed)
        except (MemoryError, RuntimeError) as error:
            if "modified by an inplace operation" in str(error) and not self.copies:
                self.copies = True
                return self._asked(draw, weights, seed)
            if isinstance(error, RuntimeError) and "memory" not in str(error):
                raise SourceError(
                    f"the gradients of {type(self.model).__name__} cannot be asked ({said(error)}): trace the part of "
                    "it that holds the weights"
                ) from error
            raise SourceError(
                f"memory ran out in the trace of {type(self.model).__name__} ({said(error)}): give it a smaller input, "
                "one sample of a few tokens or pixels"
            ) from error

    def _parametrized(self, stack):
        """(computed weight, the parameter of its shape, others, words) of torch.nn.utils.parametrize, computed once."""
        from torch.nn.utils import parametrize

        stack.enter_context(parametrize.cached())
        made = []
        for module in self.model.modules():
            for name, kept in getattr(module, "parametrizations", {}).items():
                weight = getattr(module, name)
                source = next((p for p in kept.parameters(recurse=False) if p.shape == weight.shape), None)
                others = [p for p in kept.parameters() if p is not source]
                made.append((weight, source, others, f"the parametrization of {name}"))
        return made

    def _draw(self, draw, weights, seed):
        """Run once and ask everything; what was found, to be compared."""
        noted = self._recorded(draw, weights, seed)
        made = noted.made
        axes = _input_axes(self.torch, made)

        def channels_last(number, gradient):
            """(questions, positions, channels) of a leaf's gradients (questions, *shape)."""
            if made[number].kind != "input":
                return gradient
            kept = [axis for axis in range(made[number].leaf.dim()) if axis not in axes[number]]
            order = [0, *(axis + 1 for axis in kept), *(axis + 1 for axis in axes[number])]
            return gradient.permute(order).reshape(len(gradient), -1, _channels(made[number].leaf, axes[number]))

        questions = Questions(self.torch, [entry.leaf for entry in made], channels_last, draw)
        answers, found = {}, {}
        for number in self._bar(range(len(made))):
            read = made[number].read
            if read is not None and id(read) not in answers:
                answers[id(read)] = questions.answer(read, list(range(number)))
            reached = answers.get(id(read), {}) if read is not None else {}
            found[made[number].key] = {made[n].key: answer for n, answer in reached.items() if n < number}
        for number, entry in enumerate(made):
            if entry.key not in self.uses:
                after = made[number - 1].key if number else None
                self.order.insert(self.order.index(after) + 1 if after else 0, entry.key)
                self.uses[entry.key] = entry, _size(entry, axes.get(number))
            self._unite(entry, made, found[entry.key])
        left_out = dict((name, (shape, reason)) for name, shape, reason in noted.places.left_out())
        self.left_out = left_out if self.left_out is None else {
            name: why for name, why in self.left_out.items() if name in left_out
        }  # fmt: skip
        self.notes += [note for note in noted.notes if note not in self.notes]
        return {key: {name: codes.tobytes() for name, (codes, _) in each.items()} for key, each in found.items()}

    def _recorded(self, draw, weights, seed):
        """One run; with the model's own numbers where it does not bear others."""
        try:
            noted = self._run(draw, weights, seed, self.real)
        except Exception as error:
            if isinstance(error, NeuroMFAError) or self.real:
                raise
            self._refuse_inputs()
            try:
                noted = self._run(draw, weights, seed, True)
            except Exception:
                raise SourceError(
                    f"{type(self.model).__name__} runs on these inputs, but not while it is traced ({said(error)}): "
                    "trace the part of it that holds the weights"
                ) from error
            self.real = True
            self.notes.append(f"run with its own numbers only, for it fails with others ({said(error)})")
        self.by_chance |= noted.chance
        if not any(entry.kind != "input" for entry in noted.made):
            raise SourceError(
                f"no product with a weight matrix was seen in {type(self.model).__name__} with these inputs: "
                f"{'; '.join(f'{name} {reason}' for name, _, reason in list(noted.places.left_out())[:3])}"
            )
        return noted

    def _run(self, draw, weights, seed, real):
        torch = self.torch
        places = Places(torch, self.model.named_parameters(remove_duplicate=False))
        if not places.names:
            raise SourceError(f"{type(self.model).__name__} has no weight matrix: there is nothing to trace")
        for weight in weights:
            places.register(*weight)
        generator = torch.Generator().manual_seed(draw)

        def numbers(shape, dtype, device):
            """Of unit scale, so that nothing is dead, saturated or nought."""
            return torch.randn(shape, generator=generator, dtype=dtype).to(device)

        torch.manual_seed(seed)
        return record(torch, self.model, places, self.inputs, numbers, real, self.copies)

    def _refuse_inputs(self):
        """Refuse inputs that the model itself does not take."""
        try:
            with self.torch.enable_grad():
                self.model(*self.inputs[0], **self.inputs[1])
        except Exception as error:
            raise SourceError(
                f"{type(self.model).__name__} does not run on these inputs ({said(error)}): it is called as "
                f"{call_of(self.model)}; give a tensor, a tuple of arguments or a dict of named ones"
            ) from error

    def _unite(self, entry, made, found):
        feeds = self.feeds.setdefault(entry.key, {})
        sizes = {each.key: each.leaf.shape[0] if each.leaf.dim() else 1 for each in made}
        self.sizes = sizes | self.sizes
        for key, (codes, where) in found.items():
            if key in feeds:
                before, spots = feeds[key]
                codes = before if np.array_equal(before, codes) else np.union1d(before, codes)
                # What a router chose differs from run to run, and so do the places of its tokens.
                routed = any(by is not None for by in entry.depends.values())
                routed |= sizes[entry.key] != self.sizes[entry.key] or sizes[key] != self.sizes[key]
                agree = (where == -1) | (where == spots) | (routed & (spots >= 0) & (where >= 0))
                where = np.where(spots == -1, where, np.where(agree, spots, -2))
            feeds[key] = codes, where
        cuts = self.cuts.setdefault(entry.key, {})
        for number, by in entry.depends.items():
            if by is not None and number >= 0:
                cuts.setdefault(made[number].key, by)

    def _united(self):
        number_of = {key: number for number, key in enumerate(self.order)}
        uses = []
        for key in self.order:
            entry, (n_in, n_out) = self.uses[key]
            feeds = []
            for other, (codes, where) in sorted(self.feeds[key].items(), key=lambda item: number_of[item[0]]):
                same = (where != -2).all(0) & (where >= 0).any(0)
                feeds += feeds_of(number_of[other], codes, (n_in, where.shape[1]), same)
            cut = sorted((number_of[other], by) for other, by in self.cuts[key].items() if other not in self.feeds[key])
            uses.append(_use(entry, n_in, n_out, tuple(feeds), tuple(cut)))
        left_out = tuple((name, *why) for name, why in self.left_out.items())
        return Trace(tuple(uses), left_out + tuple(_unreached(uses)), tuple(self.notes))

    def _bar(self, numbers):
        from tqdm.auto import tqdm

        return tqdm(numbers, desc="trace", unit="matrix", disable=not self.progress, delay=1, leave=False)


def _unreached(uses):
    """(name, shape, reason) of the matrices of a stack that no token reached."""
    stacks = {}
    for use in uses:
        if use.kind == "linear" and len(use.shape) > 2:
            stacks.setdefault((use.name, use.shape), set()).add(use.expert)
    for (name, shape), reached in stacks.items():
        missing = sorted(set(range(shape[0])) - reached)
        if missing and None not in reached:
            numbers = ", ".join(map(str, missing))
            yield name, shape, f"expert {numbers} of {shape[0]}: nothing reached it with these inputs"


def _use(entry, n_in, n_out, feeds, cut):
    piece = entry.piece
    if piece is None:
        return Use(entry.name, entry.kind, 0, n_out, tuple(entry.leaf.shape))
    return Use(
        entry.name, entry.kind, n_in, n_out, entry.shape, piece.rows, piece.cols, piece.kernel, entry.groups,
        entry.occurrence, len(entry.leaf), piece.values, feeds, cut,
    )  # fmt: skip


def _size(entry, axes):
    """(n_in, n_out) of a use."""
    if entry.kind == "input":
        return 0, _channels(entry.leaf, axes)
    return len(entry.piece.cols), len(entry.piece.rows)


def _channels(leaf, axes):
    return int(np.prod([leaf.shape[axis] for axis in axes])) if leaf.dim() else 1


def _input_axes(torch, made):
    """{number of an input: its channel axes}, found in what reads it first."""
    axes = {}
    for number, entry in enumerate(made):
        if entry.kind != "input":
            continue
        leaf = entry.leaf
        axes[number] = _guessed(leaf)
        for other in made[number + 1 :]:
            if other.read is None or not other.read.requires_grad:
                continue
            (gradient,) = torch.autograd.grad(
                other.read, leaf, torch.ones_like(other.read), retain_graph=True, allow_unused=True
            )
            if gradient is not None:
                axes[number] = _axes_for(leaf, other)
                break
    return axes


def _guessed(leaf):
    return (leaf.dim() - 1,) if leaf.dim() else ()


def _axes_for(leaf, reader):
    n_in = reader.read.shape[1]
    if reader.kind == "convolution" and leaf.dim() > reader.dimensions:
        return (leaf.dim() - 1 - reader.dimensions,)
    if leaf.dim() > 1 and leaf.shape[-1] != n_in and n_in == leaf[0].numel():
        return tuple(range(1, leaf.dim()))  # flattened, as the pixels of an image
    if leaf.dim() == 4 and leaf.shape[1] in (1, 3, 4) and leaf.shape[-1] != n_in:
        return (1,)
    return _guessed(leaf)
