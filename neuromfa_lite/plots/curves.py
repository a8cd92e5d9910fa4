"""matplotlib pictures: every function takes a result and ``ax=None`` and returns the Axes it drew on."""

import textwrap
from itertools import cycle

import numpy as np

from ..errors import NeuroMFAError, arguments
from ..errors.text import math_free
from ..masses import count_masses
from ..method import PAPER
from ..spectrum.spread import with_ends

# Okabe and Ito's palette, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, GREY = "#CC79A7", "#56B4E9", "#7F7F7F"
RUN_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY)
STYLE = {
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.labelsize": 12,
    "legend.fontsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
}
WEIGHT_EDGES = np.linspace(-0.3, 0.3, 121)


def axes_for(ax, size=(6, 4)):
    """The Axes given, or those of a new figure (of a size in inches) in the style of all pictures here."""
    if hasattr(ax, "plot") and hasattr(ax, "figure"):
        return ax
    if ax is not None:
        raise NeuroMFAError(f"ax must be matplotlib Axes, or None for a new figure, not {type(ax).__name__}")
    import matplotlib.pyplot as plt

    # Outside the context: a notebook's first figure turns on that figures are shown, and the context would undo it.
    figure = plt.figure(figsize=size, layout="constrained")
    with plt.rc_context(STYLE):
        return figure.subplots()


def plot_spectrum(spectrum, ax=None, color=BLUE, label=None):
    """Draw f over alpha; dotted = alpha0, shaded = its band; the quality flag is written where there is one."""
    ax = axes_for(ax)
    ax.plot(spectrum.alpha, spectrum.f, "o-", ms=3, color=color, label=label)
    ax.axvline(spectrum.alpha0, color=color, ls=":", lw=1.5)
    ax.set(xlabel=r"singularity strength $\alpha$", ylabel=r"$f(\alpha) = q\alpha - \tau$")
    ax.set_title(rf"$\alpha_0$ = {spectrum.shown('alpha0', 3)},  $w$ = {spectrum.shown('width', 3)}", fontsize=11)
    if spectrum.band("alpha0") is not None:
        ax.axvspan(*spectrum.band("alpha0"), color=ORANGE, alpha=0.45, lw=0)
    _write_badge(spectrum, ax)
    return ax


def plot_tau(spectrum, ax=None, color=BLUE, label=None):
    """Draw the mass exponent tau over the moment order q with its band, of a Spectrum or of a Confidence."""
    ax = axes_for(ax)
    ax.plot(spectrum.q, spectrum.tau, "-", lw=2, color=color, label=label)
    ax.plot(1 if getattr(spectrum, "convention", "paper") == "standard" else 0, 0, "o", color=color)
    ax.set(xlabel="moment order $q$", ylabel=r"mass exponent $\tau(q)$")
    band = spectrum.tau_band if hasattr(spectrum, "tau_band") else spectrum.band("tau")
    if band is not None:
        ax.fill_between(spectrum.q, *band, color=color, alpha=0.35, lw=0)
    _write_badge(spectrum, ax, y=0.9)
    return ax


def plot_confidence(bands, ax=None, color=BLUE, label=None):
    """Draw f over alpha: thin lines = resampled spectra (or other samples), shaded = the band of alpha0."""
    ax = axes_for(ax)
    ax.plot(bands.curves_alpha.T, bands.curves_f.T, "-", lw=0.6, color=color, alpha=0.3)
    ax.plot(bands.alpha, bands.f, "-", lw=2.2, color=color, label=label)
    ax.axvspan(*bands.alpha0_band, color=ORANGE, alpha=0.45, lw=0)
    ax.set(xlabel=r"singularity strength $\alpha$", ylabel=r"$f(\alpha) = q\alpha - \tau$")
    alpha0, width = with_ends(bands.alpha0, bands.alpha0_band, 3), with_ends(bands.width, bands.width_band, 3)
    ax.set_title(rf"$\alpha_0$ = {alpha0},  $w$ = {width},  $r^2$ = {bands.r2:.2f}", fontsize=11)
    return ax


def plot_dimensions(dimensions, ax=None, by="layer", color=BLUE):
    """Draw a dot per neuron at its dimension, a row per layer or role: bar = its middle half, diamond = its mean."""
    ax = axes_for(ax)
    names, values = getattr(dimensions, dimensions.grouping(by)), dimensions.dimension
    groups = list(dict.fromkeys(names.tolist()))
    for row, name in enumerate(groups):
        mine = values[names == name]
        # Multiples of the golden ratio spread dots over the row without a pattern and without chance.
        up = row + 0.6 * (np.arange(len(mine)) * 0.6180339887 % 1 - 0.5)
        ax.plot(mine, up, ".", ms=7, color=color, alpha=0.4, mew=0, rasterized=True)
        ax.plot(np.quantile(mine, [0.25, 0.75]), [row, row], "-", color="black", lw=3, solid_capstyle="butt")
        ax.plot(mine.mean(), row, "D", ms=8, color=ORANGE, mec="black")
    what = r"= $\alpha_0$" if dimensions.grid == "common" else r"(own radii: not $\alpha_0$)"
    ax.axvline(values.mean(), color=RED, ls="--", lw=1.5)
    ax.set_title(f"mean of all {len(values)} neurons {what}: {dimensions.mean_shown(3)}")
    ax.set_yticks(range(len(groups)), [f"{math_free(name)} ({np.count_nonzero(names == name)})" for name in groups])
    ax.set(ylim=(len(groups) - 0.5, -0.5), xlabel=name_of_dimension(dimensions))
    return ax


