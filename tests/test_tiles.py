"""Matrix products in register tiles: how they are cut, copied and run through.

What large products do is shown with small ones, by lowering the sizes from which they are large.
"""

from __future__ import annotations

import numpy as np
import pytest
from nests import compare, kernels_of

import gradc as gd
from gradc.lower import rowsums, sweep, tiles
from gradc.lower.listing import listing
from gradc.lower.nest import Array, Let, Product, Transpose
from gradc.lower.target import TARGETS, column_blocks, row_blocks
from gradc.lower.traverse import walk

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("most", [1, 4, 6, 14])
def test_blocks_of_rows_cover_each_row_once(most):
    for rows in range(1, 300):
        found = row_blocks(rows, most)
        covered = [first + k for first, count, height in found for k in range(count * height)]
        assert covered == list(range(rows))
        assert all(0 < height <= most for _, _, height in found)


def test_many_rows_are_cut_into_tiles_of_nearly_the_greatest_height():
    assert row_blocks(64, 14) == [(0, 8, 8)]
    assert row_blocks(256, 14) == [(0, 9, 14), (126, 10, 13)]
    assert row_blocks(784, 14) == [(0, 56, 14)]


@pytest.mark.parametrize("lanes", [4, 16])
def test_blocks_of_columns_cover_each_column_once(lanes):
    for columns in range(1, 100):
        found = column_blocks(columns, lanes, 2, 4)
        covered = [
            b.start + k * b.columns + c
            for b in found
            for k in range(b.count)
            for c in range(b.first, b.valid)
        ]
        assert covered == list(range(columns))
        assert all(b.start + b.count * b.columns <= max(columns, 4) for b in found)
        assert all(b.lanes <= b.columns <= 2 * b.lanes for b in found)


def product(a, b):
    return gd.tanh(a @ b)


def update(w, x, d):
    return w - 0.5 * (x.T @ d)


@pytest.fixture
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "LARGE_BYTES", 0)
    monkeypatch.setattr(tiles, "MANY_ROWS", 1)


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(9, 17, 35), (29, 20, 3), (8, 10, 32), (30, 8, 40)])
def test_a_large_product_is_what_its_graph_means(target, shape):
    m, k, n = shape
    compare(product, normal(m, k), normal(k, n), target=target)
    compare(product, normal(k, m).T, normal(k, n), target=target)
    compare(update, normal(m, n), normal(k, m), normal(k, n), target=target)
    compare(lambda a, b: a @ b, normal(2, m, k), normal(2, k, n), target=target)


def test_a_large_operand_is_copied_panel_by_panel():
    (kernel,) = kernels_of(lambda a, b: a @ b, normal(96, 512), normal(512, 512))
    assert [p.shape for p in kernel.scratch] == [(512, 16)]


def test_the_rows_of_a_large_update_are_copied_once_for_all_columns():
    (kernel,) = kernels_of(update, normal(512, 512), normal(20, 512), normal(20, 512))
    assert all(height <= 6 and depth == 20 for depth, height in (p.shape for p in kernel.scratch))
    assert kernel.scratch


@pytest.mark.parametrize(
    ("rows", "columns", "lanes", "panels"),
    [(64, 10, 8, 0), (96, 10, 16, 1), (96, 8, 8, 0), (96, 17, 16, 0), (64, 3, 4, 1)],
)
def test_few_columns_are_short_vectors_or_a_padded_one(rows, columns, lanes, panels):
    (kernel,) = kernels_of(
        lambda a, b: a @ b, normal(rows, 20), normal(20, columns), target="avx512"
    )
    products = [s for s in walk(kernel.body) if isinstance(s, Product)]
    assert {s.lanes for s in products} | {lanes} <= {lanes, 4}
    assert len(kernel.scratch) == panels


