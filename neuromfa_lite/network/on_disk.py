"""The matrices of a traced model by the names and rows that they have in its files: found by their numbers."""

import re
from dataclasses import replace

import numpy as np

from ..weights import open_source
from ..weights.torch_objects import open_state_dict, unwrapped


def stored(model, blocks):
    """(WeightSource as save_pretrained would write it, blocks by its names, {name in memory: why it has none there}).

    Since version 5 of transformers some families have other tensors in memory than on disk (experts are stacked).
    """
    model, config = unwrapped(model)
    config = config.to_dict() if hasattr(config, "to_dict") else config if isinstance(config, dict) else {}
    source = open_source(model, config=config)
    tensors = _converted(model)
    if tensors is None or tensors.keys() == model.state_dict().keys():
        return source, tuple(blocks), {}
    disk = open_state_dict(tensors, config)
    where, unknown, found = _rows(disk), {}, []
    for block in blocks:
        moved = block if block.fixed or _same(block, disk) else _moved(block, disk, where)
        if moved is None:
            unknown[block.name] = "its rows are in several tensors on disk, or in none"
        found.append(moved or block)
    return (source, tuple(blocks), unknown) if unknown else (disk, tuple(found), {})


def tied(model):
    """{name of a tensor: another name of the same}, as of an unembedding that is the embedding."""
    first, found = {}, {}
    for name, tensor in unwrapped(model)[0].state_dict().items():
        if tensor.numel():
            other = first.setdefault((tensor.data_ptr(), tuple(tensor.shape)), name)
            found |= {name: other, other: name} if other != name else {}
    return found


def _converted(model):
    """The state dict of a model as it is saved; None where that is the one in memory."""
    if not hasattr(model, "save_pretrained"):
        return None
    try:
        from transformers.core_model_loading import revert_weight_conversion
    except ImportError:  # before version 5
        return None
    return revert_weight_conversion(model, dict(model.state_dict()))


def _same(block, disk):
    """Whether a block's tensor is on disk as it is in memory."""
    name = re.sub(r"\[.*", "", block.name)
    return name in disk.matrices or (name in disk.stacked and (block.listed_singly or block.parallel > 1))


def _rows(disk):
    """{bytes of a row: [(name of the matrix, its number in a stack, whether it is transposed, row)]}."""
    where = {}
    for name, matrix in disk.matrices.items():
        for transposed, seen in ((False, matrix), (True, matrix.T)):
            for row, numbers in enumerate(seen.read()):
                where.setdefault(numbers.tobytes(), []).append((name, transposed, row))
    return where


def _moved(block, disk, where):
    """A block whose rows are rows of one matrix on disk; None where they are not."""
    if block.listed_singly or block.parallel > 1:
        return None
    places = [{each[:2]: each[2] for each in where.get(row.tobytes(), ())} for row in block.weights()]
    common = set(places[0]).intersection(*places[1:]) if places else ()
    if len(common) != 1:
        return None
    ((name, transposed),) = common
    matrix, rows = disk.matrices[name], np.array([each[name, transposed] for each in places])
    matrix = matrix.T if transposed else matrix
    if not np.array_equal(rows, np.arange(matrix.shape[0])):
        matrix = matrix.part(rows, re.sub(r".*\[|\]", "", block.name))
    return replace(block, name=matrix.name, matrix=matrix)
