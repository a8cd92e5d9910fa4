"""Hub models: what is fetched, and what is said when nothing can be."""

import importlib
import os
import subprocess
import sys

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import errors
from models import write_folder

from neuromfa_lite.errors import SourceError
from neuromfa_lite.sources import open_source

torch = pytest.importorskip("torch")

TOY = {"model_type": "toy"}
W = np.arange(6, dtype="f4").reshape(2, 3)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that always answers with one folder, and the list of what it was asked."""

    class Hub:
        folder, asked = tmp_path / "cache", []

    def snapshot_download(repo, revision=None, allow_patterns=None):
        Hub.asked.append((repo, revision, tuple(allow_patterns)))
        if "*.bin" in allow_patterns:
            torch.save({"w": torch.tensor(W)}, Hub.folder / "pytorch_model.bin")
        return str(Hub.folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return Hub


def test_safetensors_are_all_that_is_fetched(hub):
    write_folder(hub.folder, {"w": W}, TOY)
    source = open_source("org/name", revision="step1000")
    assert source.origin == "org/name@step1000"
    np.testing.assert_array_equal(source.matrices["w"].read(), W)
    assert hub.asked == [("org/name", "step1000", ("config.json", "*.safetensors", "*.index.json"))]


def test_bin_files_are_fetched_only_where_there_are_no_safetensors(hub):
    write_folder(hub.folder, {"w": W}, TOY)
    (hub.folder / "model.safetensors").unlink()
    source = open_source("org/name")
    assert source.origin == "org/name"
    np.testing.assert_array_equal(source.matrices["w"].read(), W)
    assert [("*.bin" in patterns) for _, _, patterns in hub.asked] == [False, True]
    hub.asked.clear()
    open_source("org/name")  # now in the cache
    assert [("*.bin" in patterns) for _, _, patterns in hub.asked] == [False]


def refusal(kind, status=404):
    """An error of the hub with the answer that belongs to it."""
    http = importlib.import_module(errors.Response.__module__.partition(".")[0])  # the hub's own HTTP library
    request = http.Request("GET", "https://huggingface.co/api/models/org/name")
    return kind("the server's words", response=http.Response(status, request=request))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (refusal(errors.RevisionNotFoundError), "there is no such revision; .*huggingface.co/org/name"),
        (refusal(errors.RepositoryNotFoundError), "there is no such model .*no folder of that name here"),
        (refusal(errors.GatedRepoError, 403), "access must be granted first: .*huggingface.co/org/name.*log in"),
        (errors.LocalEntryNotFoundError("offline"), "not .* in the local cache, and the network is closed.*load_run"),
        (errors.OfflineModeIsEnabled("offline"), "not .* in the local cache, and the network is closed.*load_run"),
        (errors.HFValidationError("too long"), r"no valid name or revision \(too long\)"),
        (refusal(errors.HfHubHTTPError, 503), "the server's words.*Check network"),
        (ConnectionError("proxy refused"), "proxy refused.*Check network"),
        (OSError(28, "No space left on device"), "No space left on device.*free disk space"),
    ],
)
def test_every_failure_names_model_and_revision_and_the_way_out(monkeypatch, error, said):
    def snapshot_download(*arguments, **options):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(SourceError, match=f"(?s)cannot fetch org/name at revision step9 from the .* hub: .*{said}"):
        open_source("org/name", revision="step9")
    with pytest.raises(SourceError, match="cannot fetch org/name from"):
        open_source("org/name")


def test_a_closed_network_is_really_met_and_explained(tmp_path):
    code = """if True:
        from neuromfa_lite.sources import open_source
        try:
            open_source("EleutherAI/pythia-14m", revision="step0")
        except ValueError as error:
            print(type(error).__name__, error)
    """
    closed = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=closed, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("SourceError cannot fetch EleutherAI/pythia-14m at revision step0 from")
    assert "HF_HUB_OFFLINE is set" in done.stdout
