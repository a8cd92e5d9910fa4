"""What a trace holds: uses of weight matrices, and which output channel of one feeds which input channel of another."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Feed:
    """Which output channels i of an earlier use an input channel j of this use depends on, no other weight between.

    kind "one-to-one": of_target (n_in,) is the i of each j, -1 for none; one i may serve several j.
    kind "groups": every i feeds every j of its label; to_labels (n_in,), from_labels (n_out,), -1 for none.
    kind "all-to-all": every i feeds every j.
    kind "pairs": listed (pairs, 2), rows (j, i).
    An earlier use may have several feeds: two for the gate and up halves of one matrix, one more for queries.
    same_position (n_out,): True where i is read at the position of j only (a query), False where at others too (a key).
    """

    earlier: int
    kind: str
    shape: tuple[int, int]  # (n_in, n_out)
    of_target: np.ndarray | None = field(default=None, repr=False)
    to_labels: np.ndarray | None = field(default=None, repr=False)
    from_labels: np.ndarray | None = field(default=None, repr=False)
    listed: np.ndarray | None = field(default=None, repr=False)
    same_position: np.ndarray | None = field(default=None, repr=False)

    def pairs(self) -> np.ndarray:
        """(pairs, 2) every (j, i), sorted."""
        if self.kind == "one-to-one":
            j = np.flatnonzero(self.of_target >= 0)
            return np.column_stack([j, self.of_target[j]])
        if self.kind == "pairs":
            return self.listed
        if self.kind == "all-to-all":
            return np.argwhere(np.ones(self.shape, bool))
        same = self.to_labels[:, None] == self.from_labels[None, :]
        return np.argwhere(same & (self.to_labels >= 0)[:, None])

    @property
    def channels(self) -> np.ndarray:
        """The output channels i that feed anything, sorted."""
        if self.kind == "one-to-one":
            return np.unique(self.of_target[self.of_target >= 0])
        if self.kind == "groups":
            return np.flatnonzero(np.isin(self.from_labels, self.to_labels[self.to_labels >= 0]))
        return np.arange(self.shape[1]) if self.kind == "all-to-all" else np.unique(self.listed[:, 1])


@dataclass(frozen=True)
class Use:
    """One product of a weight matrix with what flows through the model.

    The weight of input channel j and output channel i at kernel position p lies at rows[i] + cols[j] + kernel[p] of
    the parameter, flattened in its own (logical) order; within groups of channels only where groups > 1.
    values (n_out, n_in, kernel): the weights used, where they are computed from the parameter (weight norm, pruning).
    """

    name: str
    kind: str  # "linear", "convolution", "embedding", "input"
    n_in: int
    n_out: int
    shape: tuple = ()  # of the parameter
    rows: np.ndarray | None = field(default=None, repr=False)
    cols: np.ndarray | None = field(default=None, repr=False)
    kernel: np.ndarray | None = field(default=None, repr=False)
    groups: int = 1
    occurrence: int = 0  # how often the same weights were used before
    positions: int = 0  # tokens, pixels and samples it was applied to
    values: np.ndarray | None = field(default=None, repr=False)
    feeds: tuple[Feed, ...] = ()
    cut_by: tuple[tuple[int, str], ...] = ()

    @property
    def transposed(self) -> bool:
        """Whether the parameter is stored (inputs, outputs)."""
        if self.kind == "input" or self.groups > 1:
            return self.kind != "input" and len(np.unique(self.rows)) < self.n_out
        return bool(_step(self.rows) < _step(self.cols) < np.inf)

    @property
    def expert(self) -> int | None:
        """The number of its matrix in a parameter that stacks several."""
        if self.kind not in ("linear", "embedding") or len(self.shape) < 3:
            return None
        size = int(np.prod(self.shape[1:]))
        first = int(self.rows.min() + self.cols.min()) // size
        last = int(self.rows.max() + self.cols.max()) // size
        return first if first == last else None

    def in_two_dimensions(self):
        """(rows (n_out,), columns (n_in,)) in the parameter seen as (all but the last, last) dimensions, or None.

        Of a transposed use (rows (n_in,), columns (n_out,)): output i and input j meet at [rows[j], columns[i]].
        """
        if self.kind not in ("linear", "embedding") or len(self.kernel) != 1 or self.values is not None:
            return None
        width = self.shape[-1]
        down, across = (self.cols, self.rows) if self.transposed else (self.rows, self.cols)
        first = int(down[0] + across[0])
        rows, columns = (down - down[0] + first) // width, first % width + across - across[0]
        fits = np.array_equal((rows - rows[0]) * width, down - down[0]) and 0 <= columns.min() <= columns.max() < width
        return (rows, columns) if fits else None

    def weights(self, parameter) -> np.ndarray:
        """(n_out, n_in, kernel) weights in an array of the parameter, zero between groups."""
        if self.values is not None:
            return self.values
        places = self.rows[:, None, None] + self.cols[None, :, None] + self.kernel[None, None, :]
        weights = np.asarray(parameter).reshape(-1)[places]
        if self.groups > 1:
            of_out = np.arange(self.n_out) // (self.n_out // self.groups)
            of_in = np.arange(self.n_in) // (self.n_in // self.groups)
            weights = np.where((of_out[:, None] == of_in[None, :])[:, :, None], weights, 0)
        return weights

    def feeds_of(self, earlier) -> tuple[Feed, ...]:
        return tuple(feed for feed in self.feeds if feed.earlier == earlier)


def _step(places):
    """The smallest distance between two places, that of an only one being without end."""
    steps = np.diff(np.unique(places))
    return steps.min() if len(steps) else np.inf


@dataclass(frozen=True)
class Trace:
    """Uses in the order of the model's forward, and what is not among them."""

    uses: tuple[Use, ...]
    left_out: tuple[tuple[str, tuple, str], ...] = ()  # (name, shape, reason)
    notes: tuple[str, ...] = ()

    def of(self, name) -> list[int]:
        """The numbers of the uses of a parameter."""
        return [number for number, use in enumerate(self.uses) if use.name == name]
