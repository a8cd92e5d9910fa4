"""Models of the Hugging Face hub, fetched into its ordinary cache."""

import hashlib
import os
import re
import shutil
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ..errors import SourceError
from .folder import choose_weights, find_weights, open_folder, read_weight_map

COMMIT = re.compile(r"[0-9a-f]{40}")
# The hub names large files by sha256, small ones by git's sha1; the cache calls their content by that name.
HASH = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")
LARGE = 50_000_000  # bytes to fetch: from here on it is said before
LOCAL = (
    "give a local folder (none of that name is here, nor is the model wholly in the cache), or take a bundled run: "
    'nmfa.load_run("induction")'
)


def open_hub(repo, revision=None, config=None, read="auto"):
    """Open a hub model: fetch what is not in the cache, then open the folder there."""
    folder = fetch(repo, revision)
    with _without_damage(folder):
        return open_folder(folder, config, f"{repo}@{revision}" if revision else repo, read)


def fetch(repo, revision=None):
    """Fetch the config.json and the weights of a hub model, and nothing else; returns its folder in the cache.

    A commit that is wholly there, and any model there while the hub gives no answer, needs no network.
    """
    import huggingface_hub
    from huggingface_hub import constants, errors

    asked = f"{repo} at revision {revision}" if revision else repo
    store = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    cached = _cached(store, revision or "main")
    if cached and COMMIT.fullmatch(revision or ""):
        return cached
    try:
        # The client's own default is to wait for ever.
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        info = huggingface_hub.HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=timeout)
        if not COMMIT.fullmatch(info.sha):
            raise ValueError(f"{info.sha!r} is no commit")
        listed = {file.rfilename: file for file in info.siblings if Path(file.rfilename).name == file.rfilename}
    except Exception as error:
        if cached and not isinstance(error, (errors.RevisionNotFoundError, errors.HFValidationError)):
            return cached
        raise _refusal(asked, _reason(error, repo)) from error
    folder = store / "snapshots" / info.sha
    chosen = choose_weights(listed, f"{asked} on the Hugging Face hub")
    first = [listed[name] for name in ("config.json", chosen) if name in listed]
    _say_how_much(asked, first, folder)
    for file in first:
        _fetch_file(repo, asked, file, folder)
    if chosen.endswith(".json"):
        with _without_damage(folder):
            shards = dict.fromkeys(read_weight_map(folder / chosen).values())
        for shard in shards:
            if shard not in listed:
                raise _refusal(asked, f"{shard}, a shard that {chosen} names, is not there")
        _say_how_much(asked, [listed[shard] for shard in shards], folder)
        for shard in shards:
            _fetch_file(repo, asked, listed[shard], folder)
    if folder != cached and revision != info.sha:
        ref = store / "refs" / (revision or "main")
        with suppress(OSError):  # a cache without right to write still serves
            ref.parent.mkdir(parents=True, exist_ok=True)
            ref.write_text(info.sha)
    return folder


def _say_how_much(asked, files, folder):
    """Print how much will be fetched where it is much; refuse more than the disk has room for."""
    size = sum(file.size or 0 for file in files if not (folder / file.rfilename).is_file())
    if size < LARGE:
        return
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if size > free:
        raise _refusal(
            asked, f"it has {size / 1e9:.1f} GB, and the disk of {there} has {free / 1e9:.1f} GB free: make room"
        )
    print(f"{asked}: fetching {size / 1e6:,.0f} MB", file=sys.stderr)


@contextmanager
def _without_damage(folder):
    """Where a folder cannot be read, remove the files that have not the hash by which the cache calls them."""
    try:
        yield
    except SourceError as error:
        damaged = []
        for link in sorted(file for file in folder.iterdir() if file.is_symlink()):
            blob = folder / os.readlink(link)
            if HASH.fullmatch(blob.name) and blob.is_file() and not _has_hash(blob, blob.name):
                blob.unlink()
                link.unlink()
                damaged.append(link.name)
        if not damaged:
            raise
        raise SourceError(
            f"{error}. The cached content of {', '.join(damaged)} was damaged and is removed: "
            "the same call fetches it again"
        ) from None


def _cached(store, revision):
    """The folder of a revision in the cache if config.json and the weights are there, else None."""
    try:
        commit = revision if COMMIT.fullmatch(revision) else (store / "refs" / revision).read_text()
        folder = store / "snapshots" / commit
        find_weights(folder)
    except (OSError, ValueError):
        return None
    return folder if (folder / "config.json").is_file() else None


