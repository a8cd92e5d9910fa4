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


# Step 7: any shares and weights, how straight a line is, and how far each neuron pulls it. -------------------


def partition(shares, weights, q):
    """(ln Z, d ln Z/d q) at every radius, Z = sum_i w_i mu_i^q; a list of shares mu_i and of weights w_i each."""
    log_z, mean_log = [], []
    for of_radius, of_weights in zip(shares, weights, strict=True):
        terms = [w * mu**q for mu, w in zip(of_radius, of_weights, strict=True)]
        total = math.fsum(terms)
        log_z.append(math.log(total))
        mean_log.append(math.fsum(t * math.log(mu) for t, mu in zip(terms, of_radius, strict=True)) / total)
    return log_z, mean_log


def residuals(x, y, among=None):
    """How far the points lie from the line through them, or through those at the positions ``among``."""
    among = range(len(x)) if among is None else among
    near_x, near_y = [x[k] for k in among], [y[k] for k in among]
    rise, mean_x, mean_y = slope(near_x, near_y), mean(near_x), mean(near_y)
    return [b - mean_y - rise * (a - mean_x) for a, b in zip(x, y, strict=True)]


def r2(x, y):
    """Share of the variance that the line explains; 1 where there is none but of rounding."""
    if max(y) - min(y) <= 1e-13:
        return 1.0
    return 1 - math.fsum(r * r for r in residuals(x, y)) / math.fsum((b - mean(y)) ** 2 for b in y)


def bend(x, y):
    """How much the slope of the least-squares parabola changes over the points, as a share of the line's slope.

    The parabola's normal equations are solved by Cramer's rule.
    """
    rise, middle = slope(x, y), mean(x)
    if rise == 0:
        return 0.0
    x = [value - middle for value in x]
    power = [math.fsum(value**k for value in x) for k in range(5)]
    moment = [math.fsum(b * a**k for a, b in zip(x, y, strict=True)) for k in range(3)]
    rows = [power[k : k + 3] for k in range(3)]
    square = determinant([[*row[:2], right] for row, right in zip(rows, moment, strict=True)]) / determinant(rows)
    return 2 * square * (x[-1] - x[0]) / rise


def determinant(rows):
    """Of three rows of three numbers."""
    (a, b, c), (d, e, f), (g, h, i) = rows
    return math.fsum([a * e * i, b * f * g, c * d * h, -c * e * g, -b * d * i, -a * f * h])


def line_weights(x):
    """What the value at each point adds to the slope of the line."""
    middle = mean(x)
    spread = math.fsum((a - middle) ** 2 for a in x)
    return [(a - middle) / spread for a in x]


def pulls(x, shares, weights, q, flat):
    """([d tau/d v_i], [d alpha/d v_i]): what a little more of neuron i does to the slopes of ln Z and d ln Z/d q.

    flat: ln Z has no slope by definition.
    """
    log_z, mean_log = partition(shares, weights, q)
    part = [c / math.exp(of_radius) for c, of_radius in zip(line_weights(x), log_z, strict=True)]
    of_tau, of_alpha = [], []
    for i in range(len(shares[0])):
        mine = [share[i] for share in shares]
        terms = [c * w[i] * mu**q for c, w, mu in zip(part, weights, mine, strict=True)]
        of_tau.append(0.0 if flat else math.fsum(terms))
        above = [math.log(mu) - level for mu, level in zip(mine, mean_log, strict=True)]
        of_alpha.append(math.fsum(term * rise for term, rise in zip(terms, above, strict=True)))
    return of_tau, of_alpha


def standard_error(pulled, groups, sizes):
    """The standard error of a sum of pulls: of n neurons in a group the variance is n times that of a single one."""
    variance = 0.0
    for group, n in sizes.items():
        mine = [pull for pull, other in zip(pulled, groups, strict=True) if other == group]
        middle = math.fsum(mine) / n  # those that are no centre pull by 0
        squares = math.fsum((pull - middle) ** 2 for pull in mine) + (n - len(mine)) * middle**2
        variance += n / (n - 1) * squares if n > 1 else 0.0
    return math.sqrt(variance)


def error_of_one_dimension(radii, curve):
    """The standard error of the slope of ln N on ln r over the connections of a neuron, one after another."""
    weights = line_weights([math.log(radius) for radius in radii])
    squares, before = [], 1
    for place, mass in enumerate(curve):
        pull = math.fsum(c / n for c, n in zip(weights[place:], curve[place:], strict=True))
        squares += [pull**2] * (mass - before)
        before = mass
    return math.sqrt(math.fsum(squares))
