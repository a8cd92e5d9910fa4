"""Every definition tried before those of evaluation/measures/circuits.py were kept: python benchmarks/circuits_tried.py

Who picks the best of many finds something that looks good, so here are all of them, in the order in which they were
tried, with the numbers they were picked by: on the bundled runs, how specific each is (the contrast of the rise of a
run and that of its control, at step 256 and at the last), in how many of these ten comparisons that is more than the
published E's, and what permuted connections leave of the rise (contrast of after and before, -1: nothing). Two were
kept, 5 and 22; benchmarks/fresh_seeds.py judges them on trainings that nobody had seen then. Takes 3 minutes.

None feels a common factor or a change that preserves the function: each circuit is a product of whole matrices, gains
folded in, and its size is taken out.
"""

import warnings

import numpy as np

import neuromfa_lite as nmfa
from neuromfa_lite.evaluation.changes import WIRING
from neuromfa_lite.evaluation.measures.circuits import folded_layers, returned, token_paths, token_ways
from neuromfa_lite.evaluation.questions import at_the_end, contrast
from neuromfa_lite.evaluation.values import of_change, values_of
from neuromfa_lite.laboratory import RECIPES
from neuromfa_lite.weights import open_source


class Circuits:
    """All that the definitions below are made of, of one checkpoint: tokens E and U, heads, MLPs."""

    def __init__(self, checkpoint):
        source = open_source(checkpoint)
        self.E, self.U = token_ways(source)
        heads = source.config["num_attention_heads"]
        layers = list(folded_layers(source))
        self.mlps = [(layer["mlp-out"], layer["mlp-in"]) for layer in layers]
        self.readers = [
            piece for layer in layers for role in ("query", "key", "value") for piece in np.split(layer[role], heads)
        ]
        self.writers = [piece for layer in layers for piece in np.split(layer["attention-output"], heads, axis=1)]
        values = [piece for layer in layers for piece in np.split(layer["value"], heads)]
        queries, keys = ([p for each in layers for p in np.split(each[role], heads)] for role in ("query", "key"))
        self.chains = {
            "ov": [(self.U, o, v, self.E.T) for o, v in zip(self.writers, values, strict=True)],
            "qk": [(self.E, q.T, k, self.E.T) for q, k in zip(queries, keys, strict=True)],
            "mlp": [(self.U, out, inner, self.E.T) for out, inner in self.mlps],
        }

    def links(self, *kinds):
        return [np.linalg.multi_dot(chain) for kind in kinds or self.chains for chain in self.chains[kind]]

    def neurons(self):
        """(tokens, MLP neurons) of every layer: what each reads and what it writes."""
        return [(self.E @ inner.T, self.U @ out) for out, inner in self.mlps]


def off_diagonal(table):
    return table[~np.eye(len(table), dtype=bool)]


def correlation(a, b):
    return np.corrcoef(a, b)[0, 1]


def cosines(vectors):
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return off_diagonal(units @ units.T)


def rho(links):
    return correlation(off_diagonal(links), off_diagonal(links.T))


def coupling(chain):
    return np.log(np.linalg.norm(np.linalg.multi_dot(chain))) - sum(np.log(np.linalg.norm(each)) for each in chain)


def concentration(links):
    sizes = np.linalg.svd(links, compute_uv=False) ** 2
    return np.log((sizes**2).sum()) - 2 * np.log(sizes.sum())


def regularity(links):
    distances = 1 / np.abs(links)
    radii = np.geomspace(*np.quantile(off_diagonal(distances), (0.01, 0.5)), 16)
    inside = np.stack([1 + (distances <= r).sum(axis=1) for r in radii], axis=1) / len(links)
    return np.polyfit(np.log(radii), np.log(inside).T, 1)[0].mean()


def few_targets(links):
    return np.mean(np.log((links**4).sum(axis=0)) - 2 * np.log((links**2).sum(axis=0)))


def rows_columns(*kinds):
    return lambda c: np.mean([correlation(cosines(each), cosines(each.T)) for each in c.links(*kinds)])


def read_written(c):
    read = [cosines(c.E @ each.T) for each in (*c.readers, *(inner for _, inner in c.mlps))]
    written = [cosines(c.U @ each) for each in (*c.writers, *(out for out, _ in c.mlps))]
    return np.corrcoef(read + written)[: len(read), len(read) :].mean()


def alike(c):
    """(neurons, neurons) of every MLP: squared cosine over tokens of what one reads and another writes."""
    unit = [[each / np.linalg.norm(each, axis=0) for each in pair] for pair in c.neurons()]
    return [(read.T @ written) ** 2 for read, written in unit]


def own_beyond_others(c):
    return np.mean([np.diag(table).mean() - off_diagonal(table).mean() for table in alike(c)])


def summed(c, *kinds):
    return rho(np.sum(c.links(*kinds), axis=0))


