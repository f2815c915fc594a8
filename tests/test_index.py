"""Index arithmetic of the loop nests: what it says of all loop variables is true of every value.

Every property compares the algebra on `Index` with Python integers, over all values of the loop
variables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradc.index import (
    Index,
    Quot,
    Rem,
    Var,
    at,
    divmod_index,
    flatten,
    strides,
    substitute,
    unflatten,
)
from gradc.lower.listing import index_listing

VARS = st.builds(Var, st.sampled_from("ijk"), st.integers(1, 7), st.integers(1, 3))
SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


def value(index: Index, env: Mapping[str, int]) -> int:
    total = index.const
    for atom, k in index.terms:
        match atom:
            case Var():
                total += k * env[atom.name]
            case Quot():
                total += k * (value(atom.index, env) // atom.by)
            case Rem():
                total += k * (value(atom.index, env) % atom.by)
    return total


def environments(*variables: Var) -> Iterator[dict[str, int]]:
    ranges = [range(0, v.extent, v.step) for v in variables]
    for values in product(*ranges):
        yield {v.name: k for v, k in zip(variables, values, strict=True)}


@st.composite
def indices(draw: st.DrawFn) -> tuple[tuple[Var, ...], Index]:
    """Loop variables and a non-negative index of them, affine or with one division."""
    variables = tuple(draw(st.lists(VARS, min_size=1, max_size=3, unique_by=lambda v: v.name)))
    index = Index((), draw(st.integers(0, 9)))
    for v in variables:
        index += at(v) * draw(st.integers(-6, 12))
    index += max(0, -index.bounds[0])
    if draw(st.booleans()):
        whole, rest = divmod_index(index, draw(st.integers(1, 9)))
        index = whole * draw(st.integers(0, 3)) + rest * draw(st.integers(0, 3))
    return variables, index


@given(indices(), indices(), st.integers(-5, 5))
def test_sums_and_multiples_are_those_of_the_values(first, second, factor):
    variables = {v.name: v for v in first[0]}
    if any(variables.get(v.name, v) != v for v in second[0]):
        return  # two loops of one name are never open at once
    variables |= {v.name: v for v in second[0]}
    for env in environments(*variables.values()):
        a, b = value(first[1], env), value(second[1], env)
        assert value(first[1] + second[1], env) == a + b
        assert value(first[1] + factor, env) == a + factor
        assert value(first[1] * factor, env) == a * factor


@given(indices())
def test_bounds_hold_and_are_met_where_an_index_is_affine(case):
    variables, index = case
    values = [value(index, env) for env in environments(*variables)]
    low, high = index.bounds
    assert low <= min(values)
    assert max(values) <= high
    if index.affine:
        assert (low, high) == (min(values), max(values))


@given(indices(), st.integers(1, 40))
def test_divmod_is_that_of_the_values(case, by):
    variables, index = case
    whole, rest = divmod_index(index, by)
    for env in environments(*variables):
        assert (value(whole, env), value(rest, env)) == divmod(value(index, env), by)


@given(indices(), st.integers(1, 40))
def test_a_quotient_and_its_remainder_are_the_index_again(case, by):
    _, index = case
    if not index.affine:
        return
    whole, rest = divmod_index(index, by)
    joined = whole * by + rest
    assert dict(joined.terms) == dict(index.terms)
    assert joined.const == index.const


@given(indices(), st.integers(1, 7), st.integers(0, 6))
def test_substitution_is_that_of_the_values(case, extent, shift):
    variables, index = case
    old = variables[0]
    new = Var("n", min(extent, old.extent))
    by = at(new) + min(shift, old.extent - new.extent)
    replaced = substitute(index, old, by)
    assert old not in replaced.vars
    for env in environments(*variables[1:], new):
        assert value(replaced, env) == value(index, env | {old.name: value(by, env)})


@given(SHAPES)
def test_the_index_of_a_flat_offset_is_the_row_major_one(shape):
    flat = Var("k", prod(shape))
    index = unflatten(at(flat), shape)
    for env, expected in zip(environments(flat), product(*(range(n) for n in shape)), strict=True):
        assert tuple(value(i, env) for i in index) == expected


@given(SHAPES)
def test_flattening_undoes_unflattening_without_a_division(shape):
    flat = Var("k", prod(shape))
    assert flatten(unflatten(at(flat), shape), shape) == at(flat)
    axes = tuple(Var(f"i{axis}", n) for axis, n in enumerate(shape))
    index = tuple(at(v) for v in axes)
    assert unflatten(flatten(index, shape), shape) == index


@given(SHAPES, st.randoms())
def test_a_reshape_there_and_back_is_affine(shape, random):
    factors = [n for n in shape if n > 1]
    random.shuffle(factors)
    other = tuple(factors)
    axes = tuple(Var(f"i{axis}", n) for axis, n in enumerate(shape))
    index = tuple(at(v) for v in axes)
    there = unflatten(flatten(index, shape), other)
    back = flatten(there, other)
    assert back.affine
    assert dict(back.terms) == dict(flatten(index, shape).terms)


def test_strides_are_row_major():
    assert strides((2, 3, 4)) == (12, 4, 1)
    assert strides(()) == ()


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (Index(), "0"),
        (at(Var("i", 4)) * 10 + at(Var("j", 10)), "10*i + j"),
        (at(Var("i", 4)) * -1 + 3, "-i + 3"),
        (at(Var("i", 4)) + -3, "i - 3"),
        (divmod_index(at(Var("i", 40)), 7)[0] * 2, "2*(i // 7)"),
        (divmod_index(at(Var("i", 40)) + 3, 7)[1], "((i + 3) % 7)"),
    ],
)
def test_an_index_reads_as_a_sum(index, text):
    assert index_listing(index) == text
