"""The mathematics above a kernel: in the user's notation, in the names of the code, and short."""

from __future__ import annotations

import re

import numpy as np
import pytest

import gradc as gd
from gradc.lower.formula import MOST_SHARED

X = np.ones((4, 6), np.float32)
FORMULAS = {
    "x * (x + 1)": lambda x: x * (x + 1),
    "-(x - 2)": lambda x: -(x - 2),
    "exp(x + 1)": lambda x: gd.exp(x + 1),
    "sum(x * x)": lambda x: (x * x).sum(),
    "x[1:3, 0:5:2] * 2": lambda x: x[1:3, ::2] * 2,
    "(x > 0) == (x < 1)": lambda x: (x > 0) == (x < 1),
    "x.T @ x": lambda x: x.T @ x,
    "x @ x.T + 1": lambda x: x @ x.T + 1,
    "max(x.T)": lambda x: x.T.max(),
    "sum(x, axis=1)": lambda x: x.sum(axis=1),
}


def comment(fn, *args):
    """What stands above the only kernel of a function, without the place."""
    source = gd.compile(fn, *args).source
    (found,) = re.findall(r"/\*((?:[^*]|\*(?!/))*)\*/\nGRADC_KERNEL", source)
    lines = [line.removeprefix(" *").strip() for line in found.splitlines()]
    return [line.rpartition("; ")[0] or line for line in lines]


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_is_written_as_the_user_writes_it(formula):
    (line,) = comment(FORMULAS[formula], X)
    assert line.partition(" = ")[2] == formula


def test_what_is_read_again_is_named_and_explained():
    def softmax(x):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    assert comment(softmax, X) == [
        "out = e / row_sum",
        "with row_max = max(x, axis=1)",
        "e = exp(x - row_max)",
        "row_sum = sum(e, axis=1)",
    ]


def shared(times: int):
    def program(x):
        for _ in range(times):
            x = gd.sin(x) * x
        return x

    return program


def test_what_would_need_too_many_words_is_only_named():
    """Written out, the last of 60 doublings would have more letters than there are atoms."""
    assert len(comment(shared(3), X)) < MOST_SHARED + 2
    assert comment(shared(60), X) == ["out"]