def test_operands_that_run_backwards_are_copied():
    def fn(a, b):
        return a[::-1] @ b[:, ::-1]

    arrays = normal(9, 12), normal(12, 24)
    (kernel,) = kernels_of(fn, *arrays)
    assert len(kernel.scratch) >= 2
    compare(fn, *arrays)


def test_sums_that_are_all_there_is_are_stored_turned_round_at_once():
    def fn(a, b):
        return a @ b.T

    arrays = normal(9, 32), normal(48, 32)
    (kernel,) = kernels_of(fn, *arrays, target="avx512")
    assert [type(s) for s in walk(kernel.body)].count(Transpose) >= 2
    assert not any(isinstance(s, Let) for s in walk(kernel.body))
    compare(fn, *arrays, target="avx512")


# Rows of sums, where there are no vectors


@pytest.mark.parametrize(
    ("shape", "arrays"),
    [((32, 80, 10), []), ((32, 40, 20), [20]), ((32, 300, 20), []), ((32, 20, 10), [40])],
)
def test_without_vectors_a_matrix_is_turned_round_where_that_pays(shape, arrays):
    """Of sums one by one there is no array; a short row of them is added up with three others."""
    m, k, n = shape
    (kernel,) = kernels_of(lambda a, b: a @ b.T, normal(m, k), normal(n, k), target="scalar")
    found = [s.size for s in walk(kernel.body) if isinstance(s, Array) and s.name == "sums"]
    assert found == arrays
    assert len(kernel.scratch) == len(arrays)


# Panels that are transposed on the way


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(9, 8, 16), (20, 9, 35), (5, 64, 40), (12, 23, 11)])
def test_a_product_with_a_transposed_matrix_is_what_its_graph_means(target, shape):
    m, k, n = shape
    compare(lambda a, b: a @ b.T, normal(m, k), normal(n, k), target=target)
    compare(lambda a, b: a.T @ b.T, normal(k, m), normal(n, k), target=target)


def test_two_contracted_axes_are_transposed_one_after_the_other():
    def fn(a, b):
        return gd.tensordot(a, b, axes=((1, 2), (1, 2)))

    arrays = normal(8, 3, 16), normal(40, 3, 16)
    assert "= transpose" in listing(kernels_of(fn, *arrays)[0])
    compare(fn, *arrays)


def test_transposed_panels_in_c():
    rng = np.random.default_rng(3)
    for m, k, n in ((20, 9, 35), (8, 64, 48), (17, 30, 40)):
        a, b = rng.normal(size=(m, k)), rng.normal(size=(n, k))
        product = gd.compile(lambda a, b: a @ b.T, gd.f32[m, k], gd.f32[n, k], cflags=("-O1",))
        np.testing.assert_allclose(
            product(a.astype(np.float32), b.astype(np.float32)), a @ b.T, rtol=1e-4, atol=1e-4
        )


# Long sums


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("depth", [12, 13, 21])
def test_a_deep_product_in_stretches_is_what_its_graph_means(target, depth, monkeypatch):
    monkeypatch.setattr(tiles, "LONG_DEPTH", 8)
    monkeypatch.setattr(rowsums, "LONG_DEPTH", 8)
    monkeypatch.setattr(sweep, "DEPTH", 4)
    compare(product, normal(9, depth), normal(depth, 19), target=target)
    compare(update, normal(9, 19), normal(depth, 9), normal(depth, 19), target=target)
    compare(lambda a, b: gd.tensordot(a, b, 2), normal(9, depth, 3), normal(depth, 3, 19))


def test_the_error_of_a_deep_product_does_not_grow_with_its_depth():
    deep = gd.compile(lambda a, b: a @ b, gd.f32[8, 100_000], gd.f32[100_000, 16])
    for a in (np.full((8, 100_000), 0.1), RNG.random((8, 100_000))):
        a, b = a.astype(np.float32), RNG.random((100_000, 16)).astype(np.float32)
        exact = a.astype(np.float64) @ b.astype(np.float64)
        np.testing.assert_allclose(deep(a, b), exact, rtol=2e-6)
