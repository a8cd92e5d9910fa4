"""Names from outside: none is a tag of a page, a formula of a picture or a command to the terminal."""

import json
import shutil
from dataclasses import replace

import ipywidgets as widgets
import pytest
from click.testing import CliRunner
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from safetensors.numpy import load_file, save_file

import neuromfa_lite as nmfa
from neuromfa_lite import panels
from neuromfa_lite.cli.commands import main
from neuromfa_lite.errors import NeuroMFAError
from neuromfa_lite.errors.text import html, math_free, plain
from neuromfa_lite.evaluation.card import COLUMNS, Scorecard
from neuromfa_lite.plots import curves as plots
from neuromfa_lite.plots import networks as drawings
from neuromfa_lite.plots.scorecards import plot_scorecard
from neuromfa_lite.study import measure as study

NAMES = ("<img src=x onerror=alert(1)>", "\x1b]0;pwned\x07", "$x^{$", "\u202e\x9b2J", "&amp;", "'\"", "a\nb\r")
HOSTILE = "".join(NAMES)
PRINTABLE = "".join(filter(str.isprintable, NAMES))  # all that a manifest may say
METHOD = nmfa.PAPER.replace(name=HOSTILE)


def printable(text):
    return all(line.isprintable() for line in text.split("\n"))


@pytest.mark.small
@pytest.mark.parametrize("name", [*NAMES, HOSTILE, "$\\$"])
def test_a_name_is_shown_letter_by_letter(name):
    assert plain(name).isprintable() and printable(plain(name, lines=True)) and plain(plain(name)) == plain(name)
    assert not set("<>\"'") & set(html(name)) and html(name).isprintable()
    figure = Figure()
    text = figure.text(0, 0, math_free(name) + " of $x^2$")
    FigureCanvasAgg(figure).draw()
    assert text.get_text().count("$") - text.get_text().count(r"\$") == 2


