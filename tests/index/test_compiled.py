"""Compiled loops do what they say."""

from typing import Any

import numpy as np
import pytest
from numba import njit

from index.compiled import compiled


def total(numbers: Any) -> float:
    found = 0.0
    for number in numbers:
        found += number
    return found


def test_a_loop_is_the_same_compiled() -> None:
    assert compiled(total)(np.arange(10.0)) == total(np.arange(10.0)) == 45
    assert compiled(total, reorders=True)(np.arange(10.0)) == 45


def test_where_there_is_no_place_to_keep_it_it_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*, cache: bool = False, **settings: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function 'total': no locator available")
        return njit(**settings)

    monkeypatch.setattr("index.compiled.njit", nowhere)
    assert compiled(total)(np.arange(10.0)) == 45
