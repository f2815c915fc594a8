"""What a row says of its op is true: each fact against the reference, over the samples."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gradc.index import Rem, Var, at
from gradc.ops import OPS, Kind
from gradc.ops.movement import without_units

SAMPLES = [
    pytest.param(row, sample, id=f"{row.name}-{i}")
    for row in OPS.values()
    for i, sample in enumerate(row.samples())
]


def of_kind(kind: Kind) -> list:
    return [p for p in SAMPLES if p.values[0].kind is kind]


def run(row, sample) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(row.reference(*sample.args, **sample.attrs))


def position(index, values) -> int:
    """The number that an index is, with numbers for its variables."""
    total = index.const
    for atom, k in index.terms:
        if isinstance(atom, Var):
            total += k * values[atom]
        else:
            inner = position(atom.index, values)
            total += k * (inner % atom.by if isinstance(atom, Rem) else inner // atom.by)
    return total


@pytest.mark.parametrize(("row", "sample"), of_kind(Kind.MOVEMENT))
def test_an_index_map_says_where_elements_come_from(row, sample):
    result, shapes = run(row, sample), [a.shape for a in sample.args]
    variables = [Var(f"i{axis}", n) for axis, n in enumerate(result.shape)]
    found = row.index_map(tuple(map(at, variables)), shapes, result.shape, sample.attrs)
    for place in np.ndindex(result.shape):
        values = dict(zip(variables, place, strict=True))
        here = [s for s in found if all(a <= position(i, values) < b for i, a, b in s.tests)]
        assert len(here) <= 1
        expected = sample.attrs.get("value", 0)
        for source in here:
            expected = sample.args[source.operand][tuple(position(i, values) for i in source.index)]
        assert result[place] == expected


@pytest.mark.parametrize(("row", "sample"), of_kind(Kind.MOVEMENT))
def test_the_facts_of_a_movement(row, sample):
    first, result = sample.args[0], run(row, sample)
    if row.view and result.size:
        assert np.shares_memory(row.reference(first, **sample.attrs), first)
    if row.whole:
        np.testing.assert_array_equal(np.unique(result), np.unique(first))
    if row.idle is not None and row.idle(sample.attrs, first.shape):
        np.testing.assert_array_equal(result, first)
    if row.permutation is not None:
        np.testing.assert_array_equal(result, first.transpose(row.permutation(sample.attrs)))
    if row.joins:
        empty = np.zeros_like(first).take([], sample.attrs["axis"])
        with_empty = row.reference(empty, *sample.args, **sample.attrs)
        np.testing.assert_array_equal(with_empty, result)
    if row.without_units is not None:
        thin = row.without_units(sample.attrs, first.shape, result.shape)
        np.testing.assert_array_equal(
            row.reference(first.reshape(without_units(first.shape)), **thin),
            result.reshape(without_units(result.shape)),
        )


@pytest.mark.parametrize(("row", "sample"), of_kind(Kind.REDUCTION))
def test_the_facts_of_a_reduction(row, sample):
    """Folding row by row, from the start, gives what the reference gives."""
    (x,), axes = sample.args, sample.attrs["axes"]
    if row.combine is not None:
        total = np.full(np.delete(x.shape, axes), row.start(x.dtype), x.dtype)
        kept = [axis for axis in range(x.ndim) if axis not in axes]
        for part in x.transpose(*axes, *kept).reshape(-1, *total.shape):
            total = row.combine(total, part)
        np.testing.assert_allclose(total, run(row, sample), rtol=1e-5)
    else:
        better = OPS[row.better].reference
        best, place = row.start(x.dtype), 0
        line = np.moveaxis(x, axes[0], -1).reshape(-1, x.shape[axes[0]])[0]
        for k, value in enumerate(line):
            if better(value, best) or (value != value and best == best):
                best, place = value, k
        assert place == run(row, sample).reshape(-1)[0]


@pytest.mark.parametrize(("row", "sample"), of_kind(Kind.ELEMENTWISE))
def test_the_facts_of_an_elementwise_row(row, sample):
    if row.marker:
        np.testing.assert_array_equal(run(row, sample), sample.args[0])
    if row.requires is not None:
        lower, upper = row.requires(sample.attrs)
        assert ((sample.args[0] >= lower) & (sample.args[0] < upper)).all()
    if row.converts:
        assert run(row, sample).dtype == sample.attrs["dtype"]
    if row.conditions:
        conditions, others = sample.args[: row.conditions], sample.args[row.conditions :]
        assert {c.dtype for c in conditions} == {np.dtype(bool)}
        assert {o.dtype for o in others} == {run(row, sample).dtype}


def test_a_fact_stands_where_its_kind_has_a_use_for_it():
    for row in OPS.values():
        moves, reduces = row.kind is Kind.MOVEMENT, row.kind is Kind.REDUCTION
        assert (row.index_map is not None) == moves
        assert moves or not (row.view or row.whole or row.joins or row.idle or row.permutation)
        assert reduces == ((row.combine is None) != (row.better is None))
        assert (row.start is not None) == reduces
        assert row.kind is Kind.ELEMENTWISE or not (row.marker or row.converts or row.conditions)


@pytest.mark.parametrize("row", OPS.values(), ids=lambda row: row.name)
def test_a_row_names_the_header_of_each_function_that_it_calls(row):
    functions = re.findall(r"([a-z]\w*)(?:\{\w\})*\(", (row.c or "").replace("sizeof(", ""))
    calls = {"runtime" if f.startswith("gradc_") else "math.h" for f in functions}
    named = {"runtime" if h.startswith("gradc_") else h for h in row.headers}
    assert named == calls
    assert "{f}(" not in (row.c_int or "") + (row.c_uint or ""), "integers need no header"
