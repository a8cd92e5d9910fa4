"""Models of the Hugging Face hub, fetched into its ordinary cache."""

from pathlib import Path

from ..errors import SourceError

SAFE_FILES = ["config.json", "*.safetensors", "*.index.json"]


def fetch(repo, revision=None):
    """Fetch the config.json and the weights of a hub model into the local cache.

    Nothing else is fetched: no code, and .bin files only where there are no safetensors. What is in the cache is not
    fetched again and needs no network.

    Args:
        repo: the model's name, "org/name".
        revision: branch, tag or commit; None for the main branch.

    Returns:
        pathlib.Path of the model's folder in the cache.

    Raises:
        SourceError: no such model or revision, no network, or no right to it; the message names repo and revision.
    """
    folder = _download(repo, revision, SAFE_FILES)
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        folder = _download(repo, revision, [*SAFE_FILES, "*.bin"])
    return folder


def _download(repo, revision, patterns):
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(repo, revision=revision, allow_patterns=patterns))
    except Exception as error:
        asked = f"{repo} at revision {revision}" if revision else repo
        raise SourceError(f"cannot fetch {asked} from the Hugging Face hub: {_reason(error, repo)}") from error


def _reason(error, repo):
    """What went wrong and the way out, in words."""
    from huggingface_hub import errors

    page = f"https://huggingface.co/{repo}"
    # GatedRepoError is a RepositoryNotFoundError too: the special cases come first.
    if isinstance(error, errors.GatedRepoError):
        return f"access must be granted first: accept its terms on {page}, then log in with `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"there is no such revision; branches and tags are listed on {page}/tree/main"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            "there is no such model (or it is private: log in with `hf auth login`), and no folder of that name "
            "here; check the spelling of org/name"
        )
    if isinstance(error, errors.HFValidationError):
        return f"that is no valid name or revision ({error})"
    if isinstance(error, (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled)):
        return (
            "there is no folder of that name here, it is not (wholly) in the local cache, and the network is closed "
            "(no connection, or HF_HUB_OFFLINE is set); connect and try again, give a folder with config.json and "
            'safetensors, or take a bundled run: nmfa.load_run("induction")'
        )
    # Anything else on the way: HTTP and proxy errors, a full disk.
    return f"{error or error!r}. Check network, proxy and free disk space and try again: what was fetched is kept"
