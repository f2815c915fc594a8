"""What a first lecture on backpropagation claims, checked on the compiler, number by number.

Expected values are computed here in NumPy from the formulas, never by gradc.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import gradc as gd
from gradc import nn, optim
from gradc.cli import main

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

import by_hand
import deep_mlp
import gradient_descent as descent
import neuron as neuron_example

# --- the three ways to descend ---


def line_gradient(slope, intercept, x, y):
    """The mean squared error of a line and its two partial derivatives, in float64."""
    error = slope * x + intercept - y
    return (error**2).mean(), 2 * (error * x).mean(), 2 * error.mean()


def descend_in_numpy(x, y, order, lr):
    """Plain gradient descent over the rows of `order`; the losses and the final line."""
    slope = intercept = 0.0
    losses = []
    for rows in order:
        value, d_slope, d_intercept = line_gradient(slope, intercept, x[rows], y[rows])
        slope, intercept = slope - lr * d_slope, intercept - lr * d_intercept
        losses.append(value)
    return losses, slope, intercept


@pytest.mark.parametrize(
    ("batch", "lr", "steps"), [(descent.ROWS, 0.5, 20), (1, 0.02, 400), (64, 0.05, 500)]
)
def test_each_way_of_descending_is_the_textbook_loop(batch, lr, steps):
    x, y = descent.samples()
    epochs = -(-steps * batch // descent.ROWS)
    order = np.concatenate([descent.batches(len(x), batch, seed=e) for e in range(epochs)])[:steps]
    step = descent.step(batch, lr)
    losses = step.many((x, y), order)
    expected, slope, intercept = descend_in_numpy(x.astype(float), y.astype(float), order, lr)
    np.testing.assert_allclose(losses, expected, rtol=2e-4, atol=1e-5)
    assert float(step.params["slope"]) == pytest.approx(slope, rel=1e-4)
    assert float(step.params["intercept"]) == pytest.approx(intercept, rel=1e-4)


def test_full_batch_descent_never_goes_up_and_finds_the_line():
    losses, (slope, intercept) = descent.descend(descent.ROWS, lr=0.5, epochs=30)
    assert losses.shape == (30,)
    assert (np.diff(losses) <= 1e-7).all()
    assert slope == pytest.approx(descent.SLOPE, abs=0.01)
    assert intercept == pytest.approx(descent.INTERCEPT, abs=0.01)


def test_single_sample_descent_goes_up_and_down_and_finds_the_line_nearly():
    losses, (slope, intercept) = descent.descend(1, lr=0.02)
    assert losses.shape == (descent.ROWS,)
    assert (np.diff(losses) > 0).mean() > 0.3
    assert slope == pytest.approx(descent.SLOPE, abs=0.1)
    assert intercept == pytest.approx(descent.INTERCEPT, abs=0.1)


def test_mini_batches_of_64_of_32000_samples_are_500_steps_an_epoch():
    order = descent.batches(32_000, 64)
    assert order.shape == (500, 64)
    assert (np.sort(order, axis=None) == np.arange(32_000)).all()
    step = descent.step(64)
    gd.Trainer(step).fit(descent.samples(), epochs=1, shuffle=True, seed=0, progress=False)
    assert int(step.state["step"]) == 500
    losses, (slope, intercept) = descent.descend(64, lr=0.05)
    assert losses.shape == (500,)
    assert slope == pytest.approx(descent.SLOPE, abs=0.05)
    assert intercept == pytest.approx(descent.INTERCEPT, abs=0.05)


def test_the_trainer_draws_every_sample_exactly_once_an_epoch():
    """One weight per sample, moved by exactly 1 whenever its sample is drawn."""
    rows, batch = 640, 64

    def loss(weights, x):
        return (x @ weights["seen"]).mean()

    weights = {"seen": np.zeros(rows, np.float32)}
    step = gd.train_step(loss, weights, optim.SGD(lr=float(batch)), gd.f32[batch, rows])
    trainer = gd.Trainer(step)
    one_hot = np.eye(rows, dtype=np.float32)
    for epoch in (1, 2):
        trainer.fit((one_hot,), epochs=1, shuffle=True, seed=epoch, progress=False)
        np.testing.assert_array_equal(step.params["seen"], np.full(rows, -float(epoch)))


# --- the batch gradient ---


def small_network_loss(params, x, y):
    hidden = np.tanh(x @ params["w1"] + params["b1"])
    return ((hidden @ params["w2"] - y) ** 2).mean()


def small_network(rng):
    params = {
        "w1": rng.normal(size=(4, 5)),
        "b1": rng.normal(size=5),
        "w2": rng.normal(size=(5, 2)),
    }
    return params, rng.normal(size=(16, 4)), rng.normal(size=(16, 2))


def specs_of(tree):
    """The float64 specs of a dict of arrays."""
    return {name: gd.f64[a.shape] for name, a in tree.items()}


def test_the_batch_gradient_is_the_mean_of_the_gradients_of_the_samples():
    params, x, y = small_network(np.random.default_rng(0))
    specs = specs_of(params)
    whole = gd.compile(gd.grad(small_network_loss), specs, gd.f64[16, 4], gd.f64[16, 2])
    single = gd.compile(gd.grad(small_network_loss), specs, gd.f64[1, 4], gd.f64[1, 2])
    each = [single(params, x[i : i + 1], y[i : i + 1]) for i in range(16)]
    batch = whole(params, x, y)
    for name in params:
        mean = np.mean([g[name] for g in each], axis=0)
        np.testing.assert_allclose(batch[name], mean, rtol=1e-12, atol=1e-14)


# --- the numerical method against the analytic one ---


def central_differences(function, x, width=1e-6):
    """(f(x + h) - f(x - h)) / 2h for every element of `x`."""
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        above, below = x.copy(), x.copy()
        above[i] += width
        below[i] -= width
        gradient[i] = (function(above) - function(below)) / (2 * width)
    return gradient


def test_the_numerical_gradient_agrees_with_the_analytic_one():
    params, x, y = small_network(np.random.default_rng(1))
    analytic = gd.compile(gd.grad(small_network_loss), specs_of(params), x, y)(params, x, y)
    for name in params:
        numerical = central_differences(
            lambda p, name=name: small_network_loss({**params, name: p}, x, y), params[name]
        )
        np.testing.assert_allclose(analytic[name], numerical, rtol=1e-7, atol=1e-9)


def test_check_grad_accepts_a_right_gradient():
    params, x, y = small_network(np.random.default_rng(2))
    gd.check_grad(small_network_loss, params, x, y)
    gd.check_grad(by_hand.wave, np.float64(0.5), np.float64(2.0))
    assert by_hand.wave(0.5, 2.0) == pytest.approx(np.sin(5 * np.exp(0.5) + 2 * np.cos(2.0)))


# --- (x + y) z ---


def test_g_at_3_5_2_has_the_gradients_2_2_8():
    assert by_hand.gradient(by_hand.g, 3, 5, 2) == (16.0, (2.0, 2.0, 8.0))


@pytest.mark.parametrize("lr", [0.125, 0.5, 0.01])
def test_one_step_subtracts_the_learning_rate_times_the_gradient(lr):
    step = by_hand.step(lr)
    assert step() == 16.0
    moved = {name: np.float32(step.params[name]) for name in "xyz"}
    lr = np.float32(lr)
    expected = {"x": 3 - lr * 2, "y": 5 - lr * 2, "z": 2 - lr * 8}
    assert moved == pytest.approx(expected, rel=1e-7)  # one rounding, fused or not
    if lr in (0.125, 0.5):  # no rounding at all
        assert moved == expected


def test_the_forward_and_backward_pass_of_g_are_the_nodes_one_expects():
    graph = gd.trace(by_hand.g, *[gd.f64[()]] * 3)
    assert [n.op for n in graph] == ["input", "input", "input", "add", "mul"]
    x, y, z, total, product = graph.nodes
    assert graph[product].args == (total, z)
    assert sorted(graph.dag.edges) == sorted(
        [(x, total), (y, total), (total, product), (z, product)]
    )


# --- the sigmoid neuron ---


@pytest.mark.parametrize(
    "point", [(2.0, -3.0, -3.0, -1.0, -2.0), (0.0, 0.0, 0.0, 1.0, 1.0), (1.5, 0.5, -40.0, 2.0, 0.1)]
)
def test_the_neuron_and_its_five_partial_derivatives(point):
    w0, w1, w2, x0, x1 = point
    y = 1 / (1 + np.exp(-(w0 * x0 + w1 * x1 + w2)))
    slope = y * (1 - y)
    value, partials = by_hand.gradient(by_hand.neuron, *point)
    assert value == pytest.approx(y, rel=1e-12)
    expected = (slope * x0, slope * x1, slope, slope * w0, slope * w1)
    assert partials == pytest.approx(expected, rel=1e-9, abs=1e-30)


def test_the_neuron_of_the_lecture_rounds_to_its_printed_numbers():
    value, partials = by_hand.gradient(by_hand.neuron, 2, -3, -3, -1, -2)
    assert round(value, 2) == 0.73
    assert [round(p, 2) for p in partials] == [-0.20, -0.39, 0.20, 0.39, -0.59]


def test_the_neuron_learns_one_sample_at_a_time():
    (x, y), _ = neuron_example.data()
    step = neuron_example.step()
    w = {name: float(step.params[name]) for name in ("w0", "w1", "w2")}
    for i in range(50):
        step(x[i : i + 1], y[i : i + 1])
        x0, x1 = map(float, x[i])
        out = 1 / (1 + np.exp(-(w["w0"] * x0 + w["w1"] * x1 + w["w2"])))
        common = 2 * (out - float(y[i])) * out * (1 - out)
        for name, partial in (("w0", x0), ("w1", x1), ("w2", 1.0)):
            w[name] -= 0.5 * common * partial
    for name, expected in w.items():
        assert float(step.params[name]) == pytest.approx(expected, rel=1e-4)


# --- sin(5 exp(t1) + 2 cos(t2)) ---


@pytest.mark.parametrize("point", [(0.5, 2.0), (0.0, 0.0), (-1.25, 3.0)])
def test_the_wave_and_both_partial_derivatives(point):
    t1, t2 = point
    inner = 5 * np.exp(t1) + 2 * np.cos(t2)
    value, partials = by_hand.gradient(by_hand.wave, t1, t2)
    assert value == pytest.approx(np.sin(inner), rel=1e-12, abs=1e-14)
    expected = (np.cos(inner) * 5 * np.exp(t1), np.cos(inner) * -2 * np.sin(t2))
    assert partials == pytest.approx(expected, rel=1e-12, abs=1e-14)


# --- a multi-layer perceptron of any depth with any activation ---

DERIVATIVES = {
    "relu": (lambda a: np.maximum(a, 0), lambda a: (a > 0) * 1.0),
    "tanh": (np.tanh, lambda a: 1 - np.tanh(a) ** 2),
    "sigmoid": (lambda a: 1 / (1 + np.exp(-a)), lambda a: np.exp(-a) / (1 + np.exp(-a)) ** 2),
    "sine": (np.sin, np.cos),
    "softsign": (lambda a: a / (1 + abs(a)), lambda a: 1 / (1 + abs(a)) ** 2),
}


def backpropagation(weights, biases, activation, x, labels):
    """The textbook algorithm: the loss and its gradient by every weight (out, in) and bias."""
    f, derivative = DERIVATIVES[activation]
    outputs, sums = [x], []
    for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
        sums.append(outputs[-1] @ w.T + b)
        outputs.append(f(sums[-1]) if i < len(weights) - 1 else sums[-1])
    shifted = np.exp(sums[-1] - sums[-1].max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    rows = np.arange(len(x))
    loss = -np.log(probabilities[rows, labels]).mean()
    delta = probabilities.copy()
    delta[rows, labels] -= 1
    delta /= len(x)
    gradients = []
    for i in reversed(range(len(weights))):
        gradients.append((delta.T @ outputs[i], delta.sum(axis=0)))
        if i:
            delta = (delta @ weights[i]) * derivative(sums[i - 1])
    return loss, gradients[::-1]


@pytest.mark.parametrize("activation", DERIVATIVES)
@pytest.mark.parametrize("layers", [1, 2, 5])
def test_an_mlp_of_any_depth_with_any_activation(layers, activation):
    step = deep_mlp.step(seed=layers, layers=layers, width=12, activation=activation)
    (x, labels), _ = deep_mlp.data()
    x, labels = x[: deep_mlp.BATCH], labels[: deep_mlp.BATCH]
    before = {name: array.astype(np.float64) for name, array in step.params.items()}
    weights = [before[f"layers.{i}.weight"] for i in range(layers)]
    biases = [before[f"layers.{i}.bias"] for i in range(layers)]
    expected, gradients = backpropagation(weights, biases, activation, x.astype(float), labels)
    value, _ = step(x, labels)
    assert value == pytest.approx(expected, rel=1e-5)
    for i, (d_weight, d_bias) in enumerate(gradients):
        for name, gradient in ((f"layers.{i}.weight", d_weight), (f"layers.{i}.bias", d_bias)):
            # The first step with momentum is a plain one: p -= 0.1 * g.
            moved = (before[name] - step.params[name]) / 0.1
            np.testing.assert_allclose(moved, gradient, rtol=1e-3, atol=2e-6)


# --- stored in the forward pass, reused in the backward pass ---


def reused(graph, op):
    """The forward nodes of operation `op` that nodes of the gradient read."""
    return [
        n.id
        for n in graph
        if n.op == op and n.of is None and any(graph[u].of is not None for u in graph.users[n.id])
    ]


def test_tanh_is_stored_by_the_forward_pass_and_read_by_the_backward_pass():
    graph = deep_mlp.step(layers=3, activation="tanh").graph
    assert len(reused(graph, "tanh")) == 2
    assert sum(n.op == "tanh" for n in graph) == 2  # computed once, not again


def test_inspect_shows_what_the_forward_pass_stores_for_the_backward_pass(capsys):
    example = f"{deep_mlp.__file__}:step"
    assert main(["inspect", example, "--memory"]) == 0
    lives = re.findall(r"(\d+)\.\.(\d+) +(\w+) +f32\[32, 32\]", capsys.readouterr().out)
    assert main(["inspect", example, "--graph"]) == 0
    assert "(gradient of #" in capsys.readouterr().out
    kernels = [k.name for k in deep_mlp.step().kernels]
    stored = {
        name
        for first, last, name in lives
        if kernels[int(first)].startswith("forward")
        and kernels[int(last)].startswith(("backward", "update"))
    }
    assert len(stored) == 3  # the outputs of the three hidden layers
    assert "h" in stored


def test_the_gradient_of_relu_is_taken_from_its_output():
    step = deep_mlp.step(layers=3, activation="relu")
    graph = step.graph
    outputs = reused(graph, "relu")
    assert len(outputs) == 2
    for output in outputs:
        (before,) = graph[output].args
        readers = [graph[u] for u in graph.users[before]]
        assert [r.id for r in readers] == [output]  # the value before relu is not kept for later


def test_relu_passes_no_gradient_at_zero():
    gradient = gd.compile(gd.grad(lambda x: nn.relu(x).sum()), gd.f32[3])
    np.testing.assert_array_equal(gradient(np.array([-1, 0, 2], np.float32)), [0, 0, 1])
