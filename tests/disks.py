"""Small disks of their own for tests, where this user may mount some."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from streams.faults import small_disk as disks
from streams.faults.small_disk import fill_up
from wire.errors import InputError

__all__ = ["fill_up", "small_disk"]


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A disk of that size, in whole pages, at `folder`; skips the test where mounting is not allowed."""
    with ExitStack() as opened:
        try:
            disk = opened.enter_context(disks.small_disk(folder, size_bytes))
        except InputError as error:
            pytest.skip(str(error))
        yield disk
