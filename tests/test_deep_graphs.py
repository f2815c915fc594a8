"""Long chains and values that share one another: no recursion, and text linear in the nodes."""

from __future__ import annotations

import numpy as np
import pytest
from nests import compare, kernels_of

import gradc as gd
from gradc.lower.listing import listing

X = np.linspace(0.1, 0.9, 8)


def chained(times: int):
    def program(x):
        for _ in range(times):
            x = gd.tanh(x) + 1
        return x

    return program


def shared(times: int):
    def program(x):
        for _ in range(times):
            x = gd.sin(x) * x
        return x

    return program


def test_a_chain_may_be_longer_than_pythons_stack():
    """1,000 operations and the gradient of them, where Python allows about as many calls."""
    compare(gd.value_and_grad(lambda x: chained(500)(x).sum()), X)


def test_a_chain_is_one_kernel_and_its_gradient_joins_it():
    (kernel,) = kernels_of(gd.value_and_grad(lambda x: chained(50)(x).sum()), X)
    assert len(kernel.nodes) > 4 * 50


@pytest.mark.parametrize("program", [chained, shared])
def test_statements_grow_with_the_nodes(program):
    """As many again for each further step, however values are shared."""
    x = X.reshape(2, 4)
    sizes = [
        sum(listing(k).count("\n") for k in kernels_of(program(times), x)) for times in (10, 20, 30)
    ]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0]
