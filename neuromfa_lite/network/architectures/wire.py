"""Put an architecture's record and the stored matrices together, and check that they fit."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from weakref import WeakKeyDictionary

import numpy as np

from ...errors import SourceError
from ...weights.matrix import READABLE
from ...weights.weight_source import stands_for
from ..computed import turned
from ..connections import Dense, Fixed
from .convolutions import convolution
from .record import ARCHITECTURES, Known, is_count

UNNAMED = "no join of"  # how the reason of what nobody speaks of begins
_WIRED = WeakKeyDictionary()  # a source is asked several times


@dataclass(frozen=True, eq=False)
class Wiring:
    """Tuples of NeuronLayer, of the blocks between them, and of (name, shape, reason) of each tensor left out."""

    layers: tuple
    blocks: tuple
    left_out: tuple = ()


def wire(source, wiring="chain"):
    """The Wiring of a WeightSource by the record of its model_type; SourceError names what misfits, and the file.

    wiring: "chain", the published chain of matrices, or "dataflow", the model's own.
    """
    made = _WIRED.setdefault(source, {})
    if wiring not in made:
        made[wiring] = _wire(source, wiring)
    return made[wiring]


def known_of(source):
    """What is Known of the model of a WeightSource: its configuration, and shapes by names without a prefix."""
    shapes = {name: matrix.shape for name, matrix in source.matrices.items()} | source.other
    found = {}
    for prefix in find_architecture(source).prefixes:
        named = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
        found = named | found
    return Known(source.config, found)


def _wire(source, wiring):
    architecture = find_architecture(source)
    layers, joins = _layers_and_joins(architecture, source, wiring)
    sizes = {layer.name: layer.size for layer in layers}
    place = {name: number for number, name in enumerate(sizes)}
    shapes = _stored_shapes(joins, sizes)
    prefix = _prefix(architecture, joins, source)
    blocks = tuple(_block(join, place, sizes, shapes, prefix, source) for join in joins)
    used = {prefix + join.matrix for join in joins if join.matrix is not None}
    return Wiring(layers, blocks, tuple(_left_out(architecture, used, source)))


def _layers_and_joins(architecture, source, wiring):
    """What the record lists for the configuration, whose counts are looked at before."""
    config, where, most = source.config, source.config_origin, _most(source)
    way_out = "take config.json from the model the weights belong to"
    for key in architecture.required:
        value = config.get(key)
        if not is_count(value):
            found = f"is {value!r}" if key in config else "is missing"
            raise SourceError(f"{key} {found} in {where}: it must be a positive whole number, {way_out}")
        if value > most:
            raise SourceError(f"{key} in {where} calls for more than {source.origin} has of anything: {way_out}")
    if wiring == "dataflow" and architecture.dataflow is None:
        raise SourceError(
            f"{source.origin}: the record of {architecture.model_type} tells the chain of its matrices alone: open it "
            'with wiring="chain", or trace the model, load_network(model, inputs=...)'
        )
    if wiring == "chain" and architecture.joins is None:
        raise SourceError(
            f"{source.origin}: the published chain is one of transformers: open {architecture.model_type} with "
            'wiring="dataflow"'
        )
    try:
        known = known_of(source)
        if wiring == "dataflow":
            return architecture.dataflow(known)
        return architecture.list_layers(known), architecture.list_joins(known)
    except SourceError as error:
        raise SourceError(f"{where}: {error}") from None
    except KeyError as error:
        raise SourceError(
            f"{error.args[0]} is missing in {where}: the record of {architecture.model_type} reads it"
        ) from None
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise SourceError(
            f"{where} is not as the record of {architecture.model_type} reads it ({error}): {way_out}"
        ) from None


def find_architecture(source):
    """The record of a source's model_type; SourceError of an unknown one tells what was found, and a way out."""
    if source.architecture is not None:
        return source.architecture
    model_type = source.config.get("model_type")
    if isinstance(model_type, str) and model_type in ARCHITECTURES:
        return ARCHITECTURES[model_type]
    names = ((name if name.isprintable() else repr(name), matrix) for name, matrix in source.matrices.items())
    found = [f"  {name} {matrix.shape}" for name, matrix in names]
    if len(found) > 20:
        found[20:] = [f"  ... and {len(found) - 20} more"]
    said = f"model_type {model_type!r}" if model_type else "no model_type"
    name = model_type if isinstance(model_type, str) and model_type.isprintable() and model_type else "my-model"
    raise SourceError(
        f"Unknown architecture: {source.config_origin} says {said}; known are {', '.join(sorted(ARCHITECTURES))}.\n"
        f"Matrices found in {source.origin}, shape as stored:\n" + "\n".join(found or ["  none"]) + "\n"
        "Describe it: which layers there are, and which matrix joins which two:\n"
        "  from neuromfa_lite.network import Architecture, Join, NeuronLayer, register_architecture\n"
        f'  register_architecture(Architecture("{name}",\n'
        '      layers=[NeuronLayer("in", 64), NeuronLayer("hidden", 256, role="mlp")],\n'
        '      joins=[Join("in", "hidden", "NAME OF A MATRIX", role="mlp-in")]))\n'
        f'and open it again, with config={{"model_type": "{name}"}} if it has none. A matrix stored as '
        "(inputs, outputs) takes Join(..., transposed=True)."
    )


