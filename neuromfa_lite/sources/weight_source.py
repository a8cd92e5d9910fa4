"""The weights of one model at one moment, from wherever they came."""

from functools import cached_property

from neuromfa_lite.sources.wiring import wire


class WeightSource:
    """The stored weights of one model: nothing is read before a matrix is asked for.

    Attributes: `origin` (folder, hub id and revision, or object), `config` (dict, as config.json),
    `config_origin` (where that stands), `matrices` (name -> WeightMatrix, every 2-D tensor), `other` (name
    -> shape of everything else), `names` (all of them in the order stored) and `files` (the weight files,
    none for an object in memory).

    >>> from neuromfa_lite.sources import open_source
    >>> source = open_source({"fc.weight": [[1.0, 2.0]], "fc.bias": [0.0]}, config={"model_type": "toy"})
    >>> source.matrices["fc.weight"].shape, source.other
    ((1, 2), {'fc.bias': (1,)})
    """

    def __init__(self, origin, config, tensors, config_origin="", files=()):
        self.origin, self.config, self.config_origin = str(origin), config, str(config_origin or origin)
        self.names = tuple(tensors)
        self.matrices = {name: tensor for name, tensor in tensors.items() if not isinstance(tensor, tuple)}
        self.other = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, tuple)}
        self.files = tuple(files)

    @cached_property
    def _wiring(self):
        return wire(self)

    def wiring(self):
        """Which matrix joins which layers, by the model's architecture; returns Wiring(layers, joins, left_out).

        Raises SourceError for an unknown architecture, or a matrix or configuration value that is missing
        or does not fit.
        """
        return self._wiring

    def __repr__(self):
        return f"WeightSource({self.origin!r}, {len(self.matrices)} matrices)"
