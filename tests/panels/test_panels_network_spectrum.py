"""The panels of lessons 01 and 03 show what a fresh analysis gives, and the network they draw from."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import neuromfa_lite as nmfa
from neuromfa_lite.panels import NetworkPanel, SpectrumPanel, WindowPanel
from neuromfa_lite.plots import networks as drawings
from neuromfa_lite.spectrum import neuron_fractal_dimension

RUNS = ("induction", "induction-control")
MLP_IN = "gpt_neox.layers.0.mlp.dense_h_to_4h.weight"


@pytest.fixture(scope="module")
def network_panel():
    return NetworkPanel(RUNS)


@pytest.fixture(scope="module")
def spectrum_panel():
    return SpectrumPanel(RUNS)


@pytest.fixture(scope="module")
def changed_run(tmp_path_factory):
    """A copy of the induction run whose last checkpoint has other weights in one matrix."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    source = nmfa.load_run("induction")
    shutil.copytree(source.folder, folder)
    file = next(folder.glob("seed-0/step-000724/*.safetensors"))
    weights = load_file(file)
    name = next(name for name in weights if name.endswith("layers.0.mlp.dense_h_to_4h.weight"))
    weights[name] = (weights[name] * 2).astype(weights[name].dtype)
    save_file(weights, file, metadata={"format": "pt"})
    return folder


def fresh_sample(settings):
    checkpoint = nmfa.load_run(settings["run"]).checkpoint(settings["step"])
    return nmfa.load_network(checkpoint).sample(32, seed=0)


def draw_settings(panel, random):
    """Move every control to a random place; returns where they are."""
    for control in panel.controls.values():
        if hasattr(control, "options"):
            options = [option[1] if isinstance(option, tuple) else option for option in control.options]
            control.value = options[random.integers(len(options))]
        else:
            control.value = int(random.integers(control.min, control.max + 1))
    return {name: control.value for name, control in panel.controls.items()}


def test_network_panel_shows_what_a_fresh_analysis_gives(network_panel):
    random, pictures = np.random.default_rng(5), set()
    for _ in range(5):
        settings = draw_settings(network_panel, random)
        numbers, network = network_panel.numbers, fresh_sample(settings)
        spectrum = nmfa.analyze(network)
        place = (spectrum.masses.labels("layer") == settings["layer"]) & (spectrum.masses.number == numbers["neuron"])
        (row,) = np.flatnonzero(place)
        every = neuron_fractal_dimension(network)
        dimensions = every["dimension"]
        assert numbers["dimension_band"] == pytest.approx(tuple(every.band[:, row]), abs=1e-12)
        assert numbers["dimension_r2"] == pytest.approx(every.r2[row], abs=1e-12)
        assert numbers["alpha0_band"] == pytest.approx(tuple(spectrum.band("alpha0")), abs=1e-12)
        assert numbers["r2"] == spectrum.r2
        distances = network.outgoing(settings["layer"], numbers["neuron"])["distance"]
        inside = np.rint(distances[(distances > 1) & (distances <= 150)])
        assert numbers["alpha0"] == pytest.approx(spectrum.alpha0, abs=1e-12)
        assert numbers["dimension"] == pytest.approx(dimensions[row], abs=1e-12)
        assert numbers["mass_in_window"] == spectrum.masses.counts[row, -1] == 1 + len(inside)
        assert numbers["mass"] == 1 + (inside <= settings["radius"]).sum()
        assert numbers["inside"] == len(inside)
        assert numbers["strongest"] == pytest.approx(1 / distances.min(), abs=1e-12)
        pictures.add(network_panel.png)
    assert len(pictures) == 5


