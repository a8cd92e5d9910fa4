"""Put an architecture's record and the stored matrices together, and check that they fit."""

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from weakref import WeakKeyDictionary

import numpy as np

from ...errors import SourceError
from ...weights.matrix import READABLE
from ...weights.weight_source import stands_for
from ..computed import turned
from ..connections import Dense, Fixed
from ..traced_weights import with_kernel_norms
from .convolutions import convolution
from .record import ARCHITECTURES, Known, is_count

KERNEL_NORMS = "dataflow-kernel-norms"
ALIKE, UNNAMED = "named as", "no join of the"
_WIRED = WeakKeyDictionary()  # a source is asked several times


@dataclass(frozen=True, eq=False)
class Wiring:
    """Tuples of NeuronLayer, of the blocks between them, and of (name, shape, reason) of each tensor left out."""

    layers: tuple
    blocks: tuple
    left_out: tuple = ()


def wire(source, wiring="chain"):
    """The Wiring of a WeightSource by the record of its model_type; SourceError names what misfits, and the file.

    wiring: "chain", the published chain of matrices; "dataflow", the model's own, the positions of a convolution's
    kernel in parallel; or "dataflow-kernel-norms", the same with one connection, their norm.
    """
    made = _WIRED.setdefault(source, {})
    if wiring not in made:
        made[wiring] = _wire(source, wiring, find_architecture(source))
    return made[wiring]


def known_of(source, architecture=None):
    """What is Known of the model of a WeightSource: its configuration, and shapes by names without a prefix."""
    shapes = {name: matrix.shape for name, matrix in source.matrices.items()} | source.other
    found = {}
    for prefix in (architecture or find_architecture(source)).prefixes:
        named = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
        found = named | found
    return Known(source.config, found)


def _wire(source, wiring, architecture):
    layers, joins = _layers_and_joins(architecture, source, wiring)
    sizes = {layer.name: layer.size for layer in layers}
    place = {name: number for number, name in enumerate(sizes)}
    shapes = _stored_shapes(joins, sizes)
    prefix = _prefix(architecture, joins, source)
    norms = wiring == KERNEL_NORMS
    blocks = tuple(_block(join, place, sizes, shapes, prefix, source, norms) for join in joins)
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
    if wiring != "chain" and architecture.dataflow is None:
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
        known = known_of(source, architecture)
        if wiring != "chain":
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
    """The record of a source's model_type, or of a family that it is named as; SourceError tells what was found."""
    if source.architecture is not None:
        return source.architecture
    model_type = source.config.get("model_type")
    if isinstance(model_type, str) and model_type in ARCHITECTURES:
        return ARCHITECTURES[model_type]
    made = _WIRED.setdefault(source, {})
    if ALIKE not in made and (alike := _find_alike(source)):
        made[ALIKE] = alike
    if ALIKE in made:
        return made[ALIKE]
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


def note_of(source):
    """What is to be said of a network of this source: "" or that it was opened by another family's record."""
    alike = _WIRED.get(source, {}).get(ALIKE)
    return f"{alike.model_type}; not checked" if alike else ""


def _find_alike(source):
    """The record whose names are those of all matrices, and whose sizes fit; None where there is none.

    It tells the chain alone, and no gains, where the norms are not in front of the same matrices by their names: then
    the blocks may be put together otherwise.
    """
    first = None
    for architecture in ARCHITECTURES.values():
        try:
            made = _wire(source, "dataflow" if architecture.joins is None else "chain", architecture)
            norms = architecture.list_gains(known_of(source, architecture))
        except SourceError:
            continue
        if any(len(shape) > 1 and UNNAMED in reason for _, shape, reason in made.left_out):
            continue
        alike = replace(architecture, model_type=f"{ALIKE} {architecture.model_type}")
        if norms and _norms_of(source, architecture) == set(norms.values()):
            return alike
        first = first or (architecture.joins and replace(alike, dataflow=None, gains=None))
    return first


def _norms_of(source, architecture):
    """The gains there are, but those inside attention, without a prefix."""
    gains = {name for name in source.vectors if not name.endswith((".bias", "q_norm.weight", "k_norm.weight"))}
    before = {name: next((p for p in architecture.prefixes if name.startswith(p)), "") for name in gains}
    return {name.removeprefix(prefix) for name, prefix in before.items()}


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


def _block(join, place, sizes, shapes, prefix, source, norms):
    """The connections of a Join, checked against the sizes of the two layers."""
    ends = place[join.source], place[join.target]
    if join.matrix is None:
        return _fixed(join, ends, sizes)
    name, (targets, sources) = prefix + join.matrix, shapes[join.matrix]
    if name in source.stacked and join.stacked is None:
        made = convolution(join, source.stacked[name], ends, sizes)
        return with_kernel_norms(made) if norms else made
    if name in source.stacked:
        tensor = source.stacked[name]
        matrix = (turned(tensor) if join.transposed and len(tensor.shape) == 3 else tensor)[join.stacked]
    elif name in source.matrices:
        matrix = source.matrices[name]
    else:
        raise SourceError(_missing(name, join, source))
    turning = join.transposed and join.stacked is None  # a stack was turned above
    _refuse_other_shape(matrix, (targets, sources), turning, source)
    matrix = matrix.T if turning else matrix
    if join.targets is not None:
        matrix = matrix.part(join.targets, join.part or join.target)
        if matrix.shape[0] != sizes[join.target]:
            raise SourceError(
                f"{matrix.name}: the record gives it {matrix.shape[0]} rows, but layer {join.target} has "
                f"{sizes[join.target]} neurons"
            )
    return Dense(matrix.name, join.role, *ends, matrix)


def _refuse_other_shape(stored, expected, transposed, source):
    """Refuse a matrix, or a kernel by its channels, that is not (targets, sources) of its layers."""
    found = stored.shape[1::-1] if transposed else stored.shape[:2]
    if found == expected:
        return
    if stored.dtype not in READABLE:
        stored.read()  # raises: packed, as a quantised matrix is
    raise SourceError(
        f"{stored.name} in {source.origin}: expected shape {expected} (targets, sources) by {source.config_origin}, "
        f"found {found}: configuration and weights are not of the same model"
        + (", or the matrix is stored transposed" if found == expected[::-1] else "")
    )


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
    unnamed = f"{UNNAMED} {architecture.model_type} record names it"
    for name in source.names:
        if name not in used:
            reasons = (reason for pattern, reason in architecture.left_out if fnmatchcase(name, pattern))
            yield name, shapes[name], next(reasons, unnamed)
