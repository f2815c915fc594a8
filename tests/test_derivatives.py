"""First and second derivatives of smooth functions where their branches meet.

A smooth function that is written with a maximum, an absolute value or a choice must not show it:
the rule for ties would be wrong there. Each function is compared with central differences, and so
is its gradient, at points where such a choice would be made.
"""

from __future__ import annotations

import numpy as np
import pytest

import gradc as gd
from gradc import nn

ZERO = np.zeros(1)
AROUND = np.array([-1.0, 0.0, 1.0])
TIES = np.array([[0.5, 0.5, -1.0], [0.0, 0.0, 0.0], [2.0, 2.0, 2.0]])
TIED = np.array([[0.5, 0.5, -1.0], [2.0, 2.0, 1.0]])
WITH_ZEROS = np.array([[1.5, 0.0, -2.0, 3.0], [0.0, 0.0, 3.0, 0.5], [0.0, 0.0, 0.0, 1.0]])

UNARY = (
    "exp expm1 exp2 log1p sin cos tan asin acos atan sinh cosh tanh asinh atanh sigmoid erf square"
).split()
SMOOTH = {
    **{name: (getattr(gd, name), ZERO) for name in UNARY},
    "softplus": (nn.softplus, AROUND),
    "log_sigmoid": (nn.log_sigmoid, AROUND),
    "silu": (nn.silu, AROUND),
    "gelu": (nn.gelu, AROUND),
    "gelu tanh": (lambda x: nn.gelu(x, "tanh"), AROUND),
    "huber within": (lambda x: nn.huber(x, ZERO), ZERO),
    "huber with itself": (lambda x, y: nn.huber(x, y), AROUND, AROUND),
    "mse": (nn.mse, AROUND, AROUND),
    "binary cross-entropy": (
        nn.binary_cross_entropy_with_logits, np.zeros(3), np.array([0.0, 0.5, 1.0]),
    ),
    "logaddexp": (gd.logaddexp, AROUND, AROUND),
    "logsumexp": (lambda x: gd.logsumexp(x, -1), TIES),
    "softmax": (gd.softmax, TIES),
    "log_softmax": (gd.log_softmax, TIES),
    "cross_entropy": (lambda z: nn.cross_entropy(z, np.array([0, 1, 2])), TIES),
    "pow": (
        gd.pow, np.array([2.0, 2.0, 2.0, 1.0, 1.0, 3.0]), np.array([0.0, 1.0, 2.0, 0.0, 1.0, -1.0]),
    ),
    "whole powers": (lambda x: x**2 + x**3 + x**5, AROUND),
    "negative powers": (lambda x: x**-1 + x**-2 + x**-3, np.array([-1.0, 2.0])),
    "hypot": (gd.hypot, np.array([0.0, 2.0, 1.0]), np.array([1.0, 0.0, 1.0])),
    "atan2": (gd.atan2, np.array([0.0, 2.0, 1.0]), np.array([1.0, 0.0, 1.0])),
    "div": (gd.div, ZERO, np.ones(1)),
    "mul": (gd.mul, ZERO, ZERO),
    "prod": (lambda x: gd.prod(x, 1), WITH_ZEROS),
    "prod of all": (lambda x: gd.prod(x), WITH_ZEROS[:1]),
    "var": (lambda x: gd.var(x, 1), TIES),
    "std": (lambda x: gd.std(x, 1), TIED),
    "norm": (lambda x: np.linalg.norm(x, axis=1), TIED),
    "matmul": (lambda a, b: a @ b, np.zeros((2, 2)), np.zeros((2, 2))),
    "clip inside": (lambda x: x.clip(-1, 1) ** 2, ZERO),
    "where": (lambda x: gd.where(x > 0, x * x, x * x), AROUND),
}  # fmt: skip
ONCE = {
    "elu": (nn.elu, ZERO),
    "huber": (lambda x: nn.huber(x, np.zeros(4)), np.array([-1.0, 1.0, 0.5, -0.5])),
    "huber narrow": (lambda x: nn.huber(x, np.zeros(2), 0.5), np.array([-0.5, 0.5])),
}
"""Smooth but for their second derivative."""


def check(fn, args, *, twice: bool) -> None:
    rng = np.random.default_rng(0)

    def loss(*xs):
        y = fn(*xs)
        weights = np.random.default_rng(1).uniform(0.5, 1.5, y.shape)
        return (y * weights).sum()

    gd.check_grad(loss, *args)
    if twice:
        weights = [rng.uniform(0.5, 1.5, a.shape) for a in args]

        def weighted(*xs):
            gradients = gd.grad(loss, range(len(xs)))(*xs)
            return sum(((g * w).sum() for g, w in zip(gradients, weights, strict=True)), start=0.0)

        gd.check_grad(weighted, *args, tolerance=1e-4)


@pytest.mark.parametrize("name", SMOOTH)
def test_a_smooth_function_is_smooth_where_its_branches_meet(name):
    fn, *args = SMOOTH[name]
    check(fn, args, twice=True)


@pytest.mark.parametrize("name", ONCE)
def test_the_derivative_is_continuous_where_branches_meet(name):
    fn, *args = ONCE[name]
    check(fn, args, twice=False)


def test_the_second_derivatives_are_those_of_mathematics():
    second = lambda f: gd.grad(gd.grad(f))  # noqa: E731
    assert gd.grad(nn.elu)(0.0) == 1
    assert second(lambda z: nn.binary_cross_entropy_with_logits(z, 1.0))(0.0) == 0.25
    assert second(lambda a: gd.logaddexp(a, 0.0))(0.0) == 0.25
    assert gd.grad(gd.grad(gd.pow), 1)(2.0, 0.0) == 0.5
    assert gd.grad(gd.grad(gd.pow, 1), 0)(2.0, 0.0) == 0.5
