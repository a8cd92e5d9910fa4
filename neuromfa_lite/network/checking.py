"""Whether a record says of a model what a trace finds in it, matrix by matrix."""

import numpy as np

from ..errors import SourceError
from ..errors.text import plain
from .architectures import ARCHITECTURES
from .architectures.file import as_architecture
from .architectures.wire import UNNAMED, wire
from .feeders import ends, feeders, writers_of
from .network import load_network
from .on_disk import stored
from .wiring import recorded

NO_USE = "the record alone names it: the trace found no use of it"
NOT_NAMED = "the trace alone uses it: no join of the record names it, nor is it left out with a reason"
COLUMNS = ("matrix", "reads by the record", "reads by the trace", "agrees", "difference")


def check_architecture(architecture, model, inputs):
    """Compare a family's record with a trace of one model: which rows of which matrices feed what each matrix reads.

    What the record leaves out with a reason is left aside, in what feeds others too. Names of layers, and roles (which
    of two matrices is called the gate), are words, and are not compared.

    Args:
        architecture: an Architecture, the path of a record's file, or the model_type of a known family.
        model: a torch module of that family, small, best with sizes that are no multiples of each other.
        inputs: what it is called with, as of :func:`neuromfa_lite.load_network`.

    Returns:
        DataFrame, a row per matrix of either, and one per layer where the record ends: matrix, reads by the record,
        reads by the trace (matrices and how many of their rows), agrees (bool), difference in words, "" where both say
        the same.

    Raises:
        SourceError: a record or a model that cannot be read.

    Example:
        >>> import torch
        >>> from neuromfa_lite.network import Architecture, Join, NeuronLayer
        >>> model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
        >>> def wiring(known):
        ...     layers = [NeuronLayer("in", 3), NeuronLayer("middle", 5), NeuronLayer("out", 2)]
        ...     return layers, [Join("in", "middle", "0.weight"), Join("middle", "out", "2.weight")]
        >>> mine = Architecture("mine", None, None, wiring, left_out=(("*.bias", "bias"),))
        >>> check_architecture(mine, model, torch.ones(1, 3))["agrees"].tolist()
        [True, True, True]
    """
    import pandas as pd

    known = isinstance(architecture, str) and architecture in ARCHITECTURES
    architecture = ARCHITECTURES[architecture] if known else as_architecture(architecture)
    traced = load_network(model, inputs=inputs)
    source, blocks, _ = stored(model, traced.blocks)
    rows = compared(architecture, source, traced.layers, blocks)
    said = [(*map(plain, row[:3]), row[3], plain(row[4])) for row in rows]
    return pd.DataFrame(said, columns=COLUMNS)


def compared(architecture, source, layers, blocks):
    """Rows of COLUMNS: the record on a source against the layers and blocks that a trace found in it."""
    told = wire(recorded(source, architecture), "dataflow")
    aside = {name for name, _, reason in told.left_out if not reason.startswith(UNNAMED)}
    both = (told.layers, told.blocks), (layers, blocks)
    mine, found = (feeders(*each) for each in both)
    weights, by_rows = [_weights(blocks) for _, blocks in both], [_by_rows(*each, aside) for each in both]
    rows = []
    for name in dict.fromkeys([*mine, *found]):
        if name not in mine and _whole(name) in aside:
            continue
        pair = [_without(each.get(name, {}), aside) for each in (mine, found)]
        if name in mine and name in found:
            said = [*_differences(*pair), *_other_weights(*(each[name] for each in weights))]
            said = said or _other_rows(*(each[name] for each in by_rows))
        else:
            said = [NO_USE if name in mine else NOT_NAMED]
        left = sorted({_whole(writer) for writer in found.get(name, {})} & aside)
        by_trace = _said(pair[1]) + (f"; left aside: {', '.join(left)}" if left else "")
        rows.append((name, _said(pair[0]), by_trace, not said, "; ".join(said)))
    # Where the record ends, the trace may go on to what the record leaves out.
    on = [*ends(layers, blocks).values(), *(reading for name, reading in found.items() if name not in mine)]
    on = [_without(each, aside) for each in on]
    for layer, reading in ends(told.layers, told.blocks).items():
        reading = _without(reading, aside)
        near = min(on, key=lambda other: len(_differences(reading, other)), default={})
        said = _differences(reading, near)
        rows.append((f"end: {layer}", _said(reading), _said(near), not said, "; ".join(said)))
    return rows


