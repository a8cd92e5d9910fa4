"""Which output channels reach which input channels, read from gradients: exact zeros, every channel asked."""

import warnings
from dataclasses import dataclass
from math import ceil, log2

import numpy as np

from .patterns import distinct

AT_ONCE = 2**23  # numbers in the gradients of one call


class Questions:
    """Gradients of one run, its leaves given as (positions, channels)."""

    def __init__(self, torch, leaves, channels_last, seed):
        self.torch, self.leaves, self.channels_last = torch, leaves, channels_last
        self.draw = torch.Generator().manual_seed(seed)
        self.batched = True

    def random(self, like, shape):
        numbers = self.torch.randn(shape, generator=self.draw, dtype=self.torch.float64).to(like.real.dtype)
        return numbers.to(like.device, like.dtype)

    def pull(self, read, cotangents, leaves, see):
        """(questions, ...) see(gradient of each leaf) for cotangents (questions, *read.shape), in chunks."""
        torch, found = self.torch, [[] for _ in leaves]
        tensors = [self.leaves[number] for number in leaves]
        widest = max([read.numel(), *(tensor.numel() for tensor in tensors)])
        for chunk in cotangents(max(1, min(512, AT_ONCE // max(1, widest)))):
            for out, gradient in zip(found, self._gradients(torch, read, chunk, tensors), strict=True):
                out.append(gradient)
        return [
            np.concatenate([see(self.channels_last(number, part)) for part in parts])
            for number, parts in zip(leaves, found, strict=True)
        ]

    def _gradients(self, torch, read, chunk, tensors):
        """(questions, *shape) of every tensor, zero where it is not reached."""
        if self.batched and len(chunk) > 1:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    got = torch.autograd.grad(
                        read, tensors, chunk, retain_graph=True, allow_unused=True, is_grads_batched=True
                    )
                return [_or_zeros(torch, each, (len(chunk), *t.shape), t) for each, t in zip(got, tensors, strict=True)]
            except RuntimeError:
                self.batched = False  # some call has no batched gradient
        rows = [torch.autograd.grad(read, tensors, row, retain_graph=True, allow_unused=True) for row in chunk]
        return [
            torch.stack([_or_zeros(torch, row[n], tensor.shape, tensor) for row in rows])
            for n, tensor in enumerate(tensors)
        ]

    def answer(self, read, earlier):
        """{leaf: (codes j * n_out + i, sorted; positions (3, n_out))} of every leaf that reaches a tensor (P, n_in)."""
        if not read.requires_grad:
            return {}
        torch, n_in = self.torch, read.shape[1]
        every = self.random(read, read.shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            got = torch.autograd.grad(
                read, [self.leaves[n] for n in earlier], every, retain_graph=True, allow_unused=True
            )
        live = [number for number, gradient in zip(earlier, got, strict=True) if gradient is not None]
        if not live:
            return {}
        # Each channel's number in bits: a channel that only one j reads answers to exactly one of every two questions.
        masks = _halves(n_in)
        asked = self._masked(read, every, masks)
        found = self.pull(read, asked, live, lambda gradient: (gradient != 0).any(1).cpu().numpy())
        pairs, open_, columns = {}, {}, set()
        for number, seen in zip(live, found, strict=True):
            pairs[number], several = _read_bits(seen, n_in)
            if len(several.channels):
                open_[number] = several
                columns |= self._several(read, number, several, pairs)
        if columns:
            self._ask_columns(read, every, sorted(columns), open_, pairs)
        spots = self._positions(read, every, live)
        answers = {}
        for number, where in zip(live, spots, strict=True):
            n_out = where.shape[1]
            j, i = np.concatenate(pairs[number]).T if pairs[number] else (np.zeros(0, np.int64),) * 2
            codes = distinct(j.astype(np.int64) * n_out + i)
            if len(codes):
                answers[number] = codes, where
        return answers

    def _ask_columns(self, read, every, columns, open_, pairs):
        """Ask input channel by input channel; those at once that no output channel may feed both of."""
        masks = _one_by_one(columns, [several.fits for several in open_.values()], read.shape[1])
        asked = self._masked(read, every, masks)
        seen = self.pull(read, asked, list(open_), lambda gradient: (gradient != 0).any(1).cpu().numpy())
        for (number, several), reached in zip(open_.items(), seen, strict=True):
            pairs[number].append(_attributed(reached, masks, several))

    def _several(self, read, number, several, pairs):
        """Ask from the other side, by tangents: which i does each j read; returns the j that are left to be asked."""
        torch, channels = self.torch, several.channels
        left = set(np.flatnonzero(several.fits.any(0)).tolist())
        try:
            cotangent = torch.zeros_like(read).requires_grad_()
            (back,) = torch.autograd.grad(read, self.leaves[number], cotangent, create_graph=True)
            if not back.requires_grad:
                return left
            chosen = self.channels_last(number, back.unsqueeze(0))[0][:, torch.as_tensor(channels, device=back.device)]
            every = self.random(chosen, chosen.shape)

            def reached(mask):
                tangent = every * torch.as_tensor(mask, device=every.device)
                (moved,) = torch.autograd.grad(chosen, cotangent, tangent, retain_graph=True)
                return (moved != 0).any(0).cpu().numpy()

            known, others = _read_bits(np.array([reached(mask) for mask in _halves(len(channels))]), len(channels))
            told = [np.column_stack([each[:, 1], channels[each[:, 0]]]) for each in known]
            left = set(others.channels.tolist())
            if left:
                # Few channels that feed many are asked one by one from this side, many that feed few from the other.
                masks = _one_by_one(range(len(channels)), [others.fits], len(channels))
                if len(masks) < len(_one_by_one(sorted(left), [several.fits], read.shape[1])):
                    seen = np.array([reached(mask) for mask in masks])
                    i, j = _attributed(seen, masks, others).T
                    told.append(np.column_stack([j, channels[i]]))
                    left = set()
        except RuntimeError:  # some gradient has none of its own
            return set(np.flatnonzero(several.fits.any(0)).tolist())
        pairs[number] += told
        return left

    def _positions(self, read, every, live):
        """(3, n_out) of the first, middle and last position read: the only position it is read at; -1 none, -2 more."""
        spots = sorted({0, len(read) // 2, len(read) - 1})
        masks = np.zeros((3, len(read)), bool)
        masks[np.arange(3), (spots * 3)[:3]] = True

        def cotangents(most):
            for start in range(0, 3, most):
                chosen = self.torch.as_tensor(masks[start : start + most], device=every.device)
                yield every * chosen[:, :, None]

        def see(gradient):
            reached = gradient != 0
            only = reached.to(self.torch.int8).argmax(1)
            count = reached.sum(1)
            return self.torch.where(count > 1, -2, self.torch.where(count == 0, -1, only)).cpu().numpy()

        return self.pull(read, cotangents, live, see)

    def _masked(self, read, every, masks):
        def cotangents(most):
            for start in range(0, len(masks), most):
                chosen = self.torch.as_tensor(masks[start : start + most], device=every.device)
                yield every * chosen[:, None, :]

        return cotangents


def _or_zeros(torch, gradient, shape, like):
    return torch.zeros(shape, dtype=like.dtype, device=like.device) if gradient is None else gradient


def _halves(channels):
    """(questions, channels) bool: for every bit of a channel's number those that have it, then those that have not."""
    numbers = np.arange(channels)
    bits = [(numbers >> bit) & 1 == 1 for bit in range(max(1, ceil(log2(channels))))] if channels > 1 else []
    return np.array([half for bit in bits for half in (bit, ~bit)] or [np.ones(channels, bool)])


@dataclass
class _Several:
    """Output channels i that several j read; fits[which]: (channels,) bool j that each of them may be read by."""

    channels: np.ndarray
    which: np.ndarray
    fits: np.ndarray


def _read_bits(seen, channels):
    """([pairs (j, i)], _Several) of answers to _halves."""
    if channels == 1:
        i = np.flatnonzero(seen[0])
        none = np.zeros(0, np.int64)
        return [np.column_stack([np.zeros_like(i), i])], _Several(none, none, np.zeros((0, 1), bool))
    has, lacks = seen[0::2], seen[1::2]
    one = (has ^ lacks).all(0)
    i = np.flatnonzero(one)
    j = (has[:, i] * (1 << np.arange(len(has)))[:, None]).sum(0)
    several = np.flatnonzero((has | lacks).any(0) & ~one)
    # A bit that only one half answers to is settled for all j of this i.
    answers, which = np.unique(np.concatenate([has, lacks])[:, several].T, axis=0, return_inverse=True)
    fits = np.ones((len(answers), channels), bool)
    for bit in range(len(has)):
        set_ = (np.arange(channels) >> bit) & 1 == 1
        fits &= np.where(set_, answers[:, bit, None], answers[:, len(has) + bit, None])
    return [np.column_stack([j, i])], _Several(several, which.reshape(-1), fits)


def _one_by_one(columns, fits, channels):
    """(questions, channels) bool that ask for each column, for two at once only where no row of fits holds both."""
    columns = list(columns)
    rows = np.unique(np.concatenate(fits)[:, columns], axis=0)
    taken = np.zeros((len(rows), len(columns)), bool)  # questions that a row is in
    asked = np.zeros(len(columns), np.int64)
    for column in range(len(columns)):
        mine = rows[:, column]
        asked[column] = np.argmin(taken[mine].any(0)) if mine.any() else 0
        taken[mine, asked[column]] = True
    masks = np.zeros((asked.max() + 1, channels), bool)
    masks[asked, columns] = True
    return masks


def _attributed(seen, masks, several):
    """(pairs, 2) of an asked channel and one of several.channels that answered (questions, all channels) to it."""
    question, at = np.nonzero(seen[:, several.channels])
    fits = several.fits[several.which[at]] & masks[question]
    told = fits.any(1)
    return np.column_stack([fits.argmax(1), several.channels[at]])[told]
