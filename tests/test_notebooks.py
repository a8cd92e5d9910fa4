"""Every notebook runs from top to bottom, quickly, in little memory, and says what it said when it was saved."""

import base64
import io
import os
import re
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

import neuromfa_lite as nmfa
from neuromfa_lite.network import connections

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import notebooks  # noqa: E402

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
NOTATION = ROOT / "docs" / "notation.md"
NEED_TORCH = ("08_your_own_model",)
LONGEST_SECONDS = 60
LARGEST_MEMORY_MB = 1000
# Not ru_maxrss: on Linux it counts the process that started the kernel, this test's own, as well.
MEMORY_CELL = r"""
import pathlib, re, resource
status = pathlib.Path("/proc/self/status")
peak = int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) if status.exists() else None
print("peak", (peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) // 1024)
"""


@pytest.fixture
def without_torch(tmp_path, monkeypatch):
    """Kernels started in the test cannot import torch or transformers."""
    for name in ("torch", "transformers"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} is blocked in this test')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)


@pytest.mark.notebooks
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_fresh_run_prints_the_saved_numbers(path, tmp_path, request):
    if path.stem in NEED_TORCH:
        pytest.importorskip("torch")
    else:
        request.getfixturevalue("without_torch")
    saved = nbformat.read(path, as_version=4)
    copy = nbformat.read(path, as_version=4)
    copy.cells.append(nbformat.v4.new_code_cell(MEMORY_CELL))
    nbformat.write(copy, tmp_path / path.name)
    started = time.perf_counter()
    fresh = notebooks.execute(tmp_path / path.name)
    seconds = time.perf_counter() - started
    memory = int(re.search(r"peak (\d+)", fresh.cells.pop().outputs[0].text)[1])
    assert notebooks.differing_numbers(notebooks.printed_numbers(saved), notebooks.printed_numbers(fresh)) == []
    assert notebooks.printed_words(saved) == notebooks.printed_words(fresh)
    assert memory < LARGEST_MEMORY_MB
    assert seconds < LONGEST_SECONDS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_saved_outputs_belong_to_the_code(path):
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata["neuromfa_lite"]["code_hash"] == notebooks.code_hash(notebook), "run `make notebooks`"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_saved_notebook_shows_pictures_and_holds_no_widget_state(path):
    notebook = nbformat.read(path, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert "widgets" not in notebook.metadata
    assert not any(notebooks.WIDGET in output.get("data", {}) for output in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_code_cells_are_short(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 15


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_begins_with_how_to_run_it(path):
    first = nbformat.read(path, as_version=4).cells[0].source
    assert "*Run > Run All Cells*" in first and "Shift+Enter" in first


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_begins_with_a_link_to_the_notation(path):
    first = nbformat.read(path, as_version=4).cells[0].source
    (link,) = re.findall(r"\[notation\]\(([^)]+)\)", first)
    assert (path.parent / link).resolve() == ROOT / "docs" / "notation.md" and NOTATION.is_file()


def test_the_notation_names_only_what_the_code_has():
    text = NOTATION.read_text(encoding="utf-8")
    named = re.findall(r"`([A-Z]\w+)\.(\w+)`", text)
    assert len(named) > 20
    for owner, name in named:
        rooms = (nmfa, nmfa.masses, nmfa.spectrum, nmfa.study, connections)
        kind = next(getattr(room, owner) for room in rooms if hasattr(room, owner))
        assert hasattr(kind, name) or name in getattr(kind, "__dataclass_fields__", {}), f"{owner}.{name}"
    assert all(hasattr(nmfa, name) for name in re.findall(r"`nmfa\.(\w+)`", text))


def test_words_are_compared_without_their_numbers():
    def printing(*texts):
        cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("stream", text=text) for text in texts])
        return notebooks.printed_words(nbformat.v4.new_notebook(cells=[cell]))

    assert printing("E = 0.72, most\n") == printing("E = 0.7,  most")
    assert printing("off by -0.0000") == printing("off by  0.0000")
    assert printing("run a, control b") != printing("run a, control None")


def test_numbers_are_compared_to_three_digits():
    assert notebooks.differing_numbers([(0, 0.7651)], [(0, 0.7649)]) == []
    assert notebooks.differing_numbers([(0, 0.765)], [(0, 0.785)]) != []
    assert notebooks.differing_numbers([(0, 1.0)], []) != []
    assert notebooks.differing_numbers([(0, 2e-16)], [(0, 4e-15)]) == []


def test_a_packed_picture_has_the_same_pixels_in_no_more_bytes():
    draw = np.random.default_rng(0)
    solid = np.full((40, 60, 4), 255, np.uint8)
    solid[5:20, 10:30, :3] = draw.integers(0, 256, (15, 20, 3))
    clear = solid.copy()
    clear[25:, :, 3] = 90
    for pixels in (solid, clear, solid[..., :3]):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "png", compress_level=1)
        picture = base64.b64encode(file.getvalue()).decode()
        smaller = notebooks.packed(picture)
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(smaller))).convert("RGBA"))
        assert np.array_equal(shown, np.asarray(Image.fromarray(pixels).convert("RGBA")))
        assert len(smaller) <= len(picture) and notebooks.packed(smaller) == smaller
