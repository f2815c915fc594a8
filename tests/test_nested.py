"""Expressions of several operations: what stands in them, and how C writes it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from nests import kernels_of

import gradc as gd
from gradc.dtypes import BOOL, F32
from gradc.emit.expressions import expression
from gradc.index import Index
from gradc.lower.nest import Accumulate, Apply, Declare, Kernel, Let, Literal, Load, Ref, Store
from gradc.lower.nested import MOST, nested, operations
from gradc.lower.traverse import expressions, walk
from gradc.ops import OPS
from gradc.ops.notation import Level

A, B, C = (Ref(name, F32) for name in "abc")
LESS = Apply("less", (A, B), BOOL)


def on(op, *args):
    return Apply(op, args, F32)


SPELT = {
    "a + b + c": on("add", on("add", A, B), C),
    "a + (b + c)": on("add", A, on("add", B, C)),
    "a * b + c": on("add", on("mul", A, B), C),
    "(a + b) * c": on("mul", on("add", A, B), C),
    "a / (b * c)": on("div", A, on("mul", B, C)),
    "a - (b - c)": on("sub", A, on("sub", B, C)),
    "-(a + b)": on("neg", on("add", A, B)),
    "-(-a)": on("neg", on("neg", A)),
    "a - (-b)": on("sub", A, on("neg", B)),
    "-a * b": on("mul", on("neg", A), B),
    "a * (-0.5f)": on("mul", A, Literal(-0.5, F32)),
    "gradc_expf(a - b)": on("exp", on("sub", A, B)),
    "(1.0f / a) * b": on("mul", on("reciprocal", A), B),
    "(a < b) ? c : 0.0f": on("where", LESS, C, Literal(0, F32)),
    "((a < b) ? c : a) + b": on("add", on("where", LESS, C, A), B),
    "(float)(a < b)": on("cast", LESS),
    "(a < b) == (a < b)": Apply("equal", (LESS, LESS), BOOL),
}


@pytest.mark.parametrize("text", SPELT)
def test_parentheses_stand_where_the_order_of_operations_needs_them(text):
    assert expression(SPELT[text], lambda load: load.buffer).text == text


def test_the_level_of_a_row_is_that_of_its_c():
    """A template that is no call and says nothing of its precedence would be torn apart."""
    for row in OPS.values():
        if row.c is None or row.marker or row.start is not None:
            continue
        call = re.fullmatch(r"\w+(?:\{[fn]\})*\([^()]*\)", row.c)
        assert (row.level is Level.WHOLE) == bool(call), row.name


def kernel(*body):
    return Kernel("k", (), (), body, ())


def at(name, k=0):
    return Load(name, Index((), k), F32)


def test_a_load_is_not_moved_over_a_write_to_its_buffer():
    still = (Let("a", at("x"), ()), Store("y", Index(), Literal(0, F32)), Store("z", Index(), A))
    assert len(nested(kernel(*still)).body) == 2
    written = (Let("a", at("x"), ()), Store("x", Index(), Literal(0, F32)), Store("z", Index(), A))
    assert nested(kernel(*written)).body == written


def test_an_accumulator_is_read_where_it_was():
    body = (
        Declare("b", F32, Literal(0, F32)),
        Let("a", on("neg", B), ()),
        Accumulate("b", None, "sum", C, F32),
        Store("y", Index(), A),
    )
    assert nested(kernel(*body)).body == body


def test_what_c_evaluates_twice_or_not_always_stays_a_value():
    twice = (Let("a", on("neg", C), ()), Store("y", Index(), on("square", A)))
    assert nested(kernel(*twice)).body == twice
    skipped = (Let("a", on("neg", C), ()), Store("y", Index(), on("where", LESS, A, B)))
    assert nested(kernel(*skipped)).body == skipped


def test_a_number_at_a_fixed_place_is_read_wherever_it_is_needed():
    body = (Let("a", at("x"), ()), Store("y", Index(), A), Store("z", Index(), on("neg", A)))
    assert [s.expr for s in nested(kernel(*body)).body] == [at("x"), on("neg", at("x"))]


def test_what_has_a_name_keeps_it():
    body = (Let("a", on("neg", C), (7,)), Store("y", Index(), on("exp", A)))
    assert len(nested(kernel(*body), lambda i: i == 7).body) == 2
    assert len(nested(kernel(*body)).body) == 1


def test_no_expression_has_more_operations_than_can_be_read():
    (made,) = kernels_of(lambda x: gd.tanh(gd.exp(-((x + 1) * 2 - 3) / 4) + 5) * 6, np.ones(5, "f"))
    sizes = [operations(e) for s in walk(nested(made).body) for e in expressions(s)]
    assert max(sizes) == MOST