def _whole(name):
    return name.partition("[")[0]


def _without(reading, aside):
    return {name: rows for name, rows in reading.items() if _whole(name) not in aside and rows.any()}


def _said(reading):
    said = [f"{name} ({np.count_nonzero(rows.any(0))} of {rows.shape[1]} rows)" for name, rows in reading.items()]
    return ", ".join(sorted(said)) or "nothing"


def _differences(mine, found):
    """What two readings {matrix: (neurons, rows) bool} differ in, in words."""
    said = [f"{name} feeds it by the record alone" for name in mine if name not in found]
    said += [f"{name} feeds it by the trace alone" for name in found if name not in mine]
    for name in (name for name in mine if name in found):
        if mine[name].shape != found[name].shape:
            both = [" x ".join(map(str, each[name].shape)) for each in (mine, found)]
            said.append(f"{name} feeds {both[0]} (neurons x rows) by the record, {both[1]} by the trace")
            continue
        other = np.flatnonzero((mine[name] != found[name]).any(1))
        if len(other):
            first = other[0]
            rows = [_numbers(np.flatnonzero(each[name][first])) for each in (mine, found)]
            more = f", and {len(other) - 1} more of its inputs differ" if len(other) > 1 else ""
            said.append(f"its input {first} is fed by {rows[0]} of {name} by the record, {rows[1]} by the trace{more}")
    return said


def _numbers(rows):
    """Row numbers in words, those one after another as from and to."""
    if not len(rows):
        return "no row"
    runs = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
    said = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs[:4]]
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(said)}{', ...' if len(runs) > 4 else ''}"


def _weights(blocks):
    """{matrix: {stored row: its weights as bytes, the positions of a kernel in any order}}."""
    found = {}
    for block in blocks:
        if block.fixed:
            continue
        name, rows, _ = block.place
        mine = found.setdefault(name, {})
        if block.listed_singly:
            for row in range(block.shape[0]):
                here = block.targets == row
                listed = np.sort(np.rec.fromarrays([block.sources[here], block.listed[here]]))
                mine[row] = listed.tobytes()
        else:
            weights = np.sort(block.weights().reshape(len(rows), block.parallel, -1), axis=1)
            mine |= {int(row): each.tobytes() for row, each in zip(rows, weights, strict=True)}
    return found


def _by_rows(layers, blocks, aside):
    """{matrix: {stored row: what it reads, to be compared}}: parts of one matrix may read different layers."""
    writers, found = writers_of(layers, blocks), {}
    for block in blocks:
        if not block.fixed:
            name, rows, _ = block.place
            reading = _without(writers(block.source), aside)
            seen = frozenset((writer, hash(fed.tobytes())) for writer, fed in reading.items())
            for row in rows.tolist():
                found.setdefault(name, {})[row] = found.get(name, {}).get(row, frozenset()) | seen
    return found


def _other_rows(mine, found):
    other = [row for row in mine if mine[row] != found[row]]
    return [f"{_numbers(np.array(other))} of it read other neurons by the record than by the trace"] if other else []


def _other_weights(mine, found):
    """What is wrong where the rows of a matrix do not hold the weights that the model uses."""
    if mine.keys() != found.keys():
        return [f"{len(mine)} of its rows are used by the record, {len(found)} by the trace"]
    other = [row for row in mine if mine[row] != found[row]]
    return (
        [f"{len(other)} of its rows have other weights: it is stored the other way round (transposed)"] if other else []
    )


def refuse_other(rows, what):
    """SourceError where a record that was just written does not say what the trace did."""
    wrong = [f"{row[0]}: {row[4]}" for row in rows if not row[3]]
    if wrong:
        raise SourceError(
            f"{what} is wired in a way that no record can say ({'; '.join(wrong[:3])}): open the model itself, "
            "load_network(model, inputs=...), and keep the network, network.save(path)"
        )
