"""The panel of lesson 03 whose sliders move the window and the radii: a fresh analysis gives its numbers and badge."""

import numpy as np
import pytest

import neuromfa_lite as nmfa
from neuromfa_lite.panels import WindowPanel
from neuromfa_lite.panels.window import NUMBERS
from neuromfa_lite.spectrum import neuron_fractal_dimension

RUNS = ("induction", "induction-control")


@pytest.fixture(scope="module")
def panel():
    return WindowPanel(RUNS)


def put(panel, **settings):
    for name, value in settings.items():
        panel.controls[name].value = value


def sample(settings):
    return nmfa.load_network(nmfa.load_run(settings["run"]).checkpoint(settings["step"])).sample(32, seed=0)


def test_five_settings_show_what_a_fresh_analysis_gives(panel):
    random, pictures = np.random.default_rng(8), set()
    for _ in range(5):
        put(panel, run=str(random.choice(RUNS)), step=int(random.choice(panel.controls["step"].options)))
        put(panel, window=int(random.integers(110, 401)), radius=int(random.integers(1, 81)))
        settings = {name: control.value for name, control in panel.controls.items()}
        low, high = settings["radius"], settings["window"]
        method = nmfa.PAPER.replace(window=(1, high), scaling_range=(low, high))
        spectrum = nmfa.analyze(sample(settings), method)
        expected = (spectrum.alpha0, spectrum.width, spectrum.r2, spectrum.neurons_used)
        expected = (*expected, np.count_nonzero(spectrum.radii >= low), spectrum.share_inside)
        assert [panel.numbers[name] for name in NUMBERS] == pytest.approx(expected, abs=1e-12)
        for name in ("alpha0", "width"):
            low, high = spectrum.band(name)
            assert panel.numbers[f"{name}_band"] == pytest.approx((low, high), abs=1e-12)
            assert f"[{low:.4f} \u2026 {high:.4f}]" in panel.readout.value
        assert panel.numbers["badge"] == ("; ".join(spectrum.flags) or spectrum.verdict)
        assert f"{spectrum.alpha0:.4f}" in panel.readout.value
        pictures.add(panel.png)
    assert len(pictures) == 5


def test_untouched_sliders_are_the_papers_method(panel):
    put(panel, run="induction", step=724, window=150, radius=1)
    spectrum = nmfa.analyze(sample({"run": "induction", "step": 724}))
    assert panel.numbers["alpha0"] == spectrum.alpha0 and panel.numbers["width"] == spectrum.width


def test_the_drawn_line_has_the_slope_alpha0(panel):
    put(panel, run="induction", step=0, window=90, radius=20)
    radii, line = panel._line.get_data()
    slope = np.polyfit(np.log(radii), np.log(line), 1)[0]
    assert slope == pytest.approx(panel.numbers["alpha0"], abs=1e-10)
    put(panel, radius=1)
    mean = neuron_fractal_dimension(sample({"run": "induction", "step": 0}), nmfa.PAPER.replace(window=(1, 90)))
    assert panel.numbers["alpha0"] == pytest.approx(mean.dimension.mean(), abs=1e-12)


def test_every_control_changes_the_picture(panel):
    put(panel, run="induction", step=724, window=150, radius=1)
    for name, value in {"radius": 12, "window": 300, "step": 0, "run": "induction-control"}.items():
        before = panel.png
        if name == "run":
            put(panel, step=128)  # the untrained networks of both runs are the same
            before = panel.png
        put(panel, **{name: value})
        assert panel.png != before, name


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"window": 25, "radius": 40}, "begin at 40"), ({"window": 20, "radius": 1}, "no usable neuron")],
)
def test_where_nothing_can_be_fitted_the_badge_says_why(panel, settings, words):
    put(panel, run="induction", step=0, **settings)
    assert words in panel.numbers["badge"] and panel.numbers["alpha0"] == "none"
    put(panel, window=150, radius=1)
    assert panel.numbers["alpha0"] > 0


def test_a_method_without_a_window_is_refused():
    with pytest.raises(nmfa.NeuroMFAError, match="no window"):
        WindowPanel("induction", nmfa.SCALE_FREE)
