"""What feeds what, as the tests of the trace write it by hand and as a trace found it: matrices of bool."""

import numpy as np

from neuromfa_lite.network.trace import trace


def same(n):
    return np.eye(n, dtype=bool)


def part(n_in, n_out, to=0, since=0, n=None):
    """Output channels `since` and on are the input channels `to` and on, n of them."""
    n = min(n_in - to, n_out - since) if n is None else n
    matrix = np.zeros((n_in, n_out), bool)
    matrix[np.arange(to, to + n), np.arange(since, since + n)] = True
    return matrix


def blocks(n, n_in, n_out):
    """Groups, all-to-all within."""
    return np.kron(np.eye(n, dtype=bool), np.ones((n_in, n_out), bool)).astype(bool)


def every(n_in, n_out):
    return np.ones((n_in, n_out), bool)


def spread(n, times):
    """Each channel over several inputs in a row, as in flatten."""
    return np.kron(np.eye(n, dtype=bool), np.ones((times, 1), bool)).astype(bool)


def label(use, seen):
    name = use.name.removesuffix(".weight") + ("" if use.expert is None else f"#{use.expert}")
    seen[name] = seen.get(name, 0) + 1
    return name if seen[name] == 1 else f"{name}'{seen[name]}"


def labels(traced):
    seen = {}
    return [label(use, seen) for use in traced.uses]


def joins(traced):
    """{(use, earlier use): matrix of what feeds what}."""
    names, found = labels(traced), {}
    for number, use in enumerate(traced.uses):
        for feed in use.feeds:
            assert feed.earlier < number and feed.shape == (use.n_in, traced.uses[feed.earlier].n_out)
            matrix = found.setdefault((names[number], names[feed.earlier]), np.zeros(feed.shape, bool))
            j, i = feed.pairs().T
            assert not matrix[j, i].any()  # no pair is told twice
            matrix[j, i] = True
            assert set(np.flatnonzero(feed.same_position)) <= set(feed.channels)
    return found


def check(model, inputs, expected, **known):
    import torch

    torch.manual_seed(1)
    traced = trace(model, inputs, progress=False)
    found = joins(traced)
    more, missing = set(found) - set(expected), set(expected) - set(found)
    assert not more | missing, f"not expected {sorted(more)}, not found {sorted(missing)}"
    for key, matrix in expected.items():
        assert np.array_equal(found[key], matrix), f"{key}: {found[key].astype(int)}"
    left_out = {name: why for name, _, why in traced.left_out}
    assert left_out == known.get("left_out", {}), left_out
    if "cut" in known:
        names = labels(traced)
        cut = {(names[n], names[k], by) for n, use in enumerate(traced.uses) for k, by in use.cut_by}
        assert cut == known["cut"], cut
    for use in traced.uses:
        if use.kind != "input":
            check_weights(use, model)
    return traced


def check_weights(use, model):
    """Its places lie in the parameter, each its own."""
    weights = use.weights(dict(model.named_parameters(remove_duplicate=False))[use.name].detach().float().numpy())
    found = use.in_two_dimensions()
    if found is not None:
        stored = dict(model.named_parameters(remove_duplicate=False))[use.name].detach().float().numpy()
        flat = stored.reshape(-1, stored.shape[-1])[np.ix_(*found)]
        assert np.array_equal(flat.T if use.transposed else flat, weights[:, :, 0])
    assert weights.shape[:2] == (use.n_out, use.n_in) and np.isfinite(weights).all()


def kinds(traced, use, earlier):
    names = labels(traced)
    return [feed.kind for feed in traced.uses[names.index(use)].feeds_of(names.index(earlier))]


def positions(traced, use, earlier):
    """The set of whether a channel is read at its own position only."""
    names = labels(traced)
    feeds = traced.uses[names.index(use)].feeds_of(names.index(earlier))
    return {bool(here) for feed in feeds for here in feed.same_position[feed.channels]}
