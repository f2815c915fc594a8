"""Names decide nothing: whatever the user calls things, the program computes the same."""

from __future__ import annotations

import re

import numpy as np
import pytest

import gradc as gd
from gradc import nn, optim
from gradc.index import Var, at
from gradc.lower.alike import signature
from gradc.lower.nest import Apply, For, Kernel, Let, Literal, Load, Param, Ref, Store

F32 = np.dtype("float32")

RAMP, SQUARES = np.arange(6.0), np.arange(6.0) ** 2
HOSTILE = (
    "w_3", "const_2", "constant_0", "acc", "base", "arena", "state", "tile", "panel", "b", "i", "v",
    "update_x", "forward_x", "backward_x", "out", "y0", "x_2", "d_x", "sum", "x_at",
)  # fmt: skip


def gradient_in(names: tuple[str, str]):
    """The gradients, which are constants, of a function whose arguments have these names."""
    a, b = names
    body = f"lambda {a}, {b}: ({a} * RAMP).sum() + ({b} * SQUARES).sum() + 2 * {a}[3]"
    return gd.grad(eval(body, {"RAMP": RAMP, "SQUARES": SQUARES}), (0, 1))


def test_a_gradient_can_be_a_constant_array():
    f = gd.compile(gd.grad(lambda x: (x * RAMP).sum()), gd.f64[6], cflags=("-O0",))
    np.testing.assert_array_equal(f(np.ones(6)), RAMP)


def test_constants_are_told_apart_whatever_the_arguments_are_called():
    ones = np.ones(6)
    first = RAMP + 2 * (np.arange(6) == 3)
    for name in HOSTILE:
        f = gd.compile(gradient_in((name, "x")), gd.f64[6], gd.f64[6], cflags=("-O0",))
        got = f(ones, ones)
        np.testing.assert_array_equal(got[0], first, name)
        np.testing.assert_array_equal(got[1], SQUARES, name)


def phases(name: str) -> list[str]:
    """The comments of a training step between its calls, for a model with a layer of this name."""
    rng = np.random.default_rng(0)

    class Model(nn.Module):
        def __init__(self) -> None:
            setattr(self, name, nn.Linear(3, 4, rng=rng))
            self.last = nn.Linear(4, 2, rng=rng)

        def __call__(self, x):
            return self.last(np.tanh(getattr(self, name)(x)))

    def loss(model, x, y):
        return nn.cross_entropy(model(x), y)

    step = gd.train_step(loss, Model(), optim.SGD(lr=0.1), gd.f32[5, 3], gd.i32[5], name="m")
    body = step.source[re.search(r"^\w+ m_step\(", step.source, re.MULTILINE).start() :]
    said = re.findall(r"(?:forward|backward) pass|the rest of the state", body, re.IGNORECASE)
    return [words.lower() for words in said]


@pytest.mark.parametrize("name", ["update_a", "forward_a", "backward", "update"])
def test_phases_are_the_same_whatever_the_layers_are_called(name: str):
    plain = phases("first")
    assert plain[0] == "forward pass"
    assert any("backward pass" in phase for phase in plain)
    assert phases(name) == plain


def scaled(names: str, number: float, op: str = "mul") -> Kernel:
    """`y[i] = x[i] * number`, with these one-letter names for x, y, i and the product."""
    x, y, i, v = names
    var = Var(i, 9)
    params = (Param(x, F32, 9), Param(y, F32, 9, written=True))
    product = Apply(op, (Ref(f"{x}_at", F32), Literal(number, F32)), F32)
    body = (
        Let(f"{x}_at", Load(x, at(var), F32), (1,)),
        Let(v, product, (2,)),
        Store(y, at(var), Ref(v, F32), (2,)),
    )
    return Kernel(f"forward_{y}", params, (1, 2), (For(var, body),), (1, 2))


def test_kernels_that_differ_in_names_alone_are_one_function():
    assert signature(scaled("xyiv", 2.0)) == signature(scaled("abkc", 2.0))
    assert signature(scaled("xyiv", np.nan)) == signature(scaled("abkc", -np.nan))
    assert signature(scaled("xyiv", 0.0)) != signature(scaled("xyiv", -0.0))
    assert signature(scaled("xyiv", 2.0)) != signature(scaled("xyiv", 2.0, "add"))
    assert signature(scaled("xyiv", 2.0)) != signature(scaled("xyix", 2.0))