def test_spectrum_panel_shows_what_a_fresh_analysis_gives(spectrum_panel):
    random, pictures = np.random.default_rng(6), set()
    for _ in range(5):
        settings = draw_settings(spectrum_panel, random)
        spectrum = nmfa.analyze(fresh_sample(settings))
        at = int(np.argmin(np.abs(spectrum.q - settings["q"])))
        expected = {
            "tau": spectrum.tau[at],
            "alpha": spectrum.alpha[at],
            "f": spectrum.f[at],
            "r2": spectrum.r2_by_q[at],
            "alpha0": spectrum.alpha0,
            "width": spectrum.width,
            "worst_r2": spectrum.r2,
        }
        shown = {name: value for name, value in spectrum_panel.numbers.items() if name in expected}
        assert shown == pytest.approx(expected, abs=1e-12)
        for name in ("tau", "alpha", "f"):
            assert spectrum_panel.numbers[f"{name}_band"] == pytest.approx(tuple(spectrum.band(name)[:, at]), abs=1e-12)
        for name in ("alpha0", "width"):
            assert spectrum_panel.numbers[f"{name}_band"] == pytest.approx(tuple(spectrum.band(name)), abs=1e-12)
        assert spectrum_panel.numbers["flags"] == ("; ".join(spectrum.flags) or "none")
        pictures.add(spectrum_panel.png)
    assert len(pictures) == 5


@pytest.mark.parametrize("panel_name", ["network_panel", "spectrum_panel"])
def test_every_control_changes_the_picture(panel_name, request):
    panel = request.getfixturevalue(panel_name)
    for name, control in panel.controls.items():
        before = panel.png
        if hasattr(control, "options"):
            options = [option[1] if isinstance(option, tuple) else option for option in control.options]
            control.value = next(option for option in reversed(options) if option != control.value)
        else:
            control.value = control.min if control.value != control.min else control.max
        assert panel.png != before, name


@pytest.mark.parametrize("kind", [NetworkPanel, SpectrumPanel])
def test_a_changed_checkpoint_changes_the_panel(kind, changed_run):
    mine, bundled = kind([changed_run]), kind([nmfa.load_run("induction")])
    assert mine.numbers["alpha0"] != bundled.numbers["alpha0"]
    assert mine.png != bundled.png
    for panel in (mine, bundled):
        panel.controls["step"].value = 128
    assert mine.numbers == bundled.numbers
    network = nmfa.load_network(changed_run / "seed-0" / "step-000724").sample(32, seed=0)
    mine.controls["step"].value = 724
    assert mine.numbers["alpha0"] == pytest.approx(nmfa.analyze(network).alpha0, abs=1e-12)


@pytest.mark.parametrize("panel_name", ["network_panel", "spectrum_panel"])
def test_the_picture_stays_in_the_saved_notebook(panel_name, request):
    panel = request.getfixturevalue(panel_name)
    bundle = panel._repr_mimebundle_()
    assert panel.png.startswith(b"\x89PNG")
    json.dumps(bundle["image/png"])
    assert len(bundle["image/png"]) > len(panel.png)


def test_neuron_slider_follows_the_size_of_the_layer(network_panel):
    controls = network_panel.controls
    controls["layer"].value = "block 0 mlp"
    assert controls["neuron"].max == 63
    controls["neuron"].value = 60
    controls["layer"].value = "block 0 middle"
    assert (controls["neuron"].value, controls["neuron"].max) == (31, 31)


def test_a_neuron_left_out_has_no_mass():
    panel = NetworkPanel(["induction"], method=nmfa.PAPER.replace(minimum_connections=40))
    panel.controls["layer"].value = "block 0 attention"  # 32 connections in the sample
    assert panel.numbers["mass"] == panel.numbers["dimension"] == "left out"
    assert panel.numbers["connections"] == 32


def test_the_connections_shown_are_those_of_the_masses():
    method = nmfa.PAPER.replace(wiring="both-directions")
    panel = NetworkPanel(["modular-addition"], method)
    masses = panel.spectra["modular-addition", 2500].masses
    for layer in panel.controls["layer"].options:
        panel.controls["layer"].value = layer
        panel.controls["neuron"].value = 3
        number = panel.numbers["neuron"]
        (row,) = np.flatnonzero((masses.labels("layer") == layer) & (masses.number == number))
        assert panel.numbers["connections"] == masses.places[row]
        assert panel.numbers["inside"] == masses.inside[row] == panel.numbers["mass_in_window"] - 1


