"""Axes of extent 1 leave the graph, and nothing else changes."""

import numpy as np
import pytest

import gradc as gd
from gradc.interpret import interpret
from gradc.ops.movement import without_units
from gradc.ops.table import Kind
from gradc.passes.squeeze import squeeze_units

F32 = np.float32


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(F32)


CASES = {
    "elementwise": (lambda x: np.tanh(x) * 2, [normal(1, 5, 1)]),
    "kept reductions": (
        lambda x: x - x.mean(axis=1, keepdims=True) + x.sum(axis=(0, 2), keepdims=True),
        [normal(1, 4, 3)],
    ),
    "unit reductions": (lambda x: (x.sum(axis=0), x.max(axis=(0, 2))), [normal(1, 4, 1)]),
    "argmax over one": (lambda x: (x.argmax(axis=0), x.argmax(axis=1)), [normal(1, 4)]),
    "row times matrix": (lambda x, w: x @ w, [normal(1, 6), normal(6, 5)]),
    "matrix times column": (lambda x, w: x @ w, [normal(4, 6), normal(6, 1)]),
    "outer product": (lambda x, w: x @ w, [normal(4, 1), normal(1, 6)]),
    "batched products": (lambda x, w: x @ w, [normal(1, 4, 6), normal(3, 6, 1)]),
    "movement": (
        lambda x: (x.T, x[:, 0:1], x[0], x[:, ::-1], gd.concat([x, x], axis=0)),
        [normal(1, 5)],
    ),
    "broadcast": (lambda x, y: x + y, [normal(4, 1), normal(1, 5)]),
    "gradients": (
        gd.grad(lambda w, x: ((x @ w) ** 2).mean() + w[0:1].sum(), argnums=(0, 1)),
        [normal(3, 1), normal(1, 3)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_meaning_stays_and_no_computed_node_has_a_unit_axis(name: str) -> None:
    fn, args = CASES[name]
    graph = gd.trace(fn, *args)
    small = squeeze_units(graph)
    for want, got in zip(interpret(graph, args), interpret(small, args), strict=True):
        assert got.shape == without_units(want.shape)
        np.testing.assert_allclose(got, want.reshape(got.shape), rtol=1e-5, atol=1e-6)
    for node in small:
        if node.kind is Kind.ELEMENTWISE:
            assert 1 not in node.shape


@pytest.mark.parametrize("name", CASES)
def test_compiled_results_keep_their_shapes(name: str) -> None:
    fn, args = CASES[name]
    want, got = fn(*args), gd.compile(fn, *args)(*args)
    pairs = zip(want, got, strict=True) if isinstance(want, tuple) else [(want, got)]
    for w, g in pairs:
        assert np.shape(g) == np.shape(w)
        np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-6)


def test_a_neuron_is_one_kernel() -> None:
    def loss(p: dict, x: object, y: object) -> object:
        return ((1 / (1 + np.exp(-(x @ p["w"] + p["b"]))) - y) ** 2).mean()

    model = {"w": normal(2, 1), "b": normal(1)}
    step = gd.train_step(loss, model, gd.optim.SGD(lr=0.1), gd.f32[1, 2], gd.f32[1, 1])
    kernels = [k.name for k in step.kernels if k.entry == "step"]
    assert len(kernels) <= 3, kernels
    assert step.plan.arena_bytes <= 128
