"""Ordinary files: nothing else is opened."""

import json
import os
import stat
from pathlib import Path

from ..errors import SourceError

NETWORK = frozenset("nfs nfs4 cifs smb3 ceph lustre gpfs beegfs afs glusterfs".split())
NETWORK |= {f"fuse.{name}" for name in ("sshfs", "gcsfuse", "s3fs", "rclone", "glusterfs", "ceph")}
LARGEST_TEXT = 64 << 20  # bytes of a config.json or of an index of shards; those of the largest models have about 20 MB


def regular_file(path, way_out="check its path and rights"):
    """os.stat of a file before it is opened; SourceError of a pipe or a device, which would be read for ever."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise SourceError(f"{path} is missing: {way_out}") from None
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    if not stat.S_ISREG(found.st_mode):
        what = "is no ordinary file" + (" but a folder" if stat.S_ISDIR(found.st_mode) else "")
        raise SourceError(f"{path} {what}: give the path of a file that holds the model")
    return found


def on_network(path):
    """Whether a file lies on a file system of another machine, where many small reads take long."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return False
    return filesystem_of(os.path.realpath(path), mounts) in NETWORK


def filesystem_of(path, mounts):
    """The kind of file system that a real path lies on, by the lines of /proc/self/mountinfo; "" if none names it."""
    kinds = {-1: ""}
    for mount in mounts:
        about, _, filesystem = mount.partition(" - ")
        place = about.split()[4].encode().decode("unicode_escape")  # a blank is written as \040
        if path == place or path.startswith(place.rstrip("/") + "/"):
            kinds[len(place)] = filesystem.split()[0]
    return kinds[max(kinds)]


def read_json(path, way_out):
    """The JSON object (dict) of a file of UTF-8; way_out: what to do where the file is missing."""
    regular_file(path, way_out)
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_TEXT + 1)
    except OSError as error:
        raise unreadable(path, error) from None
    if len(content) > LARGEST_TEXT:
        raise SourceError(f"{path} is no text of a model: it has more than {LARGEST_TEXT:,} bytes. Fetch it again")
    try:
        content = parse_json(content.decode("utf-8"))
    except ValueError as error:
        raise SourceError(f"{path} is damaged ({error}): fetch it again") from None
    if not isinstance(content, dict):
        raise SourceError(f"{path} is damaged: it holds no JSON object: fetch it again")
    return content


def parse_json(text):
    """json.loads(text); ValueError also of what nests too deeply or names something twice."""
    try:
        return json.loads(text, object_pairs_hook=_each_once)
    except RecursionError:
        raise ValueError("it nests too deeply") from None


def _each_once(pairs):
    found = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} is there twice")
        found[name] = value
    return found


def unreadable(path, error):
    reason = getattr(error, "strerror", None) or error
    return SourceError(f"{path} cannot be read ({reason}): check its path and rights")
