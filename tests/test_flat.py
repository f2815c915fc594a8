"""Loops over several axes become one where the axes lie one after the other, and only there."""

from __future__ import annotations

import re

import numpy as np
import pytest
from nests import compare, kernels_of

import gradc as gd
from gradc.index import Var, at, flatten
from gradc.lower.flat import Loops, merged_loops
from gradc.lower.inplace import in_place_pairs
from gradc.lower.listing import listing


def array(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def loops(fn, *args: np.ndarray) -> list[int]:
    """The extents of all loops of the only kernel, in order."""
    (kernel,) = kernels_of(fn, *args)
    return [int(n) for n in re.findall(r"for \w+ < (\d+)", listing(kernel))]


def positions(a):
    return gd.reshape(gd.arange(40, dtype="float32"), (4, 10)) + a


FLAT = {
    "elementwise": (lambda a: gd.tanh(a) * 2, [array(6, 10)], [60]),
    "several operands": (lambda a, b: gd.tanh(a) + b, [array(4, 5, 6), array(4, 5, 6)], [120]),
    "a scalar operand": (lambda a, s: a * s, [array(6, 10), np.float32(3)], [60]),
    "a broadcast of one element": (lambda a, b: a * b[0], [array(6, 10), array(1)], [60]),
    "a reshape": (lambda a: gd.reshape(a, (5, 12)) + 1, [array(6, 10)], [60]),
    "reshapes of both": (
        lambda a, b: gd.reshape(a, (5, 12)) * gd.reshape(b, (5, 12)),
        [array(6, 10), array(60)],
        [60],
    ),
    "positions in row-major order": (positions, [array(4, 10)], [40]),
    "a short sum": (lambda a: gd.sum(a), [array(3, 5)], [15]),
    "a long sum": (lambda a: gd.mean(a), [array(9, 11)], [96, 16, 3]),
    "a sum and the elements": (
        lambda a: (gd.tanh(a), gd.sum(gd.tanh(a))), [array(6, 8)], [48, 16]
    ),
    "the inner axes of a row": (
        lambda a: gd.sum(a, axis=(1, 2)), [array(3, 5, 8)], [3, 32, 16, 8]
    ),
    "transposed alike": (lambda a, b: (a.T + b.T).T, [array(6, 10), array(6, 10)], [60]),
}  # fmt: skip


@pytest.mark.parametrize("name", FLAT)
def test_axes_that_lie_one_after_the_other_share_a_loop(name):
    fn, args, expected = FLAT[name]
    assert loops(fn, *args) == expected
    compare(fn, *args)


APART = {
    "transposed": (lambda a: a.T + 1, [array(6, 10)], [10, 6]),
    "a bias of the columns": (lambda a, b: a + b, [array(6, 10), array(10)], [6, 10]),
    "a bias of the rows": (lambda a, b: a + b[:, None], [array(6, 10), array(6)], [6, 10]),
    "a slice": (lambda a: a[:, 1:] + 1, [array(6, 10)], [6, 9]),
    "every other row": (lambda a: a[::2] + 1, [array(6, 10)], [3, 10]),
    "flipped": (lambda a: a[:, ::-1] + 1, [array(6, 10)], [6, 10]),
    "joined columns": (lambda a: gd.concat([a, a], axis=1) + 1, [array(6, 10)], [6, 20]),
    "positions in a row": (
        lambda a: a * gd.arange(10, dtype="float32"), [array(6, 10)], [6, 10]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", APART)
def test_axes_that_do_not_keep_their_loops(name):
    fn, args, expected = APART[name]
    assert loops(fn, *args) == expected
    compare(fn, *args)


def test_some_axes_merge_and_others_do_not():
    fn = lambda a, b: gd.tanh(a + b)  # noqa: E731
    assert loops(fn, array(3, 4, 5), array(5)) == [12, 5]
    assert loops(lambda a, b: fn(a, b[:, None, None]), array(3, 4, 5), array(3)) == [3, 20]
    compare(fn, array(3, 4, 5), array(5))


def test_a_flat_loop_may_write_over_what_it_reads():
    (kernel,) = kernels_of(lambda a, b: gd.tanh(a) * b, array(6, 10), array(6, 10))
    assert in_place_pairs(kernel) == [(0, 2), (1, 2)]


def test_axes_of_no_elements_are_left_alone():
    assert merged_loops((3, 0), lambda index: []) == Loops(((3,), (0,)))


def test_the_index_along_the_axes_is_that_of_the_flat_loop():
    merged = merged_loops((2, 3, 4), lambda index: [flatten(index, (2, 3, 4))])
    assert merged.extents == (24,)
    flat = at(Var("k", 24))
    assert flatten(merged.index([flat]), (2, 3, 4)) == flat
