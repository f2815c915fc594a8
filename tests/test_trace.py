"""Tracing: every form of Python and NumPy that works gives NumPy's result, every other an error."""

from __future__ import annotations

import operator
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradc as gd
from gradc.errors import DTypeError, GradcError, ShapeError, TraceError, UnsupportedError
from gradc.interpret import interpret
from gradc.trace import trace_tree

RNG = np.random.default_rng(0)
A = RNG.uniform(0.5, 2, (3, 4)).astype(np.float32)
B = RNG.uniform(0.5, 2, (3, 4)).astype(np.float32)
V = RNG.uniform(0.5, 2, 4).astype(np.float32)
K = RNG.integers(1, 9, (3, 4)).astype(np.int32)


def run(fn, *args) -> Any:
    """`fn(*args)` by tracing and interpreting."""
    traced = trace_tree(fn, *args)
    return traced.out_tree.unflatten(interpret(traced.graph, traced.arrays(args)))


def same(fn, *args, rtol: float = 1e-6) -> None:
    """Tracing and running `fn` gives what NumPy gives, in the same dtype."""
    expected, found = np.asarray(fn(*args)), run(fn, *args)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=rtol)


BINARY = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.pow,
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
    operator.eq,
    operator.ne,
]


@pytest.mark.parametrize("op", BINARY, ids=lambda f: f.__name__)
def test_operators_broadcast_and_reflect(op):
    same(op, A, B)
    same(op, A, V)
    same(op, V, A)
    same(lambda a: op(a, 2), A)
    same(lambda a: op(2, a), A)
    same(lambda a: op(a, 1.5), A)
    same(lambda a: op(a, np.float64(1.5)), A.astype(np.float64))
    same(lambda a: op(B, a), A)
    same(lambda a: op(a, [1, 2, 3, 4]), A.astype(np.float64))


INTEGER = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.floordiv,
    operator.mod,
    operator.and_,
    operator.or_,
    operator.xor,
    operator.lshift,
    operator.rshift,
]


@pytest.mark.parametrize("op", INTEGER, ids=lambda f: f.__name__)
def test_integer_operators(op):
    same(op, K, K[::-1])
    same(lambda k: op(k, 3), K)
    same(lambda k: op(3, k), K)


def test_unary_operators_and_logic():
    same(lambda a: -a, A)
    same(lambda a: +a, A)
    same(abs, -A)
    same(lambda k: ~k, K)
    same(lambda a: ~(a > 1), A)
    same(lambda a: (a > 1) & (a < 1.5) | (a == 2), A)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, -1, -2, 0.5, 2.0, 1.5, -0.5])
def test_powers_with_a_number(n):
    same(lambda a: a**n, A, rtol=1e-5)
    same(lambda a: np.power(a, n), A, rtol=1e-5)


def test_whole_powers_of_integers():
    same(lambda k: k**3, K)
    assert [n.op for n in gd.trace(lambda a: a**2, gd.f32[3])] == ["input", "square"]


SHAPES = [
    ((3, 4), (4, 5)),
    ((4,), (4, 5)),
    ((3, 4), (4,)),
    ((4,), (4,)),
    ((2, 3, 4), (4, 5)),
    ((3, 4), (2, 4, 5)),
    ((4,), (2, 4, 5)),
    ((2, 3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (7, 4, 5)),
    ((5, 1, 3, 4), (2, 4, 1)),
    ((2, 3, 4), (4,)),
]


@pytest.mark.parametrize(("left", "right"), SHAPES)
def test_matmul_is_numpys(left, right):
    a, b = RNG.normal(size=left), RNG.normal(size=right)
    same(operator.matmul, a, b, rtol=1e-9)
    same(np.matmul, a, b, rtol=1e-9)
    same(lambda x: a @ x, b, rtol=1e-9)
    same(np.dot, a, b, rtol=1e-9)


def test_methods():
    for fn in (
        lambda a: a.sum(),
        lambda a: a.sum(0),
        lambda a: a.sum(axis=(0, 1), keepdims=True),
        lambda a: a.mean(-1),
        lambda a: a.max(1),
        lambda a: a.min(axis=0, keepdims=True),
        lambda a: a.prod(1),
        lambda a: (a > 1).all(1),
        lambda a: (a > 1).any(),
        lambda a: a.all(),
        lambda a: a.T,
        lambda a: a.reshape(4, 3),
        lambda a: a.reshape((2, -1)),
        lambda a: a.reshape(-1),
        lambda a: a.transpose(1, 0),
        lambda a: a.transpose((1, 0)),
        lambda a: a.transpose(),
        lambda a: a.swapaxes(0, 1),
        lambda a: a.astype("float64"),
        lambda a: a.astype(np.int32),
        lambda a: a.astype(bool),
        lambda a: a.ravel(),
        lambda a: a.flatten(),
        lambda a: a.clip(1, 1.5),
        lambda a: a[None].squeeze(),
        lambda a: a.copy(),
        lambda a: a.dot(a.T),
    ):
        same(fn, A, rtol=1e-5)
    same(lambda k: k.sum(), K)
    same(lambda k: k.sum(0), K.astype(np.uint8))
    same(lambda k: (k > 3).sum(), K)
    same(lambda k: k.max(), K)
    assert run(lambda a: a.argmax(1), A).tolist() == A.argmax(1).tolist()
    assert run(lambda a: a.argmin(), A).tolist() == A.argmin()
    assert run(lambda k: (k > 3).mean(), K).dtype == np.float32
    assert run(lambda a: a.mT, A).tolist() == A.T.tolist()


def test_sizes_are_known_while_tracing():
    def fn(x):
        assert (x.shape, x.ndim, x.size, len(x), x.dtype) == ((3, 4), 2, 12, 3, np.float32)
        assert (np.shape(x), np.ndim(x), np.size(x)) == ((3, 4), 2, 12)
        assert [row.shape for row in x] == [(4,)] * 3
        return sum(row for row in x)

    same(fn, A)


@st.composite
def basic_indices(draw):
    shape = draw(st.lists(st.integers(0, 5), min_size=0, max_size=3))
    bound = st.none() | st.integers(-7, 7)
    step = st.none() | st.integers(-3, 3).filter(bool)
    items: list[Any] = []
    for n in draw(st.permutations(shape))[: draw(st.integers(0, len(shape)))]:
        choice = st.builds(slice, bound, bound, step)
        if n:
            choice |= st.integers(-min(shape), min(shape) - 1) if min(shape) else choice
        items.append(draw(choice))
    for _ in range(draw(st.integers(0, 2))):
        items.insert(draw(st.integers(0, len(items))), None)
    if draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), Ellipsis)
    return shape, tuple(items)


