"""From pairs of channels (j, i) to the shortest way of saying them exactly: one-to-one, groups, all-to-all, pairs."""

import numpy as np

from .data import Feed

MOST_MAPS = 4  # output channels of one matrix that one input channel may read, as the four gates of an LSTM


def distinct(numbers):
    """Whole numbers, sorted, each once."""
    numbers = np.sort(numbers)
    return numbers[np.concatenate([[True], numbers[1:] != numbers[:-1]])] if len(numbers) else numbers


def feeds_of(earlier, codes, shape, same):
    """The Feeds that say the pairs codes = j * n_out + i, sorted, of one earlier use; same (n_out,) as in Feed."""
    n_in, n_out = shape
    if len(codes) == n_in * n_out and n_out > 1 and same.all() == same.any():
        return [Feed(earlier, "all-to-all", shape, same_position=same)]
    j, i = np.divmod(codes, n_out)
    served = np.bincount(i, minlength=n_out)  # how many j each i feeds
    alone, groups = np.zeros(n_out, bool), []
    # A query and a key feed one head alike, the value one channel each: they are told apart before they are described.
    for width, here in sorted({(int(n), bool(n > 1 and at)) for n, at in zip(served, same, strict=True) if n}):
        mine = (served == width) & ((same == here) | (width == 1))
        most = np.bincount(j[mine[i]]).max()
        if most == 1 or (width == 1 and most <= MOST_MAPS):
            alone |= mine
        else:
            groups.append(_groups(earlier, j, i, mine, shape, same))
    maps = _maps(earlier, j, i, alone, shape, same) if alone.any() else ()
    return sorted([*maps, *groups], key=lambda feed: feed.channels[0])


def _maps(earlier, j, i, mine, shape, same):
    """One map from j to i for the first channel that feeds each j, one for the second, and so on."""
    n_in, n_out = shape
    chosen = mine[i]
    j, i = j[chosen], i[chosen]
    order = np.lexsort((i, j))
    j, i = j[order], i[order]
    rank = np.arange(len(j)) - np.searchsorted(j, j)
    for each in range(rank.max() + 1):
        of_target = np.full(n_in, -1, np.int64)
        of_target[j[rank == each]] = i[rank == each]
        used = np.isin(np.arange(n_out), i[rank == each])
        yield Feed(earlier, "one-to-one", shape, of_target=of_target, same_position=same & used)


def _groups(earlier, j, i, mine, shape, same):
    """Labels where channels that share a j share all, else the pairs themselves."""
    n_in, n_out = shape
    chosen = mine[i]
    j, i = j[chosen], i[chosen]
    members = distinct(i)
    joined = np.zeros((len(members), n_in), bool)
    joined[np.searchsorted(members, i), j] = True
    keys = [row.tobytes() for row in np.packbits(joined, axis=1)]
    number_of = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    of = np.array([number_of[key] for key in keys])
    sets = joined[[keys.index(key) for key in number_of]]
    kept = same & mine
    if sets.sum(0).max() > 1:
        return Feed(earlier, "pairs", shape, listed=np.column_stack([j, i]), same_position=kept)
    first = np.array([np.flatnonzero(each)[0] for each in sets])
    number = np.argsort(np.argsort(first))  # groups are numbered by the first j they feed
    to_labels, from_labels = np.full(n_in, -1, np.int64), np.full(n_out, -1, np.int64)
    for label, each in zip(number, sets, strict=True):
        to_labels[each] = label
    from_labels[members] = number[of]
    if len(sets) == 1 and sets.all() and len(members) == n_out:
        return Feed(earlier, "all-to-all", shape, same_position=kept)
    return Feed(earlier, "groups", shape, to_labels=to_labels, from_labels=from_labels, same_position=kept)
