"""Loops that numpy has no call for, compiled to machine code by Numba at their first call.

What was compiled is kept beside the source, or in the user's cache, for the processes to come: else each would compile
anew, which takes seconds.
"""

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Loop = TypeVar("Loop", bound=Callable[..., object])


def compiled(loop: Loop, *, reorders: bool = False) -> Loop:
    """`loop`, compiled; one that `reorders` may add numbers up in another order than it says, several at once."""
    fast = {"contract", "reassoc"} if reorders else False
    try:
        return cast(Loop, njit(cache=True, fastmath=fast)(loop))
    except RuntimeError:  # there is no place to keep it
        return cast(Loop, njit(fastmath=fast)(loop))
