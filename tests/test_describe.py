"""What a row of the op table says of itself in words is true."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc.dtypes import ALL, Spec
from gradc.errors import DTypeError
from gradc.ops import OPS, Kind, Op
from gradc.ops.describe import (
    DTYPES,
    Symbol,
    docstring,
    dtypes,
    formula,
    gradients,
    operand_count,
    operands,
    text_of,
)

ROWS = [
    row
    for row in OPS.values()
    if row.kind is Kind.ELEMENTWISE and not row.internal and operand_count(row) < 3
]
X, Y = Symbol("x"), Symbol("y")


@pytest.mark.parametrize(
    ("symbol", "text"),
    [
        (X + Y * 2, "x + y * 2"),
        ((X + Y) * 2, "(x + y) * 2"),
        (X - (Y - 1), "x - (y - 1)"),
        (X - Y - 1, "x - y - 1"),
        (1 / (X * X), "1 / (x * x)"),
        (-(X * Y), "-(x * y)"),
        (-X * Y, "-x * y"),
        ((-X) ** 2, "(-x) ** 2"),
        (2**X, "2 ** x"),
        ((X >= 0) & (X <= Y), "(x >= 0) & (x <= y)"),
        ((X == 0).where(1, X).log(), "log(where(x == 0, 1, x))"),
        (0.1 * X, "0.1 * x"),
    ],
)
def test_symbols_are_written_as_python(symbol: Symbol, text: str) -> None:
    assert text_of(symbol) == text


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_dtypes_are_those_that_the_row_takes(row: Op) -> None:
    count, kinds = operand_count(row), {v: k for k, v in DTYPES.items()}
    words, gives_bools = dtypes(row)
    for scalar in ALL:
        specs = [Spec((2,), scalar.dtype)] * count
        if scalar.dtype.kind in kinds[words]:
            result = row.shape(row.name, specs, {})
            assert result.dtype == (np.bool_ if gives_bools else scalar.dtype)
        else:
            with pytest.raises(DTypeError):
                row.shape(row.name, specs, {})


def evaluated(text: str, values: dict[str, Any]) -> Any:
    """What an expression of the documentation comes to, its functions being gradc's."""
    return eval(text, {n: getattr(gd, n) for n in dir(gd)}, values)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_formula_is_what_the_row_computes(row: Op) -> None:
    sample = next(iter(row.samples()))
    values = dict(zip(operands(row), sample.args, strict=True))
    with np.errstate(all="ignore"):
        expected = row.reference(*sample.args)
        np.testing.assert_array_equal(evaluated(formula(row), values), expected)


DIFFERENTIABLE = [row for row in ROWS if gradients(row)[0].startswith("d_")]


@pytest.mark.parametrize("row", DIFFERENTIABLE, ids=lambda row: row.name)
def test_the_gradient_is_what_the_row_has(row: Op) -> None:
    names, sample = operands(row), next(iter(row.samples()))
    values = dict(zip(names, sample.args, strict=True))
    weights = np.linspace(0.5, 1.5, sample.args[0].size).reshape(sample.args[0].shape)
    values |= {"g": weights, "y": row.reference(*sample.args)}

    def loss(*arrays: Any) -> Any:
        return (getattr(gd, row.name)(*arrays) * weights).sum()

    expected = gd.grad(loss, argnums=range(len(names)))(*sample.args)
    for line, gradient in zip(gradients(row), expected, strict=True):
        _, _, text = line.partition(" = ")
        np.testing.assert_allclose(evaluated(text, values), gradient, rtol=1e-5)


def test_a_docstring_of_a_row() -> None:
    assert gd.tanh.__doc__ == docstring(OPS["tanh"])
    assert re.sub(r"\n+", "\n", docstring(OPS["exp"])).splitlines() == [
        "`exp(x)` of each element.",
        "`x` is an array of float32 or float64, of any shape. Its shape and dtype come out.",
        "Gradient, where `g` is the one of the result `y`:",
        "    d_x = g * y",
        "Raises `DTypeError` for another dtype.",
    ]
    assert "    d_a = g * b\n    d_b = g * a\n" in docstring(OPS["mul"])
    assert "d_a = g" in str(gd.add.__doc__)
    assert "cannot be differentiated" in docstring(OPS["less"])
