"""Lazy weight matrices: whatever way a matrix is stored, the same weights come out as (targets, sources)."""

import gc
import os

import numpy as np
import pytest
from models import write_raw
from safetensors.numpy import save_file

from neuromfa_lite.errors import SourceError
from neuromfa_lite.weights import WeightMatrix, open_source, safetensors_file
from neuromfa_lite.weights.files import filesystem_of, on_network
from neuromfa_lite.weights.safetensors_file import RELEASE, MappedFiles, read_tensors

torch = pytest.importorskip("torch")
save_torch_file = pytest.importorskip("safetensors.torch").save_file

DTYPES = ("float32", "float16", "bfloat16", "float64")
DRAW = np.random.default_rng(0)
WEIGHTS = DRAW.normal(0, 0.02, (7, 5))


@pytest.fixture(params=["small", "mapped", "copy"])
def read(request, monkeypatch):
    """The ways to read a file: matrices as small as those here are copied, larger ones mapped, or all are copied."""
    if request.param != "small":
        monkeypatch.setattr(safetensors_file, "SMALL", -1)
    return "copy" if request.param == "copy" else "auto"


def in_file(folder, weights, dtype, read="auto"):
    """The matrix "w" of a safetensors file in this dtype, and the weights it should give."""
    tensor = torch.tensor(weights).to(getattr(torch, dtype))
    save_torch_file({"w": tensor}, folder / "w.safetensors")
    return read_tensors(folder / "w.safetensors", MappedFiles(read))["w"], tensor.to(
        torch.promote_types(tensor.dtype, torch.float32)
    ).numpy()


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_read_exactly(tmp_path, dtype):
    matrix, expected = in_file(tmp_path, WEIGHTS, dtype)
    read = matrix.read()
    assert (matrix.dtype, matrix.shape) == (dtype, (7, 5))
    assert read.dtype == (np.float64 if dtype == "float64" else np.float32)
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_bit_pattern_of_a_half_is_widened_exactly(tmp_path, dtype):
    patterns = torch.arange(-(1 << 15), 1 << 15).to(torch.int16).view(getattr(torch, dtype)).reshape(256, 256)
    save_torch_file({"w": patterns}, tmp_path / "w.safetensors")
    read = read_tensors(tmp_path / "w.safetensors")["w"].read()
    np.testing.assert_array_equal(read, patterns.float().numpy())  # NaN equals NaN here


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", [False, True])
def test_rows_columns_and_both_are_the_same_weights(tmp_path, dtype, transposed, read):
    matrix, expected = in_file(tmp_path, WEIGHTS, dtype, read)
    if transposed:
        matrix, expected = matrix.T, expected.T
    targets, sources = [3, 0, 3], np.array([4, 1], np.uint8)
    np.testing.assert_array_equal(matrix.read(targets, sources), expected[np.ix_(targets, sources)])
    np.testing.assert_array_equal(matrix.read(targets), expected[targets])
    np.testing.assert_array_equal(matrix.read(sources=sources), expected[:, sources])
    np.testing.assert_array_equal(matrix.read(), expected)
    np.testing.assert_array_equal(matrix.take(np.array(targets), sources).read(), expected[np.ix_(targets, sources)])
    for read in (matrix.read(targets, sources), matrix.read(targets), matrix.read(sources=sources), matrix.read()):
        assert read.flags.c_contiguous


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("part", [False, True])
def test_stripes_of_rows_together_are_the_whole(tmp_path, dtype, transposed, part, read):
    matrix, _ = in_file(tmp_path, WEIGHTS, dtype, read)
    matrix = matrix.T if transposed else matrix
    matrix = matrix.part([4, 0, 2], "half") if part else matrix
    stripes = [matrix.rows(start, min(start + 2, matrix.shape[0])) for start in range(0, matrix.shape[0], 2)]
    assert all(stripe.flags.c_contiguous for stripe in stripes)
    np.testing.assert_array_equal(np.concatenate(stripes), matrix.read())
    assert matrix.rows(1, 1).shape == (0, matrix.shape[1])


