"""Tracing: constants, dtypes, names and spans, writing in place, values and their traces."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from traced import RNG, A, check_same

import gradc as gd
from gradc.errors import DTypeError, GradcError, ShapeError, TraceError
from gradc.interpret import interpret
from gradc.trace import trace_tree


def test_a_traced_value_names_its_namespace():
    assert gd.trace(lambda x: x.__array_namespace__().exp(x), gd.f32[3])[1].op == "exp"


def test_closed_over_arrays_are_constants():
    w = RNG.normal(size=(4, 2)).astype(np.float32)
    graph = gd.trace(lambda x: x @ w + np.zeros(2, np.float32), gd.f32[3, 4])
    constants = [n for n in graph if n.op == "const"]
    assert sorted(n.shape for n in constants) == [(), (4, 2)]  # the zeros are one scalar
    np.testing.assert_array_equal(constants[0].attrs["value"], w)


def test_a_large_constant_is_refused():
    w = RNG.normal(size=(1 << 20) + 1).astype(np.float32)
    with pytest.raises(TraceError, match="1,048,577 elements") as caught:
        gd.trace(lambda x: x + w, gd.f32[()])
    assert caught.value.diagnostic.helps == ("pass it as an argument",)


def test_dtypes_promote_and_scalars_are_weak():
    def dtype(fn, *specs):
        (out,) = (g := gd.trace(fn, *specs)).outputs
        return g[out].dtype.name

    assert dtype(lambda x: x * 2.5, gd.f32[3]) == "float32"
    assert dtype(lambda x: x * np.sqrt(2.0), gd.f32[3]) == "float64"
    assert dtype(lambda x: x * np.ones(3), gd.f32[3]) == "float64"
    assert dtype(lambda x, y: x + y, gd.i32[3], gd.i8[3]) == "int32"
    assert dtype(lambda x, y: x + y, gd.u8[3], gd.i8[3]) == "int16"
    assert dtype(lambda x: gd.where(x > 0, 1.0, 0.0), gd.f64[3]) == "float64"
    assert dtype(lambda x: gd.where(x > 0, 1, 0), gd.f64[3]) == "int32"
    for fn in (lambda x, k: x + k, lambda x, k: k / 2, lambda x, k: k * 0.5, lambda x, k: -(x > 0)):
        with pytest.raises(DTypeError) as caught:
            gd.trace(fn, gd.f32[3], gd.i32[3])
        assert "astype" in str(caught.value)
    with pytest.raises(DTypeError, match="the integer 300 does not fit"):
        gd.trace(lambda k: k + 300, gd.u8[3])


def outputs_named(fn, *specs):
    return [n.name for n in gd.trace(fn, *specs) if n.name]


def test_inputs_and_assignments_give_names():
    def fn(x, model):
        h = np.tanh(x @ model["w"])
        h2: Any = h * 2
        for _ in range(2):
            h2 = h2 + 1
        return h2.sum()

    names = outputs_named(fn, gd.f32[2, 3], {"w": gd.f32[3, 4]})
    assert names[:2] == ["x", "model.w"]
    assert names[2:] == ["h", "h2", "h2"]


def test_gradients_are_named_after_what_they_derive():
    def loss(w, x):
        h = np.tanh(x @ w)
        return (h * h).mean()

    names = outputs_named(gd.grad(loss), gd.f32[3, 4], gd.f32[2, 3])
    assert {"d_h", "d_w"} <= set(names)
    graph = gd.trace(gd.grad(loss), gd.f32[3, 4], gd.f32[2, 3])
    forward = next(n for n in graph if n.op == "tanh")
    backward = [n for n in graph if n.of == forward.id]
    assert backward
    assert all(n.span == forward.span for n in backward)


def test_spans_have_columns():
    graph = gd.trace(lambda x: (x + 1) * x.sum(), gd.f32[3])
    total = next(n for n in graph if n.op == "sum")
    assert total.span is not None
    assert total.span.text[total.span.col : total.span.end_col] == "x.sum()"


# writing in place


def test_in_place_arithmetic_is_seen_through_every_alias():
    def fn(x):
        y = x * 2
        alias = y
        y += 1
        y *= x
        return alias - y + y

    check_same(fn, A)


def test_in_place_on_a_scalar_binds_the_name_anew():
    def fn(x):
        total = x.sum()
        before = total
        total += 1
        return total - before

    check_same(fn, A)


def test_in_place_is_allowed_when_no_view_is_left():
    def fn(x):
        y = (x * 2).reshape(4, 3)
        z = y.T.sum()
        y += z
        y @= np.eye(3, dtype=np.float32)
        return y

    check_same(fn, A, rtol=1e-5)


def test_in_place_keeps_dtype_and_shape():
    def fn(x):
        y = x * 2
        y += np.ones(4)
        return y

    check_same(fn, A)
    with pytest.raises(ShapeError, match="cannot put"):
        gd.trace(lambda x: operator.iadd(x * 2, np.ones((5, 3, 4), np.float32)), gd.f32[3, 4])


# values and traces


def test_a_value_does_not_outlive_its_trace():
    kept = []
    gd.trace(lambda x: kept.append(x) or x, gd.f32[3])
    with pytest.raises(TraceError, match="after the function that made it has ended"):
        kept[0] + 1
    with pytest.raises(TraceError, match="another function"):
        gd.trace(lambda x: x + kept[0], gd.f32[3])


def test_one_array_reached_twice_is_one_input():
    w = np.ones(3, np.float32)
    traced = trace_tree(lambda p, x: p["a"] * p["b"] + x, {"a": w, "b": w}, w)
    assert len(traced.graph.inputs) == 2
    assert traced.leaf_inputs == (0, 0, 1)
    assert traced.paths == ("p.a", "p.b", "x")
    untied = trace_tree(lambda p: p["a"] * p["b"], {"a": w, "b": w}, tied=False)
    assert len(untied.graph.inputs) == 2


def test_results_may_be_nested_and_may_be_constants():
    traced = trace_tree(lambda x: {"y": x, "n": 2, "parts": (x + 1, None)}, gd.f32[3])
    result = traced.out_tree.unflatten(interpret(traced.graph, [np.ones(3, np.float32)]))
    assert result["n"] == 2
    assert result["parts"][1] is None
    np.testing.assert_array_equal(result["parts"][0], [2, 2, 2])


def test_argument_names_come_from_the_signature():
    def fn(a, *rest, scale=1):
        return a + rest[0] * scale

    assert [n.name for n in gd.trace(fn, gd.f32[2], gd.f32[2])][:2] == ["a", "rest0"]


def test_tracing_is_deterministic():
    def fn(p, x):
        return gd.value_and_grad(lambda p: gd.softmax(x @ p["w"] + p["b"]).max(1).mean())(p)

    specs = {"w": gd.f32[4, 3], "b": gd.f32[3]}, gd.f32[2, 4]
    assert str(gd.trace(fn, *specs)) == str(gd.trace(fn, *specs))


def test_errors_are_gradc_errors_and_builtin_ones():
    for kind, builtin in ((ShapeError, ValueError), (DTypeError, TypeError)):
        assert issubclass(kind, GradcError)
        assert issubclass(kind, builtin)
