"""Recurrent layers step by step: torch computes an LSTM or a GRU in one call, in which no product would be seen."""

CELLS = {"lstm_cell": "lstm", "gru_cell": "gru", "rnn_tanh_cell": "rnn_tanh", "rnn_relu_cell": "rnn_relu"}
RECURRENT = {"lstm", "gru", "rnn_tanh", "rnn_relu", *CELLS}


def unroll(torch, name, args):
    """What one of RECURRENT returns, computed by linear maps and gates."""
    if name in CELLS:
        x, state, *weights = args
        gates_x = torch.nn.functional.linear(x, weights[0], weights[2] if len(weights) > 2 else None)
        state = state if name == "lstm_cell" else (state,)
        state = _step(torch, CELLS[name], gates_x, state, (weights[1], weights[3] if len(weights) > 3 else None, None))
        return state if name == "lstm_cell" else state[0]
    packed = isinstance(args[3], tuple | list)
    if packed:
        data, sizes, state, weights, biases, layers, _, _, both = args
        x, lengths = _padded(torch, data, sizes)
    else:
        data, state, weights, biases, layers, _, _, both, first = args
        x, lengths = data.transpose(0, 1) if first and data.dim() == 3 else data, None
    alone = x.dim() == 2  # one sequence
    x = x.unsqueeze(1) if alone else x
    states = state if name == "lstm" else (state,)
    states = [each.unsqueeze(1) if alone else each for each in states]
    each = (4 if biases else 2) + (name == "lstm" and states[0].shape[-1] != states[1].shape[-1])
    last = []
    for layer in range(layers):
        outs = []
        for way in range(2 if both else 1):
            number = layer * (2 if both else 1) + way
            own = _by_name(weights[number * each : (number + 1) * each], biases)
            begin = tuple(part[number] for part in states)
            out, end = _run(torch, name, x, begin, own, way == 1, lengths)
            outs.append(out)
            last.append(end)
        x = torch.cat(outs, -1) if both else outs[0]
    ends = [torch.stack(parts) for parts in zip(*last, strict=True)]
    if alone:
        x, ends = x.squeeze(1), [part.squeeze(1) for part in ends]
    if packed:
        x = torch.cat([x[step, :size] for step, size in enumerate(sizes.tolist())])
    elif first and not alone:
        x = x.transpose(0, 1)
    return (x, *ends)


def _padded(torch, data, sizes):
    """((steps, batch, features), lengths (batch,)) of packed sequences."""
    rows, parts = data.split(sizes.tolist()), []
    for part in rows:
        rest = data.new_zeros(len(rows[0]) - len(part), data.shape[1])
        parts.append(torch.cat([part, rest]))
    lengths = (sizes[None, :] > torch.arange(len(rows[0]))[:, None]).sum(1)
    return torch.stack(parts), lengths.to(data.device)


def _by_name(weights, biases):
    """(of the input, of the state, bias, bias, projection) of one layer in one direction, None for none."""
    rest = list(weights[2:])
    bias = [rest.pop(0), rest.pop(0)] if biases else [None, None]
    return [*weights[:2], *bias, rest[0] if rest else None]


def _run(torch, name, x, state, own, backwards, lengths):
    """One layer in one direction: (steps, batch, hidden), state at the end."""
    of_x, of_state, bias_x, bias_state, projection = own
    gates = torch.nn.functional.linear(x, of_x, bias_x)
    outs = [None] * len(x)
    for step in reversed(range(len(x))) if backwards else range(len(x)):
        new = _step(torch, name, gates[step], state, (of_state, bias_state, projection))
        if lengths is not None:
            there = (step < lengths)[:, None]
            new = tuple(torch.where(there, a, b) for a, b in zip(new, state, strict=True))
        state = new
        outs[step] = state[0]
    return torch.stack(outs), state


def _step(torch, name, gates_x, state, weights):
    """The state after one step, from the gates that the input gives."""
    of_state, bias, projection = weights
    linear, h = torch.nn.functional.linear, state[0]
    gates_h = linear(h, of_state, bias)
    if name == "lstm":
        inward, forget, new, outward = (gates_x + gates_h).chunk(4, -1)
        cell = forget.sigmoid() * state[1] + inward.sigmoid() * new.tanh()
        h = outward.sigmoid() * cell.tanh()
        return (h if projection is None else linear(h, projection)), cell
    if name == "gru":
        (reset, update, new), (reset_h, update_h, new_h) = gates_x.chunk(3, -1), gates_h.chunk(3, -1)
        update = (update + update_h).sigmoid()
        new = (new + (reset + reset_h).sigmoid() * new_h).tanh()
        return ((1 - update) * new + update * h,)
    act = torch.tanh if name == "rnn_tanh" else torch.relu
    return (act(gates_x + gates_h),)