def _fetch_file(repo, asked, file, folder):
    """Fetch one file into the cache, unless it is there; a part that is there is gone on with."""
    from huggingface_hub.utils import WeakFileLock

    target, store = folder / file.rfilename, folder.parents[1]
    if target.is_file() and target.stat().st_size == file.size:
        return
    content_hash = file.lfs.sha256 if file.lfs else file.blob_id
    if file.size is None or not HASH.fullmatch(content_hash or ""):
        raise _refusal(asked, f"no hash of {file.rfilename} is named to check it by; HF_ENDPOINT is no whole hub")
    blob = store / "blobs" / content_hash
    part = blob.with_name(f"{content_hash}.incomplete")
    lock = store.parent / ".locks" / store.name / f"{content_hash}.lock"
    try:
        for path in (target, blob, lock):
            path.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(lock):
            if not blob.is_file() or blob.stat().st_size != file.size:
                _go_on(repo, file, folder.name, part)
                if not _has_hash(part, content_hash):
                    raise _refusal(asked, _wrong_content(file.rfilename, part))
                part.replace(blob)
            target.unlink(missing_ok=True)
            try:
                target.symlink_to(os.path.relpath(blob, folder))
            except OSError:  # no symbolic links on this disk
                blob.replace(target)
    except SourceError:
        raise
    except Exception as error:
        reason, kept = _reason(error, repo), part.stat().st_size if part.is_file() else 0
        if kept:
            reason += f". {kept} of {file.size} bytes of {file.rfilename} are kept: the same call goes on from there"
        raise _refusal(asked, reason) from error


def _go_on(repo, file, commit, part):
    """Fetch what a partial file lacks."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    url = hf_hub_url(repo, file.rfilename, revision=commit)
    with part.open("ab") as out:
        if out.tell() > file.size:
            out.truncate(0)
            out.seek(0)
        if out.tell() < file.size:
            # Not compressed, or the bytes that are there already would not be the first of those that come.
            headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
            http_get(url, out, resume_size=out.tell(), headers=headers, displayed_filename=file.rfilename)


def _has_hash(path, content_hash):
    with path.open("rb") as file:
        if len(content_hash) == 64:
            return hashlib.file_digest(file, "sha256").hexdigest() == content_hash
        content = file.read()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == content_hash


def _wrong_content(name, part):
    """Throw wrong content away, and say so."""
    with part.open("rb") as file:
        page = file.read(64).lstrip().startswith(b"<")
    part.unlink()
    what = "a web page came in its place" if page else "its content is not what the hub's hash says"
    return f"{name} arrived wrong and is thrown away: {what}. Try again, or on another network"


def _refusal(asked, reason):
    return SourceError(f"cannot fetch {asked} from the Hugging Face hub: {reason}")


def _reason(error, repo):
    """What went wrong and the way out, in words."""
    from huggingface_hub import constants, errors

    page, text = f"{constants.ENDPOINT}/{repo}", " ".join(str(error).split()) or repr(error)
    # GatedRepoError is a RepositoryNotFoundError too: the special cases come first.
    if isinstance(error, errors.GatedRepoError):
        return f"access must be granted first: accept its terms on {page}, then log in with `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"there is no such revision; branches and tags are listed on {page}/tree/main"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "there is no such model, nor a folder of that name; check it, or for a private one `hf auth login`"
    if isinstance(error, errors.HFValidationError):
        return f"that is no valid name or revision ({text})"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE closes the network; unset it, {LOCAL}"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 429:
        return "too many requests were made (429); wait some minutes, or log in with `hf auth login`"
    if status is not None and status >= 500:
        return f"the hub's server fails ({status}); try again later"
    if status is not None:
        return f"the hub refuses ({text}); log in with `hf auth login`, or look at {page}"
    # The client's HTTP library is another one in each of its major versions; the names of the errors stay.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & {"TimeoutException", "Timeout"} or "timed out" in text:
        return (
            f"{constants.ENDPOINT} gave no answer within {constants.HF_HUB_DOWNLOAD_TIMEOUT} s; try again, or set "
            "HF_HUB_DOWNLOAD_TIMEOUT to more"
        )
    if "SSL" in text:
        return f"the connection cannot be trusted ({text}); check the clock, the certificates and any proxy"
    if kinds & {"RemoteProtocolError", "ReadError", "ChunkedEncodingError"} or "aborted" in text:
        return f"the connection broke off ({text}); try again"
    if kinds & {"ConnectError", "ConnectionError", "ProxyError"}:
        proxy = _proxy(constants.ENDPOINT)
        if proxy:
            return f"the proxy {proxy} that your environment names gives no connection ({text}); start or unset it"
        return f"the network is closed: no connection to {constants.ENDPOINT} ({text}); connect and try again, {LOCAL}"
    if isinstance(error, (ValueError, KeyError, TypeError, AttributeError)):
        return (
            f"{constants.ENDPOINT} sent something else than a hub does, perhaps the login page of a network ({text}); "
            "open that address in a browser, then try again"
        )
    # A full disk, a cache without right to write.
    return f"{text}; check free disk space and the rights of the cache {constants.HF_HUB_CACHE}, then try again"


def _proxy(endpoint):
    """Host and port of the proxy towards an address, or None; a password in it is left out."""
    address, proxies = urlsplit(endpoint), getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    return None if not proxy or proxy_bypass(address.netloc) else urlsplit(proxy).netloc.rpartition("@")[2] or proxy
