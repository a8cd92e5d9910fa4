"""Hub models, through the real client from a stand-in: what is fetched, what is kept, what is said when it fails."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections import namedtuple

import huggingface_hub
import numpy as np
import pytest
from click.testing import CliRunner
from hub_stand_in import COMMIT, StandIn
from huggingface_hub import constants
from huggingface_hub.utils import disable_progress_bars, enable_progress_bars
from models import gpt_neox_tensors, write_folder, write_shards

from neuromfa_lite.cli.commands import main
from neuromfa_lite.errors import SourceError
from neuromfa_lite.weights import hub as hub_room
from neuromfa_lite.weights import open_source

torch = pytest.importorskip("torch")

TOY = {"model_type": "toy"}
W = np.arange(600, dtype="f4").reshape(20, 30)
WEIGHTS = "model.safetensors"
PROXIES = [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")]


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A stand-in that holds a toy model, and a client with an empty cache, no token, no patience and no pauses."""
    stand_in = StandIn(contents(write_folder(tmp_path / "model", {"w": W}, TOY)))
    for name in PROXIES:
        monkeypatch.delenv(name)
    point_to(monkeypatch, f"http://{stand_in.address}")
    for name, value in {
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_TOKEN_PATH": str(tmp_path / "token"),
        "HF_HUB_DISABLE_TELEMETRY": True,  # else the client asks the hub for more than the model
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DOWNLOAD_TIMEOUT": 1,
        "HF_HUB_ETAG_TIMEOUT": 1,
        "DOWNLOAD_CHUNK_SIZE": 100,  # what is kept of a partial file are whole chunks
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    disable_progress_bars()
    yield stand_in
    enable_progress_bars()
    stand_in.close()
    huggingface_hub.close_session()


def point_to(monkeypatch, endpoint):
    huggingface_hub.close_session()
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def cached(name=WEIGHTS):
    return os.path.join(constants.HF_HUB_CACHE, "models--org--name", "snapshots", COMMIT, name)


def assert_opens(revision=None):
    np.testing.assert_array_equal(open_source("org/name", revision=revision).matrices["w"].read(), W)


def files_asked(hub):
    """What was asked of the hub itself, in order: its list of files, or the name of a file."""
    paths = [path for method, path, _ in hub.asked if not path.startswith("/store/")]
    return ["list" if path.startswith("/api/") else path.rpartition("/")[2] for path in paths]


def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


# What is fetched


def test_a_model_is_three_requests_and_then_one_and_a_commit_none(hub):
    source = open_source("org/name", revision="step9")
    assert source.origin == "org/name@step9"
    np.testing.assert_array_equal(source.matrices["w"].read(), W)
    assert files_asked(hub) == ["list", "config.json", WEIGHTS]
    assert open_source("org/name").origin == "org/name"
    assert files_asked(hub)[3:] == ["list"]
    assert_opens(COMMIT)
    assert len(files_asked(hub)) == 4


def test_a_first_commit_is_fetched_by_its_own_name(hub):
    assert_opens(COMMIT)
    assert files_asked(hub) == ["list", "config.json", WEIGHTS]


BESIDE = (
    "adapter_model.safetensors",
    "consolidated.safetensors",
    "original/model.safetensors",
    "onnx/model.safetensors",
    "pytorch_model.bin",
    "training_args.bin",
    "adapter.index.json",
    "tokenizer.json",
)


def test_only_what_is_opened_is_fetched(hub):
    hub.files |= dict.fromkeys(BESIDE, b"beside")
    assert_opens()
    assert files_asked(hub) == ["list", "config.json", WEIGHTS]


def test_the_shards_of_the_index_are_fetched(hub, tmp_path):
    folder = write_shards(tmp_path / "shards", {"w": W}, {"v": W + 1}, config=TOY)
    hub.files = contents(folder) | dict.fromkeys([*BESIDE, "model-00003-of-00002.safetensors"], b"beside")
    assert_opens()
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert files_asked(hub) == ["list", "config.json", f"{WEIGHTS}.index.json", *shards]
    del hub.files[shards[1]]
    os.unlink(cached(shards[1]))
    with pytest.raises(SourceError, match=f"cannot fetch org/name .*{shards[1]}, a shard that .* names, is not there"):
        open_source("org/name")


def test_a_single_file_of_another_name_is_fetched_and_several_are_not(hub):
    hub.files["weights.safetensors"] = hub.files.pop(WEIGHTS)
    hub.files["adapter_model.safetensors"] = b"beside"
    assert_opens()
    assert files_asked(hub) == ["list", "config.json", "weights.safetensors"]
    hub.files["more.safetensors"] = b"beside"
    with pytest.raises(SourceError, match=r"org/name on the .* hub holds 2 safetensors files \(more.safetensors, weig"):
        open_source("org/name")


def test_a_bin_file_is_fetched_only_where_there_are_no_safetensors(hub, tmp_path):
    torch.save({"w": torch.tensor(W)}, tmp_path / "pytorch_model.bin")
    hub.files |= {"pytorch_model.bin": (tmp_path / "pytorch_model.bin").read_bytes(), "optimizer.bin": b"beside"}
    del hub.files[WEIGHTS]
    assert_opens()
    assert files_asked(hub) == ["list", "config.json", "pytorch_model.bin"]


def test_a_model_without_weights_is_not_fetched(hub):
    hub.files["onnx/model.safetensors"] = hub.files.pop(WEIGHTS)
    with pytest.raises(SourceError, match=r"org/name at revision step9 on the .* hub holds no weights: expected model"):
        open_source("org/name", revision="step9")
    assert files_asked(hub) == ["list"]


# What is said when it fails


@pytest.mark.parametrize(
    ("where", "fault", "said"),
    [
        ("api", "missing", "there is no such model, nor a folder of that name"),
        ("api", "no revision", "there is no such revision; .*/org/name/tree/main"),
        ("config.json", "gated", "access must be granted first: .*/org/name, then log in"),
        ("api", 401, "the hub refuses .*401.*hf auth login"),
        ("api", 429, r"too many requests .*\(429\); wait .*hf auth login"),
        (WEIGHTS, 429, r"too many requests .*\(429\); wait .*hf auth login"),
        ("api", 503, r"the hub's server fails \(503\).*try again later"),
        (WEIGHTS, 503, r"the hub's server fails \(503\).*try again later"),
        ("api", "html", "sent something else than a hub does, perhaps the login page.*browser"),
        ("config.json", "html", "config.json arrived wrong .*a web page came in its place.*Try again"),
        (WEIGHTS, "html", "model.safetensors arrived wrong .*a web page came in its place.*Try again"),
        (WEIGHTS, "corrupt", "model.safetensors arrived wrong .*its content is not what the hub's hash says"),
        ("api", "silent", "gave no answer within 1 s; .*HF_HUB_DOWNLOAD_TIMEOUT"),
        (WEIGHTS, "cut", r"the connection broke off .*\d+ of \d+ bytes of .* are kept: the same call goes on"),
    ],
)
def test_every_failure_names_model_and_revision_and_the_way_out(hub, where, fault, said):
    hub.faults[where] = fault
    with pytest.raises(SourceError) as refused:
        open_source("org/name", revision="step9")
    assert refused.match(f"^cannot fetch org/name at revision step9 from the Hugging Face hub: .*{said}")
    assert "network is closed" not in str(refused.value) and "\n" not in str(refused.value)
    hub.faults.clear()
    assert_opens("step9")  # nothing wrong has stayed


def test_a_stalled_file_ends(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.25)
    hub.faults[WEIGHTS] = "stalled"
    with pytest.raises(SourceError, match=r"no answer within 0.25 s.*\d+ of \d+ bytes of model.safetensors are kept"):
        open_source("org/name")


def test_a_closed_port_and_a_dead_proxy_are_told_apart(hub, monkeypatch):
    address = f"127.0.0.1:{closed_port()}"
    monkeypatch.setenv("HTTP_PROXY", f"http://user:secret@{address}")
    huggingface_hub.close_session()
    with pytest.raises(SourceError, match=f"cannot fetch org/name .*the proxy {address} that your environment names"):
        open_source("org/name")
    monkeypatch.delenv("HTTP_PROXY")
    point_to(monkeypatch, f"http://{address}")
    with pytest.raises(SourceError, match=f"the network is closed: no connection to http://{address}.*load_run"):
        open_source("org/name")


def test_a_full_disk_is_named(hub, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    with pytest.raises(SourceError, match=r"cannot fetch org/name .*No space left on device; check free disk space"):
        open_source("org/name")


@pytest.mark.parametrize("fault", ["missing", 429, 503, "html"])
def test_the_command_line_ends_in_one_line(hub, fault):
    hub.faults["api"] = fault
    done = CliRunner().invoke(main, ["describe", "org/name", "--revision", "step9"])
    assert done.exit_code == 1 and done.output.count("\n") == 1
    assert done.output.startswith("Error: cannot fetch org/name at revision step9 from")


def test_the_command_line_describes_a_hub_model(hub, tmp_path):
    hub.files = contents(write_folder(tmp_path / "neox", gpt_neox_tensors()))
    done = CliRunner().invoke(main, ["describe", "org/name", "--json"])
    assert done.exit_code == 0 and json.loads(done.output)["source"] == "org/name"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("org/name@step1000", "'org/name' with revision='step1000' .*org/name --revision step1000"),
        ("org/name@1000", "'org/name' with revision='1000' .*org/name --revision 1000"),
        ("gpt2", 'nor is it a hub model: give .* a hub model "org/name"'),
    ],
)
def test_names_that_almost_are_hub_models(given, said, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=f"^'{given}': .*{said}"):
        open_source(given)
    done = CliRunner().invoke(main, ["describe", given])
    assert done.exit_code == 1 and done.output.count("\n") == 1


