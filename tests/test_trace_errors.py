"""What cannot be traced is an error at the user's line."""

from __future__ import annotations

import re

import numpy as np
import pytest
from traced import A

import gradc as gd
from gradc.errors import DTypeError, ShapeError, TraceError, UnsupportedError


def fails(kind, fn, *specs) -> str:
    with pytest.raises(kind) as caught:
        gd.trace(fn, *specs)
    (first, *_) = caught.value.diagnostic.labels
    assert first.span.file == __file__, "the error must point at the user's line"
    return str(caught.value)


def _truth(x):
    if x.sum() > 0:
        return x
    return -x


def _write(x):
    y = x * 2
    y[0] = 1
    return y


def _into_argument(x):
    x += 1
    return x


def _into_view(x):
    y = x * 2
    z = y.T
    y += 1
    return y + z.T


def _through_view(x):
    y = x * 2
    z = y[0]
    z += 1
    return y


CLOSED_OVER = A.copy()


def _into_constant(x):
    w = CLOSED_OVER
    w += x
    return w


UNTRACEABLE = [
    (TraceError, _truth, "gd.where"),
    (TraceError, lambda x: float(x.sum()), "not known while tracing"),
    (TraceError, lambda x: int(x.sum()), "not known while tracing"),
    (TraceError, lambda x: [0, 1][x.sum().astype(int)], "not known while tracing"),
    (TraceError, lambda x: x.sum().item(), "not known while tracing"),
    (TraceError, lambda x: np.asarray(x), "cannot become a NumPy array"),
    (UnsupportedError, _write, "gd.where"),
    (UnsupportedError, _into_argument, "an argument of the traced function (`x`)"),
    (UnsupportedError, _into_view, "of which there are views"),
    (UnsupportedError, _through_view, "of which there are views"),
    (UnsupportedError, _into_constant, "cannot write a traced value into an array"),
    (UnsupportedError, lambda x: np.add(x, x, out=x), "cannot write"),
    (UnsupportedError, lambda x: np.sort(x), "`numpy.sort` cannot be traced"),
    (UnsupportedError, lambda x: np.nanmax(x), "compute it before the call"),
    (UnsupportedError, lambda x: np.spacing(x), "cannot be traced"),
    (UnsupportedError, lambda x: np.add(x, x, where=[True]), "with `where`"),
    (UnsupportedError, lambda x: np.sum(x, where=[True]), "unexpected keyword argument 'where'"),
    (UnsupportedError, lambda x: np.where(x > 0), "these arguments: missing a required"),
    (UnsupportedError, lambda x: x[[0, 1]], "an index that is a `list`"),
    (UnsupportedError, lambda x: x[x > 0], "gd.where"),
    (UnsupportedError, lambda x: x[: x.sum().astype(int)], "bounds of a slice"),
    (UnsupportedError, lambda x: x + "text", "cannot be used as an array"),
    (UnsupportedError, lambda x: x + 1j, "cannot be used as an array"),
    (UnsupportedError, lambda x: x + None, "cannot be used as an array"),
    (ShapeError, lambda x: x[5], "out of range"),
    (ShapeError, lambda x: x[0, 0, 0], "too many"),
    (ShapeError, lambda x: x.sum(2), "out of range"),
    (ShapeError, lambda x: x.reshape(5, 5), "cannot reshape"),
    (ShapeError, lambda x: x.reshape(-1, 5), "cannot reshape"),
    (ShapeError, lambda x: x.transpose(0), "each of its 2 axes once"),
    (ShapeError, lambda x: x[0, 0] @ x, "at least one axis"),
    (ShapeError, lambda x: gd.squeeze(x, 0), "its extent is not 1"),
    (ShapeError, lambda x: gd.concat([x, x[0]]), "other axes to agree"),
    (ShapeError, lambda x: gd.broadcast_to(x, (4, 4)), "does not broadcast"),
    (DTypeError, lambda x: gd.where(x, x, x), "condition of `where` is a bool"),
    (DTypeError, lambda x: x & x, "works on integers or bools"),
    (DTypeError, lambda x: np.arange(3) @ x, "no common dtype"),
]


@pytest.mark.parametrize(("kind", "fn", "text"), UNTRACEABLE)
def test_what_cannot_be_traced_fails_at_the_users_line(kind, fn, text):
    assert text in fails(kind, fn, gd.f32[3, 4])


def test_operands_are_marked_in_the_source():
    text = fails(ShapeError, lambda x, w: x @ w, gd.f32[128, 64], gd.f32[32, 4])
    assert "`matmul` needs the inner axes to agree, got 64 and 32" in text
    assert "[32, 4]: first axis is 32" in text
    assert "[128, 64]: last axis is 64" in text
    assert "the right operand is `w`" in text
    text = fails(ShapeError, lambda x, w: x + w, gd.f32[3], gd.f32[4])
    assert "`add` needs shapes that broadcast, got f32[3] and f32[4]" in text
    assert re.search(r"\^\s+- f32\[4\]", text)


def test_an_error_of_the_users_own_passes_through():
    with pytest.raises(ZeroDivisionError):
        gd.trace(lambda x: 1 // 0, gd.f32[3])
