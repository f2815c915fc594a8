"""Gradients: the lecture's by hand, finite differences, composition, and what must be refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradc as gd
from gradc import nn
from gradc.autodiff import gradient_of
from gradc.errors import DTypeError, ShapeError, TraceError, UnsupportedError
from gradc.interpret import interpret

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 4))
W = RNG.normal(size=(4, 3))


# by hand


def test_the_product_of_a_sum():
    def g(x, y, z):
        return (x + y) * z

    value, gradient = gd.value_and_grad(g, (0, 1, 2))(3.0, 5.0, 2.0)
    assert value == 16
    assert gradient == (2, 2, 8)


def test_the_sigmoid_neuron():
    def neuron(w, x):
        return 1 / (1 + np.exp(-(w[0] * x[0] + w[1] * x[1] + w[2])))

    w, x = np.array([2.0, -3.0, -3.0]), np.array([-1.0, -2.0])
    s = 1 / (1 + np.exp(-1.0))
    np.testing.assert_allclose(
        gd.grad(neuron)(w, x), s * (1 - s) * np.array([-1, -2, 1]), rtol=1e-12
    )


def test_two_partial_derivatives():
    def f(t1, t2):
        return np.sin(5 * np.exp(t1) + 2 * np.cos(t2))

    t1, t2 = 0.3, -1.2
    outer = np.cos(5 * np.exp(t1) + 2 * np.cos(t2))
    d1, d2 = gd.grad(f, (0, 1))(t1, t2)
    np.testing.assert_allclose(d1, outer * 5 * np.exp(t1), rtol=1e-12)
    np.testing.assert_allclose(d2, -outer * 2 * np.sin(t2), rtol=1e-12)


def test_the_batch_gradient_is_the_mean_of_the_samples():
    def loss(w, x):
        return (np.tanh(x @ w) ** 2).mean()

    whole = gd.grad(loss)(W, X)
    each = [gd.grad(loss)(W, X[i : i + 1]) for i in range(len(X))]
    np.testing.assert_allclose(whole, np.mean(each, axis=0), rtol=1e-12)


# structure


@dataclass
class Params:
    w: Any
    layers: list


class Net(nn.Module):
    def __init__(self):
        self.fc = nn.Linear(4, 3, rng=0)
        self.width = 3

    def __call__(self, x):
        return self.fc(x)


def test_a_gradient_has_the_nesting_of_its_argument():
    def loss(p, net, x):
        return (x @ p.w * p.layers[0]["b"] + net(x)).sum()

    p, net = Params(W, [{"b": np.ones(3)}]), Net()
    dp, dnet = gd.grad(loss, argnums=(0, 1))(p, net, X)
    assert isinstance(dp, Params)
    assert isinstance(dnet, Net)
    assert dnet.width == 3
    np.testing.assert_allclose(dp.w, X.T @ np.ones((5, 3)))
    np.testing.assert_allclose(dp.layers[0]["b"], (X @ W).sum(0))
    np.testing.assert_allclose(dnet.fc.bias, [5, 5, 5])
    assert dnet.fc.weight.dtype == np.float32


def test_aux_values_come_along():
    def loss(w):
        h = np.tanh(X @ w)
        return h.sum(), {"h": h, "n": 3}

    (value, aux), gradient = gd.value_and_grad(loss, has_aux=True)(W)
    np.testing.assert_allclose(value, np.tanh(X @ W).sum())
    np.testing.assert_allclose(aux["h"], np.tanh(X @ W))
    again, aux2 = gd.grad(loss, has_aux=True)(W)
    np.testing.assert_array_equal(again, gradient)
    assert aux2["n"] == 3


def test_tied_parameters_have_the_sum_of_their_gradients():
    p = {"a": W, "b": W}
    gradient = gd.grad(lambda p: (p["a"] * 2 + p["b"] * 3).sum())(p)
    np.testing.assert_array_equal(gradient["a"], np.full_like(W, 5))
    np.testing.assert_array_equal(gradient["b"], np.full_like(W, 5))


def test_one_array_as_two_arguments_has_two_gradients():
    a, b = gd.grad(lambda a, b: (a * a * b).sum(), (0, 1))(W, W)
    np.testing.assert_allclose(a, 2 * W * W)
    np.testing.assert_allclose(b, W * W)


# composition


def test_gradients_of_gradients():
    f = lambda x: np.sin(x) * x**3  # noqa: E731
    d3 = gd.grad(gd.grad(gd.grad(f)))(1.3)
    x = 1.3
    expected = (6 - 9 * x**2) * np.sin(x) + (18 * x - x**3) * np.cos(x)
    np.testing.assert_allclose(d3, expected, rtol=1e-12)


def test_a_hessian_vector_product():
    def loss(w):
        return gd.logsumexp(X @ w)

    v = RNG.normal(size=4)
    hvp = gd.grad(lambda w: (gd.grad(loss)(w) * v).sum())(W[:, 0])
    p = np.exp(X @ W[:, 0]) / np.exp(X @ W[:, 0]).sum()
    hessian = X.T @ (np.diag(p) - np.outer(p, p)) @ X
    np.testing.assert_allclose(hvp, hessian @ v, rtol=1e-10)


def test_a_value_used_twice_by_one_node():
    np.testing.assert_array_equal(gd.grad(lambda x: (x * x).sum())(W), 2 * W)
    np.testing.assert_array_equal(gd.grad(lambda x: (x / x).sum())(W), 0 * W)


def test_what_a_closure_uses_is_constant():
    def outer(x):
        return gd.grad(lambda y: (x * y).sum())(x).sum()  # d/dy (x y) = x

    np.testing.assert_array_equal(gd.grad(outer)(W), np.ones_like(W))


def test_gradients_inside_a_traced_function_become_part_of_it():
    def step(w, x):
        return w - 0.1 * gd.grad(lambda w: (np.tanh(x @ w) ** 2).mean())(w)

    graph = gd.trace(step, gd.f64[4, 3], gd.f64[5, 4])
    (new,) = interpret(graph, [W, X])
    h = np.tanh(X @ W)
    np.testing.assert_allclose(new, W - 0.1 * X.T @ (2 * h * (1 - h**2)) / h.size, rtol=1e-12)


def test_vjp():
    def fn(x, w):
        return {"y": x @ w, "s": x.sum()}

    out, pull = gd.vjp(fn, X, W)
    np.testing.assert_allclose(out["y"], X @ W)
    g = {"y": np.ones((5, 3)), "s": 2.0}
    dx, dw = pull(g)
    np.testing.assert_allclose(dx, np.ones((5, 3)) @ W.T + 2)
    np.testing.assert_allclose(dw, X.T @ np.ones((5, 3)))
    with pytest.raises(TraceError, match="the cotangent has leaves"):
        pull({"y": np.ones((5, 3))})
    with pytest.raises(ShapeError, match="a cotangent of"):
        pull({"y": np.ones((5, 4)), "s": 2.0})
    inside = gd.trace(
        lambda x, w: gd.vjp(fn, x, w)[1]({"y": x @ w, "s": 1.0}), gd.f64[5, 4], gd.f64[4, 3]
    )
    np.testing.assert_allclose(interpret(inside, [X, W])[1], X.T @ X @ W)


# the chain of rules


def test_relu_and_its_kin_take_the_gradient_from_the_output():
    for name in ("relu", "sigmoid", "tanh", "exp", "sqrt"):
        fn = getattr(gd, name)
        graph = gd.trace(gd.grad(lambda x, fn=fn: fn(x * 2).sum()), gd.f32[3])
        forward = next(n for n in graph if n.op == name)
        (before,) = forward.args
        users = [graph[u] for u in graph.users[before]]
        assert users == [forward], f"the backward pass of {name} keeps its input"


def test_ties_share_the_gradient():
    x = np.array([1.0, 3.0, 3.0])
    np.testing.assert_array_equal(gd.grad(lambda x: x.max())(x), [0, 0.5, 0.5])
    np.testing.assert_array_equal(gd.grad(lambda x: gd.min(-x))(x), [0, -0.5, -0.5])
    a, b = gd.grad(lambda a, b: gd.maximum(a, b).sum(), (0, 1))(x, np.array([3.0, 3.0, 1.0]))
    np.testing.assert_array_equal(a, [0, 0.5, 1])
    np.testing.assert_array_equal(b, [1, 0.5, 0])


def test_stop_gradient():
    np.testing.assert_array_equal(gd.grad(lambda x: (gd.stop_gradient(x) * x).sum())(W), W)
    stopped = gd.stop_gradient({"w": W})
    np.testing.assert_array_equal(stopped["w"], W)

    def loss(p):
        p = gd.stop_gradient(p)
        return (p["a"] + p["b"]).sum()

    gradient = gd.grad(loss)({"a": W, "b": W + 1})
    assert not gradient["a"].any()


def test_selected_elements_do_not_leak_nan():
    def safe_log(x):
        return gd.where(x > 0, np.log(gd.where(x > 0, x, 1.0)), 0.0).sum()

    np.testing.assert_array_equal(gd.grad(safe_log)(np.array([0.0, 2.0])), [0, 0.5])
    np.testing.assert_array_equal(gd.grad(lambda x: (x**2.5).sum())(np.zeros(2)), [0, 0])
    both = gd.grad(lambda a, b: (a**b).sum(), (0, 1))(np.array([0.0, 0.0]), np.array([2.0, 0.0]))
    assert np.isfinite(both).all()


def test_reach_tells_stopped_from_unreached():
    found = {}

    def inside(p):
        result = gradient_of(
            lambda p: (p["a"] * gd.stop_gradient(p["b"]) + np.floor(p["c"])).sum(), [p]
        )
        found.update(result.reach)
        return result.gradients

    graph = gd.trace(inside, dict.fromkeys("abcd", gd.f32[2]))
    assert found == {
        "p.a": "reached",
        "p.b": "stopped",
        "p.c": "stopped",
        "p.d": "unreached",
    }
    gradients = interpret(graph, [np.ones(2, np.float32)] * 4)
    assert [g.any() for g in gradients] == [True, False, False, False]


OPS = st.sampled_from(
    [
        lambda a, b: a + b,
        lambda a, b: a * b,
        lambda a, b: a / (1.5 + b * b),
        lambda a, b: np.tanh(a - b),
        lambda a, b: a @ b.T @ a,
        lambda a, b: gd.softmax(a, -1) + b.mean(0),
        lambda a, b: gd.concat([a[:1], b[1:]]),
        lambda a, b: a[::-1] + np.roll(b, 1, axis=1),
        lambda a, b: gd.logsumexp(a, 0) * b,
    ]
)


@given(st.lists(OPS, min_size=1, max_size=5), st.integers(0, 100))
def test_random_compositions_agree_with_finite_differences(steps, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 3, 3)) * 0.7

    def loss(a, b):
        for step in steps:
            a, b = step(a, b), a
        return np.tanh(a).mean() + b.mean()

    assert gd.check_grad(loss, a, b, elements=4).checked == 8


# check_grad


def test_check_grad_reports_what_it_did():
    big = RNG.normal(size=(20, 20)).astype(np.float32)
    result = gd.check_grad(lambda p, k: (np.sin(p["w"]) * k).sum(), {"w": big}, 3, elements=10)
    assert result.checked == 10
    assert list(result.errors) == ["p.w"]
    assert result.errors["p.w"] < 1e-8
    assert "10 elements" in repr(result)


def test_check_grad_finds_a_wrong_gradient():
    def wrong(x):
        return (x * gd.stop_gradient(x)).sum()

    with pytest.raises(gd.GradientError, match=r"`x` at \[0\] is 2, central differences give 4"):
        gd.check_grad(wrong, np.array([2.0, 3.0]))
    with pytest.raises(gd.GradientError):
        gd.check_grad(lambda x: np.log(x).sum(), np.array([-1.0]))


def test_check_grad_needs_a_real_argument():
    with pytest.raises(DTypeError, match="no argument is a floating-point number"):
        gd.check_grad(lambda k: k.sum(), np.arange(3))


# numbers of Python's own


def test_numbers_beside_the_argument_are_handed_over_as_they_are():
    def loss(w, scale, power):
        assert isinstance(scale, float)
        assert isinstance(power, int)
        return (w * scale).sum() ** power

    w = np.ones(3, np.float32)
    gradient = gd.grad(loss)(w, 0.5, 2)
    assert gradient.dtype == np.float32
    np.testing.assert_array_equal(gradient, [1.5, 1.5, 1.5])
    assert gd.check_grad(lambda w, k: (w * k).sum(), w, 3).checked == 3


def test_argnums_must_name_arguments():
    assert gd.grad(lambda a, b: a * b, argnums=-1)(2.0, 3.0) == 2
    with pytest.raises(gd.ArgumentError, match="names argument 2 of 2"):
        gd.grad(lambda a, b: a * b, argnums=2)(2.0, 3.0)


# what must be refused


REFUSED = [
    (ShapeError, lambda x: x * 2, "the loss must be a scalar, got f64[3]"),
    (TraceError, lambda x: (x.sum(), x), "has_aux=True"),
    (TraceError, lambda x: {"loss": x.sum()}, "must be one scalar"),
    (TraceError, lambda x: None, "must be one scalar"),
    (DTypeError, lambda x: x.argmax(), "must be a real number, got i32[]"),
]


@pytest.mark.parametrize(("kind", "fn", "text"), REFUSED)
def test_a_loss_that_is_no_real_scalar_is_refused_at_the_users_line(kind, fn, text):
    with pytest.raises(kind) as caught:
        gd.grad(fn)(np.ones(3))
    assert text in str(caught.value)
    assert caught.value.diagnostic.labels[0].span.file == __file__


def test_gradients_of_integers_are_refused():
    for argument in (np.arange(3), 3):
        with pytest.raises(DTypeError, match="the gradient with respect to `k` is asked for"):
            gd.grad(lambda k: gd.sum(k) * 1)(argument)


def test_integers_beside_the_argument_are_fine():
    labels = np.array([0, 2, 1, 1, 0], np.int32)
    gradient = gd.grad(lambda w, y: nn.cross_entropy(X @ w, y))(W, labels)
    p = gd.softmax(X @ W)
    np.testing.assert_allclose(gradient, X.T @ (p - np.eye(3)[labels]) / 5, rtol=1e-6)


def test_nothing_is_differentiated_in_vain():
    """A row without a rule does no harm where no gradient flows."""
    gradient = gd.grad(lambda x, y: (x * (y > 0)).sum() if False else (x * y).sum())(W, W)
    np.testing.assert_array_equal(gradient, W)
    with pytest.raises(UnsupportedError, match="cannot be traced"):
        gd.grad(lambda x: np.sort(x).sum())(W[0])
