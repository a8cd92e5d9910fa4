"""Who feeds whom in any torch module, found out by running it once and asking its gradients.

>>> import torch
>>> model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
>>> traced = trace(model, torch.ones(1, 3), progress=False)
>>> [(use.name, use.kind, use.n_in, use.n_out) for use in traced.uses]
[('input 0', 'input', 0, 3), ('0.weight', 'linear', 3, 5), ('2.weight', 'linear', 5, 2)]
>>> traced.uses[2].feeds[0].earlier, traced.uses[2].feeds[0].of_target.tolist()   # channel by channel
(1, [0, 1, 2, 3, 4])
"""

from .data import Feed, Trace, Use
from .run import trace

__all__ = ["Feed", "Trace", "Use", "trace"]