@pytest.mark.parametrize("kind", [SpectrumPanel, WindowPanel])
def test_a_panel_takes_a_method_of_another_wiring(kind):
    method = nmfa.PAPER.replace(wiring="both-directions")
    checkpoint = nmfa.load_run("modular-addition").checkpoint(2500)
    wanted = nmfa.analyze(nmfa.load_network(checkpoint, wiring=method.wiring).sample(32, seed=0), method)
    assert kind(["modular-addition"], method).numbers["alpha0"] == pytest.approx(wanted.alpha0, abs=1e-12)


def test_network_panel_needs_a_window():
    with pytest.raises(nmfa.NeuroMFAError, match="window"):
        NetworkPanel(["induction"], method=nmfa.SCALE_FREE)


def test_runs_of_one_name_are_refused(changed_run):
    with pytest.raises(nmfa.NeuroMFAError, match="apart"):
        SpectrumPanel(["induction", changed_run])


def test_spectrum_panel_takes_other_methods():
    for method in (nmfa.PUBLISHED, nmfa.SCALE_FREE):
        panel = SpectrumPanel(["induction"], method=method)
        panel.controls["q"].value = panel.controls["q"].options[-1][1]
        network = fresh_sample({"run": "induction", "step": 724})
        spectrum = nmfa.analyze(network, method)
        assert panel.numbers["alpha"] == pytest.approx(spectrum.alpha[-1], abs=1e-12)
        assert panel.numbers["alpha0"] == pytest.approx(spectrum.alpha0, abs=1e-12)


def test_outgoing_is_a_column_of_the_matrix():
    whole = nmfa.load_network(nmfa.load_run("induction").checkpoint(724))
    block = next(block for block in whole.weight_blocks if block.name == MLP_IN)
    table = whole.outgoing("block 0 middle", 17)
    assert np.array_equal(table["weight"], block.weights()[:, 17].astype(float))
    assert np.array_equal(table["distance"], 1 / np.abs(table["weight"]))
    sample = whole.sample(8, seed=3)
    number = sample.layers[5].numbers[2]
    in_sample = sample.outgoing("block 0 middle", number)
    assert np.array_equal(in_sample["weight"], whole.outgoing("block 0 middle", number)["weight"][in_sample["target"]])


def test_outgoing_of_a_list_of_edges():
    star = nmfa.NeuronNetwork.from_edges([0, 0, 1], [1, 2, 2], [0.5, 0.0, -0.1])
    table = star.outgoing("neurons", 0)
    assert table["target"].tolist() == [1, 2]
    assert table["distance"].tolist() == [2.0, np.inf]


@pytest.mark.parametrize(
    ("layer", "number", "says"),
    [
        ("block 9 mlp", 0, "block 0 mlp"),
        ("block 0 mlp", 256, "no neuron 256"),
        ("block 0 query", 0, "no weight matrix"),
    ],
)
def test_outgoing_refuses_what_is_not_there(layer, number, says):
    whole = nmfa.load_network(nmfa.load_run("induction").checkpoint(0))
    with pytest.raises(nmfa.NeuroMFAError, match=says):
        whole.outgoing(layer, number)


def test_drawings_return_their_axes():
    from matplotlib.figure import Figure

    network = nmfa.load_network(nmfa.load_run("induction").checkpoint(724))
    axes = Figure().subplots(1, 5)
    table = network.outgoing("block 0 mlp", 3)
    assert drawings.plot_network(network.sample(4, seed=0), axes[0], closer_than=20) is axes[0]
    assert drawings.plot_matrix(network, MLP_IN, 3, axes[1]) is axes[1]
    assert drawings.plot_outgoing(table, axes[2]) is axes[2]
    assert drawings.plot_chain(network, axes[3]) is axes[3]
    ring = nmfa.NeuronNetwork.from_edges(range(6), [1, 2, 3, 4, 5, 0], [0.1] * 6)
    assert drawings.plot_network(ring, axes[4]) is axes[4]
    with pytest.raises(nmfa.NeuroMFAError, match="describe"):
        drawings.plot_matrix(network, "nothing", 0, axes[1])


def test_neurons_are_drawn_at_their_distance():
    spots = drawings.around(np.array([1.0, 10.0, np.inf]))
    assert np.hypot(*spots.T) == pytest.approx(np.log1p([1, 10, drawings.RINGS[-1]]), abs=1e-12)
