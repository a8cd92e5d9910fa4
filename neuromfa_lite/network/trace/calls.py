"""The calls of torch by name: which of them let channels meet, cut a gradient, or read numbers; and their arguments."""

import types

# Calls in which a matrix meets what flows number by number, or moves with it; any other is not understood.
MEETS = set(
    """add sub rsub mul div maximum minimum pow lerp addcmul addcdiv where masked_fill masked_scatter index_put setitem
    copy index_add index_copy scatter scatter_add prelu scaled_dot_product_attention softmax broadcast_tensors atan2
    eq ne lt gt le ge allclose equal size dim numel repr format stride""".split()
)
NO_GRADIENT = {"round", "floor", "ceil", "trunc", "sign", "heaviside", "sgn", "fix"}
CHANCE = set("bernoulli multinomial normal uniform rand randn randint randperm rand_like randn_like poisson".split())
EMPTY = set(
    """zeros_like ones_like empty_like full_like rand_like randn_like new_zeros new_ones new_empty new_full size
    shape""".split()
)
READS = {"item", "tolist", "numpy", "__bool__", "__float__", "__int__", "__index__", "__array__"}
SAME = {"truediv": "div", "true_divide": "div", "divide": "div", "subtract": "sub", "multiply": "mul"}
DROPOUTS = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout"}


LOOKUPS = {"embedding", "embedding_bag", "getitem", "index_select"}
DUNDERS = set("add sub mul truediv floordiv mod pow matmul and or xor".split())


class Call:
    """One call of torch."""

    def __init__(self, function, args, kwargs, tensors):
        self.function, self.args, self.kwargs, self.tensors = function, args, kwargs, tensors
        self.asked = getattr(function, "__name__", "")
        self.name, self.in_place = name_of(function)
        self.plain = isinstance(function, types.FunctionType)  # written in Python


class Arguments:
    """The arguments of a call by place or name."""

    def __init__(self, args, kwargs):
        self.all, self.kwargs = args, kwargs

    def __call__(self, place, *names, default=None):
        if place < len(self.all):
            return self.all[place]
        return next((self.kwargs[name] for name in names if name in self.kwargs), default)

    def named(self, name, default):
        return self.kwargs.get(name, default)

    @staticmethod
    def of(*args):
        return Arguments(args, {})


class Inside:
    """Functions of torch written in Python, without their question whether a mode wants them: this one does."""

    def __init__(self):
        self.entered, self.rooms = {}, {}

    def __call__(self, function):
        if function not in self.entered:
            self.entered[function] = function  # where it holds itself
            room = self.rooms.setdefault(id(function.__globals__), {})
            if not room:
                asked = (name for name in function.__globals__ if name.startswith("has_torch_function"))
                room.update(function.__globals__, **dict.fromkeys(asked, lambda *_: False))
            # max_pool2d and its like choose between two functions, which ask in its name.
            cells = tuple(
                types.CellType(self(cell.cell_contents)) if _is_plain(cell) else cell
                for cell in function.__closure__ or ()
            )
            made = types.FunctionType(function.__code__, room, function.__name__, function.__defaults__, cells)
            made.__kwdefaults__ = function.__kwdefaults__
            self.entered[function] = made
        return self.entered[function]


def _is_plain(cell):
    try:
        return isinstance(cell.cell_contents, types.FunctionType)
    except ValueError:
        return False  # empty


def name_of(function):
    """(plain name, whether it changes its first argument) of a call: __iadd__ and add_ are add."""
    name = getattr(function, "__name__", None) or str(function)
    if name == "__get__":
        name = function.__self__.__name__
    name = name.split(".")[0]
    bare = name.strip("_")
    if name.startswith("__"):
        in_place = bare[:1] == "i" and bare[1:] in DUNDERS
        bare = bare[1:] if in_place or (bare[:1] == "r" and bare[1:] in ("add", "mul")) else bare
    else:
        in_place = name.endswith("_")
    return SAME.get(bare, bare), in_place
