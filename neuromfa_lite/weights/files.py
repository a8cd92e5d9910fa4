"""Ordinary files: nothing else is opened."""

import json
import os
import stat

from ..errors import SourceError

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
