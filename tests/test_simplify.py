"""Simplification of movements over values that only repeat."""

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
