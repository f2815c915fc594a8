"""What an error advises to write instead can be traced, and computes what was meant."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from wrong_input import in_function, raised

import gradc as gd
from gradc.errors import GradcError

X = np.array([[0.5, -1.0, 2.0], [0.1, 0.2, 0.3], [3.0, 4.0, -5.0], [0.0, 1.0, 0.7]], np.float32)
N = np.int32(2)
LABELS = np.array([2, 0, 1, 2], np.int32)
TABLE = np.arange(30, dtype=np.float32).reshape(10, 3)

# What was written, and what it is in NumPy.
MEANT: list[tuple[str, Callable[..., Any]]] = [
    ("table[i]", lambda x, n, i, table: table[i]),
    ("table[n]", lambda x, n, i, table: table[n]),
    ("table[[0, 2]]", lambda x, n, i, table: table[[0, 2]]),
    ("table[:, i]", lambda x, n, i, table: table[:, i]),
    ("x[np.arange(4), i]", lambda x, n, i, table: x[np.arange(4), i]),
    ("x[x > 0]", lambda x, n, i, table: np.where(x > 0, x, 0)),
    ("0 < x < 1", lambda x, n, i, table: (x > 0) & (x < 1)),
    ("x > 0 and x < 1", lambda x, n, i, table: (x > 0) & (x < 1)),
    ("x < 0 or x > 1", lambda x, n, i, table: (x < 0) | (x > 1)),
    ("not x[0, 0] > 0", lambda x, n, i, table: not x[0, 0] > 0),
    ("n or x[0, 0] > 1", lambda x, n, i, table: bool(n or x[0, 0] > 1)),
    ("not n", lambda x, n, i, table: not n),
    ("x if x.sum() > 0 else -x", lambda x, n, i, table: x if x.sum() > 0 else -x),
    ("math.exp(x.mean())", lambda x, n, i, table: math.exp(x.mean())),
    ("max(x[0, 0], x[0, 1])", lambda x, n, i, table: max(x[0, 0], x[0, 1])),
    ("round(x[0, 2])", lambda x, n, i, table: round(x[0, 2])),
    ("np.array([x[0, 0], x[0, 1]])", lambda x, n, i, table: np.array([x[0, 0], x[0, 1]])),
]


@pytest.mark.parametrize(("written", "meant"), MEANT, ids=[written for written, _ in MEANT])
def test_the_code_that_an_error_advises_computes_what_was_meant(written, meant, tmp_path):
    error = raised(in_function(written, GradcError), tmp_path)
    assert isinstance(error, GradcError)
    advised = re.findall(r"`([^`]+)`", error.diagnostic.helps[0])[-1]
    function = eval(f"lambda x, n, i, table: {advised}", {"gd": gd, "np": np})
    compiled = gd.compile(
        function, gd.f32[4, 3], gd.i32[()], gd.i32[4], gd.f32[10, 3], name="advised", cflags=["-O0"]
    )
    np.testing.assert_allclose(
        compiled(X, N, LABELS, TABLE), meant(X, N, LABELS, TABLE), rtol=1e-5, err_msg=advised
    )
