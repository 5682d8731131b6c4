"""Products of vectors, as bytes or as they are: none is further off than is said, whatever the vectors are."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from index.codes import LARGEST, Codes, product_of
from index.floats import Floats
from index.vectors import LARGEST as LARGEST_COMPONENT
from wire.arrays import F32

D = 6
COMPONENT = st.one_of(
    st.floats(-1, 1, width=32),
    st.sampled_from([0.0, -0.0, 1e-45, -1e-38, 1e-20, 1e-12, LARGEST_COMPONENT, -LARGEST_COMPONENT]).map(
        lambda x: float(np.float32(x))
    ),
)


@pytest.fixture(autouse=True, scope="module", params=[0, 1 << 17], ids=["passed", "made"])
def many(request: pytest.FixtureRequest) -> Iterator[None]:
    """From how many vectors on products are made one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("index.codes.MANY", request.param)
        yield


LARGE = np.full((1, D), LARGEST_COMPONENT, np.float32)  # once it is gone, it spoils nothing


def vectors(most: int) -> st.SearchStrategy[F32]:
    return st.integers(1, most).flatmap(lambda n: arrays(np.float32, (n, D), elements=COMPONENT))


@pytest.mark.parametrize("kind", [Codes, Floats])
@given(first=vectors(8), more=vectors(5), queries=vectors(20))
@example(
    first=np.zeros((1, D), np.float32),
    more=np.eye(1, D, dtype=np.float32),
    queries=np.full((1, D), 1e-45, np.float32),
)
def test_no_product_is_further_off_than_said(
    kind: type[Codes] | type[Floats], first: F32, more: F32, queries: F32
) -> None:
    codes = kind(D)
    codes.splice(0, 0, np.concatenate([LARGE, first]))
    codes.splice(len(first) + 1, len(first) + 1, more)
    codes.splice(0, 1, LARGE[:0])
    every = np.concatenate([first, more])
    for query, products in zip(queries, codes.products(queries), strict=True):
        exact = every.astype(np.float64) @ query.astype(np.float64)
        for scores in (exact, np.vecdot(every, query)):
            assert all(at in products.reaching(products.least(score)) for at, score in enumerate(scores))


@pytest.mark.parametrize("queries", [1, 3, 64])
@pytest.mark.parametrize("dim", [1, 8, 96, 130])
def test_products_of_bytes_are_exact(queries: int, dim: int) -> None:
    generator = np.random.default_rng(dim)
    few, many = (generator.choice([-LARGEST, LARGEST], (n, dim)).astype(np.int8) for n in (queries, 5000))
    few[0] = many[0] = LARGEST
    assert (product_of(few, many) == few.astype(np.int64) @ many.T.astype(np.int64)).all()


def test_unit_vectors_are_told_apart_well() -> None:
    """Else each query would be compared with most vectors twice."""
    keys = np.random.default_rng(1).normal(size=(1000, 96)).astype(np.float32)
    keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    codes = Codes(96)
    codes.splice(0, 0, 1e6 * keys)
    codes.splice(0, len(keys), keys)
    (products,) = codes.products(keys[:1])
    score = keys @ keys[0]
    assert (score[products.reaching(products.least(0.2))] > 0.2 - 2 * 0.03).all()
