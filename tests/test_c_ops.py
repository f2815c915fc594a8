"""Over the op table: the C of every row, on every sample, against the row's reference in NumPy.

One program has an entry point for each row and combination of dtypes and attributes; elementwise
samples of one kind are laid end to end. So the C compiler runs twice for the whole table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from compiled import Array, call, compile_graphs

from gradc.dtypes import Spec
from gradc.graph import Builder, Graph
from gradc.ops import OPS, Kind, Op, Sample
from gradc.ops.elementwise import TRANSCENDENTAL
from gradc.ops.rules import SPECIAL

ULP = 4
"""Units in the last place that a function other than arithmetic may be off."""
EITHER_ZERO = ("relu",)
"""Ops whose zero may have either sign: the greater of 0 and -0 is both."""
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
LITERALS = {"f": SPECIAL, "i": [0, 1, -1, 7], "u": [0, 1, 7], "b": [False, True]}


def graph_of(row: Op, args: tuple[Array, ...], attrs: Mapping[str, Any]) -> Graph:
    """The op applied to inputs (for `input` itself, the input)."""
    builder = Builder()
    ids = [builder.input(Spec(a.shape, a.dtype), f"x{k}") for k, a in enumerate(args)]
    return builder.finish(ids if row.name == "input" else [builder.add(row.name, ids, attrs)])


def joined(samples: list[Sample]) -> list[Sample]:
    """Samples that differ in nothing but their elements, laid end to end."""
    groups: dict[tuple[Any, ...], list[Sample]] = {}
    for s in samples:
        key = (tuple(a.dtype.name for a in s.args), tuple(sorted(s.attrs.items())))
        groups.setdefault(key, []).append(s)
    return [
        Sample(
            tuple(
                np.concatenate([a.ravel() for a in column]) for column in zip(*args, strict=True)
            ),
            group[0].attrs,
        )
        for group in groups.values()
        for args in [[s.args for s in group]]
    ]


def cases() -> dict[str, tuple[Op, Sample]]:
    found = {}
    for row in OPS.values():
        samples = list(row.samples())
        if row.kind is Kind.ELEMENTWISE:
            samples = joined(samples)
        found |= {f"{row.name}_{k}": (row, sample) for k, sample in enumerate(samples)}
    return found


CASES = cases()


def check_same(row: Op, got: Array, want: Array, what: str) -> None:
    """Assert that the C means what the reference means."""
    assert (got.shape, got.dtype) == (want.shape, want.dtype), what
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want, what)
        return
    if row.kind is Kind.CONTRACTION or row.name in ("sum", "prod"):
        relative = 64 * np.finfo(want.dtype).eps  # the order of a sum is the C's own
        np.testing.assert_allclose(got, want, relative, relative, err_msg=what)
        return
    if row.cost >= TRANSCENDENTAL:
        finite = np.isfinite(want)
        np.testing.assert_array_equal(np.isfinite(got), finite, what)
        np.testing.assert_array_max_ulp(got[finite], want[finite], ULP)
        got, want = np.where(finite, 0, got), np.where(finite, 0, want)
    np.testing.assert_array_equal(got, want, what)
    if row.name not in EITHER_ZERO:
        zero = want == 0
        np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(want[zero]), what)


@pytest.fixture(scope="module")
def table():
    graphs = {name: graph_of(row, s.args, s.attrs) for name, (row, s) in CASES.items()}
    return compile_graphs(graphs, "table", cflags=STRICT)


@pytest.mark.parametrize(
    "row", [r for r in OPS.values() if r.kind is not Kind.ITEM], ids=lambda row: row.name
)
def test_the_c_of_a_row_is_its_reference(row, table):
    own = {name: sample for name, (of, sample) in CASES.items() if of is row}
    assert own
    for name, sample in own.items():
        with np.errstate(all="ignore"):
            want = np.asarray(row.reference(*sample.args, **sample.attrs))
        (got,) = call(table, name, sample.args)
        dtypes = ", ".join(a.dtype.name for a in sample.args)
        check_same(row, got, want, f"{row.name}({dtypes}) {dict(sample.attrs)}")


def with_literals(row: Op, sample: Sample) -> Graph:
    """The op with its second operand written into the C as one constant after another."""
    builder = Builder()
    x = sample.args[0]
    dtype = sample.args[1].dtype
    first = builder.input(Spec(x.shape, x.dtype), "x")
    outputs = []
    for value in literals(dtype):
        spread = {"shape": x.shape, "axes": ()}
        second = builder.add("broadcast", [builder.constant(value, dtype)], spread)
        outputs.append(builder.add(row.name, [first, second]))
        outputs.append(builder.add(row.name, [second, first]))
    return builder.finish(outputs)


def literals(dtype: np.dtype[Any]) -> Array:
    """Operands that are awkward to write in C."""
    values = np.array(LITERALS[dtype.kind], dtype)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        values = np.append(values, np.array([info.min, info.max], dtype))
    return values


BINARY = {
    name: (row, sample)
    for name, (row, sample) in CASES.items()
    if row.kind is Kind.ELEMENTWISE and len(sample.args) == 2
}


def test_constants_in_the_c_have_their_value():
    graphs = {name: with_literals(row, sample) for name, (row, sample) in BINARY.items()}
    # What a constant is does not depend on how well loops over it are compiled.
    program = compile_graphs(graphs, "literals", cflags=(*STRICT, "-O0"))
    for name, (row, sample) in BINARY.items():
        x, dtype = sample.args[0], sample.args[1].dtype
        results = call(program, name, [x])
        for k, value in enumerate(literals(dtype)):
            constant = np.full(x.shape, value, dtype)
            with np.errstate(all="ignore"):
                wanted = [
                    np.asarray(row.reference(*args)) for args in ((x, constant), (constant, x))
                ]
            for got, want in zip(results[2 * k : 2 * k + 2], wanted, strict=True):
                check_same(row, got, want, f"{row.name} of {dtype.name} and {value!r}")
