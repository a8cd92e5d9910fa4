"""The weights of one model at one moment, from wherever they came."""

from .matrix import WeightMatrix, WeightVector
from .names import PARALLEL, own_names


class WeightSource:
    """The stored weights of one model: nothing is read before a matrix is asked for.

    Attributes:
        origin: folder, hub id and revision, or object.
        config: dict, as config.json.
        config_origin: where the configuration stands.
        matrices: dict from names to WeightMatrix: every 2-D tensor.
        vectors: dict from names to WeightVector: every 1-D tensor.
        other: dict from names to the shapes of everything but the matrices.
        names: all names, in the order stored; what torch.compile and DataParallel put before them is taken off.
        unwrapped: whether they lost the "module." of DataParallel.
        files: the weight files; none for an object in memory.
    """

    def __init__(self, origin, config, tensors, config_origin="", files=()):
        self.origin, self.config, self.config_origin = str(origin), config, str(config_origin or origin)
        stored, tensors = set(tensors), own_names(tensors, self.origin)
        self.names = tuple(tensors)
        self.unwrapped = any(PARALLEL in name for name in stored.difference(tensors))
        self.matrices = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, WeightMatrix)}
        self.vectors = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, WeightVector)}
        self.other = {
            name: getattr(tensor, "shape", tensor) for name, tensor in tensors.items() if name not in self.matrices
        }
        self.files = tuple(files)

    def __repr__(self):
        return f"WeightSource({self.origin!r}, {len(self.matrices)} matrices)"
