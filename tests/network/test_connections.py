"""Joins by labels, kernels whose positions stand in parallel, and tensors of more dimensions, against plain loops."""

import numpy as np
import oracle
import pytest
from safetensors.numpy import save_file
from twins import chain, edge_lists, gaussian

from neuromfa_lite import GEODESIC, PAPER, SCALE_FREE, NeuronNetwork, load_network
from neuromfa_lite.errors import NeuroMFAError, SourceError
from neuromfa_lite.masses import count_masses, geodesic_distances
from neuromfa_lite.network import Architecture, Join, NeuronLayer, register_architecture
from neuromfa_lite.network.architectures import ARCHITECTURES
from neuromfa_lite.network.architectures.convolutions import channels_of, convolution
from neuromfa_lite.network.connections import Dense, Fixed
from neuromfa_lite.network.traced_weights import with_kernel_norms
from neuromfa_lite.weights import WeightMatrix, open_source

INFINITE = np.inf
# Labels of the targets and of the sources, and what the join is called.
LABELS = [
    (range(4), range(4), "one-to-one"),
    ([3, 0, 2], [0, 1, 2, 3], "one-to-one"),
    ([0, 0, 0], [0, 0], "all-to-all"),
    ([0, 0, 1, 1], [0, 1], "one-to-many"),
    ([0, 1], [0, 0, 1, 1], "many-to-one"),
    ([0, 0, 1, 1, 5], [0, 0, 1, 1, 4], "groups"),
    ([0, -1, 1], [-1, 0, 1], "one-to-one"),
    ([0], [0], "one-to-one"),
    ([-1, -1], [-1], "one-to-one"),
]
every_join = pytest.mark.parametrize(("into", "out_of", "kind"), LABELS)


def dense_of_kernel(tensor, role, ends, transposed=False, norms=False):
    """As a record wires a kernel without groups."""
    targets, sources = channels_of(tensor.shape, transposed)
    join = Join("in", "out", tensor.name, role, transposed=transposed)
    made = convolution(join, tensor, ends, {"in": sources, "out": targets})
    return with_kernel_norms(made) if norms else made


def edges_of_kernel(tensor, role, ends, groups, norms=False):
    """As a record wires a kernel in groups."""
    sizes = {"in": tensor.shape[1] * groups, "out": tensor.shape[0]}
    made = convolution(Join("in", "out", tensor.name, role, groups=groups), tensor, ends, sizes)
    return with_kernel_norms(made) if norms else made


def joined(into, out_of):
    """(sources, targets) bool, label by label."""
    return np.array([[s == t and s >= 0 for t in into] for s in out_of])


def fixed(into, out_of):
    return Fixed("f", "", 0, 1, np.array(into), np.array(out_of))


@pytest.mark.small
@every_join
def test_a_fixed_join_joins_neurons_of_equal_labels(into, out_of, kind):
    join, expected = fixed(into, out_of), joined(into, out_of)
    sources, targets, ones = join.edges()
    assert sorted(zip(sources.tolist(), targets.tolist(), strict=True)) == list(map(tuple, np.argwhere(expected)))
    assert ones.tolist() == [1.0] * expected.sum() and join.connections == expected.sum()
    assert join.shape == expected.T.shape and join.kind == kind
    np.testing.assert_array_equal(join.step_matrix(None), np.where(expected, 1.0, INFINITE))
    np.testing.assert_array_equal(join.listed_steps(None)[:2], [sources, targets])


@pytest.mark.small
@every_join
def test_paths_go_on_through_a_fixed_join_where_they_are_shorter(into, out_of, kind):
    draw = np.random.default_rng(len(into))
    paths, before = draw.uniform(0, 4, (5, len(out_of))), draw.uniform(0, 4, (5, len(into)))
    paths[0], before[1] = INFINITE, INFINITE
    reached = before.copy()
    fixed(into, out_of).extend(None, INFINITE, paths, reached)
    steps = np.where(joined(into, out_of), 1.0, INFINITE)
    np.testing.assert_array_equal(reached, np.minimum(before, (paths[:, :, None] + steps).min(axis=1)))


