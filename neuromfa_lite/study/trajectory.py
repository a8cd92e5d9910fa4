"""A run followed over training: every checkpoint and sample, the degree of emergence, the ability beside it."""

from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np
import pandas as pd

from .. import results
from ..errors import NeuroMFAError, arguments
from ..errors.text import html
from ..method import PAPER, PARTS, Method
from .emergence import degree_of_emergence

REGISTER = 'neuromfa_lite.method.register_part("score", NAME, function)'
_ERRORS = ("alpha0_error", "width_error", "emergence_error")
_COLUMNS = (*"training_seed step sample alpha0 width r2 share_inside neurons_used emergence".split(), *_ERRORS)


@dataclass(frozen=True, eq=False)
class Trajectory(results.Result):
    """What :func:`neuromfa_lite.follow` measured, a row per checkpoint and sample.

    Attributes:
        run: name of the run; ability_name: what its model is tested for, or None.
        training_seed, step, sample: (rows,) whole numbers; the same sample has the same neurons at every step.
        alpha0, width, r2, share_inside: (rows,) of each sample's Spectrum; neurons_used (rows,).
        emergence: (rows,) degree of emergence of each sample against the same sample at step 0.
        alpha0_error, width_error, emergence_error: (rows,) their standard errors over the neurons of the sample, each
            layer by itself; NaN where no two neurons can be compared.
        ability: (rows,) the ability of the checkpoint, NaN where the run records none.
        flags: {"seed/step": what to distrust there, of the worst sample, and in how many samples}.
        radii: the common radii, empty where each network has its own.
        neurons_per_layer, method, method_key, source_hash, versions: how it was measured.
        choices: the Method; None out of a file that cannot tell it: a part was a function, or is not known here.
    """

    run: str
    ability_name: str | None
    training_seed: np.ndarray
    step: np.ndarray
    sample: np.ndarray
    alpha0: np.ndarray
    width: np.ndarray
    r2: np.ndarray
    share_inside: np.ndarray
    neurons_used: np.ndarray
    emergence: np.ndarray
    alpha0_error: np.ndarray
    width_error: np.ndarray
    emergence_error: np.ndarray
    ability: np.ndarray
    radii: np.ndarray
    flags: dict = field(default_factory=dict)
    neurons_per_layer: int | None = None
    source_hash: str = ""
    choices: Method | None = field(default=PAPER, repr=False)
    stored_score: str = field(default="emergence", repr=False)

    _kind = "trajectory"
    _layout = {
        "wholes[rows]": "training_seed step sample neurons_used",
        "numbers[rows]": "alpha0 width r2 share_inside emergence",
        "numbers[rows] or nan": "alpha0_error width_error emergence_error ability",
        "numbers[*]": "radii",
        "text": "run method method_key source_hash score",
        "text or none": "ability_name",
        "whole or none": "neurons_per_layer",
        "words": "flags versions",
        "choices or none": "choices",
    }

    @property
    def training_seeds(self) -> tuple[int, ...]:
        """The training seeds that were followed, the main one first."""
        return tuple(dict.fromkeys(self.training_seed.tolist()))

    def __repr__(self):
        last = self.summary().iloc[-1]
        return (
            f"Trajectory({self.run!r}, method {self.method!r}: steps {self.step.min()}..{self.step.max()}, "
            f"{self.sample.max() + 1} samples, training seeds {list(self.training_seeds)}; "
            f"E = {last.emergence:.3f}{self._spread_said(last)} at the end; {self.quality()})"
        )

    def _spread_said(self, row):
        """The spread of E in a row of summary(), in words; "" where nothing is known of it."""
        samples = self.sample.max() + 1
        error, of = (row.emergence_sd, f"{samples} samples") if samples > 1 else (row.emergence_error, "its neurons")
        kind = "sd" if samples > 1 else "standard error"
        return "" if np.isnan(error) else f" \u00b1 {error:.3f} ({kind} over {of})"

    def _repr_html_(self):
        table = self.summary().dropna(axis=1, how="all").to_html(index=False, float_format="%.3f", na_rep="-")
        warning = f"<b style='color:#b00'>&#9888; {self.quality()}</b>" if self.flags else ""
        return f"<b>{html(self.run)}</b> followed with method {html(self.method)}{table}{warning}"

    def quality(self):
        """One sentence on what is flagged; what exactly, ``flags`` says."""
        checkpoints = len(set(zip(self.training_seed.tolist(), self.step.tolist(), strict=True)))
        return f"{len(self.flags)} of {checkpoints} checkpoints are flagged; worst r2 {self.r2.min():.3f}"

    def frame(self, training_seed=None):
        """pandas DataFrame, a row per step and sample.

        Args:
            training_seed: None: the main run; a number: that seed; "all": every one, told apart by a column.

        Returns:
            DataFrame: training_seed, step, sample, alpha0, width, r2, share_inside, neurons_used, emergence,
            alpha0_error, width_error, emergence_error, and the ability under its own name.

        Raises:
            NeuroMFAError: a training seed that was not followed.
        """
        table = pd.DataFrame({name: getattr(self, name) for name in _COLUMNS})
        if self.ability_name:
            table[self.ability_name] = self.ability
        if isinstance(training_seed, str) and training_seed == "all":
            return table
        return table[table["training_seed"] == self._chosen(training_seed)].reset_index(drop=True)

    def summary(self, training_seed=None):
        """pandas DataFrame, a row per step of one training seed: means and standard deviations over its samples.

        Args:
            training_seed: None for the main run, or the number of another.

        Returns:
            DataFrame: step, alpha0, alpha0_sd, width, width_sd, r2 (the smallest), emergence (of the averaged alpha0
            and width, as published), emergence_sd, of a single sample alpha0_error, width_error, emergence_error, the
            ability under its own name. Over training seeds: training_seeds (how many have this step),
            emergence_over_seeds, emergence_over_seeds_sd and the same two of the ability.

        Raises:
            NeuroMFAError: a training seed that was not followed.
        """
        table = self._tables[self._chosen(training_seed)].copy()
        by_step = pd.concat(self._tables.values()).groupby("step")
        table["training_seeds"] = table["step"].map(by_step.size())
        for name in ("emergence", self.ability_name):
            if name:
                table[f"{name}_over_seeds"] = table["step"].map(by_step[name].mean())
                table[f"{name}_over_seeds_sd"] = table["step"].map(by_step[name].std(ddof=1))
        return table

    def _chosen(self, training_seed):
        chosen = self.training_seeds[0] if training_seed is None else training_seed
        if not arguments.among(chosen, self.training_seeds):
            asked, there = arguments.shown(training_seed), list(self.training_seeds)
            raise NeuroMFAError(f"training_seed={asked} was not followed; there are {there}")
        return int(chosen)

    @cached_property
    def _tables(self):
        """{training seed: DataFrame, a row per step}."""
        return {seed: self._by_step(self.frame(seed)) for seed in self.training_seeds}

    def _by_step(self, rows):
        steps = rows.groupby("step", sort=True)
        table = pd.DataFrame({"step": sorted(steps.groups)})
        for name in ("alpha0", "width"):
            table[name] = steps[name].mean().to_numpy()
            table[f"{name}_sd"] = steps[name].std(ddof=1).to_numpy()
        table["r2"] = steps["r2"].min().to_numpy()
        start = table[table["step"] == 0].iloc[0]
        table["emergence"] = degree_of_emergence(
            table["alpha0"].to_numpy(), table["width"].to_numpy(), start["alpha0"], start["width"], self._scoring
        )
        table["emergence_sd"] = steps["emergence"].std(ddof=1).to_numpy()
        if self.sample.max() == 0:
            table = table.assign(**{name: steps[name].first().to_numpy() for name in _ERRORS})
        if self.ability_name:
            table[self.ability_name] = steps[self.ability_name].first().to_numpy()
        return table

    def plot(self, ax=None, bands=None):
        """Draw E over the steps, thin lines = other training seeds; returns the Axes.

        Args:
            ax: matplotlib Axes; None makes a figure.
            bands: None: plus and minus the standard deviation over samples, of a single one the standard error;
                "redraws": from the smallest to the largest sample; or what
                :func:`neuromfa_lite.trajectory_confidence` returns.
        """
        return results.picture("plot_trajectory", self, ax=ax, bands=bands)

    def redraws(self, quantity):
        """Return the band that n samples span, (2, steps) of the main run, and its probability in words.

        A further sample lies in it with probability (n - 1)/(n + 1): it is as likely to fall at any place among them.

        Args:
            quantity: "emergence", "alpha0" or "width".

        Raises:
            NeuroMFAError: fewer than two samples.
        """
        arguments.one_of("quantity", quantity, ("emergence", "alpha0", "width"))
        rows = self.frame()
        samples = rows["sample"].nunique()
        if samples < 2:
            raise NeuroMFAError(f"{samples} sample spans no band: follow the run with samples=10, say")
        by_step = rows.groupby("step", sort=True)[quantity]
        said = f"holds a further sample with probability {(samples - 1) / (samples + 1):.2f}, by symmetry"
        return np.stack([by_step.min().to_numpy(), by_step.max().to_numpy()]), said

    def _to_file(self):
        refuse_score_without_name(self._scoring)
        return {"score": self._scoring.score, "choices": self.choices and _named_choices(self.choices)}

    @classmethod
    def _from_file(cls, path, values):
        seeds, steps = values["training_seed"], values["step"]
        without = sorted(set(seeds.tolist()) - set(seeds[steps == 0].tolist()))
        if without:
            raise NeuroMFAError(f"{path} is damaged: training_seed {without[0]} has no step 0")
        score, choices = values.pop("score"), values.pop("choices")
        if score not in PARTS["score"]:
            raise NeuroMFAError(f"{path}: its score {score!r:.60} is not known here: register it with {REGISTER}")
        return cls(**values, choices=_method_of(choices, values["method_key"]), stored_score=score)

    @property
    def _scoring(self):
        """A Method with the score, whatever the other choices were."""
        return self.choices or PAPER.replace(score=self.stored_score, name=self.method)


def refuse_score_without_name(method):
    """Refuse to save what a function scored: no file keeps a function."""
    if callable(method.score):
        raise NeuroMFAError(f"this trajectory's score is a function, which no file keeps: register it with {REGISTER}")


def _named_choices(method):
    """The choices of a method as plain values, None where one of them is a function, which no file keeps."""
    choices = {each.name: getattr(method, each.name) for each in fields(method)}
    return None if any(map(callable, choices.values())) else choices


def _method_of(choices, key):
    """The Method of stored choices; None where there are none, or they are not the one that measured."""
    try:
        method = Method(**choices) if choices else None
    except (NeuroMFAError, TypeError):
        return None
    return method if method is not None and method.key == key else None