def name_of_dimension(dimensions):
    """What an axis of single neurons' dimensions is called, with how sure and how straight they are."""
    sure = dimensions.error_said() or "; no band: not over connections"
    return f"dimension of the neuron (NFD)\n{sure[2:]}, $r^2 \\geq$ {dimensions.r2.min():.2f}"


def plot_partition(spectrum, q=(-3, -1, 1, 3), ax=None):
    """Draw ln Z_q against ln(r/r_max) with its fitted line, for the values of the spectrum nearest to each q."""
    ax = axes_for(ax)
    x, band = np.log(spectrum.radii / spectrum.radii[-1]), spectrum.band("tau")
    for color, wanted in zip(cycle((BLUE, SKY, ORANGE, RED, GREEN, PURPLE)), np.atleast_1d(q), strict=False):
        j = int(np.argmin(np.abs(spectrum.q - wanted)))
        ax.plot(x, spectrum.log_partition[j], ".", color=color, ms=4)
        line = spectrum.log_partition[j] - spectrum.residuals[j]
        tau = with_ends(spectrum.tau[j], None if band is None else band[:, j], 2)
        name = rf"$q$ = {spectrum.q[j]:g}: $\tau$ = {tau}, $r^2$ = {spectrum.r2_by_q[j]:.2f}"
        ax.plot(x, line, "-", color=color, lw=1.5, label=name)
    ax.set(xlabel=r"$\ln(r/r_{\max})$", ylabel=r"$\ln Z_q(r)$")
    low, high = ax.get_ylim()
    room = (high - low) / 8  # above the curves for the legend, below for the badge
    ax.set_ylim(low - room, high + room * len(np.atleast_1d(q)))
    ax.legend(frameon=False, loc="upper right", fontsize=9)
    _write_badge(spectrum, ax)
    return ax


def plot_distances(network, method=PAPER, ax=None, color=BLUE):
    """Draw how many connections lie at each distance, to twice the window; what the window leaves out is grey."""
    ax = axes_for(ax)
    used = count_masses(network, method)
    low, high = method.window or (0.0, np.inf)
    wide = None if method.window is None else (0.0, 2 * high)
    masses = count_masses(network, method.replace(minimum_connections=1, window=wide))
    ends = masses.counts.sum(axis=0, dtype=np.int64) - len(masses.counts)
    bars = 1.0 if method.rounding else -np.diff(masses.radii, prepend=0)
    inside = (masses.radii > low) & (masses.radii <= high)
    colours = np.where(inside, color, "#BBBBBB")
    ax.bar(masses.radii, np.diff(ends, prepend=0), bars, align="center" if method.rounding else "edge", color=colours)
    share = used.share_inside
    ax.set(xlabel="distance $d = 1/|w|$" if method.distance == "inverse" else "distance $d$", ylabel="connections")
    ax.set_title(f"{share:.0%} of the connections lie in the window")
    if np.isfinite(high):
        ax.axvspan(low, high, color=color, alpha=0.08, lw=0)
        ax.axvline(high, color="black", ls="--", lw=1)
        ax.set_xlim(0, 2 * high)
    return ax


def plot_trajectory(trajectory, ax=None, color=BLUE, label=None, bands=None):
    """Draw E over the training steps, thin lines = other training seeds; bands as for Trajectory.plot()."""
    ax = _curves(trajectory, "emergence", ax, color, label, bands)
    ax.axhline(0, color="black", lw=0.8)
    return ax


def plot_ability(trajectory, ax=None, color=ORANGE, label=None):
    """Draw the ability over the training steps; thin lines are other training seeds. A run without one is refused."""
    if not trajectory.ability_name:
        raise no_ability(trajectory.run)
    ax = _curves(trajectory, trajectory.ability_name, ax, color, label)
    ax.set(ylabel=math_free(trajectory.ability_name.replace("_", " ")), ylim=(-0.03, 1.03))
    return ax


def plot_regularity(trajectory, ax=None, color=BLUE, label=None, bands=None):
    """Draw alpha0 over the training steps; bands as for Trajectory.plot()."""
    return _curves(trajectory, "alpha0", ax, color, label, bands)


def plot_heterogeneity(trajectory, ax=None, color=BLUE, label=None, bands=None):
    """Draw the spectrum width over the training steps; bands as for Trajectory.plot()."""
    return _curves(trajectory, "width", ax, color, label, bands)


