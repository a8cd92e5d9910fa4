"""Check the record of every family against tiny models of it, and write docs/families.md.

python scripts/families.py
"""

import sys
import tempfile
from datetime import date
from itertools import groupby
from pathlib import Path

import torch
import transformers
from tqdm import tqdm

from neuromfa_lite import load_network

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "families.md"
sys.path.insert(0, str(ROOT / "tests" / "network"))

import proof  # noqa: E402 - it is found only now
from tiny_models import MODELS  # noqa: E402

WORDS = """# Families of models

A model of these families is opened from its files, without being built: `load_network("a folder or hub id")`. The
published chain of weight matrices is the default. With `wiring="dataflow"` it is joined as the model computes: residual
streams, heads that share keys, gates, experts with their router, the positions of a convolution's kernel in parallel
(`"dataflow-kernel-norms"`: as one connection of their norm). Families without a chain are always opened so.

Each record was written by hand from the model's own forward, and then held against tiny models with random weights:

* **who feeds whom**: each output of each matrix is pushed in turn, in float64, with the statistics of norms and the
  choices of routers held and the outputs of all other matrices as they were. What moves by a single bit is what the
  record names, and nothing else; in memory, and in the folder that the model is saved to;
* **a trace** of the same model, which knows nothing of the record, finds the same matrices, sources, targets and index
  maps;
* **roles**: queries move what their own token gets, keys and values what others get; behind a gate, what is gated moves
  in proportion and the gate does not;
* **gains**: multiplied into the matrices behind them, and set to 1, they leave the output as it was
  (`wiring="folded"`; empty: norms stand elsewhere, or the record does not tell).

A model_type that is not listed is opened as the family that all its tensors are named as, if sizes and heads fit: with
a warning, and with the words "named as llama; not checked" in its origin. Where its norms are named otherwise, it has
the chain alone.

`python scripts/families.py` checks all this and writes this page. Last: {date}, transformers {transformers}, torch
{torch}.

| model_type | variants | neurons pushed | who feeds whom | roles | gains | chain |
|---|---|---|---|---|---|---|
{rows}

`hf_olmo` is OLMo as its own code saves it, for which transformers has no class: it was held against a forward that was
written for this.

`silero_vad`, the detector of speech of the package of that name, was held against a trace of a model of its kind.
"""


def row(family, cases):
    """A line of the table; what does not hold ends the script."""
    neurons, there = 0, (proof.has_roles(cases[0]), proof.has_gains(cases[0]))
    for case in cases:
        proof.check_pushes(case)
        proof.check_trace(case)
        with tempfile.TemporaryDirectory() as folder:
            proof.check_saved(case, Path(folder))
        for check in [check for check, has in zip((proof.check_roles, proof.check_gains), there, strict=True) if has]:
            check(case)
        network = load_network(proof.pushed(case)[0], wiring="dataflow")
        neurons += sum(block.shape[0] for block in network.weight_blocks)
    variants = "; ".join(case.partition(", ")[2] or "as it comes" for case in cases)
    marks = ["yes" if has else "" for has in (True, *there, proof.ARCHITECTURES[family].joins)]
    return f"| `{family}` | {variants} | {neurons:,} | {' | '.join(marks)} |"


def main():
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    families = [(family, list(cases)) for family, cases in groupby(sorted(MODELS), proof.family)]
    rows = "\n".join(row(*each) for each in tqdm(families, unit="family"))
    versions = {"transformers": transformers.__version__, "torch": torch.__version__.partition("+")[0]}
    PAGE.write_text(WORDS.format(date=date.today(), rows=rows, **versions), encoding="utf-8")


if __name__ == "__main__":
    main()
