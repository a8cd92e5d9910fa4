"""One run of a model under a function mode of torch, which hands every call to a Record."""

from unittest import mock

from .calls import Call
from .record import Record


def record(torch, model, places, inputs, draw, real, copies):
    """The Record of one run of a model."""

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            return noted.call(function, args, kwargs or {})

    def applied(kind, *args, **kwargs):
        """A function with a gradient of its own: what it multiplies inside is not seen."""
        if noted.hiding is not None or noted.mode not in torch.overrides._get_current_function_mode_stack():
            return own(kind, *args, **kwargs)
        if kind.__name__ == "CheckpointFunction":
            return args[0](*args[2:])
        noted.hiding = []
        try:
            out, met = own(kind, *args, **kwargs), noted.hiding
        finally:
            noted.hiding = None
        with torch._C.DisableTorchFunction():
            tensors = list(noted.tensors((args, kwargs)))
            met = [*met, *(tensor for tensor in tensors if noted.is_made_of_weights(tensor))]
            tensors += [tensor for tensor in met if not any(tensor is each for each in tensors)]
            return noted.after(Call(kind, args, kwargs, tensors), out, not met)

    noted = Record(torch, places, draw, real)
    noted.mode = Mode()
    args, kwargs = noted.begin(inputs)
    own = torch.autograd.Function.apply.__func__
    # A model that changes in place what its gradient needs is run with copies of all that is kept for gradients.
    graph = torch.autograd.graph
    saving = graph.disable_saved_tensors_hooks("checkpointing of activations is on: switch it off")
    if copies:
        saving = graph.saved_tensors_hooks(lambda tensor: tensor.detach().clone(), lambda tensor: tensor)
    with mock.patch.object(torch.autograd.Function, "apply", classmethod(applied)), saving, noted.mode:
        model(*args, **kwargs)
    return noted