def plot_trajectory_confidence(bands, quantity="emergence", ax=None, color=BLUE, label=None):
    """Draw E, alpha0 or the width of one sample along a run with its resampled band."""
    ax = axes_for(ax)
    name = label or f"{math_free(bands.source)}, {bands.neurons_per_layer or 'all'} neurons a layer"
    name += rf", $r^2 \geq$ {bands.r2.min():.2f}"
    ax.plot(bands.step, getattr(bands, quantity), "o-", color=color, lw=2, ms=4, label=name)
    ax.fill_between(bands.step, *getattr(bands, f"{quantity}_band"), color=color, alpha=0.25, lw=0)
    ax.set(xlabel="training step", ylabel=LABELS[quantity])
    _say_above(f"one sample; band: {RESAMPLED.format(bands)}", ax)
    step_axis(ax, int(bands.step[-1])).legend(frameon=False)
    return ax


LABELS = {
    "emergence": "degree of emergence $E$",
    "alpha0": r"regularity $\alpha_0$",
    "width": "heterogeneity (width $w$)",
}
RESAMPLED = "{0.resamples} resamples of its neurons, nominal {0.level:.0%}"


def _curves(trajectory, name, ax, color, label, bands=None):
    """Draw one column of a trajectory over its steps, every training seed a line; returns the Axes."""
    ax, label = axes_for(ax), label or math_free(trajectory.run)
    if name in LABELS:  # the fit beside the band; of an ability there is none
        label += rf", $r^2 \geq$ {trajectory.r2.min():.2f}"
    for seed in trajectory.training_seeds:
        table = trajectory.summary(seed)
        main = seed == trajectory.training_seeds[0]
        steps, values = table["step"].to_numpy(float), table[name].to_numpy()
        if len(table) < len(np.unique(trajectory.step)):
            # No line from step 0 to a first later checkpoint far away: it would look like growth nobody measured.
            steps, values = np.insert(steps, 1, np.nan), np.insert(values, 1, np.nan)
        ax.plot(
            steps, values, color=color, lw=2.2 if main else 1, ls="-" if main else ":", marker="o", ms=4 if main else 3,
            label=label if main else None,
        )  # fmt: skip
        if main and name in LABELS:
            _shade(trajectory, table, name, ax, color, bands)
    step_axis(ax, int(trajectory.step.max())).legend(frameon=False)
    ax.set(xlabel="training step", ylabel=LABELS.get(name))
    return ax


def _shade(trajectory, table, name, ax, color, bands):
    """Shade the band of the main run: +- sd over samples, the span of the samples, or a resampled band."""
    shade = {"color": color, "alpha": 0.2, "lw": 0}
    if bands is None:
        one = f"{name}_error" in table
        spread = table[f"{name}_error" if one else f"{name}_sd"]
        if spread.notna().all():
            ax.fill_between(table["step"], table[name] - spread, table[name] + spread, **shade)
            over = "standard error over the neurons of one sample" if one else "standard deviation over samples"
            _say_above(f"band: \u00b1 {over}", ax)
    elif isinstance(bands, str) and bands == "redraws":
        span, said = trajectory.redraws(name)
        ax.fill_between(table["step"], *span, **shade)
        _say_above(f"band: {said}", ax)
    elif getattr(bands, "step", None) is not None and getattr(bands, "source", None) == trajectory.run:
        ax.plot(bands.step, getattr(bands, name), "--", color=color, lw=1)
        ax.fill_between(bands.step, *getattr(bands, f"{name}_band"), **shade)
        _say_above(f"dashed: one sample; band: {RESAMPLED.format(bands)}", ax)
    else:
        raise NeuroMFAError(
            f'bands={arguments.shown(bands)} are no bands of run {trajectory.run!r}: use None, "redraws" or what '
            "nmfa.trajectory_confidence(run) returns"
        )


def step_axis(ax, last):
    """Training steps on a logarithmic axis that has a 0, the untrained network; returns the Axes."""
    ax.set_xscale("symlog", linthresh=1)
    ticks = [0, *(10**power for power in range(len(str(last))))]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set_xlim(-0.3, last * 1.15)
    return ax


def no_ability(run):
    """The error for a picture of an ability, of a run (its name) that records none."""
    return NeuroMFAError(f"run {run!r} records no ability to draw: draw its E alone, with follow(run).plot()")


def badge(spectrum, ax):
    """The quality of a spectrum in words, broken to the width of ax: its first flag, or that its fits are straight."""
    flags = getattr(spectrum, "flags", ())
    text = f"\u26a0 {flags[0]}" if flags else spectrum.verdict
    return _broken(math_free(text if "r2" in text else f"{text} (worst r2 = {spectrum.r2:.3f})"), ax)


def _broken(text, ax):
    # A flag is a sentence; at 9 points 14 letters are an inch.
    return textwrap.fill(text, max(20, int(14 * ax.bbox.width / ax.figure.dpi)))


def _say_above(text, ax):
    """What may be said of bands over steps, above the picture: below, the curves would run through it."""
    ax.set_title(_broken(text, ax), fontsize=9)  # no colour: a title put over it later would keep that


def _write_badge(spectrum, ax, y=0.03):
    color = RED if getattr(spectrum, "flags", ()) else GREY
    clear = {"fc": "white", "ec": "none", "alpha": 0.8, "pad": 1}
    ax.text(0.5, y, badge(spectrum, ax), transform=ax.transAxes, ha="center", fontsize=9, color=color, bbox=clear)
