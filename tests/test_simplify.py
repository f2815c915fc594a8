"""Simplification: movements over values that only repeat, places in long rows."""

from __future__ import annotations

import numpy as np
import pytest

import gradc as gd
from gradc.interpret import interpret
from gradc.passes.simplify import simplify
from gradc.trace import trace_tree

X = np.arange(3.0)
CASES = {
    "flip of the repeated axis": (lambda w: gd.flip(w, 0), ["broadcast"]),
    "flip of both": (lambda w: gd.flip(w, (0, 1)), ["broadcast", "flip"]),
    "flip of the other axis": (lambda w: gd.flip(w, 1), ["broadcast", "flip"]),
    "part of the repeated axis": (lambda w: w[1:4:2], ["broadcast"]),
    "part of both": (lambda w: w[1:3, 1:], ["broadcast", "slice"]),
    "different from itself reversed": (
        lambda w: gd.flip(w > 1, 0) ^ (w > 1),
        ["const", "broadcast"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_copies_are_not_moved(name):
    """Of `X`, repeated four times along a new first axis."""
    program, expected = CASES[name]
    graph = trace_tree(lambda x: program(gd.broadcast_to(x, (4, 3))), X).graph
    simple = simplify(graph)
    assert sorted(n.op for n in simple if n.op != "input") == sorted(expected)
    for found, wanted in zip(interpret(simple, [X]), interpret(graph, [X]), strict=True):
        np.testing.assert_array_equal(found, wanted)


def long_rows(dtype: str) -> np.ndarray:
    """Rows with ties, and, of floats, with NaN, infinities and zeros of both signs."""
    x = np.random.default_rng(0).integers(-3, 4, (40, 35)).astype(dtype)
    if x.dtype.kind == "f":
        x[0, 30] = x[1, 7] = x[1, 9] = np.nan
        x[2], x[3], x[4], x[4, 3] = -np.inf, np.inf, -0.0, 0.0
        x[5, 34] = np.inf
    return x


def places(x):
    product = x * x + x
    return [f(a, axis=k) for f in (gd.argmax, gd.argmin) for a in (x, product) for k in (0, 1)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint16"])
def test_the_place_in_a_long_row_is_the_first(dtype):
    x = long_rows(dtype)
    graph = simplify(trace_tree(places, x).graph)
    assert not {n.op for n in graph} & {"argmax", "argmin"}
    with np.errstate(invalid="ignore"):
        product = x * x + x
    expected = [f(a, k) for f in (np.argmax, np.argmin) for a in (x, product) for k in (0, 1)]
    compiled = gd.compile(places, x)(x)
    for found, ours, wanted in zip(interpret(graph, [x]), compiled, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
        np.testing.assert_array_equal(ours, wanted)


def test_a_short_row_is_searched_in_order():
    graph = simplify(trace_tree(lambda x: gd.argmax(x, axis=1), X.reshape(1, 3)).graph)
    assert "argmax" in {n.op for n in graph}


def test_a_sum_is_negated_instead_of_its_terms():
    graph = simplify(trace_tree(lambda x: gd.sum(-x, axis=1), X.reshape(1, 3)).graph)
    assert [n.op for n in graph] == ["input", "sum", "neg"]
