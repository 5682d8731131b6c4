"""What was there is frozen as devices become more, and not with every few of them."""

import gc
from collections.abc import Iterator

import pytest

from streams.process.long_lived import LongLived


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_the_collector_passes_over_what_was_there_when_devices_became_a_tenth_more() -> None:
    kept, long_lived = [[n] for n in range(1000)], LongLived()
    long_lived.look(100)
    frozen = gc.get_freeze_count()
    more = [[n] for n in range(1000)]
    long_lived.look(110)
    assert gc.get_freeze_count() < frozen + 100
    long_lived.look(111)
    assert frozen > len(kept) and gc.get_freeze_count() > frozen + len(more) - 100


def test_what_is_frozen_goes_when_nobody_has_it() -> None:
    kept, long_lived = [[n] for n in range(1000)], LongLived()
    long_lived.look(100)
    frozen = gc.get_freeze_count()
    kept.clear()
    assert gc.get_freeze_count() < frozen - 900
