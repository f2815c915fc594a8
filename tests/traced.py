"""Functions run by tracing and interpreting, and arrays for them: what tests of tracing share."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradc.interpret import interpret
from gradc.trace import trace_tree
from gradc.tree import flatten

RNG = np.random.default_rng(0)
A = RNG.uniform(0.5, 2, (3, 4)).astype(np.float32)
B = RNG.uniform(0.5, 2, (3, 4)).astype(np.float32)
V = RNG.uniform(0.5, 2, 4).astype(np.float32)
K = RNG.integers(1, 9, (3, 4)).astype(np.int32)


def run(fn, *args) -> Any:
    """`fn(*args)` by tracing and interpreting."""
    traced = trace_tree(fn, *args)
    leaves = flatten(args)[0]
    return traced.out_tree.unflatten(interpret(traced.graph, traced.arrays(leaves)))


def check_same(fn, *args, rtol: float = 1e-5) -> None:
    """Tracing and running `fn` gives what NumPy gives, in the same dtype."""
    expected, found = np.asarray(fn(*args)), run(fn, *args)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=rtol)
