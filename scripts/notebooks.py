"""Execute the notebooks and keep them as readers see them: with pictures and numbers, without widget state.

    python scripts/notebooks.py            executes every notebook in place
    python scripts/notebooks.py 00 04      only those whose name starts so

A hash of the code cells is stored with the outputs; a test recomputes it, so that no picture outlives its code.
"""

import base64
import hashlib
import io
import math
import re
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

from neuromfa_lite.results import written

FOLDER = Path(__file__).parent.parent / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w])")
ROUNDING_ERROR = 1e-9


def execute(path, timeout=300):
    """Run a notebook from top to bottom in a fresh kernel, in its own folder; returns it with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=timeout, kernel_name="python3", resources={"metadata": {"path": str(Path(path).parent)}}
    )
    client.execute()
    return notebook


def code_hash(notebook):
    """The hash of all code cells, in their order."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256(code.encode()).hexdigest()


def strip(notebook):
    """Remove what belongs to one running kernel; a panel keeps its picture, a progress bar leaves nothing.

    Pictures are packed as small as they go without changing a pixel.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        kept = []
        for output in cell.outputs:
            data = output.get("data", {})
            was_widget = data.pop(WIDGET, None) is not None
            if (was_widget and "image/png" not in data) or output.get("name") == "stderr":
                continue
            if "image/png" in data:
                data["image/png"] = packed(data["image/png"])
            kept.append(output)
        cell.outputs = kept
    return notebook


def packed(picture):
    """A PNG in base64 with the same pixels in no more bytes; of an opaque picture without its transparency."""
    content = base64.b64decode(picture)
    image, smaller = Image.open(io.BytesIO(content)), io.BytesIO()
    opaque = image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255)
    (image.convert("RGB") if opaque else image).save(smaller, "png", optimize=True)
    return base64.b64encode(min(content, smaller.getvalue(), key=len)).decode()


def printed_numbers(notebook):
    """Every number a notebook prints, as (cell, number); the names of pictures and objects are none."""
    return [(cell, float(match)) for cell, text in _printed(notebook) for match in NUMBER.findall(text)]


def printed_words(notebook):
    """What a notebook prints beside its numbers, as (cell, text); a conclusion in words may change alone."""
    return [(cell, " ".join(NUMBER.sub(" ", text).split())) for cell, text in _printed(notebook)]


def _printed(notebook):
    for position, cell in enumerate(notebook.cells):
        texts = []
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if output.get("name") == "stderr" or WIDGET in data or "image/png" in data:
                continue
            text = output.get("text", "") or data.get("text/plain", "")
            if not re.match(r"\s*(\[?<|Figure\()", text):
                texts.append(text)
        yield position, "\n".join(texts)


def differing_numbers(saved, fresh):
    """The pairs ((cell, saved), (cell, fresh)) that differ in their first three significant digits."""
    if len(saved) != len(fresh):
        return [(("count", len(saved)), ("count", len(fresh)))]
    return [(a, b) for a, b in zip(saved, fresh, strict=True) if not _alike(a[1], b[1])]


def _alike(a, b):
    if abs(a) < ROUNDING_ERROR and abs(b) < ROUNDING_ERROR:
        return True  # a difference of rounding errors, printed to show that it is one
    if a == 0 or b == 0:
        return False
    return abs(a - b) <= 10.0 ** (math.floor(math.log10(abs(a))) - 2)


def save(notebook, path):
    """Write under a temporary name, then rename."""
    with written(Path(path)) as file:
        file.write(f"{nbformat.writes(notebook)}\n".encode())


def main(wanted):
    for path in sorted(FOLDER.glob("[0-9]*.ipynb")):
        if wanted and not path.name.startswith(tuple(wanted)):
            continue
        print(path.name, flush=True)
        # Elsewhere, so that a file which a notebook writes is new to it, as it is to a reader.
        with tempfile.TemporaryDirectory() as folder:
            notebook = strip(execute(shutil.copy(path, folder)))
        notebook.metadata["neuromfa_lite"] = {"code_hash": code_hash(notebook)}
        save(notebook, path)


if __name__ == "__main__":
    main(sys.argv[1:])
