"""What all panels share: controls above, one picture of fixed proportions, the numbers below it.

A panel holds state and does no arithmetic: it asks study for spectra, and draws. What moves with the controls is
drawn over a kept background, so that a slider feels immediate.
"""

import base64
import io
import os

import ipywidgets as widgets
import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ..errors import NeuroMFAError
from ..errors.text import html
from ..laboratory import load_run
from ..method import refuse_no_method
from ..plots.curves import RUN_COLOURS, STYLE, no_ability
from ..spectrum.spread import with_ends
from ..study import Trajectory

DPI = 100
BAND = "_band"


class Panel(widgets.VBox):
    """A picture with controls.

    A lesson's panel gives its controls and overrides ``draw_still`` and ``draw_moving``. Arguments that panels share:
    runs (names, folders or Runs that can be chosen, or one of these), method (a Method), samples, neurons_per_layer and
    seed (how neurons are sampled).

    Attributes:
        controls: {name: widget}; setting ``panel.controls["step"].value`` does what the slider does.
        numbers: {name: value} of the present setting; {NAME_band: (low, high)} beside those that have a band.
        image: the widget that holds the picture; ``png`` is its content.
    """

    def __init__(self, controls, width=1000, height=420):
        self.controls = controls
        self.numbers = {}
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, layout="constrained")
        self.canvas = FigureCanvasAgg(self.figure)
        # As wide as there is room for, up to its own size; a height of its own would squeeze it in a narrow window.
        fluid = {"width": "100%", "max_width": f"{width}px", "height": "auto", "object_fit": "contain"}
        self.image = widgets.Image(format="png", layout=widgets.Layout(**fluid, flex="0 0 auto"))
        self.readout = widgets.HTML()
        self.readout.add_class("neuromfa-numbers")
        self._moving = []
        row = widgets.HBox(list(controls.values()), layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__([row, self.image, self.readout], layout=widgets.Layout(align_items="flex-start"))
        self.add_class("neuromfa-panel")
        with mpl.rc_context(STYLE):
            self.draw_still()
        self._keep_background()
        self.update()
        for name, control in controls.items():
            control.add_class(f"neuromfa-{name.replace('_', '-')}")
            if name != "play":  # it moves another control, which is observed itself
                control.observe(lambda change: self.update(), names="value")

    def draw_still(self):
        """Draw on ``self.figure`` what no control changes, and register with ``self.moving`` what one does."""
        raise TypeError(f"{type(self).__name__} must say what it draws: override draw_still and draw_moving")

    def draw_moving(self, **settings):
        """Set the moving artists to the settings (one argument per control) and return {name: number}."""
        raise TypeError(f"{type(self).__name__} must say what moves: override draw_still and draw_moving")

    def moving(self, *artists):
        """Mark artists as redrawn at every move; returns them (the only one without a list)."""
        for artist in artists:
            artist.set_animated(True)
            self._moving.append(artist)
        return artists[0] if len(artists) == 1 else artists

    @property
    def png(self) -> bytes:
        return bytes(self.image.value)

    def update(self):
        """Redraw for the present settings of the controls."""
        settings = {name: control.value for name, control in self.controls.items() if name != "play"}
        with mpl.rc_context(STYLE):
            self.numbers = self.draw_moving(**settings)
            self.canvas.restore_region(self._background)
            for artist in self._moving:
                (artist.axes or self.figure).draw_artist(artist)
        self.image.value = self._encode()
        # The numbers after the picture: a reader (or a test) who sees the new number sees the new picture too.
        self.readout.value = self.readout_html()

    def readout_html(self):
        """The numbers as the line below the picture; a panel with many of them may arrange them better."""
        return ";&ensp; ".join(self.with_band(name) for name in self.numbers if not name.endswith(BAND))

    def with_band(self, name):
        """A number in words, followed by the ends of its band where the numbers have one, as NAME_band."""
        value, band = self.numbers[name], self.numbers.get(name + BAND)
        if band is None:
            text = f"{value:.4f}" if isinstance(value, float) else str(value)
            return f"{html(name)} = <b>{html(text)}</b>"
        value, ends = with_ends(value, band).split(" ", 1)
        return f"{html(name)} = <b>{value}</b> {ends}"

    def _keep_background(self):
        with mpl.rc_context(STYLE):
            self.canvas.draw()
            self.figure.set_layout_engine("none")
            self._background = self.canvas.copy_from_bbox(self.figure.bbox)

    def _encode(self):
        buffer = io.BytesIO()
        opaque = np.ascontiguousarray(np.asarray(self.canvas.buffer_rgba())[..., :3])
        Image.fromarray(opaque).save(buffer, format="png", compress_level=1)
        return buffer.getvalue()

    def _repr_mimebundle_(self, **kwargs):
        # The picture stays in the saved notebook, for readers without a running kernel.
        bundle = super()._repr_mimebundle_(**kwargs)
        return {**bundle, "image/png": base64.b64encode(self.image.value).decode()}


def banded(spectrum, *names):
    """{name: value, NAME_band: (low, high)} of "alpha0" and "width" of a Spectrum, without a band where it has none."""
    found = {}
    for name in names:
        found[name] = getattr(spectrum, name)
        if spectrum.band(name) is not None:
            found[name + BAND] = tuple(spectrum.band(name).tolist())
    return found


def lay_band(span, band):
    """Lay an axvspan() over a band, out of sight where there is none."""
    span.set_visible(band is not None)
    if band is not None:
        span.set_bounds(band[0], 0, band[1] - band[0], 1)


def spread_of(summary):
    """Which spread a Trajectory's summary has: "sd" over its samples, or "error" over the neurons of a single one."""
    return "error" if "emergence_error" in summary else "sd"


def spread_said(history):
    """That spread in words."""
    if history.sample.max() > 0:
        return f"standard deviation over {history.sample.max() + 1} samples of neurons"
    return "standard error over the neurons of one sample"


def open_runs(runs):
    """(Runs, the steps that all of them have), of names, folders and Runs, or one of these; first seeds only.

    A Trajectory counts as a run that was followed already, and is returned as it is.
    """
    runs = runs if hasattr(runs, "__iter__") and not isinstance(runs, (str, os.PathLike)) else [runs]
    runs = [load_run(run) if isinstance(run, (str, os.PathLike)) else run for run in runs]
    names = [_name(run) for run in runs]
    if len(set(names)) < len(names):
        raise NeuroMFAError(
            f"a panel tells its runs apart by name, and two of {', '.join(names)} are the same: make a panel for each"
        )
    steps = sorted(set.intersection(*(set(_steps(run)) for run in runs)))
    if not steps:
        raise NeuroMFAError(f"the runs {', '.join(names)} have no step in common: make a panel for each")
    return runs, steps


def require_ability(runs):
    """Refuse Runs and Trajectories without an ability, before any of them is followed."""
    for run in runs:
        if not (run.ability_name if isinstance(run, Trajectory) else run.ability):
            raise no_ability(_name(run))


def _name(run):
    return run.run if isinstance(run, Trajectory) else run.name


def _steps(run):
    return run.summary()["step"].tolist() if isinstance(run, Trajectory) else run.steps(run.seeds[0])


def colours_of(names):
    """{name: colour} for the runs of a panel."""
    if len(names) > len(RUN_COLOURS):
        raise NeuroMFAError(f"a panel can tell {len(RUN_COLOURS)} runs apart by colour, not {len(names)}: show fewer")
    return dict(zip(names, RUN_COLOURS, strict=False))


def run_and_step(runs, steps):
    """The controls of a panel that shows one step of one run: a list of the runs, a slider at the last step."""
    run = widgets.Dropdown(options=[run.name for run in runs], description="run")
    return {"run": run, "step": stops(steps, steps[-1], "step")}


def stops(options, value, name):
    """A slider that stops at these options only, values or (label, value)."""
    layout = widgets.Layout(width="420px")
    return widgets.SelectionSlider(options=options, value=value, description=name, layout=layout)


def require_window(method):
    """Refuse a Method without a window that a control can move in."""
    refuse_no_method(method)
    if method.window is None:
        raise NeuroMFAError(f"method {method.name!r} has no window to move in: give it one with replace()")


def log_ticks(ax, x, y):
    """Logarithmic axes with these ticks, written as plain numbers."""
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(x, [f"{tick}" for tick in x], minor=False)
    ax.set_yticks(y, [f"{tick}" for tick in y], minor=False)
    ax.minorticks_off()
