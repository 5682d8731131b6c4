"""Loops that numpy has no call for, compiled to machine code by Numba at their first call.

What was compiled is kept beside the source, or in the user's cache, for the processes to come: else each would compile
anew, which takes seconds.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

import numba
from numba import njit
from numba.core import caching

Loop = TypeVar("Loop", bound=Callable[..., object])


def compiled(loop: Loop, *, reorders: bool = False) -> Loop:
    """`loop`, compiled; one that `reorders` may add numbers up in another order than it says, several at once."""
    fast: Any = njit(fastmath={"contract", "reassoc"} if reorders else False)(loop)
    with suppress(RuntimeError):  # there is no place to keep it
        fast._cache = Kept(loop)
    return cast(Loop, fast)


class Kept:
    """What was compiled of a loop, for Numba to ask. It only saves time, so nothing fails for it.

    Files are named after the source, too, and after Numba's version: when either is another, Numba notes where the code
    will be before that is there, and whoever looked meanwhile, or after a `kill -9`, would take the old code for it.
    """

    def __init__(self, loop: Callable[..., object]) -> None:
        untyped: Any = caching
        self._files = untyped.FunctionCache(loop)
        self.cache_path: str = self._files.cache_path
        source, name = self._files._impl.locator.get_source_stamp(), self._files._impl.filename_base
        named = f"{name}-{source[:8].hex()}-{numba.__version__}"
        self._files._cache_file = untyped.IndexDataCacheFile(self.cache_path, named, source)

    def load_overload(self, *asked: Any) -> Any:
        """What was kept, or None; that, too, where a file is torn, as a power cut may leave it."""
        try:
            return self._files.load_overload(*asked)
        except Exception:  # whatever half a file comes to
            self.flush()
            return None

    def save_overload(self, *made: Any) -> None:
        """Keep it, unless the disk is full."""
        with suppress(OSError):
            self._files.save_overload(*made)

    def flush(self) -> None:
        """Keep nothing of what there is."""
        with suppress(OSError):
            self._files.flush()