def test_a_part_and_a_part_of_a_part():
    matrix = WeightMatrix.from_array("fused", WEIGHTS)
    part = matrix.part([6, 2, 4], "value")
    assert (part.name, part.shape) == ("fused[value]", (3, 5))
    np.testing.assert_array_equal(part.read([2, 0], [1]), WEIGHTS[[4, 6]][:, [1]])
    np.testing.assert_array_equal(part.read(), WEIGHTS[[6, 2, 4]])
    np.testing.assert_array_equal(part.part([1], "head 1").read(), WEIGHTS[[2]])
    with pytest.raises(SourceError, match=r"fused\[value\]: transpose the whole matrix first"):
        part.T  # noqa: B018


def test_a_full_float32_matrix_is_the_mapped_file_not_a_copy(tmp_path, monkeypatch):
    monkeypatch.setattr(safetensors_file, "SMALL", -1)
    save_file({"w": WEIGHTS.astype("f4")}, tmp_path / "w.safetensors")
    matrix = read_tensors(tmp_path / "w.safetensors")["w"]
    first, second = matrix.read(), matrix.read()
    assert np.shares_memory(first, second) and not first.flags.writeable
    assert np.shares_memory(matrix.rows(2, 5), first)
    held = WEIGHTS.astype("f4")
    held.flags.writeable = False
    assert np.shares_memory(WeightMatrix.from_array("w", held).read(), held)


def test_a_file_whose_data_begin_at_an_odd_byte_gives_aligned_arrays(tmp_path, read):
    weights = WEIGHTS.astype("f4")
    header = b'{"w":{"dtype":"F32","shape":[7,5],"data_offsets":[0,140]}}'
    for padding in range(4):
        path = write_raw(tmp_path / f"{padding}.safetensors", {}, weights.tobytes(), header + b" " * padding)
        matrix = read_tensors(path, MappedFiles(read))["w"]
        np.testing.assert_array_equal(matrix.read(), weights)
        assert matrix.read().flags.aligned and matrix.rows(1, 3).flags.aligned
        np.testing.assert_array_equal(matrix.read([1], [2]), weights[[1]][:, [2]])


@pytest.mark.parametrize("layout", ["big-endian", "fortran", "strided", "readonly"])
def test_ugly_arrays_are_read_as_ordinary_ones(layout):
    ugly = {
        "big-endian": WEIGHTS.astype(">f4"),
        "fortran": np.asfortranarray(WEIGHTS.astype("f4")),
        "strided": np.repeat(WEIGHTS.astype("f4"), 2, axis=1)[:, ::2],
        "readonly": np.broadcast_to(WEIGHTS.astype("f4"), (2, 7, 5))[1],
    }[layout]
    read = WeightMatrix.from_array("w", ugly).read()
    assert read.dtype == np.dtype("=f4") and read.flags.c_contiguous and read.flags.aligned
    np.testing.assert_array_equal(read, WEIGHTS.astype("f4"))


def test_empty_matrices_and_empty_selections(tmp_path):
    save_file({"no targets": np.zeros((0, 3), "f4"), "w": WEIGHTS.astype("f4")}, tmp_path / "w.safetensors")
    tensors = read_tensors(tmp_path / "w.safetensors")
    assert tensors["no targets"].read().shape == (0, 3)
    assert tensors["w"].read([], [1]).shape == (0, 1)
    assert tensors["w"].read(sources=[]).shape == (7, 0)