@pytest.mark.small
@every_join
def test_a_part_of_a_fixed_join_joins_the_neurons_that_are_left(into, out_of, kind):
    targets, sources = np.arange(len(into))[::-1][:2], np.arange(len(out_of))[::2]
    part, expected = fixed(into, out_of).take(targets, sources), joined(into, out_of)[np.ix_(sources, targets)]
    np.testing.assert_array_equal(part.step_matrix(None), np.where(expected, 1.0, INFINITE))


# Kernels

KERNELS = {"one axis": (6, 4, 3), "two axes": (5, 4, 2, 3), "three axes": (4, 3, 2, 1, 2), "a point": (6, 4, 1, 1)}
every_kernel = pytest.mark.parametrize("shape", KERNELS.values(), ids=KERNELS)


def kernel(shape, dtype=np.float32):
    """(the tensor as it is opened, its numbers)."""
    numbers = gaussian(*shape, seed=sum(shape), dtype=dtype)
    numbers.ravel()[::7] = 0
    return open_source({"k": numbers}, config={}).stacked["k"], numbers


def listed(numbers):
    """[(source, target, weight)] of a kernel (targets, sources, positions...), position by position."""
    return [(s, t, w) for t, s in np.ndindex(numbers.shape[:2]) for w in numbers[t, s].ravel().tolist() if w]


def edges_of(block):
    return sorted(zip(*(each.tolist() for each in block.edges()), strict=True))


@every_kernel
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_positions_of_a_kernel_are_parallel_connections(shape, transposed, dtype):
    tensor, numbers = kernel(shape, dtype)
    numbers = numbers.swapaxes(0, 1) if transposed else numbers
    block, positions = dense_of_kernel(tensor, "c", (0, 1), transposed), int(np.prod(shape[2:]))
    assert block.shape == numbers.shape[:2] and block.parallel == positions == block.places // block.shape[0]
    assert block.connections == numbers.size and edges_of(block) == sorted(listed(numbers))
    assert block.weights().dtype == (np.float64 if dtype == np.float64 else np.float32)
    lengths = block.lengths(SCALE_FREE.replace(distance="inverse"))
    assert block.degrees(lengths).tolist() == [np.count_nonzero(numbers[:, s]) for s in range(numbers.shape[1])]
    with np.errstate(divide="ignore"):
        shortest = (1 / np.abs(numbers.astype(np.float64))).reshape(*numbers.shape[:2], -1).min(axis=2)
    np.testing.assert_array_equal(block.steps(PAPER), shortest.T)
    targets, weights = block.of_source(2)
    assert [(t, w) for t, w in zip(targets.tolist(), weights.tolist(), strict=True) if w] == [
        (t, w) for s, t, w in listed(numbers) if s == 2
    ]


@every_kernel
def test_a_part_of_a_kernel_is_read_for_its_channels_alone(shape, monkeypatch):
    tensor, numbers = kernel(shape)
    targets, sources = np.array([3, 0]), np.array([2, 1])
    read, original = [], WeightMatrix._take
    monkeypatch.setattr(WeightMatrix, "_take", lambda self, *at: read.append(original(self, *at)) or read[-1])
    part = dense_of_kernel(tensor, "c", (0, 1)).take(targets, sources)
    assert edges_of(part) == sorted(listed(numbers[np.ix_(targets, sources)]))
    assert max(each.size for each in read) == 4 * np.prod(shape[2:])


@every_kernel
def test_the_norm_of_a_kernel_is_one_connection(shape):
    tensor, numbers = kernel(shape)
    expected = np.sqrt((numbers.astype(np.float64).reshape(*shape[:2], -1) ** 2).sum(axis=2))
    block = dense_of_kernel(tensor, "c", (0, 1), norms=True)
    assert block.parallel == 1
    np.testing.assert_allclose(np.abs(block.weights()), expected, rtol=1e-15)
    np.testing.assert_allclose(np.abs(block.take([1, 3], [2]).weights()), expected[[1, 3]][:, [2]], rtol=1e-15)