@pytest.mark.small
def test_ordinary_words_are_left_alone():
    words = "α₀ = 0.75 [0.74 … 0.76], Grüße, 数 naïve"
    assert plain(words) == html(words) == math_free(words) == words
    assert plain("a\nb", lines=True) == "a\nb"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two checkpoints of the induction run in a folder of an odd name, whose manifest says odd things."""
    bundled = nmfa.load_run("induction")
    folder = tmp_path_factory.mktemp("runs") / HOSTILE.replace("/", "")
    manifest = {**bundled.manifest, "run": PRINTABLE, "title": HOSTILE, "ability": PRINTABLE, "checkpoints": []}
    for entry in bundled.manifest["checkpoints"]:
        if entry["seed"] == 0 and entry["step"] in (0, 724):
            manifest["checkpoints"].append({**entry, "abilities": {PRINTABLE: entry["abilities"]["copy_accuracy"]}})
            place = bundled.checkpoint(entry["step"]).folder
            shutil.copytree(place, folder / place.relative_to(bundled.folder))
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return nmfa.load_run(folder)


@pytest.fixture(scope="module")
def history(run):
    return nmfa.follow(run, METHOD, samples=1)


@pytest.fixture(scope="module")
def results(run, history):
    """Every kind of result, with odd words wherever a run, a method or a file may put them."""
    end = nmfa.load_network(run.checkpoint(724)).sample(32, seed=0)
    spectrum = replace(nmfa.analyze(end, METHOD), stored_notes=(HOSTILE,))
    bands = replace(nmfa.confidence(end, METHOD, resamples=20), notes=(HOSTILE,), verdict=HOSTILE, kind=HOSTILE)
    found = {
        "run": run,
        "checkpoint": run.checkpoint(724),
        "network": end,
        "weights": end.describe(),
        "spectrum": spectrum,
        "flagged": replace(spectrum, flags=(HOSTILE,), verdict=HOSTILE, masses=None),
        "straight": replace(spectrum, flags=(), verdict=HOSTILE),
        "dimensions": replace(nmfa.neuron_fractal_dimension(end, METHOD), grid=HOSTILE),
        "trajectory": history,
        "confidence": bands,
        "along": replace(nmfa.trajectory_confidence(run, METHOD, resamples=20), kind=HOSTILE),
        "scorecard": Scorecard(tuple(_cells()), {}),
    }
    return found


def _cells():
    for question in ("follows ability", "noise of seeds"):
        yield dict(zip(COLUMNS, (HOSTILE, question, HOSTILE, 724, 0.5, 0.4, 0.6, 1, HOSTILE), strict=True))


RESULTS = "run checkpoint network weights spectrum flagged straight dimensions trajectory confidence along"


@pytest.mark.parametrize("kind", [*RESULTS.split(), "scorecard"])
def test_no_result_writes_a_tag_or_a_command(kind, results):
    result = results[kind]
    assert printable(repr(result))
    if hasattr(result, "_repr_html_"):
        page = result._repr_html_()
        assert "<img" not in page and page.count("<") == page.count(">")


def _drawings(results, run):
    network = results["network"]
    yield from (results[kind].plot for kind in ("spectrum", "flagged", "straight", "dimensions", "trajectory", "along"))
    yield lambda ax: plots.plot_ability(results["trajectory"], ax)
    yield lambda ax: plots.plot_regularity(results["trajectory"], ax)
    yield lambda ax: plots.plot_tau(results["flagged"], ax)
    yield lambda ax: plots.plot_tau(results["confidence"], ax)
    yield lambda ax: plots.plot_confidence(results["confidence"], ax)
    yield lambda ax: plots.plot_partition(results["flagged"], ax=ax)
    yield lambda ax: plot_scorecard(results["scorecard"], ax)
    layers = [replace(layer, name=HOSTILE, role=HOSTILE) for layer in network.layers]
    odd = nmfa.NeuronNetwork(layers, network.blocks)
    yield lambda ax: drawings.plot_matrix(odd, odd.weight_blocks[0].name, 3, ax)
    yield lambda ax: drawings.plot_chain(odd, ax)
    tiny = nmfa.load_network(run.checkpoint(724)).sample(2, seed=0)
    tiny = nmfa.NeuronNetwork([replace(x, name=x.name + HOSTILE, role=HOSTILE) for x in tiny.layers], tiny.blocks)
    yield lambda ax: drawings.plot_network(tiny, ax)
    yield lambda ax: nmfa.neuron_fractal_dimension(odd).plot(ax)


def test_every_picture_is_drawn_whatever_the_names(results, run):
    for draw in _drawings(results, run):
        figure = Figure(figsize=(8, 5))
        draw(ax=figure.subplots())
        FigureCanvasAgg(figure).draw()


def _within(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from _within(child)


@pytest.mark.filterwarnings("ignore:constrained_layout")  # there is no room for such a name
@pytest.mark.parametrize(
    "make",
    [
        lambda run, history: panels.NetworkPanel(run, METHOD),
        lambda run, history: panels.SpectrumPanel(run, METHOD),
        lambda run, history: panels.WindowPanel(run, METHOD),
        lambda run, history: panels.StartHerePanel(run, METHOD, samples=1),
        lambda run, history: panels.EmergencePanel(history),
        lambda run, history: panels.ChangePanel(run, {HOSTILE: METHOD}, samples=1),
    ],
    ids=["network", "spectrum", "window", "start here", "emergence", "change"],
)
def test_no_panel_writes_a_tag(make, run, history):
    panel = make(run, history)
    for _ in range(2):
        for widget in _within(panel):
            assert not getattr(widget, "description_allow_html", False)
            if isinstance(widget, widgets.HTML | widgets.HTMLMath):
                assert widget.value and "<img" not in widget.value and printable(widget.value)
        if "window" in panel.controls:  # an error in words in place of numbers
            panel.controls["window"].value, panel.controls["radius"].value = 20, 100
    panel.numbers = {HOSTILE: HOSTILE}
    assert "<img" not in panels.Panel.readout_html(panel)


def test_the_bar_of_a_long_run_says_its_name_in_letters(run, monkeypatch):
    said = []
    monkeypatch.setattr(study, "tqdm", lambda wanted, desc, **options: said.append(desc) or wanted)
    nmfa.follow(run, samples=1, steps=[0])
    assert said == [plain(f"follow {PRINTABLE}")]


@pytest.fixture(scope="module")
def odd_weights(run, tmp_path_factory):
    """A model folder with tensors of odd names beside its own."""
    folder = tmp_path_factory.mktemp("models") / HOSTILE
    shutil.copytree(run.checkpoint(724).folder, folder)
    weights = load_file(folder / "model.safetensors")
    some = weights["gpt_neox.layers.0.attention.dense.bias"]
    save_file({**weights, **{name: some.copy() for name in NAMES}}, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def odd_variant(tmp_path_factory):
    file = tmp_path_factory.mktemp("variants") / "mine.py"
    file.write_text(f"import neuromfa_lite\nVARIANT = neuromfa_lite.PAPER.replace(name={HOSTILE!r})\n")
    return file


def test_the_command_line_prints_no_command_to_the_terminal(run, odd_weights, odd_variant, tmp_path):
    unknown = tmp_path / HOSTILE
    shutil.copytree(odd_weights, unknown)
    (unknown / "config.json").write_text(json.dumps({"model_type": HOSTILE}))
    calls = [
        ("follow", str(run.folder), "--samples", "1"),
        ("describe", str(odd_weights)),
        ("analyze", str(odd_weights), "--method", str(odd_variant)),
        ("analyze", f"{run.folder}@724"),
        ("analyze", f"{run.folder}@5"),
        ("analyze", str(unknown)),
        ("follow", str(unknown)),
        ("follow", HOSTILE),
    ]
    for words in calls:
        said = CliRunner().invoke(main, words)
        assert said.output and printable(said.output), words
        assert "Traceback" not in said.output and isinstance(said.exception, SystemExit | None)
    assert plain(NAMES[1]) in CliRunner().invoke(main, calls[1]).output


def test_an_error_is_printable_and_keeps_its_lines():
    assert str(NeuroMFAError("no \x1b[31m matrix\nbelow")) == "no \\x1b[31m matrix\nbelow"
