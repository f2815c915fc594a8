"""The mathematics above a kernel: notation, and no more text than a comment can hold."""

from __future__ import annotations

import numpy as np
import pytest
from nests import kernels_of

import gradc as gd
from gradc.lower.formula import LONGEST_FORMULA, MOST_STEPS

X = np.ones((4, 6), np.float32)
FORMULAS = {
    "x * (x + 1)": lambda x: x * (x + 1),
    "-(x - 2)": lambda x: -(x - 2),
    "exp(x + 1)": lambda x: gd.exp(x + 1),
    "sum(x * x)": lambda x: (x * x).sum(),
    "x[1:3, 0:5:2] * 2": lambda x: x[1:3, ::2] * 2,
    "(x > 0) == (x < 1)": lambda x: (x > 0) == (x < 1),
    "x.T @ x": lambda x: x.T @ x,
    "x @ x.T": lambda x: x @ x.T,
    "max(x.T)": lambda x: x.T.max(),
}


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_is_written_as_the_user_writes_it(formula):
    (kernel,) = kernels_of(FORMULAS[formula], X)
    assert kernel.notes[0].partition(" = ")[2] == formula


def shared(times: int):
    def program(x):
        for _ in range(times):
            x = gd.sin(x) * x
        return x

    return program


def test_values_that_share_one_another_are_spelt_in_steps():
    """Written out, the last of 60 doublings would have more letters than there are atoms."""
    (kernel,) = kernels_of(shared(60), X)
    lines = kernel.notes[0].splitlines()
    assert len(lines) == MOST_STEPS + 1
    assert lines[:3] == ["sin = sin(x)", "mul = sin * x", "sin_2 = sin(mul)"]
    assert lines[-1] == f"... {2 * 60 - MOST_STEPS} more"
    assert max(map(len, lines)) <= LONGEST_FORMULA