@pytest.mark.parametrize(
    ("targets", "sources", "said"),
    [
        ([7], None, "targets 7 to 7 asked for, the matrix has 7"),
        (None, [-1, 2], "sources -1 to 2 asked for, the matrix has 5"),
        ([0.5], None, "list of integer indices, not float64"),
        ([True] * 7, None, "list of integer indices, not bool"),
        (3, None, "list of integer indices"),
    ],
)
def test_indices_outside_the_matrix_are_refused_by_name(targets, sources, said):
    with pytest.raises(SourceError, match=f"^w: .*{said}"):
        WeightMatrix.from_array("w", WEIGHTS).read(targets, sources)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    ("targets", "sources"),
    [([7], [0]), ([0, -1], [0]), ([0], [5]), ([0], [-1]), ([0], [2**62]), ([0.5], [0]), ([[0]], [0]), (["a"], [0])],
)
def test_a_sample_outside_the_matrix_is_refused_by_name(tmp_path, dtype, transposed, targets, sources, read):
    matrix, _ = in_file(tmp_path, WEIGHTS, dtype, read)
    for part in (matrix, matrix.part(range(7), "all")):
        ends = np.array(targets), np.array(sources)
        if transposed and part is matrix:
            part, ends = matrix.T, ends[::-1]
        for gather in (part.take, part.read, part.take(np.arange(part.shape[0]), np.arange(part.shape[1])).take):
            with pytest.raises(SourceError, match=r"^w.*(asked for, the matrix has|list of integer indices)"):
                gather(*ends)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 8)])
def test_stripes_outside_the_matrix_are_refused_by_name(start, stop):
    with pytest.raises(SourceError, match=f"w: rows {start} to {stop} are not within its 7 targets"):
        WeightMatrix.from_array("w", WEIGHTS).rows(start, stop)


def test_a_dtype_without_plain_weights_is_listed_and_refused_on_reading(tmp_path):
    save_file({"whole": np.ones((2, 3), np.int8)}, tmp_path / "w.safetensors")
    save_torch_file({"eighth": torch.ones(2, 3).to(torch.float8_e4m3fn)}, tmp_path / "f8.safetensors")
    whole = read_tensors(tmp_path / "w.safetensors")["whole"]
    eighth = read_tensors(tmp_path / "f8.safetensors")["eighth"]
    listed = WeightMatrix.from_array("mask", np.ones((2, 3), bool), "the state dict")
    for matrix, origin in ((whole, "w.safetensors"), (eighth, "f8.safetensors"), (listed, "the state dict")):
        assert matrix.shape == (2, 3)
        for read in (matrix.read, lambda matrix=matrix: matrix.rows(0, 1), lambda matrix=matrix: matrix.read([0], [0])):
            with pytest.raises(SourceError, match=f"{matrix.name} in .*{origin} is stored as {matrix.dtype}.*save it"):
                read()


def test_what_is_no_array_of_numbers_makes_no_matrix():
    for given, said in ((np.ma.masked_less(WEIGHTS, 0), "masked entries"), ([[1.0], [1.0, 2.0]], "rows of one length")):
        with pytest.raises(SourceError, match=f"w in here is .*{said}"):
            WeightMatrix.from_array("w", given, "here")
    whole = WeightMatrix.from_array("w", np.ma.masked_array(WEIGHTS))
    np.testing.assert_array_equal(whole.read(), WEIGHTS)


def test_only_two_dimensions_make_a_matrix():
    with pytest.raises(SourceError, match=r"bias in here: .*shape \(3,\)"):
        WeightMatrix.from_array("bias", np.ones(3), "here")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", [False, True])
def test_a_huge_model_is_read_otherwise_and_gives_the_same_weights(tmp_path, monkeypatch, dtype, transposed):
    monkeypatch.setattr(safetensors_file, "SMALL", -1)
    matrix, expected = in_file(tmp_path, WEIGHTS, dtype)
    if transposed:
        matrix, expected = matrix.T, expected.T
    before = matrix.read()
    monkeypatch.setattr(safetensors_file, "HUGE", 0)  # rows are read one by one now,
    monkeypatch.setattr(safetensors_file, "RELEASE", 0)  # and every page is handed back before the next is read
    np.testing.assert_array_equal(matrix.read([3, 0, 3], [4, 1]), expected[np.ix_([3, 0, 3], [4, 1])])
    np.testing.assert_array_equal(matrix.read([2, 1]), expected[[2, 1]])
    np.testing.assert_array_equal(matrix.read([]), expected[:0])
    np.testing.assert_array_equal(matrix.read(sources=[0]), expected[:, [0]])
    np.testing.assert_array_equal(matrix.rows(1, 4), expected[1:4])
    np.testing.assert_array_equal(matrix.part([4, 2], "half").rows(1, 2), expected[[2]])
    np.testing.assert_array_equal(matrix.read(), expected)
    np.testing.assert_array_equal(before, expected)