@pytest.mark.parametrize(("shape", "groups"), [((6, 2, 3), 3), ((6, 1, 2, 2), 6), ((4, 3, 1), 2)])
def test_the_edges_of_a_grouped_kernel_stay_within_their_groups(shape, groups):
    tensor, numbers = kernel(shape)
    out, inside = shape[0] // groups, shape[1]
    full = np.zeros((shape[0], inside * groups, *shape[2:]))
    for t, s in np.ndindex(shape[:2]):
        full[t, t // out * inside + s] = numbers[t, s]
    block = edges_of_kernel(tensor, "c", (0, 1), groups)
    assert (
        block.shape == full.shape[:2] and block.connections == numbers.size and edges_of(block) == sorted(listed(full))
    )
    norms = edges_of_kernel(tensor, "c", (0, 1), groups, norms=True)
    np.testing.assert_allclose(
        sorted(norms.listed), sorted(np.sqrt((numbers.reshape(*shape[:2], -1).astype(float) ** 2).sum(axis=2)).ravel())
    )


@pytest.mark.parametrize("method", [PAPER, SCALE_FREE], ids=lambda method: method.name)
def test_masses_of_parallel_connections_are_those_of_the_list_of_them(method):
    tensor, numbers = kernel((30, 7, 2, 2))
    layers = [NeuronLayer("in", 7), NeuronLayer("out", 30)]
    network = NeuronNetwork(layers, [dense_of_kernel(tensor, "c", (0, 1))])
    one_by_one = [[((0, s), t, w) for s, t, w in listed(numbers)]]
    radii, expected = {"paper": oracle.paper_masses, "scale-free": oracle.scale_free_masses}[method.name](one_by_one)
    masses = count_masses(network, method)
    np.testing.assert_allclose(masses.radii, radii, rtol=1e-14)
    assert masses.counts.tolist() == [expected[0, s] for s in range(7)] and masses.places.tolist() == [120] * 7
    assert edge_lists(network)[0] != [] and network.connections == 840


def test_shortest_paths_take_the_shortest_of_parallel_connections():
    tensor, numbers = kernel((30, 7, 2, 2))
    strongest = np.abs(numbers).max(axis=(2, 3))
    method = GEODESIC.replace(minimum_connections=1, window=None, rounding=False, radii="log-spaced")
    layers = [NeuronLayer("in", 7), NeuronLayer("out", 30)]
    parallel = geodesic_distances(NeuronNetwork(layers, [dense_of_kernel(tensor, "c", (0, 1))]), method)
    np.testing.assert_array_equal(parallel, geodesic_distances(chain(strongest), method))


# Tensors of three dimensions


@pytest.fixture(params=["array", "file", "torch", "bfloat16"])
def stack(request, tmp_path):
    """(a stack of three matrices as it is opened from somewhere, its numbers)."""
    numbers = gaussian(3, 4, 5)
    if request.param == "array":
        return open_source({"w": numbers}, config={}).stacked["w"], numbers
    if request.param == "file":
        save_file({"w": numbers}, tmp_path / "model.safetensors")
        (tmp_path / "config.json").write_text("{}")
        return open_source(tmp_path).stacked["w"], numbers
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(numbers)
    tensor = tensor.bfloat16() if request.param == "bfloat16" else tensor
    return open_source({"w": tensor}, config={}).stacked["w"], tensor.float().numpy()


def test_a_stack_of_matrices_is_read_whole_or_one_by_one(stack):
    tensor, numbers = stack
    assert tensor.shape == (3, 4, 5)
    np.testing.assert_array_equal(tensor.read(), numbers)
    for number in range(3):
        matrix = tensor[number]
        assert matrix.name == f"w[{number}]" and matrix.shape == (4, 5)
        np.testing.assert_array_equal(matrix.read(), numbers[number])
        np.testing.assert_array_equal(matrix.read([3, 1], [0, 4]), numbers[number][np.ix_([3, 1], [0, 4])])
        half = matrix.part([2, 3], "up")
        np.testing.assert_array_equal(half.read(), numbers[number][2:])
        assert half.place[0] == f"w[{number}]" and half.place[1].tolist() == [2, 3] and half.place[2] == 4
    with pytest.raises(SourceError, match="no matrix 3 is stacked in it"):
        tensor[3]


# Records with convolutions


@pytest.fixture
def toy(monkeypatch):
    def registered(*joins, sizes=(4, 6)):
        layers = [NeuronLayer(f"l{place}", size) for place, size in enumerate(sizes)]
        monkeypatch.setitem(ARCHITECTURES, "toy", None)
        register_architecture(Architecture("toy", layers=None, joins=None, dataflow=lambda known: (layers, joins)))

    return registered


def opened(tensors, **how):
    return load_network(tensors, config={"model_type": "toy"}, **how)


def test_a_record_without_a_chain_is_opened_by_its_dataflow_and_says_so(toy):
    toy(Join("l0", "l1", "k", "convolution"))
    network = opened({"k": gaussian(6, 4, 3)})
    assert network.wiring == "dataflow" and network.connections == 72
    assert count_masses(network.sample(4), PAPER.replace(wiring=None, minimum_connections=1)).counts.size
    with pytest.raises(NeuroMFAError, match="was opened with wiring='dataflow', but method 'paper' asks for 'chain'"):
        count_masses(network, PAPER)
    with pytest.raises(
        SourceError, match='the published chain is one of transformers: open toy with wiring="dataflow"'
    ):
        opened({"k": gaussian(6, 4, 3)}, wiring="chain")


@pytest.mark.parametrize("join", [Join("l0", "l1", "k"), Join("l0", "l1", "k", groups=2)])
def test_a_kernel_is_taken_by_its_positions_or_by_their_norm_and_hashed_as_it_is_stored(toy, join):
    toy(join)
    numbers = gaussian(6, 4 // join.groups, 3)
    parallel, norms = (opened({"k": numbers}, wiring=name) for name in ("dataflow", "dataflow-kernel-norms"))
    assert parallel.connections == 3 * norms.connections == numbers.size
    other = opened({"k": numbers + np.float32(1)}, wiring="dataflow")
    assert len({parallel.content_hash(), other.content_hash()}) == 2
    assert parallel.content_hash() == opened({"k": numbers.copy()}, wiring="dataflow").content_hash()


@pytest.mark.parametrize(
    ("join", "said"),
    [
        (Join("l0", "l1", "k", transposed=True), r"expected shape \(4, 6\).*found \(6, 4\), or .*stored transposed"),
        (Join("l1", "l0", "k"), r"expected shape \(4, 6\).*found \(6, 4\)"),
        (Join("l0", "l1", "k", groups=2), r"expected shape \(6, 2\).*found \(6, 4\)"),
        (Join("l0", "l1", "k", groups=2, transposed=True), r"expected shape \(4, 3\).*found \(6, 4\)"),
        (Join("l0", "l1", "k", targets=[5, 4, 3, 2, 1]), r"expected shape \(6, 4\).* 5 of l1, found \(6, 4\)"),
    ],
)
def test_a_kernel_that_does_not_fit_is_named(toy, join, said):
    toy(join)
    with pytest.raises(SourceError, match=said):
        opened({"k": gaussian(6, 4, 3)})


# Samples


def test_a_small_layer_is_taken_whole_where_a_sample_asks_for_more():
    def network(small):
        layers = [NeuronLayer("wide", 20), NeuronLayer("router", 3, small=small)]
        return NeuronNetwork(layers, [Dense("w", "", 0, 1, WeightMatrix.from_array("w", gaussian(3, 20)))])

    for asked, taken in ((2, 2), (3, 3), (8, 3), (20, 3)):
        drawn = network(True).sample(asked, seed=1)
        assert [len(layer) for layer in drawn.layers] == [asked, taken] and drawn.blocks[0].shape == (taken, asked)
    with pytest.raises(NeuroMFAError, match="asks for 8 neurons of layer 'router', which has 3: use at most 3"):
        network(False).sample(8)
    with pytest.raises(NeuroMFAError, match="asks for 21 neurons of layer 'wide', which has 20: use at most 20"):
        network(True).sample(21)
