"""NeuroMFA in plain loops: from a list of connections to the degree of emergence, on one page of Python.

This file is the slow twin of the package. It imports nothing of ours and no NumPy, only `math`, so that
every step can be read beside the paper (Xiao et al., ICLR 2025, arXiv:2402.09099) and checked by hand on
small cases.

A network is given as a list of weight matrices, and a matrix as a list of connections
`(source, target, weight)`. A source may be anything hashable; the same name in two matrices is the same
neuron.

    matrices = [[("a", "x", 0.5), ("a", "y", -0.1)], [("b", "x", 0.02)]]
    radii, masses = paper_masses(matrices)
    result = spectrum(radii, masses)
    result["alpha0"], result["width"]
"""

import math

PAPER_Q = [(step - 30) / 10 for step in range(61)]  # -3, -2.9, ..., 3


# Step 1: distances. A strong connection is a short one: d = 1 / |w|. ----------------------------------------


def one_hop_distances(connections):
    """The distances from every neuron to its direct targets: {source: [1/|w|, ...]}.

    A weight of exactly zero means that there is no connection.
    """
    distances = {}
    for source, _target, weight in connections:
        weight = float(weight)
        if not math.isfinite(weight):
            raise ValueError(f"the weight from {source!r} is {weight}")
        if weight != 0.0:
            distances.setdefault(source, []).append(1.0 / abs(weight))
    return distances


def all_distances(matrices):
    """The distances of each neuron over all the matrices it is a source of."""
    together = {}
    for connections in matrices:
        for source, distances in one_hop_distances(connections).items():
            together.setdefault(source, []).extend(distances)
    return together


# Step 2: masses. How many neurons lie within radius r of neuron i, itself included? -------------------------


def mass_curve(distances, radii):
    """N(r) = 1 + #{distances <= r} for every r of the increasing list `radii`."""
    ordered = sorted(distances)
    curve = []
    inside = 0
    for radius in radii:
        while inside < len(ordered) and ordered[inside] <= radius:
            inside += 1
        curve.append(1 + inside)
    return curve


def paper_masses(matrices, shortest=1.0, longest=150.0, more_than=10):
    """The paper's masses: (radii, {neuron: [N_i(r) for every radius]}).

    Keep 1 < d <= 150, round to whole numbers, keep a neuron only if MORE than ten distances remain.
    The radii are all rounded distances that occur among the neurons kept.
    """
    kept = {}
    for neuron, distances in all_distances(matrices).items():
        rounded = [round(d) for d in distances if shortest < d <= longest]
        if len(rounded) > more_than:
            kept[neuron] = rounded
    if not kept:
        raise ValueError("no neuron has more than ten connections inside the window")
    radii = sorted({d for rounded in kept.values() for d in rounded})
    return radii, {neuron: mass_curve(rounded, radii) for neuron, rounded in kept.items()}


def quantile(ordered, share):
    """The `share` quantile of an increasing list, linear between neighbours (NumPy's default definition)."""
    position = (len(ordered) - 1) * share
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    part = position - below
    step = ordered[above] - ordered[below]
    if part < 0.5:  # from the nearer end, as NumPy does
        return ordered[below] + step * part
    return ordered[above] - step * (1.0 - part)


def median(values):
    """The middle value, or the mean of the two middle ones."""
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) / 2


def log_radii(shortest, longest, count=20):
    """`count` radii from `shortest` to `longest`, equally spaced in their logarithm; both ends exact."""
    low, high = math.log10(shortest), math.log10(longest)
    step = (high - low) / (count - 1)
    between = [10.0 ** (low + k * step) for k in range(1, count - 1)]
    return [shortest, *between, longest]


def scale_free_masses(matrices, count=20, first=0.02, last=0.90):
    """Masses that ignore the scale of the weights: (radii, {neuron: [N_i(r) for every radius]}).

    Each distance is divided by the median distance of its own matrix. No window, no rounding, and every
    neuron with a connection counts. The radii are spaced evenly in ln r between two quantiles of all the
    relative distances.
    """
    relative = {}
    for connections in matrices:
        of_matrix = one_hop_distances(connections)
        if of_matrix:
            unit = median([d for distances in of_matrix.values() for d in distances])
            for neuron, distances in of_matrix.items():
                relative.setdefault(neuron, []).extend(d / unit for d in distances)
    if not relative:
        raise ValueError("there is no connection at all")
    pooled = sorted(d for distances in relative.values() for d in distances)
    radii = log_radii(quantile(pooled, first), quantile(pooled, last), count)
    return radii, {neuron: mass_curve(distances, radii) for neuron, distances in relative.items()}


# Step 3: the straight line through (x, y). Every exponent below is the slope of such a line. ----------------


def slope(x, y):
    """Slope of the ordinary least-squares line with a free intercept."""
    if len(x) < 2 or min(x) == max(x):
        raise ValueError("a line needs at least two different radii")
    mean_x = math.fsum(x) / len(x)
    mean_y = math.fsum(y) / len(y)
    above = math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    below = math.fsum((a - mean_x) ** 2 for a in x)
    return above / below