@given(basic_indices())
def test_basic_indexing_is_numpys(case):
    shape, key = case
    x = np.arange(float(np.prod(shape, dtype=int))).reshape(shape)
    np.testing.assert_array_equal(run(lambda a: a[key], x), x[key])


NUMPY_CODE = [
    lambda x, w: np.tanh(x @ w).mean(),
    lambda x, w: np.sum(x, axis=1) + np.mean(x) * np.max(x, axis=1),
    lambda x, w: np.where(x > 1, x, 0.0),
    lambda x, w: np.concatenate([x, x[:, :2]], axis=1),
    lambda x, w: np.stack([x, 2 * x], axis=-1),
    lambda x, w: np.reshape(np.transpose(x), (2, 6)),
    lambda x, w: np.dot(x, w),
    lambda x, w: np.matmul(x, w),
    lambda x, w: np.clip(x, 1, 1.5),
    lambda x, w: np.expand_dims(x, 0) + np.squeeze(x[None], axis=0),
    lambda x, w: np.zeros_like(x) + np.ones_like(x) + np.full_like(x, 3),
    lambda x, w: np.maximum(x, 1) * np.minimum(x, 1.2) + np.hypot(x, x),
    lambda x, w: np.add.reduce(x, axis=1) + np.maximum.reduce(x, axis=1),
    lambda x, w: np.linalg.norm(x) + np.linalg.norm(x, axis=1),
    lambda x, w: np.tensordot(x, w, axes=1) + np.inner(x, w.T) + np.outer(x[:, 0], w[0]),
    lambda x, w: np.var(x, axis=0) + np.std(x, axis=0, ddof=1),
    lambda x, w: np.flip(x, 1) + np.roll(x, 1, axis=1) + np.roll(x, 5),
    lambda x, w: np.moveaxis(x[None], 0, -1) * np.swapaxes(x, 0, 1).T[..., None],
    lambda x, w: np.broadcast_to(x, (2, 3, 4)) + np.tril(x) - np.triu(x, 1),
    lambda x, w: np.log1p(np.exp(x)) + np.logaddexp(x, 1.0) + np.square(x) + np.fabs(-x),
    lambda x, w: np.round(x, 1) + np.around(x) + np.sign(x) + np.positive(x) + np.copy(x),
    lambda x, w: np.vecdot(x, x) + np.prod(x, axis=1),
    lambda x, w: np.isfinite(x) & np.any(x > 1) | np.all(x > 1, axis=0),
    lambda x, w: sum(np.broadcast_arrays(x, x[0])),
]


@pytest.mark.parametrize("fn", NUMPY_CODE)
def test_plain_numpy_code_is_traced_as_it_is(fn):
    same(fn, A, np.ascontiguousarray(A.T[:, :2]), rtol=2e-5)


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
    assert dtype(lambda x: x * np.sqrt(2.0), gd.f32[3]) == "float32"
    assert dtype(lambda x: x * np.ones(3), gd.f32[3]) == "float64"
    assert dtype(lambda x, y: x + y, gd.i32[3], gd.i8[3]) == "int32"
    assert dtype(lambda x, y: x + y, gd.u8[3], gd.i8[3]) == "int16"
    assert dtype(lambda x: gd.where(x > 0, 1.0, 0.0), gd.f64[3]) == "float32"
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


# what cannot be traced


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
    (UnsupportedError, lambda x: np.nanmax(x), "nearest name is `numpy."),
    (UnsupportedError, lambda x: np.spacing(x), "cannot be traced"),
    (UnsupportedError, lambda x: np.add(x, x, where=[True]), "with `where`"),
    (UnsupportedError, lambda x: np.sum(x, where=[True]), "unexpected keyword argument 'where'"),
    (UnsupportedError, lambda x: np.where(x > 0), "these arguments: missing a required"),
    (UnsupportedError, lambda x: x[[0, 1]], "an index of type `list`"),
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


# writing in place


def test_in_place_arithmetic_is_seen_through_every_alias():
    def fn(x):
        y = x * 2
        alias = y
        y += 1
        y *= x
        return alias - y + y

    same(fn, A)


def test_in_place_on_a_scalar_binds_the_name_anew():
    def fn(x):
        total = x.sum()
        before = total
        total += 1
        return total - before

    same(fn, A)


def test_in_place_is_allowed_when_no_view_is_left():
    def fn(x):
        y = (x * 2).reshape(4, 3)
        z = y.T.sum()
        y += z
        y @= np.eye(3, dtype=np.float32)
        return y

    same(fn, A, rtol=1e-5)


def test_in_place_keeps_dtype_and_shape():
    def fn(x):
        y = x * 2
        y += np.ones(4)
        return y

    same(fn, A)
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