def shared(chain):
    written, read = chain[0] @ chain[1], chain[3].T @ chain[2].T
    return np.linalg.norm(read.T @ written) ** 2 / (np.linalg.norm(read.T @ read) * np.linalg.norm(written.T @ written))


def growth(chain):
    links = np.linalg.multi_dot(chain)
    return np.log(np.abs(np.linalg.eigvals(chain[2] @ chain[3] @ chain[0] @ chain[1])).max() / np.linalg.norm(links))


def rho_squared_of_paths(checkpoint):
    return np.mean([rho(written @ read.T) ** 2 for written, read in token_paths(checkpoint)])


def mean_of(function, *kinds):
    return lambda c: np.mean([function(each) for each in c.links(*kinds)])


def mean_of_chains(function, *kinds):
    return lambda c: np.mean([function(chain) for kind in kinds or c.chains for chain in c.chains[kind]])


TRIED = {
    "1 ln of a circuit's size over its matrices'": mean_of_chains(coupling),
    "2 few singular values (-ln participation)": mean_of(concentration),
    "3 -ln alpha0 of tokens at 1/|C|": lambda c: -np.mean([np.log(regularity(each)) for each in c.links()]),
    "4 few targets of each token (kurtosis)": mean_of(few_targets),
    "5 agreement of cosines, E and U [kept]": lambda c: correlation(cosines(c.E), cosines(c.U)),
    "6 the same, all that is read and written": read_written,
    "7 agreement of rows and columns of C": rows_columns(),
    "8 reciprocity, heads": mean_of(rho, "ov"),
    "9 reciprocity, MLP neurons": lambda c: np.mean([np.diag(table).mean() for table in alike(c)]),
    "10 reciprocity, queries and keys": mean_of(rho, "qk"),
    "11 8 with links to itself": mean_of(lambda links: correlation(links.ravel(), links.T.ravel()), "ov"),
    "12 reciprocity of all heads' sum": lambda c: summed(c, "ov"),
    "13 reciprocity of heads' and MLPs' sum": lambda c: summed(c, "ov", "mlp"),
    "14 7, heads only": rows_columns("ov"),
    "15 7, MLPs only": rows_columns("mlp"),
    "16 CKA of what a head reads and writes": mean_of_chains(shared, "ov"),
    "17 |reciprocity|, heads": mean_of(lambda links: abs(rho(links)), "ov"),
    "18 ln of largest eigenvalue over size": mean_of_chains(growth, "ov"),
    "19 reciprocity^2, heads": mean_of(lambda links: rho(links) ** 2, "ov"),
    "20 9, beyond other neurons'": own_beyond_others,
    "21 19, also heads behind an MLP": rho_squared_of_paths,
    "22 21 with links to itself [kept]": lambda c: np.mean([returned(*path) ** 2 for path in token_paths(c)]),
}
OF_CHECKPOINTS = ("21 19, also heads behind an MLP", "22 21 with links to itself [kept]")


def measures():
    """(name, Method or function of a checkpoint): what the others are compared with, and every definition."""
    yield "published", nmfa.PUBLISHED
    for name, definition in TRIED.items():
        of = definition if name in OF_CHECKPOINTS else lambda ck, definition=definition: definition(Circuits(ck))
        yield name, lambda checkpoint, of=of: float(of(checkpoint))


def rise(rises, step):
    return rises.xs(step, level="step").to_numpy().mean()


def compared(measure, runs):
    """Ten contrasts, and what permuted connections make of the rise of every run with an ability (seed 0...2)."""
    tables = {name: values_of(run, measure, changes=[WIRING]) for name, run in runs.items()}
    rises = {name: of_change(table) for name, table in tables.items()}
    pairs = [(each.control_of, name) for name, each in RECIPES.items() if each.control_of]
    found = []
    for name, control in pairs:
        for step in (256, runs[name].steps()[-1]):
            found.append(contrast(rise(rises[name], step), rise(rises[control], step)))
    permuted = []
    for name in dict.fromkeys(name for name, _ in pairs):
        after, before = of_change(tables[name], WIRING), rises[name]
        permuted.append(contrast(at_the_end(after).mean(), at_the_end(before).mean()))
    return np.array(found), permuted


def main():
    warnings.simplefilter("ignore", nmfa.QualityWarning)
    runs = {name: nmfa.load_run(name) for name in RECIPES}
    print("two columns a pair, step 256 and last; more specific than the published E; | permuted connections")
    published = None
    for name, measure in measures():
        found, permuted = compared(measure, runs)
        published = found if published is None else published
        columns = " ".join(f"{value:+.2f}" for value in found)
        felt = " ".join(f"{value:+.2f}" for value in permuted)
        print(f"{name:45} {columns}  {np.count_nonzero(found > published):2d}/10 | {felt}", flush=True)


if __name__ == "__main__":
    main()