def _most(source):
    """What no number of a configuration may pass, before so many layers are listed: tensors, neurons, or 131,072."""
    sizes = (size for matrix in source.matrices.values() if 0 not in matrix.shape for size in matrix.shape)
    return max(1 << 17, len(source.names), *sizes)


def _prefix(architecture, joins, source):
    """The prefix under which most of the joins' matrices are found."""
    names = [join.matrix for join in joins if join.matrix is not None]
    stored = {*source.names, *map(stands_for, source.names)}
    return max(architecture.prefixes, key=lambda prefix: sum(prefix + name in stored for name in names))


def _stored_shapes(joins, sizes):
    """The shape (targets, sources) each matrix must have: the parts of a fused one reach to its last row."""
    shapes = {}
    for join in joins:
        for layer in (join.source, join.target):
            if layer not in sizes:
                raise SourceError(
                    f"the record joins {join.source!r} to {join.target!r}, but lists no layer {layer!r}; its layers "
                    f"are {', '.join(list(sizes)[:20])}"
                )
        if join.matrix is not None:
            rows = sizes[join.target] if join.targets is None else int(np.max(join.targets, initial=-1)) + 1
            reached = shapes.get(join.matrix, (0, 0))[0]
            shapes[join.matrix] = (max(rows, reached), sizes[join.source])
    return shapes


def _block(join, place, sizes, shapes, prefix, source):
    """The connections of a Join, checked against the sizes of the two layers."""
    ends = place[join.source], place[join.target]
    if join.matrix is None:
        return _fixed(join, ends, sizes)
    name = prefix + join.matrix
    if join.stacked is None and name in source.stacked:
        return convolution(join, source.stacked[name], ends, sizes)
    if join.stacked is not None and name in source.stacked:
        tensor = source.stacked[name]
        matrix = (turned(tensor) if join.transposed and len(tensor.shape) == 3 else tensor)[join.stacked]
    elif name in source.matrices:
        matrix = source.matrices[name]
    else:
        raise SourceError(_missing(name, join, source))
    if join.transposed and join.stacked is None:
        matrix = matrix.T
    expected, found = shapes[join.matrix], matrix.shape
    if found != expected:
        if matrix.dtype not in READABLE:
            matrix.read()  # raises: packed, as a quantised matrix is
        raise SourceError(
            f"{name} in {source.origin}: expected shape {expected} (targets, sources) by {source.config_origin}, "
            f"found {found}: configuration and weights are not of the same model"
            + (", or the matrix is stored transposed" if found == expected[::-1] else "")
        )
    if join.targets is not None:
        matrix = matrix.part(join.targets, join.part or join.target)
        if matrix.shape[0] != sizes[join.target]:
            raise SourceError(
                f"{matrix.name}: the record gives it {matrix.shape[0]} rows, but layer {join.target} has "
                f"{sizes[join.target]} neurons"
            )
    return Dense(matrix.name, join.role, *ends, matrix)


def _missing(name, join, source):
    """What to say of a matrix that is not there as one."""
    held = f"has shape {source.other[name]}" if name in source.other else "is missing"
    said = f"{name}, the weights from {join.source} to {join.target}, {held} in {source.origin}"
    parts = [part for part in source.names if stands_for(part) == name != part]
    if not parts:
        return f"{said}, but {source.config_origin} calls for it: are all the weight files there, and of this model?"
    return (
        f"{said}, which holds what its layer computes it of: {', '.join(parts)} (weight_norm or the like): make it one "
        "matrix again, by torch.nn.utils.parametrize.remove_parametrizations, remove_weight_norm or prune.remove"
    )


def _fixed(join, ends, sizes):
    name = f"{join.source} -> {join.target}"
    if join.labels is not None:
        return Fixed(name, join.role, *ends, *map(np.asarray, join.labels))
    if join.kind not in ("one-to-one", "all-to-all"):
        raise SourceError(f"{name}: a join needs the name of its matrix, or kind one-to-one or all-to-all")
    if join.kind == "one-to-one" and sizes[join.source] != sizes[join.target]:
        raise SourceError(
            f"{name}: one-to-one joins layers of one size, not {sizes[join.source]} to {sizes[join.target]}"
        )
    return Fixed.of_kind(name, join.role, *ends, join.kind, (sizes[join.target], sizes[join.source]))


def _left_out(architecture, used, source):
    """(name, shape, reason) of everything stored that no join uses, in the order of the file."""
    shapes = {name: matrix.shape for name, matrix in source.matrices.items()} | source.other
    unnamed = f"{UNNAMED} the {architecture.model_type} record names it"
    for name in source.names:
        if name not in used:
            reasons = (reason for pattern, reason in architecture.left_out if fnmatchcase(name, pattern))
            yield name, shapes[name], next(reasons, unnamed)