# What is kept


def test_a_partial_file_is_gone_on_with(hub):
    hub.faults[WEIGHTS] = "cut"
    with pytest.raises(SourceError, match="broke off"):
        open_source("org/name")
    hub.faults.clear()
    hub.asked.clear()
    before, whole = hub.sent, len(hub.files[WEIGHTS])
    assert_opens()
    first = [start for _, path, start in hub.asked if path.endswith(WEIGHTS)][-1]
    assert whole // 2 - 100 <= first <= whole // 2 and hub.sent - before == whole - first


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b"\xff" * len(content)])
@pytest.mark.parametrize("revision", [None, COMMIT])
def test_what_was_damaged_in_the_cache_is_fetched_again(hub, revision, damage):
    assert_opens(revision)
    with open(cached(), "wb") as file:
        file.write(damage(hub.files[WEIGHTS]))
    try:
        assert_opens(revision)  # another length is seen before it is opened, where the hub is asked
    except SourceError as error:
        assert "model.safetensors was damaged and is removed: the same call fetches it again" in str(error)
        assert_opens(revision)
    with open(cached(), "rb") as file:
        assert file.read() == hub.files[WEIGHTS]


def test_a_damaged_index_is_fetched_again(hub, tmp_path):
    hub.files = contents(write_shards(tmp_path / "shards", {"w": W}, {"v": W}, config=TOY))
    assert_opens()
    with open(cached(f"{WEIGHTS}.index.json"), "r+b") as file:
        file.write(b"#")
    with pytest.raises(SourceError, match=r"index.json is damaged .* is removed: the same call fetches it again"):
        open_source("org/name")
    assert_opens()


