"""Sums of many elements: exact to the last digits of float32, and in blocks that lose nothing.

Long float32 sums are cut into blocks (`gradc.lower.sweep`, `gradc.lower.totals`). Here blocks of
four additions show, without a C compiler, that every element is in exactly one block; and sums of
millions of elements, in C, that the error does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from nests import compare, kernels_of

import gradc as gd
from gradc.lower import emit_fold, folds, sweep
from gradc.lower.listing import listing

RNG = np.random.default_rng(0)


def whole(*shape: int) -> np.ndarray:
    """Small whole numbers: float32 adds them exactly in any order."""
    return RNG.integers(-8, 9, shape).astype(np.float32)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "CHAIN", 4)
    monkeypatch.setattr(emit_fold, "CHAIN", 4)
    monkeypatch.setattr(folds, "LONG_CHAIN", 6)


def center(a):
    return a - gd.mean(a, axis=-1, keepdims=True)


BLOCKED = {
    "short of a block": (gd.sum, whole(6)),
    "blocks and a rest": (gd.sum, whole(11)),
    "equal blocks": (gd.sum, whole(12)),
    "blocks of vectors": (gd.sum, whole(16 * 8)),
    "blocks of vectors, a rest and a tail": (gd.sum, whole(16 * 9 + 5)),
    "blocks, a tail alone": (gd.sum, whole(16 * 8 + 5)),
    "each row in blocks": (lambda a: gd.sum(a, axis=1), whole(3, 16 * 9 + 5)),
    "rows of whole vectors and one more": (
        lambda a: (gd.sum(a, axis=1), a - gd.max(a, axis=1, keepdims=True)), whole(3, 33)
    ),
    "the row and its sum": (lambda a: center(a) * 2, whole(3, 128)),
    "loops that cannot be one": (lambda a: gd.sum(a.T * a.T, axis=(0, 1)), whole(7, 3)),
    "the outer of two loops": (lambda a, b: gd.sum(a[:, ::2] * b), whole(11, 6), whole(11, 3)),
    "the outer of two, in vectors": (
        lambda a, b: gd.sum(a[:, ::2] * b), whole(17, 70), whole(17, 35)
    ),
    "a maximum beside the sum": (lambda a: (gd.sum(a), gd.max(a), gd.argmax(a)), whole(11)),
    "over the first axis": (lambda a: gd.sum(a, axis=0), whole(11, 5)),
    "over the first axis, whole blocks": (lambda a: gd.sum(a, axis=0), whole(12, 5)),
    "over the first axes": (lambda a: gd.sum(a, axis=(0, 1)), whole(3, 7, 5)),
    "over the first axis, much": (lambda a: gd.sum(a, axis=0), whole(9, 1500)),
    "over all but the middle axis": (lambda a: gd.sum(a, axis=(0, 2)), whole(5, 3, 4)),
    "over the middle axis": (lambda a: gd.sum(a, axis=1), whole(2, 9, 3)),
    "rows and all of them": (
        lambda a: (gd.sum(a, axis=1), gd.sum(a, axis=0), gd.sum(a)), whole(11, 40)
    ),
    "variance of columns": (lambda a: gd.var(a, axis=0), whole(8, 3)),
    "inner product": (gd.vecdot, whole(150), whole(150)),
    "two contracted axes": (
        lambda a, b: gd.tensordot(a, b, axes=((0, 1), (0, 1))), whole(7, 5), whole(7, 5)
    ),
    "integers": (lambda k: gd.sum(k.astype("int32")), whole(40)),
    "float64": (lambda k: gd.sum(k.astype("float64")), whole(40)),
}  # fmt: skip


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", BLOCKED)
def test_a_sum_in_blocks_has_every_element_once(name):
    fn, *args = BLOCKED[name]
    compare(fn, *args)


@pytest.mark.usefixtures("small_blocks")
def test_blocks_are_added_up_in_double():
    (kernel,) = kernels_of(gd.sum, whole(11))
    assert "sum_total f64" in listing(kernel)
    (kernel,) = kernels_of(
        lambda k: gd.sum(k, axis=0), np.arange(33, dtype=np.int32).reshape(11, 3)
    )
    assert "f64" not in listing(kernel)


# In C, with millions of elements

MANY = 3_000_000
DISTRIBUTIONS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "equal": lambda rng: np.full(MANY, 0.1),
    "uniform": lambda rng: rng.random(MANY),
    "exponential": lambda rng: rng.exponential(size=MANY),
    "over many magnitudes": lambda rng: np.exp(3 * rng.standard_normal(MANY)),
    "far from zero": lambda rng: 1000 + rng.random(MANY),
}


def sums(a):
    """Sums of `a` along all axes it can have, most of them of three million elements."""
    rows, columns = gd.reshape(a, (300_000, 10)), gd.reshape(a, (10, 300_000))
    return {
        "sum": gd.sum(a),
        "mean": gd.mean(a),
        "squares": gd.sum(a * a),
        "norm": np.linalg.norm(a),
        "dot": gd.vecdot(a, a),
        "over rows": gd.sum(rows, axis=0),
        "along rows": gd.sum(columns, axis=1),
        "all, beside a row's": gd.sum(gd.sum(rows * rows, axis=1) * 0.5),
        "by columns": gd.sum(columns.T * 2, axis=0),
    }


@pytest.fixture(scope="module")
def compiled_sums():
    return gd.compile(sums, gd.f32[MANY])


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_error_of_a_sum_does_not_grow_with_its_length(name, compiled_sums):
    a = DISTRIBUTIONS[name](np.random.default_rng(0)).astype(np.float32)
    found, exact = compiled_sums(a), in_double(a.astype(np.float64))
    for key, value in found.items():
        np.testing.assert_allclose(value, exact[key], rtol=1e-6, err_msg=key)


def in_double(a: np.ndarray) -> dict[str, np.ndarray]:
    """`sums` in NumPy and double."""
    rows, columns = a.reshape(300_000, 10), a.reshape(10, 300_000)
    return {
        "sum": a.sum(),
        "mean": a.mean(),
        "squares": (a * a).sum(),
        "norm": np.sqrt((a * a).sum()),
        "dot": a @ a,
        "over rows": rows.sum(0),
        "along rows": columns.sum(1),
        "all, beside a row's": (a * a).sum() * 0.5,
        "by columns": columns.sum(1) * 2,
    }
