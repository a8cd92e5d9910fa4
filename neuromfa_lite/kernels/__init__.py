"""numba kernels: arrays in, arrays out; no validation, no defaults, no files. Compiled once, cached on disk."""

import os

from ..errors import NeuroMFAError

THREADS_OF_NUMBA = os.environ.get("NUMBA_NUM_THREADS")
if THREADS_OF_NUMBA and not (THREADS_OF_NUMBA.isdecimal() and int(THREADS_OF_NUMBA) > 0):  # numba raises or warns
    raise NeuroMFAError(
        f"NUMBA_NUM_THREADS={THREADS_OF_NUMBA!r} is no number of threads: set it to a whole number of at least 1, or "
        "leave it out"
    )

import numba  # noqa: E402
from numba.core.caching import FunctionCache  # noqa: E402

CACHES = []


class Cache(FunctionCache):
    """numba's cache of a kernel, which costs a compilation at most: what it cannot read is compiled again."""

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever comes of reading bytes that are damaged
            self._give_up(self.flush)

    def save_overload(self, sig, data):
        self._give_up(super().save_overload, sig, data)

    def _give_up(self, write, *what):
        try:
            write(*what)
        except Exception:  # no place left, or a folder where the file should be
            self.disable()

    def fault(self):
        """What is wrong with the files, in words; None where all can be read."""
        files = self._cache_file
        try:
            for name in files._load_index().values():
                files._load_data(name)
        except FileNotFoundError:  # numba compiles it
            return None
        except Exception as error:
            return f"{files._index_path}: {type(error).__name__}"


def njit(*, cache, **options):
    """numba.njit with the Cache above; without any where no folder can be written."""

    def decorate(function):
        kernel = numba.njit(**options)(function)
        if cache and not numba.config.DISABLE_JIT:
            try:
                kernel._cache = Cache(function)
            except RuntimeError:  # "no locator available": each session compiles for itself
                return kernel
            CACHES.append(kernel._cache)
        return kernel

    return decorate
