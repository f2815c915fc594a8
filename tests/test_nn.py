"""Layers, activations, losses and initialisers: formulas, PyTorch's numbers, and errors."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

import gradc as gd
from gradc import nn
from gradc.errors import ArgumentError, DataError, DTypeError, ShapeError
from gradc.interpret import interpret
from gradc.trace import trace_tree

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(6, 5)) * 2
TARGET = RNG.normal(size=(6, 5))
LABELS = np.array([0, 4, 2, 2, 1, 3], np.int32)


def run(fn, *args):
    traced = trace_tree(fn, *args)
    return traced.out_tree.unflatten(interpret(traced.graph, traced.arrays(args)))


# activations

ACTIVATIONS = {
    "relu": (nn.relu, lambda z: np.where(z > 0, z, 0)),
    "tanh": (nn.tanh, np.tanh),
    "sigmoid": (nn.sigmoid, lambda z: 1 / (1 + np.exp(-z))),
    "leaky_relu": (nn.leaky_relu, lambda z: np.where(z > 0, z, 0.01 * z)),
    "elu": (nn.elu, lambda z: np.where(z > 0, z, np.exp(np.minimum(z, 0)) - 1)),
    "silu": (nn.silu, lambda z: z / (1 + np.exp(-z))),
    "gelu": (nn.gelu, lambda z: z * np.vectorize(lambda v: 0.5 * math.erfc(-v / 2**0.5))(z)),
    "gelu tanh": (
        lambda z: nn.gelu(z, approximate="tanh"),
        lambda z: 0.5 * z * (1 + np.tanh((2 / np.pi) ** 0.5 * (z + 0.044715 * z**3))),
    ),
    "softmax": (nn.softmax, lambda z: np.exp(z) / np.exp(z).sum(-1, keepdims=True)),
    "log_softmax": (nn.log_softmax, lambda z: z - np.log(np.exp(z).sum(-1, keepdims=True))),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    fn, formula = ACTIVATIONS[name]
    np.testing.assert_allclose(fn(Z), formula(Z), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(run(fn, Z), formula(Z), rtol=1e-9, atol=1e-12)
    assert gd.check_grad(lambda z: (fn(z) * TARGET).sum(), Z).checked == Z.size


def test_gelu_knows_two_forms():
    with pytest.raises(ArgumentError, match="'none' or 'tanh', not 'fast'"):
        nn.gelu(Z, approximate="fast")


# losses


def bce(z, t):
    p = 1 / (1 + np.exp(-z))
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()


def huber(z, t):
    d = np.abs(z - t)
    return np.where(d <= 1, d * d / 2, d - 0.5).mean()


REAL_LOSSES = {
    "mse": (nn.mse, lambda z, t: ((z - t) ** 2).mean()),
    "l1": (nn.l1, lambda z, t: np.abs(z - t).mean()),
    "huber": (nn.huber, huber),
    "bce": (nn.binary_cross_entropy_with_logits, bce),
}


@pytest.mark.parametrize("name", REAL_LOSSES)
def test_losses_of_real_targets(name):
    loss, formula = REAL_LOSSES[name]
    target = 1 / (1 + np.exp(-TARGET))
    np.testing.assert_allclose(loss(Z, target), formula(Z, target), rtol=1e-12)
    np.testing.assert_allclose(run(loss, Z, target), formula(Z, target), rtol=1e-12)
    assert gd.check_grad(loss, Z, target).checked == 2 * Z.size
    with pytest.raises(ShapeError, match="needs a target of the prediction's shape"):
        gd.trace(loss, gd.f32[6, 1], gd.f32[6])


def test_binary_cross_entropy_does_not_overflow():
    z, t = np.array([1e4, -1e4, 0.0]), np.array([0.0, 1.0, 0.5])
    np.testing.assert_allclose(
        run(nn.binary_cross_entropy_with_logits, z, t), (2e4 + np.log(2)) / 3
    )


def cross_entropy(z, labels):
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    return -np.log(np.take_along_axis(p, labels[..., None], -1)).mean()


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "uint32"])
def test_cross_entropy(dtype):
    labels = LABELS.astype(dtype)
    expected = cross_entropy(Z, LABELS)
    np.testing.assert_allclose(nn.cross_entropy(Z, labels), expected, rtol=1e-12)
    np.testing.assert_allclose(run(nn.cross_entropy, Z, labels), expected, rtol=1e-12)
    np.testing.assert_allclose(run(nn.nll, nn.log_softmax(Z), labels), expected, rtol=1e-12)
    assert gd.check_grad(nn.cross_entropy, Z, labels).checked == Z.size


def test_cross_entropy_of_sequences_and_of_many_classes():
    z, labels = RNG.normal(size=(2, 3, 5)), LABELS.reshape(2, 3)
    np.testing.assert_allclose(run(nn.cross_entropy, z, labels), cross_entropy(z, labels))
    z, labels = RNG.normal(size=(4, 300)), np.array([0, 44, 255, 7], np.uint8)
    np.testing.assert_allclose(
        run(nn.cross_entropy, z, labels), cross_entropy(z, labels.astype(int))
    )


def test_the_gradient_of_cross_entropy_needs_no_second_exponential():
    graph = gd.trace(gd.grad(nn.cross_entropy), gd.f32[6, 5], gd.i32[6])
    assert sum(n.op == "exp" for n in graph) == 1


def test_labels_are_integers_in_range():
    with pytest.raises(DTypeError, match=r"labels of `cross_entropy` are integers, got f32\[6\]"):
        gd.trace(nn.cross_entropy, gd.f32[6, 5], gd.f32[6])
    with pytest.raises(ShapeError, match=r"scores f32\[6, 5\] and labels i32\[5\]"):
        gd.trace(nn.cross_entropy, gd.f32[6, 5], gd.i32[5])
    for bad in (-1, 5):
        labels = LABELS.copy()
        labels[1] = bad
        for call in (nn.cross_entropy, lambda z, y: run(nn.cross_entropy, z, y)):
            with pytest.raises(
                DataError, match=rf"element \[1\] is {bad}, not in the range 0 to 4"
            ):
                call(Z, labels)


def test_accuracy():
    expected = np.mean(Z.argmax(-1) == LABELS)
    for labels in (LABELS, LABELS.astype(np.int64), LABELS.astype(np.uint64)):
        found = run(nn.accuracy, Z, labels)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(nn.accuracy(Z, LABELS), expected, rtol=1e-6)


# layers


def test_linear_is_pytorchs():
    layer = nn.Linear(784, 128, rng=0)
    bound = 1 / math.sqrt(784)
    assert (layer.weight.shape, layer.bias.shape) == ((128, 784), (128,))
    assert layer.weight.dtype == layer.bias.dtype == np.float32
    assert layer.weight.recipe == layer.bias.recipe == ("uniform", -bound, bound)
    assert abs(layer.weight).max() <= np.float32(bound)
    x = RNG.normal(size=(3, 784)).astype(np.float32)
    weight, bias = layer.weight.astype(np.float64).T, layer.bias.astype(np.float64)
    expected = x.astype(np.float64) @ weight + bias
    # What 785 additions can make wrong in any order, each rounded by half an epsilon at most.
    bound = 785 * np.finfo(np.float32).eps / 2 * (abs(x) @ abs(weight) + abs(bias))
    assert (abs(layer(x) - expected) <= bound).all()
    assert (abs(run(layer, x) - expected) <= bound).all()
    assert (abs(run(layer, x[0]) - expected[0]) <= bound[0]).all()


def test_linear_without_a_bias_and_in_double():
    layer = nn.Linear(3, 2, bias=False, rng=np.random.default_rng(1), dtype=gd.float64)
    assert list(layer.parameters()) == ["weight"]
    assert layer.weight.dtype == np.float64
    x = np.ones((4, 3))
    np.testing.assert_allclose(layer(x), x @ layer.weight.T)


def test_seeds_repeat():
    one, two, other = (nn.Linear(3, 2, rng=seed).weight for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_sequential():
    model = nn.Sequential(nn.Linear(4, 8, rng=0), nn.relu, nn.Linear(8, 2, rng=1))
    assert list(model.parameters()) == [
        "layers.0.weight",
        "layers.0.bias",
        "layers.2.weight",
        "layers.2.bias",
    ]
    assert (len(model), model[1], list(model)[1]) == (3, nn.relu, nn.relu)
    x = RNG.normal(size=(3, 4)).astype(np.float32)
    expected = model[2](nn.relu(model[0](x)))
    np.testing.assert_allclose(model(x), expected, rtol=1e-5)
    np.testing.assert_allclose(run(model, x), expected, rtol=1e-5)
    gradient = gd.grad(lambda m: m(x).sum())(model)
    assert isinstance(gradient, nn.Sequential)
    np.testing.assert_array_equal(gradient[2].bias, [3, 3])


def test_a_module_shows_its_parameters():
    text = repr(nn.Linear(3, 2))
    assert text == "Linear(\n  weight: f32[2, 3]\n  bias: f32[2]\n)"
    assert repr(nn.Module()) == "Module()"


# initialisers


def test_recipes():
    cases = [
        (nn.init.zeros((2, 3)), ("constant", 0.0)),
        (nn.init.ones(3), ("constant", 1.0)),
        (nn.init.constant(3, 0.5), ("constant", 0.5)),
        (nn.init.uniform((2, 3), -1, 2, rng=0), ("uniform", -1.0, 2.0)),
        (nn.init.normal((2, 3), 1, 2, rng=0), ("normal", 1.0, 2.0)),
        (nn.init.xavier_uniform((4, 8), rng=0), ("uniform", -(0.5**0.5), 0.5**0.5)),
        (nn.init.glorot_normal((4, 8), rng=0), ("normal", 0.0, (1 / 6) ** 0.5)),
        (nn.init.kaiming_uniform((4, 8), rng=0), ("uniform", -(0.75**0.5), 0.75**0.5)),
        (nn.init.he_normal((4, 8, 3), rng=0), ("normal", 0.0, (2 / 24) ** 0.5)),
    ]
    for array, (kind, *numbers) in cases:
        assert array.dtype == np.float32
        assert array.recipe is not None
        assert array.recipe[0] == kind
        np.testing.assert_allclose(array.recipe[1:], numbers, rtol=1e-12)


def test_draws_have_the_moments_of_their_recipe():
    u = nn.init.uniform(100_000, -1, 3, rng=0)
    n = nn.init.normal(100_000, 2, 0.5, rng=0)
    np.testing.assert_allclose([u.mean(), u.std()], [1, 4 / 12**0.5], atol=0.01)
    np.testing.assert_allclose([n.mean(), n.std()], [2, 0.5], atol=0.01)


def test_an_array_that_was_changed_or_derived_has_no_recipe():
    w = nn.init.uniform((2, 3), rng=0)
    for derived in (w[0], w.T, w * 2, w.copy(), w.astype(np.float64), copy.deepcopy(w)):
        assert getattr(derived, "recipe", None) is None
    assert w.recipe is not None
    w[0, 0] += 1
    assert w.recipe is None
    b = nn.init.zeros(3)
    np.add(b, 1, out=np.asarray(b))
    assert b.recipe is None


def test_fans_need_two_axes():
    with pytest.raises(ArgumentError, match="at least two axes"):
        nn.init.xavier_uniform((3,))


# PyTorch's numbers


@pytest.mark.peers
def test_numbers_are_pytorchs():
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    z, t, y = torch.tensor(Z), torch.tensor(TARGET), torch.tensor(LABELS, dtype=torch.int64)
    pairs = [
        (nn.mse(Z, TARGET), f.mse_loss(z, t)),
        (nn.l1(Z, TARGET), f.l1_loss(z, t)),
        (nn.huber(Z, TARGET, delta=0.7), f.huber_loss(z, t, delta=0.7)),
        (nn.cross_entropy(Z, LABELS), f.cross_entropy(z, y)),
        (nn.nll(nn.log_softmax(Z), LABELS), f.nll_loss(f.log_softmax(z, -1), y)),
        (
            nn.binary_cross_entropy_with_logits(Z, abs(TARGET)),
            f.binary_cross_entropy_with_logits(z, t.abs()),
        ),
        (nn.leaky_relu(Z), f.leaky_relu(z)),
        (nn.elu(Z, 0.5), f.elu(z, 0.5)),
        (nn.silu(Z), f.silu(z)),
        (nn.gelu(Z), f.gelu(z)),
        (nn.gelu(Z, "tanh"), f.gelu(z, approximate="tanh")),
    ]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-9, atol=1e-12)