def log_measure(masses):
    """ln mu_i(r) with mu_i(r) = N_i(r) / N_i(r_max): each neuron by its OWN final mass; rows are neurons."""
    return [[math.log(mass / curve[-1]) for mass in curve] for curve in masses.values()]


def log_partition(log_mu, q):
    """ln Z_q(r) with Z_q(r) = sum_i mu_i(r)^q, for every radius."""
    values = []
    for column in zip(*log_mu, strict=True):
        values.append(math.log(math.fsum(math.exp(q * value) for value in column)))
    return values


def weighted_log_measure(log_mu, q):
    """sum_i p_i(r) ln mu_i(r) with p_i = mu_i^q / Z_q, for every radius: the q-derivative of ln Z_q(r)."""
    values = []
    for column in zip(*log_mu, strict=True):
        powers = [math.exp(q * value) for value in column]
        weighted = math.fsum(p * value for p, value in zip(powers, column, strict=True))
        values.append(weighted / math.fsum(powers))
    return values


# Step 4: the spectrum. ------------------------------------------------------------------------------------


def relative_log_radii(radii):
    """ln(r / r_max), the abscissa of every fit."""
    return [math.log(radius / radii[-1]) for radius in radii]


def mass_exponents(radii, masses, q=PAPER_Q):
    """tau(q): slope of ln Z_q(r) on ln(r / r_max), for every q."""
    x = relative_log_radii(radii)
    log_mu = log_measure(masses)
    return [slope(x, log_partition(log_mu, value)) for value in q]


def exact_alpha(radii, masses, q):
    """alpha(q) = d tau / d q. As tau is a slope, so is its derivative: that of sum_i p_i ln mu_i."""
    return slope(relative_log_radii(radii), weighted_log_measure(log_measure(masses), q))


def spectrum(radii, masses, q=PAPER_Q, derivative="exact"):
    """tau, alpha, f and their two numbers alpha0 ("regularity") and width ("heterogeneity").

    derivative="exact": alpha is the derivative of tau at each q and alpha0 = alpha(q = 0).
    derivative="forward": alpha_j = (tau_j+1 - tau_j) / (q_j+1 - q_j) as the authors do, one value fewer
    than q, and alpha0 = alpha where f is largest. When 0 is among the q, f is zero on both sides of it, and
    rounding error decides which side that is.
    """
    q = list(q)
    tau = mass_exponents(radii, masses, q)
    if derivative == "forward":
        alpha = [(tau[j + 1] - tau[j]) / (q[j + 1] - q[j]) for j in range(len(q) - 1)]
    else:
        alpha = [exact_alpha(radii, masses, value) for value in q]
    f = [q[j] * alpha[j] - tau[j] for j in range(len(alpha))]
    if derivative == "forward":
        alpha0 = alpha[f.index(max(f))]
    else:
        alpha0 = exact_alpha(radii, masses, 0.0)
    return {"q": q, "tau": tau, "alpha": alpha, "f": f, "alpha0": alpha0, "width": max(alpha) - min(alpha)}


# Step 5: the neuron-based fractal dimension of each neuron. -------------------------------------------------


def dimensions_common(radii, masses):
    """Slope of ln N_i(r) on ln r over the COMMON radii: {neuron: dimension}. The mean is alpha(q = 0)."""
    x = [math.log(radius) for radius in radii]
    return {neuron: slope(x, [math.log(mass) for mass in curve]) for neuron, curve in masses.items()}


def dimensions_own(matrices, longest=200.0, more_than=10):
    """Slope of ln N_i(r) on ln r over the neuron's OWN radii, 0 < d <= 200: {neuron: dimension}.

    Distances are rounded and neurons kept as for the masses. A distance that rounds to 0 counts in the mass
    but is no radius (ln 0), and a neuron with fewer than two radii has no line, hence no dimension.
    """
    dimensions = {}
    for neuron, distances in all_distances(matrices).items():
        rounded = [round(d) for d in distances if 0.0 < d <= longest]
        radii = sorted(set(rounded) - {0})
        if len(rounded) > more_than and len(radii) > 1:
            curve = mass_curve(rounded, radii)
            dimensions[neuron] = slope([math.log(r) for r in radii], [math.log(mass) for mass in curve])
    return dimensions


# Step 6: the degree of emergence. ---------------------------------------------------------------------------


def mean(values):
    """The arithmetic mean."""
    return math.fsum(values) / len(values)


def emergence(alpha0, width, alpha0_untrained, width_untrained):
    """E = [w(t) / w(0)] ln[alpha0(0) / alpha0(t)]; each argument lists a value per sampled network."""
    growth = mean(width) / mean(width_untrained)
    return growth * math.log(mean(alpha0_untrained) / mean(alpha0))