def test_a_bad_folder_that_is_whole_stays_in_the_cache(hub):
    hub.files["config.json"] = b"[]"
    for _ in range(2):
        with pytest.raises(SourceError, match=r"config.json is damaged: it holds no JSON object: fetch it again$"):
            open_source("org/name")
    assert files_asked(hub) == ["list", "config.json", WEIGHTS, "list"]


@pytest.mark.parametrize("fault", [429, 503, "html", "silent"])
def test_what_is_in_the_cache_opens_while_the_hub_fails(hub, fault):
    assert_opens("step9")
    hub.faults["api"] = fault
    assert_opens("step9")


def test_another_revision_than_the_cached_one_is_not_made_up(hub):
    assert_opens("step9")
    hub.faults["api"] = 503
    with pytest.raises(SourceError, match=r"cannot fetch org/name from .*the hub's server fails"):
        open_source("org/name")  # the main branch was never asked for
    hub.faults["api"] = "no revision"
    with pytest.raises(SourceError, match="there is no such revision"):
        open_source("org/name", revision="step9")


def test_what_is_in_the_cache_opens_without_a_network(hub, monkeypatch):
    assert_opens()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert_opens()
    with pytest.raises(SourceError, match=r"at revision other .*HF_HUB_OFFLINE closes the network; .*load_run"):
        open_source("org/name", revision="other")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    point_to(monkeypatch, f"http://127.0.0.1:{closed_port()}")
    assert_opens()
    os.unlink(cached("config.json"))
    with pytest.raises(SourceError, match=r"the network is closed.*nor is the model wholly in the cache"):
        open_source("org/name")


def test_what_the_client_itself_has_cached_is_not_fetched_again(hub):
    huggingface_hub.snapshot_download("org/name")
    hub.asked.clear()
    assert_opens()
    assert files_asked(hub) == ["list"]
    assert huggingface_hub.snapshot_download("org/name", local_files_only=True) == os.path.dirname(cached())


def test_a_disk_without_symbolic_links_holds_the_files_themselves(hub, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError("no symbolic links here")

    monkeypatch.setattr("os.symlink", refuse)
    for _ in range(2):
        assert_opens()
    assert files_asked(hub) == ["list", "config.json", WEIGHTS, "list"]
    assert not os.path.islink(cached())


def test_one_interrupt_ends_a_download(hub, tmp_path):
    code = """if True:
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from neuromfa_lite.weights import open_source
        open_source("org/name")
    """
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://{hub.address}",
        "HF_HOME": str(tmp_path),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DOWNLOAD_TIMEOUT": "60",
    }
    hub.faults[WEIGHTS] = "stalled"
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert hub.stalling.wait(60)
            child.send_signal(signal.SIGINT)
            assert "KeyboardInterrupt" in child.communicate(timeout=20)[1]
        finally:
            child.kill()
    assert child.returncode != 0


def test_what_is_much_to_fetch_is_said_before_and_refused_where_there_is_no_room(hub, monkeypatch, capsys):
    monkeypatch.setattr(hub_room, "LARGE", 0)
    monkeypatch.setattr("shutil.disk_usage", lambda path: namedtuple("usage", "free")(10))
    with pytest.raises(SourceError, match=r"it has 0\.0 GB, and the disk of .* has 0\.0 GB free: make room"):
        open_source("org/name")
    assert files_asked(hub)[-1] != WEIGHTS
    monkeypatch.setattr("shutil.disk_usage", lambda path: namedtuple("usage", "free")(1e9))
    assert_opens()
    assert "org/name: fetching 0 MB" in capsys.readouterr().err