def test_a_huge_file_cut_short_while_it_is_open_is_named(tmp_path, monkeypatch):
    matrix, _ = in_file(tmp_path, WEIGHTS, "float32")
    monkeypatch.setattr(safetensors_file, "HUGE", 0)
    os.truncate(tmp_path / "w.safetensors", 100)
    with pytest.raises(SourceError, match=r"w\.safetensors became shorter since it was opened"):
        matrix.read([6])


def test_a_file_is_closed_when_its_matrices_are_gone(tmp_path):
    matrix, _ = in_file(tmp_path, WEIGHTS, "float32")
    descriptor = matrix._storage.file.descriptor
    os.fstat(descriptor)
    del matrix
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


class CountingMap:
    """Stands for a mapping of `size` bytes; counts how often its pages are handed back."""

    def __init__(self, size):
        self.size, self.handed_back = size, 0

    def madvise(self, option):
        self.handed_back += 1


@pytest.mark.parametrize(("size", "handed_back"), [(1 << 20, 0), (1 << 40, 3)])
def test_pages_of_huge_models_are_handed_back_and_small_ones_stay(size, handed_back):
    files = MappedFiles()
    files.maps, files.size = [CountingMap(size), CountingMap(size)], 2 * size
    for _ in range(4):
        files.touch(RELEASE // 2 + 1)
        files.touch(RELEASE // 4)
    assert [mapping.handed_back for mapping in files.maps] == [handed_back] * 2


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_vectors_are_read_as_stored(tmp_path, dtype):
    gain = torch.linspace(-1, 2, 7).to(getattr(torch, dtype))
    save_torch_file({"gain": gain, "w": torch.ones(2, 2)}, tmp_path / "w.safetensors")
    vector = read_tensors(tmp_path / "w.safetensors")["gain"]
    assert vector.read().dtype == np.float32 and (vector.read() == gain.float().numpy()).all()
    source = open_source({"gain": gain, "w": torch.ones(2, 2)}, config={"model_type": "toy"})
    assert (source.vectors["gain"].read() == vector.read()).all() and source.other == {"gain": (7,)}


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/data/set/x", "nfs4"), ("/data", "nfs4"), ("/database/x", "ext4"), ("/my disk/x", "fuse.sshfs"), ("/", "ext4")],
)
def test_the_file_system_of_a_path_is_that_of_the_nearest_mount(path, kind):
    mounts = [
        "27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
        "40 27 0:50 / /data rw - nfs4 server:/export rw,vers=4.2",
        r"41 27 0:51 / /my\040disk rw - fuse.sshfs host: rw",
    ]
    assert filesystem_of(path, mounts) == kind
    assert filesystem_of(path, []) == "" and not on_network("/proc/self")


def test_a_matrix_of_another_machine_comes_by_one_read(tmp_path, monkeypatch):
    monkeypatch.setattr(safetensors_file, "on_network", lambda path: True)
    monkeypatch.setattr(safetensors_file, "SMALL", -1)
    save_file({"w": WEIGHTS.astype("f4")}, tmp_path / "w.safetensors")
    matrix, reads = read_tensors(tmp_path / "w.safetensors")["w"], []
    monkeypatch.setattr(
        safetensors_file.MappedFile,
        "read",
        lambda file, *at, own=safetensors_file.MappedFile.read: reads.append(at) or own(file, *at),
    )
    rows, columns = np.array([5, 0, 2]), np.array([1, 3])
    np.testing.assert_array_equal(matrix.read(rows, columns), WEIGHTS.astype("f4")[np.ix_(rows, columns)])
    np.testing.assert_array_equal(matrix.read(rows), WEIGHTS.astype("f4")[rows])
    np.testing.assert_array_equal(matrix.read(), WEIGHTS.astype("f4"))
    assert len(reads) == 3
